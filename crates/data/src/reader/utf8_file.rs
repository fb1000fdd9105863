//! A text file as bytes that are known to be UTF-8, without a byte-order mark.

use std::io::{self, ErrorKind, Read};

/// How many bytes are read at once.
const BUFFER: usize = 64 << 10;
/// How many bytes a row of a text file may have: 256 MiB.
pub const LONGEST_ROW: u64 = 256 << 20; // the error for a longer row names this number
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The error of a file that is not valid UTF-8, inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("line {line} is not valid UTF-8")]
pub(super) struct NotUtf8 {
    pub line: usize,
}

/// The error of a row that is longer than [`Utf8File::longest_row`], inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
pub(super) struct LongRow;

/// Reads a text file: drops a byte-order mark, checks that the bytes are UTF-8, and appends `tail`.
pub(super) struct Utf8File<R> {
    source: R,
    tail: &'static [u8],
    buffer: Vec<u8>,
    /// The part of the buffer that was checked and not handed out.
    ready: std::ops::Range<usize>,
    /// How many bytes were handed out, those of the tail included.
    delivered: u64,
    /// How many bytes had been handed out when the current row began.
    row_start: u64,
    /// How many bytes a row may have. An unclosed quotation mark makes a row of the rest of a file, which
    /// may not fit in memory.
    longest_row: u64,
    /// How many line feeds were checked.
    line_feeds: usize,
    /// The length of the file without its byte-order mark, once its end was reached.
    length: Option<u64>,
    is_started: bool,
}

impl<R: Read> Utf8File<R> {
    pub fn new(source: R, tail: &'static [u8]) -> Self {
        let (buffer, ready) = (Vec::with_capacity(BUFFER), 0..0);
        Self {
            source,
            tail,
            buffer,
            ready,
            delivered: 0,
            row_start: 0,
            longest_row: LONGEST_ROW,
            line_feeds: 0,
            length: None,
            is_started: false,
        }
    }

    /// Says that a row begins at about the current position: a reader may be up to a buffer ahead.
    pub fn begin_row(&mut self) {
        self.row_start = self.delivered;
    }

    /// The length of the file without its byte-order mark, once its end was reached.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Where the tail ends, once the end of the file was reached.
    pub fn end(&self) -> Option<u64> {
        self.length.map(|length| length + self.tail.len() as u64)
    }

    /// Fills the buffer with checked bytes; leaves it empty at the end.
    fn refill(&mut self) -> io::Result<()> {
        // A character that the last buffer held only in part stays.
        self.buffer.drain(..self.ready.end);
        self.ready = 0..0;
        if self.length.is_some() {
            return Ok(());
        }
        let missing = BUFFER.saturating_sub(self.buffer.len()) as u64;
        let is_end = (&mut self.source).take(missing).read_to_end(&mut self.buffer)? < missing as usize;
        if !std::mem::replace(&mut self.is_started, true) && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        let valid = match std::str::from_utf8(&self.buffer) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() && !is_end => error.valid_up_to(),
            Err(error) => {
                let line = self.line_feeds + 1 + line_feeds(&self.buffer[..error.valid_up_to()]);
                return Err(io::Error::new(ErrorKind::InvalidData, NotUtf8 { line }));
            }
        };
        self.line_feeds += line_feeds(&self.buffer[..valid]);
        self.ready = 0..valid;
        if is_end {
            self.length = Some(self.delivered + valid as u64);
            self.buffer.extend(self.tail);
            self.ready.end += self.tail.len();
        }
        Ok(())
    }
}

fn line_feeds(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

impl<R: Read> Read for Utf8File<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.delivered - self.row_start > self.longest_row {
            return Err(io::Error::new(ErrorKind::InvalidData, LongRow));
        }
        while self.ready.is_empty() && self.length.is_none() {
            self.refill()?;
        }
        let count = out.len().min(self.ready.len());
        out[..count].copy_from_slice(&self.buffer[self.ready.start..][..count]);
        self.ready.start += count;
        self.delivered += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a few bytes per call, as a pipe does.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(self.1).min(self.0.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn the_bytes_match_the_file(text in "\\PC{0,40}", repeat in 1usize..5_000, step in 1usize..200) {
            let text = text.repeat(repeat);
            let text = text.trim_start_matches('\u{feff}');
            for mark in ["", "\u{feff}"] {
                let content = format!("{mark}{text}");
                let mut read = String::new();
                let mut file = Utf8File::new(Slow(content.as_bytes(), step), b"tail");
                file.read_to_string(&mut read).expect("reads");
                prop_assert_eq!(&read, &format!("{text}tail"));
                prop_assert_eq!(file.length(), Some(text.len() as u64));
                prop_assert_eq!(file.end(), Some(read.len() as u64));
            }
        }
    }

    #[test]
    fn a_row_has_a_bounded_length() {
        let mut file = Utf8File { longest_row: 10, ..Utf8File::new(&b"0123456789"[..], b"tail") };
        let mut bytes = [0; 6];
        for _ in 0..2 {
            file.read_exact(&mut bytes).expect("reads");
        }
        let error = file.read(&mut bytes).expect_err("is too long");
        assert!(error.get_ref().is_some_and(|error| error.is::<LongRow>()));
        file.begin_row();
        assert_eq!(file.read(&mut bytes).expect("reads"), 2);
    }

    #[test]
    fn the_line_of_an_invalid_byte_is_named() {
        let line = |content: &[u8]| {
            let error = io::copy(&mut Utf8File::new(content, b""), &mut io::sink()).expect_err("is not UTF-8");
            error.get_ref().and_then(|error| error.downcast_ref::<NotUtf8>()).expect("a line").line
        };
        assert_eq!(line(b"a\nb\n\xff\n"), 3);
        assert_eq!(line(b"a\n\xf0\x9f\x8e"), 2, "a character that the end of the file cuts");
        assert_eq!(line(b"\xff\xfea\0"), 1, "UTF-16");
        let long = ["a\n".repeat(BUFFER).as_bytes(), b"\xe9\n"].concat();
        assert_eq!(line(&long), BUFFER + 1);
    }
}

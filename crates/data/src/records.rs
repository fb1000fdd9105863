//! A file of separated values in pieces that end where a record ends.

use std::io::{ErrorKind, Read};

/// How many bytes a piece has, or as many more as its last record needs.
const PIECE: usize = 8 << 20;

/// The pieces of a file, without its first record, which is returned beside them.
pub(crate) struct Records<R> {
    source: R,
    /// What was read and not handed out: the begin of a record.
    rest: Vec<u8>,
    is_over: bool,
    separator: u8,
    piece: usize,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(source: R, separator: u8) -> Self {
        Self { source, rest: Vec::new(), is_over: false, separator, piece: PIECE }
    }

    /// The first record, its end of line with it.
    pub(crate) fn head(&mut self) -> std::io::Result<Vec<u8>> {
        let mut scanned = Scan::new(self.separator);
        loop {
            if let Some(end) = scanned.first_end(&self.rest) {
                return Ok(self.rest.drain(..end).collect());
            }
            if !self.fill(self.piece)? {
                return Ok(std::mem::take(&mut self.rest));
            }
        }
    }

    /// Whole records; none when there are no more.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut scanned = Scan::new(self.separator);
        loop {
            let more = self.fill(self.piece)?;
            let end = if more { scanned.last_end(&self.rest) } else { Some(self.rest.len()) };
            if let Some(end) = end {
                let after = self.rest.split_off(end);
                let piece = std::mem::replace(&mut self.rest, after);
                return Ok((!piece.is_empty()).then_some(piece));
            }
        }
    }

    /// Reads more; false at the end of the file.
    fn fill(&mut self, count: usize) -> std::io::Result<bool> {
        let start = self.rest.len();
        self.rest.resize(start + count, 0);
        let mut end = start;
        while end < self.rest.len() && !self.is_over {
            match self.source.read(&mut self.rest[end..]) {
                Ok(0) => self.is_over = true,
                Ok(read) => end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.rest.truncate(end);
        Ok(!self.is_over)
    }
}

/// Where records end: at a line end that is not within quotes, which open at a field's begin only
/// (RFC 4180).
struct Scan {
    separator: u8,
    at: usize,
    within: Within,
    last_end: Option<usize>,
}

#[derive(Clone, Copy)]
enum Within {
    FieldStart,
    Field,
    Quotes,
    /// After a quote within quotes: it ends them, or is the first of two that stand for one.
    Quote,
}

impl Scan {
    fn new(separator: u8) -> Self {
        Self { separator, at: 0, within: Within::FieldStart, last_end: None }
    }

    fn first_end(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.at < bytes.len() && self.last_end.is_none() {
            self.step(bytes[self.at]);
        }
        self.last_end
    }

    fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes[self.at..].iter().for_each(|&byte| self.step(byte));
        self.last_end
    }

    fn step(&mut self, byte: u8) {
        self.at += 1;
        self.within = match (self.within, byte) {
            (Within::Quotes, b'"') => Within::Quote,
            (Within::Quotes, _) | (Within::FieldStart | Within::Quote, b'"') => Within::Quotes,
            (_, b'\n') => {
                self.last_end = Some(self.at);
                Within::FieldStart
            }
            (_, byte) if byte == self.separator => Within::FieldStart,
            _ => Within::Field,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &[u8]) -> Vec<csv::ByteRecord> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        reader.byte_records().map(|record| record.expect("parses")).collect()
    }

    proptest! {
        #[test]
        fn pieces_make_up_the_file_and_parse_alike(
            text in r#"([a-z,]|"|\n|"x\n""y"|,"\n","){0,60}"#, piece in 1usize..20,
        ) {
            let mut records = Records { piece, ..Records::new(text.as_bytes(), b',') };
            let mut pieces = vec![records.head().expect("reads")];
            while let Some(piece) = records.next().expect("reads") {
                pieces.push(piece);
            }
            let by_piece: Vec<_> = pieces.iter().flat_map(|piece| parsed(piece)).collect();
            prop_assert_eq!(by_piece, parsed(text.as_bytes()));
            prop_assert_eq!(pieces.concat(), text.into_bytes());
        }
    }
}

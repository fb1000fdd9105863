//! Files of word vectors, as word2vec and GloVe write them: as text or, by word2vec, in binary form.
//!
//! Our own reader: the crate finalfusion holds a whole file in memory, and of the millions of words in published files a
//! model needs those of its vocabulary.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::{DataError, open_file};

/// The maximum number of bytes of a word, and of a line of text.
const LONGEST_WORD: u64 = 1 << 12;
const LONGEST_LINE: u64 = 1 << 20;
/// The maximum number of dimensions.
const MOST_DIMENSIONS: usize = 4_096;

/// Vectors of some words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorFile {
    /// The number of dimensions of each vector.
    pub dimensions: usize,
    /// The words, in the order of the file, most frequent first in published files.
    pub words: Vec<String>,
    /// The vectors of the words, one after the other.
    pub values: Vec<f32>,
}

impl VectorFile {
    /// Reads the vectors of the first `first` words and of all that `wanted` names. A word that occurs again is left out.
    ///
    /// # Errors
    ///
    /// [`DataError`], naming the file and the line or the word, if the file cannot be read, is not one of word vectors,
    /// or a value is not a finite number.
    pub fn read(path: &Path, first: usize, wanted: impl Fn(&str) -> bool) -> Result<Self, DataError> {
        let source = BufReader::with_capacity(1 << 20, open_file(path)?);
        let mut reader = Reader { path: path.into(), source, line: 0 };
        let mut kept = Self::default();
        let mut seen = HashSet::new();
        let mut number = 0;
        reader.each(&mut |word, vector| {
            let is_kept = (number < first || wanted(word)) && seen.insert(word.to_owned());
            number += 1;
            kept.dimensions = vector.len();
            if is_kept {
                kept.words.push(word.into());
                kept.values.extend_from_slice(vector);
            }
        })?;
        Ok(kept)
    }
}

struct Reader<R> {
    path: PathBuf,
    source: R,
    /// The number of the line that was read last, from 1.
    line: usize,
}

impl<R: BufRead> Reader<R> {
    fn each(&mut self, on_word: &mut dyn FnMut(&str, &[f32])) -> Result<(), DataError> {
        let Some(first) = self.line()? else { return Err(DataError::NoRows { path: self.path.clone() }) };
        let header: Vec<usize> = first.split_ascii_whitespace().map_while(|part| part.parse().ok()).collect();
        let fields = first.split_ascii_whitespace().count();
        match header.as_slice() {
            // GloVe's files have no header; a word may be a number, but no vector has one dimension.
            &[words, dimensions] if fields == 2 => {
                if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
                    return Err(self.malformed(format!("its vectors have {dimensions} dimensions")));
                }
                if self.is_text(dimensions)? {
                    self.each_line(dimensions, on_word)
                } else {
                    self.each_binary(words, dimensions, on_word)
                }
            }
            _ => {
                let dimensions = fields.saturating_sub(1);
                if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
                    return Err(self.malformed("its first line is not a word and its vector".into()));
                }
                self.of_line(&first, dimensions, on_word)?;
                self.each_line(dimensions, on_word)
            }
        }
    }

    /// Whether what follows the header is a line of text: a word and numbers. The buffer is long enough for any.
    fn is_text(&mut self, dimensions: usize) -> Result<bool, DataError> {
        let path = self.path.clone();
        let buffer = self.source.fill_buf().map_err(|source| DataError::Io { path, source })?;
        let line = buffer.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let numbers = std::str::from_utf8(line).ok().map(|line| numbers(line, dimensions));
        Ok(numbers.flatten().is_some())
    }

    fn each_line(&mut self, dimensions: usize, on_word: &mut dyn FnMut(&str, &[f32])) -> Result<(), DataError> {
        while let Some(line) = self.line()? {
            if !line.trim().is_empty() {
                self.of_line(&line, dimensions, on_word)?;
            }
        }
        Ok(())
    }

    fn of_line(&self, line: &str, dimensions: usize, on_word: &mut dyn FnMut(&str, &[f32])) -> Result<(), DataError> {
        let Some((word, vector)) = numbers(line, dimensions) else {
            return Err(self.malformed(format!("line {} is not a word and {dimensions} numbers", self.line)));
        };
        if !vector.iter().all(|value| value.is_finite()) {
            return Err(self.malformed(format!("line {} has a value that is not a finite number", self.line)));
        }
        on_word(word, &vector);
        Ok(())
    }

    fn each_binary(
        &mut self,
        words: usize,
        dimensions: usize,
        on_word: &mut dyn FnMut(&str, &[f32]),
    ) -> Result<(), DataError> {
        let mut bytes = vec![0; dimensions * size_of::<f32>()];
        for number in 1..=words {
            let mut word = Vec::new();
            let io = |source| DataError::Io { path: self.path.clone(), source };
            self.source.by_ref().take(LONGEST_WORD).read_until(b' ', &mut word).map_err(io)?;
            if word.pop() != Some(b' ') {
                return Err(self.malformed(format!("it ends before word {number} of {words}, or is not word2vec's")));
            }
            // Some programs end each vector with a line end.
            let word = word.strip_prefix(b"\n").unwrap_or(&word).to_vec();
            self.source
                .read_exact(&mut bytes)
                .map_err(|_| self.malformed(format!("it ends in the vector of word {number} of {words}")))?;
            let vector: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            if !vector.iter().all(|value| value.is_finite()) {
                return Err(
                    self.malformed(format!("the vector of word {number} has a value that is not a finite number"))
                );
            }
            // Published files have words that are not UTF-8; no vocabulary has them.
            if let Ok(word) = String::from_utf8(word) {
                on_word(&word, &vector);
            }
        }
        Ok(())
    }

    fn line(&mut self) -> Result<Option<String>, DataError> {
        let mut bytes = Vec::new();
        let mut limited = self.source.by_ref().take(LONGEST_LINE);
        let count = limited
            .read_until(b'\n', &mut bytes)
            .map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        self.line += 1;
        if count as u64 == LONGEST_LINE {
            return Err(self.malformed(format!("line {} is longer than 1 MiB", self.line)));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| DataError::NotUtf8 { path: self.path.clone(), line: self.line })?;
        Ok((count > 0).then_some(text))
    }

    fn malformed(&self, message: String) -> DataError {
        DataError::Malformed { path: self.path.clone(), format: "word vectors of word2vec or GloVe", message }
    }
}

/// The word of a line, which may contain spaces, and its numbers.
fn numbers(line: &str, dimensions: usize) -> Option<(&str, Vec<f32>)> {
    let line = line.trim_end();
    let mut parts = line.rsplitn(dimensions + 1, [' ', '\t']);
    let mut vector = parts.by_ref().take(dimensions).map(|part| part.parse().ok()).collect::<Option<Vec<f32>>>()?;
    vector.reverse();
    let word = parts.next().filter(|word| !word.is_empty() && vector.len() == dimensions)?;
    Some((word, vector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(content: &[u8]) -> Result<VectorFile, DataError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("vectors");
        std::fs::write(&path, content).expect("writes");
        VectorFile::read(&path, 2, |word| word == "c")
    }

    #[test]
    fn text_and_binary_files_hold_the_same() {
        let glove = "a 1 2 -0.5\nb 0 0 1e-3\nx 9 9 9\nc 4 5 6\na 7 7 7\n";
        let expected = VectorFile {
            dimensions: 3,
            words: ["a", "b", "c"].map(String::from).to_vec(),
            values: vec![1.0, 2.0, -0.5, 0.0, 0.0, 1e-3, 4.0, 5.0, 6.0],
        };
        assert_eq!(read(glove.as_bytes()).expect("reads"), expected);
        assert_eq!(read(format!("5 3\n{glove}").as_bytes()).expect("reads"), expected);
        assert_eq!(read(format!("5 3\n{}", glove.replace('\n', " \r\n")).as_bytes()).expect("reads"), expected);
        // struct.pack in Python: word2vec's own program ends vectors with a line end, gensim does not.
        for end in ["", "\n"] {
            let mut binary = b"4 3\n".to_vec();
            for (word, vector) in
                [("a", [1.0, 2.0, -0.5]), ("b", [0.0, 0.0, 1e-3]), ("x", [9.0; 3]), ("c", [4.0, 5.0, 6.0])]
            {
                binary.extend(format!("{word} ").bytes());
                binary.extend(vector.iter().flat_map(|value: &f32| value.to_le_bytes()));
                binary.extend(end.bytes());
            }
            assert_eq!(read(&binary).expect("reads"), expected);
        }
        let spaces = read(b"2 2\n. . 1 2\nat home 3 4\n").expect("reads");
        assert_eq!(spaces.words, [". .", "at home"]);
    }

    #[test]
    fn bad_files_name_what_is_wrong() {
        let error = |content: &[u8]| read(content).expect_err("is refused").to_string();
        assert!(error(b"").contains("no rows"));
        assert!(error(b"word\n").contains("first line"));
        assert!(error(b"a 1 2\nb 1\n").contains("line 2 is not a word and 2 numbers"), "{}", error(b"a 1 2\nb 1\n"));
        assert!(error(b"a 1 NaN\n").contains("line 1 has a value that is not a finite number"));
        assert!(error(b"2 99999\n").contains("99999 dimensions"));
        assert!(error(b"3 2\na \x00\x00\x80\x3f\x00\x00").contains("it ends in the vector of word 1 of 3"));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..200), header: bool) {
            let content = if header { [b"3 2\n".as_slice(), &content].concat() } else { content };
            let _ = read(&content);
        }
    }
}

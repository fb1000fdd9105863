//! CoNLL files: one word per line, in columns, and a blank line after each sentence.
//!
//! Our own reader: the crates that read CoNLL-U turn tags into an enum and features into a map, so a file that they
//! write is not the one that they read.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{DataError, open_file};

/// The names of the columns of CoNLL-U (Universal Dependencies, version 2).
const CONLLU: [&str; 10] = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"];
/// The largest file that is read, in bytes. It is held in memory, because it may be written again with other tags.
const MOST_BYTES: u64 = 1 << 30;

/// A file of sentences, with the columns of each word. It is kept as it is, with its comments, multi-word tokens and
/// empty nodes, and can be written again with another column.
#[derive(Clone, Debug)]
pub struct ConllFile {
    path: PathBuf,
    text: String,
    separator: Separator,
    /// The number of columns.
    columns: usize,
    is_conllu: bool,
    words: Vec<Word>,
    /// The words of each sentence.
    sentences: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    Tab,
    Spaces,
}

#[derive(Clone, Debug)]
struct Word {
    /// The number of its line, from 1.
    line: usize,
    /// Its line in the text, without the end of the line.
    range: Range<usize>,
}

impl ConllFile {
    /// Reads a file. It is CoNLL-U if its first word has a number and nine more columns, separated by tabs; otherwise
    /// its first column holds the words.
    ///
    /// # Errors
    ///
    /// [`DataError`], naming the file and the line.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io { path: path.into(), source };
        let file = open_file(path)?;
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(DataError::Malformed {
                path: path.into(),
                format: "CoNLL",
                message: "it has more than 1 GiB; split it".into(),
            });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            DataError::NotUtf8 { path: path.into(), line: before.iter().filter(|&&byte| byte == b'\n').count() + 1 }
        })?;
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: String) -> Result<Self, DataError> {
        if text.contains('\r') && !text.contains('\n') {
            return Err(DataError::CarriageReturns { path: path.into() });
        }
        let mut file = Self {
            path: path.into(),
            text: String::new(),
            separator: Separator::Tab,
            columns: 0,
            is_conllu: false,
            words: Vec::new(),
            sentences: Vec::new(),
        };
        let begins = |line: &&str| !line.starts_with('#') && !line.trim().is_empty();
        if let Some(line) = text.lines().map(|line| line.trim_start_matches('\u{feff}')).find(begins) {
            file.separator = if line.contains('\t') { Separator::Tab } else { Separator::Spaces };
            file.columns = file.split(line).count();
            let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let id = line.split('\t').next().unwrap_or_default();
            file.is_conllu =
                file.separator == Separator::Tab && file.columns == CONLLU.len() && id.split(['-', '.']).all(is_number);
        }
        let (mut at, mut first) = (if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }, 0);
        for (line, with_end) in (1..).zip(text[at..].split_inclusive('\n')) {
            let content = with_end.trim_end_matches(['\n', '\r']);
            let range = at..at + content.len();
            at += with_end.len();
            if content.trim().is_empty() {
                file.end_sentence(&mut first);
            } else if !file.is_comment(content) {
                file.add_line(content, range, line)?;
            }
        }
        file.end_sentence(&mut first);
        if file.words.is_empty() {
            return Err(DataError::NoRows { path: path.into() });
        }
        file.text = text;
        Ok(file)
    }

    fn end_sentence(&mut self, first: &mut usize) {
        if self.words.len() > *first {
            self.sentences.push(*first..self.words.len());
            *first = self.words.len();
        }
    }

    fn add_line(&mut self, content: &str, range: Range<usize>, line: usize) -> Result<(), DataError> {
        let found = self.split(content).count();
        // The mark of a new document, in the files of CoNLL-2003.
        if content.starts_with("-DOCSTART-") {
            return Ok(());
        }
        if found != self.columns || found < 2 {
            let (path, expected) = (self.path.clone(), self.columns.max(2));
            return Err(DataError::Columns { path, line, found, expected });
        }
        if self.is_conllu && self.split(content).next().is_some_and(|id| id.contains(['-', '.'])) {
            return Ok(());
        }
        self.words.push(Word { line, range });
        Ok(())
    }

    /// Outside of CoNLL-U a word may begin as a comment does: a line with all columns is a word, unless its columns are
    /// separated by tabs and a space follows the mark.
    fn is_comment(&self, line: &str) -> bool {
        let is_word = || {
            let may_be = self.separator == Separator::Spaces || !line.starts_with("# ");
            may_be && self.split(line).count() == self.columns
        };
        line.starts_with('#') && (self.is_conllu || !is_word())
    }

    fn split<'a>(&self, line: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self.separator {
            Separator::Tab => Box::new(line.split('\t')),
            Separator::Spaces => Box::new(line.split_ascii_whitespace()),
        }
    }

    /// The words of each sentence, by their index.
    pub fn sentences(&self) -> &[Range<usize>] {
        &self.sentences
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are no words. A file without words is not read.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The number of the line of a word, from 1.
    pub fn line(&self, word: usize) -> usize {
        self.words[word].line
    }

    /// A word as it is written.
    pub fn form(&self, word: usize) -> &str {
        self.value(word, usize::from(self.is_conllu))
    }

    /// The value of a column at a word.
    ///
    /// # Panics
    ///
    /// If there is no such word or column.
    pub fn value(&self, word: usize, column: usize) -> &str {
        assert!(column < self.columns, "there is no column {column}");
        self.split(&self.text[self.words[word].range.clone()]).nth(column).unwrap_or_default()
    }

    /// The index of a column, by its name in CoNLL-U or its number from 1. Without a name it is the column of the
    /// universal parts of speech in CoNLL-U, and the last one otherwise.
    ///
    /// # Errors
    ///
    /// [`DataError::NoColumn`].
    pub fn column(&self, name: Option<&str>) -> Result<usize, DataError> {
        let Some(name) = name else {
            return Ok(if self.is_conllu { 3 } else { self.columns - 1 });
        };
        let by_name = CONLLU.iter().position(|known| self.is_conllu && known.eq_ignore_ascii_case(name));
        let by_number = name.parse().ok().filter(|number| (1..=self.columns).contains(number)).map(|number| number - 1);
        by_name.or(by_number).ok_or_else(|| {
            let names = CONLLU.iter().map(|name| (*name).to_owned());
            let numbers = (1..=self.columns).map(|number| number.to_string());
            DataError::NoColumn {
                path: self.path.clone(),
                column: name.into(),
                columns: if self.is_conllu { names.collect() } else { numbers.collect() },
                role: crate::ColumnRole::Label,
            }
        })
    }

    /// The file with other values in a column, one for each word. Everything else stays as it is, down to the ends of
    /// the lines. A value must not be empty, nor contain what separates columns or lines.
    ///
    /// # Panics
    ///
    /// If there is not one value for each word, or there is no such column.
    pub fn with_column<T: AsRef<str>>(&self, column: usize, values: &[T]) -> String {
        assert_eq!(values.len(), self.words.len(), "every word has a value");
        assert!(column < self.columns, "there is no column {column}");
        let (mut text, mut written) = (String::with_capacity(self.text.len()), 0);
        for (word, value) in self.words.iter().zip(values) {
            let line = &self.text[word.range.clone()];
            let old = self.split(line).nth(column).unwrap_or_default();
            // `old` is a part of `line`.
            let start = word.range.start + (old.as_ptr() as usize - line.as_ptr() as usize);
            text.push_str(&self.text[written..start]);
            text.push_str(value.as_ref());
            written = start + old.len();
        }
        text.push_str(&self.text[written..]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONLLU_TEXT: &str = "# sent_id = 1\n# text = I can't.\n1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n\
        2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_\n\
        3\tn't\tnot\tPART\tRB\tPolarity=Neg\t2\tadvmod\t_\t_\n3.1\tgo\tgo\tVERB\t_\t_\t_\t_\t2:x\t_\n\
        4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_\n\n\n# no words\n\n1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_\n";

    fn parse(text: &str) -> Result<ConllFile, DataError> {
        ConllFile::parse(Path::new("a.conllu"), text.into())
    }

    #[test]
    fn words_are_read_and_everything_else_is_kept() {
        let file = parse(CONLLU_TEXT).expect("reads");
        assert_eq!(file.sentences(), [0..4, 4..5]);
        let forms: Vec<&str> = (0..file.len()).map(|word| file.form(word)).collect();
        assert_eq!(forms, ["I", "ca", "n't", ".", "Yes"]);
        let upos = file.column(None).expect("a column");
        assert_eq!((file.value(2, upos), file.line(2)), ("PART", 6));
        assert_eq!(file.value(2, file.column(Some("FEATS")).expect("a column")), "Polarity=Neg");
        assert_eq!(file.column(Some("4")).expect("a column"), upos);
        let tags: Vec<&str> = (0..file.len()).map(|word| file.value(word, upos)).collect();
        assert_eq!(file.with_column(upos, &tags), CONLLU_TEXT);
        let changed = file.with_column(upos, &["X"; 5]);
        assert!(changed.contains("\n3\tn't\tnot\tX\tRB\tPolarity=Neg\t") && changed.contains("3.1\tgo\tgo\tVERB"));
        let message = file.column(Some("tag")).expect_err("no column").to_string();
        assert!(message.contains("\"tag\"") && message.contains("upos"), "{message}");
    }

    #[test]
    fn windows_files_and_byte_order_marks_are_kept() {
        let windows = format!("\u{feff}{}", CONLLU_TEXT.replace('\n', "\r\n"));
        let file = parse(&windows).expect("reads");
        assert_eq!(file.sentences(), [0..4, 4..5]);
        assert_eq!(file.value(4, 9), "_");
        let tags: Vec<&str> = (0..file.len()).map(|word| file.value(word, 3)).collect();
        assert_eq!(file.with_column(3, &tags), windows);
    }

    #[test]
    fn columns_of_other_files_are_the_word_and_the_tag() {
        let file = parse("#tag\tB-x\n# a comment\nno\tO\n\n\ngo\tO").expect("reads");
        assert_eq!(file.sentences(), [0..2, 2..3]);
        let file = parse("-DOCSTART- -X- -X- O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n").expect("reads");
        assert_eq!((file.form(0), file.value(0, file.column(None).expect("a column"))), ("EU", "B-ORG"));
        assert_eq!(file.with_column(3, &["O", "O"]), "-DOCSTART- -X- -X- O\n\nEU NNP I-NP O\nrejects VBZ I-VP O\n");
    }

    #[test]
    fn words_that_look_like_comments_or_numbers_are_words() {
        let file = parse("# # B-NP\n10 CD I-NP\n# Comment\n").expect("reads");
        assert_eq!((file.form(0), file.form(1), file.len()), ("#", "10", 2));
        let ten = "U.S.\tb\tc\td\te\tf\tg\th\ti\tO\nwell-known\tb\tc\td\te\tf\tg\th\ti\tO\n";
        let file = parse(ten).expect("reads");
        assert_eq!((file.form(0), file.form(1), file.value(0, 9)), ("U.S.", "well-known", "O"));
    }

    #[test]
    fn bad_files_name_the_line() {
        let message = |text: &str| parse(text).expect_err("is refused").to_string();
        assert!(message("a\tO\nb\n").contains("line 2 has 1 column where 2 are expected"), "{}", message("a\tO\nb\n"));
        assert!(message("").contains("no rows"));
        assert!(message("# only a comment\n\n").contains("no rows"));
        assert!(message("word\nword\n").contains("line 1"));
        assert!(message("a\tO\rb\tO\r").contains("carriage return"));
    }

    #[test]
    fn a_long_sentence_is_read() {
        let text = "word\tO\n".repeat(100_000);
        let file = parse(&text).expect("reads");
        assert_eq!((file.sentences().len(), file.len()), (1, 100_000));
    }
}

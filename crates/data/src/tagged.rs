//! Sentences whose words have tags, and data sets of them.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::choose;
use crate::{ConllFile, DataError};

/// The share of the sentences that become the test split if no test file is given.
const TEST_FRACTION: f64 = 0.2;
/// A column with more tags than this may have further ones in other files, such as rare combinations of morphological
/// features; a column with fewer has a tag that is not known because of a mistake.
const CLOSED: usize = 100;

/// Sentences, given by their words, each with the index of its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedSentences {
    /// The words of each sentence.
    pub sentences: Vec<Vec<String>>,
    /// For each word the index of its tag in [`TaggedDataset::labels`]; none for a tag that the training split does not
    /// have.
    pub tags: Vec<Vec<Option<usize>>>,
}

impl TaggedSentences {
    /// The number of sentences.
    pub fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Whether there are no sentences.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// The number of words.
    pub fn words(&self) -> usize {
        self.sentences.iter().map(Vec::len).sum()
    }

    /// The shortest sentences of more than four words, to show as examples.
    pub fn shortest(&self, count: usize) -> Vec<&[String]> {
        let several = self.sentences.iter().map(Vec::as_slice).filter(|words| words.len() > 4);
        let mut several: Vec<&[String]> = several.collect();
        several.sort_by_key(|words| words.len());
        several.truncate(count);
        several
    }

    /// The sentences whose entry in `is_chosen` is true, and the others.
    fn part(self, is_chosen: &[bool]) -> (Self, Self) {
        let (mut chosen, mut others) = (Self::default(), Self::default());
        for ((sentence, tags), &is_chosen) in self.sentences.into_iter().zip(self.tags).zip(is_chosen) {
            let part = if is_chosen { &mut chosen } else { &mut others };
            part.sentences.push(sentence);
            part.tags.push(tags);
        }
        (chosen, others)
    }
}

/// A data set of tagged sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedDataset {
    /// The path of the training file, or the name of a known set.
    pub name: String,
    /// The names of the tags, in alphabetical order.
    pub labels: Vec<String>,
    /// The training split.
    pub train: TaggedSentences,
    /// The validation split, by which the best epoch is chosen.
    pub validation: TaggedSentences,
    /// The test split, which is read once, at the end.
    pub test: TaggedSentences,
}

impl TaggedDataset {
    /// A digest of every word and tag, in order.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.labels.iter().for_each(|label| add(label.as_bytes()));
        for split in [&self.train, &self.validation, &self.test] {
            add(&(split.len() as u64).to_le_bytes());
            for (words, tags) in split.sentences.iter().zip(&split.tags) {
                add(&(words.len() as u64).to_le_bytes());
                for (word, tag) in words.iter().zip(tags) {
                    add(word.as_bytes());
                    add(&tag.map_or(u64::MAX, |tag| tag as u64).to_le_bytes());
                }
            }
        }
        format!("sha256:{}", hex::encode(hash.finalize()))
    }
}

/// Files of tagged sentences: CoNLL-U, or other files of one word per line with a tag in one of its columns.
#[derive(Clone, Debug)]
pub struct TaggedFiles {
    /// The training split.
    pub train: PathBuf,
    /// The validation split; if there is none, it is cut from the training split.
    pub validation: Option<PathBuf>,
    /// The test split; if there is none, it is cut from the training split.
    pub test: Option<PathBuf>,
    /// The column of the tags; see [`ConllFile::column`].
    pub column: Option<String>,
}

impl TaggedFiles {
    /// The files as a data set. Its tags are those of the training and validation splits. Sentences for other splits are
    /// chosen by `seed`; `validation_fraction` of the training split is for validation.
    ///
    /// # Errors
    ///
    /// As [`ConllFile::read`] and [`ConllFile::column`]; [`DataError::OneLabel`]; [`DataError::TooManyLabels`] where
    /// most words have a tag of their own; [`DataError::TooFewSentences`];
    /// [`DataError::UnknownTag`] for a tag that only the test split has, unless there are so many tags that others
    /// are to be expected.
    pub fn dataset(&self, validation_fraction: f64, seed: u64) -> Result<TaggedDataset, DataError> {
        let column = self.column.as_deref();
        let train = Column::read(&self.train, column)?;
        let validation = self.validation.as_deref().map(|path| Column::read(path, column)).transpose()?;
        let tags: BTreeSet<&str> = train.tags().chain(validation.iter().flat_map(Column::tags)).collect();
        let labels: Vec<String> = tags.into_iter().map(str::to_owned).collect();
        if let [label] = labels.as_slice() {
            return Err(DataError::OneLabel { path: self.train.clone(), label: label.clone() });
        }
        if labels.len() > CLOSED && labels.len() > train.file.len() / 2 {
            let (path, column) = (self.train.clone(), train.name());
            return Err(DataError::TooManyLabels { path, column, labels: labels.len(), rows: train.file.len() });
        }
        let test = self.test.as_deref().map(|path| Column::read(path, column)?.sentences(&labels)).transpose()?;
        let validation = validation.map(|validation| validation.sentences(&labels)).transpose()?;
        let (train, test) = cut(train.sentences(&labels)?, test, &self.train, TEST_FRACTION, "testing", seed)?;
        let (train, validation) = cut(train, validation, &self.train, validation_fraction, "validation", seed)?;
        Ok(TaggedDataset { name: self.train.display().to_string(), labels, train, validation, test })
    }

    /// The sentences of a file for a model that knows `labels`.
    ///
    /// # Errors
    ///
    /// As [`dataset`](Self::dataset).
    pub fn sentences(path: &Path, column: Option<&str>, labels: &[String]) -> Result<TaggedSentences, DataError> {
        Column::read(path, column)?.sentences(labels)
    }
}

/// A split, and the one that is cut from it unless it is given.
fn cut(
    sentences: TaggedSentences,
    other: Option<TaggedSentences>,
    path: &Path,
    fraction: f64,
    purpose: &'static str,
    seed: u64,
) -> Result<(TaggedSentences, TaggedSentences), DataError> {
    if let Some(other) = other {
        return Ok((sentences, other));
    }
    if sentences.len() < 2 {
        return Err(DataError::TooFewSentences { name: path.display().to_string(), count: sentences.len(), purpose });
    }
    let is_chosen = choose(sentences.len(), fraction, seed);
    let (cut, rest) = sentences.part(&is_chosen);
    Ok((rest, cut))
}

/// A column of a file.
struct Column {
    path: PathBuf,
    file: ConllFile,
    column: usize,
}

impl Column {
    fn read(path: &Path, name: Option<&str>) -> Result<Self, DataError> {
        let file = ConllFile::read(path)?;
        let column = file.column(name)?;
        let column = Self { path: path.into(), file, column };
        column.warn_of_spans();
        Ok(column)
    }

    fn name(&self) -> String {
        (self.column + 1).to_string()
    }

    /// The tag of each word.
    fn tags(&self) -> impl Iterator<Item = &str> {
        (0..self.file.len()).map(|word| self.file.value(word, self.column))
    }

    fn sentences(&self, labels: &[String]) -> Result<TaggedSentences, DataError> {
        let numbers: HashMap<&str, usize> = labels.iter().map(String::as_str).zip(0..).collect();
        let mut unknown: Option<(usize, usize)> = None;
        let mut number = |word: usize| {
            let tag = self.file.value(word, self.column);
            let number = numbers.get(tag).copied();
            if number.is_none() {
                let line = self.file.line(word);
                if labels.len() <= CLOSED {
                    let (path, tag) = (self.path.clone(), tag.to_owned());
                    return Err(DataError::UnknownTag { path, line, tag, known: labels.to_vec() });
                }
                unknown = Some(unknown.map_or((1, line), |(count, first)| (count + 1, first)));
            }
            Ok(number)
        };
        let mut found = TaggedSentences::default();
        for words in self.file.sentences() {
            found.sentences.push(words.clone().map(|word| self.file.form(word).to_owned()).collect());
            found.tags.push(words.clone().map(&mut number).collect::<Result<_, _>>()?);
        }
        if let Some((count, line)) = unknown {
            let words = if count == 1 { "word has a tag" } else { "words have tags" };
            log::warn!(
                "{}: {count} {words} that the training split does not have (the first is in line {line}); \
                 no model can predict them",
                self.path.display()
            );
        }
        Ok(found)
    }

    /// Warns of spans that go on where none has begun. They are read as conlleval reads them.
    fn warn_of_spans(&self) {
        let (mut count, mut first) = (0, 0);
        for words in self.file.sentences() {
            let mut before = "O";
            for word in words.clone() {
                let tag = self.file.value(word, self.column);
                let kind = |tag: &'_ str| tag.split_once('-').map(|(_, kind)| kind.to_owned());
                let goes_on = tag.starts_with("I-") || tag.starts_with("E-");
                let is_begun = (before.starts_with("B-") || before.starts_with("I-")) && kind(before) == kind(tag);
                if goes_on && !is_begun {
                    (count, first) = (count + 1, if count == 0 { self.file.line(word) } else { first });
                }
                before = tag;
            }
        }
        if count > 0 {
            let spans = if count == 1 { "span begins" } else { "spans begin" };
            log::warn!(
                "{}: {count} {spans} with I or E instead of B (the first in line {first}); they are read as spans, \
                 as conlleval does",
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("writes");
        path
    }

    #[test]
    fn files_become_splits() {
        let folder = tempfile::tempdir().expect("a folder");
        let train = write(folder.path(), "train.txt", "a\tX\nb\tY\n\nc\tX\n\nd\tZ\n");
        let test = write(folder.path(), "test.txt", "a\tZ\n");
        let files = |test: Option<PathBuf>| TaggedFiles { train: train.clone(), validation: None, test, column: None };
        let dataset = files(Some(test)).dataset(0.1, 0).expect("reads");
        assert_eq!(dataset.labels, ["X", "Y", "Z"]);
        assert_eq!((dataset.train.len(), dataset.validation.len(), dataset.test.len()), (2, 1, 1));
        assert_eq!(dataset.test.tags, [[Some(2)]]);
        let cut = files(None).dataset(0.1, 0).expect("reads");
        assert_eq!((cut.train.len(), cut.validation.len(), cut.test.len()), (1, 1, 1));
        assert_ne!(cut.fingerprint(), dataset.fingerprint());
        let other = write(folder.path(), "other.txt", "a\tX\nb\tQ\n");
        let error = files(Some(other)).dataset(0.1, 0).expect_err("an unknown tag").to_string();
        assert!(error.contains("other.txt: line 2 has the unknown tag \"Q\" (known: X, Y, Z)"), "{error}");
    }

    #[test]
    fn a_file_with_one_tag_or_one_sentence_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = |text: &str| {
            let train = write(folder.path(), "a.txt", text);
            let files = TaggedFiles { train, validation: None, test: None, column: None };
            files.dataset(0.1, 0).expect_err("is refused").to_string()
        };
        assert!(error("a\tX\n\nb\tX\n").contains("only one label, \"X\""));
        assert!(error("a\tX\nb\tY\n").contains("1 sentence"), "{}", error("a\tX\nb\tY\n"));
        let words: String = (0..300).map(|word| format!("w{word}\t{word}\n\n")).collect();
        assert!(error(&words).contains("does not look like a column of labels"));
    }

    #[test]
    fn rare_tags_of_many_may_be_missing_from_the_training_split() {
        let folder = tempfile::tempdir().expect("a folder");
        let words: String = (0..300).map(|word| format!("w\t{}\n\n", word % 140)).collect();
        let train = write(folder.path(), "a.txt", &words);
        let test = write(folder.path(), "b.txt", "w\t3\nw\tnew\n");
        let dataset = TaggedFiles { train, validation: None, test: Some(test), column: None }.dataset(0.1, 0);
        assert_eq!(dataset.expect("reads").test.tags[0][1], None);
    }
}

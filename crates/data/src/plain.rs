//! Data sets of plain texts, which language models are trained on.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::dataset::fingerprint;
use crate::{DataError, Dataset, Examples, Format, LabelMap, LabelledFile, TextList, choose, open_file, read_texts};

/// The share of a text file, or of the texts of a table, that becomes the test split if no test file is given.
const TEST_FRACTION: f64 = 0.1;
/// The maximum number of bytes of a text file, which is one text.
const MOST_BYTES: u64 = 1 << 30;

/// Texts in three splits.
#[derive(Clone, Debug, PartialEq)]
pub struct TextDataset {
    /// The name of a known set, or the file's path.
    pub name: String,
    /// The commit of the repository on the Hub that it was read from, if it comes from there.
    pub revision: Option<String>,
    /// The names of the labels; examples refer to them by index. There are none if texts have no labels.
    pub labels: Vec<String>,
    /// The training split.
    pub train: Examples,
    /// The split to choose the best epoch with.
    pub validation: Examples,
    /// The test split, which is read once, at the end.
    pub test: Examples,
    /// Whether each split is a part of one text, which does not end with it.
    pub is_one_text: bool,
}

impl TextDataset {
    /// The texts of a data set, with their labels. The validation split is cut from the training split as
    /// [`choose`] says.
    ///
    /// # Errors
    ///
    /// [`DataError::TooFew`] if there are fewer than two training texts.
    pub fn from_dataset(dataset: Dataset, validation_fraction: f64, seed: u64) -> Result<Self, DataError> {
        let Dataset { name, revision, labels, train, test } = dataset;
        let (train, validation) = cut(train, validation_fraction, seed, &name, "validation")?;
        Ok(Self { name, revision, labels, train, validation, test, is_one_text: false })
    }

    /// A digest of every text and label, in order.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] where the texts are on disk and cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        fingerprint(&self.labels, &[&self.train, &self.validation, &self.test])
    }
}

/// Files of plain texts: each is one text, or a table with a column of texts.
#[derive(Clone, Debug)]
pub struct TextFiles {
    /// The file with the training split. Unless its extension is that of a [`Format`], it is one text in UTF-8.
    pub path: PathBuf,
    /// The file of the validation split; if there is none, the split is cut from `path`: the start of a text, or some
    /// rows of a table.
    pub validation: Option<PathBuf>,
    /// The file of the test split; if there is none, it is a tenth of `path`: the end of a text, or some rows of a
    /// table.
    pub test: Option<PathBuf>,
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels, if texts have some.
    pub label_column: Option<String>,
    /// Whether quotation marks enclose fields; see [`ReadOptions::quotes`](crate::ReadOptions::quotes).
    pub quotes: bool,
}

impl TextFiles {
    /// The files as a data set. `validation_fraction` is the share of what is left for training.
    ///
    /// Of a text, the start is for validation and the end for testing, so that both border on what the model is trained
    /// on. If both were at the end, the test split would be further from the training text, and harder, than the split
    /// that settings are chosen with.
    ///
    /// # Errors
    ///
    /// [`DataError`], naming the file that cannot be read, or is too short to be split.
    pub fn dataset(&self, validation_fraction: f64, seed: u64) -> Result<TextDataset, DataError> {
        let name = self.path.display().to_string();
        if let Some(label_column) = &self.label_column {
            let file = LabelledFile {
                path: self.path.clone(),
                text_column: self.text_column.clone(),
                label_column: label_column.clone(),
                label_map: LabelMap::default(),
                quotes: self.quotes,
            };
            let dataset = file.dataset(self.test.as_deref(), seed)?;
            let Some(validation) = &self.validation else {
                return TextDataset::from_dataset(dataset, validation_fraction, seed);
            };
            let validation = LabelledFile { path: validation.clone(), ..file }.examples(&dataset.labels)?;
            let Dataset { name, revision, labels, train, test } = dataset;
            return Ok(TextDataset { name, revision, labels, train, validation, test, is_one_text: false });
        }
        let is_one_text = Format::from_path(&self.path).is_none();
        let all = self.read(&self.path)?;
        let (rest, test) = match &self.test {
            Some(path) => (all, self.read(path)?),
            None if is_one_text => cut_text(&all, 1.0 - TEST_FRACTION, &name, "testing")?,
            None => cut(all, TEST_FRACTION, seed, &name, "testing")?,
        };
        let (train, validation) = match &self.validation {
            Some(path) => (rest, self.read(path)?),
            None if is_one_text => {
                let (validation, train) = cut_text(&rest, validation_fraction, &name, "validation")?;
                (train, validation)
            }
            None => cut(rest, validation_fraction, seed, &name, "validation")?,
        };
        Ok(TextDataset { name, revision: None, labels: Vec::new(), train, validation, test, is_one_text })
    }

    /// The texts of a file.
    ///
    /// # Errors
    ///
    /// As [`dataset`](Self::dataset).
    pub fn read(&self, path: &Path) -> Result<Examples, DataError> {
        let texts = match Format::from_path(path) {
            Some(_) => read_texts(path, &self.text_column)?,
            None => std::iter::once(read_text(path)?).collect(),
        };
        Ok(unlabelled(texts))
    }
}

/// Reads a file as one text in UTF-8, without a byte-order mark.
fn read_text(path: &Path) -> Result<String, DataError> {
    let (mut bytes, file) = (Vec::new(), open_file(path)?);
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|source| DataError::Io { path: path.into(), source })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(DataError::LargeText { path: path.into() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        DataError::NotUtf8 { path: path.into(), line }
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(text) => Ok(text.into()),
        None => Ok(text),
    }
}

fn unlabelled(texts: TextList) -> Examples {
    Examples { labels: vec![0; texts.len()], texts }
}

/// Splits off some texts; returns the others and these.
fn cut(
    texts: Examples,
    fraction: f64,
    seed: u64,
    name: &str,
    purpose: &'static str,
) -> Result<(Examples, Examples), DataError> {
    if texts.len() < 2 {
        return Err(DataError::TooFew { name: name.into(), count: texts.len(), purpose });
    }
    let is_chosen = choose(texts.len(), fraction, seed);
    Ok((texts.part(|index| !is_chosen[index]), texts.part(|index| is_chosen[index])))
}

/// Splits the only text after this share of it, but leaves no part empty.
fn cut_text(
    texts: &Examples,
    share: f64,
    name: &str,
    purpose: &'static str,
) -> Result<(Examples, Examples), DataError> {
    let text = texts.texts.get(0)?;
    let at = (text.len() as f64 * share) as usize;
    let at = text.floor_char_boundary(at.max(1).min(text.len().saturating_sub(1)));
    let (start, end) = text.split_at(at);
    if start.is_empty() || end.is_empty() {
        return Err(DataError::ShortText { name: name.into(), purpose });
    }
    Ok((unlabelled(std::iter::once(start).collect()), unlabelled(std::iter::once(end).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(path: PathBuf) -> TextFiles {
        let (text_column, label_column) = ("text".into(), None);
        TextFiles { path, validation: None, test: None, text_column, label_column, quotes: true }
    }

    fn texts(examples: &Examples) -> String {
        examples.texts.to_vec().expect("reads").concat()
    }

    #[test]
    fn a_text_file_is_cut_at_both_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("play.txt");
        let text: String = (0..1_000).map(|at| if at % 3 == 0 { 'é' } else { 'a' }).collect();
        std::fs::write(&path, format!("\u{feff}{text}")).expect("writes");
        let dataset = files(path.clone()).dataset(0.2, 0).expect("a data set");
        let parts = [&dataset.validation, &dataset.train, &dataset.test].map(texts);
        assert_eq!(parts.concat(), text);
        assert!(dataset.is_one_text && parts[2].len().abs_diff(text.len() / 10) <= 2, "{}", parts[2].len());
        assert!(parts[0].len().abs_diff(text.len() * 9 / 50) <= 2);
        // With files of their own, nothing is cut.
        let own = TextFiles { validation: Some(path.clone()), test: Some(path.clone()), ..files(path.clone()) };
        assert_eq!(texts(&own.dataset(0.2, 0).expect("a data set").train), text);

        std::fs::write(&path, "a").expect("writes");
        let error = files(path.clone()).dataset(0.2, 0).expect_err("is too short").to_string();
        assert!(error.contains("too short") && error.contains("play.txt"), "{error}");
        std::fs::write(&path, b"a\nb\n\xff").expect("writes");
        let error = files(path).dataset(0.2, 0).expect_err("is no text").to_string();
        assert!(error.contains("line 3") && error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_table_is_cut_by_rows_and_may_have_labels() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        let rows: String = (0..50).map(|row| format!("text {row},{}\n", ["a", "b"][row % 2])).collect();
        std::fs::write(&path, format!("text,label\n{rows}")).expect("writes");
        let dataset = files(path.clone()).dataset(0.2, 0).expect("a data set");
        assert_eq!((dataset.train.len(), dataset.validation.len(), dataset.test.len()), (36, 9, 5));
        assert!(dataset.labels.is_empty() && !dataset.is_one_text);
        let labelled = TextFiles { label_column: Some("label".into()), ..files(path) };
        let dataset = labelled.dataset(0.2, 0).expect("a data set");
        assert_eq!((dataset.labels.join(" "), dataset.train.len()), ("a b".into(), 32));
    }
}

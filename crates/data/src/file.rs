//! A user's file as a data set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::dataset::collect;
use crate::{DataError, Dataset, Examples, ReadOptions, read_pieces};

/// The share of a file that becomes the test split if no test file is given.
const TEST_FRACTION: f64 = 0.2;
/// A column with more different values than this, most of them in a single row, holds no labels.
const PLAUSIBLE_LABELS: usize = 100;
/// With more labels than this, a warning is logged.
const MANY_LABELS: usize = 1_000;

/// Other names for labels: from the file's to the model's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap(BTreeMap<String, String>);

impl LabelMap {
    /// Reads entries of the form `FILE_LABEL=MODEL_LABEL`.
    ///
    /// # Errors
    ///
    /// [`DataError::LabelMap`] for an entry of another form.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, DataError> {
        let pair = |entry: &'a str| {
            let halves = entry.split_once('=').map(|(from, to)| (from.trim(), to.trim()));
            match halves.filter(|(from, to)| !from.is_empty() && !to.is_empty()) {
                Some((from, to)) => Ok((from.to_owned(), to.to_owned())),
                None => Err(DataError::LabelMap { entry: entry.into() }),
            }
        };
        Ok(Self(entries.into_iter().map(pair).collect::<Result<_, _>>()?))
    }

    fn apply<'a>(&'a self, label: &'a str) -> &'a str {
        self.0.get(label).map_or(label, String::as_str)
    }
}

/// A file with a text column and a label column.
#[derive(Clone, Debug)]
pub struct LabelledFile {
    /// The file. Its extension says whether it is CSV, TSV, Parquet or JSON Lines.
    pub path: PathBuf,
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels.
    pub label_column: String,
    /// Other names for labels.
    pub label_map: LabelMap,
    /// Whether quotation marks enclose fields; see [`ReadOptions::quotes`].
    pub quotes: bool,
}

impl LabelledFile {
    /// The file as a data set. Its labels are those that occur in the file, in alphabetical order. The
    /// test split is the file `test`, or else a fifth of the rows, chosen by `seed`.
    ///
    /// # Errors
    ///
    /// As [`read_pieces`]; [`DataError::OneLabel`]; [`DataError::TooManyLabels`] where most rows have a
    /// label of their own; [`DataError::TooFew`] where there are too few rows for a test split;
    /// [`DataError::UnknownLabel`] for a label that only `test` has; and [`DataError::UnusedLabelMap`]
    /// where the label map has a label that no row of either file has.
    pub fn dataset(&self, test: Option<&Path>, seed: u64) -> Result<Dataset, DataError> {
        // Labels are numbered as they occur, and renumbered in alphabetical order at the end.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut found = BTreeSet::new();
        let mut examples = self.read(&self.path, &mut found, |label, _| {
            let next = numbers.len();
            Ok(match numbers.get(label) {
                Some(&number) => number,
                None => *numbers.entry(label.to_owned()).or_insert(next),
            })
        })?;
        let mut numbered: Vec<(String, usize)> = numbers.into_iter().collect();
        numbered.sort_unstable();
        let mut renumbered = vec![0; numbered.len()];
        for (index, (_, number)) in numbered.iter().enumerate() {
            renumbered[*number] = index;
        }
        let labels: Vec<String> = numbered.into_iter().map(|(label, _)| label).collect();
        self.check_labels(&labels, examples.len())?;
        examples.labels.iter_mut().for_each(|label| *label = renumbered[*label]);
        let (train, test) = match test {
            Some(test) => {
                let test = self.read_known(test, &labels, &mut found)?;
                self.check_label_map(found)?;
                (examples, test)
            }
            None => {
                self.check_label_map(found)?;
                let count = examples.len();
                let name = || self.path.display().to_string();
                examples.cut(TEST_FRACTION, seed).map_err(|_| DataError::TooFew {
                    name: name(),
                    count,
                    purpose: "testing",
                })?
            }
        };
        Ok(Dataset { name: self.path.display().to_string(), revision: None, labels, train, test })
    }

    fn check_labels(&self, labels: &[String], rows: usize) -> Result<(), DataError> {
        let path = self.path.clone();
        if let [label] = labels {
            return Err(DataError::OneLabel { path, label: label.clone() });
        }
        if labels.len() > PLAUSIBLE_LABELS && labels.len() > rows / 2 {
            let column = self.label_column.clone();
            return Err(DataError::TooManyLabels { path, column, labels: labels.len(), rows });
        }
        if labels.len() > MANY_LABELS {
            let column = crate::brief::shortened(&self.label_column);
            log::warn!("{}: column {column:?} has {} different labels in {rows} rows", path.display(), labels.len());
        }
        Ok(())
    }

    /// The whole file as examples for a model that knows `labels`.
    ///
    /// # Errors
    ///
    /// As [`read_pieces`], [`DataError::UnknownLabel`], and [`DataError::UnusedLabelMap`] where the
    /// label map has a label that no row has.
    pub fn examples(&self, labels: &[String]) -> Result<Examples, DataError> {
        let mut found = BTreeSet::new();
        let examples = self.read_known(&self.path, labels, &mut found)?;
        self.check_label_map(found)?;
        Ok(examples)
    }

    /// Refuses a label map with a label that is not among those `found` in the file.
    fn check_label_map(&self, found: BTreeSet<String>) -> Result<(), DataError> {
        match self.label_map.0.iter().find(|(from, _)| !found.contains(*from)) {
            Some((from, to)) => Err(DataError::UnusedLabelMap {
                path: self.path.clone(),
                from: from.clone(),
                to: to.clone(),
                labels: found.into_iter().collect(),
            }),
            None => Ok(()),
        }
    }

    fn read_known(&self, path: &Path, labels: &[String], found: &mut BTreeSet<String>) -> Result<Examples, DataError> {
        let numbers: HashMap<&str, usize> = labels.iter().map(String::as_str).zip(0..).collect();
        self.read(path, found, |label, row| {
            numbers.get(label).copied().ok_or_else(|| DataError::UnknownLabel {
                path: path.into(),
                row,
                label: label.into(),
                known: labels.to_vec(),
            })
        })
    }

    /// Reads a file; `number` gives the index of a label, which is mapped already, in a row. If there
    /// is a label map, the labels of the file are added to `found`.
    fn read(
        &self,
        path: &Path,
        found: &mut BTreeSet<String>,
        mut number: impl FnMut(&str, usize) -> Result<usize, DataError>,
    ) -> Result<Examples, DataError> {
        let options =
            ReadOptions { quotes: self.quotes, ..ReadOptions::labelled(&self.text_column, &self.label_column) };
        let has_map = !self.label_map.0.is_empty();
        collect(read_pieces(path, &options)?, |label, row| {
            if has_map && !found.contains(label) {
                found.insert(label.to_owned());
            }
            number(self.label_map.apply(label), row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, rows: &str) -> LabelledFile {
        let path = folder.join(name);
        std::fs::write(&path, format!("text,label\n{rows}")).expect("writes");
        LabelledFile {
            path,
            text_column: "text".into(),
            label_column: "label".into(),
            label_map: LabelMap::parse(["Positive=pos"]).expect("a map"),
            quotes: true,
        }
    }

    #[test]
    fn labels_are_mapped_and_in_alphabetical_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let train = file(folder.path(), "a.csv", "x,Positive\ny,neutral\nz,neg\nw,pos\n");
        let test = file(folder.path(), "b.csv", "q,Positive\n");
        let dataset = train.dataset(Some(&test.path), 0).expect("reads");
        assert_eq!(dataset.labels, ["neg", "neutral", "pos"]);
        assert_eq!(dataset.train.labels, [2, 1, 0, 2]);
        assert_eq!(dataset.test.labels, [2]);
        let cut = train.dataset(None, 0).expect("reads");
        assert_eq!((cut.train.len(), cut.test.len()), (3, 1));
    }

    #[test]
    fn unknown_labels_are_named_with_their_row() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(folder.path(), "a.csv", "x,pos\ny,maybe\n");
        let error = file.examples(&["neg".into(), "pos".into()]).expect_err("is wrong").to_string();
        assert!(error.ends_with("a.csv: row 2 has the unknown label \"maybe\" (known: neg, pos)"), "{error}");
        let error = LabelMap::parse(["pos"]).expect_err("is wrong").to_string();
        assert_eq!(error, "\"pos\" does not have the form FILE_LABEL=MODEL_LABEL");
    }

    #[test]
    fn a_map_of_a_label_that_no_row_has_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let train = file(folder.path(), "a.csv", "x,pos\ny,neg\nz,neg\n");
        let expected =
            "a.csv: no row has the label \"Positive\", which the label map maps to \"pos\" (the file has: neg, pos)";
        let error = train.dataset(None, 0).expect_err("is unused").to_string();
        assert!(error.ends_with(expected), "{error}");
        let error = train.examples(&["neg".into(), "pos".into()]).expect_err("is unused").to_string();
        assert!(error.ends_with(expected), "{error}");
        // A label that only the test file has is mapped too.
        let test = file(folder.path(), "b.csv", "x,Positive\n");
        assert_eq!(train.dataset(Some(&test.path), 0).expect("reads").test.labels, [1]);
    }

    #[test]
    fn a_column_in_which_nearly_every_row_differs_holds_no_labels() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = |count: usize, labels: usize| -> String {
            (0..count).map(|index| format!("text {index},label {}\n", index % labels)).collect()
        };
        let error = |rows: &str| file(folder.path(), "a.csv", rows).dataset(None, 0).expect_err("is wrong").to_string();
        // Labels were once looked up in a list: this took a minute.
        let message = error(&rows(300_000, 300_000));
        assert!(message.ends_with(
            "a.csv: column \"label\" has 300000 different values in 300000 rows, so it does not look like a column of labels"
        ), "{message}");
        let many = file(folder.path(), "b.csv", &rows(10_000, 5_000));
        let many = LabelledFile { label_map: LabelMap::default(), ..many }.dataset(None, 0).expect("reads");
        assert_eq!(many.labels.len(), 5_000);
        let labels = |index: usize| &many.labels[many.train.labels[index]];
        for (index, text) in many.train.texts.iter().enumerate() {
            let number: usize = text.expect("reads")[5..].parse().expect("a number");
            assert_eq!(labels(index), &format!("label {}", number % 5_000));
        }
    }

    #[test]
    fn messages_name_the_file_and_the_fix() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = |rows: &str| {
            let error = file(folder.path(), "a.csv", rows).dataset(None, 0).expect_err("is wrong").to_string();
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(error("x,a\n"), "a.csv: only one label, \"a\"; a model needs two or more");
        let known: Vec<String> = (0..1_000).map(|index| format!("label {index} {}", "long ".repeat(1_000))).collect();
        let file = file(folder.path(), "a.csv", &format!("x,{}\n", "y".repeat(1 << 20)));
        let error = file.examples(&known).expect_err("is wrong").to_string();
        assert!(error.contains("and 990 more") && error.len() < 2_000, "{} bytes: {error}", error.len());
    }
}

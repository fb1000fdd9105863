//! The user's own file as a data set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dataset::collect;
use crate::{DataError, Dataset, Examples, read_pieces};

/// The share of a file that becomes the test split where no test file is given.
const TEST_FRACTION: f64 = 0.2;

/// Other names for labels: what the file says to what the model says.
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

    fn apply(&self, label: String) -> String {
        self.0.get(&label).cloned().unwrap_or(label)
    }
}

/// A file with a text column and a label column.
#[derive(Clone, Debug)]
pub struct LabelledFile {
    /// CSV, TSV, Parquet or JSON Lines, by its extension.
    pub path: PathBuf,
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels.
    pub label_column: String,
    /// Other names for labels.
    pub label_map: LabelMap,
}

impl LabelledFile {
    /// The file as a data set of its own: the labels are those that occur, in alphabetical
    /// order; the test split is `test`, or a fifth of the file, cut with `seed`.
    ///
    /// # Errors
    ///
    /// As [`read_pieces`], [`DataError::OneLabel`], and [`DataError::UnknownLabel`] for a label
    /// that only `test` has.
    pub fn dataset(&self, test: Option<&Path>, seed: u64) -> Result<Dataset, DataError> {
        // Labels are numbered as they come, and then anew in their order.
        let mut found: Vec<String> = Vec::new();
        let mut examples = self.read(&self.path, |label, _| {
            Ok(found.iter().position(|name| *name == label).unwrap_or_else(|| {
                found.push(label);
                found.len() - 1
            }))
        })?;
        let mut labels = found.clone();
        labels.sort_unstable();
        if let [label] = labels.as_slice() {
            return Err(DataError::OneLabel { path: self.path.clone(), label: label.clone() });
        }
        let order: Vec<usize> = found.iter().map(|name| labels.partition_point(|label| label < name)).collect();
        examples.labels.iter_mut().for_each(|label| *label = order[*label]);
        let (train, test) = match test {
            Some(test) => (examples, self.read_known(test, &labels)?),
            None => {
                let too_few = |_| DataError::TooFew(self.path.display().to_string());
                examples.cut(TEST_FRACTION, seed).map_err(too_few)?
            }
        };
        Ok(Dataset { name: self.path.display().to_string(), labels, train, test })
    }

    /// The whole file as examples of a model that knows `labels`.
    ///
    /// # Errors
    ///
    /// As [`read_pieces`], and [`DataError::UnknownLabel`].
    pub fn examples(&self, labels: &[String]) -> Result<Examples, DataError> {
        self.read_known(&self.path, labels)
    }

    fn read_known(&self, path: &Path, names: &[String]) -> Result<Examples, DataError> {
        self.read(path, |label, row| match names.iter().position(|name| *name == label) {
            Some(index) => Ok(index),
            None => Err(DataError::UnknownLabel { path: path.into(), row, label, known: names.join(", ") }),
        })
    }

    fn read(
        &self,
        path: &Path,
        mut find: impl FnMut(String, usize) -> Result<usize, DataError>,
    ) -> Result<Examples, DataError> {
        let pieces = read_pieces(path, &self.text_column, Some(&self.label_column))?;
        collect(pieces, |label, row| find(self.label_map.apply(label.to_owned()), row))
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
        assert!(error.ends_with(
            "a.csv: row 2 has the unknown label \"maybe\" (known: neg, pos); map it with --label-map maybe=LABEL"
        ));
        assert!(LabelMap::parse(["pos"]).is_err());
    }
}

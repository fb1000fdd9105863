//! Texts with labels, and the splits made from them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::table::{Pieces, Table};
use crate::text_list::TextListBuilder;
use crate::{DataError, TextList};

/// Texts, each with the index of its label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// The texts.
    pub texts: TextList,
    /// For each text the index of its label in [`Dataset::labels`].
    pub labels: Vec<usize>,
}

impl Examples {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Splits off a random `fraction` (at least one example, and never all of them). Returns the rest
    /// and what was split off, each in its old order. The same seed chooses the same examples.
    ///
    /// # Errors
    ///
    /// [`DataError::TooFew`] for fewer than two examples.
    pub fn cut(self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if self.len() < 2 {
            return Err(DataError::TooFew { name: "these examples".into(), count: self.len(), purpose: "a split" });
        }
        let is_chosen = choose(self.len(), fraction, seed);
        Ok((self.part(|index| !is_chosen[index]), self.part(|index| is_chosen[index])))
    }

    /// The first `count` examples, or all of them if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        self.part(|index| index < count)
    }

    pub(crate) fn part(&self, is_chosen: impl Fn(usize) -> bool) -> Self {
        let labels = self.labels.iter().enumerate().filter(|(index, _)| is_chosen(*index)).map(|(_, &label)| label);
        Self { labels: labels.collect(), texts: self.texts.part(&is_chosen) }
    }

    /// Writes the examples as CSV with the columns `text` and `label`; `labels` are the names of the labels.
    ///
    /// # Errors
    ///
    /// Those of `out`, and an error of the kind [`Other`](io::ErrorKind::Other) where a text cannot be
    /// read or its label has no name.
    pub fn write_csv(&self, labels: &[String], out: impl Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(out);
        rows.write_record(["text", "label"])?;
        for (text, &label) in self.texts.iter().zip(&self.labels) {
            let name = labels.get(label).ok_or_else(|| io::Error::other(format!("label {label} has no name")))?;
            rows.write_record([text.map_err(io::Error::other)?.as_ref(), name])?;
        }
        rows.flush()
    }
}

/// Collects rows as examples; `number` gives the index of a label, given the label and its row.
pub(crate) fn collect(
    pieces: Pieces,
    mut number: impl FnMut(&str, usize) -> Result<usize, DataError>,
) -> Result<Examples, DataError> {
    let (mut texts, mut labels) = (TextListBuilder::new(), Vec::new());
    for piece in pieces {
        let Table { texts: rows, labels: names, .. } = piece?;
        rows.iter().try_for_each(|text| texts.push(text))?;
        for name in names.iter().flatten() {
            labels.push(number(name, labels.len() + 1)?);
        }
    }
    Ok(Examples { texts: texts.finish()?, labels })
}

/// How many blocks of neighbours a large split is divided into.
const BLOCKS: usize = 500;

/// Chooses a random `fraction` of `count` examples, where `count` is at least two: at least one example,
/// and never all of them. The result says for each example whether it was chosen.
///
/// The examples are chosen in blocks of neighbours (one by one if there are fewer than 1,000), because
/// neighbours often belong together. IMDB's reviews of one film follow each other, and a model that was
/// trained on some of them looks better than it is when it is measured on the others.
pub fn choose(count: usize, fraction: f64, seed: u64) -> Vec<bool> {
    let wanted = ((count as f64 * fraction).round() as usize).clamp(1, count - 1);
    let block = (count / BLOCKS).max(1);
    let mut starts: Vec<usize> = (0..count).step_by(block).collect();
    starts.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut is_chosen = vec![false; count];
    let in_blocks = starts.into_iter().flat_map(|start| start..(start + block).min(count));
    in_blocks.take(wanted).for_each(|index| is_chosen[index] = true);
    is_chosen
}

/// A data set: its labels and its splits.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The name of a known set, or the file's path.
    pub name: String,
    /// The commit of the repository on the Hub that it was read from, if it comes from there.
    pub revision: Option<String>,
    /// The names of the labels; examples refer to them by index.
    pub labels: Vec<String>,
    /// The training split, from which the validation split is cut.
    pub train: Examples,
    /// The test split, which is read once, at the end.
    pub test: Examples,
}

impl Dataset {
    /// A digest of every text and label, in order. It is the same for the same data, whatever file the
    /// data came from.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] where the texts are on disk and cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        fingerprint(&self.labels, &[&self.train, &self.test])
    }

    /// How many different texts of the training split are also in the test split.
    ///
    /// # Errors
    ///
    /// As [`fingerprint`](Self::fingerprint).
    pub fn texts_in_both_splits(&self) -> Result<usize, DataError> {
        // Digests are compared, because the texts may not fit in memory.
        let digests = |texts: &TextList| {
            let digest =
                |text: Result<Cow<'_, str>, _>| text.map(|text| <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
            texts.iter().map(digest).collect::<Result<HashSet<_>, DataError>>()
        };
        Ok(digests(&self.train.texts)?.intersection(&digests(&self.test.texts)?).count())
    }
}

/// A digest of labels, and of the texts and labels of splits.
pub(crate) fn fingerprint(labels: &[String], splits: &[&Examples]) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    labels.iter().for_each(|label| add(label.as_bytes()));
    for split in splits {
        add(&(split.len() as u64).to_le_bytes());
        for (text, &label) in split.texts.iter().zip(&split.labels) {
            add(text?.as_bytes());
            add(&(label as u64).to_le_bytes());
        }
    }
    Ok(format!("sha256:{}", hex::encode(hash.finalize())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn examples(count: usize) -> Examples {
        Examples {
            texts: (0..count).map(|index| format!("text {index}")).collect(),
            labels: (0..count).map(|index| index % 3).collect(),
        }
    }

    #[test]
    fn a_fingerprint_identifies_the_data() {
        let dataset = |train, test| Dataset { name: "x".into(), revision: None, labels: vec!["a".into()], train, test };
        let print = |dataset: &Dataset| dataset.fingerprint().expect("reads");
        let one = dataset(examples(3), examples(2));
        assert_eq!(print(&one), print(&Dataset { name: "y".into(), ..one.clone() }));
        assert_ne!(print(&one), print(&dataset(examples(2), examples(3))));
        assert_eq!(one.texts_in_both_splits().expect("reads"), 2);
        let error = examples(1).cut(0.5, 0).expect_err("is too little").to_string();
        assert!(error.contains("1 labelled text is not enough"), "{error}");
    }

    #[test]
    fn examples_are_written_as_csv_and_read_back() {
        let texts = ["plain", "a \"quoted\", text", "two\nlines", " "].map(String::from);
        let examples = Examples { texts: texts.iter().collect(), labels: vec![0, 1, 0, 1] };
        let labels = ["a,b", "c"].map(String::from);
        let mut bytes = Vec::new();
        examples.write_csv(&labels, &mut bytes).expect("writes");
        let mut rows = csv::Reader::from_reader(bytes.as_slice());
        let read: Vec<(String, String)> = rows.deserialize().collect::<Result<_, _>>().expect("parses");
        let expected = texts.into_iter().zip(["a,b", "c", "a,b", "c"].map(String::from));
        assert_eq!(read, expected.collect::<Vec<_>>());
        assert_eq!(examples.first(2).labels, [0, 1]);
        assert!(examples.write_csv(&labels[..1], Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_example_is_lost_by_a_cut(count in 2usize..80, fraction in 0.0f64..1.0, seed: u64) {
            let (rest, cut) = examples(count).cut(fraction, seed).expect("cuts");
            prop_assert!(!rest.is_empty() && !cut.is_empty());
            let texts = |list: &TextList| list.to_vec().expect("reads");
            let mut all = [texts(&rest.texts), texts(&cut.texts)].concat();
            let mut expected = texts(&examples(count).texts);
            all.sort();
            expected.sort();
            prop_assert_eq!(all, expected);
            prop_assert_eq!((rest, cut), examples(count).cut(fraction, seed).expect("cuts"));
        }
    }
}

//! Texts with labels, and the splits made of them.

use std::borrow::Cow;
use std::collections::HashSet;

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

    /// Cuts a random `fraction` off (at least one example, never all): what is left and what was cut, each in the
    /// old order. The same seed cuts the same examples.
    ///
    /// # Errors
    ///
    /// [`DataError::TooFew`] below two examples.
    pub fn cut(self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if self.len() < 2 {
            return Err(DataError::TooFew(format!("{} examples", self.len())));
        }
        let is_cut = choose(self.len(), fraction, seed);
        let part = |wanted: bool| Self {
            texts: self.texts.part(|index| is_cut[index] == wanted),
            labels: self
                .labels
                .iter()
                .zip(&is_cut)
                .filter(|(_, cut)| **cut == wanted)
                .map(|(&label, _)| label)
                .collect(),
        };
        Ok((part(false), part(true)))
    }
}

/// Rows as examples; `find` tells a label's index, given the label and its row.
pub(crate) fn collect(
    pieces: Pieces,
    mut find: impl FnMut(&str, usize) -> Result<usize, DataError>,
) -> Result<Examples, DataError> {
    let (mut texts, mut labels) = (TextListBuilder::new(), Vec::new());
    for piece in pieces {
        let Table { texts: rows, labels: names } = piece?;
        rows.iter().try_for_each(|text| texts.push(text))?;
        for name in names.iter().flatten() {
            labels.push(find(name, labels.len() + 1)?);
        }
    }
    Ok(Examples { texts: texts.finish()?, labels })
}

/// How many blocks of neighbours a large split is cut in.
const BLOCKS: usize = 500;

/// Which of `count` (two or more) examples a random `fraction` is: at least one, never all.
///
/// The examples are drawn in blocks of neighbours (single ones below 1,000): what stands side
/// by side often belongs together, as IMDB's reviews of one film do, and a split that has seen
/// the film flatters the model.
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
    /// The labels' names; examples refer to them by index.
    pub labels: Vec<String>,
    /// What to train on; the validation split is cut from it.
    pub train: Examples,
    /// What is read once, at the end.
    pub test: Examples,
}

impl Dataset {
    /// A digest of every text and label, in order: equal for equal data, whatever file it came
    /// from.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] where the texts are on disk and cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.labels.iter().for_each(|label| add(label.as_bytes()));
        for split in [&self.train, &self.test] {
            add(&(split.len() as u64).to_le_bytes());
            for (text, &label) in split.texts.iter().zip(&split.labels) {
                add(text?.as_bytes());
                add(&(label as u64).to_le_bytes());
            }
        }
        Ok(format!("sha256:{}", hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// How many distinct texts of the training split occur in the test split too.
    ///
    /// # Errors
    ///
    /// As [`fingerprint`](Self::fingerprint).
    pub fn texts_in_both_splits(&self) -> Result<usize, DataError> {
        // Digests, for the texts may be more than the memory holds.
        let digests = |texts: &TextList| {
            let digest =
                |text: Result<Cow<'_, str>, _>| text.map(|text| <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
            texts.iter().map(digest).collect::<Result<HashSet<_>, DataError>>()
        };
        Ok(digests(&self.train.texts)?.intersection(&digests(&self.test.texts)?).count())
    }
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
    fn fingerprints_tell_data_apart() {
        let dataset = |train, test| Dataset { name: "x".into(), labels: vec!["a".into()], train, test };
        let print = |dataset: &Dataset| dataset.fingerprint().expect("reads");
        let one = dataset(examples(3), examples(2));
        assert_eq!(print(&one), print(&Dataset { name: "y".into(), ..one.clone() }));
        assert_ne!(print(&one), print(&dataset(examples(2), examples(3))));
        assert_eq!(one.texts_in_both_splits().expect("reads"), 2);
        assert!(examples(1).cut(0.5, 0).is_err());
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(count in 2usize..80, fraction in 0.0f64..1.0, seed: u64) {
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

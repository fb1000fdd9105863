//! Texts with labels, and the splits made of them.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::DataError;

/// Texts, each with the index of its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// The texts.
    pub texts: Vec<String>,
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
        let mut parts = (Self::default(), Self::default());
        for ((text, label), cut) in self.texts.into_iter().zip(self.labels).zip(is_cut) {
            let part = if cut { &mut parts.1 } else { &mut parts.0 };
            part.texts.push(text);
            part.labels.push(label);
        }
        Ok(parts)
    }
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        self.labels.iter().for_each(|label| add(label.as_bytes()));
        for split in [&self.train, &self.test] {
            add(&(split.len() as u64).to_le_bytes());
            for (text, &label) in split.texts.iter().zip(&split.labels) {
                add(text.as_bytes());
                add(&(label as u64).to_le_bytes());
            }
        }
        format!("sha256:{}", hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// How many distinct texts of the training split occur in the test split too.
    pub fn texts_in_both_splits(&self) -> usize {
        let test: std::collections::HashSet<&str> = self.test.texts.iter().map(String::as_str).collect();
        let train: std::collections::HashSet<&str> = self.train.texts.iter().map(String::as_str).collect();
        train.intersection(&test).count()
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
        let one = dataset(examples(3), examples(2));
        assert_eq!(one.fingerprint(), Dataset { name: "y".into(), ..one.clone() }.fingerprint());
        assert_ne!(one.fingerprint(), dataset(examples(2), examples(3)).fingerprint());
        assert_eq!(one.texts_in_both_splits(), 2);
        assert!(examples(1).cut(0.5, 0).is_err());
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(count in 2usize..80, fraction in 0.0f64..1.0, seed: u64) {
            let (rest, cut) = examples(count).cut(fraction, seed).expect("cuts");
            prop_assert!(!rest.is_empty() && !cut.is_empty());
            let mut all: Vec<_> = rest.texts.iter().chain(&cut.texts).cloned().collect();
            let mut expected = examples(count).texts;
            all.sort();
            expected.sort();
            prop_assert_eq!(all, expected);
            prop_assert_eq!((rest, cut), examples(count).cut(fraction, seed).expect("cuts"));
        }
    }
}

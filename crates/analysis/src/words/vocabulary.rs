//! The words of a model, and the ones with the highest and lowest scores.

use convlens_run::Run;
use convlens_run::model::EncoderSettings;
use serde::Serialize;

/// A word and its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordScore {
    /// The word, as it is in the vocabulary.
    pub word: String,
    /// The score.
    pub score: f64,
}

/// The words of a model by id.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    /// All ids except those of special tokens.
    ids: Vec<usize>,
}

impl Vocabulary {
    /// The vocabulary of a run.
    pub fn new<S: EncoderSettings>(run: &Run<S>) -> Self {
        let all = 0..run.tokenizer.vocab_size() as u32;
        let words = all.clone().map(|id| run.tokenizer.token(id).unwrap_or_default()).collect();
        let ids = all.filter(|&id| !run.tokenizer.is_special(id)).map(|id| id as usize).collect();
        Self { words, ids }
    }

    /// All ids except those of special tokens.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// The word with this id.
    pub fn word(&self, id: usize) -> &str {
        &self.words[id]
    }

    /// The `count` words with the highest scores, highest first, and those with the lowest, lowest first.
    /// `scores` has one entry per id.
    pub fn extremes(&self, scores: &[f64], count: usize) -> (Vec<WordScore>, Vec<WordScore>) {
        let (highest, lowest) = extremes(&self.ids, |id| scores[id], count);
        let scored = |ids: Vec<usize>| {
            ids.into_iter().map(|id| WordScore { word: self.words[id].clone(), score: scores[id] }).collect()
        };
        (scored(highest), scored(lowest))
    }
}

/// The `count` items with the highest scores, highest first, and those with the lowest, lowest first.
/// Among equal scores the smaller item comes first.
pub(crate) fn extremes(items: &[usize], score: impl Fn(usize) -> f64, count: usize) -> (Vec<usize>, Vec<usize>) {
    let first = |sign: f64| {
        let order = |a: &usize, b: &usize| (sign * score(*b)).total_cmp(&(sign * score(*a))).then(a.cmp(b));
        let mut items = items.to_vec();
        if count > 0 && count < items.len() {
            items.select_nth_unstable_by(count - 1, order);
        }
        items.truncate(count);
        items.sort_by(order);
        items
    };
    (first(1.0), first(-1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extremes_are_the_ends_of_a_sorted_list(scores in prop::collection::vec(-3i32..3, 0..40), count in 0usize..50) {
            let items: Vec<usize> = (0..scores.len()).collect();
            let (highest, lowest) = extremes(&items, |item| f64::from(scores[item]), count);
            let mut sorted = items.clone();
            sorted.sort_by_key(|&item| (-scores[item], item));
            sorted.truncate(count);
            prop_assert_eq!(highest, sorted);
            let mut sorted = items;
            sorted.sort_by_key(|&item| (scores[item], item));
            sorted.truncate(count);
            prop_assert_eq!(lowest, sorted);
        }
    }
}

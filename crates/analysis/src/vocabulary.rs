//! The words of a model: their names, and the strongest of them by some score.

use convlens_run::Run;
use serde::Serialize;

/// A word and a number about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordScore {
    /// The word, as the vocabulary has it.
    pub word: String,
    /// The number.
    pub score: f64,
}

/// Every id's name.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    /// The ids of words, not of padding, start and the like.
    ids: Vec<usize>,
}

impl Vocabulary {
    /// Of a run.
    pub fn of(run: &Run) -> Self {
        let all = 0..run.tokenizer.vocab_size() as u32;
        let words = all.clone().map(|id| run.tokenizer.token(id).unwrap_or_default()).collect();
        let ids = all.filter(|&id| !run.tokenizer.is_special(id)).map(|id| id as usize).collect();
        Self { words, ids }
    }

    /// The ids of words: all but special tokens.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// An id's name.
    pub fn word(&self, id: usize) -> &str {
        &self.words[id]
    }

    /// The `count` words of the highest score, highest first, and those of the lowest, lowest
    /// first; `scores` has an entry an id.
    pub fn extremes(&self, scores: &[f64], count: usize) -> (Vec<WordScore>, Vec<WordScore>) {
        let (highest, lowest) = extremes(&self.ids, |id| scores[id], count);
        let name = |ids: Vec<usize>| {
            ids.into_iter().map(|id| WordScore { word: self.words[id].clone(), score: scores[id] }).collect()
        };
        (name(highest), name(lowest))
    }
}

/// The `count` items of the highest score, highest first, and those of the lowest, lowest first;
/// of equals the earlier comes first.
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
        fn extremes_are_those_of_a_sort(scores in prop::collection::vec(-3i32..3, 0..40), count in 0usize..50) {
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

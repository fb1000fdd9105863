//! The words that speak most for each tag.

use std::collections::HashMap;

use serde::Serialize;

use crate::ExplainedSentence;

/// The words that speak for a tag and against it, over the words that the model gives the tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagWords {
    /// The tag.
    pub tag: String,
    /// How many words have been given the tag.
    pub words: usize,
    /// The words with the tag that speak most for it themselves.
    pub itself: Vec<PlacedWord>,
    /// The words around them that speak most for it.
    pub neighbours: Vec<PlacedWord>,
    /// The words around them that speak most against it.
    pub against: Vec<PlacedWord>,
}

/// A word at a place, and what it adds to the logit of a tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacedWord {
    /// The word, in lower case.
    pub word: String,
    /// Its place: 0 is the word that has the tag, -1 the word before that.
    pub place: isize,
    /// How often it is there.
    pub count: usize,
    /// The sum of what it adds. Lists are ordered by this, so that frequent words come before rare ones.
    pub total: f64,
    /// The mean of what it adds.
    pub mean: f64,
}

/// The `count` words of each list that speak most for each tag, in the order of `labels`.
pub fn tag_words(sentences: &[&ExplainedSentence], labels: &[String], count: usize) -> Vec<TagWords> {
    let mut sums: Vec<HashMap<(isize, String), (usize, f64)>> = vec![HashMap::new(); labels.len()];
    let mut words = vec![0; labels.len()];
    for (tag, field) in sentences.iter().flat_map(|sentence| sentence.shares()) {
        words[tag] += 1;
        for (place, word, share) in field {
            let (count, sum) = sums[tag].entry((place, word.to_lowercase())).or_default();
            *count += 1;
            *sum += share;
        }
    }
    let of_tag = |((tag, sums), &words): ((&String, HashMap<_, _>), &usize)| {
        let mut all: Vec<PlacedWord> = sums.into_iter().map(placed_word).collect();
        all.sort_by(|a, b| {
            b.total.total_cmp(&a.total).then_with(|| (a.place, &a.word).cmp(&(b.place, &b.word))) // reproducible
        });
        let is_for = |word: &&PlacedWord| word.total > 0.0;
        let neighbours = || all.iter().filter(|word| word.place != 0);
        TagWords {
            tag: tag.clone(),
            words,
            itself: all.iter().filter(|word| word.place == 0).filter(is_for).take(count).cloned().collect(),
            neighbours: neighbours().filter(is_for).take(count).cloned().collect(),
            against: neighbours().rev().filter(|word| word.total < 0.0).take(count).cloned().collect(),
        }
    };
    labels.iter().zip(sums).zip(&words).map(of_tag).collect()
}

fn placed_word(((place, word), (count, total)): ((isize, String), (usize, f64))) -> PlacedWord {
    PlacedWord { word, place, count, total, mean: total / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::sentences::tests::explained;

    #[test]
    fn words_are_ordered_by_what_they_add_in_all() {
        let rare = explained(&["The", "dog"], &[0, 1], &[(0, &[2.0, -1.0]), (0, &[5.0, 9.0])]);
        let common = explained(&["the", "cat"], &[0, 1], &[(0, &[2.5, -0.25]), (0, &[-1.0, 5.0])]);
        let labels = ["DET", "NOUN", "VERB"].map(String::from);
        let words = tag_words(&[&rare, &common, &common], &labels, 5);
        let list = |words: &[PlacedWord]| -> Vec<(String, isize, usize, f64)> {
            words.iter().map(|word| (word.word.clone(), word.place, word.count, word.mean)).collect()
        };
        assert_eq!(list(&words[0].itself), [("the".into(), 0, 3, 7.0 / 3.0)]);
        assert_eq!(list(&words[0].against), [("dog".into(), 1, 1, -1.0), ("cat".into(), 1, 2, -0.25)]);
        assert_eq!(list(&words[1].itself), [("cat".into(), 0, 2, 5.0), ("dog".into(), 0, 1, 9.0)]);
        assert_eq!(list(&words[1].neighbours), [("the".into(), -1, 3, 1.0)]);
        assert_eq!((words[1].words, words[2].words, words[2].itself.len()), (3, 0, 0));
        assert_eq!(tag_words(&[&rare, &common, &common], &labels, 1)[1].itself.len(), 1);
    }
}

//! The tags that are mixed up most often, with examples.

use std::collections::BTreeMap;

use convlens_run::model::EncoderSettings;
use convlens_run::{RunError, Tagger, WordPrediction};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::Serialize;

use crate::{Evidence, OnStage, TaggedSentences, tag_evidence_of};

/// The number of pairs of tags.
const PAIRS: usize = 15;
/// The number of examples of each pair.
const EXAMPLES: usize = 3;
/// Examples are taken from sentences of up to this number of words.
const LONGEST: usize = 100;

/// A tag that is mistaken for another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// The tag in the data.
    pub tag: String,
    /// The tag that the model gives.
    pub found: String,
    /// How many words with the one are given the other.
    pub count: usize,
    /// These words as a share of all words with the tag.
    pub share: f64,
    /// The words that this happens to most often, in lower case, with counts.
    pub words: Vec<(String, usize)>,
    /// Some of them.
    pub examples: Vec<ConfusionExample>,
}

/// A word that is given the wrong tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfusionExample {
    /// The index of its sentence in the data.
    pub sentence: usize,
    /// Its index in the sentence.
    pub word: usize,
    /// The sentence.
    pub words: Vec<String>,
    /// The probability of the tag that the model gives it.
    pub probability: f64,
    /// The probability of the tag that it has in the data.
    pub true_probability: f64,
    /// What speaks for the tag that the model gives it.
    pub evidence: Evidence,
}

/// The tags that are mixed up most often, the most frequent pair first. `found` are the tags that the model gives to
/// the words; up to `count` words of each pair are listed. The examples are drawn by `seed`.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn confusions<S: EncoderSettings>(
    tagger: &Tagger<S>,
    data: &TaggedSentences<'_>,
    found: &[Vec<usize>],
    count: usize,
    seed: u64,
    on_stage: OnStage<'_>,
) -> Result<Vec<Confusion>, RunError> {
    let labels = &tagger.run().config.labels;
    let mut totals = vec![0usize; labels.len()];
    let pairs = pairs(data.tags, found, &mut totals);
    let chosen = pairs.len().min(PAIRS);
    let mut confusions = Vec::with_capacity(chosen);
    for (done, ((tag, other), places)) in pairs.into_iter().take(PAIRS).enumerate() {
        on_stage("words with wrong tags", done, chosen);
        let examples = examples(data.sentences, &places, seed);
        let sentences: Vec<Vec<String>> =
            examples.iter().map(|&(sentence, _)| data.sentences[sentence].clone()).collect();
        let predictions = tagger.predict(&sentences)?;
        let example = |((&(sentence, word), words), predictions): ((&Place, &Vec<String>), &Vec<WordPrediction>)| {
            Ok::<_, RunError>(ConfusionExample {
                sentence,
                word,
                words: words.clone(),
                probability: predictions[word].probabilities[other],
                true_probability: predictions[word].probabilities[tag],
                evidence: tag_evidence_of(tagger, words, word, other)?,
            })
        };
        confusions.push(Confusion {
            tag: labels[tag].clone(),
            found: labels[other].clone(),
            count: places.len(),
            share: places.len() as f64 / totals[tag].max(1) as f64,
            words: most_frequent(data.sentences, &places, count),
            examples: examples.iter().zip(&sentences).zip(&predictions).map(example).collect::<Result<_, _>>()?,
        });
    }
    on_stage("words with wrong tags", chosen, chosen);
    Ok(confusions)
}

/// A tag in the data and the tag that the model gives.
type Pair = (usize, usize);
/// A sentence and a word in it.
type Place = (usize, usize);

/// The words of each pair of different tags, the most frequent pair first. `totals` counts the words with each tag.
fn pairs(expected: &[Vec<Option<usize>>], found: &[Vec<usize>], totals: &mut [usize]) -> Vec<(Pair, Vec<Place>)> {
    let mut pairs: BTreeMap<Pair, Vec<Place>> = BTreeMap::new();
    for (sentence, (expected, found)) in expected.iter().zip(found).enumerate() {
        for (word, (&expected, &found)) in expected.iter().zip(found).enumerate() {
            let Some(expected) = expected else { continue };
            totals[expected] += 1;
            if expected != found {
                pairs.entry((expected, found)).or_default().push((sentence, word));
            }
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, places)| std::cmp::Reverse(places.len())); // stable: equal counts by their tags
    pairs
}

/// The words at some places that are there most often.
fn most_frequent(sentences: &[Vec<String>], places: &[Place], count: usize) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    places
        .iter()
        .for_each(|&(sentence, word)| *counts.entry(sentences[sentence][word].to_lowercase()).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(count);
    counts
}

/// A few of the places, in random order, of different words if there are enough.
fn examples(sentences: &[Vec<String>], places: &[Place], seed: u64) -> Vec<Place> {
    let mut places: Vec<Place> =
        places.iter().copied().filter(|&(sentence, _)| sentences[sentence].len() <= LONGEST).collect();
    places.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let form = |&(sentence, word): &Place| sentences[sentence][word].to_lowercase();
    let mut known = std::collections::HashSet::new();
    let (first, again): (Vec<Place>, Vec<Place>) = places.into_iter().partition(|place| known.insert(form(place)));
    first.into_iter().chain(again).take(EXAMPLES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(texts: &[&str]) -> Vec<Vec<String>> {
        texts.iter().map(|text| text.split(' ').map(String::from).collect()).collect()
    }

    #[test]
    fn the_most_frequent_pair_comes_first() {
        let expected = [vec![Some(0), Some(1), None, Some(1)], vec![Some(1), Some(0)]];
        let found = [vec![1, 2, 0, 1], vec![2, 0]];
        let mut totals = [0; 3];
        let pairs = pairs(&expected, &found, &mut totals);
        assert_eq!(pairs, [((1, 2), vec![(0, 1), (1, 0)]), ((0, 1), vec![(0, 0)])]);
        assert_eq!(totals, [2, 3, 0]);
    }

    #[test]
    fn words_are_counted_in_lower_case() {
        let sentences = sentences(&["That is that", "so that"]);
        let places = [(0, 0), (0, 2), (1, 0), (1, 1)];
        assert_eq!(most_frequent(&sentences, &places, 5), [("that".into(), 3), ("so".into(), 1)]);
        assert_eq!(most_frequent(&sentences, &places, 1).len(), 1);
    }

    #[test]
    fn examples_are_of_different_words_and_short_sentences() {
        let mut sentences = sentences(&["a a a b", "c"]);
        sentences.push(vec!["d".into(); LONGEST + 1]);
        let places = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)];
        let chosen = examples(&sentences, &places, 3);
        assert_eq!(chosen, examples(&sentences, &places, 3));
        let mut words: Vec<&str> = chosen.iter().map(|&(sentence, word)| sentences[sentence][word].as_str()).collect();
        words.sort_unstable();
        assert_eq!(words, ["a", "b", "c"]);
        assert_eq!(examples(&sentences, &places[..2], 3).len(), 2);
    }
}

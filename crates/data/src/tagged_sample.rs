//! The bundled sample of tagged sentences, generated from templates.
//!
//! Some words have a tag that only their neighbours tell (*the play* and *they play*), and some occur once, so that
//! only their form tells it (*-ness*, *-ly*, a capital letter). A tagger learns both in seconds. The tags are the
//! universal parts of speech.

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::{TaggedDataset, TaggedSentences};

/// The sizes of the splits, in sentences.
const SPLITS: [usize; 3] = [800, 100, 200];

/// Each sentence is one of these: tags in order, which words are then chosen for.
const TEMPLATES: [&[&str]; 9] = [
    &["DET", "NOUN", "AUX", "ADV", "ADJ", "PUNCT"],
    &["PRON", "VERB", "DET", "ADJ", "NOUN", "PUNCT"],
    &["PROPN", "VERB", "DET", "NOUN", "ADP", "PROPN", "PUNCT"],
    &["DET", "ADJ", "NOUN", "ADP", "DET", "NOUN", "VERB", "PRON", "PUNCT"],
    &["PRON", "AUX", "ADJ", "CCONJ", "ADJ", "PUNCT"],
    &["PRON", "ADV", "VERB", "NUM", "NOUN", "PUNCT"],
    &["DET", "NOUN", "ADP", "PROPN", "AUX", "DET", "ADJ", "NOUN", "PUNCT"],
    &["PRON", "VERB", "PRON", "CCONJ", "PRON", "VERB", "DET", "NOUN", "PUNCT"],
    &["PROPN", "CCONJ", "PROPN", "VERB", "ADP", "NUM", "NOUN", "PUNCT"],
];

/// The words of each tag, in alphabetical order of the tags. *play*, *show*, *cut*, *cast* and *end* are nouns and verbs;
/// *her* and *that* determiners and pronouns; *well* and *fast* adverbs and adjectives.
const WORDS: [(&str, &[&str]); 11] = [
    ("ADJ", &["good", "bad", "long", "short", "dull", "bright", "cold", "warm", "brave", "odd", "fast", "well"]),
    ("ADP", &["of", "with", "in", "about", "by", "for", "after", "without"]),
    ("ADV", &["very", "really", "hardly", "quite", "often", "never", "fast", "well"]),
    ("AUX", &["is", "was", "seems", "has", "can"]),
    ("CCONJ", &["and", "but", "or"]),
    ("DET", &["the", "a", "this", "every", "no", "her", "that"]),
    ("NOUN", &["film", "plot", "scene", "actor", "story", "music", "play", "show", "cut", "cast", "end"]),
    ("NUM", &["two", "three", "ten", "1984", "90", "2.5"]),
    ("PRON", &["it", "they", "we", "you", "someone", "her", "that"]),
    ("PUNCT", &[".", "!", "?"]),
    ("VERB", &["like", "watched", "see", "liked", "know", "play", "show", "cut", "cast", "end"]),
];

/// Tags of which words are made up, too.
const PROPN: &str = "PROPN";

/// The sample. It is the same for the same seed.
pub fn generate(seed: u64) -> TaggedDataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut labels: Vec<String> = WORDS.iter().map(|(tag, _)| (*tag).to_owned()).collect();
    labels.push(PROPN.into());
    labels.sort();
    let [train, validation, test] = SPLITS.map(|sentences| {
        let (sentences, tags) = (0..sentences).map(|_| sentence(&labels, &mut rng)).unzip();
        TaggedSentences { sentences, tags }
    });
    TaggedDataset { name: "sample".into(), labels, train, validation, test }
}

/// The words of a sentence and their tags.
fn sentence(labels: &[String], rng: &mut ChaCha8Rng) -> (Vec<String>, Vec<Option<usize>>) {
    let template = TEMPLATES.choose(rng).copied().unwrap_or_default();
    let words = template.iter().enumerate().map(|(at, tag)| {
        let word = word(tag, rng);
        if at == 0 { capitalised(&word) } else { word }
    });
    (words.collect(), template.iter().map(|tag| labels.iter().position(|label| label == tag)).collect())
}

/// A word with a tag, in one of four cases a made-up one if the tag has a form of its own.
fn word(tag: &str, rng: &mut ChaCha8Rng) -> String {
    let of = |tag: &str, rng: &mut ChaCha8Rng| {
        let words = WORDS.iter().find(|(known, _)| *known == tag).map_or(&[][..], |(_, words)| *words);
        words.choose(rng).copied().unwrap_or_default().to_owned()
    };
    if tag == PROPN {
        return capitalised(&made_up(rng));
    }
    let ending = match tag {
        "NOUN" => "ness",
        "ADV" => "ly",
        "VERB" => "ised",
        "ADJ" => "ous",
        _ => return of(tag, rng),
    };
    if rng.random_bool(0.25) { format!("{}{ending}", made_up(rng)) } else { of(tag, rng) }
}

/// Two or three syllables.
fn made_up(rng: &mut ChaCha8Rng) -> String {
    let mut syllables = String::new();
    for _ in 0..rng.random_range(2..=3) {
        syllables.extend(b"bdfgklmnprstv".choose(rng).map(|&byte| char::from(byte)));
        syllables.extend(b"aeiou".choose(rng).map(|&byte| char::from(byte)));
    }
    syllables
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_tag_and_some_are_new_in_the_test_split() {
        let sample = generate(1);
        assert_eq!(sample, generate(1));
        assert_eq!([sample.train.len(), sample.validation.len(), sample.test.len()], SPLITS);
        let known: std::collections::HashSet<&String> = sample.train.sentences.iter().flatten().collect();
        let new = sample.test.sentences.iter().flatten().filter(|word| !known.contains(word)).count();
        assert!(new * 20 > sample.test.words(), "{new} of {}", sample.test.words());
        for split in [&sample.train, &sample.test] {
            assert!(split.tags.iter().flatten().all(Option::is_some));
            assert!(split.sentences.iter().zip(&split.tags).all(|(words, tags)| words.len() == tags.len()));
            assert!(split.sentences.iter().flatten().all(|word| !word.is_empty()));
        }
    }
}

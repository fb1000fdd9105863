//! The bundled sample: short film reviews, generated from templates.
//!
//! Each review has an opinion and two to four clauses. The first clause agrees with the opinion. Each
//! further clause agrees with it three times in five, contradicts it once in five, and says nothing
//! about the film once in five. Clauses use positive or negative words, sometimes intensified (*very*,
//! *really*), sometimes by negating the opposite (*not boring*). So single words are informative but
//! not certain, a model learns from them in seconds, and phrases with negation are there to be found.
//! The generator is seeded, and `data/sample/*.csv` is its output.

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::{Dataset, Examples};

/// The seed of the sample that is included in the program.
pub const SAMPLE_SEED: u64 = 2018;

const TRAIN: usize = 3_000;
const TEST: usize = 1_000;

const GOOD: &[&str] = &[
    "good",
    "great",
    "wonderful",
    "brilliant",
    "moving",
    "funny",
    "clever",
    "charming",
    "gripping",
    "beautiful",
    "superb",
    "fresh",
    "touching",
    "witty",
    "honest",
    "elegant",
    "thrilling",
    "warm",
    "sharp",
    "memorable",
    "excellent",
    "delightful",
    "powerful",
    "lovely",
    "inspired",
    "tender",
    "stylish",
    "perfect",
    "engaging",
    "rich",
];
const BAD: &[&str] = &[
    "bad",
    "awful",
    "boring",
    "dull",
    "terrible",
    "weak",
    "lazy",
    "clumsy",
    "tedious",
    "ugly",
    "poor",
    "stale",
    "flat",
    "silly",
    "fake",
    "messy",
    "predictable",
    "cold",
    "bland",
    "forgettable",
    "horrible",
    "annoying",
    "pointless",
    "lifeless",
    "shallow",
    "noisy",
    "cheap",
    "painful",
    "confusing",
    "empty",
];
const LIKED: &[&str] = &["loved", "enjoyed", "admired", "adored", "recommend", "treasured"];
const DISLIKED: &[&str] = &["hated", "disliked", "regret", "despised", "endured", "resented"];
const PARTS: &[&str] = &[
    "plot",
    "acting",
    "cast",
    "music",
    "script",
    "ending",
    "dialogue",
    "story",
    "camera work",
    "pacing",
    "lead",
    "villain",
    "soundtrack",
    "first half",
    "second half",
    "direction",
    "humour",
    "romance",
    "opening",
    "finale",
];
const FILMS: &[&str] =
    &["film", "movie", "picture", "comedy", "drama", "thriller", "western", "sequel", "remake", "debut"];
const INTENSIFIERS: &[&str] =
    &["very", "really", "truly", "extremely", "utterly", "so", "quite", "rather", "somewhat", "simply"];
const NEGATIONS: &[&str] = &["not", "never", "hardly", "not at all", "by no means"];
const ASIDES: &[&str] = &[
    "i saw it on a rainy sunday",
    "it runs for two hours",
    "my brother came along",
    "it is set in a small town",
    "the cinema was half full",
    "we watched it at home",
    "it is based on a novel",
    "the director is new to me",
    "there is a train in it",
    "it came out last spring",
    "most of it takes place at night",
    "i had read about it before",
];
const CONJUNCTIONS: &[&str] = &[". ", ", and ", "; ", ". ", ", though ", ". also, "];

/// Generates the sample data set for a seed: 3,000 reviews for training and 1,000 for testing, half of
/// them `neg` and half `pos`.
pub fn generate(seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut split = |count: usize| {
        let labels: Vec<usize> = (0..count).map(|index| index % 2).collect();
        let texts = labels.iter().map(|&label| review(label == 1, &mut rng)).collect();
        Examples { texts, labels }
    };
    let (train, test) = (split(TRAIN), split(TEST));
    Dataset { name: "sample".into(), revision: None, labels: vec!["neg".into(), "pos".into()], train, test }
}

fn review(likes: bool, rng: &mut ChaCha8Rng) -> String {
    let mut text = clause(likes, rng);
    for _ in 0..rng.random_range(1..=3) {
        text.push_str(pick(CONJUNCTIONS, rng));
        let next = match rng.random_range(0..10) {
            0..6 => clause(likes, rng),
            6..8 => clause(!likes, rng),
            _ => pick(ASIDES, rng).to_owned(),
        };
        if text.ends_with(". ") {
            text.push_str(&capitalized(&next));
        } else {
            text.push_str(&next);
        }
    }
    text.push_str(pick(&[".", "!", ".", "..."], rng));
    capitalized(&text)
}

fn capitalized(text: &str) -> String {
    text[..1].to_uppercase() + &text[1..]
}

fn clause(likes: bool, rng: &mut ChaCha8Rng) -> String {
    let part = pick(PARTS, rng);
    let film = pick(FILMS, rng);
    match rng.random_range(0..6) {
        0 => format!("the {part} is {}", judgement(likes, rng)),
        1 => format!("i found the {part} {}", judgement(likes, rng)),
        2 => format!("what {} {film}", with_article(word(likes, rng))),
        3 => format!("i {} this {film}", pick(if likes { LIKED } else { DISLIKED }, rng)),
        4 => format!("this {film} is {}", judgement(likes, rng)),
        _ => {
            let [one, other] = [word(likes, rng), word(likes, rng)].map(with_article);
            format!("{one} {part} and {other} {}", pick(PARTS, rng))
        }
    }
}

/// An adjective, sometimes intensified, sometimes the negation of its opposite.
fn judgement(likes: bool, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..10) {
        0..5 => word(likes, rng).to_owned(),
        5..8 => format!("{} {}", pick(INTENSIFIERS, rng), word(likes, rng)),
        _ => format!("{} {}", pick(NEGATIONS, rng), word(!likes, rng)),
    }
}

fn with_article(word: &str) -> String {
    let starts_with_vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']) || word == "honest";
    let article = if starts_with_vowel { "an" } else { "a" };
    format!("{article} {word}")
}

fn word<'a>(good: bool, rng: &mut ChaCha8Rng) -> &'a str {
    pick(if good { GOOD } else { BAD }, rng)
}

fn pick<'a>(words: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_reviews() {
        assert_eq!(generate(7), generate(7));
        assert_ne!(generate(7), generate(8));
    }

    #[test]
    fn it_is_balanced_and_holds_negations_and_intensifiers() {
        let sample = generate(SAMPLE_SEED);
        assert_eq!((sample.train.len(), sample.test.len()), (TRAIN, TEST));
        assert_eq!(sample.train.labels.iter().sum::<usize>(), TRAIN / 2);
        let with = |word: &str| {
            sample.train.texts.iter().filter(|text| text.as_ref().is_ok_and(|text| text.contains(word))).count()
        };
        assert!(with(" not ") > 100 && with(" very ") > 100);
        assert!(sample.texts_in_both_splits().expect("reads") < TEST / 100, "the test split is not seen in training");
    }
}

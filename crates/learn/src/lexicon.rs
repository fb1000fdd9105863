//! The lexicon that a model starts from, and how it is trained: NBSVM (Wang and Manning 2012) by gradient descent.
//!
//! The score of a word or phrase of several words is a weight times its log-ratio *r*: how much more often texts of one
//! label contain it than others do. Descent on these weights moves a score by *r*² times its gradient, so that what is
//! as frequent under every label hardly moves, and their squares are penalised. A text counts a word once, however often
//! it is there. (No crate trains a linear model jointly with a network.)

use ahash::AHashMap;
use convlens_run::WordVectors;
use convlens_run::model::{EncoderSettings, LexiconEntries, MOST_WORDS_OF_PHRASE, ModelConfig, Role};
use convlens_run::text::Tokenizer;
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// What is added to the number of texts with a word, so that rare words have small ratios.
const SMOOTHING: f32 = 2.0;
/// A score starts from the log-ratio times this.
const START: f32 = 0.1;
/// The largest learning rate before it falls. Descent on the logistic loss of a linear model diverges above 8 / λ,
/// where λ is the largest eigenvalue of the mean of the outer products of the texts' features; the rate is below
/// that.
const RATE: f64 = 3.0;
const SAFE: f64 = 7.0;
/// The number of texts, and of steps of the power iteration, from which λ is estimated.
const TEXTS_FOR_RATE: usize = 1_000;
const ITERATIONS: usize = 8;
/// The features of a text that vectors bring are at most this many times as large, squared, in one direction as in the
/// median one.
const MOST_OF_DIRECTION: f64 = 20.0;
/// Where most directions have no features at all, the largest is shrunk to this share of itself.
const LEAST_SHARE: f64 = 1e-3;
/// The largest eigenvalue of the features that vectors bring, against that of the others.
const SHARED: f64 = 0.35;
/// The penalty of squared weights, against the sum of the losses of all texts.
const PENALTY: f64 = 1.5;
/// A phrase is in the lexicon if this many texts have it; one of two words if fewer do, where there are fewer than five
/// times 5,000 texts.
const TEXTS_OF_PHRASE: u32 = 5;
/// The maximum number of phrases times labels while counting.
const MOST_SCORES: usize = 1 << 22;
/// The maximum number of phrases, those whose ratios are furthest from chance, besides those that they begin with.
const MOST_PHRASES: usize = 100_000;
/// Phrases of one text only are forgotten when there are more than this while counting.
const MOST_COUNTED: usize = 1 << 23;
/// Stands after the words of a phrase that has fewer than the maximum.
const NO_WORD: u32 = u32::MAX;

/// The words of a phrase while counting, and then [`NO_WORD`].
type Phrase = [u32; MOST_WORDS_OF_PHRASE];

/// A lexicon counted on training texts.
#[derive(Clone, Debug)]
pub struct CountedLexicon {
    /// What it starts from.
    pub entries: LexiconEntries,
    /// The log-ratio of every word and phrase, `[vocab_size + pairs, outputs]`.
    pub(crate) ratios: Vec<f32>,
    /// The number of texts with every word and phrase.
    pub(crate) counts: Vec<u64>,
    /// The vectors of the words and phrases, if their scores share what they learn.
    pub(crate) vectors: Option<WordVectors>,
    /// The row of every pair.
    row_of: AHashMap<[u32; 2], usize>,
    /// The rows of some texts.
    sample: Vec<Vec<usize>>,
    /// The number of texts.
    texts: usize,
    /// The learning rate before it falls.
    rate: f64,
}

impl CountedLexicon {
    /// Counts the words of texts, and the phrases of up to `words` words. `each` hands every text, as ids, and the
    /// probability of each of its labels to a function; it is called twice. A text counts for each label as much as the
    /// label is probable.
    ///
    /// # Errors
    ///
    /// Those of `each`.
    pub fn new<E>(
        tokenizer: &Tokenizer,
        outputs: usize,
        words: usize,
        each: impl Fn(&mut dyn FnMut(&[u32], &[f32])) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (vocab_size, classes) = (tokenizer.vocab_size(), outputs.max(2));
        let mut counts: AHashMap<Phrase, u32> = AHashMap::new();
        let mut texts_of = vec![0.0f32; classes];
        let mut texts = 0;
        each(&mut |ids, probabilities| {
            texts += 1;
            texts_of.iter_mut().zip(probabilities).for_each(|(texts, probability)| *texts += probability);
            for phrase in distinct_phrases(ids, words, tokenizer.unk_id()) {
                *counts.entry(phrase).or_default() += 1;
            }
            if counts.len() > MOST_COUNTED {
                counts.retain(|_, count| *count > 1);
            }
        })?;
        let least = (texts / 5_000).clamp(2, TEXTS_OF_PHRASE as usize) as u32;
        let phrases = frequent(counts, least, MOST_SCORES / outputs);
        let index_of: AHashMap<Phrase, usize> = phrases.iter().enumerate().map(|(at, &phrase)| (phrase, at)).collect();
        let mut texts_with = vec![0.0f32; vocab_size * classes];
        let mut texts_with_phrase = vec![0.0f32; phrases.len() * classes];
        let (mut sample, every) = (Vec::new(), texts.div_ceil(TEXTS_FOR_RATE).max(1));
        let mut at = 0;
        each(&mut |ids, probabilities| {
            let add = |counts: &mut [f32], row: usize| {
                let of_row = &mut counts[row * classes..][..classes];
                of_row.iter_mut().zip(probabilities).for_each(|(texts, probability)| *texts += probability);
            };
            distinct_words(ids).into_iter().for_each(|id| add(&mut texts_with, id));
            let found = distinct_phrases(ids, words, None);
            let found = found.iter().filter_map(|phrase| index_of.get(phrase));
            found.for_each(|&phrase| add(&mut texts_with_phrase, phrase));
            if at % every == 0 {
                sample.push(ids.to_vec());
            }
            at += 1;
        })?;
        let kept = telling(&texts_with_phrase, &texts_of, MOST_PHRASES);
        let kept = with_beginnings(kept.into_iter().map(|at| phrases[at]));
        for phrase in &kept {
            match index_of.get(phrase) {
                Some(at) => texts_with.extend_from_slice(&texts_with_phrase[at * classes..][..classes]),
                None => texts_with.extend(std::iter::repeat_n(0.0, classes)),
            }
        }
        let pairs = pairs(&kept, vocab_size);
        let row_of = rows_of_pairs(&pairs, vocab_size);

        let ratios: Vec<f32> =
            texts_with.chunks_exact(classes).flat_map(|with| ratios(with, &texts_of, outputs)).collect();
        let role = |id: u32| tokenizer.token(id).map(|token| Role::of_word(&token)).unwrap_or_default();
        let entries = LexiconEntries {
            pairs,
            scores: ratios.iter().map(|ratio| ratio * START).collect(),
            roles: (0..vocab_size as u32).map(role).collect(),
            bias: prior(&texts_of, outputs),
        };
        let counts = texts_with.chunks_exact(classes).map(|with| with.iter().sum::<f32>().round() as u64).collect();
        let sample: Vec<Vec<usize>> = sample.iter().map(|ids| rows_of_text(ids, &row_of)).collect();
        let rate = rate(largest_eigenvalue(&sample, &ratios, outputs, None));
        Ok(Self { entries, ratios, counts, vectors: None, row_of, sample, texts, rate })
    }

    /// The same lexicon, whose words and phrases have vectors, `[vocab_size + pairs, dimensions]`: a step that moves the
    /// score of one moves the scores of others with similar vectors.
    ///
    /// The score of a row is then its log-ratio times the sum of a weight of its own and the product of its vector
    /// with weights that all rows share. Descent on both is descent on the scores with another metric, so the trained
    /// model has scores only.
    ///
    /// The sums of the vectors of texts, which are the features that the shared weights are multiplied by, differ most
    /// in how long the texts are. Directions in which they are this large are shrunk, because descent would be slow in
    /// all others.
    ///
    /// # Panics
    ///
    /// If there is not one vector for each row.
    pub fn with_vectors(mut self, mut vectors: WordVectors, outputs: usize) -> Self {
        let width = vectors.dimensions;
        assert_eq!(vectors.values.len(), self.counts.len() * width, "one vector for each row");
        let eigenvalue = largest_eigenvalue(&self.sample, &self.ratios, outputs, None);
        let features = largest_ratios(&self.ratios, outputs);
        let sums: Vec<Vec<f64>> = self.sample.iter().map(|rows| sum_of_vectors(rows, &vectors, &features)).collect();
        let sums = DMatrix::from_fn(sums.len(), width, |text, dimension| sums[text][dimension]);
        let SymmetricEigen { eigenvalues, eigenvectors } =
            SymmetricEigen::new(sums.tr_mul(&sums) / self.sample.len() as f64);
        let mut sorted: Vec<f64> = eigenvalues.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let largest = sorted[width - 1];
        if largest <= 0.0 {
            return self; // No text has a word with a vector.
        }
        // Directions without any texts in them are not blown up.
        let most = (sorted[width / 2] * MOST_OF_DIRECTION).clamp(LEAST_SHARE * largest, largest);
        let factors = eigenvalues.map(|value| (SHARED * eigenvalue / value.max(most)).sqrt());
        let map = &eigenvectors * DMatrix::from_diagonal(&factors) * eigenvectors.transpose();
        for vector in vectors.values.chunks_exact_mut(width) {
            let mapped = &map * DVector::from_iterator(width, vector.iter().map(|&value| f64::from(value)));
            vector.iter_mut().zip(&mapped).for_each(|(value, mapped)| *value = *mapped as f32);
        }
        self.rate = rate(largest_eigenvalue(&self.sample, &self.ratios, outputs, Some(&vectors)));
        self.vectors = Some(vectors);
        self
    }

    /// The rows of the distinct words and phrases of a text.
    pub fn rows(&self, ids: &[u32]) -> Vec<usize> {
        rows_of_text(ids, &self.row_of)
    }

    /// Sets the number of phrases in the settings of a model that has a lexicon.
    pub fn size<S: EncoderSettings>(&self, model: &mut ModelConfig<S>) {
        if let Some(lexicon) = &mut model.lexicon {
            lexicon.pairs = self.entries.pairs.len();
        }
    }

    /// The step that descent takes at a relative learning rate: what scores are multiplied by, and what their
    /// gradients are multiplied by besides the squares of the ratios.
    pub(crate) fn step(&self, relative_rate: f64) -> (f64, f64) {
        let rate = self.rate * relative_rate;
        (1.0 / (1.0 + rate * PENALTY / self.texts.max(1) as f64), rate)
    }
}

/// The distinct phrases of 2 to `most` words of a text, in ascending order, without those that have an `unknown` word.
fn distinct_phrases(ids: &[u32], most: usize, unknown: Option<u32>) -> Vec<Phrase> {
    let mut phrases = Vec::with_capacity(ids.len() * most.saturating_sub(1));
    for words in 2..=most.min(MOST_WORDS_OF_PHRASE) {
        for of_phrase in ids.windows(words) {
            if unknown.is_none_or(|id| !of_phrase.contains(&id)) {
                phrases.push(phrase(of_phrase));
            }
        }
    }
    phrases.sort_unstable();
    phrases.dedup();
    phrases
}

fn phrase(words: &[u32]) -> Phrase {
    let mut phrase = [NO_WORD; MOST_WORDS_OF_PHRASE];
    phrase[..words.len()].copy_from_slice(words);
    phrase
}

/// The words of a phrase.
fn words_of(phrase: &Phrase) -> &[u32] {
    &phrase[..phrase.iter().position(|&id| id == NO_WORD).unwrap_or(phrase.len())]
}

/// Up to `most` phrases that enough texts have, the most frequent ones, in ascending order: at least `least` texts for
/// two words, and [`TEXTS_OF_PHRASE`] for more, because those that few texts have are mostly accidents.
fn frequent(counts: AHashMap<Phrase, u32>, least: u32, most: usize) -> Vec<Phrase> {
    let least_of = |phrase: &Phrase| if words_of(phrase).len() > 2 { TEXTS_OF_PHRASE } else { least };
    let mut counts: Vec<(Phrase, u32)> =
        counts.into_iter().filter(|(phrase, count)| *count >= least_of(phrase)).collect();
    counts.sort_unstable_by(|(phrase, count), (other, others)| others.cmp(count).then(phrase.cmp(other)));
    counts.truncate(most.max(1));
    let mut phrases: Vec<Phrase> = counts.into_iter().map(|(phrase, _)| phrase).collect();
    phrases.sort_unstable();
    phrases
}

/// Phrases, and those of two words and more that they begin with, shorter ones first and in ascending order. If there is
/// none, a phrase that no text has.
fn with_beginnings(phrases: impl Iterator<Item = Phrase>) -> Vec<Phrase> {
    let mut all: Vec<Phrase> = Vec::new();
    for longest in phrases {
        let words = words_of(&longest);
        all.extend((2..=words.len()).map(|count| phrase(&words[..count])));
    }
    if all.is_empty() {
        all.push(phrase(&[0, 0]));
    }
    all.sort_unstable_by_key(|phrase| (words_of(phrase).len(), *phrase));
    all.dedup();
    all
}

/// Phrases as pairs of the row of what is before their last word, and this word: each after those that it begins with.
fn pairs(phrases: &[Phrase], vocab_size: usize) -> Vec<[u32; 2]> {
    let mut row_of: AHashMap<&[u32], u32> = AHashMap::with_capacity(phrases.len());
    let pair = |(row, phrase)| {
        let words = words_of(phrase);
        row_of.insert(words, row);
        let (last, before) = words.split_last().expect("a phrase has words");
        [row_of.get(before).copied().unwrap_or(before[0]), *last]
    };
    (vocab_size as u32..).zip(phrases).map(pair).collect()
}

/// The indices of up to `most` phrases, in ascending order, by the largest z-score of a label: the difference between the
/// number of its texts that have the phrase and the number that chance would give it, in standard deviations.
fn telling(texts_with: &[f32], texts_of: &[f32], most: usize) -> Vec<usize> {
    let (classes, all) = (texts_of.len(), texts_of.iter().sum::<f32>());
    let score = |with: &[f32]| {
        let count: f32 = with.iter().sum();
        let of_label = |(&found, &texts): (&f32, &f32)| {
            let share = texts / all;
            (found - count * share).abs() / (count * share * (1.0 - share)).sqrt().max(f32::MIN_POSITIVE)
        };
        with.iter().zip(texts_of).map(of_label).fold(0.0, f32::max)
    };
    let mut scored: Vec<(usize, f32)> = texts_with.chunks_exact(classes).map(score).enumerate().collect();
    scored.sort_by(|(at, score), (other, others)| others.total_cmp(score).then(at.cmp(other)));
    scored.truncate(most);
    let mut kept: Vec<usize> = scored.into_iter().map(|(at, _)| at).collect();
    kept.sort_unstable();
    kept
}

/// The log-ratio of the share of the texts of a label that have a word, `texts_with`, to the share of the others, for
/// each logit.
fn ratios(texts_with: &[f32], texts_of: &[f32], outputs: usize) -> Vec<f32> {
    let (all_with, all): (f32, f32) = (texts_with.iter().sum(), texts_of.iter().sum());
    let share = |with: f32, of: f32| ((with + SMOOTHING) / (of + 2.0 * SMOOTHING)).ln();
    let ratio = |class: usize| {
        let (with, of) = (texts_with[class], texts_of[class]);
        share(with, of) - share(all_with - with, all - of)
    };
    if outputs == 1 { vec![ratio(1)] } else { (0..outputs).map(ratio).collect() }
}

/// The logits of the shares of the labels.
fn prior(texts_of: &[f32], outputs: usize) -> Vec<f32> {
    let of = |class: usize| (texts_of[class] + 1.0).ln();
    if outputs == 1 { vec![of(1) - of(0)] } else { (0..outputs).map(|class| of(class) - of(0)).collect() }
}

/// The learning rate that is safe with this largest eigenvalue.
fn rate(eigenvalue: f64) -> f64 {
    RATE.min(SAFE / eigenvalue)
}

fn rows_of_pairs(pairs: &[[u32; 2]], vocab_size: usize) -> AHashMap<[u32; 2], usize> {
    pairs.iter().enumerate().map(|(at, &pair)| (pair, vocab_size + at)).collect()
}

/// The distinct words of a text, in ascending order.
fn distinct_words(ids: &[u32]) -> Vec<usize> {
    let mut words: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The rows of the distinct words and phrases of a text, in ascending order.
fn rows_of_text(ids: &[u32], row_of: &AHashMap<[u32; 2], usize>) -> Vec<usize> {
    let mut rows = Vec::with_capacity(2 * ids.len());
    // The rows of what ends at the position before, and of what ends at this one.
    let (mut before, mut here) = (Vec::new(), Vec::new());
    for &id in ids {
        here.push(id);
        here.extend(before.iter().filter_map(|&row| row_of.get(&[row, id])).map(|&row| row as u32));
        rows.extend(here.iter().map(|&row| row as usize));
        std::mem::swap(&mut before, &mut here);
        here.clear();
    }
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// For every word and phrase, its largest log-ratio of all labels.
pub(crate) fn largest_ratios(ratios: &[f32], outputs: usize) -> Vec<f64> {
    let largest = |of_row: &[f32]| f64::from(of_row.iter().fold(0.0f32, |largest, ratio| largest.max(ratio.abs())));
    ratios.chunks_exact(outputs).map(largest).collect()
}

/// The sum of the vectors of rows, each times its feature.
fn sum_of_vectors(rows: &[usize], vectors: &WordVectors, features: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors.dimensions];
    for &row in rows {
        let vector = &vectors.values[row * vectors.dimensions..][..vectors.dimensions];
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += features[row] * f64::from(*value));
    }
    sum
}

/// The largest eigenvalue of the mean over texts of the outer product of their features with themselves, by power
/// iteration. A feature is the log-ratio of a word or phrase of the text, the largest of all labels; if there are vectors,
/// the sum of those of the text, times these log-ratios, is a part of the features too.
fn largest_eigenvalue(texts: &[Vec<usize>], ratios: &[f32], outputs: usize, vectors: Option<&WordVectors>) -> f64 {
    let features = largest_ratios(ratios, outputs);
    let width = vectors.map_or(0, |vectors| vectors.dimensions);
    let of_text = |rows: &Vec<usize>| vectors.map_or_else(Vec::new, |all| sum_of_vectors(rows, all, &features));
    let shared: Vec<Vec<f64>> = texts.iter().map(of_text).collect();
    let (mut vector, mut vector_of_shared) = (features.clone(), vec![1.0; width]);
    let mut eigenvalue = 0.0;
    for _ in 0..ITERATIONS {
        let squares = vector.iter().chain(&vector_of_shared).map(|value| value * value);
        let norm = squares.sum::<f64>().sqrt();
        if norm == 0.0 {
            return f64::MIN_POSITIVE;
        }
        vector.iter_mut().chain(&mut vector_of_shared).for_each(|value| *value /= norm);
        let (mut next, mut next_of_shared) = (vec![0.0; vector.len()], vec![0.0; width]);
        for (rows, shared) in texts.iter().zip(&shared) {
            let product =
                rows.iter().map(|&row| features[row] * vector[row]).sum::<f64>() + dot(shared, &vector_of_shared);
            let count = texts.len() as f64;
            rows.iter().for_each(|&row| next[row] += product * features[row] / count);
            next_of_shared.iter_mut().zip(shared).for_each(|(next, value)| *next += product * value / count);
        }
        eigenvalue = dot(&vector, &next) + dot(&vector_of_shared, &next_of_shared);
        (vector, vector_of_shared) = (next, next_of_shared);
    }
    f64::max(eigenvalue, f64::MIN_POSITIVE)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelProbabilities;
    use convlens_run::text::{TokenizerKind, train};

    fn counted(texts: &[(&str, usize)], outputs: usize) -> (CountedLexicon, Tokenizer) {
        let words = texts.iter().map(|(text, _)| *text);
        let tokenizer = train(TokenizerKind::Contractions, 100, words).expect("a tokenizer");
        let counted = CountedLexicon::new(&tokenizer, outputs, 3, |count| {
            for (text, label) in texts {
                let probabilities = LabelProbabilities::of_labels(&[*label], outputs.max(2)).values;
                count(&tokenizer.ids(text).map_err(|error| error.to_string())?, &probabilities);
            }
            Ok::<_, String>(())
        });
        (counted.expect("counts"), tokenizer)
    }

    #[test]
    fn ratios_compare_the_shares_of_texts() {
        let texts = [("good film", 1), ("good good plot", 1), ("bad film", 0), ("bad plot", 0), ("a film", 0)];
        let (counted, tokenizer) = counted(&texts, 1);
        let ratio = |word: &str| counted.ratios[tokenizer.id(word).expect("is known") as usize];
        // 2 of 2 texts, and 0 of 3: ln((2 + 2) / (2 + 4)) − ln((0 + 2) / (3 + 4))
        assert!((ratio("good") - (4.0f32 / 6.0 / (2.0 / 7.0)).ln()).abs() < 1e-6);
        assert!(ratio("bad") < -0.5 && ratio("film").abs() < 0.2);
        assert!((counted.entries.bias[0] - (3.0f32 / 4.0).ln()).abs() < 1e-6);
        // Only the pair of the start and a word that two texts begin with is frequent.
        let start = |word: &str| [1, tokenizer.id(word).expect("is known")];
        let mut expected = vec![start("good"), start("bad")];
        expected.sort_unstable();
        assert_eq!(counted.entries.pairs, expected);
    }

    #[test]
    fn a_text_counts_as_much_as_its_label_is_probable() {
        let tokenizer = train(TokenizerKind::Contractions, 100, ["good film", "bad"].into_iter()).expect("a tokenizer");
        let texts = [("good", [0.25, 0.75]), ("good film", [0.5, 0.5]), ("bad", [1.0, 0.0])];
        let counted = CountedLexicon::new(&tokenizer, 1, 3, |count| {
            for (text, probabilities) in &texts {
                count(&tokenizer.ids(text).map_err(|error| error.to_string())?, probabilities);
            }
            Ok::<_, String>(())
        });
        let counted = counted.expect("counts");
        // 1.25 of 1.25 texts, and 0.75 of 1.75: ln((1.25 + 2) / (1.25 + 4)) − ln((0.75 + 2) / (1.75 + 4))
        let ratio = counted.ratios[tokenizer.id("good").expect("is known") as usize];
        assert!((ratio - (3.25f32 / 5.25 / (2.75 / 5.75)).ln()).abs() < 1e-6, "{ratio}");
        assert!((counted.entries.bias[0] - (2.25f32 / 2.75).ln()).abs() < 1e-6);
        assert_eq!(counted.texts, 3);
    }

    #[test]
    fn phrases_follow_what_they_begin_with() {
        // "not very good" is in five texts, and so is what it begins with.
        let texts = [("not very good", 0), ("a not very good", 1)].repeat(5);
        let (counted, tokenizer) = counted(&texts, 1);
        let id = |word: &str| tokenizer.id(word).expect("is known");
        let row_of = |pair: [u32; 2]| {
            let at = counted.entries.pairs.iter().position(|found| *found == pair);
            (tokenizer.vocab_size() + at.expect("a pair")) as u32
        };
        let not_very = row_of([id("not"), id("very")]);
        let not_very_good = row_of([not_very, id("good")]);
        assert!(not_very_good > not_very);
        let (words, phrases) = counted
            .entries
            .pairs
            .split_at(counted.entries.pairs.partition_point(|pair| pair[0] < tokenizer.vocab_size() as u32));
        assert!(words.is_sorted() && phrases.is_sorted() && !phrases.is_empty());
        let rows = counted.rows(&tokenizer.ids("very good not very good").expect("ids"));
        assert!(rows.is_sorted() && rows.contains(&(not_very_good as usize)));
        assert_eq!(rows.iter().filter(|&&row| row == not_very as usize).count(), 1);
        assert!(!counted.rows(&tokenizer.ids("not good").expect("ids")).contains(&(not_very as usize)));
        assert_eq!(counted.counts[not_very_good as usize], 10);
    }

    #[test]
    fn what_a_phrase_begins_with_is_kept_with_it() {
        let found = with_beginnings([phrase(&[5, 2, 3]), phrase(&[1, 4]), phrase(&[5, 2, 1])].into_iter());
        assert_eq!(found, [phrase(&[1, 4]), phrase(&[5, 2]), phrase(&[5, 2, 1]), phrase(&[5, 2, 3])]);
        assert_eq!(pairs(&found, 10), [[1, 4], [5, 2], [11, 1], [11, 3]]);
        assert_eq!(with_beginnings([].into_iter()), [phrase(&[0, 0])]);
    }

    #[test]
    fn the_most_telling_pairs_are_kept() {
        // Of ten texts of each label: in 3 and 3, in 5 and 0, in 2 and 1, in 0 and 2.
        let texts_with = [3.0, 3.0, 5.0, 0.0, 2.0, 1.0, 0.0, 2.0];
        assert_eq!(telling(&texts_with, &[10.0, 10.0], 2), [1, 3]);
        assert_eq!(telling(&texts_with, &[10.0, 10.0], 9), [0, 1, 2, 3]);
        assert_eq!(telling(&[1.0, 0.0], &[10.0, 0.0], 1), [0]);
    }

    #[test]
    fn every_label_has_a_ratio() {
        let (counted, tokenizer) = counted(&[("one x", 0), ("two x", 1), ("three x", 2), ("three y", 2)], 3);
        let ratios = |word: &str| {
            let id = tokenizer.id(word).expect("is known") as usize;
            counted.ratios[3 * id..3 * id + 3].to_vec()
        };
        assert!(ratios("one")[0] > 0.0 && ratios("one")[1] < 0.0 && ratios("one")[2] < 0.0);
        assert!(ratios("three")[2] > ratios("x")[2]);
    }

    #[test]
    fn texts_without_frequent_pairs_have_a_lexicon() {
        let (counted, _) = counted(&[("one", 0), ("two", 1)], 1);
        assert_eq!(counted.entries.pairs, [[0, 0]]);
    }

    // numpy.linalg.eigvalsh(numpy.mean([numpy.outer(x, x) for x in ([1, 2, 0], [0, 2, 3])], 0)).max()  ->  7.32842712474619
    #[test]
    fn the_largest_eigenvalue_matches_numpy() {
        let found = largest_eigenvalue(&[vec![0, 1], vec![1, 2]], &[1.0, -2.0, 3.0], 1, None);
        assert!((found - EXPECTED).abs() < 1e-3, "{found}");
    }

    const EXPECTED: f64 = 7.328_427_124_746_19;

    // numpy.linalg.eigvalsh(numpy.mean([numpy.outer(x, x) for x in ([1, 2, 0, -1.5], [0, 2, 3, 4])], 0)).max()
    #[test]
    fn the_sums_of_vectors_are_features_too() {
        let vectors = WordVectors { dimensions: 1, values: vec![0.5, -1.0, 2.0] };
        let found = largest_eigenvalue(&[vec![0, 1], vec![1, 2]], &[1.0, -2.0, 3.0], 1, Some(&vectors));
        assert!((found - EXPECTED_WITH_VECTORS).abs() < 1e-3, "{found}");
    }

    const EXPECTED_WITH_VECTORS: f64 = 14.591_189_379_048_163;

    #[test]
    fn vectors_are_scaled_to_the_other_features() {
        let texts = [("good film", 1), ("good good plot", 1), ("bad film", 0), ("bad plot", 0), ("a film", 0)];
        let (counted, _) = counted(&texts.repeat(4), 1);
        let (rows, width) = (counted.counts.len(), 3);
        // The first dimension is a hundred times as large as the others.
        let value = |at: usize| ((at * at) as f32).sin() * if at.is_multiple_of(width) { 100.0 } else { 1.0 };
        let vectors = WordVectors { dimensions: width, values: (0..rows * width).map(value).collect() };
        let own = largest_eigenvalue(&counted.sample, &counted.ratios, 1, None);
        let rate = counted.rate;
        let features = largest_ratios(&counted.ratios, 1);
        let moved = counted.with_vectors(vectors, 1);
        let vectors = moved.vectors.as_ref().expect("vectors");
        let sums = moved.sample.iter().map(|rows| DVector::from_vec(sum_of_vectors(rows, vectors, &features)));
        let moments = sums.map(|sum| &sum * sum.transpose()).reduce(|one, other| one + other).expect("texts");
        let eigenvalues = SymmetricEigen::new(moments / moved.sample.len() as f64).eigenvalues;
        assert!((eigenvalues.max() - SHARED * own).abs() < 1e-3 * own, "{eigenvalues} {own}");
        let mut sorted: Vec<f64> = eigenvalues.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        assert!((sorted[2] / sorted[1] - MOST_OF_DIRECTION).abs() < 0.1, "{sorted:?}");
        assert!(moved.rate <= rate);
    }

    #[test]
    fn vectors_in_few_directions_stay_finite() {
        let (counted, _) = counted(&[("good film", 1), ("bad film", 0)].repeat(5), 1);
        let rows = counted.counts.len();
        let zeros = counted.clone().with_vectors(WordVectors { dimensions: 4, values: vec![0.0; rows * 4] }, 1);
        assert!(zeros.vectors.is_none());
        let value = |at: usize| if at.is_multiple_of(4) { 1.0 } else { 0.0 };
        let one = WordVectors { dimensions: 4, values: (0..rows * 4).map(value).collect() };
        let moved = counted.with_vectors(one, 1).vectors.expect("vectors");
        assert!(moved.values.iter().all(|value| value.abs() < 1e3), "{:?}", moved.values);
    }

    #[test]
    fn the_rate_is_small_enough_for_texts_that_are_alike() {
        let texts = [("! ! ! ? .", 0), ("! ? - . ,", 1)];
        let (counted, _) = counted(&texts.repeat(20), 1);
        let (kept, rate) = counted.step(1.0);
        assert!(rate < RATE && kept > 0.0 && kept < 1.0, "{rate}, {kept}");
    }
}

//! The lexicon that a model starts from, and how it is trained: NBSVM (Wang and Manning 2012) by gradient descent.
//!
//! The score of a word or pair is a weight times its log-ratio *r*: how much more often texts of one label contain
//! it than others do. Descent on these weights moves a score by *r*² times its gradient, so that what is as frequent
//! under every label hardly moves, and their squares are penalised. A text counts a word once, however often it is
//! there. (No crate trains a linear model jointly with a network.)

use std::collections::HashMap;

use ahash::AHashMap;
use convlens_run::model::{EncoderSettings, LexiconEntries, ModelConfig, Role};
use convlens_run::text::Tokenizer;

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
/// The penalty of squared weights, against the sum of the losses of all texts.
const PENALTY: f64 = 1.5;
/// A pair is in the lexicon if this many texts have it, or fewer if there are fewer than five times 5,000 texts.
const TEXTS_OF_PAIR: usize = 5;
/// The maximum number of pairs times labels while counting.
const MOST_SCORES: usize = 1 << 22;
/// The maximum number of pairs: those whose ratios are furthest from chance.
const MOST_PAIRS: usize = 100_000;
/// Pairs of one text only are forgotten when there are more pairs than this while counting.
const MOST_COUNTED: usize = 1 << 23;

/// A lexicon counted on training texts.
#[derive(Clone, Debug)]
pub struct CountedLexicon {
    /// What it starts from.
    pub entries: LexiconEntries,
    /// The log-ratio of every word and pair, `[vocab_size + pairs, outputs]`.
    pub(crate) ratios: Vec<f32>,
    /// The number of texts.
    texts: usize,
    /// The learning rate before it falls.
    rate: f64,
}

impl CountedLexicon {
    /// Counts the words and pairs of texts. `each` hands every text, as ids, and the probability of each of its labels
    /// to a function; it is called twice. A text counts for each label as much as the label is probable.
    ///
    /// # Errors
    ///
    /// Those of `each`.
    pub fn new<E>(
        tokenizer: &Tokenizer,
        outputs: usize,
        each: impl Fn(&mut dyn FnMut(&[u32], &[f32])) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (vocab_size, classes) = (tokenizer.vocab_size(), outputs.max(2));
        let mut counts: AHashMap<[u32; 2], u32> = AHashMap::new();
        let mut texts_of = vec![0.0f32; classes];
        let mut texts = 0;
        each(&mut |ids, probabilities| {
            texts += 1;
            texts_of.iter_mut().zip(probabilities).for_each(|(texts, probability)| *texts += probability);
            for pair in distinct_pairs(ids, tokenizer.unk_id()) {
                *counts.entry(pair).or_default() += 1;
            }
            if counts.len() > MOST_COUNTED {
                counts.retain(|_, count| *count > 1);
            }
        })?;
        let least = (texts / 5_000).clamp(2, TEXTS_OF_PAIR) as u32;
        let mut pairs = frequent(counts, least, MOST_SCORES / outputs);
        let row_of: HashMap<[u32; 2], usize, ahash::RandomState> =
            pairs.iter().enumerate().map(|(at, &pair)| (pair, vocab_size + at)).collect();

        let mut texts_with = vec![0.0f32; (vocab_size + pairs.len()) * classes];
        let (mut sample, every) = (Vec::new(), texts.div_ceil(TEXTS_FOR_RATE).max(1));
        let mut at = 0;
        each(&mut |ids, probabilities| {
            let mut rows: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
            rows.sort_unstable();
            rows.dedup();
            rows.extend(distinct_pairs(ids, None).iter().filter_map(|pair| row_of.get(pair)));
            for row in &rows {
                let texts_with = &mut texts_with[row * classes..][..classes];
                texts_with.iter_mut().zip(probabilities).for_each(|(texts, probability)| *texts += probability);
            }
            if at % every == 0 {
                sample.push(rows);
            }
            at += 1;
        })?;
        let kept = telling(&texts_with[vocab_size * classes..], &texts_of, MOST_PAIRS);
        let row_now: AHashMap<usize, usize> =
            kept.iter().enumerate().map(|(now, &before)| (vocab_size + before, vocab_size + now)).collect();
        for rows in &mut sample {
            rows.retain_mut(|row| match row_now.get(row) {
                _ if *row < vocab_size => true,
                Some(now) => {
                    *row = *now;
                    true
                }
                None => false,
            });
        }
        let of_kept = kept.iter().flat_map(|&at| &texts_with[(vocab_size + at) * classes..][..classes]);
        let texts_with: Vec<f32> = texts_with[..vocab_size * classes].iter().chain(of_kept).copied().collect();
        pairs = kept.iter().map(|&at| pairs[at]).collect();
        let ratios: Vec<f32> =
            texts_with.chunks_exact(classes).flat_map(|with| ratios(with, &texts_of, outputs)).collect();
        let role = |id: u32| tokenizer.token(id).map(|token| Role::of_word(&token)).unwrap_or_default();
        let entries = LexiconEntries {
            pairs,
            scores: ratios.iter().map(|ratio| ratio * START).collect(),
            roles: (0..vocab_size as u32).map(role).collect(),
            bias: prior(&texts_of, outputs),
        };
        let rate = RATE.min(SAFE / largest_eigenvalue(&sample, &ratios, outputs));
        Ok(Self { entries, ratios, texts, rate })
    }

    /// Sets the number of pairs in the settings of a model that has a lexicon.
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

/// The distinct pairs of neighbours in a text, in ascending order, without those of which one is `unknown`.
fn distinct_pairs(ids: &[u32], unknown: Option<u32>) -> Vec<[u32; 2]> {
    let pairs = ids.windows(2).map(|pair| [pair[0], pair[1]]);
    let mut pairs: Vec<[u32; 2]> = pairs.filter(|pair| unknown.is_none_or(|id| !pair.contains(&id))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Up to `most` pairs that at least `least` texts have, the most frequent ones, in ascending order. If there is none,
/// a pair that no text has.
fn frequent(counts: AHashMap<[u32; 2], u32>, least: u32, most: usize) -> Vec<[u32; 2]> {
    let mut counts: Vec<([u32; 2], u32)> = counts.into_iter().filter(|(_, count)| *count >= least).collect();
    counts.sort_unstable_by(|(pair, count), (other, others)| others.cmp(count).then(pair.cmp(other)));
    counts.truncate(most.max(1));
    let mut pairs: Vec<[u32; 2]> = counts.into_iter().map(|(pair, _)| pair).collect();
    pairs.sort_unstable();
    if pairs.is_empty() { vec![[0, 0]] } else { pairs }
}

/// The indices of up to `most` pairs, in ascending order, by the largest z-score of a label: the difference between the
/// number of its texts that have the pair and the number that chance would give it, in standard deviations.
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

/// The largest eigenvalue of the mean over texts of the outer product of their features with themselves, by power
/// iteration. A feature is the log-ratio of a word or pair of the text, the largest of all labels.
fn largest_eigenvalue(texts: &[Vec<usize>], ratios: &[f32], outputs: usize) -> f64 {
    let largest = |of_row: &[f32]| f64::from(of_row.iter().fold(0.0f32, |largest, ratio| largest.max(ratio.abs())));
    let features: Vec<f64> = ratios.chunks_exact(outputs).map(largest).collect();
    let mut vector = features.clone();
    let mut eigenvalue = 0.0;
    for _ in 0..ITERATIONS {
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        if norm == 0.0 {
            return f64::MIN_POSITIVE;
        }
        vector.iter_mut().for_each(|value| *value /= norm);
        let mut next = vec![0.0; vector.len()];
        for rows in texts {
            let product: f64 = rows.iter().map(|&row| features[row] * vector[row]).sum();
            rows.iter().for_each(|&row| next[row] += product * features[row] / texts.len() as f64);
        }
        eigenvalue = vector.iter().zip(&next).map(|(one, other)| one * other).sum();
        vector = next;
    }
    f64::max(eigenvalue, f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabelProbabilities;
    use convlens_run::text::{TokenizerKind, train};

    fn counted(texts: &[(&str, usize)], outputs: usize) -> (CountedLexicon, Tokenizer) {
        let words = texts.iter().map(|(text, _)| *text);
        let tokenizer = train(TokenizerKind::Contractions, 100, words).expect("a tokenizer");
        let counted = CountedLexicon::new(&tokenizer, outputs, |count| {
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
        let counted = CountedLexicon::new(&tokenizer, 1, |count| {
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
        let found = largest_eigenvalue(&[vec![0, 1], vec![1, 2]], &[1.0, -2.0, 3.0], 1);
        assert!((found - EXPECTED).abs() < 1e-3, "{found}");
    }

    const EXPECTED: f64 = 7.328_427_124_746_19;

    #[test]
    fn the_rate_is_small_enough_for_texts_that_are_alike() {
        let texts = [("! ! ! ? .", 0), ("! ? - . ,", 1)];
        let (counted, _) = counted(&texts.repeat(20), 1);
        let (kept, rate) = counted.step(1.0);
        assert!(rate < RATE && kept > 0.0 && kept < 1.0, "{rate}, {kept}");
    }
}

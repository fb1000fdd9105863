//! Vectors of the words and phrases of a lexicon, from which texts they are in: two that are in similar texts have
//! similar vectors. No label is needed for that, so what the labels teach of one carries over to the other.
//!
//! These are the paragraph vectors of Le and Mikolov (2014, section 2.3, distributed bag of words) with n-grams as well
//! as words (Li et al. 2016, *Learning Document Embeddings by Predicting N-grams for Sentiment Classification of Long
//! Movie Reviews*): every text has a vector too, and a word or phrase is told from random ones by the cosine of its
//! vector with that of its text (Thongtan and Phienthrakul 2019, *Sentiment Classification using Document Embeddings
//! trained with Cosine Similarity*). Words and phrases that are as frequent under every label are left out, as they say
//! little about what sets texts apart.

use convlens_run::WordVectors;
use rand::{Rng, RngExt};

use crate::batches::draws;
use crate::lexicon::largest_ratios;
use crate::vectors::{add, dot, drawn, table};
use crate::{CountedLexicon, TextPosition, VectorLoss};

/// The number of random words and phrases that one of a text is told from.
const NEGATIVES: usize = 5;
/// What a cosine is multiplied by to be a logit (Thongtan and Phienthrakul 2019, section 3).
const SCALE: f32 = 6.0;
/// A word or phrase is read with a probability of its log-ratio to this power.
const POWER: f64 = 1.5;
/// The size of the first step. It falls linearly.
const RATE: f32 = 0.3;
/// Changes the seed, so that the draws differ from those of the training that follows.
const SALT: u64 = 0x6c65_7869_636f_6e21;

/// Vectors of the words and phrases of a lexicon in training.
#[derive(Clone, Debug)]
pub struct LexiconVectorLearner<'a> {
    lexicon: &'a CountedLexicon,
    dimensions: usize,
    seed: u64,
    /// A vector of length 1 for each word and phrase, `[rows, dimensions]`.
    rows: Vec<f32>,
    /// A vector of length 1 for each text, `[texts, dimensions]`.
    texts: Vec<f32>,
    /// The probability that a word or phrase is read.
    read: Vec<f32>,
    /// Rows as often as they are drawn.
    table: Vec<u32>,
}

impl<'a> LexiconVectorLearner<'a> {
    /// Vectors of `dimensions` dimensions for the words and phrases of a lexicon with this many logits, to be learned from
    /// this many texts.
    pub fn new(lexicon: &'a CountedLexicon, outputs: usize, texts: usize, dimensions: usize, seed: u64) -> Self {
        let dimensions = dimensions.max(1);
        let mut rng = draws(seed ^ SALT, 0, 0);
        let mut draw = |count: usize| {
            let mut values: Vec<f32> = (0..count * dimensions).map(|_| rng.random::<f32>() - 0.5).collect();
            values.chunks_exact_mut(dimensions).for_each(normalise);
            values
        };
        let (rows, texts) = (draw(lexicon.counts.len()), draw(texts));
        let ratios = largest_ratios(&lexicon.ratios, outputs);
        let read: Vec<f32> = ratios.iter().map(|ratio| ratio.powf(POWER).min(1.0) as f32).collect();
        let table = table(&lexicon.counts, &read);
        Self { lexicon, dimensions, seed, rows, texts, read, table }
    }

    /// Learns from a text, as ids below the size of the vocabulary.
    pub fn read(&mut self, ids: &[u32], at: TextPosition) -> VectorLoss {
        if self.table.is_empty() {
            return VectorLoss::default();
        }
        let remaining = 1.0 - at.done as f64 / at.texts.max(1) as f64;
        let rate = RATE * remaining.max(1e-3) as f32;
        let rows = self.lexicon.rows(ids);
        pulp::Arch::new().dispatch(Reading { learner: self, rows, at, rate })
    }

    /// The vectors of the words and phrases. Those that were never read have none.
    pub fn vectors(&self) -> WordVectors {
        let mut values = self.rows.clone();
        let unread = self.read.iter().enumerate().filter(|(_, read)| **read == 0.0);
        unread.for_each(|(row, _)| values[row * self.dimensions..][..self.dimensions].fill(0.0));
        WordVectors { dimensions: self.dimensions, values }
    }

    /// What has been learned so far, to be [restored](Self::restore): the vectors of words and phrases, then of texts.
    pub fn state(&self) -> [&[f32]; 2] {
        [&self.rows, &self.texts]
    }

    /// Goes on from what [`state`](Self::state) returned; false, and nothing changes, if it does not fit.
    pub fn restore(&mut self, [rows, texts]: [Vec<f32>; 2]) -> bool {
        let fits = rows.len() == self.rows.len() && texts.len() == self.texts.len();
        if fits {
            (self.rows, self.texts) = (rows, texts);
        }
        fits
    }
}

/// The reading of a text, compiled for several processors; the one that it runs on decides.
struct Reading<'a, 'b> {
    learner: &'a mut LexiconVectorLearner<'b>,
    rows: Vec<usize>,
    at: TextPosition,
    rate: f32,
}

impl pulp::WithSimd for Reading<'_, '_> {
    type Output = VectorLoss;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> VectorLoss {
        let Self { learner, rows, at, rate } = self;
        let width = learner.dimensions;
        let mut rng = draws(learner.seed ^ SALT, at.epoch, at.text);
        let text = &mut learner.texts[at.text * width..][..width];
        let mut gradient = vec![0.0; width];
        let mut loss = VectorLoss::default();
        for row in rows {
            let chance = learner.read[row];
            if chance < 1.0 && rng.random::<f32>() >= chance {
                continue;
            }
            gradient.fill(0.0);
            for draw in 0..=NEGATIVES {
                let (row, target) = match draw {
                    0 => (row, 1.0),
                    _ => (drawn(&learner.table, rng.next_u32()) as usize, 0.0),
                };
                let vector = &mut learner.rows[row * width..][..width];
                let cosine = dot(text, vector);
                let probability = 1.0 / (1.0 + (-SCALE * cosine).exp());
                let step = rate * (target - probability);
                // The gradient of the cosine of two vectors of length 1, which they keep.
                add(&mut gradient, vector, step);
                add(&mut gradient, text, -step * cosine);
                vector.iter_mut().zip(&*text).for_each(|(value, text)| *value += step * (text - cosine * *value));
                normalise(vector);
                let right = if target > 0.5 { probability } else { 1.0 - probability };
                loss.sum -= f64::from((right + 1e-9).ln());
            }
            add(text, &gradient, 1.0);
            normalise(text);
            loss.predictions += 1;
        }
        loss
    }
}

/// Makes the length of a vector 1.
#[inline(always)]
fn normalise(vector: &mut [f32]) {
    let scale = dot(vector, vector).max(f32::MIN_POSITIVE).sqrt().recip();
    vector.iter_mut().for_each(|value| *value *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_run::text::{Tokenizer, TokenizerKind, train};

    /// Texts of two kinds of words, with labels that depend on the kind in most of them.
    fn texts() -> Vec<(String, usize)> {
        let kinds = [["good", "great", "fine", "best"], ["bad", "awful", "poor", "worst"]];
        let text = |at: usize| {
            let words = kinds[at % 2];
            (format!("film {} {} {} film", words[at % 4], words[at / 2 % 4], words[at / 8 % 4]), at % 2)
        };
        (0..80).map(text).collect()
    }

    fn counted() -> (CountedLexicon, Tokenizer) {
        let texts = texts();
        let tokenizer = train(TokenizerKind::Words, 100, texts.iter().map(|(text, _)| text.as_str()));
        let tokenizer = tokenizer.expect("a tokenizer");
        let counted = CountedLexicon::new(&tokenizer, 1, 3, |count| {
            for (text, label) in &texts {
                count(&tokenizer.ids(text).map_err(|error| error.to_string())?, &[[1.0, 0.0], [0.0, 1.0]][*label]);
            }
            Ok::<_, String>(())
        });
        (counted.expect("counts"), tokenizer)
    }

    fn trained<'a>(counted: &'a CountedLexicon, tokenizer: &Tokenizer, seed: u64) -> LexiconVectorLearner<'a> {
        let (texts, epochs) = (texts(), 30);
        let mut learner = LexiconVectorLearner::new(counted, 1, texts.len(), 8, seed);
        for done in 0..epochs * texts.len() {
            let (epoch, text) = (done / texts.len() + 1, done % texts.len());
            let ids = tokenizer.ids(&texts[text].0).expect("ids");
            let loss = learner.read(&ids, TextPosition { epoch, text, done, texts: epochs * texts.len() });
            assert!(loss.sum.is_finite() && loss.sum >= 0.0);
        }
        learner
    }

    #[test]
    fn words_of_similar_texts_have_similar_vectors() {
        let (counted, tokenizer) = counted();
        let learner = trained(&counted, &tokenizer, 3);
        let WordVectors { dimensions, values } = learner.vectors();
        let vector = |word: &str| {
            let row = tokenizer.id(word).expect("is known") as usize;
            &values[row * dimensions..][..dimensions]
        };
        let cosine = |one: &str, other: &str| dot(vector(one), vector(other));
        assert!(cosine("good", "best") > cosine("good", "worst") + 0.5, "{}", cosine("good", "worst"));
        assert!((cosine("good", "good") - 1.0).abs() < 1e-5);
        assert_eq!(learner.vectors(), trained(&counted, &tokenizer, 3).vectors());
        assert_ne!(learner.vectors(), trained(&counted, &tokenizer, 4).vectors());
    }

    #[test]
    fn what_is_as_frequent_under_every_label_has_no_vector() {
        let (counted, tokenizer) = counted();
        let row = tokenizer.id("film").expect("is known") as usize;
        assert_eq!(counted.ratios[row], 0.0);
        let vectors = trained(&counted, &tokenizer, 3).vectors();
        assert!(vectors.values[row * 8..][..8].iter().all(|value| *value == 0.0));
    }

    #[test]
    fn learning_goes_on_from_its_state() {
        let (counted, tokenizer) = counted();
        let learner = trained(&counted, &tokenizer, 3);
        let mut other = LexiconVectorLearner::new(&counted, 1, 80, 8, 9);
        assert!(other.restore(learner.state().map(<[f32]>::to_vec)));
        assert_eq!(other.vectors(), learner.vectors());
        let mut smaller = LexiconVectorLearner::new(&counted, 1, 79, 8, 9);
        assert!(!smaller.restore(learner.state().map(<[f32]>::to_vec)));
    }
}

//! Word vectors from texts without labels: the words around a phrase are predicted from the words in it.
//!
//! This is the two-view embedding of a region of Johnson and Zhang (2015b, *Semi-supervised Convolutional Neural
//! Networks for Text Categorization via Region Embedding*, section 3): one view is a region of five words, the
//! other its neighbourhood, and what is learned of the first is whatever predicts the second. The loss is that of
//! negative sampling (Mikolov et al. 2013, *Distributed Representations of Words and Phrases*, equation 4), as in
//! word2vec. (The crates for word2vec train from files of their own, hold neither a region nor a checkpoint, and
//! give other numbers with every run.)

use convlens_run::WordVectors;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};

use crate::batches::draws;

/// The number of words in a region.
const REGION: usize = 5;
/// The number of words on either side of a region that are predicted from it.
const REACH: usize = 5;
/// The number of random words that a region must tell from its neighbours.
const NEGATIVES: usize = 10;
/// The weight of all random words, against that of the neighbours.
const WEIGHT_OF_NEGATIVES: f32 = 2.0;
/// The power of a word's frequency that it is drawn with (Mikolov et al. 2013, section 2.2).
const POWER: f64 = 0.75;
/// The frequency from which on words are left out of the neighbourhood at random (Mikolov et al. 2013, equation 5).
const FREQUENT: f64 = 1e-4;
/// The number of the most frequent words that are never predicted: they say little about a region.
const FUNCTION_WORDS: usize = 50;
/// The number of entries in the table that random words are drawn from.
const TABLE: usize = 1 << 20;
/// The size of the first step. It falls linearly.
const RATE: f32 = 0.004;
/// Changes the seed, so that the draws differ from those of the training that follows.
const SALT: u64 = 0x7665_6374_6f72_7321;
/// The number of sums that the compiler can add side by side.
const LANES: usize = 16;

/// Word vectors in training.
#[derive(Clone, Debug)]
pub struct VectorLearner {
    dimensions: usize,
    seed: u64,
    /// What a word contributes to the vector of its region, `[vocab_size, dimensions]`.
    inputs: Vec<f32>,
    /// What a region's vector is multiplied by to predict a word, `[vocab_size, dimensions]`.
    outputs: Vec<f32>,
    /// The probability that a word is predicted where it is a neighbour; 0 for words that never are.
    predicted: Vec<f32>,
    /// Words as often as they are drawn.
    table: Vec<u32>,
}

/// The position of a text in training.
#[derive(Clone, Copy, Debug)]
pub struct TextPosition {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The index of the text.
    pub text: usize,
    /// The number of texts read before, in all epochs.
    pub done: usize,
    /// The number of texts to read, in all epochs.
    pub texts: usize,
}

/// The loss of a text.
#[derive(Clone, Copy, Debug, Default)]
pub struct VectorLoss {
    /// The sum over what was predicted, in nats.
    pub sum: f64,
    /// The number of predictions.
    pub predictions: usize,
}

impl VectorLearner {
    /// Vectors of `dimensions` dimensions for words that occur as often as `counts` says. Ids in `special` are not
    /// words: they are never predicted, and have no vector in the end.
    pub fn new(counts: &[u64], special: &[u32], dimensions: usize, seed: u64) -> Self {
        let mut rng = draws(seed ^ SALT, 0, 0);
        let dimensions = dimensions.max(1);
        let values = counts.len() * dimensions;
        let mut draw = |scale: f32| (0..values).map(|_| (rng.random::<f32>() - 0.5) * scale).collect();
        let (inputs, outputs) = (draw(0.2), draw(0.02));
        let predicted = predicted(counts, special);
        let table = table(counts, &predicted);
        Self { dimensions, seed, inputs, outputs, predicted, table }
    }

    /// Learns from a text, as ids below the size of the vocabulary.
    pub fn read(&mut self, ids: &[u32], at: TextPosition) -> VectorLoss {
        if self.table.is_empty() {
            return VectorLoss::default();
        }
        let remaining = 1.0 - at.done as f64 / at.texts.max(1) as f64;
        let rate = RATE * remaining.max(1e-3) as f32;
        let rng = draws(self.seed ^ SALT, at.epoch, at.text);
        pulp::Arch::new().dispatch(Reading { learner: self, ids, rate, rng })
    }

    /// The vectors: centred, so that they do not share a direction, and on average of length 1.
    pub fn vectors(&self) -> WordVectors {
        let width = self.dimensions;
        let is_word = |id: usize| self.predicted[id] >= 0.0;
        let rows = || self.inputs.chunks_exact(width).enumerate().filter(|(id, _)| is_word(*id));
        let count = rows().count().max(1) as f32;
        let mut mean = vec![0.0; width];
        rows().for_each(|(_, row)| mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / count));
        let squares = rows().flat_map(|(_, row)| row.iter().zip(&mean)).map(|(value, mean)| (value - mean).powi(2));
        let scale = (squares.map(f64::from).sum::<f64>() / f64::from(count)).sqrt().max(1e-12) as f32;
        let mut values = vec![0.0; self.inputs.len()];
        for (id, row) in rows() {
            let vector = &mut values[id * width..][..width];
            vector.iter_mut().zip(row).zip(&mean).for_each(|((out, value), mean)| *out = (value - mean) / scale);
        }
        WordVectors { dimensions: width, values }
    }

    /// What has been learned so far, to be [restored](Self::restore): the values of regions, then of predictions.
    pub fn state(&self) -> [&[f32]; 2] {
        [&self.inputs, &self.outputs]
    }

    /// Goes on from what [`state`](Self::state) returned; false, and nothing changes, if it does not fit.
    pub fn restore(&mut self, [inputs, outputs]: [Vec<f32>; 2]) -> bool {
        let fits = inputs.len() == self.inputs.len() && outputs.len() == self.outputs.len();
        if fits {
            (self.inputs, self.outputs) = (inputs, outputs);
        }
        fits
    }
}

/// The probability that a word is predicted where it is a neighbour; -1 for ids that are not words.
fn predicted(counts: &[u64], special: &[u32]) -> Vec<f32> {
    let mut words: Vec<usize> = (0..counts.len()).filter(|&id| !special.contains(&(id as u32))).collect();
    let all = words.iter().map(|&id| counts[id]).sum::<u64>().max(1) as f64;
    let mut predicted = vec![-1.0; counts.len()];
    // In a small vocabulary a smaller part is function words.
    words.sort_by_key(|&id| std::cmp::Reverse(counts[id]));
    let skipped = FUNCTION_WORDS.min(words.len() / 20);
    for (rank, &id) in words.iter().enumerate() {
        let share = counts[id] as f64 / all / FREQUENT;
        let kept = if share > 0.0 { (share.sqrt().recip() + share.recip()).min(1.0) } else { 0.0 };
        predicted[id] = if rank < skipped { 0.0 } else { kept as f32 };
    }
    predicted
}

/// Words as often as they are drawn, in a table of bounded size.
pub(crate) fn table(counts: &[u64], predicted: &[f32]) -> Vec<u32> {
    let weight = |id: usize| (counts[id] as f64 * f64::from(predicted[id].max(0.0))).powf(POWER);
    let all: f64 = (0..counts.len()).map(weight).sum();
    let mut sum = 0.0;
    let mut table = Vec::with_capacity(TABLE);
    for id in 0..counts.len() {
        sum += weight(id);
        let end = if all > 0.0 { (sum / all * TABLE as f64).round() as usize } else { 0 };
        table.resize(end.max(table.len()), id as u32);
    }
    table
}

/// The reading of a text, compiled for several processors; the one that it runs on decides.
struct Reading<'a> {
    learner: &'a mut VectorLearner,
    ids: &'a [u32],
    rate: f32,
    rng: ChaCha8Rng,
}

impl pulp::WithSimd for Reading<'_> {
    type Output = VectorLoss;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _simd: S) -> VectorLoss {
        let width = self.learner.dimensions;
        let (mut region, mut gradient) = (vec![0.0; width], vec![0.0; width]);
        let mut loss = VectorLoss::default();
        for start in 0..(self.ids.len() + 1).saturating_sub(REGION) {
            region.fill(0.0);
            for &id in &self.ids[start..start + REGION] {
                add(&mut region, &self.learner.inputs[id as usize * width..][..width], 1.0);
            }
            region.iter_mut().for_each(|value| *value = value.max(0.0));
            gradient.fill(0.0);
            let neighbours = self.neighbours(start, &region, &mut gradient, &mut loss);
            if neighbours == 0 {
                continue;
            }
            loss.predictions += neighbours;
            let weight = WEIGHT_OF_NEGATIVES * neighbours as f32 / NEGATIVES as f32;
            for _ in 0..NEGATIVES {
                let id = drawn(&self.learner.table, self.rng.next_u32());
                loss.sum += f64::from(self.predict(id, 0.0, weight, &region, &mut gradient));
            }
            for (gradient, value) in gradient.iter_mut().zip(&region) {
                *gradient = if *value > 0.0 { *gradient } else { 0.0 };
            }
            for &id in &self.ids[start..start + REGION] {
                add(&mut self.learner.inputs[id as usize * width..][..width], &gradient, 1.0);
            }
        }
        loss
    }
}

impl Reading<'_> {
    /// Predicts the neighbours of the region that begins at `start`, and returns their number.
    #[inline(always)]
    fn neighbours(&mut self, start: usize, region: &[f32], gradient: &mut [f32], loss: &mut VectorLoss) -> usize {
        let before = start.saturating_sub(REACH)..start;
        let after = start + REGION..self.ids.len().min(start + REGION + REACH);
        let mut count = 0;
        for at in before.chain(after) {
            let id = self.ids[at];
            let predicted = self.learner.predicted[id as usize];
            if predicted >= 1.0 || (predicted > 0.0 && self.rng.random::<f32>() < predicted) {
                loss.sum += f64::from(self.predict(id, 1.0, 1.0, region, gradient));
                count += 1;
            }
        }
        count
    }

    /// Moves the prediction of a word towards `target`, adds the gradient of the region, and returns the loss.
    #[inline(always)]
    fn predict(&mut self, id: u32, target: f32, weight: f32, region: &[f32], gradient: &mut [f32]) -> f32 {
        let width = region.len();
        let output = &mut self.learner.outputs[id as usize * width..][..width];
        let probability = 1.0 / (1.0 + (-dot(region, output)).exp());
        let step = self.rate * weight * (target - probability);
        add(gradient, output, step);
        add(output, region, step);
        let right = if target > 0.5 { probability } else { 1.0 - probability };
        -weight * (right + 1e-9).ln()
    }
}

/// The entry of a table of up to [`TABLE`] that a random number draws.
#[inline(always)]
pub(crate) fn drawn(table: &[u32], number: u32) -> u32 {
    table[((u64::from(number) * table.len() as u64) >> 32) as usize]
}

#[inline(always)]
pub(crate) fn add(sum: &mut [f32], part: &[f32], factor: f32) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part * factor);
}

#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts in which the words 2 to 5 are in the same places as each other, and 6 to 9 in other places.
    fn texts() -> Vec<Vec<u32>> {
        let text = |text: u32| -> Vec<u32> {
            let own = if text.is_multiple_of(2) { 2 } else { 6 };
            (0..30).map(|at| if at % 3 == 0 { 10 + own } else { own + (at * 7 + text * 5) % 4 }).collect()
        };
        (0..200).map(text).collect()
    }

    fn trained(seed: u64) -> (VectorLearner, Vec<f64>) {
        let (texts, epochs) = (texts(), 12);
        let mut counts = vec![0; 18];
        texts.iter().flatten().for_each(|&id| counts[id as usize] += 1);
        let mut learner = VectorLearner::new(&counts, &[0, 1], 24, seed);
        let losses = (1..=epochs).map(|epoch| {
            let mut all = VectorLoss::default();
            for (text, ids) in texts.iter().enumerate() {
                let done = (epoch - 1) * texts.len() + text;
                let loss = learner.read(ids, TextPosition { epoch, text, done, texts: epochs * texts.len() });
                all = VectorLoss { sum: all.sum + loss.sum, predictions: all.predictions + loss.predictions };
            }
            all.sum / all.predictions as f64
        });
        let losses = losses.collect();
        (learner, losses)
    }

    #[test]
    fn words_in_the_same_places_have_similar_vectors() {
        let (learner, losses) = trained(3);
        assert!(losses[11] < losses[0] - 0.1, "{losses:?}");
        let WordVectors { dimensions, values } = learner.vectors();
        let vector = |id: usize| &values[id * dimensions..][..dimensions];
        let cosine = |a: usize, b: usize| {
            let [ab, aa, bb] = [(a, b), (a, a), (b, b)].map(|(a, b)| dot(vector(a), vector(b)));
            ab / (aa * bb).sqrt()
        };
        assert!(cosine(2, 3) > cosine(2, 7) + 0.5, "{} and {}", cosine(2, 3), cosine(2, 7));
        assert!(vector(0).iter().chain(vector(1)).all(|&value| value == 0.0));
        assert_eq!(learner.vectors(), trained(3).0.vectors());
        assert_ne!(learner.vectors(), trained(4).0.vectors());
    }

    #[test]
    fn training_goes_on_from_its_state() {
        let (learner, _) = trained(3);
        let mut other = VectorLearner::new(&[0, 0, 5, 5], &[], 24, 3);
        assert!(!other.restore(learner.state().map(<[f32]>::to_vec)));
        let mut counts = vec![0; 18];
        texts().iter().flatten().for_each(|&id| counts[id as usize] += 1);
        let mut other = VectorLearner::new(&counts, &[0, 1], 24, 9);
        assert!(other.restore(learner.state().map(<[f32]>::to_vec)));
        assert_eq!(other.vectors(), learner.vectors());
    }

    #[test]
    fn texts_that_teach_nothing_are_read() {
        let mut learner = VectorLearner::new(&[3, 0], &[0], 4, 0);
        let at = TextPosition { epoch: 1, text: 0, done: 0, texts: 1 };
        for ids in [&[][..], &[1; 4], &[0; 30]] {
            assert_eq!(learner.read(ids, at).predictions, 0);
        }
        assert!(learner.vectors().values.iter().all(|value| value.is_finite()));
    }
}

//! What follows the sums of a layer while they are in the cache: ReLU, then dropout.
//!
//! Dropout stores no mask. Whether a value is dropped is a hash of a seed, its row and its channel, so that
//! the backward pass finds it again, and the number of threads has no effect. Burn's dropout draws one
//! number after the other on one thread, which took half of a training step of a stack.

use burn::tensor::{Device, Distribution, Tensor, TensorData, activation};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::vectorized;
use super::tensor;

/// How many rows a thread takes at a time. The tests divide small tensors too.
const ROWS: usize = if cfg!(test) { 16 } else { 256 };

/// ReLU, dropout, both or neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epilogue {
    relu: bool,
    /// The probability that a value is dropped.
    dropout: f64,
    seed: u64,
}

impl Epilogue {
    /// Changes nothing.
    pub const NONE: Self = Self { relu: false, dropout: 0.0, seed: 0 };
    /// ReLU alone.
    pub const RELU: Self = Self { relu: true, ..Self::NONE };

    /// ReLU if `relu`, then dropout with this probability, which is below 1. Its seed is drawn from `device`.
    pub fn new(relu: bool, dropout: f64, device: &Device) -> Self {
        assert!((0.0..1.0).contains(&dropout), "a dropout of {dropout}");
        let has_kernels = device.clone().inner() == Device::flex();
        Self { relu, dropout, seed: if dropout > 0.0 && has_kernels { seed(device) } else { 0 } }
    }

    /// The same, composed of Burn's operations.
    pub fn composed<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let x = if self.relu { activation::relu(x) } else { x };
        if self.dropout == 0.0 {
            return x;
        }
        let kept = 1.0 - self.dropout;
        let draws = x.random_like(Distribution::Bernoulli(kept));
        x * draws * (1.0 / kept)
    }

    /// Whether it changes nothing.
    pub fn is_identity(self) -> bool {
        !self.relu && self.dropout == 0.0
    }

    /// Whether its gradient depends on its output.
    pub fn reads_output(self) -> bool {
        self.relu
    }

    /// Applies it to row `number` of a tensor.
    #[inline(always)]
    pub fn finish(self, number: usize, row: &mut [f32]) {
        if self.relu {
            // NaN is not below zero, so it stays NaN.
            row.iter_mut().for_each(|value| *value = if *value < 0.0 { 0.0 } else { *value });
        }
        if self.dropout > 0.0 {
            let drops = self.drops(number);
            row.iter_mut().enumerate().for_each(|(channel, value)| *value *= drops.factor(channel));
        }
    }

    /// Writes the gradient of row `number` before the epilogue, from that after it and, if it
    /// [`reads_output`](Self::reads_output), the output.
    #[inline(always)]
    pub fn gradient(self, number: usize, gradient: &[f32], output: Option<&[f32]>, before: &mut [f32]) {
        let gradients = before.iter_mut().zip(gradient);
        match output {
            // What passed both ReLU and dropout is above zero.
            Some(output) => {
                let scale = self.scale();
                for ((before, gradient), output) in gradients.zip(output) {
                    *before = if *output > 0.0 { gradient * scale } else { 0.0 };
                }
            }
            None if self.dropout > 0.0 => {
                let drops = self.drops(number);
                for (channel, (before, gradient)) in gradients.enumerate() {
                    *before = gradient * drops.factor(channel);
                }
            }
            None => before.copy_from_slice(gradient),
        }
    }

    /// The gradient of a whole tensor, `[batch, length, channels]`, before the epilogue.
    pub fn gradients(self, gradient: FlexTensor, output: Option<FlexTensor>) -> FlexTensor {
        let gradient = gradient.to_contiguous();
        if self.is_identity() {
            return gradient;
        }
        let shape: [usize; 3] = gradient.layout().shape().dims();
        let channels = shape[2].max(1);
        let output = output.as_ref().map(|output| output.storage::<f32>());
        let mut before = vec![0.0; gradient.layout().num_elements()];
        let pieces = gradient.storage::<f32>().par_chunks(ROWS * channels);
        before.par_chunks_mut(ROWS * channels).zip(pieces).enumerate().for_each(|(piece, (before, gradient))| {
            vectorized!({
                let rows = before.chunks_exact_mut(channels).zip(gradient.chunks_exact(channels));
                for (number, (before, gradient)) in (piece * ROWS..).zip(rows) {
                    let output = output.map(|output| &output[number * channels..][..channels]);
                    self.gradient(number, gradient, output, before);
                }
            });
        });
        tensor(before, shape)
    }

    /// What a value that is not dropped is multiplied by, so that the mean stays the same.
    #[inline(always)]
    fn scale(self) -> f32 {
        (1.0 / (1.0 - self.dropout)) as f32
    }

    /// The draws of a row.
    #[inline(always)]
    fn drops(self, row: usize) -> Drops {
        // SplitMix64 (Steele, Lea and Flood 2014, figure 16) without its last step.
        let key = self.seed.wrapping_add((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let dropped = (self.dropout * f64::from(u32::MAX)).round() as u32;
        Drops { low: key as u32, high: (key >> 32) as u32, dropped, scale: self.scale() }
    }
}

/// Which values of a row are dropped.
#[derive(Clone, Copy, Debug)]
struct Drops {
    low: u32,
    high: u32,
    /// Draws below this are dropped.
    dropped: u32,
    scale: f32,
}

impl Drops {
    /// Zero, or what a value that is not dropped is multiplied by.
    #[inline(always)]
    fn factor(self, channel: usize) -> f32 {
        // The finaliser of MurmurHash3 (Appleby 2011), with the second half of the key inside.
        let draw = (channel as u32).wrapping_mul(0x9e37_79b9).wrapping_add(self.low);
        let draw = (draw ^ (draw >> 16)).wrapping_mul(0x85eb_ca6b);
        let draw = (draw ^ (draw >> 13) ^ self.high).wrapping_mul(0xc2b2_ae35);
        let draw = draw ^ (draw >> 16);
        if draw < self.dropped { 0.0 } else { self.scale }
    }
}

/// Dropout of a tensor by itself, with a probability below 1: each value is zero or larger, independently. Burn's dropout
/// draws one random number after the other.
pub(crate) fn drop_values<const D: usize>(x: Tensor<D>, probability: f64) -> Tensor<D> {
    let (shape, device) = (x.dims(), x.device());
    let channels = shape[D - 1].max(1);
    let epilogue = Epilogue { relu: false, dropout: probability, seed: seed(&device) };
    let mut factors = vec![0.0f32; shape.iter().product()];
    factors.par_chunks_mut(channels).enumerate().with_min_len(ROWS).for_each(|(row, factors)| {
        let drops = epilogue.drops(row);
        factors.iter_mut().enumerate().for_each(|(channel, factor)| *factor = drops.factor(channel));
    });
    x * Tensor::from_data(TensorData::new(factors, shape), &device)
}

/// A seed from the random state of a device, on which every draw of a step depends.
fn seed(device: &Device) -> u64 {
    const VALUES: f64 = 16_777_216.0; // as many as a 32-bit float holds exactly
    let draws = Tensor::<1>::random([2], Distribution::Uniform(0.0, VALUES), &device.clone().inner());
    draws.into_data().iter::<f32>().fold(0, |seed, draw| (seed << 24) ^ draw as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPOUT: Epilogue = Epilogue { relu: false, dropout: 0.3, seed: 5 };

    #[test]
    fn values_are_dropped_by_themselves_with_the_given_probability() {
        let device = Device::flex();
        let x = Tensor::<3>::ones([40, 30, 50], &device);
        let values = drop_values(x, 0.3).try_into_vec_as::<f32>().expect("values");
        let dropped = values.iter().filter(|&&value| value == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.3).abs() < 0.01, "{dropped}");
        assert!(values.iter().all(|&value| value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-6));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    /// Which of the values of some rows are kept.
    fn kept(epilogue: Epilogue, rows: usize, channels: usize) -> Vec<bool> {
        let row = |row: usize| {
            let drops = epilogue.drops(row);
            (0..channels).map(move |channel| drops.factor(channel) > 0.0)
        };
        (0..rows).flat_map(row).collect()
    }

    #[test]
    fn values_are_dropped_with_the_probability_and_independently() {
        let (rows, channels) = (500, 400);
        let all = kept(DROPOUT, rows, channels);
        let share = |kept: &mut dyn Iterator<Item = bool>| {
            let (kept, count) = kept.fold((0, 0), |(kept, count), is_kept| (kept + u32::from(is_kept), count + 1));
            f64::from(kept) / f64::from(count)
        };
        // The standard deviation of the share of 200,000 draws is 0.001.
        assert!((share(&mut all.iter().copied()) - 0.7).abs() < 0.005);
        // Neighbours in a row and in a column agree as often as independent draws: 0.7² + 0.3² = 0.58.
        for step in [1, channels, channels + 1] {
            let agree = share(&mut all.iter().zip(&all[step..]).map(|(a, b)| a == b));
            assert!((agree - 0.58).abs() < 0.006, "{step}: {agree}");
        }
        let other = kept(Epilogue { seed: 6, ..DROPOUT }, rows, channels);
        let agree = share(&mut all.iter().zip(&other).map(|(a, b)| a == b));
        assert!((agree - 0.58).abs() < 0.006, "another seed: {agree}");
    }

    #[test]
    fn the_mean_stays_the_same() {
        let mut rows = vec![1.0; 200 * 1_000];
        rows.chunks_exact_mut(1_000).enumerate().for_each(|(number, row)| DROPOUT.finish(number, row));
        let mean = rows.iter().sum::<f32>() / rows.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn the_gradient_passes_where_values_do() {
        for relu in [false, true] {
            let epilogue = Epilogue { relu, ..DROPOUT };
            let input: Vec<f32> = (0..100).map(|at| (at as f32 * 1.7).sin()).collect();
            let mut output = input.clone();
            epilogue.finish(3, &mut output);
            let mut before = vec![9.0; 100];
            epilogue.gradient(3, &[1.0; 100], epilogue.reads_output().then_some(&output[..]), &mut before);
            for ((input, output), gradient) in input.iter().zip(&output).zip(before) {
                assert_eq!(*output, input * gradient, "{relu}: the epilogue is linear where its gradient is constant");
            }
        }
    }

    #[test]
    fn seeds_follow_the_devices_random_state() {
        // Only that two draws differ: the random state is shared by all threads.
        let device = Device::flex();
        assert_ne!(seed(&device), seed(&device));
    }
}

//! The last step: the values at every position become one value per channel.

use burn::tensor::{IndexingUpdateOp, Tensor};
use serde::{Deserialize, Serialize};

use crate::masking::{lower_padding, lowest, zero_padding};

/// How the values at every position become one value per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the positions.
    #[default]
    Mean,
    /// The largest value of each channel (Kim 2014, section 2: max-over-time pooling).
    Max,
}

/// The mean over the positions that count; zero where none does.
///
/// # Shapes
///
/// - `positions`: `[batch, length, outputs]`
/// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
/// - output: `[batch, outputs]`
pub(crate) fn mean_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let count = mask.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
    let sum = zero_padding(positions, mask.unsqueeze_dim(2)).sum_dim(1).squeeze_dim::<2>(1); // [batch, outputs]
    sum / count
}

/// The largest value of each channel over the positions that count; zero where none does.
///
/// # Shapes
///
/// As for [`mean_over_positions`].
pub(crate) fn max_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let is_counted = mask.clone().sum_dim(1).clamp_max(1.0); // [batch, 1]
    let lowest = lowest(&positions);
    let largest = lower_padding(positions, mask.unsqueeze_dim(2)).max_dim(1).squeeze_dim::<2>(1);
    largest.clamp_min(lowest / 2.0) * is_counted
}

/// What each position contributes to the largest values of the channels times `weight`: each channel, where it is
/// largest. Summed over the positions it gives the same as [`max_over_positions`] times `weight`.
///
/// # Shapes
///
/// - `x`: `[batch, positions, channels]`
/// - `mask`: `[batch, positions]`, 1 where a position counts and 0 elsewhere
/// - `weight`: `[channels, outputs]`
/// - output: `[batch, positions, outputs]`
pub(crate) fn shares_of_the_largest(x: Tensor<3>, mask: Tensor<2>, weight: Tensor<2>) -> Tensor<3> {
    let ([batch, positions, channels], [_, outputs]) = (x.dims(), weight.dims());
    let places = lower_padding(x.clone(), mask.clone().unsqueeze_dim(2)).argmax(1); // [batch, 1, channels]
    let counts = mask.gather(1, places.clone().squeeze_dim(1)); // [batch, channels]
    let largest = x.gather(1, places.clone()).squeeze_dim::<2>(1) * counts;
    let parts = largest.unsqueeze_dim::<3>(2) * weight.unsqueeze_dim(0); // [batch, channels, outputs]
    let places = places.swap_dims(1, 2).expand([batch, channels, outputs]);
    let zeros = Tensor::zeros([batch, positions, outputs], &parts.device());
    zeros.scatter(1, places, parts, IndexingUpdateOp::Add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn only_positions_that_count_are_averaged() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[1.0], [3.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = mean_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [2.0, 0.0]);
    }

    #[test]
    fn only_positions_that_count_are_compared() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[-3.0], [-1.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = max_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [-1.0, 0.0]);
    }
}

//! The last step: predictions at every position become one prediction.

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// How the values at every position become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Their mean (document A).
    #[default]
    Mean,
    /// The largest of each channel (Kim 2014, section 2: max-over-time pooling).
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
    let sum = (positions * mask.unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim::<2>(1); // [batch, outputs]
    sum / count
}

/// The largest of each channel over the positions that count; zero where none does.
///
/// # Shapes
///
/// As those of [`mean_over_positions`].
pub(crate) fn max_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let is_counted = mask.clone().sum_dim(1).clamp_max(1.0); // [batch, 1]
    let lowest = f32::MIN / 2.0;
    let hidden = mask.mul_scalar(-1.0).add_scalar(1.0).mul_scalar(lowest).unsqueeze_dim::<3>(2);
    let most = (positions + hidden).max_dim(1).squeeze_dim::<2>(1);
    most.clamp_min(lowest / 2.0) * is_counted
}

/// Each channel where it is largest, and zero elsewhere: summed over the positions it is what
/// [`max_over_positions`] gives.
///
/// # Shapes
///
/// - `x`: `[batch, channels, positions]`
/// - `mask`: `[batch, positions]`, 1 where a position counts and 0 elsewhere
/// - output: as `x`
pub(crate) fn only_the_largest(x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
    let [batch, channels, positions] = x.dims();
    let hidden = mask.clone().mul_scalar(-1.0).add_scalar(1.0).mul_scalar(f32::MIN / 2.0).unsqueeze_dim::<3>(1);
    let largest = (x.clone() + hidden).argmax(2); // [batch, channels, 1]
    let places = Tensor::<1, Int>::arange(0..positions as i64, &x.device()).unsqueeze::<3>();
    let shape = [batch, channels, positions];
    let is_largest = places.expand(shape).equal(largest.expand(shape));
    x * is_largest.float() * mask.unsqueeze_dim::<3>(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn only_what_counts_is_averaged() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[1.0], [3.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = mean_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [2.0, 0.0]);
    }
}

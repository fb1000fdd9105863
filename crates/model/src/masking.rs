//! Padding among the positions of a batch.
//!
//! A mask is 1 where a position counts and 0 where it is padding. The functions broadcast: a mask has
//! one channel for all channels of `x`.

use burn::tensor::Tensor;

/// Sets `x` to zero at padding.
pub(crate) fn zero_padding<const D: usize>(x: Tensor<D>, mask: Tensor<D>) -> Tensor<D> {
    x * mask
}

/// Lowers `x` at padding by so much that padding is never the largest value.
pub(crate) fn lower_padding<const D: usize>(x: Tensor<D>, mask: Tensor<D>) -> Tensor<D> {
    let lowest = lowest(&x);
    x + mask.mul_scalar(-1.0).add_scalar(1.0).mul_scalar(lowest)
}

/// A number below every value of a model. It is far from the lowest number of its type, so that a sum
/// of several, times a weight, does not overflow.
pub(crate) fn lowest<const D: usize>(x: &Tensor<D>) -> f64 {
    x.dtype().finfo().map_or(-1e30, |info| (info.min / 4.0).max(-1e30))
}

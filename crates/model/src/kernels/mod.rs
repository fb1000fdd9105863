//! Operations that are slow on the CPU when they are composed of Burn's own, because they then move
//! several times the memory. On the CPU they are kernels, which extend Burn's backend; on other devices,
//! and for types other than 32-bit floats, they are composed of Burn's operations.
//!
//! The first convolution over words is a lookup: a table holds what every word contributes at each
//! place of a phrase, and the value of a phrase is the sum over its words.
//!
//! NaN is never replaced by a number: the training loop stops when it sees one.

mod convolution;
mod gate;
mod lookup;
mod lstm;
mod occurrences;
mod pooled_lookup;
mod squash;

use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use burn_flex::FlexTensor;

pub(crate) use convolution::{Taps, convolve};
pub(crate) use gate::gate;
pub(crate) use lookup::sum_of_lookups;
pub(crate) use lstm::lstm;
pub(crate) use pooled_lookup::pool_of_lookups;

/// Whether the kernels can compute with a tensor: it is on the CPU and holds 32-bit floats.
pub(crate) fn has_kernels<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().inner() == Device::flex() && x.dtype() == DType::F32
}

/// Whether the kernels can look `ids` up in `table`, with `mask`.
fn has_lookup_kernels(table: &Tensor<2>, ids: &Tensor<2, Int>, mask: &Tensor<2>) -> bool {
    has_kernels(table) && has_kernels(mask) && ids.dtype() == DType::I32
}

/// The places of the phrase around `center` that are inside a text of `length` positions.
fn places_within(center: usize, left: usize, places: usize, length: usize) -> std::ops::Range<usize> {
    left.saturating_sub(center)..(length + left - center).min(places)
}

fn tensor<const D: usize, E: burn::tensor::Element>(values: Vec<E>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

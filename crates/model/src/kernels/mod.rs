//! What Burn does slowly on the CPU, done there by kernels of our own, extensions of its backend:
//! composed of Burn's own operations they move several times the memory. Elsewhere they are
//! composed of them.
//!
//! The first convolution of words is a look-up: every word of a phrase gives what the table says of
//! it at its place, and the phrase is their sum.

mod convolution;
mod gate;
mod lookup;
mod lstm;
mod occurrences;
mod pooled_lookup;
mod squash;

use burn::tensor::{Shape, TensorData};
use burn_flex::FlexTensor;

pub(crate) use convolution::{Taps, convolve};
pub(crate) use gate::gate;
pub(crate) use lookup::sum_of_lookups;
pub(crate) use lstm::lstm;
pub(crate) use pooled_lookup::pool_of_lookups;

/// The places of the phrase around `center` that lie in a text of `length` positions.
fn places_within(center: usize, left: usize, places: usize, length: usize) -> std::ops::Range<usize> {
    left.saturating_sub(center)..(length + left - center).min(places)
}

fn tensor<const D: usize, E: burn::tensor::Element>(values: Vec<E>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

//! Operations that are slow on the CPU when they are composed of Burn's own, because they then move
//! several times the memory. On the CPU they are kernels, which extend Burn's backend; on other devices,
//! and for types other than 32-bit floats, they are composed of Burn's operations.
//!
//! | operation | modules |
//! |---|---|
//! | a convolution of vectors, with bias, ReLU, dropout and mask; a transposed convolution | `convolution` |
//! | the first convolution over words, with bias, also with pooling | `lookup`, `pooled_lookup`, `table` |
//! | an LSTM or GRU over a text | `recurrent` |
//! | layer normalisation, the gate of WaveNet, the sum of a residual block | `layer_norm`, `gate`, `rectified_sum` |
//! | a linear layer with many outputs and its loss | `cross_entropy` |
//!
//! They share: matrix products (`panels`), ReLU and dropout (`epilogue`), the division of a batch among
//! threads (`pieces`), the positions of each word (`occurrences`), sigmoid and tanh (`squash`), loops for
//! every processor (`simd`), and reused memory (`scratch`).
//!
//! The first convolution over words is a lookup: a table holds what every word contributes at each
//! place of a phrase, and the value of a phrase is the sum over its words.
//!
//! Results do not depend on the number of threads. NaN is never replaced by a number: the training loop
//! stops when it sees one.

mod convolution;
mod cross_entropy;
mod epilogue;
mod gate;
mod layer_norm;
mod lookup;
mod occurrences;
mod panels;
mod pieces;
mod pooled_lookup;
mod rectified_sum;
mod recurrent;
mod scratch;
mod simd;
mod squash;
mod table;

use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};
use burn_flex::FlexTensor;

pub use convolution::transposed_convolution;
pub(crate) use convolution::{Taps, convolve};
pub use cross_entropy::linear_cross_entropy;
pub(crate) use cross_entropy::{Best, linear_loss};
pub(crate) use epilogue::{Epilogue, drop_values};
pub(crate) use gate::gate;
pub(crate) use layer_norm::layer_norm;
pub(crate) use lookup::sum_of_lookups;
pub(crate) use pooled_lookup::pool_of_lookups;
pub(crate) use rectified_sum::rectified_sum;
pub(crate) use recurrent::{Cell, Parameters, Reader, read};

/// Whether the kernels can compute with a tensor: it is on the CPU and holds 32-bit floats.
pub(crate) fn has_kernels<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().inner() == Device::flex() && x.dtype() == DType::F32
}

/// Whether the kernels can look `ids` up in `table`, with `bias` and `mask`.
fn has_lookup_kernels(table: &Tensor<2>, bias: Option<&Tensor<1>>, ids: &Tensor<2, Int>, mask: &Tensor<2>) -> bool {
    has_kernels(table) && bias.is_none_or(has_kernels) && has_kernels(mask) && ids.dtype() == DType::I32
}

/// How many positions of each text count, from a mask `[batch, length]` in which they come first.
fn counted(mask: &FlexTensor) -> Vec<usize> {
    let [_, length] = mask.layout().shape().dims();
    let of_text = |mask: &[f32]| mask.iter().rposition(|&counts| counts > 0.0).map_or(0, |last| last + 1);
    mask.storage::<f32>().chunks_exact(length.max(1)).map(of_text).collect()
}

/// The places of the phrase around `center` that are inside a text of `length` positions.
fn places_within(center: usize, left: usize, places: usize, length: usize) -> std::ops::Range<usize> {
    left.saturating_sub(center)..(length + left - center).min(places)
}

fn tensor<const D: usize, E: burn::tensor::Element>(values: Vec<E>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

#[inline(always)]
fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

/// The first `N` rows of a matrix stored row by row.
#[inline(always)]
fn rows_mut<const N: usize>(values: &mut [f32], size: usize) -> [&mut [f32]; N] {
    let mut rest = values;
    std::array::from_fn(|_| {
        let (row, after) = std::mem::take(&mut rest).split_at_mut(size);
        rest = after;
        row
    })
}

/// The sum of `term` over the elements of two slices, in several lanes, so that the compiler can vectorise it.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(a[lane], b[lane]);
        }
    }
    // Half of the lanes are added to the others until one is left.
    for lane in 0..8 {
        lanes[lane] += lanes[lane + 8];
    }
    for lane in 0..4 {
        lanes[lane] += lanes[lane + 4];
    }
    let sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    rest_of_a.iter().zip(rest_of_b).fold(sum, |sum, (a, b)| sum + term(*a, *b))
}

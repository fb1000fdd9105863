//! Sums of lookups at every position.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::module::embedding;
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::occurrences::Occurrences;
use super::{add, has_lookup_kernels, places_within, tensor};
use crate::ReceptiveField;
use crate::masking::zero_padding;

/// For each position, the sum of what the words around it contribute at their places.
///
/// # Shapes
///
/// - `table`: `[words, places · channels]`, the channels of one place next to each other, one place for
///   each position of `field`
/// - `ids`: `[batch, length]`, rows of the table
/// - `mask`: `[batch, length]`, 1 where a position counts and 0 where it contributes nothing
/// - output: `[batch, length, channels]`
pub(crate) fn sum_of_lookups(
    table: Tensor<2>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
) -> Tensor<3> {
    if !has_lookup_kernels(&table, &ids, &mask) {
        return composed(table, ids, mask, field);
    }
    let (table, ids, mask) = (table.into_dispatch(), ids.into_dispatch(), mask.inner().into_dispatch());
    Tensor::from_dispatch(Dispatch::lookup_sum(table, ids, mask, field.left, field.size()))
}

/// The same, composed of Burn's operations.
pub(super) fn composed(table: Tensor<2>, ids: Tensor<2, Int>, mask: Tensor<2>, field: ReceptiveField) -> Tensor<3> {
    let [batch, length] = ids.dims();
    let channels = table.dims()[1] / field.size();
    let parts = zero_padding(embedding(table, ids), mask.unsqueeze_dim(2)); // [batch, length, places · channels]
    let parts = parts.pad([(0, 0), (field.left, field.right), (0, 0)], 0.0);
    let at_place = |place: usize| {
        let columns = place * channels..(place + 1) * channels;
        parts.clone().slice([0..batch, place..place + length, columns])
    };
    (1..field.size()).fold(at_place(0), |sum, place| sum + at_place(place))
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LookupSum: Backend {
    fn lookup_sum(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        places: usize,
    ) -> FloatTensor<Self>;

    /// The gradient of the table, `[words, places · channels]`, from the gradient of the output.
    fn lookup_sum_backward(
        gradient: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        words: usize,
        places: usize,
    ) -> FloatTensor<Self>;
}

impl<B: LookupSum, C: CheckpointStrategy> LookupSum for Autodiff<B, C> {
    fn lookup_sum(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        places: usize,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LookupSum> Backward<B, 1> for Step {
            type State = (IntTensor<B>, FloatTensor<B>, [usize; 3]);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (ids, mask, [left, words, places]) = ops.state;
                unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
                    B::lookup_sum_backward(gradient, ids, mask, left, words, places)
                });
            }
        }

        let mask = mask.into_primitive();
        match Step.prepare::<C>([table.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let table = table.into_primitive();
                let words = burn::backend::TensorMetadata::shape(&table)[0];
                let state = (ids.clone(), mask.clone(), [left, words, places]);
                step.finish(state, B::lookup_sum(table, ids, mask, left, places))
            }
            OpsKind::UnTracked(step) => step.finish(B::lookup_sum(table.into_primitive(), ids, mask, left, places)),
        }
    }

    fn lookup_sum_backward(
        gradient: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        words: usize,
        places: usize,
    ) -> FloatTensor<Self> {
        let (gradient, mask) = (gradient.into_primitive(), mask.into_primitive());
        <Self as burn::backend::AutodiffBackend>::from_inner(B::lookup_sum_backward(
            gradient, ids, mask, left, words, places,
        ))
    }
}

impl LookupSum for Flex {
    fn lookup_sum(table: FlexTensor, ids: FlexTensor, mask: FlexTensor, left: usize, places: usize) -> FlexTensor {
        let (table, ids, mask) = (table.to_contiguous(), ids.to_contiguous(), mask.to_contiguous());
        let [batch, length] = ids.layout().shape().dims();
        let channels = table.layout().shape()[1] / places;
        let (table, ids, mask) = (table.storage::<f32>(), ids.storage::<i32>(), mask.storage::<f32>());

        let mut sums = vec![0.0f32; batch * length * channels];
        let texts = ids.par_chunks(length.max(1)).zip(mask.par_chunks(length.max(1)));
        sums.par_chunks_mut((length * channels).max(1))
            .zip(texts)
            .for_each(|(sums, (ids, mask))| sum_text(sums, table, ids, mask, left, places));
        tensor(sums, [batch, length, channels])
    }

    /// Word by word: each row of the table is written by one thread, in the order of the text, so the sums
    /// are the same on any number of cores.
    fn lookup_sum_backward(
        gradient: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        left: usize,
        words: usize,
        places: usize,
    ) -> FlexTensor {
        let (gradient, ids, mask) = (gradient.to_contiguous(), ids.to_contiguous(), mask.to_contiguous());
        let [_, length, channels] = gradient.layout().shape().dims();
        let (gradient, ids, mask) = (gradient.storage::<f32>(), ids.storage::<i32>(), mask.storage::<f32>());

        let occurrences = Occurrences::new(ids, mask, words);
        let width = places * channels;
        let mut sums = vec![0.0f32; words * width];
        sums.par_chunks_mut(width.max(1)).enumerate().for_each(|(word, sums)| {
            sum_word(sums, gradient, occurrences.positions(word), length, left, channels);
        });
        tensor(sums, [words, width])
    }
}

/// Adds the sums of one text to `sums`, `[length, channels]`.
fn sum_text(sums: &mut [f32], table: &[f32], ids: &[i32], mask: &[f32], left: usize, places: usize) {
    let channels = sums.len() / ids.len();
    for (center, sum) in sums.chunks_exact_mut(channels).enumerate() {
        for place in places_within(center, left, places, ids.len()) {
            let at = center + place - left;
            if mask[at] != 0.0 {
                let start = (ids[at] as usize * places + place) * channels;
                add(sum, &table[start..start + channels]);
            }
        }
    }
}

/// Adds the gradient of the row of one word to `sums`, `[places, channels]`.
fn sum_word(sums: &mut [f32], gradient: &[f32], occurrences: &[u32], length: usize, left: usize, channels: usize) {
    for &index in occurrences {
        let (text, at) = (index as usize / length * length, index as usize % length);
        for (place, sum) in sums.chunks_exact_mut(channels).enumerate() {
            if let Some(center) = (at + left).checked_sub(place).filter(|&center| center < length) {
                let start = (text + center) * channels;
                add(sum, &gradient[start..start + channels]);
            }
        }
    }
}

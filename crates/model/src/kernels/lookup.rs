//! Sums of lookups at every position.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::module::embedding;
use burn::tensor::{Int, Shape, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::occurrences::Occurrences;
use super::simd::vectorized;
use super::table::{Table, readable};
use super::{Epilogue, add, has_lookup_kernels, tensor};
use crate::ReceptiveField;
use crate::masking::zero_padding;

/// For each position, the sum of the bias and of what the words around it contribute at their places, then the
/// epilogue.
///
/// # Shapes
///
/// - `table`: `[words, places · channels]`, the channels of one place next to each other, one place for
///   each position of `field`
/// - `bias`: `[channels]`, none for zeros
/// - `ids`: `[batch, length]`, rows of the table
/// - `mask`: `[batch, length]`, 1 where a position counts and 0 where it contributes nothing
/// - output: `[batch, length, channels]`
pub(crate) fn sum_of_lookups(
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
    epilogue: Epilogue,
) -> Tensor<3> {
    if !has_lookup_kernels(&table, bias.as_ref(), &ids, &mask) {
        return epilogue.composed(composed(table, bias, ids, mask, field));
    }
    let bias = bias_of(&table, bias, field).into_dispatch();
    let (table, ids, mask) = (table.into_dispatch(), ids.into_dispatch(), mask.inner().into_dispatch());
    Tensor::from_dispatch(Dispatch::lookup_sum(table, bias, ids, mask, field, epilogue))
}

/// The bias of a table, or zeros.
pub(super) fn bias_of(table: &Tensor<2>, bias: Option<Tensor<1>>, field: ReceptiveField) -> Tensor<1> {
    bias.unwrap_or_else(|| Tensor::zeros([table.dims()[1] / field.size()], &table.device()))
}

/// The sums, composed of Burn's operations. Place by place, so that no more than the output is in memory.
pub(super) fn composed(
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
) -> Tensor<3> {
    let length = ids.dims()[1];
    let [words, width] = table.dims();
    let channels = width / field.size();
    // Every position is the centre of exactly one phrase.
    let table = match bias {
        Some(bias) => table + bias.pad([(field.left * channels, field.right * channels)], 0.0).unsqueeze::<2>(),
        None => table,
    };
    let mask = mask.unsqueeze_dim::<3>(2);
    let at_place = |place: usize| {
        let of_place = table.clone().slice([0..words, place * channels..(place + 1) * channels]);
        let parts = zero_padding(embedding(of_place, ids.clone()), mask.clone()); // [batch, length, channels]
        // The word at position s is at this place of the phrase around s + left - place.
        let moved = parts.pad([(0, 0), (field.left, field.right), (0, 0)], 0.0);
        moved.narrow(1, place, length)
    };
    (1..field.size()).fold(at_place(0), |sum, place| sum + at_place(place))
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LookupSum: Backend {
    fn lookup_sum(
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        field: ReceptiveField,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;
}

/// What the backward pass reads.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T, I> {
    ids: I,
    mask: T,
    field: ReceptiveField,
    words: usize,
    /// The output, if the gradient of the epilogue depends on it.
    output: Option<T>,
    epilogue: Epilogue,
}

/// The kernel of the backward pass.
pub(crate) trait LookupSumBackward: LookupSum {
    /// The gradient of the table, `[words, places · channels]`, from the gradient of the output.
    fn lookup_sum_backward(
        gradient: FloatTensor<Self>,
        kept: Kept<FloatTensor<Self>, IntTensor<Self>>,
    ) -> FloatTensor<Self>;
}

impl<B: LookupSumBackward, C: CheckpointStrategy> LookupSum for Autodiff<B, C> {
    fn lookup_sum(
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        field: ReceptiveField,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LookupSumBackward> Backward<B, 2> for Step {
            type State = Kept<FloatTensor<B>, IntTensor<B>>;

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (gradient, field) = (gradients.consume::<B>(&ops.node), ops.state.field);
                let of_table = B::lookup_sum_backward(gradient, ops.state);
                let parents = ops.parents.map(|parent| parent.map(|parent| parent.id));
                register_gradients::<B>(of_table, field, parents, gradients);
            }
        }

        let (mask, nodes) = (mask.into_primitive(), [table.node(), bias.node()]);
        let [table, bias] = [table, bias].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let words = table.shape()[0];
                let sums = B::lookup_sum(table, bias, ids.clone(), mask.clone(), field, epilogue);
                let output = epilogue.reads_output().then(|| sums.clone());
                step.finish(Kept { ids, mask, field, words, output, epilogue }, sums)
            }
            OpsKind::UnTracked(step) => step.finish(B::lookup_sum(table, bias, ids, mask, field, epilogue)),
        }
    }
}

/// Registers the gradient of a table, `[words, places · channels]`, and that of its bias, `[channels]`: the sum of the
/// former over all words at the centre, because every position is the centre of one phrase.
pub(super) fn register_gradients<B: Backend>(
    of_table: FloatTensor<B>,
    field: ReceptiveField,
    [table, bias]: [Option<NodeId>; 2],
    gradients: &mut Gradients,
) {
    if let Some(bias) = bias {
        let [words, width] = of_table.shape().dims();
        let channels = width / field.size();
        let center = field.left * channels..(field.left + 1) * channels;
        let of_center = B::float_slice(of_table.clone(), &[(0..words).into(), center.into()]);
        let of_bias = B::float_reshape(B::float_sum_dim(of_center, 0), Shape::new([channels]));
        gradients.register::<B>(bias, of_bias);
    }
    if let Some(table) = table {
        gradients.register::<B>(table, of_table);
    }
}

impl LookupSum for Flex {
    fn lookup_sum(
        table: FlexTensor,
        bias: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        field: ReceptiveField,
        epilogue: Epilogue,
    ) -> FlexTensor {
        let (table, [bias, ids, mask]) = (readable(table), [bias, ids, mask].map(|tensor| tensor.to_contiguous()));
        let [batch, length] = ids.layout().shape().dims();
        let table = Table::new(&table, &bias, field);
        let (channels, ids, mask) = (table.channels(), ids.storage::<i32>(), mask.storage::<f32>());

        let mut sums = vec![0.0f32; batch * length * channels];
        let texts = ids.par_chunks(length.max(1)).zip(mask.par_chunks(length.max(1)));
        let texts = sums.par_chunks_mut((length * channels).max(1)).zip(texts).enumerate();
        texts.for_each(|(text, (sums, (ids, mask)))| {
            vectorized!({
                for (center, sum) in sums.chunks_exact_mut(channels).enumerate() {
                    table.add_phrase(sum, center, ids, mask);
                }
                for (number, sums) in (text * length..).zip(sums.chunks_exact_mut(channels)) {
                    epilogue.finish(number, sums);
                }
            });
        });
        tensor(sums, [batch, length, channels])
    }
}

impl LookupSumBackward for Flex {
    /// Word by word. The order of a sum depends on the text alone, so the sums are the same on any number
    /// of cores.
    fn lookup_sum_backward(gradient: FlexTensor, kept: Kept<FlexTensor, FlexTensor>) -> FlexTensor {
        let Kept { ids, mask, field, words, output, epilogue } = kept;
        let (ids, mask) = (ids.to_contiguous(), mask.to_contiguous());
        let gradient = epilogue.gradients(gradient, output);
        let [_, length, channels] = gradient.layout().shape().dims();
        let (gradient, ids, mask) = (gradient.storage::<f32>(), ids.storage::<i32>(), mask.storage::<f32>());

        let occurrences = Occurrences::new(ids, mask, words);
        let width = field.size() * channels;
        let mut sums = vec![0.0f32; words * width];
        sums.par_chunks_mut(width.max(1)).enumerate().for_each(|(word, sums)| {
            occurrences.sum(word, sums, |positions, sums| {
                vectorized!(sum_word(sums, gradient, positions, length, field.left, channels));
            });
        });
        tensor(sums, [words, width])
    }
}

/// Adds the gradient of the row of one word to `sums`, `[places, channels]`.
#[inline(always)]
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

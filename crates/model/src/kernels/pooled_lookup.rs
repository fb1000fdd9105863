//! The sums of look-ups, pooled over the positions as they are made: the whole of a model's first
//! layer with its activation, and no value a position is kept.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::occurrences::Occurrences;
use super::{add, places_within, sum_of_lookups, tensor};
use crate::pooling::{max_over_positions, mean_over_positions};
use crate::{Pooling, ReceptiveField};

/// As [`sum_of_lookups`], then the larger of each sum and zero (ReLU), then pooled over the
/// positions that count; zero where none does.
///
/// # Shapes
///
/// - output: `[batch, channels]`
pub(crate) fn pool_of_lookups(
    table: Tensor<2>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
    pooling: Pooling,
) -> Tensor<2> {
    if table.device().inner() != Device::flex() {
        let sums = burn::tensor::activation::relu(sum_of_lookups(table, ids, mask.clone(), field));
        return match pooling {
            Pooling::Mean => mean_over_positions(sums, mask),
            Pooling::Max => max_over_positions(sums, mask),
        };
    }
    let (table, ids, mask) = (table.into_dispatch(), ids.into_dispatch(), mask.inner().into_dispatch());
    let is_max = pooling == Pooling::Max;
    Tensor::from_dispatch(Dispatch::lookup_pool(table, ids, mask, field.left, field.size(), is_max))
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LookupPool: Backend {
    fn lookup_pool(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        places: usize,
        is_max: bool,
    ) -> FloatTensor<Self>;
}

/// What a phrase is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    left: usize,
    places: usize,
    is_max: bool,
}

/// The kernels behind it.
pub(crate) trait PoolKernel: Backend {
    /// The pooled sums, and what the way back needs: of a mean, which sums were above zero,
    /// `[batch, length, channels]`; of a maximum, at which position it stands, `[batch, channels]`,
    /// or -1 where it was not above zero.
    fn pool(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        window: Window,
    ) -> (FloatTensor<Self>, IntTensor<Self>);

    /// The table's gradient from that of the pooled sums.
    fn pool_backward(
        gradient: FloatTensor<Self>,
        found: IntTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        window: Window,
        words: usize,
    ) -> FloatTensor<Self>;
}

impl LookupPool for Flex {
    fn lookup_pool(
        table: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        left: usize,
        places: usize,
        is_max: bool,
    ) -> FlexTensor {
        Self::pool(table, ids, mask, Window { left, places, is_max }).0
    }
}

impl<B: PoolKernel, C: CheckpointStrategy> LookupPool for Autodiff<B, C> {
    fn lookup_pool(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        left: usize,
        places: usize,
        is_max: bool,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: PoolKernel> Backward<B, 1> for Step {
            type State = (IntTensor<B>, IntTensor<B>, FloatTensor<B>, Window, usize);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (found, ids, mask, window, words) = ops.state;
                unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
                    B::pool_backward(gradient, found, ids, mask, window, words)
                });
            }
        }

        let (mask, window) = (mask.into_primitive(), Window { left, places, is_max });
        match Step.prepare::<C>([table.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let table = table.into_primitive();
                let words = table.shape()[0];
                let (pooled, found) = B::pool(table, ids.clone(), mask.clone(), window);
                step.finish((found, ids, mask, window, words), pooled)
            }
            OpsKind::UnTracked(step) => step.finish(B::pool(table.into_primitive(), ids, mask, window).0),
        }
    }
}

impl PoolKernel for Flex {
    fn pool(table: FlexTensor, ids: FlexTensor, mask: FlexTensor, window: Window) -> (FlexTensor, FlexTensor) {
        let (table, ids, mask) = (table.to_contiguous(), ids.to_contiguous(), mask.to_contiguous());
        let [batch, length] = ids.layout().shape().dims();
        let channels = table.layout().shape()[1] / window.places;
        let (table, ids, mask) = (table.storage::<f32>(), ids.storage::<i32>(), mask.storage::<f32>());

        let mut pooled = vec![0.0f32; batch * channels];
        let texts = pooled.par_chunks_mut(channels).zip(ids.par_chunks(length).zip(mask.par_chunks(length)));
        let found = match window.is_max {
            true => {
                let mut found = vec![-1i32; batch * channels];
                texts.zip(found.par_chunks_mut(channels)).for_each(|((pooled, (ids, mask)), found)| {
                    each_sum(table, ids, mask, window, channels, |center, sum| {
                        let both = pooled.iter_mut().zip(found.iter_mut());
                        both.zip(sum).for_each(|((most, at), &value)| {
                            *at = if value > *most { center as i32 } else { *at };
                            *most = most.max(value);
                        });
                    });
                });
                tensor(found, [batch, channels])
            }
            false => {
                let mut found = vec![0i8; batch * length * channels];
                texts.zip(found.par_chunks_mut(length * channels)).for_each(|((pooled, (ids, mask)), found)| {
                    each_sum(table, ids, mask, window, channels, |center, sum| {
                        let found = &mut found[center * channels..][..channels];
                        pooled.iter_mut().zip(found).zip(sum).for_each(|((pooled, found), &value)| {
                            *pooled += value.max(0.0);
                            *found = i8::from(value > 0.0);
                        });
                    });
                    let scale = 1.0 / counted(mask);
                    pooled.iter_mut().for_each(|value| *value *= scale);
                });
                tensor(found, [batch, length, channels])
            }
        };
        (tensor(pooled, [batch, channels]), found)
    }

    fn pool_backward(
        gradient: FlexTensor,
        found: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        window: Window,
        words: usize,
    ) -> FlexTensor {
        let (gradient, ids, mask) = (gradient.to_contiguous(), ids.to_contiguous(), mask.to_contiguous());
        let [_, length] = ids.layout().shape().dims();
        let [_, channels] = gradient.layout().shape().dims();
        let (gradient, ids, mask) = (gradient.storage::<f32>(), ids.storage::<i32>(), mask.storage::<f32>());
        let width = window.places * channels;
        let mut sums = vec![0.0f32; words * width];
        match window.is_max {
            true => {
                let found = found.storage::<i32>();
                for (text, (gradient, found)) in
                    gradient.chunks_exact(channels).zip(found.chunks_exact(channels)).enumerate()
                {
                    let text = text * length..(text + 1) * length;
                    max_backward(&mut sums, gradient, found, &ids[text.clone()], &mask[text], window);
                }
            }
            false => {
                let found = found.storage::<i8>();
                let occurrences = Occurrences::new(ids, mask, words);
                let scaled: Vec<f32> = gradient
                    .chunks_exact(channels)
                    .zip(mask.chunks_exact(length))
                    .flat_map(|(gradient, mask)| {
                        let scale = 1.0 / counted(mask);
                        gradient.iter().map(move |value| value * scale)
                    })
                    .collect();
                // Word by word, as the sums' own way back.
                sums.par_chunks_mut(width).enumerate().for_each(|(word, sums)| {
                    for &index in occurrences.of(word) {
                        let (text, at) = (index as usize / length, index as usize % length);
                        let gradient = &scaled[text * channels..][..channels];
                        for (place, sum) in sums.chunks_exact_mut(channels).enumerate() {
                            let center = (at + window.left).checked_sub(place).filter(|&center| center < length);
                            if let Some(center) = center.filter(|&center| mask[text * length + center] != 0.0) {
                                let found = &found[(text * length + center) * channels..][..channels];
                                let parts = sum.iter_mut().zip(gradient).zip(found);
                                parts.for_each(|((sum, gradient), &found)| *sum += gradient * f32::from(found));
                            }
                        }
                    }
                });
            }
        }
        tensor(sums, [words, width])
    }
}

/// Hands on the sums of every position of a text that counts.
fn each_sum(
    table: &[f32],
    ids: &[i32],
    mask: &[f32],
    window: Window,
    channels: usize,
    mut take: impl FnMut(usize, &[f32]),
) {
    let mut sum = vec![0.0f32; channels];
    for center in (0..ids.len()).filter(|&center| mask[center] != 0.0) {
        sum.fill(0.0);
        for place in places_within(center, window.left, window.places, ids.len()) {
            let at = center + place - window.left;
            if mask[at] != 0.0 {
                let start = (ids[at] as usize * window.places + place) * channels;
                add(&mut sum, &table[start..start + channels]);
            }
        }
        take(center, &sum);
    }
}

/// A channel's gradient goes to the phrase that had the maximum, and to no other.
fn max_backward(sums: &mut [f32], gradient: &[f32], found: &[i32], ids: &[i32], mask: &[f32], window: Window) {
    let channels = gradient.len();
    for (channel, (&gradient, &center)) in gradient.iter().zip(found).enumerate() {
        let Ok(center) = usize::try_from(center) else { continue };
        for place in places_within(center, window.left, window.places, ids.len()) {
            let at = center + place - window.left;
            if mask[at] != 0.0 {
                sums[(ids[at] as usize * window.places + place) * channels + channel] += gradient;
            }
        }
    }
}

/// How many positions count, as the mean divides by.
fn counted(mask: &[f32]) -> f32 {
    mask.iter().sum::<f32>().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{TensorData, activation::relu};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernels_are_what_they_are_composed_of(
            ids in prop::collection::vec(0i32..5, 14), mask in prop::collection::vec(0u8..2, 14),
            left in 0usize..3, right in 0usize..3, is_max: bool,
        ) {
            let device = Device::flex().autodiff();
            let field = ReceptiveField { left, right };
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 7]), &device);
            let mask: Vec<f32> = mask.into_iter().map(f32::from).collect();
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [2, 7]), &device);
            let values: Vec<f32> = (1..=5 * field.size() * 3).map(|at| (at as f32 * 1.7).sin()).collect();
            let table = Tensor::<2>::from_data(TensorData::new(values, [5, field.size() * 3]), &device).require_grad();

            let pooling = if is_max { Pooling::Max } else { Pooling::Mean };
            let kernel = pool_of_lookups(table.clone(), ids.clone(), mask.clone(), field, pooling);
            let sums = relu(super::super::lookup::composed(table.clone(), ids, mask.clone(), field));
            let composed = match pooling {
                Pooling::Mean => mean_over_positions(sums, mask),
                Pooling::Max => max_over_positions(sums, mask),
            };
            let both = [kernel, composed].map(|pooled| {
                let gradients = (pooled.clone() * pooled.clone()).sum().backward();
                let gradient = table.grad(&gradients).expect("a gradient");
                [pooled.try_into_vec_as::<f32>().expect("values"), gradient.try_into_vec_as().expect("values")]
            });
            for (one, other) in both[0].concat().into_iter().zip(both[1].concat()) {
                prop_assert!((one - other).abs() < 1e-5, "{one} and {other}, {pooling:?}");
            }
        }
    }
}

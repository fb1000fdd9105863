//! Sums of lookups, then ReLU, then pooling, in one pass. The values at the positions, which would take
//! most of the memory, are never stored.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::lookup::{self, bias_of, register_gradients};
use super::occurrences::Occurrences;
use super::simd::vectorized;
use super::table::{Table, readable};
use super::{has_lookup_kernels, places_within, tensor};
use crate::pooling::{max_over_positions, mean_over_positions};
use crate::{Pooling, ReceptiveField};

/// The same as [`sum_of_lookups`](super::sum_of_lookups), then ReLU, then pooled over the positions that
/// count; zero where none does.
///
/// # Shapes
///
/// - output: `[batch, channels]`
pub(crate) fn pool_of_lookups(
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
    pooling: Pooling,
) -> Tensor<2> {
    if !has_lookup_kernels(&table, bias.as_ref(), &ids, &mask) {
        return composed(table, bias, ids, mask, field, pooling);
    }
    let bias = bias_of(&table, bias, field).into_dispatch();
    let (table, ids, mask) = (table.into_dispatch(), ids.into_dispatch(), mask.inner().into_dispatch());
    let is_max = pooling == Pooling::Max;
    Tensor::from_dispatch(Dispatch::lookup_pool(table, bias, ids, mask, field, is_max))
}

/// The same, composed of Burn's operations.
fn composed(
    table: Tensor<2>,
    bias: Option<Tensor<1>>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
    field: ReceptiveField,
    pooling: Pooling,
) -> Tensor<2> {
    let sums = relu(lookup::composed(table, bias, ids, mask.clone(), field));
    match pooling {
        Pooling::Mean => mean_over_positions(sums, mask),
        Pooling::Max => max_over_positions(sums, mask),
    }
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LookupPool: Backend {
    fn lookup_pool(
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        field: ReceptiveField,
        is_max: bool,
    ) -> FloatTensor<Self>;
}

/// The phrase around a position, and how positions are pooled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    field: ReceptiveField,
    is_max: bool,
}

/// The kernels that the operation is made of.
pub(crate) trait PoolKernel: Backend {
    /// The pooled sums, and what the backward pass needs. For a mean: which sums are above zero,
    /// `[batch, length, channels]`. For a maximum: its position, `[batch, channels]`, or -1 if no sum is
    /// above zero. NaN counts as above zero.
    fn pool(
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        window: Window,
    ) -> (FloatTensor<Self>, IntTensor<Self>);

    /// The gradient of the table, from the gradient of the pooled sums.
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
        bias: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        field: ReceptiveField,
        is_max: bool,
    ) -> FlexTensor {
        Self::pool(table, bias, ids, mask, Window { field, is_max }).0
    }
}

impl<B: PoolKernel, C: CheckpointStrategy> LookupPool for Autodiff<B, C> {
    fn lookup_pool(
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        field: ReceptiveField,
        is_max: bool,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: PoolKernel> Backward<B, 2> for Step {
            type State = (IntTensor<B>, IntTensor<B>, FloatTensor<B>, Window, usize);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (found, ids, mask, window, words) = ops.state;
                let gradient = gradients.consume::<B>(&ops.node);
                let of_table = B::pool_backward(gradient, found, ids, mask, window, words);
                let parents = ops.parents.map(|parent| parent.map(|parent| parent.id));
                register_gradients::<B>(of_table, window.field, parents, gradients);
            }
        }

        let (nodes, window) = ([table.node(), bias.node()], Window { field, is_max });
        let [table, bias, mask] = [table, bias, mask].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let words = table.shape()[0];
                let (pooled, found) = B::pool(table, bias, ids.clone(), mask.clone(), window);
                step.finish((found, ids, mask, window, words), pooled)
            }
            OpsKind::UnTracked(step) => step.finish(B::pool(table, bias, ids, mask, window).0),
        }
    }
}

impl PoolKernel for Flex {
    fn pool(
        table: FlexTensor,
        bias: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        window: Window,
    ) -> (FlexTensor, FlexTensor) {
        let (table, [bias, ids, mask]) = (readable(table), [bias, ids, mask].map(|tensor| tensor.to_contiguous()));
        let [batch, length] = ids.layout().shape().dims();
        let table = &Table::new(&table, &bias, window.field);
        let (channels, ids, mask) = (table.channels(), ids.storage::<i32>(), mask.storage::<f32>());

        let mut pooled = vec![0.0f32; batch * channels];
        let texts = pooled
            .par_chunks_mut(channels.max(1))
            .zip(ids.par_chunks(length.max(1)).zip(mask.par_chunks(length.max(1))));
        let found = if window.is_max {
            let mut found = vec![-1i32; batch * channels];
            texts.zip(found.par_chunks_mut(channels.max(1))).for_each(|((pooled, (ids, mask)), found)| {
                vectorized!(each_sum(
                    table,
                    ids,
                    mask,
                    #[inline(always)]
                    |center, sum| {
                        for ((largest, position), &value) in pooled.iter_mut().zip(found.iter_mut()).zip(sum) {
                            // Once the largest is NaN it stays so: no value is greater than NaN.
                            let replaces = (value > *largest) | value.is_nan();
                            *position = if replaces { center as i32 } else { *position };
                            *largest = if replaces { value } else { *largest };
                        }
                    }
                ));
            });
            tensor(found, [batch, channels])
        } else {
            let mut found = vec![0i8; batch * length * channels];
            texts.zip(found.par_chunks_mut((length * channels).max(1))).for_each(|((pooled, (ids, mask)), found)| {
                vectorized!(each_sum(
                    table,
                    ids,
                    mask,
                    #[inline(always)]
                    |center, sum| {
                        let found = &mut found[center * channels..][..channels];
                        for ((pooled, found), &value) in pooled.iter_mut().zip(found).zip(sum) {
                            // Unlike `f32::max`, this keeps NaN.
                            let is_above_zero = (value > 0.0) | value.is_nan();
                            *pooled += if is_above_zero { value } else { 0.0 };
                            *found = i8::from(is_above_zero);
                        }
                    }
                ));
                let scale = 1.0 / counted(mask);
                pooled.iter_mut().for_each(|value| *value *= scale);
            });
            tensor(found, [batch, length, channels])
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
        let width = window.field.size() * channels;
        let mut sums = vec![0.0f32; words * width];
        if window.is_max {
            let found = found.storage::<i32>();
            let gradients = gradient.chunks_exact(channels).zip(found.chunks_exact(channels));
            for (text, (gradient, found)) in gradients.enumerate() {
                let text = text * length..(text + 1) * length;
                max_backward(&mut sums, gradient, found, &ids[text.clone()], &mask[text], window);
            }
        } else {
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
            // Word by word, as in the backward pass of the sums.
            sums.par_chunks_mut(width.max(1)).enumerate().for_each(|(word, sums)| {
                occurrences.sum(word, sums, |positions, sums| {
                    vectorized!(mean_backward(sums, &scaled, found, mask, positions, length, window));
                });
            });
        }
        tensor(sums, [words, width])
    }
}

/// Calls `take` with every position of a text that counts and its sums.
#[inline(always)]
fn each_sum(table: &Table<'_>, ids: &[i32], mask: &[f32], mut take: impl FnMut(usize, &[f32])) {
    let mut sum = vec![0.0f32; table.channels()];
    for center in (0..ids.len()).filter(|&center| mask[center] != 0.0) {
        sum.fill(0.0);
        table.add_phrase(&mut sum, center, ids, mask);
        take(center, &sum);
    }
}

/// Adds the gradient of a word, `[places, channels]`, at the sums that are above zero. `scaled` is that of
/// each text divided by its positions.
#[inline(always)]
fn mean_backward(
    sums: &mut [f32],
    scaled: &[f32],
    found: &[i8],
    mask: &[f32],
    positions: &[u32],
    length: usize,
    window: Window,
) {
    let channels = sums.len() / window.field.size();
    for &index in positions {
        let (text, at) = (index as usize / length, index as usize % length);
        let gradient = &scaled[text * channels..][..channels];
        for (place, sum) in sums.chunks_exact_mut(channels).enumerate() {
            let center = (at + window.field.left).checked_sub(place).filter(|&center| center < length);
            if let Some(center) = center.filter(|&center| mask[text * length + center] != 0.0) {
                let found = &found[(text * length + center) * channels..][..channels];
                let parts = sum.iter_mut().zip(gradient).zip(found);
                parts.for_each(|((sum, gradient), &found)| *sum += gradient * f32::from(found));
            }
        }
    }
}

/// Adds the gradient of each channel to the words of the phrase with the maximum.
fn max_backward(sums: &mut [f32], gradient: &[f32], found: &[i32], ids: &[i32], mask: &[f32], window: Window) {
    let channels = gradient.len();
    for (channel, (&gradient, &center)) in gradient.iter().zip(found).enumerate() {
        let Ok(center) = usize::try_from(center) else { continue };
        for place in places_within(center, window.field.left, window.field.size(), ids.len()) {
            let at = center + place - window.field.left;
            if mask[at] != 0.0 {
                sums[(ids[at] as usize * window.field.size() + place) * channels + channel] += gradient;
            }
        }
    }
}

/// The number of positions that count, at least 1.
fn counted(mask: &[f32]) -> f32 {
    mask.iter().sum::<f32>().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData};
    use proptest::prelude::*;

    const POOLINGS: [Pooling; 2] = [Pooling::Mean, Pooling::Max];
    const FIELD: ReceptiveField = ReceptiveField { left: 0, right: 1 };

    /// Three words, two places, two channels.
    fn table(values: [f32; 12], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [3, 4]), device)
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.cast(DType::F32).try_into_vec_as().expect("values")
    }

    #[test]
    fn nan_stays_nan() {
        let device = Device::flex().autodiff();
        let mut numbers = [0.5; 12];
        numbers[5] = f32::NAN; // word 1, first place, second channel
        let table = table(numbers, &device).require_grad();
        let ids = Tensor::<2, Int>::from_ints([[0, 1, 0], [0, 2, 0], [2, 0, 1]], &device);
        let mask = Tensor::<2>::ones([3, 3], &device);
        for pooling in POOLINGS {
            let kernel = pool_of_lookups(table.clone(), None, ids.clone(), mask.clone(), FIELD, pooling);
            let composed = composed(table.clone(), None, ids.clone(), mask.clone(), FIELD, pooling);
            for pooled in [kernel, composed] {
                let is_nan: Vec<bool> = values(pooled.clone().inner()).into_iter().map(f32::is_nan).collect();
                assert_eq!(is_nan, [false, true, false, false, false, true], "{pooling:?}");
                let gradients = pooled.sum().backward();
                // The gradient reaches the number that was NaN.
                assert!(values(table.grad(&gradients).expect("a gradient"))[5] > 0.0, "{pooling:?}");
            }
        }
    }

    #[test]
    fn other_types_are_computed_without_the_kernels() {
        let device = Device::flex();
        let ids = Tensor::<2, Int>::from_ints([[0, 1, 0], [0, 2, 0]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]], &device);
        let table = table([1.0, -2.0, 0.5, 4.0, 2.0, 1.5, -1.0, 0.0, 3.0, 0.5, 1.0, -0.5], &device);
        for pooling in POOLINGS {
            let expected = values(pool_of_lookups(table.clone(), None, ids.clone(), mask.clone(), FIELD, pooling));
            let assert_close = |found: Tensor<2>, tolerance: f32, of: &str| {
                for (found, expected) in values(found).iter().zip(&expected) {
                    assert!((found - expected).abs() < tolerance, "{of}, {pooling:?}: {found} is not {expected}");
                }
            };
            for (dtype, tolerance) in [(DType::F16, 0.01), (DType::BF16, 0.02), (DType::F64, 1e-6)] {
                let (table, mask) = (table.clone().cast(dtype), mask.clone().cast(dtype));
                let found = pool_of_lookups(table, None, ids.clone(), mask, FIELD, pooling);
                assert_close(found, tolerance, dtype.name());
            }
            let ids = ids.clone().cast(DType::I64);
            assert_close(pool_of_lookups(table.clone(), None, ids, mask.clone(), FIELD, pooling), 1e-6, "i64");
        }
    }

    proptest! {
        #[test]
        fn kernels_match_burns_operations(
            ids in prop::collection::vec(0i32..5, 14), mask in prop::collection::vec(0u8..2, 14),
            left in 0usize..3, right in 0usize..3, is_max: bool,
        ) {
            let device = Device::flex().autodiff();
            let field = ReceptiveField { left, right };
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 7]), &device);
            let mask: Vec<f32> = mask.into_iter().map(f32::from).collect();
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [2, 7]), &device);
            let width = field.size() * 3;
            let values: Vec<f32> = (1..=5 * (width + 2)).map(|at| (at as f32 * 1.7).sin()).collect();
            let rows = Tensor::<2>::from_data(TensorData::new(values, [5, width + 2]), &device).require_grad();
            let table = || rows.clone().slice([0..5, 1..width + 1]); // parts of longer rows
            let bias = Tensor::<1>::from_floats([0.3, -0.2, 0.1], &device).require_grad();

            let pooling = if is_max { Pooling::Max } else { Pooling::Mean };
            let kernel = pool_of_lookups(table(), Some(bias.clone()), ids.clone(), mask.clone(), field, pooling);
            let composed = composed(table(), Some(bias.clone()), ids, mask, field, pooling);
            let both = [kernel, composed].map(|pooled| {
                let gradients = (pooled.clone() * pooled.clone()).sum().backward();
                let gradient = rows.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>();
                let of_bias = bias.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>();
                [pooled.try_into_vec_as::<f32>(), gradient, of_bias].map(|values| values.expect("values"))
            });
            for (one, other) in both[0].concat().into_iter().zip(both[1].concat()) {
                prop_assert!((one - other).abs() < 1e-5, "{one} and {other}, {pooling:?}");
            }
        }
    }
}

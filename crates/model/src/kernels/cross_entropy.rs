//! A last layer with many outputs, and its loss, in one operation.
//!
//! The logits of a batch over a vocabulary would be larger than everything else in a step. They are computed
//! for some rows at a time, with their part of the gradients, and never exist as a whole.

use std::sync::atomic::{AtomicU32, Ordering};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use burn_flex::FlexTensor;

use super::panels::{Columns, Panels, Write, add_transposed_product};
use super::pieces::Piece;
use super::simd::{Fused, vectorized};
use super::squash::exp;
use super::{add, has_kernels, sum_of, tensor};

/// How many logits are in memory at a time, per thread.
const LOGITS: usize = 1 << 18;
/// The largest number of rows whose logits are in memory at a time. The tests divide small batches too.
const ROWS: usize = if cfg!(test) { 7 } else { 256 };

/// The mean cross-entropy of linear predictions, in nats, and how many of them are right.
///
/// # Shapes
///
/// - `x`: `[rows, hidden]`
/// - `weight`: `[outputs, hidden]`
/// - `bias`: `[outputs]`
/// - `targets`: one per row, below `outputs`
/// - output: `[1]`
///
/// # Panics
///
/// If there are no rows, not as many targets as rows, or a target that is no output.
pub fn linear_cross_entropy(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, targets: &[usize]) -> (Tensor<1>, usize) {
    let (loss, best) = linear_loss(x, weight, bias, targets);
    (loss, best.iter().zip(targets).filter(|(best, target)| best.output == **target).count())
}

/// The most probable output of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    /// The first of several, and none of them if one is not a number.
    pub output: usize,
    pub log_probability: f32,
}

impl Best {
    /// From the outputs of all rows, followed by their log-probabilities.
    fn all(values: &[f32]) -> Vec<Self> {
        let (outputs, logs) = values.split_at(values.len() / 2);
        let best = |(&output, &log_probability): (&f32, &f32)| Self { output: output as usize, log_probability };
        outputs.iter().zip(logs).map(best).collect()
    }
}

/// The same loss, and the most probable output of each row.
pub(crate) fn linear_loss(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    targets: &[usize],
) -> (Tensor<1>, Vec<Best>) {
    let (rows, outputs) = (x.dims()[0], weight.dims()[0]);
    assert!(rows > 0 && targets.len() == rows, "{} targets for {rows} rows", targets.len());
    assert!(targets.iter().all(|&target| target < outputs), "a target is not one of the {outputs} outputs");
    let ids: Vec<i32> = targets.iter().map(|&target| target as i32).collect();
    let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows]), &x.device());
    if !has_kernels(&x) || !has_kernels(&weight) || !has_kernels(&bias) {
        return composed(x, weight, bias, ids);
    }
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let both = Tensor::<1>::from_dispatch(Dispatch::linear_loss(x, weight, bias, ids.inner().into_dispatch()));
    let values: Vec<f32> = both.clone().inner().into_data().iter::<f32>().collect();
    (both.narrow(0, 0, 1), Best::all(&values[1..]))
}

/// The same, composed of Burn's operations.
fn composed(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, targets: Tensor<1, Int>) -> (Tensor<1>, Vec<Best>) {
    let logits = x.matmul(weight.swap_dims(0, 1)) + bias.unsqueeze();
    let (largest, outputs) = log_softmax(logits.clone().inner(), 1).max_dim_with_indices(1);
    let (largest, outputs) = (largest.into_data(), outputs.into_data());
    let best = |(output, log_probability)| Best { output: output as usize, log_probability };
    let best = outputs.iter::<i64>().zip(largest.iter::<f32>()).map(best).collect();
    let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, targets);
    (loss, best)
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LinearLoss: Backend {
    /// The loss, the most probable output of each row and its log-probability, `[1 + rows + rows]`; only the loss has a
    /// gradient. No output is more than 2^24, so that all are whole numbers.
    fn linear_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The kernel behind training.
pub(crate) trait LinearLossInTraining: LinearLoss {
    /// The same, and the gradients of the loss.
    fn linear_loss_in_training(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 3]);

    /// Gradients times that of the loss, the first value of `output`.
    fn scaled(gradients: [FloatTensor<Self>; 3], output: FloatTensor<Self>) -> [FloatTensor<Self>; 3];
}

impl<B: LinearLossInTraining, C: CheckpointStrategy> LinearLoss for Autodiff<B, C> {
    fn linear_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LinearLossInTraining> Backward<B, 3> for Step {
            type State = [FloatTensor<B>; 3];

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let found = B::scaled(ops.state, gradients.consume::<B>(&ops.node));
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [x.node(), weight.node(), bias.node()];
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (both, gradients) = B::linear_loss_in_training(x, weight, bias, targets);
                step.finish(gradients, both)
            }
            OpsKind::UnTracked(step) => step.finish(B::linear_loss(x, weight, bias, targets)),
        }
    }
}

impl LinearLoss for Flex {
    fn linear_loss(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, targets: FlexTensor) -> FlexTensor {
        loss([x, weight, bias], targets, None)
    }
}

impl LinearLossInTraining for Flex {
    fn linear_loss_in_training(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        targets: FlexTensor,
    ) -> (FlexTensor, [FlexTensor; 3]) {
        let ([rows, hidden], [outputs, _]) = (x.layout().shape().dims(), weight.layout().shape().dims());
        let mut of_x = vec![0.0; rows * hidden];
        let mut sums = Vec::new();
        let both = loss([x, weight, bias], targets, Some((&mut of_x, &mut sums)));
        let of_bias = sums.split_off(outputs * hidden);
        let gradients = [tensor(of_x, [rows, hidden]), tensor(sums, [outputs, hidden]), tensor(of_bias, [outputs])];
        (both, gradients)
    }

    fn scaled(gradients: [FlexTensor; 3], output: FlexTensor) -> [FlexTensor; 3] {
        let of_loss = output.to_contiguous().storage::<f32>().first().copied().unwrap_or(0.0);
        gradients.map(|mut gradient| {
            if of_loss != 1.0 {
                gradient.storage_mut::<f32>().iter_mut().for_each(|value| *value *= of_loss);
            }
            gradient
        })
    }
}

/// The mean loss of `[x, weight, bias]`, the most probable outputs and their log-probabilities. In training also writes
/// the gradients: that of `x`, and those of weight and bias one after the other.
fn loss(tensors: [FlexTensor; 3], targets: FlexTensor, gradients: Option<(&mut [f32], &mut Vec<f32>)>) -> FlexTensor {
    let [x, weight, bias] = tensors.map(|tensor| tensor.to_contiguous());
    let ([rows, hidden], [outputs, _]) = (x.layout().shape().dims(), weight.layout().shape().dims());
    let (x, weight, targets) = (x.storage::<f32>(), weight.storage::<f32>(), targets.storage::<i32>());
    let to_logits = Panels::transposed(&[weight], hidden, outputs).with_bias(bias.storage());
    let at_once = (LOGITS / outputs.max(1)).clamp(1, ROWS);
    let pieces = Piece::all(1, rows, 1);
    // The outputs of all rows, then their log-probabilities, as the bits of 32-bit floats.
    let best: Vec<AtomicU32> = (0..2 * rows).map(|_| AtomicU32::new(0)).collect();
    let keep = |row: usize, scored: Scored| {
        best[row].store((scored.largest_at as f32).to_bits(), Ordering::Relaxed);
        best[rows + row].store((-scored.sum.ln()).to_bits(), Ordering::Relaxed);
    };
    let both = |loss: f32| {
        let best = best.iter().map(|bits| f32::from_bits(bits.load(Ordering::Relaxed)));
        tensor([loss / rows as f32].into_iter().chain(best).collect(), [1 + 2 * rows])
    };

    let Some((of_x, sums)) = gradients else {
        let totals = Piece::sum(&pieces, 1, |piece, totals| {
            let mut logits = vec![0.0; at_once * outputs];
            for first in (piece.first..piece.first + piece.rows).step_by(at_once) {
                let count = at_once.min(piece.first + piece.rows - first);
                let row = |row: usize, _: usize| &x[(first + row) * hidden..][..hidden];
                to_logits.multiply(count, row, &mut logits[..count * outputs], Write::Replace);
                for (row, logits) in (first..first + count).zip(logits.chunks_exact(outputs)) {
                    let scored = vectorized!(fused => Scored::new(logits, targets[row] as usize, fused));
                    totals[0] += scored.loss;
                    keep(row, scored);
                }
            }
        });
        return both(totals[0]);
    };

    let to_x = Panels::new(&[weight], outputs, hidden);
    let size = outputs * (hidden + 1);
    *sums = Piece::sum_each(&pieces, of_x, hidden, size + 1, |piece, of_x, sums| {
        let (of_weight, rest) = sums.split_at_mut(outputs * hidden);
        let (of_bias, totals) = rest.split_at_mut(outputs);
        let mut logits = vec![0.0; at_once * outputs];
        for first in (piece.first..piece.first + piece.rows).step_by(at_once) {
            let count = at_once.min(piece.first + piece.rows - first);
            let (seen, logits) = (&x[first * hidden..][..count * hidden], &mut logits[..count * outputs]);
            let row = |row: usize, _: usize| &seen[row * hidden..][..hidden];
            to_logits.multiply(count, row, logits, Write::Replace);
            for (row, logits) in (first..first + count).zip(logits.chunks_exact_mut(outputs)) {
                let target = targets[row] as usize;
                vectorized!(fused => {
                    let scored = Scored::new(logits, target, fused);
                    totals[0] += scored.loss;
                    keep(row, scored);
                    scored.differentiate(logits, target, rows as f32, fused);
                    add(of_bias, logits);
                });
            }
            let of_x = &mut of_x[(first - piece.first) * hidden..][..count * hidden];
            to_x.multiply(count, |row, _| &logits[row * outputs..][..outputs], of_x, Write::Replace);
            add_transposed_product(Columns::all(logits, outputs), Columns::all(seen, hidden), of_weight);
        }
    });
    let totals = sums.split_off(size);
    both(totals[0])
}

/// What the logits of one row say.
#[derive(Clone, Copy)]
struct Scored {
    largest: f32,
    /// The sum of the exponentials, relative to the largest.
    sum: f32,
    loss: f32,
    /// The first output with the largest logit, `u32::MAX` if there is none.
    largest_at: u32,
}

impl Scored {
    #[inline(always)]
    fn new(logits: &[f32], target: usize, fused: Fused) -> Self {
        let mut lanes = [f32::NEG_INFINITY; 16];
        for logits in logits.chunks(16) {
            for (lane, logit) in lanes.iter_mut().zip(logits) {
                *lane = if *logit > *lane { *logit } else { *lane };
            }
        }
        let largest = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = sum_of(logits, logits, |logit, _| exp(logit - largest, fused));
        let first = logits.iter().position(|&logit| logit == largest);
        let largest_at = first.map_or(u32::MAX, |first| first as u32);
        Self { largest, sum, loss: sum.ln() + largest - logits[target], largest_at }
    }

    /// Turns the logits into the gradients of the mean loss of `rows` rows.
    #[inline(always)]
    fn differentiate(self, logits: &mut [f32], target: usize, rows: f32, fused: Fused) {
        let scale = 1.0 / (self.sum * rows);
        logits.iter_mut().for_each(|logit| *logit = exp(*logit - self.largest, fused) * scale);
        logits[target] -= 1.0 / rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};
    use proptest::prelude::*;

    // import torch; F = torch.nn.functional
    // x = torch.tensor([[1., -2.], [0.5, 3.]]); w = torch.tensor([[.1, .2], [-.3, .4], [.5, -.6]])
    // F.cross_entropy(x @ w.T + torch.tensor([0., .1, -.1]), torch.tensor([2, 0]))  # 0.6066126138
    #[test]
    fn the_loss_matches_pytorch() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0, -2.0], [0.5, 3.0]], &device);
        let weight = Tensor::<2>::from_floats([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]], &device);
        let bias = Tensor::<1>::from_floats([0.0, 0.1, -0.1], &device);
        let (loss, hits) = linear_cross_entropy(x, weight, bias, &[2, 0]);
        assert!((loss.into_scalar::<f32>() - LOSS).abs() < 1e-6);
        assert_eq!(hits, 1);
    }

    const LOSS: f32 = 0.606_612_6;

    proptest! {
        #[test]
        fn losses_predictions_and_gradients_match_burns_operations(
            rows in 1usize..70, hidden in 1usize..20, outputs in 1usize..60, seed in 0usize..1_000,
        ) {
            let device = Device::flex().autodiff();
            let draw = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let (x, weight) = (draw([rows, hidden]).require_grad(), draw([outputs, hidden]).require_grad());
            let bias = draw([1, outputs]).reshape([outputs]).detach().require_grad();
            let targets: Vec<usize> = (0..rows).map(|row| (row * 7 + seed) % outputs).collect();
            let both = [linear_loss, |x: Tensor<2>, weight, bias, targets: &[usize]| {
                let ids: Vec<i32> = targets.iter().map(|&target| target as i32).collect();
                let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [targets.len()]), &x.device());
                composed(x, weight, bias, ids)
            }]
            .map(|function| {
                let (loss, best) = function(x.clone(), weight.clone(), bias.clone(), &targets);
                let gradients = (loss.clone() * 3.0).backward();
                let matrices = [&x, &weight].map(|tensor| tensor.grad(&gradients).expect("a gradient"));
                let mut all = matrices.map(|values| values.try_into_vec_as::<f32>().expect("values")).concat();
                all.extend(bias.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>().expect("values"));
                all.push(loss.inner().into_scalar());
                all.extend(best.iter().map(|best| best.log_probability));
                (all, best.iter().map(|best| best.output).collect::<Vec<_>>())
            });
            prop_assert_eq!(&both[0].1, &both[1].1);
            for (one, other) in both[0].0.iter().zip(&both[1].0) {
                prop_assert!((one - other).abs() < 1e-5 * (1.0 + other.abs()), "{one} and {other}");
            }
        }
    }

    #[test]
    fn nan_reaches_the_loss() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[f32::NAN, 1.0]], &device);
        let (loss, _) = linear_cross_entropy(x, Tensor::ones([3, 2], &device), Tensor::zeros([3], &device), &[1]);
        assert!(loss.into_scalar::<f32>().is_nan());
    }
}

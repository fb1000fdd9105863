//! The gated activation, tanh × sigmoid.
//!
//! On the CPU it is a kernel with a gradient of its own. Burn calls the system's functions for one number
//! after the other, which took half of the time of a gated encoder.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::activation;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::vectorized;
use super::squash::{sigmoid, tanh};
use super::{Epilogue, has_kernels, tensor};

/// The number of positions that a thread takes at a time. The tests divide small tensors too.
const POSITIONS: usize = if cfg!(test) { 4 } else { 256 };

/// The tanh of the first half of the channels, times the sigmoid of the second half (van den Oord et al.
/// 2016, equation 2), of which values are dropped with the probability `dropout`.
///
/// # Shapes
///
/// - `halves`: `[batch, length, 2 · hidden]`
/// - output: `[batch, length, hidden]`
pub(crate) fn gate(halves: Tensor<3>, dropout: f64) -> Tensor<3> {
    let epilogue = Epilogue::new(false, dropout, &halves.device());
    if !has_kernels(&halves) {
        return composed(halves, epilogue);
    }
    Tensor::from_dispatch(Dispatch::gate(halves.into_dispatch(), epilogue))
}

/// The same, composed of Burn's operations.
fn composed(halves: Tensor<3>, epilogue: Epilogue) -> Tensor<3> {
    let halves = halves.chunk(2, 2);
    epilogue.composed(activation::tanh(halves[0].clone()) * activation::sigmoid(halves[1].clone()))
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Gate: Backend {
    fn gate(halves: FloatTensor<Self>, epilogue: Epilogue) -> FloatTensor<Self>;

    /// The gradient of the input, from the gradient of the output.
    fn gate_backward(gradient: FloatTensor<Self>, halves: FloatTensor<Self>, epilogue: Epilogue) -> FloatTensor<Self>;
}

impl<B: Gate, C: CheckpointStrategy> Gate for Autodiff<B, C> {
    fn gate(halves: FloatTensor<Self>, epilogue: Epilogue) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: Gate> Backward<B, 1> for Step {
            type State = (FloatTensor<B>, Epilogue);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (halves, epilogue) = ops.state;
                unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
                    B::gate_backward(gradient, halves, epilogue)
                });
            }
        }

        match Step.prepare::<C>([halves.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let halves = halves.into_primitive();
                step.finish((halves.clone(), epilogue), B::gate(halves, epilogue))
            }
            OpsKind::UnTracked(step) => step.finish(B::gate(halves.into_primitive(), epilogue)),
        }
    }

    fn gate_backward(gradient: FloatTensor<Self>, halves: FloatTensor<Self>, epilogue: Epilogue) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::gate_backward(
            gradient.into_primitive(),
            halves.into_primitive(),
            epilogue,
        ))
    }
}

impl Gate for Flex {
    fn gate(halves: FlexTensor, epilogue: Epilogue) -> FlexTensor {
        let halves = halves.to_contiguous();
        let [batch, length, channels] = halves.layout().shape().dims();
        let hidden = channels / 2;
        let mut output = vec![0.0f32; batch * length * hidden];
        let halves = halves.storage::<f32>().par_chunks((POSITIONS * channels).max(1));
        let pieces = output.par_chunks_mut((POSITIONS * hidden).max(1)).zip(halves).enumerate();
        pieces.for_each(|(piece, (output, halves))| {
            vectorized!(fused => {
                let rows = output.chunks_exact_mut(hidden.max(1)).zip(halves.chunks_exact(channels.max(1)));
                for (number, (output, halves)) in (piece * POSITIONS..).zip(rows) {
                    let (values, gates) = halves.split_at(hidden);
                    for ((output, value), gate) in output.iter_mut().zip(values).zip(gates) {
                        *output = tanh(*value, fused) * sigmoid(*gate, fused);
                    }
                    epilogue.finish(number, output);
                }
            });
        });
        tensor(output, [batch, length, hidden])
    }

    fn gate_backward(gradient: FlexTensor, halves: FlexTensor, epilogue: Epilogue) -> FlexTensor {
        let (gradient, halves) = (gradient.to_contiguous(), halves.to_contiguous());
        let [batch, length, channels] = halves.layout().shape().dims();
        let hidden = channels / 2;
        let mut all = vec![0.0f32; batch * length * channels];
        let gradients = gradient.storage::<f32>().par_chunks((POSITIONS * hidden).max(1));
        let pieces = halves.storage::<f32>().par_chunks((POSITIONS * channels).max(1)).zip(gradients);
        let pieces = all.par_chunks_mut((POSITIONS * channels).max(1)).zip(pieces).enumerate();
        pieces.for_each(|(piece, (all, (halves, gradients)))| {
            vectorized!(fused => {
                let rows = all.chunks_exact_mut(channels.max(1)).zip(halves.chunks_exact(channels.max(1)));
                let rows = rows.zip(gradients.chunks_exact(hidden.max(1)));
                for (number, ((all, halves), gradient)) in (piece * POSITIONS..).zip(rows) {
                    let ((values, gates), (of_values, of_gates)) = (halves.split_at(hidden), all.split_at_mut(hidden));
                    epilogue.gradient(number, gradient, None, of_values);
                    for ((of_value, of_gate), (value, gate)) in
                        of_values.iter_mut().zip(of_gates).zip(values.iter().zip(gates))
                    {
                        let (gradient, value, gate) = (*of_value, tanh(*value, fused), sigmoid(*gate, fused));
                        *of_value = gradient * gate * (1.0 - value * value);
                        *of_gate = gradient * value * gate * (1.0 - gate);
                    }
                }
            });
        });
        tensor(all, [batch, length, channels])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Shape};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_and_gradients_match_burns_operations(batch in 1usize..4, hidden in 1usize..5, length in 1usize..9) {
            let device = Device::flex().autodiff();
            let draw = |channels| {
                let shape = Shape::new([batch, length, channels]);
                Tensor::<3>::random(shape, Distribution::Normal(0.0, 3.0), &device)
            };
            let (halves, weights) = (draw(2 * hidden).require_grad(), draw(hidden));
            let both = [|halves| gate(halves, 0.0), |halves| composed(halves, Epilogue::NONE)].map(|function: fn(Tensor<3>) -> Tensor<3>| {
                let output = function(halves.clone());
                let gradients = (output.clone() * weights.clone()).sum().backward();
                let halves_gradient = halves.grad(&gradients).expect("a gradient");
                [output.inner(), halves_gradient].map(|values| values.try_into_vec_as::<f32>().expect("values"))
            });
            for (one, other) in both[0].concat().into_iter().zip(both[1].concat()) {
                prop_assert!((one - other).abs() < 1e-5, "{one} and {other}");
            }
        }
    }
}

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

use super::squash::{sigmoid, tanh};
use super::{has_kernels, tensor};

/// The tanh of the first half of the channels, times the sigmoid of the second half (van den Oord et al.
/// 2016, equation 2).
///
/// # Shapes
///
/// - `halves`: `[batch, 2 · hidden, length]`
/// - output: `[batch, hidden, length]`
pub(crate) fn gate(halves: Tensor<3>) -> Tensor<3> {
    if has_kernels(&halves) { Tensor::from_dispatch(Dispatch::gate(halves.into_dispatch())) } else { composed(halves) }
}

/// The same, composed of Burn's operations.
fn composed(halves: Tensor<3>) -> Tensor<3> {
    let halves = halves.chunk(2, 1);
    activation::tanh(halves[0].clone()) * activation::sigmoid(halves[1].clone())
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Gate: Backend {
    fn gate(halves: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of the input, from the gradient of the output.
    fn gate_backward(gradient: FloatTensor<Self>, halves: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl<B: Gate, C: CheckpointStrategy> Gate for Autodiff<B, C> {
    fn gate(halves: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: Gate> Backward<B, 1> for Step {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                unary::<B, _>(ops.parents, ops.node, gradients, |gradient| B::gate_backward(gradient, ops.state));
            }
        }

        match Step.prepare::<C>([halves.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let halves = halves.into_primitive();
                step.finish(halves.clone(), B::gate(halves))
            }
            OpsKind::UnTracked(step) => step.finish(B::gate(halves.into_primitive())),
        }
    }

    fn gate_backward(gradient: FloatTensor<Self>, halves: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::gate_backward(gradient.into_primitive(), halves.into_primitive()))
    }
}

impl Gate for Flex {
    fn gate(halves: FlexTensor) -> FlexTensor {
        let halves = halves.to_contiguous();
        let [batch, channels, length] = halves.layout().shape().dims();
        let text_size = channels / 2 * length;
        let mut output = vec![0.0f32; batch * text_size];
        let texts = halves.storage::<f32>().par_chunks((2 * text_size).max(1));
        output.par_chunks_mut(text_size.max(1)).zip(texts).for_each(|(output, halves)| {
            let (values, gates) = halves.split_at(text_size);
            for ((output, value), gate) in output.iter_mut().zip(values).zip(gates) {
                *output = tanh(*value) * sigmoid(*gate);
            }
        });
        tensor(output, [batch, channels / 2, length])
    }

    fn gate_backward(gradient: FlexTensor, halves: FlexTensor) -> FlexTensor {
        let (gradient, halves) = (gradient.to_contiguous(), halves.to_contiguous());
        let [batch, channels, length] = halves.layout().shape().dims();
        let text_size = channels / 2 * length;
        let mut all = vec![0.0f32; 2 * batch * text_size];
        let gradients = gradient.storage::<f32>().par_chunks(text_size.max(1));
        let texts = halves.storage::<f32>().par_chunks((2 * text_size).max(1)).zip(gradients);
        all.par_chunks_mut((2 * text_size).max(1)).zip(texts).for_each(|(halves_gradient, (halves, gradient))| {
            let ((values, gates), (values_gradient, gates_gradient)) =
                (halves.split_at(text_size), halves_gradient.split_at_mut(text_size));
            let both = values_gradient.iter_mut().zip(gates_gradient).zip(values.iter().zip(gates));
            for (((value_gradient, gate_gradient), (value, gate)), gradient) in both.zip(gradient) {
                let (value, gate) = (tanh(*value), sigmoid(*gate));
                *value_gradient = gradient * gate * (1.0 - value * value);
                *gate_gradient = gradient * value * gate * (1.0 - gate);
            }
        });
        tensor(all, [batch, channels, length])
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
                let shape = Shape::new([batch, channels, length]);
                Tensor::<3>::random(shape, Distribution::Normal(0.0, 3.0), &device)
            };
            let (halves, weights) = (draw(2 * hidden).require_grad(), draw(hidden));
            let both = [gate, composed].map(|function| {
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

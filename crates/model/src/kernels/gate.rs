//! Gated activation, tanh × sigmoid, on the CPU.
//!
//! A kernel with its own gradient: Burn computes either by the system's functions, one number after the
//! other, which was half of what a gated encoder costs.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation;
use burn::tensor::{Device, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::squash::{sigmoid, tanh};
use super::tensor;

/// The tanh of half of the channels, times the sigmoid of the other half (van den Oord et al. 2016,
/// equation 2).
///
/// # Shapes
///
/// - `halves`: `[batch, 2 · hidden, length]`
/// - output: `[batch, hidden, length]`
pub(crate) fn gate(halves: Tensor<3>) -> Tensor<3> {
    match halves.device().inner() == Device::flex() {
        true => Tensor::from_dispatch(Dispatch::gate(halves.into_dispatch())),
        false => composed(halves),
    }
}

fn composed(halves: Tensor<3>) -> Tensor<3> {
    let halves = halves.chunk(2, 1);
    activation::tanh(halves[0].clone()) * activation::sigmoid(halves[1].clone())
}

/// The kernels, forth and back.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Gate: Backend {
    fn gate(halves: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The input's gradient from that of the output.
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
        let of_text = channels / 2 * length;
        let mut output = vec![0.0f32; batch * of_text];
        let texts = halves.storage::<f32>().par_chunks((2 * of_text).max(1));
        output.par_chunks_mut(of_text.max(1)).zip(texts).for_each(|(output, halves)| {
            let (values, gates) = halves.split_at(of_text);
            for ((output, value), gate) in output.iter_mut().zip(values).zip(gates) {
                *output = tanh(*value) * sigmoid(*gate);
            }
        });
        tensor(output, [batch, channels / 2, length])
    }

    fn gate_backward(gradient: FlexTensor, halves: FlexTensor) -> FlexTensor {
        let (gradient, halves) = (gradient.to_contiguous(), halves.to_contiguous());
        let [batch, channels, length] = halves.layout().shape().dims();
        let of_text = channels / 2 * length;
        let mut all = vec![0.0f32; 2 * batch * of_text];
        let gradients = gradient.storage::<f32>().par_chunks(of_text.max(1));
        let texts = halves.storage::<f32>().par_chunks((2 * of_text).max(1)).zip(gradients);
        all.par_chunks_mut((2 * of_text).max(1)).zip(texts).for_each(|(of_halves, (halves, gradient))| {
            let ((values, gates), (of_values, of_gates)) = (halves.split_at(of_text), of_halves.split_at_mut(of_text));
            let both = of_values.iter_mut().zip(of_gates).zip(values.iter().zip(gates));
            for (((of_value, of_gate), (value, gate)), gradient) in both.zip(gradient) {
                let (value, gate) = (tanh(*value), sigmoid(*gate));
                *of_value = gradient * gate * (1.0 - value * value);
                *of_gate = gradient * value * gate * (1.0 - gate);
            }
        });
        tensor(all, [batch, channels, length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Shape};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernels_are_burns_operations(batch in 1usize..4, hidden in 1usize..5, length in 1usize..9) {
            let device = Device::flex().autodiff();
            let draw = |channels| {
                let shape = Shape::new([batch, channels, length]);
                Tensor::<3>::random(shape, Distribution::Normal(0.0, 3.0), &device)
            };
            let (halves, weights) = (draw(2 * hidden).require_grad(), draw(hidden));
            let both = [gate, composed].map(|function| {
                let output = function(halves.clone());
                let gradients = (output.clone() * weights.clone()).sum().backward();
                let of_halves = halves.grad(&gradients).expect("a gradient");
                [output.inner(), of_halves].map(|values| values.try_into_vec_as::<f32>().expect("values"))
            });
            for (one, other) in both[0].concat().into_iter().zip(both[1].concat()) {
                prop_assert!((one - other).abs() < 1e-5, "{one} and {other}");
            }
        }
    }
}

//! A transposed convolution: the gradient of a convolution with respect to its input, as an operation with
//! gradients of its own (Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning",
//! chapter 4).
//!
//! It shares the kernels of the convolution, with the two passes exchanged: the forward pass is one's input
//! gradient, and the gradient of its input is a convolution.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::module::conv_transpose1d;
use burn::tensor::ops::ConvTransposeOptions;
use burn_flex::FlexTensor;

use super::{TapMajor, Taps, filter_gradient, with_rows};
use crate::ReceptiveField;
use crate::kernels::{Epilogue, has_kernels, tensor};

/// A transposed convolution without bias: every position of `x` adds its product with the filters to
/// `kernel_size` positions of the output, which begin at `stride` times its own and lie `dilation` apart:
///
/// y\[b, stride · t + dilation · k, o\] = Σ<sub>t, k</sub> Σ<sub>i</sub> x\[b, t, i\] · weight\[i, o, k\]
///
/// It is the adjoint of the convolution with the same filters. Positions of `x` that do not count must be
/// zero.
///
/// # Shapes
///
/// - `x`: `[batch, positions, input]`
/// - `weight`: `[input, output, kernel_size]`, PyTorch's layout
/// - output: `[batch, (positions - 1) · stride + dilation · (kernel_size - 1) + 1, output]`
///
/// # Panics
///
/// If `x` has no positions or not as many channels as the filters, the filters have no width, or `stride` or
/// `dilation` is zero.
pub fn transposed_convolution(x: Tensor<3>, weight: Tensor<3>, stride: usize, dilation: usize) -> Tensor<3> {
    let ([_, positions, channels], [input, _, kernel_size]) = (x.dims(), weight.dims());
    assert!(positions > 0, "no positions");
    assert!(channels == input, "{channels} channels for filters that read {input}");
    assert!(kernel_size > 0 && stride > 0 && dilation > 0, "width {kernel_size}, stride {stride}, dilation {dilation}");
    if !has_kernels(&x) || !has_kernels(&weight) {
        return composed(x, weight, stride, dilation);
    }
    let field = ReceptiveField { left: 0, right: dilation * (kernel_size - 1) };
    let taps = Taps { field, dilation, stride };
    Tensor::from_dispatch(Dispatch::transposed_convolve(x.into_dispatch(), weight.into_dispatch(), taps))
}

fn composed(x: Tensor<3>, weight: Tensor<3>, stride: usize, dilation: usize) -> Tensor<3> {
    let options = ConvTransposeOptions::new([stride], [0], [0], [dilation], 1);
    conv_transpose1d(x.swap_dims(1, 2), weight, None, options).swap_dims(1, 2)
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait TransposedConvolve: Backend {
    fn transposed_convolve(x: FloatTensor<Self>, filters: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self>;
}

/// The kernel behind training.
pub(crate) trait TransposedConvolveInTraining: TransposedConvolve {
    /// The gradients of `[x, filters]` that are asked for, from that of the output.
    fn transposed_convolve_backward(
        gradient: FloatTensor<Self>,
        of: [FloatTensor<Self>; 2],
        taps: Taps,
        asked_for: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];
}

impl<B: TransposedConvolveInTraining, C: CheckpointStrategy> TransposedConvolve for Autodiff<B, C> {
    fn transposed_convolve(x: FloatTensor<Self>, filters: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: TransposedConvolveInTraining> Backward<B, 2> for Step {
            type State = ([FloatTensor<B>; 2], Taps);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (gradient, (tensors, taps)) = (gradients.consume::<B>(&ops.node), ops.state);
                let asked_for = ops.parents.each_ref().map(Option::is_some);
                let found = B::transposed_convolve_backward(gradient, tensors, taps, asked_for);
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [x.node(), filters.node()];
        let [x, filters] = [x, filters].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::transposed_convolve(x.clone(), filters.clone(), taps);
                step.finish(([x, filters], taps), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::transposed_convolve(x, filters, taps)),
        }
    }
}

impl Taps {
    /// How many positions `outputs` of them are spread over.
    fn spread(self, outputs: usize) -> usize {
        outputs.saturating_sub(1) * self.stride + self.field.size()
    }
}

impl TransposedConvolve for Flex {
    fn transposed_convolve(x: FlexTensor, filters: FlexTensor, taps: Taps) -> FlexTensor {
        let [x, filters] = [x, filters].map(|tensor| tensor.to_contiguous());
        let ([batch, positions, _], [_, output, _]) = (x.layout().shape().dims(), filters.layout().shape().dims());
        let length = taps.spread(positions);
        let (x, rows) = with_length(x, taps.outputs(length));
        let mut sums = vec![0.0; batch * length * output];
        let counted = vec![length; batch];
        with_rows(&x, &rows, |x| TapMajor::new(&filters).write_input_gradient(x, taps, &counted, false, &mut sums));
        tensor(sums, [batch, length, output])
    }
}

impl TransposedConvolveInTraining for Flex {
    fn transposed_convolve_backward(
        gradient: FlexTensor,
        of: [FlexTensor; 2],
        taps: Taps,
        asked_for: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [gradient, x, filters] = [gradient, of[0].clone(), of[1].clone()].map(|tensor| tensor.to_contiguous());
        let ([batch, positions, input], [_, length, _]) = (x.layout().shape().dims(), gradient.layout().shape().dims());
        let [_, output, kernel_size] = filters.layout().shape().dims();
        let rows = taps.outputs(length);
        let counted = vec![length; batch];
        with_rows(&gradient, &counted, |gradient| {
            let of_x = asked_for[0].then(|| {
                let mut sums = vec![0.0; batch * rows * input];
                let bias = vec![0.0; input];
                TapMajor::new(&filters).convolve(gradient, &bias, taps, Epilogue::NONE, false, &mut sums);
                with_length(tensor(sums, [batch, rows, input]), positions).0
            });
            let of_filters = asked_for[1].then(|| {
                let (x, rows) = with_length(x, rows);
                let found = with_rows(&x, &rows, |x| filter_gradient(gradient, x, kernel_size, taps));
                tensor(found, [input, output, kernel_size])
            });
            [of_x, of_filters]
        })
    }
}

/// Cuts texts, `[batch, length, channels]`, or lengthens them with zeros. Also returns the new length of
/// each.
fn with_length(x: FlexTensor, length: usize) -> (FlexTensor, Vec<usize>) {
    let [batch, before, channels] = x.layout().shape().dims();
    let lengths = vec![length; batch];
    if before == length {
        return (x, lengths);
    }
    let kept = before.min(length) * channels;
    let mut values = vec![0.0; batch * length * channels];
    let texts = x.storage::<f32>().chunks_exact((before * channels).max(1));
    for (to, from) in values.chunks_exact_mut((length * channels).max(1)).zip(texts) {
        to[..kept].copy_from_slice(&from[..kept]);
    }
    (tensor(values, [batch, length, channels]), lengths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::convolve;
    use burn::tensor::{Device, Distribution};
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as().expect("values")
    }

    proptest! {
        #[test]
        fn kernel_and_composition_agree(
            batch in 1usize..4, positions in 1usize..30, input in 1usize..40, output in 1usize..40,
            kernel_size in 1usize..5, stride in 1usize..5, dilation in 1usize..5, seed: u64,
        ) {
            let device = Device::flex().autodiff();
            device.seed(seed);
            let draw =
                |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 0.5), &device).require_grad();
            let (x, weight) = (draw([batch, positions, input]), draw([input, output, kernel_size]));
            let both = [transposed_convolution, composed].map(|function| {
                let sums = function(x.clone(), weight.clone(), stride, dilation);
                let gradients = (sums.clone() * sums.clone()).sum().backward();
                let of = |tensor: &Tensor<3>| tensor.grad(&gradients).expect("a gradient");
                [sums.inner(), of(&x), of(&weight)]
            });
            for (found, expected) in both[0].iter().zip(&both[1]) {
                prop_assert_eq!(found.dims(), expected.dims());
                let (found, expected) = (values(found.clone()), values(expected.clone()));
                let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
                for (one, other) in found.iter().zip(&expected) {
                    prop_assert!((one - other).abs() < 1e-5 * largest, "{one} and {other} of up to {largest}");
                }
            }
        }

        #[test]
        fn it_is_the_adjoint_of_the_convolution(
            batch in 1usize..4, positions in 1usize..30, input in 1usize..9, output in 1usize..9,
            kernel_size in 1usize..5, stride in 1usize..5, dilation in 1usize..5, seed: u64,
        ) {
            let device = Device::flex();
            device.seed(seed);
            let draw = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let (y, weight) = (draw([batch, positions, input]), draw([input, output, kernel_size]));
            let transposed = transposed_convolution(y.clone(), weight.clone(), stride, dilation);
            let x = draw(transposed.dims());
            let field = ReceptiveField { left: 0, right: dilation * (kernel_size - 1) };
            let (taps, mask) = (Taps { field, dilation, stride }, Tensor::ones([batch, x.dims()[1]], &device));
            let convolved = convolve(x.clone(), weight, None, mask, taps, Epilogue::NONE).narrow(1, 0, positions);
            let [one, other] = [(convolved, y), (x, transposed)].map(|(a, b)| values((a * b).sum())[0]);
            let tolerance = 1e-4 * (1.0 + one.abs()) + 1e-4 * (positions * input) as f32;
            prop_assert!((one - other).abs() < tolerance, "{one} and {other}");
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let device = Device::flex().autodiff();
        for (stride, dilation) in [(1, 1), (1, 3), (2, 1), (3, 2)] {
            device.seed(7);
            let draw = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let (x, weight) = (draw([2, 5, 3]).require_grad(), draw([3, 2, 3]).require_grad());
            // Without a square the loss is linear in each of both, so differences are exact but for rounding.
            let scale = draw(transposed_convolution(x.clone(), weight.clone(), stride, dilation).dims());
            let loss = |x: Tensor<3>, weight: Tensor<3>| {
                (transposed_convolution(x, weight, stride, dilation) * scale.clone()).sum()
            };
            let gradients = loss(x.clone(), weight.clone()).backward();
            let direction = draw([2, 5, 3]).inner();
            let filters = draw([3, 2, 3]).inner();
            let along = |tensor: &Tensor<3>, direction: &Tensor<3>| {
                values((tensor.grad(&gradients).expect("a gradient") * direction.clone()).sum())[0]
            };
            let difference = |step: &dyn Fn(f32) -> Tensor<1>| values(step(0.5))[0] - values(step(-0.5))[0];
            let moved = |tensor: &Tensor<3>, direction: &Tensor<3>, by: f32| {
                tensor.clone().detach() + Tensor::from_inner(direction.clone() * by)
            };
            let of_x = difference(&|by| loss(moved(&x, &direction, by), weight.clone()));
            let of_weight = difference(&|by| loss(x.clone(), moved(&weight, &filters, by)));
            for (found, expected) in [(along(&x, &direction), of_x), (along(&weight, &filters), of_weight)] {
                assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{found} and {expected}");
            }
        }
    }

    #[test]
    fn nan_reaches_the_output() {
        let x = Tensor::<3>::from_floats([[[f32::NAN], [1.0]]], &Device::flex());
        let y = transposed_convolution(x, Tensor::ones([1, 1, 2], &Device::flex()), 2, 1);
        let is_nan: Vec<bool> = values(y).into_iter().map(f32::is_nan).collect();
        assert_eq!(is_nan, [true, true, false, false]);
    }
}

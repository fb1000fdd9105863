//! Layer normalisation, with what follows it, in one pass over memory forward and one backward.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::pieces::Piece;
use super::simd::vectorized;
use super::{Epilogue, has_kernels, sum_of, tensor};

/// Normalises the channels of each position (Ba, Kiros and Hinton 2016, equation 4), then applies the
/// epilogue.
///
/// # Shapes
///
/// - `x`, output: `[batch, length, channels]`
pub(crate) fn layer_norm(norm: &LayerNorm, x: Tensor<3>, epilogue: Epilogue) -> Tensor<3> {
    match &norm.beta {
        Some(beta) if has_kernels(&x) && has_kernels(&norm.gamma.val()) && has_kernels(&beta.val()) => {
            let (gain, bias) = (norm.gamma.val().into_dispatch(), beta.val().into_dispatch());
            Tensor::from_dispatch(Dispatch::normalize(x.into_dispatch(), gain, bias, epilogue))
        }
        _ => epilogue.composed(norm.forward(x)),
    }
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Normalize: Backend {
    fn normalize(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;
}

/// What the backward pass reads.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    x: T,
    gain: T,
    /// The output, if the gradient of the epilogue depends on it.
    output: Option<T>,
    epilogue: Epilogue,
}

/// The kernel of the backward pass.
pub(crate) trait NormalizeBackward: Normalize {
    /// The gradients of the input, the gain and the bias, from that of the output.
    fn normalize_backward(gradient: FloatTensor<Self>, kept: Kept<FloatTensor<Self>>) -> [FloatTensor<Self>; 3];
}

impl<B: NormalizeBackward, C: CheckpointStrategy> Normalize for Autodiff<B, C> {
    fn normalize(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: NormalizeBackward> Backward<B, 3> for Step {
            type State = Kept<FloatTensor<B>>;

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let found = B::normalize_backward(gradients.consume::<B>(&ops.node), ops.state);
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [x.node(), gain.node(), bias.node()];
        let [x, gain, bias] = [x, gain, bias].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::normalize(x.clone(), gain.clone(), bias, epilogue);
                let kept = Kept { x, gain, output: epilogue.reads_output().then(|| output.clone()), epilogue };
                step.finish(kept, output)
            }
            OpsKind::UnTracked(step) => step.finish(B::normalize(x, gain, bias, epilogue)),
        }
    }
}

impl Normalize for Flex {
    fn normalize(x: FlexTensor, gain: FlexTensor, bias: FlexTensor, epilogue: Epilogue) -> FlexTensor {
        let [x, gain, bias] = [x, gain, bias].map(|tensor| tensor.to_contiguous());
        let shape: [usize; 3] = x.layout().shape().dims();
        let (channels, values) = (shape[2], x.storage::<f32>());
        let (gain, bias) = (gain.storage::<f32>(), bias.storage::<f32>());
        let mut output = vec![0.0; values.len()];
        let pieces = Piece::all(1, shape[0] * shape[1], 1);
        Piece::for_each(&pieces, &mut output, channels, |piece, output| {
            vectorized!({
                for (number, output) in (piece.first..).zip(output.chunks_exact_mut(channels)) {
                    let x = &values[number * channels..][..channels];
                    let Moments { mean, scale } = Moments::new(x);
                    let parameters = gain.iter().zip(bias);
                    for ((output, x), (gain, bias)) in output.iter_mut().zip(x).zip(parameters) {
                        *output = (x - mean) * scale * gain + bias;
                    }
                    epilogue.finish(number, output);
                }
            });
        });
        tensor(output, shape)
    }
}

impl NormalizeBackward for Flex {
    fn normalize_backward(gradient: FlexTensor, kept: Kept<FlexTensor>) -> [FlexTensor; 3] {
        let Kept { x, gain, output, epilogue } = kept;
        let [gradient, x, gain] = [gradient, x, gain].map(|tensor| tensor.to_contiguous());
        let shape: [usize; 3] = x.layout().shape().dims();
        let channels = shape[2];
        let (gradients, values, gain) = (gradient.storage::<f32>(), x.storage::<f32>(), gain.storage::<f32>());
        let output = output.as_ref().map(|output| output.storage::<f32>());
        let mut of_x = vec![0.0; values.len()];
        let pieces = Piece::all(1, shape[0] * shape[1], 1);
        let sums = Piece::sum_each(&pieces, &mut of_x, channels, 2 * channels, |piece, of_x, sums| {
            let (of_gain, of_bias) = sums.split_at_mut(channels);
            vectorized!({
                for (number, of_x) in (piece.first..).zip(of_x.chunks_exact_mut(channels)) {
                    let row = number * channels..(number + 1) * channels;
                    let output = output.map(|output| &output[row.clone()]);
                    epilogue.gradient(number, &gradients[row.clone()], output, of_x);
                    normalize_back(&values[row], gain, of_x, of_gain, of_bias);
                }
            });
        });
        let (of_gain, of_bias) = sums.split_at(channels);
        [tensor(of_x, shape), tensor(of_gain.to_vec(), [channels]), tensor(of_bias.to_vec(), [channels])]
    }
}

/// The backward pass of one row. `gradient` is that of the output, and becomes that of the input.
#[inline(always)]
fn normalize_back(x: &[f32], gain: &[f32], gradient: &mut [f32], of_gain: &mut [f32], of_bias: &mut [f32]) {
    let Moments { mean, scale } = Moments::new(x);
    let sums = of_gain.iter_mut().zip(of_bias).zip(gradient.iter().zip(x));
    for ((of_gain, of_bias), (gradient, x)) in sums {
        *of_gain += gradient * (x - mean) * scale;
        *of_bias += gradient;
    }
    gradient.iter_mut().zip(gain).for_each(|(gradient, gain)| *gradient *= gain);
    let count = x.len() as f32;
    let mean_gradient = sum_of(gradient, x, |gradient, _| gradient) / count;
    let mean_product = sum_of(gradient, x, |gradient, x| gradient * (x - mean) * scale) / count;
    for (gradient, x) in gradient.iter_mut().zip(x) {
        *gradient = scale * (*gradient - mean_gradient - (x - mean) * scale * mean_product);
    }
}

/// The mean of a row, and one over its standard deviation.
struct Moments {
    mean: f32,
    scale: f32,
}

impl Moments {
    #[inline(always)]
    fn new(x: &[f32]) -> Self {
        let count = x.len() as f32;
        let mean = sum_of(x, x, |x, _| x) / count;
        let variance = sum_of(x, x, |x, _| (x - mean) * (x - mean)) / count;
        // Every layer of this crate has the default.
        let epsilon = LayerNormConfig::new(x.len()).epsilon as f32;
        Self { mean, scale: 1.0 / (variance + epsilon).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Device, Distribution};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_and_gradients_match_burns_operations(batch in 1usize..4, length in 1usize..9, channels in 1usize..40) {
            let device = Device::flex().autodiff();
            let draw = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Normal(0.0, 2.0), &device);
            let (x, weights) = (draw([batch, length, channels]).require_grad(), draw([batch, length, channels]));
            let parameter = || Param::from_tensor(draw([1, 1, channels]).reshape([channels]));
            let mut norm = LayerNormConfig::new(channels).init(&device);
            (norm.gamma, norm.beta) = (parameter(), Some(parameter()));
                        let both = [layer_norm, |norm: &LayerNorm, x, epilogue: Epilogue| epilogue.composed(norm.forward(x))]
                .map(|function| {
                    let output = function(&norm, x.clone(), Epilogue::RELU);
                    let gradients = (output.clone() * weights.clone()).sum().backward();
                    let beta = norm.beta.as_ref().expect("a bias").val();
                    let all = [norm.gamma.val().grad(&gradients), beta.grad(&gradients)];
                    let all = all.map(|gradient| gradient.expect("a gradient").try_into_vec_as::<f32>().expect("values"));
                    let x = [output.inner(), x.grad(&gradients).expect("a gradient")];
                    let x = x.map(|values| values.try_into_vec_as::<f32>().expect("values"));
                    [x.concat(), all.concat()].concat()
                });
            for (one, other) in both[0].iter().zip(&both[1]) {
                prop_assert!((one - other).abs() < 2e-4 * (1.0 + other.abs()), "{one} and {other}");
            }
        }
    }
}

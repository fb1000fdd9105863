//! The end of a residual block: a sum, then ReLU, in one pass over memory.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd::vectorized;
use super::{has_kernels, tensor};

/// The number of values that a thread takes at a time.
const VALUES: usize = 1 << 16;

/// The larger of `a + b` and zero, element by element; both have the same shape.
pub(crate) fn rectified_sum(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
    if has_kernels(&a) && has_kernels(&b) && a.dims() == b.dims() {
        Tensor::from_dispatch(Dispatch::rectified_sum(a.into_dispatch(), b.into_dispatch()))
    } else {
        activation::relu(a + b)
    }
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait RectifiedSum: Backend {
    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of either summand, from the gradient of the output and the output.
    fn rectified_sum_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl<B: RectifiedSum, C: CheckpointStrategy> RectifiedSum for Autodiff<B, C> {
    fn rectified_sum(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: RectifiedSum> Backward<B, 2> for Step {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let gradient = gradients.consume::<B>(&ops.node);
                let gradient = B::rectified_sum_backward(gradient, ops.state);
                for node in ops.parents.into_iter().flatten() {
                    gradients.register::<B>(node.id, gradient.clone());
                }
            }
        }

        match Step.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::rectified_sum(a.into_primitive(), b.into_primitive());
                step.finish(output.clone(), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::rectified_sum(a.into_primitive(), b.into_primitive())),
        }
    }

    fn rectified_sum_backward(gradient: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self> {
        let (gradient, output) = (gradient.into_primitive(), output.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::rectified_sum_backward(gradient, output))
    }
}

impl RectifiedSum for Flex {
    fn rectified_sum(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        // NaN is not below zero, so it stays NaN.
        combined(a, b, |a, b| {
            let sum = a + b;
            if sum < 0.0 { 0.0 } else { sum }
        })
    }

    fn rectified_sum_backward(gradient: FlexTensor, output: FlexTensor) -> FlexTensor {
        combined(gradient, output, |gradient, output| if output > 0.0 { gradient } else { 0.0 })
    }
}

/// A function of two tensors of the same shape, element by element.
#[inline(always)]
fn combined(a: FlexTensor, b: FlexTensor, function: impl Fn(f32, f32) -> f32 + Copy + Sync) -> FlexTensor {
    let (a, b) = (a.to_contiguous(), b.to_contiguous());
    let shape: [usize; 3] = a.layout().shape().dims();
    let mut output = vec![0.0f32; a.storage::<f32>().len()];
    let pieces = a.storage::<f32>().par_chunks(VALUES).zip(b.storage::<f32>().par_chunks(VALUES));
    output.par_chunks_mut(VALUES).zip(pieces).for_each(|(output, (a, b))| {
        vectorized!({
            for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
                *output = function(*a, *b);
            }
        });
    });
    tensor(output, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn values_and_gradients_are_those_of_burns_operations() {
        let device = Device::flex().autodiff();
        let draw = || Tensor::<3>::random([3, 50, 700], Distribution::Normal(0.0, 1.0), &device).require_grad();
        let (a, b) = (draw(), draw());
        let both = [rectified_sum, |a: Tensor<3>, b: Tensor<3>| activation::relu(a + b)].map(|function| {
            let output = function(a.clone(), b.clone());
            let gradients = (output.clone() * output.clone()).sum().backward();
            let all =
                [output.inner(), a.grad(&gradients).expect("a gradient"), b.grad(&gradients).expect("a gradient")];
            all.map(|values| values.try_into_vec_as::<f32>().expect("values")).concat()
        });
        assert_eq!(both[0], both[1]);
    }

    #[test]
    fn nan_stays_nan() {
        let device = Device::flex();
        let sum = rectified_sum(Tensor::full([1, 1, 2], f32::NAN, &device), Tensor::zeros([1, 1, 2], &device));
        assert!(sum.try_into_vec_as::<f32>().expect("values").iter().all(|value| value.is_nan()));
    }
}

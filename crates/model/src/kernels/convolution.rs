//! A convolution over the positions of a batch of texts.
//!
//! On the CPU it is a kernel: the windows of a text are written next to each other and multiplied by
//! the filters while they are still in the cache; the backward pass writes them again. Burn's own dilated
//! convolution takes twice as long on the CPU, and a composition of Burn's operations three times
//! (docs/performance.md). On other devices it is Burn's.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, binary};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::{add, has_kernels, tensor};
use crate::ReceptiveField;

/// Where the taps of a filter are, and where the filter is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    /// What one output sees of the input, from the first tap to the last.
    pub field: ReceptiveField,
    /// The distance from one tap to the next.
    pub dilation: usize,
    /// The distance from one output to the next.
    pub stride: usize,
}

/// The convolution, with zeros around the texts.
///
/// # Shapes
///
/// - `x`: `[batch, input, length]`
/// - `filters`: `[output, input, kernel_size]`
/// - output: `[batch, output, length / stride]`, rounded up
pub(crate) fn convolve(x: Tensor<3>, filters: Tensor<3>, taps: Taps) -> Tensor<3> {
    if !(has_kernels(&x) && has_kernels(&filters)) {
        return composed(x, filters, taps);
    }
    Tensor::from_dispatch(Dispatch::convolve(x.into_dispatch(), filters.into_dispatch(), taps))
}

/// The same with Burn's convolution.
fn composed(x: Tensor<3>, filters: Tensor<3>, taps: Taps) -> Tensor<3> {
    let x = x.pad([(0, 0), (0, 0), (taps.field.left, taps.field.right)], 0.0);
    conv1d(x, filters, None, ConvOptions::new([taps.stride], [0], [taps.dilation], 1))
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Convolve: Backend {
    fn convolve(x: FloatTensor<Self>, filters: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self>;

    /// The gradient of the input, `[batch, input, length]`, from the gradient of the output.
    fn convolve_backward_input(
        gradient: FloatTensor<Self>,
        filters: FloatTensor<Self>,
        length: usize,
        taps: Taps,
    ) -> FloatTensor<Self>;

    /// The gradient of the filters, `[output, input, kernel_size]`, from the gradient of the output.
    fn convolve_backward_filters(
        gradient: FloatTensor<Self>,
        x: FloatTensor<Self>,
        kernel_size: usize,
        taps: Taps,
    ) -> FloatTensor<Self>;
}

impl<B: Convolve, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    fn convolve(x: FloatTensor<Self>, filters: FloatTensor<Self>, taps: Taps) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: Convolve> Backward<B, 2> for Step {
            type State = (FloatTensor<B>, FloatTensor<B>, Taps);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (x, filters, taps) = ops.state;
                let (length, kernel_size) = (x.shape()[2], filters.shape()[2]);
                binary::<B, _, _>(
                    ops.parents,
                    ops.node,
                    gradients,
                    |gradient| B::convolve_backward_input(gradient, filters, length, taps),
                    |gradient| B::convolve_backward_filters(gradient, x, kernel_size, taps),
                );
            }
        }

        match Step.prepare::<C>([x.node(), filters.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (x, filters) = (x.into_primitive(), filters.into_primitive());
                let state = (x.clone(), filters.clone(), taps);
                step.finish(state, B::convolve(x, filters, taps))
            }
            OpsKind::UnTracked(step) => step.finish(B::convolve(x.into_primitive(), filters.into_primitive(), taps)),
        }
    }

    fn convolve_backward_input(
        gradient: FloatTensor<Self>,
        filters: FloatTensor<Self>,
        length: usize,
        taps: Taps,
    ) -> FloatTensor<Self> {
        let (gradient, filters) = (gradient.into_primitive(), filters.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::convolve_backward_input(gradient, filters, length, taps))
    }

    fn convolve_backward_filters(
        gradient: FloatTensor<Self>,
        x: FloatTensor<Self>,
        kernel_size: usize,
        taps: Taps,
    ) -> FloatTensor<Self> {
        let (gradient, x) = (gradient.into_primitive(), x.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::convolve_backward_filters(gradient, x, kernel_size, taps))
    }
}

impl Convolve for Flex {
    fn convolve(x: FlexTensor, filters: FlexTensor, taps: Taps) -> FlexTensor {
        let (x, filters) = (x.to_contiguous(), filters.to_contiguous());
        let [batch, input, length] = x.layout().shape().dims();
        let [output, _, kernel_size] = filters.layout().shape().dims();
        let positions = length.div_ceil(taps.stride);
        let filters = matrix(filters.storage::<f32>().to_vec(), output, input * kernel_size);

        let mut sums = vec![0.0f32; batch * output * positions];
        let texts = x.storage::<f32>().par_chunks((input * length).max(1));
        sums.par_chunks_mut((output * positions).max(1)).zip(texts).for_each(|(sums, text)| {
            let windows = matrix(taps.windows(text, length, kernel_size), input * kernel_size, positions);
            sums.copy_from_slice(Self::float_matmul(filters.clone(), windows).storage::<f32>());
        });
        tensor(sums, [batch, output, positions])
    }

    fn convolve_backward_input(gradient: FlexTensor, filters: FlexTensor, length: usize, taps: Taps) -> FlexTensor {
        let (gradient, filters) = (gradient.to_contiguous(), filters.to_contiguous());
        let [batch, output, positions] = gradient.layout().shape().dims();
        let [_, input, kernel_size] = filters.layout().shape().dims();
        let filters = matrix(filters.storage::<f32>().to_vec(), output, input * kernel_size);
        let filters = Self::float_swap_dims(filters, 0, 1);

        let mut sums = vec![0.0f32; batch * input * length];
        let texts = gradient.storage::<f32>().par_chunks((output * positions).max(1));
        sums.par_chunks_mut((input * length).max(1)).zip(texts).for_each(|(sums, gradient)| {
            let gradient = matrix(gradient.to_vec(), output, positions);
            let windows = Self::float_matmul(filters.clone(), gradient); // [input · kernel_size, positions]
            taps.add_windows(sums, windows.storage::<f32>(), length, kernel_size);
        });
        tensor(sums, [batch, input, length])
    }

    /// Computed text by text and summed in their order, so the sums are the same on any number of cores.
    fn convolve_backward_filters(gradient: FlexTensor, x: FlexTensor, kernel_size: usize, taps: Taps) -> FlexTensor {
        let (gradient, x) = (gradient.to_contiguous(), x.to_contiguous());
        let [_, output, positions] = gradient.layout().shape().dims();
        let [_, input, length] = x.layout().shape().dims();

        let gradients = gradient.storage::<f32>().par_chunks((output * positions).max(1));
        let texts = x.storage::<f32>().par_chunks((input * length).max(1));
        let by_text = gradients.zip(texts).map(|(gradient, text)| {
            let windows = matrix(taps.windows(text, length, kernel_size), input * kernel_size, positions);
            let gradient = matrix(gradient.to_vec(), output, positions);
            Self::float_matmul(gradient, Self::float_swap_dims(windows, 0, 1))
        });
        let by_text: Vec<FlexTensor> = by_text.collect();
        let mut sums = vec![0.0f32; output * input * kernel_size];
        for part in &by_text {
            add(&mut sums, part.storage::<f32>());
        }
        tensor(sums, [output, input, kernel_size])
    }
}

impl Taps {
    /// The value at each tap for each output, `[input, kernel_size, positions]`, from a text, `[input,
    /// length]`.
    fn windows(self, text: &[f32], length: usize, kernel_size: usize) -> Vec<f32> {
        let positions = length.div_ceil(self.stride);
        let mut windows = vec![0.0; text.len() / length.max(1) * kernel_size * positions];
        let mut rows = windows.chunks_exact_mut(positions.max(1));
        for channel in text.chunks_exact(length.max(1)) {
            for (tap, row) in (0..kernel_size).zip(&mut rows) {
                let (outputs, start) = self.seen(tap, length);
                let seen = channel.iter().skip(start).step_by(self.stride);
                if self.stride == 1 {
                    row[outputs.clone()].copy_from_slice(&channel[start..start + outputs.len()]);
                } else {
                    row[outputs].iter_mut().zip(seen).for_each(|(place, seen)| *place = *seen);
                }
            }
        }
        windows
    }

    /// Adds the values in windows to the positions of the text that they belong to.
    fn add_windows(self, text: &mut [f32], windows: &[f32], length: usize, kernel_size: usize) {
        let mut rows = windows.chunks_exact(length.div_ceil(self.stride).max(1));
        for channel in text.chunks_exact_mut(length.max(1)) {
            for (tap, row) in (0..kernel_size).zip(&mut rows) {
                let (outputs, start) = self.seen(tap, length);
                let row = &row[outputs];
                match self.stride {
                    1 => add(&mut channel[start..], row),
                    stride => channel[start..].iter_mut().step_by(stride).zip(row).for_each(|(sum, part)| *sum += part),
                }
            }
        }
    }

    /// The outputs for which a tap is inside a text of `length` positions, and the position of the tap
    /// for the first of them.
    fn seen(self, tap: usize, length: usize) -> (std::ops::Range<usize>, usize) {
        let Self { field, dilation, stride } = self;
        let (ahead, behind) = (tap * dilation, field.left);
        let first = behind.saturating_sub(ahead).div_ceil(stride);
        let end = (length + behind).saturating_sub(ahead).div_ceil(stride).min(length.div_ceil(stride));
        if first < end { (first..end, first * stride + ahead - behind) } else { (0..0, 0) }
    }
}

fn matrix(values: Vec<f32>, rows: usize, columns: usize) -> FlexTensor {
    tensor(values, [rows, columns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_and_gradients_match_burns_convolution(
            length in 1usize..12, kernel_size in 1usize..5, dilation in 1usize..5, stride in 1usize..4, is_causal: bool,
        ) {
            let device = Device::flex().autodiff();
            let all = dilation * (kernel_size - 1);
            let field = if is_causal {
                ReceptiveField { left: all, right: 0 }
            } else {
                ReceptiveField::same_convolution(kernel_size, dilation)
            };
            let taps = Taps { field, dilation, stride };
            let wave = |shape: [usize; 3], pace: f32| {
                let values: Vec<f32> = (1..=shape.iter().product()).map(|at| (at as f32 * pace).sin()).collect();
                Tensor::<3>::from_data(TensorData::new(values, shape), &device).require_grad()
            };
            let (x, filters) = (wave([2, 3, length], 1.7), wave([4, 3, kernel_size], 0.9));
            let both = [convolve, composed].map(|function| {
                let sums = function(x.clone(), filters.clone(), taps);
                let gradients = (sums.clone() * sums.clone()).sum().backward();
                let gradient = |tensor: &Tensor<3>| tensor.grad(&gradients).expect("a gradient");
                [sums.inner(), gradient(&x), gradient(&filters)].map(|values| values.try_into_vec_as::<f32>().expect("values"))
            });
            for (one, other) in both[0].concat().into_iter().zip(both[1].concat()) {
                prop_assert!((one - other).abs() < 1e-4, "{one} and {other}");
            }
        }
    }
}

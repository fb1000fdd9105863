//! A convolution over the positions of a batch of texts, with what follows it: bias, ReLU, dropout, mask.
//!
//! On the CPU it is a kernel, an extension of Burn's backend. Texts lie position by position,
//! `[batch, length, channels]`, so that whatever a filter reads is whole rows, and the batch is cut into
//! pieces that fit the cache. A piece is one matrix product ([`direct`]); bias, activation and mask are
//! applied to it before the next. In training, filters of three positions take half of the
//! multiplications ([`winograd`]). At inference they do not, because that mixes neighbouring positions:
//! the last bits of an output would depend on positions outside its receptive field. On other devices
//! it is Burn's convolution.

mod direct;
mod rows;
mod transposed;
mod winograd;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Slice, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use self::rows::{Finish, Rows};
pub use self::transposed::transposed_convolution;
use super::panels::Panels;
use super::pieces::Piece;
use super::simd::vectorized;
use super::{Epilogue, add, counted, has_kernels, tensor};
use crate::ReceptiveField;

/// Where the taps of a filter lie, and where it is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    /// What one output sees of the input: the positions from the first tap to the last.
    pub field: ReceptiveField,
    /// From one tap to the next.
    pub dilation: usize,
    /// From one output to the next.
    pub stride: usize,
}

impl Taps {
    /// How many outputs `positions` of the input have.
    fn outputs(self, positions: usize) -> usize {
        positions.div_ceil(self.stride)
    }

    /// Which position a tap reads for an output.
    #[inline(always)]
    fn position(self, output: usize, tap: usize) -> isize {
        (output * self.stride + tap * self.dilation) as isize - self.field.left as isize
    }

    /// The taps of the input's gradient, which is a convolution of the output's, where no position is
    /// stepped over.
    fn mirrored(self) -> Self {
        let ReceptiveField { left, right } = self.field;
        Self { field: ReceptiveField { left: right, right: left }, ..self }
    }
}

/// A convolution with a bias, then the epilogue. Texts are surrounded by zeros; positions that do not
/// count are read as zeros, and are zero in the output.
///
/// # Shapes
///
/// - `x`: `[batch, length, input]`
/// - `filters`: `[output, input, kernel_size]`
/// - `bias`: `[output]`, none for zeros
/// - `mask`: `[batch, length]`, 1 at positions that count, which come first, and 0 elsewhere
/// - output: `[batch, length / stride, output]`, rounded up
pub(crate) fn convolve(
    x: Tensor<3>,
    filters: Tensor<3>,
    bias: Option<Tensor<1>>,
    mask: Tensor<2>,
    taps: Taps,
    epilogue: Epilogue,
) -> Tensor<3> {
    let has_kernel = has_kernels(&x) && has_kernels(&filters) && has_kernels(&mask);
    if !has_kernel || bias.as_ref().is_some_and(|bias| !has_kernels(bias)) {
        return composed(x, filters, bias, mask, taps, epilogue);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([filters.dims()[0]], &x.device()));
    let (x, filters, mask) = (x.into_dispatch(), filters.into_dispatch(), mask.inner().into_dispatch());
    Tensor::from_dispatch(Dispatch::convolve(x, filters, bias.into_dispatch(), mask, taps, epilogue))
}

fn composed(
    x: Tensor<3>,
    filters: Tensor<3>,
    bias: Option<Tensor<1>>,
    mask: Tensor<2>,
    taps: Taps,
    epilogue: Epilogue,
) -> Tensor<3> {
    let [batch, length, _] = x.dims();
    let mask = mask.unsqueeze_dim::<3>(2);
    let x = (x * mask.clone()).swap_dims(1, 2).pad([(0, 0), (0, 0), (taps.field.left, taps.field.right)], 0.0);
    let sums = conv1d(x, filters, bias, ConvOptions::new([taps.stride], [0], [taps.dilation], 1)).swap_dims(1, 2);
    let each = Slice::new(0, Some(length as isize), taps.stride as isize);
    epilogue.composed(sums) * mask.slice([Slice::from(0..batch), each, Slice::from(0..1)])
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Convolve: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        filters: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        taps: Taps,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;
}

/// What the backward pass reads.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    x: T,
    filters: T,
    mask: T,
    /// The output, if the gradient of the epilogue depends on it.
    output: Option<T>,
    taps: Taps,
    epilogue: Epilogue,
}

/// The gradients of a convolution; none of what was not asked for.
pub(crate) struct ConvolutionGradients<T> {
    x: Option<T>,
    filters: Option<T>,
    bias: T,
}

/// The kernels behind training.
pub(crate) trait ConvolveInTraining: Convolve {
    /// The same as [`convolve`](Convolve::convolve), with fewer multiplications and other rounding.
    fn convolve_in_training(
        x: FloatTensor<Self>,
        filters: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        taps: Taps,
        epilogue: Epilogue,
    ) -> FloatTensor<Self>;

    /// The gradients, from that of the output; those of the input and the filters if asked for.
    fn convolve_backward(
        gradient: FloatTensor<Self>,
        kept: Kept<FloatTensor<Self>>,
        of_input: bool,
        of_filters: bool,
    ) -> ConvolutionGradients<FloatTensor<Self>>;
}

impl<B: ConvolveInTraining, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        filters: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        taps: Taps,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: ConvolveInTraining> Backward<B, 3> for Step {
            type State = Kept<FloatTensor<B>>;

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let [x, filters, bias] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let found = B::convolve_backward(gradient, ops.state, x.is_some(), filters.is_some());
                let found = [(x, found.x), (filters, found.filters), (bias, Some(found.bias))];
                for (node, gradient) in found {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [x.node(), filters.node(), bias.node()];
        let in_training = filters.is_tracked();
        let [x, filters, bias, mask] = [x, filters, bias, mask].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let convolve = if in_training { B::convolve_in_training } else { B::convolve };
                let output = convolve(x.clone(), filters.clone(), bias, mask.clone(), taps, epilogue);
                let kept =
                    Kept { x, filters, mask, output: epilogue.reads_output().then(|| output.clone()), taps, epilogue };
                step.finish(kept, output)
            }
            OpsKind::UnTracked(step) => step.finish(B::convolve(x, filters, bias, mask, taps, epilogue)),
        }
    }
}

impl Convolve for Flex {
    fn convolve(
        x: FlexTensor,
        filters: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        taps: Taps,
        epilogue: Epilogue,
    ) -> FlexTensor {
        convolved([x, filters, bias, mask], taps, epilogue, false)
    }
}

/// The convolution of `[x, filters, bias, mask]`.
fn convolved(tensors: [FlexTensor; 4], taps: Taps, epilogue: Epilogue, in_training: bool) -> FlexTensor {
    let [x, filters, bias, mask] = tensors.map(|tensor| tensor.to_contiguous());
    let [batch, length, _] = x.layout().shape().dims();
    let [output, _, _] = filters.layout().shape().dims();
    let counted = counted(&mask);
    let filters = TapMajor::new(&filters);
    let mut sums = vec![0.0; batch * taps.outputs(length) * output];
    with_rows(&x, &counted, |x| filters.convolve(x, bias.storage(), taps, epilogue, in_training, &mut sums));
    tensor(sums, [batch, taps.outputs(length), output])
}

impl ConvolveInTraining for Flex {
    fn convolve_in_training(
        x: FlexTensor,
        filters: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        taps: Taps,
        epilogue: Epilogue,
    ) -> FlexTensor {
        convolved([x, filters, bias, mask], taps, epilogue, true)
    }

    fn convolve_backward(
        gradient: FlexTensor,
        kept: Kept<FlexTensor>,
        of_input: bool,
        of_filters: bool,
    ) -> ConvolutionGradients<FlexTensor> {
        let Kept { x, filters, mask, output, taps, epilogue } = kept;
        let [x, filters, mask] = [x, filters, mask].map(|tensor| tensor.to_contiguous());
        let inputs = counted(&mask);
        let outputs: Vec<usize> = inputs.iter().map(|&positions| taps.outputs(positions)).collect();
        let (gradient, bias) = gradient_of_sums(gradient.to_contiguous(), output, epilogue, &outputs);
        let [channels, _, kernel_size] = filters.layout().shape().dims();
        let filters = TapMajor::new(&filters);
        with_rows(&gradient, &outputs, |gradient| ConvolutionGradients {
            x: of_input.then(|| {
                let mut sums = vec![0.0; x.layout().num_elements()];
                // Without weights to train, every gradient is wanted exactly.
                filters.write_input_gradient(gradient, taps, &inputs, of_filters, &mut sums);
                tensor(sums, x.layout().shape().dims::<3>())
            }),
            filters: of_filters.then(|| {
                let found = with_rows(&x, &inputs, |x| filter_gradient(x, gradient, kernel_size, taps));
                tensor(found, [channels, x.layout().shape().dims::<3>()[2], kernel_size])
            }),
            bias: tensor(bias, [channels]),
        })
    }
}

fn with_rows<R>(tensor: &FlexTensor, counted: &[usize], work: impl FnOnce(&Rows) -> R) -> R {
    let [_, length, channels] = tensor.layout().shape().dims();
    work(&Rows { values: tensor.storage(), counted, length, channels, zeros: &vec![0.0; channels] })
}

/// The gradient before epilogue and mask, and that of the bias: its sum over all positions.
fn gradient_of_sums(
    gradient: FlexTensor,
    output: Option<FlexTensor>,
    epilogue: Epilogue,
    counted: &[usize],
) -> (FlexTensor, Vec<f32>) {
    let [batch, length, channels] = gradient.layout().shape().dims();
    let values = gradient.storage::<f32>();
    let output = output.as_ref().map(|output| output.storage::<f32>());
    let mut before = vec![0.0; values.len()];
    let pieces = Piece::all(batch, length, 1);
    let bias = Piece::sum_each(&pieces, &mut before, channels, channels, |piece, before, sum| {
        vectorized!({
            for (text, before) in (piece.text..).zip(before.chunks_exact_mut(piece.rows * channels)) {
                let rows = counted[text].saturating_sub(piece.first).min(piece.rows);
                let numbers = text * length + piece.first..;
                for (number, before) in numbers.zip(before.chunks_exact_mut(channels).take(rows)) {
                    let row = number * channels..(number + 1) * channels;
                    epilogue.gradient(number, &values[row.clone()], output.map(|output| &output[row]), before);
                    add(sum, before);
                }
            }
        });
    });
    (tensor(before, [batch, length, channels]), bias)
}

/// Filters by their taps, `[kernel_size, output, input]`.
struct TapMajor {
    taps: Vec<Vec<f32>>,
    output: usize,
    input: usize,
}

impl TapMajor {
    fn new(filters: &FlexTensor) -> Self {
        let [output, input, kernel_size] = filters.layout().shape().dims();
        let values = filters.storage::<f32>();
        let of_tap = |tap: usize| values.iter().skip(tap).step_by(kernel_size).copied().collect();
        Self { taps: (0..kernel_size).map(of_tap).collect(), output, input }
    }

    fn kernel_size(&self) -> usize {
        self.taps.len()
    }

    fn slices(&self) -> Vec<&[f32]> {
        self.taps.iter().map(Vec::as_slice).collect()
    }

    fn convolve(&self, x: &Rows, bias: &[f32], taps: Taps, epilogue: Epilogue, in_training: bool, sums: &mut [f32]) {
        let panels = |filters: &[&[f32]]| Panels::transposed(filters, self.input, self.output);
        convolve_with(panels, &self.slices(), x, taps, Finish { bias, epilogue }, in_training, sums);
    }

    /// Writes the input's gradient, `[batch, length, input]`; `counted` says how many positions of
    /// each text's input count.
    fn write_input_gradient(
        &self,
        gradient: &Rows,
        taps: Taps,
        counted: &[usize],
        in_training: bool,
        sums: &mut [f32],
    ) {
        if taps.stride == 1 {
            // A convolution with the same filters, from output to input and in the opposite order.
            let panels = |filters: &[&[f32]]| Panels::new(filters, self.output, self.input);
            let mut filters = self.slices();
            filters.reverse();
            let finish = Finish { bias: &vec![0.0; self.input], epilogue: Epilogue::NONE };
            return convolve_with(panels, &filters, gradient, taps.mirrored(), finish, in_training, sums);
        }
        // [output, kernel_size · input]
        let side_by_side: Vec<f32> = (0..self.output)
            .flat_map(|filter| self.taps.iter().flat_map(move |tap| &tap[filter * self.input..][..self.input]))
            .copied()
            .collect();
        let filters = Panels::new(&[&side_by_side], self.output, self.kernel_size() * self.input);
        let text = sums.len() / counted.len().max(1);
        sums.par_chunks_mut(text.max(1)).zip(counted).enumerate().for_each(|(text, (sums, &counted))| {
            direct::write_input_gradient(gradient, &filters, self.kernel_size(), taps, text, counted, sums);
        });
    }
}

/// Convolves `x` with filters given tap by tap, which `panels` puts into the order of a product.
fn convolve_with(
    panels: impl Fn(&[&[f32]]) -> Panels,
    filters: &[&[f32]],
    x: &Rows,
    taps: Taps,
    finish: Finish,
    in_training: bool,
    sums: &mut [f32],
) {
    let (batch, rows) = (x.counted.len(), taps.outputs(x.length));
    if let [first, second, third] = *filters
        && in_training
        && winograd::pays(taps, filters.len(), rows)
    {
        let filters = winograd::transform_filters([first, second, third]).map(|filters| panels(&[&filters]));
        let pieces = Piece::all(batch, rows, winograd::unit(taps));
        return Piece::for_each(&pieces, sums, finish.bias.len(), |piece, sums| {
            winograd::convolve(x, &filters, taps, piece, finish, sums);
        });
    }
    let filters = panels(filters).with_bias(finish.bias);
    Piece::for_each(&Piece::all(batch, rows, 1), sums, finish.bias.len(), |piece, sums| {
        direct::convolve(x, &filters, taps, piece, finish.epilogue, sums);
    });
}

/// The filters' gradient, `[output, input, kernel_size]`.
fn filter_gradient(x: &Rows, gradient: &Rows, kernel_size: usize, taps: Taps) -> Vec<f32> {
    let (batch, rows, size) = (x.counted.len(), gradient.length, gradient.channels * x.channels);
    let of_taps: Vec<Vec<f32>> = if winograd::pays(taps, kernel_size, rows) {
        let pieces = Piece::all(batch, rows, winograd::unit(taps));
        let sums = Piece::sum(&pieces, winograd::POINTS * size, |piece, sums| {
            winograd::add_filter_gradient(x, gradient, taps, piece, sums);
        });
        winograd::filter_gradient(&sums).into()
    } else {
        let sums = Piece::sum(&Piece::all(batch, rows, 1), kernel_size * size, |piece, sums| {
            direct::add_filter_gradient(x, gradient, taps, piece, sums);
        });
        sums.chunks(size.max(1)).map(<[f32]>::to_vec).collect()
    };
    (0..size).flat_map(|at| of_taps.iter().map(move |tap| tap[at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn kernel_and_composition_agree(
            length in 1usize..40, kernel_size in 1usize..5, dilation in 1usize..5, stride in 1usize..4,
            is_causal: bool, relu: bool, counted in prop::collection::vec(0usize..40, 1..4),
        ) {
            let device = Device::flex().autodiff();
            let all = dilation * (kernel_size - 1);
            let field = if is_causal {
                ReceptiveField { left: all, right: 0 }
            } else {
                ReceptiveField::same_convolution(kernel_size, dilation)
            };
            let taps = Taps { field, dilation, stride };
            let batch = counted.len();
            let mask: Vec<f32> = counted
                .iter()
                .flat_map(|&counted| (0..length).map(move |at| f32::from(u8::from(at < counted))))
                .collect();
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [batch, length]), &device);
            let values = |count: usize, pace: f32| -> Vec<f32> { (1..=count).map(|at| (at as f32 * pace).sin()).collect() };
            let x = values(batch * length * 3, 1.7);
            let x = Tensor::<3>::from_data(TensorData::new(x, [batch, length, 3]), &device).require_grad();
            let filters = values(4 * 3 * kernel_size, 0.9);
            let filters =
                Tensor::<3>::from_data(TensorData::new(filters, [4, 3, kernel_size]), &device).require_grad();
            let bias = Tensor::<1>::from_data(TensorData::new(values(4, 0.4), [4]), &device).require_grad();
            let epilogue = if relu { Epilogue::RELU } else { Epilogue::NONE };
            let both = [convolve, composed].map(|function| {
                let sums = function(x.clone(), filters.clone(), Some(bias.clone()), mask.clone(), taps, epilogue);
                let gradients = (sums.clone() * sums.clone()).sum().backward();
                let of = |tensor: &Tensor<3>| tensor.grad(&gradients).expect("a gradient");
                let all = [sums.inner(), of(&x), of(&filters)];
                let mut all = all.map(|values| values.try_into_vec_as::<f32>().expect("values")).concat();
                let bias = bias.grad(&gradients).expect("a gradient");
                all.extend(bias.try_into_vec_as::<f32>().expect("values"));
                all
            });
            for (one, other) in both[0].iter().zip(&both[1]) {
                prop_assert!((one - other).abs() < 1e-4 * (1.0 + other.abs()), "{one} and {other}");
            }
        }
    }

    /// With dropout, values and gradients are those without it, times what the output says was kept.
    #[test]
    fn dropout_is_the_same_forward_and_backward() {
        let device = Device::flex().autodiff();
        let draw = |shape: [usize; 3]| {
            Tensor::<3>::random(shape, burn::tensor::Distribution::Normal(0.0, 1.0), &device).require_grad()
        };
        let (x, filters) = (draw([3, 70, 5]), draw([40, 5, 3]));
        let taps = Taps { field: ReceptiveField::same_convolution(3, 2), dilation: 2, stride: 1 };
        let mask = Tensor::<2>::ones([3, 70], &device);
        for relu in [false, true] {
            let dropout = Epilogue::new(relu, 0.4, &device);
            let convolve = |epilogue| convolve(x.clone(), filters.clone(), None, mask.clone(), taps, epilogue);
            let without = convolve(if relu { Epilogue::RELU } else { Epilogue::NONE });
            let dropped = convolve(dropout);
            let kept =
                (dropped.clone().detach() / without.clone().detach()).mask_fill(without.clone().equal_elem(0.0), 0.0);
            let share =
                kept.clone().greater_elem(0.0).float().mean().into_scalar::<f32>() * if relu { 2.0 } else { 1.0 };
            assert!((share - 0.6).abs() < 0.05, "{share}");
            let gradients = [dropped, without * kept].map(|output| {
                let gradients = (output.clone() * output).sum().backward();
                [&x, &filters]
                    .map(|tensor| tensor.grad(&gradients).expect("a gradient"))
                    .map(|gradient| gradient.try_into_vec_as::<f32>().expect("values"))
            });
            for (one, other) in gradients[0].concat().iter().zip(gradients[1].concat()) {
                assert!((one - other).abs() < 1e-3 * (1.0 + other.abs()), "{one} and {other}");
            }
        }
    }
}

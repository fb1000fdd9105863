//! An LSTM over the positions of a batch of texts, on the CPU.
//!
//! It is a kernel with gradients of its own (backpropagation through time). Composed of Burn's
//! operations, every position takes about a hundred of them. Moreover, the gradient of the slice of a
//! position is as large as the text, so the cost of the backward pass grows with the square of the
//! length. That would make the comparison with convolutions unfair.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::squash::{sigmoid, tanh};
use super::tensor;

/// The number of texts that one thread reads in parallel, with one matrix product per position.
const TEXTS: usize = 4;
/// The number of values per state dimension that are kept for the backward pass: four gates and the cell.
const KEPT: usize = 5;

/// The hidden states of an LSTM whose first state is zero (Hochreiter and Schmidhuber 1997; gates as in
/// PyTorch). The tensors must satisfy [`has_kernels`](super::has_kernels).
///
/// # Shapes
///
/// - `projected`: `[batch, length, 4 · hidden]`, what each position contributes to the input, forget,
///   output and cell gates, biases included
/// - `recurrent`: `[hidden, 4 · hidden]`, the weights of the previous state in these gates
/// - output: `[batch, length, hidden]`
pub(crate) fn lstm(projected: Tensor<3>, recurrent: Tensor<2>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::lstm(projected.into_dispatch(), recurrent.into_dispatch()))
}

/// The kernels, forward and backward.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait Lstm: Backend {
    fn lstm(projected: FloatTensor<Self>, recurrent: FloatTensor<Self>) -> FloatTensor<Self>;

    /// What is kept for the backward pass, `[batch, length, 5 · hidden]`: the gates and the cell.
    fn lstm_kept(projected: FloatTensor<Self>, recurrent: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The output, from what was kept.
    fn lstm_output(kept: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of `projected`, from the gradient of the output.
    fn lstm_backward(
        gradient: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradient of `recurrent`, from the gradient of `projected`.
    fn lstm_backward_recurrent(gradient: FloatTensor<Self>, kept: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl<B: Lstm, C: CheckpointStrategy> Lstm for Autodiff<B, C> {
    fn lstm(projected: FloatTensor<Self>, recurrent: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: Lstm> Backward<B, 2> for Step {
            type State = (FloatTensor<B>, FloatTensor<B>);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let (kept, recurrent) = ops.state;
                let [projected_node, recurrent_node] = ops.parents;
                let gradient = B::lstm_backward(gradients.consume::<B>(&ops.node), kept.clone(), recurrent);
                if let Some(node) = recurrent_node {
                    gradients.register::<B>(node.id, B::lstm_backward_recurrent(gradient.clone(), kept));
                }
                if let Some(node) = projected_node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }

        match Step.prepare::<C>([projected.node(), recurrent.node()]).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let recurrent = recurrent.into_primitive();
                let kept = B::lstm_kept(projected.into_primitive(), recurrent.clone());
                let output = B::lstm_output(kept.clone());
                step.finish((kept, recurrent), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::lstm(projected.into_primitive(), recurrent.into_primitive())),
        }
    }

    fn lstm_kept(projected: FloatTensor<Self>, recurrent: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::lstm_kept(projected.into_primitive(), recurrent.into_primitive()))
    }

    fn lstm_output(kept: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as AutodiffBackend>::from_inner(B::lstm_output(kept.into_primitive()))
    }

    fn lstm_backward(
        gradient: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (gradient, kept) = (gradient.into_primitive(), kept.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::lstm_backward(gradient, kept, recurrent.into_primitive()))
    }

    fn lstm_backward_recurrent(gradient: FloatTensor<Self>, kept: FloatTensor<Self>) -> FloatTensor<Self> {
        let (gradient, kept) = (gradient.into_primitive(), kept.into_primitive());
        <Self as AutodiffBackend>::from_inner(B::lstm_backward_recurrent(gradient, kept))
    }
}

impl Lstm for Flex {
    fn lstm(projected: FlexTensor, recurrent: FlexTensor) -> FlexTensor {
        Self::lstm_output(Self::lstm_kept(projected, recurrent))
    }

    fn lstm_kept(projected: FlexTensor, recurrent: FlexTensor) -> FlexTensor {
        let (projected, recurrent) = (projected.to_contiguous(), recurrent.to_contiguous());
        let [batch, length, gates] = projected.layout().shape().dims();
        let hidden = gates / 4;
        let (text_in, text_kept) = (length * gates, length * KEPT * hidden);

        let mut kept = vec![0.0f32; batch * text_kept];
        let texts = projected.storage::<f32>().par_chunks((TEXTS * text_in).max(1));
        kept.par_chunks_mut((TEXTS * text_kept).max(1)).zip(texts).for_each(|(kept, projected)| {
            let texts = projected.len() / text_in;
            let mut states = vec![0.0; texts * hidden];
            for at in 0..length {
                let from_state = Self::float_matmul(tensor(states.clone(), [texts, hidden]), recurrent.clone());
                for (text, from_state) in from_state.storage::<f32>().chunks_exact(gates).enumerate() {
                    let projected = &projected[text * text_in + at * gates..][..gates];
                    let (before, now) = kept[text * text_kept..].split_at_mut(at * KEPT * hidden);
                    let last_cell = before.len().checked_sub(hidden).map(|start| &before[start..]);
                    let state = &mut states[text * hidden..][..hidden];
                    step(projected, from_state, last_cell, &mut now[..KEPT * hidden], state);
                }
            }
        });
        tensor(kept, [batch, length, KEPT * hidden])
    }

    fn lstm_output(kept: FlexTensor) -> FlexTensor {
        let [batch, length, width] = kept.layout().shape().dims();
        let hidden = width / KEPT;
        let mut output = vec![0.0f32; batch * length * hidden];
        let positions = kept.storage::<f32>().chunks_exact(width.max(1));
        for (output, kept) in output.chunks_exact_mut(hidden.max(1)).zip(positions) {
            output_state(output, &kept[2 * hidden..3 * hidden], &kept[4 * hidden..]);
        }
        tensor(output, [batch, length, hidden])
    }

    fn lstm_backward(gradient: FlexTensor, kept: FlexTensor, recurrent: FlexTensor) -> FlexTensor {
        let gradient = gradient.to_contiguous();
        let [batch, length, hidden] = gradient.layout().shape().dims();
        let gates = 4 * hidden;
        let (text_in, text_kept, text_out) = (length * gates, length * KEPT * hidden, length * hidden);
        let transposed = Self::float_swap_dims(recurrent, 0, 1).to_contiguous(); // [4 · hidden, hidden]

        let mut all = vec![0.0f32; batch * text_in];
        let outputs = gradient.storage::<f32>().par_chunks((TEXTS * text_out).max(1));
        let texts = kept.storage::<f32>().par_chunks((TEXTS * text_kept).max(1)).zip(outputs);
        all.par_chunks_mut((TEXTS * text_in).max(1)).zip(texts).for_each(|(all, (kept, outputs))| {
            let texts = outputs.len() / text_out;
            let mut state_gradients = vec![0.0; texts * hidden];
            let mut cell_gradients = vec![0.0; texts * hidden];
            let mut gate_gradients = vec![0.0; texts * gates];
            for at in (0..length).rev() {
                for text in 0..texts {
                    let output = &outputs[text * text_out + at * hidden..][..hidden];
                    let state = &mut state_gradients[text * hidden..][..hidden];
                    super::add(state, output);
                    let kept = &kept[text * text_kept..];
                    let now = &kept[at * KEPT * hidden..][..KEPT * hidden];
                    let last_cell = (at > 0).then(|| &kept[at * KEPT * hidden - hidden..][..hidden]);
                    let cell = &mut cell_gradients[text * hidden..][..hidden];
                    step_back(state, now, last_cell, cell, &mut gate_gradients[text * gates..][..gates]);
                    all[text * text_in + at * gates..][..gates]
                        .copy_from_slice(&gate_gradients[text * gates..][..gates]);
                }
                let before = Self::float_matmul(tensor(gate_gradients.clone(), [texts, gates]), transposed.clone());
                state_gradients.copy_from_slice(before.storage::<f32>());
            }
        });
        tensor(all, [batch, length, gates])
    }

    fn lstm_backward_recurrent(gradient: FlexTensor, kept: FlexTensor) -> FlexTensor {
        let [batch, length, gates] = gradient.layout().shape().dims();
        let hidden = gates / 4;
        let mut last = vec![0.0f32; batch * length * hidden];
        let states = Self::lstm_output(kept);
        let states = states.storage::<f32>().chunks_exact((length * hidden).max(1));
        for (last, states) in last.chunks_exact_mut((length * hidden).max(1)).zip(states) {
            last[hidden..].copy_from_slice(&states[..states.len() - hidden]);
        }
        let last = Self::float_swap_dims(tensor(last, [batch * length, hidden]), 0, 1);
        Self::float_matmul(last, Self::float_reshape(gradient, [batch * length, gates].into()))
    }
}

/// Computes one position of one text: its gates and its cell into `kept`, and its state.
fn step(projected: &[f32], from_state: &[f32], last_cell: Option<&[f32]>, kept: &mut [f32], state: &mut [f32]) {
    let hidden = state.len();
    let (gates, cells) = kept.split_at_mut(4 * hidden);
    for ((gate, projected), from_state) in gates.iter_mut().zip(projected).zip(from_state) {
        *gate = projected + from_state;
    }
    let (sigmoids, candidates) = gates.split_at_mut(3 * hidden);
    sigmoids.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
    candidates.iter_mut().for_each(|gate| *gate = tanh(*gate));
    let (inputs, rest) = sigmoids.split_at(hidden);
    let (forgets, outputs) = rest.split_at(hidden);
    for ((cell, input), candidate) in cells.iter_mut().zip(inputs).zip(&*candidates) {
        *cell = input * candidate;
    }
    if let Some(last) = last_cell {
        for ((cell, forget), last) in cells.iter_mut().zip(forgets).zip(last) {
            *cell += forget * last;
        }
    }
    output_state(state, outputs, cells);
}

/// Computes a state from its output gate and its cell.
fn output_state(state: &mut [f32], gates: &[f32], cells: &[f32]) {
    for ((state, gate), cell) in state.iter_mut().zip(gates).zip(cells) {
        *state = gate * tanh(*cell);
    }
}

/// The backward pass of [`step`]: from the gradient of the state, and the gradient of the cell that comes
/// from the next position, computes the gradients of the gates before their activations, and of the
/// previous cell.
fn step_back(
    state_gradient: &[f32],
    kept: &[f32],
    last_cell: Option<&[f32]>,
    cell_gradient: &mut [f32],
    gate_gradients: &mut [f32],
) {
    let hidden = state_gradient.len();
    let squashed: Vec<f32> = kept[4 * hidden..].iter().map(|cell| tanh(*cell)).collect();
    for unit in 0..hidden {
        let [input, forget, output, candidate] = [0, 1, 2, 3].map(|gate| kept[gate * hidden + unit]);
        let (last, squashed) = (last_cell.map_or(0.0, |last| last[unit]), squashed[unit]);
        let this_gradient = cell_gradient[unit] + state_gradient[unit] * output * (1.0 - squashed * squashed);
        let parts = [
            this_gradient * candidate * input * (1.0 - input),
            this_gradient * last * forget * (1.0 - forget),
            state_gradient[unit] * squashed * output * (1.0 - output),
            this_gradient * input * (1.0 - candidate * candidate),
        ];
        parts.into_iter().enumerate().for_each(|(gate, part)| gate_gradients[gate * hidden + unit] = part);
        cell_gradient[unit] = this_gradient * forget;
    }
}

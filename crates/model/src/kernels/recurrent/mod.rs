//! Recurrent networks over the positions of a batch of texts, on the CPU.
//!
//! They are kernels with gradients of their own (backpropagation through time). Composed of Burn's
//! operations, every position takes about a hundred of them. Moreover, the gradient of the slice of a
//! position is as large as the text, so the cost of the backward pass grows with the square of the
//! length. That would make the comparison with convolutions unfair.
//!
//! Each thread reads some texts position by position. What the previous states contribute is one matrix
//! product per position ([`Panels`]); the rest is computed unit by unit ([`cell`]). What the words
//! contribute is read from a table of the distinct words. Positions that do not count are not computed.

mod cell;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

pub(crate) use self::cell::Cell;
use self::cell::{Before, GRADIENTS, Position};
use super::occurrences::Occurrences;
use super::panels::{Columns, Panels, Write, add_transposed_product};
use super::pieces::Piece;
use super::simd::vectorized;
use super::{add, counted, has_kernels, has_lookup_kernels, tensor};

/// The largest number of texts that one thread reads side by side.
const TEXTS: usize = 32;

/// A network without its weights: its equations, and the direction in which it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// The equations.
    pub cell: Cell,
    /// Whether it reads from the last position to the first.
    pub reversed: bool,
}

/// The parameters of a network; see [`Cell`] for the order of the gates.
#[derive(Clone, Debug)]
pub(crate) struct Parameters<T1, T2> {
    /// `[embedding, gates · hidden]`
    pub input: T2,
    /// `[gates · hidden]`
    pub input_bias: T1,
    /// The weights of the previous state, `[hidden, gates · hidden]`.
    pub recurrent: T2,
    /// `[gates · hidden]`
    pub recurrent_bias: T1,
}

/// The states of a network whose first state is zero; none if there is no kernel for the tensors.
///
/// # Shapes
///
/// - `words`: `[words, embedding]`
/// - `ids`: `[batch, length]`, the word at each position
/// - `mask`: `[batch, length]`, 1 at positions that count, which come first, and 0 elsewhere
/// - output: `[batch, length, hidden]`, zero at positions that do not count
pub(crate) fn read(
    reader: Reader,
    parameters: Parameters<Tensor<1>, Tensor<2>>,
    words: Tensor<2>,
    ids: Tensor<2, Int>,
    mask: Tensor<2>,
) -> Option<Tensor<3>> {
    let Parameters { input, input_bias, recurrent, recurrent_bias } = parameters;
    let matrices = has_kernels(&input) && has_kernels(&recurrent);
    let vectors = has_kernels(&input_bias) && has_kernels(&recurrent_bias);
    if !matrices || !vectors || !has_lookup_kernels(&words, None, &ids, &mask) {
        return None;
    }
    let [input, recurrent] = [input, recurrent].map(Tensor::into_dispatch);
    let [input_bias, recurrent_bias] = [input_bias, recurrent_bias].map(Tensor::into_dispatch);
    let (words, ids, mask) = (words.into_dispatch(), ids.into_dispatch(), mask.inner().into_dispatch());
    let output = Dispatch::read(words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader);
    Some(Tensor::from_dispatch(output))
}

/// The operation, as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
#[expect(clippy::too_many_arguments, reason = "Burn dispatches tensors one by one")]
pub(crate) trait Read: Backend {
    fn read(
        words: FloatTensor<Self>,
        input: FloatTensor<Self>,
        input_bias: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        recurrent_bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        reader: Reader,
    ) -> FloatTensor<Self>;
}

/// What a network reads, and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Arguments<T, I> {
    words: T,
    input: T,
    input_bias: T,
    recurrent: T,
    recurrent_bias: T,
    ids: I,
    mask: T,
    reader: Reader,
}

/// What the backward pass reads.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T, I> {
    /// `[batch, length, kept · hidden]`
    values: T,
    output: T,
    arguments: Arguments<T, I>,
}

/// The kernels behind training.
pub(crate) trait ReadInTraining: Read {
    /// The same as [`read`](Read::read). Also returns what the backward pass reads.
    fn read_in_training(
        arguments: Arguments<FloatTensor<Self>, IntTensor<Self>>,
    ) -> Kept<FloatTensor<Self>, IntTensor<Self>>;

    /// The gradients of the words and of the parameters in their order, from that of the output.
    fn read_backward(
        gradient: FloatTensor<Self>,
        kept: Kept<FloatTensor<Self>, IntTensor<Self>>,
    ) -> [FloatTensor<Self>; 5];
}

impl<B: ReadInTraining, C: CheckpointStrategy> Read for Autodiff<B, C> {
    fn read(
        words: FloatTensor<Self>,
        input: FloatTensor<Self>,
        input_bias: FloatTensor<Self>,
        recurrent: FloatTensor<Self>,
        recurrent_bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
        mask: FloatTensor<Self>,
        reader: Reader,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: ReadInTraining> Backward<B, 5> for Step {
            type State = Kept<FloatTensor<B>, IntTensor<B>>;

            fn backward(self, ops: Ops<Self::State, 5>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
                let found = B::read_backward(gradients.consume::<B>(&ops.node), ops.state);
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let nodes = [words.node(), input.node(), input_bias.node(), recurrent.node(), recurrent_bias.node()];
        let parameters = [words, input, input_bias, recurrent, recurrent_bias].map(|tensor| tensor.into_primitive());
        let ([words, input, input_bias, recurrent, recurrent_bias], mask) = (parameters, mask.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let arguments = Arguments { words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader };
                let kept = B::read_in_training(arguments);
                let output = kept.output.clone();
                step.finish(kept, output)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::read(words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader))
            }
        }
    }
}

impl Read for Flex {
    fn read(
        words: FlexTensor,
        input: FlexTensor,
        input_bias: FlexTensor,
        recurrent: FlexTensor,
        recurrent_bias: FlexTensor,
        ids: FlexTensor,
        mask: FlexTensor,
        reader: Reader,
    ) -> FlexTensor {
        let arguments = Arguments { words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader };
        let arguments = arguments.contiguous();
        let [batch, length, hidden] = arguments.shape();
        let mut output = vec![0.0; batch * length * hidden];
        arguments.forward(&mut output, None);
        tensor(output, [batch, length, hidden])
    }
}

impl ReadInTraining for Flex {
    fn read_in_training(arguments: Arguments<FlexTensor, FlexTensor>) -> Kept<FlexTensor, FlexTensor> {
        let arguments = arguments.contiguous();
        let [batch, length, hidden] = arguments.shape();
        let width = arguments.reader.cell.kept() * hidden;
        let (mut output, mut values) = (vec![0.0; batch * length * hidden], vec![0.0; batch * length * width]);
        arguments.forward(&mut output, Some(&mut values));
        let (output, values) = (tensor(output, [batch, length, hidden]), tensor(values, [batch, length, width]));
        Kept { values, output, arguments }
    }

    fn read_backward(gradient: FlexTensor, kept: Kept<FlexTensor, FlexTensor>) -> [FlexTensor; 5] {
        let Kept { mut values, output, arguments } = kept;
        let Arguments { words, input, recurrent, ids, mask, reader, .. } = &arguments;
        let [_, length, hidden] = arguments.shape();
        let ([words_count, embedding], gates) = (words.layout().shape().dims(), reader.cell.gates() * hidden);
        let lengths = counted(mask);
        let texts = Texts { reader: *reader, hidden, length, lengths: &lengths };
        let (gradient, output) = (gradient.to_contiguous(), output.storage());
        let gradients = values.storage_mut::<f32>();
        texts.write_gradients(gradient.storage(), gradients, output, recurrent.storage());
        let (recurrent, recurrent_bias) = texts.weight_gradients(gradients, output);

        // The gradient of what each word contributes.
        let ids = ids.storage::<i32>();
        let by_word;
        let of_words = if is_each_its_own(words_count, ids) {
            Columns { values: gradients, rows: words_count, stride: texts.kept(), first: 0, width: gates }
        } else {
            by_word = texts.gradient_by_word(gradients, ids, mask.storage(), words_count);
            Columns::all(&by_word, gates)
        };
        let (words, input, input_bias) = input_gradients(of_words, words.storage(), input.storage(), embedding);
        [
            tensor(words, [words_count, embedding]),
            tensor(input, [embedding, gates]),
            tensor(input_bias, [gates]),
            tensor(recurrent, [hidden, gates]),
            tensor(recurrent_bias, [gates]),
        ]
    }
}

/// The gradients of the words, the input's weights and its bias, from those of what each word contributes.
fn input_gradients(
    gradients: Columns,
    words: &[f32],
    input: &[f32],
    embedding: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let gates = gradients.width;
    let pieces = Piece::all(1, gradients.rows, 1);
    let transposed = Panels::transposed(&[input], gates, embedding);
    let mut of_words = vec![0.0; words.len()];
    let mut sums = Piece::sum_each(&pieces, &mut of_words, embedding, (embedding + 1) * gates, |piece, rows, sums| {
        let gradients =
            Columns { values: &gradients.values[piece.first * gradients.stride..], rows: piece.rows, ..gradients };
        transposed.multiply(piece.rows, |row, _| gradients.row(row), rows, Write::Replace);
        let (weights, bias) = sums.split_at_mut(embedding * gates);
        let words = Columns::all(&words[piece.first * embedding..][..piece.rows * embedding], embedding);
        add_transposed_product(words, gradients, weights);
        vectorized!(for row in 0..piece.rows {
            add(bias, gradients.row(row));
        });
    });
    let bias = sums.split_off(embedding * gates);
    (of_words, sums, bias)
}

impl Arguments<FlexTensor, FlexTensor> {
    fn contiguous(self) -> Self {
        let Self { words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader } = self;
        let [words, input, input_bias, recurrent, recurrent_bias, ids, mask] =
            [words, input, input_bias, recurrent, recurrent_bias, ids, mask].map(|tensor| tensor.to_contiguous());
        Self { words, input, input_bias, recurrent, recurrent_bias, ids, mask, reader }
    }

    /// `[batch, length, hidden]` of the output.
    fn shape(&self) -> [usize; 3] {
        let [batch, length] = self.ids.layout().shape().dims();
        [batch, length, self.recurrent.layout().shape()[0]]
    }

    /// Writes the states to `output` and, in training, what the backward pass reads to `kept`.
    fn forward(&self, output: &mut [f32], kept: Option<&mut [f32]>) {
        let [_, length, hidden] = self.shape();
        let [count, embedding] = self.words.layout().shape().dims();
        let gates = self.reader.cell.gates() * hidden;
        let lengths = counted(&self.mask);
        let texts = Texts { reader: self.reader, hidden, length, lengths: &lengths };
        let (words, ids) = (self.words.storage(), self.ids.storage());
        let (input, input_bias) = (self.input.storage::<f32>(), self.input_bias.storage::<f32>());
        let (recurrent, recurrent_bias) = (self.recurrent.storage::<f32>(), self.recurrent_bias.storage::<f32>());
        let is_each_its_own = is_each_its_own(count, ids);
        if is_each_its_own && self.reader.cell == Cell::Lstm && embedding == hidden {
            let bias: Vec<f32> = input_bias.iter().zip(recurrent_bias).map(|(a, b)| a + b).collect();
            let both = Panels::new(&[recurrent, input], hidden, gates).with_bias(&bias);
            let inputs = Inputs { words, ids, contribution: Contribution::WithState };
            return texts.forward(inputs, embedding, &both, output, kept);
        }
        let recurrent = Panels::new(&[recurrent], hidden, gates).with_bias(recurrent_bias);
        let input = Panels::new(&[input], embedding, gates).with_bias(input_bias);
        if is_each_its_own {
            let inputs = Inputs { words, ids, contribution: Contribution::Product(&input) };
            return texts.forward(inputs, embedding, &recurrent, output, kept);
        }
        // Each distinct word is multiplied by the weights once.
        let mut table = vec![0.0; count * gates];
        Piece::for_each(&Piece::all(1, count, 1), &mut table, gates, |piece, rows| {
            let word = |row: usize, _: usize| &words[(piece.first + row) * embedding..][..embedding];
            input.multiply(piece.rows, word, rows, Write::Replace);
        });
        let inputs = Inputs { words: &table, ids, contribution: Contribution::Itself };
        texts.forward(inputs, gates, &recurrent, output, kept);
    }
}

/// Whether every position is a word of its own, in order: the words are vectors, not a vocabulary.
fn is_each_its_own(words: usize, ids: &[i32]) -> bool {
    words == ids.len() && (0..).zip(ids).all(|(at, &id)| at == id)
}

/// What a network reads.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    words: &'a [f32],
    /// The word at each position.
    ids: &'a [i32],
    contribution: Contribution<'a>,
}

/// What a word contributes to the gates.
#[derive(Clone, Copy)]
enum Contribution<'a> {
    /// The word itself: it has been multiplied by the weights already.
    Itself,
    /// Its product with weights.
    Product(&'a Panels),
    /// Its product with weights that are the second tap of those of the state: an LSTM adds both.
    WithState,
}

/// The texts of a batch, and what reads them.
#[derive(Clone, Copy)]
struct Texts<'a> {
    reader: Reader,
    hidden: usize,
    /// The number of positions of each text.
    length: usize,
    /// How many of them count.
    lengths: &'a [usize],
}

impl Texts<'_> {
    /// The position of a text that is read after `step` others.
    fn position(&self, text: usize, step: usize) -> usize {
        if self.reader.reversed { self.lengths[text] - 1 - step } else { step }
    }

    /// The texts, those with the most positions first, in groups of similar length, one for a thread at a
    /// time.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(self.lengths[text]));
        // Every text's states are the same in any group, so the number of threads may decide.
        let size = order.len().div_ceil(rayon::current_num_threads()).clamp(1, TEXTS);
        order.chunks(size).map(<[usize]>::to_vec).collect()
    }

    /// The texts of a group that have a position after `step` others.
    fn at(&self, group: &[usize], step: usize) -> usize {
        group.partition_point(|&text| self.lengths[text] > step)
    }

    fn forward(&self, inputs: Inputs, width: usize, recurrent: &Panels, output: &mut [f32], kept: Option<&mut [f32]>) {
        let groups = self.groups();
        let outputs = self.by_group(&groups, output, self.hidden);
        match kept {
            Some(kept) => {
                let kept = self.by_group(&groups, kept, self.kept());
                let groups = groups.par_iter().zip(outputs.into_par_iter().zip(kept));
                groups
                    .for_each(|(group, (output, kept))| self.read(group, inputs, width, recurrent, output, Some(kept)));
            }
            None => {
                let groups = groups.par_iter().zip(outputs);
                groups.for_each(|(group, output)| self.read(group, inputs, width, recurrent, output, None));
            }
        }
    }

    /// Reads the texts of a group. `width` is that of the inputs' words; `output` and `kept` are the group's.
    fn read(
        &self,
        group: &[usize],
        inputs: Inputs,
        width: usize,
        recurrent: &Panels,
        mut output: Vec<&mut [f32]>,
        mut kept: Option<Vec<&mut [f32]>>,
    ) {
        let (cell, hidden) = (self.reader.cell, self.hidden);
        let (gates, kept_size) = (cell.gates() * hidden, self.kept());
        let mut states = vec![0.0; group.len() * hidden];
        let mut memories = vec![0.0; group.len() * hidden];
        let mut from_states = vec![0.0; group.len() * gates];
        let mut contributed = vec![0.0; group.len() * gates];
        let mut unkept = vec![0.0; kept_size];
        for step in 0..group.first().map_or(0, |&text| self.lengths[text]) {
            let active = self.at(group, step);
            let word = |at: usize| {
                let text = group[at];
                let id = inputs.ids[text * self.length + self.position(text, step)] as usize;
                &inputs.words[id * width..][..width]
            };
            let state_and_word =
                |at: usize, tap: usize| if tap == 0 { &states[at * hidden..][..hidden] } else { word(at) };
            recurrent.multiply(active, state_and_word, &mut from_states, Write::Replace);
            if let Contribution::Product(weights) = inputs.contribution {
                weights.multiply(active, |at, _| word(at), &mut contributed, Write::Replace);
            }
            vectorized!(fused => for at in 0..active {
                let position = self.position(group[at], step);
                let state = &mut states[at * hidden..][..hidden];
                let kept = match &mut kept {
                    Some(kept) => &mut kept[at][position * kept_size..][..kept_size],
                    None => &mut unkept[..],
                };
                let here = Position { state, memory: &mut memories[at * hidden..][..hidden], kept };
                let input = match inputs.contribution {
                    Contribution::Itself => word(at),
                    // For `WithState` it stays zero: the product is in `from_states`.
                    Contribution::Product(_) | Contribution::WithState => &contributed[at * gates..][..gates],
                };
                cell.step(input, &from_states[at * gates..][..gates], here, fused);
                output[at][position * hidden..][..hidden].copy_from_slice(&states[at * hidden..][..hidden]);
            });
        }
    }

    /// The number of values that are kept for the backward pass at each position.
    fn kept(&self) -> usize {
        self.reader.cell.kept() * self.hidden
    }

    /// Writes the gradients of every position over the first of the values that were kept of it; see
    /// [`Cell::input_gradients`].
    fn write_gradients(&self, gradient: &[f32], kept: &mut [f32], output: &[f32], recurrent: &[f32]) {
        let recurrent = Panels::transposed(&[recurrent], self.reader.cell.gates() * self.hidden, self.hidden);
        let groups = self.groups();
        let slices = self.by_group(&groups, kept, self.kept());
        groups.par_iter().zip(slices).for_each(|(group, kept)| {
            self.read_back(group, gradient, output, &recurrent, kept);
        });
    }

    /// The backward pass of [`read`](Self::read). `kept` are the values of the group's texts.
    fn read_back(
        &self,
        group: &[usize],
        gradient: &[f32],
        output: &[f32],
        recurrent: &Panels,
        mut kept: Vec<&mut [f32]>,
    ) {
        let (cell, hidden) = (self.reader.cell, self.hidden);
        let (size, kept_size) = (GRADIENTS * hidden, self.kept());
        let from_state = cell.state_gradients().start * hidden;
        let mut states = vec![0.0; group.len() * hidden];
        let mut memories = vec![0.0; group.len() * hidden];
        let mut here = vec![0.0; group.len() * size];
        let zeros = vec![0.0; kept_size];
        for step in (0..group.first().map_or(0, |&text| self.lengths[text])).rev() {
            let active = self.at(group, step);
            vectorized!(for at in 0..active {
                let text = group[at];
                let position = self.position(text, step);
                let before = step.checked_sub(1).map(|step| self.position(text, step));
                let row_of_state = |position: usize| (text * self.length + position) * hidden;
                let state = &mut states[at * hidden..][..hidden];
                add(state, &gradient[row_of_state(position)..][..hidden]);
                let here = &mut here[at * size..][..size];
                let before = Before {
                    state: before.map_or(&zeros[..hidden], |before| &output[row_of_state(before)..][..hidden]),
                    kept: before.map_or(&zeros[..], |before| &kept[at][before * kept_size..][..kept_size]),
                };
                let now = &kept[at][position * kept_size..][..kept_size];
                cell.step_back(now, before, state, &mut memories[at * hidden..][..hidden], here);
                kept[at][position * kept_size..][..size].copy_from_slice(here);
            });
            let here = |at: usize, _: usize| &here[at * size..][..size][from_state..];
            recurrent.multiply(active, here, &mut states, Write::Add);
        }
    }

    /// The gradient of what each word contributes, `[words, gates · hidden]`.
    fn gradient_by_word(&self, gradients: &[f32], ids: &[i32], mask: &[f32], words: usize) -> Vec<f32> {
        let columns = self.reader.cell.input_gradients();
        let (columns, size) = (columns.start * self.hidden..columns.end * self.hidden, self.kept());
        let occurrences = Occurrences::new(ids, mask, words);
        let mut sums = vec![0.0; words * columns.len()];
        sums.par_chunks_mut(columns.len().max(1)).enumerate().for_each(|(word, sums)| {
            occurrences.sum(word, sums, |positions, sums| {
                vectorized!(for &position in positions {
                    add(sums, &gradients[position as usize * size..][..size][columns.clone()]);
                });
            });
        });
        sums
    }

    /// The gradients of the weights of the previous state, `[hidden, gates · hidden]`, and of the bias.
    fn weight_gradients(&self, gradients: &[f32], output: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (hidden, size) = (self.hidden, self.kept());
        let columns = self.reader.cell.state_gradients();
        let columns = columns.start * hidden..columns.end * hidden;
        let pieces = Piece::all(self.lengths.len(), self.length, 1);
        let mut sums = Piece::sum(&pieces, (hidden + 1) * columns.len(), |piece, sums| {
            let (weights, bias) = sums.split_at_mut(hidden * columns.len());
            for text in piece.text..piece.text + piece.texts {
                // The positions that have one before them, in the order of reading.
                let length = self.lengths[text];
                let range = if self.reader.reversed { 0..length.saturating_sub(1) } else { 1..length };
                let range = range.start.max(piece.first)..range.end.min(piece.first + piece.rows);
                if range.is_empty() {
                    continue;
                }
                let first = text * self.length + range.start;
                let before = if self.reader.reversed { first + 1 } else { first - 1 };
                let states = Columns::all(&output[before * hidden..][..range.len() * hidden], hidden);
                let gradients = Columns {
                    values: &gradients[first * size..][..range.len() * size],
                    rows: range.len(),
                    stride: size,
                    first: columns.start,
                    width: columns.len(),
                };
                add_transposed_product(states, gradients, weights);
            }
            // At every position, the first included.
            vectorized!(for text in piece.text..piece.text + piece.texts {
                let first = text * self.length + piece.first;
                for row in gradients[first * size..][..piece.rows * size].chunks_exact(size) {
                    add(bias, &row[columns.clone()]);
                }
            });
        });
        let bias = sums.split_off(hidden * columns.len());
        (sums, bias)
    }

    /// The values of each text, by group; `size` of them at each position.
    fn by_group<'a>(&self, groups: &[Vec<usize>], values: &'a mut [f32], size: usize) -> Vec<Vec<&'a mut [f32]>> {
        let mut of_text: Vec<&mut [f32]> = values.chunks_exact_mut((self.length * size).max(1)).collect();
        let mut take = |text: usize| of_text.get_mut(text).map(std::mem::take).unwrap_or_default();
        groups.iter().map(|group| group.iter().map(|&text| take(text)).collect()).collect()
    }
}

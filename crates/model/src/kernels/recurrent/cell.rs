//! What a recurrent network computes at one position of one text, forward and backward.
//!
//! All slices hold values for every unit of the state, gate after gate.

use crate::kernels::rows_mut;
use crate::kernels::simd::Fused;
use crate::kernels::squash::{sigmoid, tanh};

/// The kind of a recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Long short-term memory (Hochreiter and Schmidhuber 1997; gates as in PyTorch). Columns of the input
    /// and of the state: input gate, forget gate, output gate, candidate.
    Lstm,
    /// Gated recurrent units (Cho et al. 2014; the reset gate after the product, as in PyTorch). Columns of
    /// the input: candidate, reset gate, update gate; of the state: reset gate, update gate, candidate.
    Gru,
}

/// The number of gradients per unit that the backward pass computes at each position; no cell keeps fewer
/// values.
pub(super) const GRADIENTS: usize = 4;

impl Cell {
    /// The number of values per unit that the input, or the previous state, contributes.
    pub fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// The number of values per unit that the backward pass reads.
    pub fn kept(self) -> usize {
        match self {
            Self::Lstm => 6, // four gates, the cell, and its tanh
            Self::Gru => 4,  // two gates, the candidate, and what the state contributed to it
        }
    }

    /// The columns of the gradients that are those of the input, in units of the state's size. The others
    /// are those of what the previous state contributes; most are both.
    pub fn input_gradients(self) -> std::ops::Range<usize> {
        0..self.gates()
    }

    /// The columns of the gradients that are those of what the previous state contributes.
    pub fn state_gradients(self) -> std::ops::Range<usize> {
        GRADIENTS - self.gates()..GRADIENTS
    }

    /// Computes a position: its state, its memory (an LSTM's cell), and what the backward pass reads.
    #[inline(always)]
    pub(super) fn step(self, input: &[f32], from_state: &[f32], at: Position<'_>, fused: Fused) {
        match self {
            Self::Lstm => lstm_step(input, from_state, at, fused),
            Self::Gru => gru_step(input, from_state, at, fused),
        }
    }

    /// Computes the gradients of a position.
    #[inline(always)]
    pub(super) fn step_back(
        self,
        kept: &[f32],
        before: Before<'_>,
        state: &mut [f32],
        memory: &mut [f32],
        gradients: &mut [f32],
    ) {
        match self {
            Self::Lstm => lstm_step_back(kept, before.kept, state, memory, gradients),
            Self::Gru => gru_step_back(kept, before.state, state, gradients),
        }
    }
}

/// What a position overwrites.
pub(super) struct Position<'a> {
    /// The previous state, and then its own.
    pub state: &'a mut [f32],
    /// The previous memory, and then its own.
    pub memory: &'a mut [f32],
    pub kept: &'a mut [f32],
}

/// The position before; zeros before the first.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub state: &'a [f32],
    pub kept: &'a [f32],
}

#[inline(always)]
fn lstm_step(input: &[f32], from_state: &[f32], Position { state, memory, kept }: Position<'_>, fused: Fused) {
    let units = state.len();
    let [inputs, forgets, outputs, candidates, cells, squashed] = rows_mut(kept, units);
    let [to_input, to_forget, to_output, to_candidate] =
        std::array::from_fn(|number| [input, from_state].map(|values| &values[number * units..][..units]));
    let (memory, state) = (&mut memory[..units], &mut state[..units]);
    let sum = |[input, from_state]: [&[f32]; 2], unit: usize| input[unit] + from_state[unit];
    for unit in 0..units {
        inputs[unit] = sigmoid(sum(to_input, unit), fused);
        forgets[unit] = sigmoid(sum(to_forget, unit), fused);
        outputs[unit] = sigmoid(sum(to_output, unit), fused);
        candidates[unit] = tanh(sum(to_candidate, unit), fused);
        cells[unit] = forgets[unit] * memory[unit] + inputs[unit] * candidates[unit];
        squashed[unit] = tanh(cells[unit], fused);
        state[unit] = outputs[unit] * squashed[unit];
    }
    memory.copy_from_slice(cells);
}

/// `state` is the gradient of the state, and becomes zero; `memory` is that of the cell that comes from the
/// next position, and becomes that of the previous cell.
#[inline(always)]
fn lstm_step_back(kept: &[f32], before: &[f32], state: &mut [f32], memory: &mut [f32], gradients: &mut [f32]) {
    let units = state.len();
    let [inputs, forgets, outputs, candidates, _, squashed] =
        std::array::from_fn(|number| &kept[number * units..][..units]);
    let lasts = &before[4 * units..][..units];
    let [of_inputs, of_forgets, of_outputs, of_candidates] = rows_mut(gradients, units);
    for first in (0..units).step_by(LANES) {
        let (input, forget, output) = (load(inputs, first), load(forgets, first), load(outputs, first));
        let (candidate, squashed, last) = (load(candidates, first), load(squashed, first), load(lasts, first));
        let (of_state, mut of_cell) = (load(state, first), load(memory, first));
        let [mut of_input, mut of_forget, mut of_output, mut of_candidate] = [[0.0; LANES]; 4];
        for at in 0..LANES {
            let cell = of_cell[at] + of_state[at] * output[at] * (1.0 - squashed[at] * squashed[at]);
            of_input[at] = cell * candidate[at] * input[at] * (1.0 - input[at]);
            of_forget[at] = cell * last[at] * forget[at] * (1.0 - forget[at]);
            of_output[at] = of_state[at] * squashed[at] * output[at] * (1.0 - output[at]);
            of_candidate[at] = cell * input[at] * (1.0 - candidate[at] * candidate[at]);
            of_cell[at] = cell * forget[at];
        }
        store(of_inputs, first, of_input);
        store(of_forgets, first, of_forget);
        store(of_outputs, first, of_output);
        store(of_candidates, first, of_candidate);
        store(memory, first, of_cell);
    }
    state.fill(0.0);
}

#[inline(always)]
fn gru_step(input: &[f32], from_state: &[f32], Position { state, kept, .. }: Position<'_>, fused: Fused) {
    let units = state.len();
    let [resets, updates, candidates, contributed] = rows_mut(kept, units);
    let [of_candidate, of_reset, of_update] = std::array::from_fn(|number| &input[number * units..][..units]);
    let [to_reset, to_update, to_candidate] = std::array::from_fn(|number| &from_state[number * units..][..units]);
    for unit in 0..units {
        resets[unit] = sigmoid(of_reset[unit] + to_reset[unit], fused);
        updates[unit] = sigmoid(of_update[unit] + to_update[unit], fused);
        contributed[unit] = to_candidate[unit];
        candidates[unit] = tanh(of_candidate[unit] + resets[unit] * contributed[unit], fused);
        state[unit] = candidates[unit] + updates[unit] * (state[unit] - candidates[unit]);
    }
}

/// `state` is the gradient of the state, and becomes the part of the previous state's that does not pass
/// through the gates.
#[inline(always)]
fn gru_step_back(kept: &[f32], before: &[f32], state: &mut [f32], gradients: &mut [f32]) {
    let units = state.len();
    let [resets, updates, candidates, contributed] = std::array::from_fn(|number| &kept[number * units..][..units]);
    let [of_candidates, of_resets, of_updates, of_contributed] = rows_mut(gradients, units);
    for first in (0..units).step_by(LANES) {
        let (reset, update, last) = (load(resets, first), load(updates, first), load(before, first));
        let (candidate, contributed) = (load(candidates, first), load(contributed, first));
        let mut of_state = load(state, first);
        let [mut of_candidate, mut of_reset, mut of_update, mut of_contribution] = [[0.0; LANES]; 4];
        for at in 0..LANES {
            of_candidate[at] = of_state[at] * (1.0 - update[at]) * (1.0 - candidate[at] * candidate[at]);
            of_reset[at] = of_candidate[at] * contributed[at] * reset[at] * (1.0 - reset[at]);
            of_update[at] = of_state[at] * (last[at] - candidate[at]) * update[at] * (1.0 - update[at]);
            of_contribution[at] = of_candidate[at] * reset[at];
            of_state[at] *= update[at];
        }
        store(of_candidates, first, of_candidate);
        store(of_resets, first, of_reset);
        store(of_updates, first, of_update);
        store(of_contributed, first, of_contribution);
        store(state, first, of_state);
    }
}

/// How many units are computed at a time, without a look at memory in between: the compiler cannot tell that
/// so many slices do not overlap, and would compute one unit after the other.
const LANES: usize = 16;

/// Some values of a slice; zeros beyond its end.
#[inline(always)]
fn load(values: &[f32], first: usize) -> [f32; LANES] {
    match values[first..].first_chunk() {
        Some(lanes) => *lanes,
        None => {
            let mut lanes = [0.0; LANES];
            lanes.iter_mut().zip(&values[first..]).for_each(|(lane, value)| *lane = *value);
            lanes
        }
    }
}

/// Writes back what [`load`] has read, changed.
#[inline(always)]
fn store(values: &mut [f32], first: usize, lanes: [f32; LANES]) {
    match values[first..].first_chunk_mut() {
        Some(to) => *to = lanes,
        None => values[first..].iter_mut().zip(lanes).for_each(|(value, lane)| *value = lane),
    }
}

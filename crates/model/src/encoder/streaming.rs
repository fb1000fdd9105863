//! Reading a text a token at a time, as a language model does when it writes.
//!
//! A causal convolution reads no position after its own, so its outputs stay what they are when the text
//! goes on. Each layer remembers the inputs that its filters will read again, and computes one position
//! from them (Paine et al. 2016, "Fast Wavenet Generation Algorithm", section 3). A token then costs the
//! same however long the text is.

use std::collections::VecDeque;
use std::slice::IterMut;

use burn::nn::LstmState;
use burn::tensor::{Device, Tensor};

use super::{ConvLayer, Encode};

/// An encoder that reads a text a token at a time. Other crates cannot implement it, because
/// they cannot construct a state.
///
/// Gradients are recorded as by any other operation. A state whose encoder is on an autodiff device
/// refers to the steps before, so models that only write should be on a device without.
pub trait Stream: Encode {
    /// What the encoder remembers before the first token of `batch` texts; none if it cannot be read this
    /// way, because a position sees some of the text after it, or has several tokens.
    ///
    /// With weight normalisation the filters are computed here, not at every step, so a state must not
    /// outlive a change of the weights.
    fn begin(&self, batch: usize, device: &Device) -> Option<StreamState>;

    /// Reads one more token of each text: `[batch, embedding]` to `[batch, hidden]`, which is what
    /// [`forward`](Encode::forward) has at that position. Every position counts.
    ///
    /// # Panics
    ///
    /// If `state` is that of another encoder or of another number of texts.
    fn step(&self, state: &mut StreamState, x: Tensor<2>) -> Tensor<2>;
}

/// What an encoder remembers of the tokens that it has read.
#[derive(Clone, Debug)]
pub struct StreamState(pub(super) Memory);

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per batch of texts")]
pub(super) enum Memory {
    /// The inputs of each convolution, in the order in which they are applied.
    Windows(Vec<Window>),
    Lstm(LstmState<2>),
    /// `[batch, hidden]`
    Gru(Tensor<2>),
}

impl StreamState {
    /// How many numbers are remembered. Of convolutions these are at most the positions of the receptive
    /// field, and fewer before as many tokens have been read.
    pub fn size(&self) -> usize {
        let size = |tensor: &Tensor<2>| tensor.dims().iter().product::<usize>();
        match &self.0 {
            Memory::Windows(windows) => windows.iter().flat_map(|window| &window.inputs).map(size).sum(),
            Memory::Lstm(LstmState { cell, hidden }) => size(cell) + size(hidden),
            Memory::Gru(hidden) => size(hidden),
        }
    }
}

/// Which positions layers compute.
pub(super) enum Reading<'a> {
    /// All positions of texts with this mask, `[batch, length]`.
    Texts(&'a Tensor<2>),
    /// One position. Each layer takes the next window, so layers are applied in the same order every time.
    Next(IterMut<'a, Window>),
}

/// An encoder that consists of convolutions and of functions that act on each position alone.
pub(super) trait Layered: Encode {
    /// The convolutions, in the order in which [`apply`](Self::apply) applies them; none if anything else
    /// mixes positions.
    fn layers(&self) -> Option<Vec<&ConvLayer>>;

    /// `[batch, length, embedding]` to `[batch, length, hidden]`, where the next position has length 1.
    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3>;
}

impl<E: Layered> Stream for E {
    fn begin(&self, batch: usize, device: &Device) -> Option<StreamState> {
        let windows = self.layers()?.into_iter().map(|layer| layer.window(batch, device));
        Some(StreamState(Memory::Windows(windows.collect::<Option<_>>()?)))
    }

    fn step(&self, state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        let Memory::Windows(windows) = &mut state.0 else { another_encoder() };
        let mut reading = Reading::Next(windows.iter_mut());
        let y = self.apply(x.unsqueeze_dim::<3>(1), &mut reading);
        assert!(matches!(reading, Reading::Next(rest) if rest.len() == 0), "the state of another encoder");
        y.squeeze_dim::<2>(1)
    }
}

pub(super) fn another_encoder() -> ! {
    panic!("the state of another encoder")
}

/// The inputs that a causal convolution of stride 1 will read again.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Row by row what a filter multiplies, `[output, input · kernel_size]`: the order of
    /// `[output, input, kernel_size]`, so without weight normalisation nothing is copied.
    filters: Tensor<2>,
    kernel_size: usize,
    dilation: usize,
    /// What is before the start of the text, `[batch, input]`.
    zeros: Tensor<2>,
    /// The inputs of the positions read last, `[batch, input]` each, the newest at the back. They are not
    /// one tensor, because writing a row of it would copy the others.
    inputs: VecDeque<Tensor<2>>,
}

impl Window {
    /// The window before the first position, for filters `[output, input, kernel_size]`.
    pub(super) fn new(filters: Tensor<3>, dilation: usize, batch: usize, device: &Device) -> Self {
        let [output, input, kernel_size] = filters.dims();
        Self {
            filters: filters.reshape([output, input * kernel_size]),
            kernel_size,
            dilation,
            zeros: Tensor::zeros([batch, input], device),
            inputs: VecDeque::new(),
        }
    }

    /// The convolution without bias at the next position, whose input is `x`: `[batch, 1, input]` to
    /// `[batch, 1, output]`.
    pub(super) fn convolve(&mut self, x: Tensor<3>) -> Tensor<3> {
        let [batch, _, input] = x.dims();
        let x = x.squeeze_dim::<2>(1);
        let others = self.kernel_size - 1;
        let before = |back: usize| {
            let at = self.inputs.len().checked_sub(back.saturating_mul(self.dilation));
            at.and_then(|at| self.inputs.get(at)).unwrap_or(&self.zeros).clone()
        };
        let seen: Vec<_> = (1..=others).rev().map(before).chain([x.clone()]).collect();
        let seen = Tensor::stack::<3>(seen, 2).reshape([batch, input * self.kernel_size]);
        if others > 0 {
            self.inputs.push_back(x);
            if self.inputs.len() > others.saturating_mul(self.dilation) {
                self.inputs.pop_front();
            }
        }
        seen.matmul(self.filters.clone().swap_dims(0, 1)).unsqueeze_dim::<3>(1)
    }
}

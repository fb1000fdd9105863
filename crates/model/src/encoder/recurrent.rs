//! The recurrent baselines: LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014), in one
//! direction or both. They have burn-nn's parameters and equations, but the cost of training grows with
//! the length of a text, not with its square.

use burn::module::Module;
use burn::nn::gru::{Gru as BurnGru, GruConfig as BurnGruConfig};
use burn::nn::{GateController, Linear, Lstm as BurnLstm, LstmConfig as BurnLstmConfig, LstmState};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::streaming::{Memory, Stream, StreamState, another_encoder};
use super::{Encode, Settings};
use crate::kernels::{Cell, Parameters, Reader, read};
use crate::limits::{MAX_CHANNELS, check_up_to, product};
use crate::{ReceptiveField, Words};

/// Settings of [`Lstm`] and [`Gru`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurrentConfig {
    /// The number of dimensions of the state of each direction.
    pub hidden: usize,
    /// Whether a second network reads the text backward.
    #[serde(default)]
    pub bidirectional: bool,
}

impl RecurrentConfig {
    /// Initializes an LSTM for inputs of `embedding` dimensions.
    pub fn init_lstm(&self, embedding: usize, device: &Device) -> Lstm {
        let init = || BurnLstmConfig::new(embedding, self.hidden, true).init(device);
        Lstm { lstm: init(), reverse: self.bidirectional.then(init) }
    }

    /// Initializes a GRU for inputs of `embedding` dimensions.
    pub fn init_gru(&self, embedding: usize, device: &Device) -> Gru {
        let init = || BurnGruConfig::new(embedding, self.hidden, true).init(device);
        Gru { gru: init(), reverse: self.bidirectional.then(init) }
    }

    /// The number of parameters of networks with `gates` gates each.
    pub(super) fn parameters(&self, embedding: usize, gates: usize) -> u64 {
        let hidden = self.hidden;
        let weights = product([embedding, hidden]).saturating_add(product([hidden, hidden]));
        let gate = weights.saturating_add(product([2, hidden])); // with burn-nn's two biases
        gate.saturating_mul(gates as u64).saturating_mul(1 + u64::from(self.bidirectional))
    }
}

impl Settings for RecurrentConfig {
    fn hidden(&self) -> usize {
        if self.bidirectional { self.hidden.saturating_mul(2) } else { self.hidden }
    }

    /// Everything before the position; with both directions, the whole text.
    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField { left: ReceptiveField::ALL, right: if self.bidirectional { ReceptiveField::ALL } else { 0 } }
    }

    fn check(&self) -> Result<(), String> {
        check_up_to("hidden", self.hidden, MAX_CHANNELS)
    }
}

/// One or two LSTMs.
#[derive(Module, Debug)]
pub struct Lstm {
    /// Reads the text forward.
    pub lstm: BurnLstm,
    /// Reads the text backward.
    pub reverse: Option<BurnLstm>,
}

/// One or two GRUs.
#[derive(Module, Debug)]
pub struct Gru {
    /// Reads the text forward.
    pub gru: BurnGru,
    /// Reads the text backward.
    pub reverse: Option<BurnGru>,
}

impl Encode for Lstm {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        in_both_directions((&self.lstm, self.reverse.as_ref()), Inputs::positions(x), mask, lstm_parameters, read_lstm)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        in_both_directions(
            (&self.lstm, self.reverse.as_ref()),
            Inputs::words(words),
            words.mask(),
            lstm_parameters,
            read_lstm,
        )
    }
}

impl Encode for Gru {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        in_both_directions((&self.gru, self.reverse.as_ref()), Inputs::positions(x), mask, gru_parameters, read_gru)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        let inputs = Inputs::words(words);
        in_both_directions((&self.gru, self.reverse.as_ref()), inputs, words.mask(), gru_parameters, read_gru)
    }
}

impl Stream for Lstm {
    fn begin(&self, batch: usize, device: &Device) -> Option<StreamState> {
        let state = LstmState::initial([batch, self.lstm.d_hidden], device);
        self.reverse.is_none().then_some(StreamState(Memory::Lstm(state)))
    }

    fn step(&self, state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        let Memory::Lstm(state) = &mut state.0 else { another_encoder() };
        *state = self.lstm.forward(x.unsqueeze_dim::<3>(1), Some(state.clone())).1;
        state.hidden.clone()
    }
}

impl Stream for Gru {
    fn begin(&self, batch: usize, device: &Device) -> Option<StreamState> {
        let hidden = Tensor::zeros([batch, self.gru.d_hidden], device);
        self.reverse.is_none().then_some(StreamState(Memory::Gru(hidden)))
    }

    fn step(&self, state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        let Memory::Gru(hidden) = &mut state.0 else { another_encoder() };
        *hidden = self.gru.forward(x.unsqueeze_dim::<3>(1), Some(hidden.clone())).squeeze_dim::<2>(1);
        hidden.clone()
    }
}

/// What a network reads: a vector for each of some words, and the word at each position.
struct Inputs {
    /// `[words, embedding]`
    rows: Tensor<2>,
    /// `[batch, length]`
    ids: Tensor<2, Int>,
}

impl Inputs {
    /// Every position, `[batch, length, embedding]`, is a word of its own.
    fn positions(x: Tensor<3>) -> Self {
        let [batch, length, embedding] = x.dims();
        let ids = Tensor::<1, Int>::arange(0..(batch * length) as i64, &x.device()).reshape([batch, length]);
        Self { rows: x.reshape([batch * length, embedding]), ids }
    }

    fn words(words: &Words) -> Self {
        Self { rows: words.rows(), ids: words.indices() }
    }
}

/// The equations and the parameters of a network, as the kernel reads them.
type Network = (Cell, Parameters<Tensor<1>, Tensor<2>>);

fn lstm_parameters(lstm: &BurnLstm) -> Option<Network> {
    let gates = [&lstm.input_gate, lstm.forget_gate.as_ref()?, &lstm.output_gate, &lstm.cell_gate];
    Some((Cell::Lstm, parameters(gates, gates)))
}

fn gru_parameters(gru: &BurnGru) -> Option<Network> {
    let (new, reset, update) = (&gru.new_gate, &gru.reset_gate, &gru.update_gate);
    Some((Cell::Gru, parameters([new, reset, update], [reset, update, new])))
}

/// The parameters of gates, in the order of the input's and of the state's columns.
fn parameters<const N: usize>(
    input: [&GateController; N],
    recurrent: [&GateController; N],
) -> Parameters<Tensor<1>, Tensor<2>> {
    Parameters {
        input: side_by_side(input.map(|gate| &gate.input_transform)),
        input_bias: Tensor::cat(input.map(|gate| bias(&gate.input_transform)).into(), 0),
        recurrent: side_by_side(recurrent.map(|gate| &gate.hidden_transform)),
        recurrent_bias: Tensor::cat(recurrent.map(|gate| bias(&gate.hidden_transform)).into(), 0),
    }
}

fn side_by_side<const N: usize>(transforms: [&Linear; N]) -> Tensor<2> {
    Tensor::cat(transforms.map(|transform| transform.weight.val()).into(), 1)
}

fn bias(transform: &Linear) -> Tensor<1> {
    match &transform.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([transform.weight.dims()[1]], &transform.weight.device()),
    }
}

/// `[batch, length, embedding]` to `[batch, length, hidden]`, as burn-nn does.
fn read_lstm(lstm: &BurnLstm, x: Tensor<3>) -> Tensor<3> {
    in_pieces(x, None, &|x, state| lstm.forward(x, state)).0
}

/// `[batch, length, embedding]` to `[batch, length, hidden]`, as burn-nn does.
fn read_gru(gru: &BurnGru, x: Tensor<3>) -> Tensor<3> {
    let read = |x: Tensor<3>, state| {
        let last = x.dims()[1] - 1;
        let read = gru.forward(x, state);
        (read.clone(), read.narrow(1, last, 1).squeeze_dim::<2>(1))
    };
    in_pieces(x, None, &read).0
}

/// The largest number of positions that burn-nn reads at once.
const PIECE: usize = 16;

/// Splits a text in halves until they are short, and reads each from the final state of the one before.
/// burn-nn slices out every position, and the gradient of a slice is as large as the tensor that it was
/// taken from. With slices of the whole text, the cost of the backward pass would grow with the square
/// of its length.
fn in_pieces<S>(
    x: Tensor<3>,
    state: Option<S>,
    read: &impl Fn(Tensor<3>, Option<S>) -> (Tensor<3>, S),
) -> (Tensor<3>, S) {
    let length = x.dims()[1];
    if length <= PIECE {
        return read(x, state);
    }
    let half = length / 2;
    let (first, state) = in_pieces(x.clone().narrow(1, 0, half), state, read);
    let (second, state) = in_pieces(x.narrow(1, half, length - half), Some(state), read);
    (Tensor::cat(vec![first, second], 1), state)
}

/// Reads the inputs forward and, if there is a second network, also backward: with the kernel, or as `burn`
/// does. In both directions the text comes before the padding.
fn in_both_directions<N>(
    (network, reverse): (&N, Option<&N>),
    inputs: Inputs,
    mask: Tensor<2>,
    parameters: impl Fn(&N) -> Option<Network>,
    burn: impl Fn(&N, Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let embedded = || embedding(inputs.rows.clone(), inputs.ids.clone());
    let with_kernel = |network: &N, reversed| {
        let (cell, parameters) = parameters(network)?;
        read(Reader { cell, reversed }, parameters, inputs.rows.clone(), inputs.ids.clone(), mask.clone())
    };
    let forward = with_kernel(network, false).unwrap_or_else(|| burn(network, embedded()));
    let Some(reverse) = reverse else { return forward };
    let backward = with_kernel(reverse, true).unwrap_or_else(|| {
        let order = reversed(mask.clone());
        reorder(burn(reverse, reorder(embedded(), &order)), &order)
    });
    Tensor::cat(vec![forward, backward], 2)
}

/// For each position of a text, the position that is as far from its end, `[batch, length]`. Padding
/// stays in place.
fn reversed(mask: Tensor<2>) -> Tensor<2, Int> {
    let [batch, length] = mask.dims();
    let places = Tensor::<1, Int>::arange(0..length as i64, &mask.device()).unsqueeze::<2>().expand([batch, length]);
    let last = mask.clone().sum_dim(1).int() - 1; // [batch, 1]
    let mirrored = last.expand([batch, length]) - places.clone();
    mirrored.mask_where(mask.equal_elem(0.0), places)
}

fn reorder(x: Tensor<3>, order: &Tensor<2, Int>) -> Tensor<3> {
    let [batch, length, channels] = x.dims();
    x.gather(1, order.clone().unsqueeze_dim::<3>(2).expand([batch, length, channels]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as().expect("values")
    }

    /// The output, and the gradients of the text and of every gate's weights and biases.
    fn with_gradients(
        x: &Tensor<3>,
        gates: &[GateController],
        read: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> (Vec<f32>, Vec<f32>) {
        let output = read(x.clone());
        let gradients = (output.clone() * output.clone()).sum().backward();
        let mut all = values(x.grad(&gradients).expect("a gradient"));
        for transform in gates.iter().flat_map(|gate| [&gate.input_transform, &gate.hidden_transform]) {
            all.extend(values(transform.weight.val().grad(&gradients).expect("a gradient")));
            let bias = transform.bias.as_ref().expect("a bias").val();
            all.extend(values(bias.grad(&gradients).expect("a gradient")));
        }
        (values(output), all)
    }

    fn assert_close(found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            prop_assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{} and {}", found, expected);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn outputs_and_gradients_match_burn_nn(
            lengths in prop::collection::vec(1usize..40, 1..12), is_square: bool, bidirectional: bool, seed: u64,
        ) {
            let device = Device::flex().autodiff();
            device.seed(seed);
            let (batch, length) = (lengths.len(), *lengths.iter().max().expect("a length"));
            // If both sizes agree, an LSTM multiplies input and state together.
            let embedding = if is_square { 5 } else { 3 };
            let distribution = burn::tensor::Distribution::Normal(0.0, 1.0);
            let x = Tensor::<3>::random([batch, length, embedding], distribution, &device).require_grad();
            let mask: Vec<f32> =
                lengths.iter().flat_map(|&end| (0..length).map(move |at| f32::from(u8::from(at < end)))).collect();
            let mask = Tensor::<2>::from_data(TensorData::new(mask, [batch, length]), &device);
            let config = RecurrentConfig { hidden: 5, bidirectional };
            let masked = |output: Tensor<3>| output * mask.clone().unsqueeze_dim::<3>(2);

            let lstm = config.init_lstm(embedding, &device);
            let gates_of = |lstm: &'_ BurnLstm| {
                let forget_gate = lstm.forget_gate.clone().expect("a forget gate");
                [lstm.input_gate.clone(), forget_gate, lstm.output_gate.clone(), lstm.cell_gate.clone()]
            };
            let gates: Vec<GateController> =
                std::iter::once(&lstm.lstm).chain(&lstm.reverse).flat_map(gates_of).collect();
            let by_burn = |lstm: &BurnLstm, x| lstm.forward(x, None).0;
            let networks = (&lstm.lstm, lstm.reverse.as_ref());
            let expected = with_gradients(&x, &gates, |x| {
                masked(in_both_directions(networks, Inputs::positions(x), mask.clone(), |_| None, by_burn))
            });
            let found = with_gradients(&x, &gates, |x| masked(lstm.forward(x, mask.clone())));
            assert_close(&found.0, &expected.0)?;
            assert_close(&found.1, &expected.1)?;

            let gru = config.init_gru(embedding, &device);
            let gates_of = |gru: &BurnGru| [gru.update_gate.clone(), gru.reset_gate.clone(), gru.new_gate.clone()];
            let gates: Vec<GateController> =
                std::iter::once(&gru.gru).chain(&gru.reverse).flat_map(gates_of).collect();
            let networks = (&gru.gru, gru.reverse.as_ref());
            let expected = with_gradients(&x, &gates, |x| {
                let by_burn = |gru: &BurnGru, x| gru.forward(x, None);
                masked(in_both_directions(networks, Inputs::positions(x), mask.clone(), |_| None, by_burn))
            });
            let pieces = with_gradients(&x, &gates, |x| {
                masked(in_both_directions(networks, Inputs::positions(x), mask.clone(), |_| None, read_gru))
            });
            for found in [with_gradients(&x, &gates, |x| masked(gru.forward(x, mask.clone()))), pieces] {
                assert_close(&found.0, &expected.0)?;
                assert_close(&found.1, &expected.1)?;
            }
        }
    }
}

//! The recurrent baselines: LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014), in one
//! direction or both. They have burn-nn's parameters and equations, but the cost of training grows with
//! the length of a text, not with its square.

use burn::module::Module;
use burn::nn::gru::{Gru as BurnGru, GruConfig as BurnGruConfig};
use burn::nn::{GateController, Lstm as BurnLstm, LstmConfig as BurnLstmConfig};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Encode, EncoderSettings};
use crate::ReceptiveField;
use crate::kernels;
use crate::limits::{MAX_CHANNELS, check_up_to, product};

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

impl EncoderSettings for RecurrentConfig {
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
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        in_both_directions(
            x,
            mask,
            |x| read_lstm(&self.lstm, x),
            self.reverse.as_ref().map(|lstm| |x| read_lstm(lstm, x)),
        )
    }
}

impl Encode for Gru {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        in_both_directions(x, mask, |x| read_gru(&self.gru, x), self.reverse.as_ref().map(|gru| |x| read_gru(gru, x)))
    }
}

/// `[batch, length, embedding]` to `[batch, length, hidden]`, with a kernel on the CPU.
fn read_lstm(lstm: &BurnLstm, x: Tensor<3>) -> Tensor<3> {
    match &lstm.forget_gate {
        Some(forget_gate) if kernels::has_kernels(&x) => {
            let gates = [&lstm.input_gate, forget_gate, &lstm.output_gate, &lstm.cell_gate];
            let recurrent = gates.map(|gate| gate.hidden_transform.weight.val());
            kernels::lstm(project(gates, x), Tensor::cat(recurrent.into(), 1))
        }
        _ => in_pieces(x, None, &|x, state| lstm.forward(x, state)).0,
    }
}

/// What each position contributes to the gates by itself, without the previous state, biases included:
/// `[batch, length, embedding]` to `[batch, length, 4 · hidden]`.
fn project(gates: [&GateController; 4], x: Tensor<3>) -> Tensor<3> {
    let [batch, length, embedding] = x.dims();
    let weight = Tensor::cat(gates.map(|gate| gate.input_transform.weight.val()).into(), 1);
    let biases = gates.map(|gate| {
        let none = Tensor::zeros([gate.hidden_transform.weight.dims()[1]], &x.device());
        let both = [&gate.input_transform.bias, &gate.hidden_transform.bias];
        both.into_iter().flatten().fold(none, |sum, bias| sum + bias.val())
    });
    let projected = x.reshape([batch * length, embedding]).matmul(weight) + Tensor::cat(biases.into(), 0).unsqueeze();
    projected.reshape([batch as i64, length as i64, -1])
}

/// `[batch, length, embedding]` to `[batch, length, hidden]`.
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

/// Reads `[batch, embedding, length]` forward and, if there is a second network, also backward. In both
/// directions the text comes before the padding.
fn in_both_directions(
    x: Tensor<3>,
    mask: Tensor<3>,
    forward: impl Fn(Tensor<3>) -> Tensor<3>,
    reverse: Option<impl Fn(Tensor<3>) -> Tensor<3>>,
) -> Tensor<3> {
    let x = x.swap_dims(1, 2); // [batch, length, embedding]
    let read = forward(x.clone());
    let read = match reverse {
        None => read,
        Some(reverse) => {
            let order = reversed(mask);
            Tensor::cat(vec![read, reorder(reverse(reorder(x, &order)), &order)], 2)
        }
    };
    read.swap_dims(1, 2)
}

/// For each position of a text, the position that is as far from its end, `[batch, length]`. Padding
/// stays in place.
fn reversed(mask: Tensor<3>) -> Tensor<2, Int> {
    let mask = mask.squeeze_dim::<2>(1);
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
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as().expect("values")
    }

    /// The output, and the gradients of the text and of every gate's weights and biases.
    fn with_gradients(
        x: &Tensor<3>,
        gates: &[&GateController],
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
        fn outputs_and_gradients_match_burn_nn(batch in 1usize..12, length in 1usize..40, seed: u64) {
            let device = Device::flex().autodiff();
            device.seed(seed);
            let distribution = burn::tensor::Distribution::Normal(0.0, 1.0);
            let x = Tensor::<3>::random([batch, length, 3], distribution, &device).require_grad();
            let config = RecurrentConfig { hidden: 5, bidirectional: false };

            let lstm = config.init_lstm(3, &device).lstm;
            let forget_gate = lstm.forget_gate.as_ref().expect("a forget gate");
            let gates = [&lstm.input_gate, forget_gate, &lstm.output_gate, &lstm.cell_gate];
            let expected = with_gradients(&x, &gates, |x| lstm.forward(x, None).0);
            let pieces = with_gradients(&x, &gates, |x| in_pieces(x, None, &|x, state| lstm.forward(x, state)).0);
            for found in [with_gradients(&x, &gates, |x| read_lstm(&lstm, x)), pieces] {
                assert_close(&found.0, &expected.0)?;
                assert_close(&found.1, &expected.1)?;
            }

            let gru = config.init_gru(3, &device).gru;
            let gates = [&gru.update_gate, &gru.reset_gate, &gru.new_gate];
            let found = with_gradients(&x, &gates, |x| read_gru(&gru, x));
            let expected = with_gradients(&x, &gates, |x| gru.forward(x, None));
            assert_close(&found.0, &expected.0)?;
            assert_close(&found.1, &expected.1)?;
        }
    }
}

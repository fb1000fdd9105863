//! The baselines that convolutions are held against: LSTM (Hochreiter and Schmidhuber 1997), in one
//! direction or both, and GRU (Cho et al. 2014), as burn-nn has them.

use burn::module::Module;
use burn::nn::gru::{Gru as BurnGru, GruConfig as BurnGruConfig};
use burn::nn::{Lstm as BurnLstm, LstmConfig as BurnLstmConfig};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::{Encode, EncoderSettings};
use crate::ReceptiveField;

/// Settings of [`Lstm`] and [`Gru`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurrentConfig {
    /// How many dimensions the state has, of each direction.
    pub hidden: usize,
    /// Whether a second one reads the text from its end.
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
}

impl EncoderSettings for RecurrentConfig {
    fn hidden(&self) -> usize {
        if self.bidirectional { 2 * self.hidden } else { self.hidden }
    }

    /// All that was read before; with both directions, all.
    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField { left: ReceptiveField::ALL, right: if self.bidirectional { ReceptiveField::ALL } else { 0 } }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.hidden == 0 { Err("hidden must be 1 or more") } else { Ok(()) }
    }
}

/// One or two LSTMs.
#[derive(Module, Debug)]
pub struct Lstm {
    /// From the first word on.
    pub lstm: BurnLstm,
    /// From the last word on.
    pub reverse: Option<BurnLstm>,
}

/// One or two GRUs.
#[derive(Module, Debug)]
pub struct Gru {
    /// From the first word on.
    pub gru: BurnGru,
    /// From the last word on.
    pub reverse: Option<BurnGru>,
}

impl Encode for Lstm {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        let run = |lstm: &BurnLstm| {
            let lstm = lstm.clone();
            move |x| lstm.forward(x, None).0
        };
        both_ways(x, mask, run(&self.lstm), self.reverse.as_ref().map(run))
    }
}

impl Encode for Gru {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        let run = |gru: &BurnGru| {
            let gru = gru.clone();
            move |x| gru.forward(x, None)
        };
        both_ways(x, mask, run(&self.gru), self.reverse.as_ref().map(run))
    }
}

/// Reads `[batch, embedding, length]` from the first word on and, where there is a second reader,
/// from the last on; the padding after a text is read by neither before the text is.
fn both_ways(
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

/// For each position of a text the one that stands as far from its end, `[batch, length]`; padding
/// stays where it is.
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

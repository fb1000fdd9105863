//! WaveNet's gated units with skip connections (van den Oord et al. 2016, equation 2 and figure 4).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation};
use super::{Activation, Encode, EncoderSettings, Filters};
use crate::{ReceptiveField, Words, kernels};

/// Settings of [`Gated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatedConfig {
    /// How many channels each unit has.
    pub hidden: usize,
    /// How many units there are.
    pub units: usize,
    /// What the dilation is multiplied with from unit to unit.
    #[serde(default = "super::layer::two")]
    pub dilation_base: usize,
    /// How the layers are built; the activation is the gate's.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl GatedConfig {
    /// Initializes the units for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Gated {
        // What is dropped is what is gated: before the gate a zero would be a half.
        let wide = LayerConfig { activation: Activation::None, dropout: 0.0, ..self.layer.clone() };
        let narrow = LayerConfig { kernel_size: 1, activation: Activation::None, ..LayerConfig::default() };
        let narrow = |input| narrow.init(input, self.hidden, 1, 1, device);
        let unit = |number: usize| Unit {
            // Both halves of the gate in one convolution.
            gates: wide.init(self.hidden, 2 * self.hidden, dilation(self.dilation_base, number), 1, device),
            through: (number + 1 < self.units).then(|| narrow(self.hidden)),
            skip: narrow(self.hidden),
            dropout: DropoutConfig::new(self.layer.dropout).init(),
        };
        Gated { input: narrow(embedding), units: (0..self.units).map(unit).collect() }
    }
}

impl EncoderSettings for GatedConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    fn receptive_field(&self) -> ReceptiveField {
        self.layer.field_of_stack(self.units, self.dilation_base)
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack([("hidden", self.hidden), ("units", self.units), ("dilation_base", self.dilation_base)])
    }
}

/// Gated units, and the sum of what each gives.
#[derive(Module, Debug)]
pub struct Gated {
    /// A convolution of width 1, from embeddings to channels.
    pub input: ConvLayer,
    /// The units, from the words up.
    pub units: Vec<Unit>,
}

/// One gated unit.
#[derive(Module, Debug)]
pub struct Unit {
    /// What is gated, and its gate: `[2 · hidden, hidden, kernel_size]`.
    pub gates: ConvLayer,
    /// What is added to what the unit was given, of width 1; none of the last unit, on which no other
    /// stands.
    pub through: Option<ConvLayer>,
    /// What goes straight to the end, of width 1.
    pub skip: ConvLayer,
    dropout: Dropout,
}

impl Gated {
    fn above(&self, mut x: Tensor<3>, mask: &Tensor<3>) -> Tensor<3> {
        let mut skips = Vec::new();
        for unit in &self.units {
            x = x * mask.clone();
            let gated = unit.dropout.forward(kernels::gate(unit.gates.forward(x.clone())));
            skips.push(unit.skip.forward(gated.clone()));
            if let Some(through) = &unit.through {
                x = x + through.forward(gated);
            }
        }
        relu(skips.into_iter().reduce(|sum, skip| sum + skip).unwrap_or(x))
    }
}

impl Encode for Gated {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        self.above(self.input.forward(x), &mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.above(self.input.forward_words(words), &words.mask())
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::of_layer(&self.input, false))
    }
}

//! Gated units: those of WaveNet, with skip connections (van den Oord et al. 2016, equation 2 and figure 4), or residual
//! ones (Dauphin et al. 2017, "Language Modeling with Gated Convolutional Networks", figure 1).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation};
use super::streaming::{Layered, Reading};
use super::{Activation, Encode, Filters, Settings};
use crate::kernels::{Epilogue, gate, layer_norm};
use crate::limits::{check_size, product};
use crate::{ReceptiveField, Words, dropout};

/// What the units pass on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatedBranch {
    /// Each adds to the next, and by a skip connection to the output, which is rectified (WaveNet). Layer normalisation
    /// comes before the gate.
    #[default]
    Skip,
    /// Each adds to the next, and the output is what the last leaves (Dauphin et al.). Layer normalisation comes before the
    /// convolution, and once more after the last unit.
    Residual,
}

/// Settings of [`Gated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatedConfig {
    /// The number of channels of each unit.
    pub hidden: usize,
    /// The number of units.
    pub units: usize,
    /// The factor by which the dilation grows from unit to unit.
    #[serde(default = "super::layer::two")]
    pub dilation_base: usize,
    /// After how many units the dilation begins again at 1 (the blocks of van den Oord et al. 2016, section 2.1); none if it
    /// only grows.
    #[serde(default)]
    pub cycle: Option<usize>,
    /// What the units pass on.
    #[serde(default)]
    pub branch: GatedBranch,
    /// How the layers are built. The activation has no effect: it is always the gate.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl GatedConfig {
    /// Initializes the units for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Gated {
        // Dropout comes after the gate: before it, a dropped value would open the gate halfway.
        let is_residual = self.branch == GatedBranch::Residual;
        let norm = || (is_residual && self.layer.layer_norm).then(|| LayerNormConfig::new(self.hidden).init(device));
        let layer_norm = self.layer.layer_norm && !is_residual;
        let wide = LayerConfig { activation: Activation::None, dropout: 0.0, layer_norm, ..self.layer.clone() };
        let narrow = LayerConfig { kernel_size: 1, activation: Activation::None, ..LayerConfig::default() };
        let narrow = |input| narrow.init(input, self.hidden, 1, 1, device);
        let unit = |number: usize| GatedUnit {
            // Both halves of the gate in one convolution.
            gates: wide.init(self.hidden, 2 * self.hidden, self.dilation(number), 1, device),
            through: (is_residual || number + 1 < self.units).then(|| narrow(self.hidden)),
            skip: (!is_residual).then(|| narrow(self.hidden)),
            norm: norm(),
            dropout: DropoutConfig::new(self.layer.dropout).init(),
        };
        Gated { input: narrow(embedding), units: (0..self.units).map(unit).collect(), norm: norm() }
    }

    /// The dilation of a unit, counted from 0.
    fn dilation(&self, unit: usize) -> usize {
        dilation(self.dilation_base, self.cycle.map_or(unit, |cycle| unit % cycle.max(1)))
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let (hidden, units) = (self.hidden, self.units as u64);
        let narrow = |input| product([input, hidden]).saturating_add(hidden as u64);
        let is_residual = self.branch == GatedBranch::Residual;
        let has_norms = is_residual && self.layer.layer_norm;
        let layer = LayerConfig { layer_norm: self.layer.layer_norm && !is_residual, ..self.layer.clone() };
        let gates = layer.parameters(hidden, hidden.saturating_mul(2)).saturating_mul(units);
        // With skip connections every unit has one, and all but the last a connection to the next.
        let connections = if is_residual { units } else { units.saturating_mul(2).saturating_sub(1) };
        let norms = if has_norms { product([2, hidden]).saturating_mul(units.saturating_add(1)) } else { 0 };
        let parts = [gates, narrow(hidden).saturating_mul(connections), norms];
        parts.into_iter().fold(narrow(embedding), u64::saturating_add)
    }
}

impl Settings for GatedConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    fn receptive_field(&self) -> ReceptiveField {
        let add = |field: ReceptiveField, unit| field.then(self.layer.field(self.dilation(unit)), 1);
        (0..self.units).fold(ReceptiveField::ONE, add)
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("hidden", self.hidden), ("units", self.units))?;
        check_size("cycle", self.cycle.unwrap_or(1))?;
        check_size("dilation_base", self.dilation_base)
    }
}

/// Gated units, one after the other.
#[derive(Module, Debug)]
pub struct Gated {
    /// From the embeddings to the channels: a convolution of width 1.
    pub input: ConvLayer,
    /// The units, from first to last.
    pub units: Vec<GatedUnit>,
    norm: Option<LayerNorm>,
}

/// One gated unit.
#[derive(Module, Debug)]
pub struct GatedUnit {
    /// The values and their gates: filters `[2 · hidden, hidden, kernel_size]`.
    pub gates: ConvLayer,
    /// From the gated values to what is added to the unit's input: a convolution of width 1. With skip
    /// connections the last unit has none, because no other unit reads its output.
    pub through: Option<ConvLayer>,
    /// From the gated values to the sum at the end, if there is one: a convolution of width 1.
    pub skip: Option<ConvLayer>,
    norm: Option<LayerNorm>,
    dropout: Dropout,
}

impl Gated {
    /// Everything after the input convolution.
    fn after_input(&self, mut x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let mut sum: Option<Tensor<3>> = None;
        for unit in &self.units {
            let dropped = dropout::probability(&unit.dropout, &x.device());
            let gated = gate(unit.gates.apply(normalised(&unit.norm, x.clone()), reading), dropped);
            if let Some(skip) = &unit.skip {
                let skip = skip.apply(gated.clone(), reading);
                sum = Some(sum.map_or(skip.clone(), |sum| sum + skip));
            }
            if let Some(through) = &unit.through {
                x = x + through.apply(gated, reading);
            }
        }
        match sum {
            Some(sum) => relu(sum),
            None => normalised(&self.norm, x),
        }
    }
}

fn normalised(norm: &Option<LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => layer_norm(norm, x, Epilogue::NONE),
        None => x,
    }
}

impl Layered for Gated {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        let units =
            self.units.iter().flat_map(|unit| std::iter::once(&unit.gates).chain(&unit.skip).chain(&unit.through));
        Some(std::iter::once(&self.input).chain(units).collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let x = self.input.apply(x, reading);
        self.after_input(x, reading)
    }
}

impl Encode for Gated {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.apply(x, &mut Reading::Texts(&mask))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.after_input(self.input.forward_words(words), &mut Reading::Texts(&words.mask()))
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::from_layer(&self.input, false))
    }
}

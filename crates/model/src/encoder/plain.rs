//! Convolutions one after the other (document B's first stack).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig};
use super::{Downsampling, Encode, EncoderSettings, Filters, downsampled};
use crate::{ReceptiveField, Words};

/// Settings of [`Plain`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlainConfig {
    /// How many channels each layer has.
    pub hidden: usize,
    /// How many layers there are.
    pub layers: usize,
    /// Whether each layer leaves fewer positions than it reads.
    #[serde(default)]
    pub downsampling: Downsampling,
    /// How the layers are built.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl PlainConfig {
    /// Initializes the stack for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Plain {
        let stride = if let Downsampling::Stride { by } = self.downsampling { by } else { 1 };
        let input = |layer: usize| if layer == 0 { embedding } else { self.hidden };
        let layers = (0..self.layers).map(|layer| self.layer.init(input(layer), self.hidden, 1, stride, device));
        Plain { layers: layers.collect(), downsampling: self.downsampling, causal: self.layer.causal }
    }
}

impl EncoderSettings for PlainConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each layer adds its filter's width less one, times the steps of the layers before it.
    fn receptive_field(&self) -> ReceptiveField {
        (0..self.layers as u32).fold(ReceptiveField::ONE, |field, layer| {
            let jump = self.downsampling.factor().saturating_pow(layer);
            field.then(self.layer.field(1), jump).then(self.downsampling.field(self.layer.causal), jump)
        })
    }

    fn stride(&self) -> usize {
        self.downsampling.factor().saturating_pow(self.layers as u32)
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack([
            ("hidden", self.hidden),
            ("layers", self.layers),
            ("downsampling by", self.downsampling.factor()),
        ])
    }
}

/// Convolutions one after the other.
#[derive(Module, Debug)]
pub struct Plain {
    /// The layers, from the words up.
    pub layers: Vec<ConvLayer>,
    #[module(skip)]
    downsampling: Downsampling,
    #[module(skip)]
    causal: bool,
}

impl Plain {
    fn rest(&self, mut x: Tensor<3>, mut mask: Tensor<3>) -> Tensor<3> {
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                x = layer.forward(x * mask.clone());
            }
            x = self.downsampling.pooled(x, &mask, self.causal);
            mask = downsampled(mask, self.downsampling.factor());
        }
        x
    }
}

impl Encode for Plain {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        self.rest(self.layers[0].forward(x), mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.rest(self.layers[0].forward_words(words), words.mask())
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::of_layer(&self.layers[0], self.layers.len() == 1))
    }
}

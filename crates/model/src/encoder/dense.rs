//! Every layer reads what all layers before it gave (DenseNet, Huang et al. 2017, equation 2;
//! document B's example grows 10 → 20 → 30).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig};
use super::{Encode, EncoderSettings, Filters};
use crate::{ReceptiveField, Words};

/// Settings of [`Dense`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseConfig {
    /// How many channels each layer adds; the first has as many.
    pub growth: usize,
    /// How many layers there are.
    pub layers: usize,
    /// How the layers are built.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl DenseConfig {
    /// Initializes the layers for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Dense {
        let input = |layer: usize| if layer == 0 { embedding } else { layer * self.growth };
        let layers = (0..self.layers).map(|layer| self.layer.init(input(layer), self.growth, 1, 1, device));
        Dense { layers: layers.collect() }
    }
}

impl EncoderSettings for DenseConfig {
    fn hidden(&self) -> usize {
        self.growth.saturating_mul(self.layers)
    }

    fn receptive_field(&self) -> ReceptiveField {
        self.layer.field_of_stack(self.layers, 1)
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack([("growth", self.growth), ("layers", self.layers)])
    }
}

/// Densely connected convolutions.
#[derive(Module, Debug)]
pub struct Dense {
    /// The layers, from the words up.
    pub layers: Vec<ConvLayer>,
}

impl Dense {
    fn above(&self, mut x: Tensor<3>, mask: &Tensor<3>) -> Tensor<3> {
        for layer in &self.layers[1..] {
            x = x * mask.clone();
            x = Tensor::cat(vec![x.clone(), layer.forward(x)], 1);
        }
        x
    }
}

impl Encode for Dense {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        self.above(self.layers[0].forward(x), &mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.above(self.layers[0].forward_words(words), &words.mask())
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::of_layer(&self.layers[0], self.layers.len() == 1))
    }
}

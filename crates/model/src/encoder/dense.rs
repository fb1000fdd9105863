//! Every layer reads the outputs of all layers before it (DenseNet, Huang et al. 2017, equation 2).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig};
use super::streaming::{Layered, Reading};
use super::{Encode, Filters, Settings};
use crate::limits::product;
use crate::{ReceptiveField, Words};

/// Settings of [`Dense`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenseConfig {
    /// The number of channels that each layer adds, the first one included.
    pub growth: usize,
    /// The number of layers.
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

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let Self { growth, layers, layer } = self;
        let others = layers.saturating_sub(1);
        // Layer l reads l · growth channels, so the layers after the first read that many in total:
        let inputs = growth.saturating_mul(others.saturating_mul(*layers) / 2);
        let weights = product([inputs, *growth, layer.kernel_size]);
        let rest = layer.parameters(0, *growth).saturating_mul(others as u64);
        layer.parameters(embedding, *growth).saturating_add(weights).saturating_add(rest)
    }
}

impl Settings for DenseConfig {
    fn hidden(&self) -> usize {
        self.growth.saturating_mul(self.layers)
    }

    fn receptive_field(&self) -> ReceptiveField {
        self.layer.field_of_stack(self.layers, 1)
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("growth", self.growth), ("layers", self.layers))
    }
}

/// Densely connected convolutions.
#[derive(Module, Debug)]
pub struct Dense {
    /// The layers, from first to last.
    pub layers: Vec<ConvLayer>,
}

impl Dense {
    /// The layers after the first.
    fn after_first(&self, mut x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        for layer in &self.layers[1..] {
            x = Tensor::cat(vec![x.clone(), layer.apply(x, reading)], 2);
        }
        x
    }
}

impl Layered for Dense {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        Some(self.layers.iter().collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let x = self.layers[0].apply(x, reading);
        self.after_first(x, reading)
    }
}

impl Encode for Dense {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.apply(x, &mut Reading::Texts(&mask))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.after_first(self.layers[0].forward_words(words), &mut Reading::Texts(&words.mask()))
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::from_layer(&self.layers[0], self.layers.len() == 1))
    }
}

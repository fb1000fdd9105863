//! A stack of convolutions (Tal Perry, "Convolutional Methods for Text").

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, power};
use super::streaming::{Layered, Reading};
use super::{Downsampling, Encode, Filters, Settings, downsampled};
use crate::limits::check_size;
use crate::{ReceptiveField, Words};

/// Settings of [`PlainStack`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlainStackConfig {
    /// The number of channels of each layer.
    pub hidden: usize,
    /// The number of layers.
    pub layers: usize,
    /// Whether each layer reduces the number of positions.
    #[serde(default)]
    pub downsampling: Downsampling,
    /// How the layers are built.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl PlainStackConfig {
    /// Initializes the stack for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> PlainStack {
        let stride = if let Downsampling::Stride { by } = self.downsampling { by } else { 1 };
        let input = |layer: usize| if layer == 0 { embedding } else { self.hidden };
        let layers = (0..self.layers).map(|layer| self.layer.init(input(layer), self.hidden, 1, stride, device));
        PlainStack { layers: layers.collect(), downsampling: self.downsampling, causal: self.layer.causal }
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let others = self.layer.parameters(self.hidden, self.hidden);
        let others = others.saturating_mul(self.layers.saturating_sub(1) as u64);
        self.layer.parameters(embedding, self.hidden).saturating_add(others)
    }
}

impl Settings for PlainStackConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each layer adds the width of its filters minus one, times the stride of the layers before it.
    fn receptive_field(&self) -> ReceptiveField {
        (0..self.layers).fold(ReceptiveField::ONE, |field, layer| {
            let jump = power(self.downsampling.factor(), layer);
            field.then(self.layer.field(1), jump).then(self.downsampling.field(self.layer.causal), jump)
        })
    }

    fn stride(&self) -> usize {
        power(self.downsampling.factor(), self.layers)
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("hidden", self.hidden), ("layers", self.layers))?;
        check_size("downsampling by", self.downsampling.factor())
    }
}

/// A stack of convolutions.
#[derive(Module, Debug)]
pub struct PlainStack {
    /// The layers, from first to last.
    pub layers: Vec<ConvLayer>,
    #[module(skip)]
    downsampling: Downsampling,
    #[module(skip)]
    causal: bool,
}

impl PlainStack {
    /// Everything after the convolution of the first layer.
    fn after_first(&self, mut x: Tensor<3>, mut mask: Tensor<2>) -> Tensor<3> {
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                x = layer.forward(x, mask.clone());
            }
            x = self.downsampling.pooled(x, &mask, self.causal);
            mask = downsampled(mask, self.downsampling.factor());
        }
        x
    }
}

impl Layered for PlainStack {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        (self.downsampling.factor() == 1).then(|| self.layers.iter().collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        self.layers.iter().fold(x, |x, layer| layer.apply(x, reading))
    }
}

impl Encode for PlainStack {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.after_first(self.layers[0].forward(x, mask.clone()), mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.after_first(self.layers[0].forward_words(words), words.mask())
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::from_layer(&self.layers[0], self.layers.len() == 1))
    }
}

//! ByteNet's residual blocks with dilations 1, 2, 4, … (Kalchbrenner et al. 2016, section 3.6 and
//! figure 3, left): normalisation and activation before each convolution, and a dilated convolution on
//! half of the channels.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation};
use super::streaming::{Layered, Reading};
use super::{Activation, Encode, Filters, Settings};
use crate::kernels::{Epilogue, layer_norm};
use crate::limits::{check_size, product};
use crate::{ReceptiveField, Words};

/// Settings of [`ByteNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByteNetConfig {
    /// The number of channels between blocks; half as many inside a block.
    pub hidden: usize,
    /// The number of blocks.
    pub blocks: usize,
    /// The factor by which the dilation grows from block to block.
    #[serde(default = "super::layer::two")]
    pub dilation_base: usize,
    /// How the layers are built. Those of the paper have layer normalisation.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl ByteNetConfig {
    /// Initializes the blocks for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> ByteNet {
        let half = self.hidden.div_ceil(2);
        let norm = || self.layer.layer_norm.then(|| LayerNormConfig::new(self.hidden).init(device));
        let narrow = LayerConfig { kernel_size: 1, ..self.layer.clone() };
        let bare = LayerConfig { kernel_size: 1, activation: Activation::None, ..LayerConfig::default() };
        let block = |number: usize| ByteNetBlock {
            norm: norm(),
            narrow: narrow.init(self.hidden, half, 1, 1, device),
            middle: self.layer.init(half, half, dilation(self.dilation_base, number), 1, device),
            wide: bare.init(half, self.hidden, 1, 1, device),
        };
        ByteNet {
            input: bare.init(embedding, self.hidden, 1, 1, device),
            blocks: (0..self.blocks).map(block).collect(),
            norm: norm(),
            activation: self.layer.activation,
        }
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let (hidden, half) = (self.hidden, self.hidden.div_ceil(2));
        let bare = |input, output| product([input, output]).saturating_add(output as u64);
        let norm = if self.layer.layer_norm { product([2, hidden]) } else { 0 };
        let narrow = LayerConfig { kernel_size: 1, ..self.layer.clone() };
        let parts = [norm, narrow.parameters(hidden, half), self.layer.parameters(half, half), bare(half, hidden)];
        let block = parts.into_iter().fold(0, u64::saturating_add);
        let ends = bare(embedding, hidden).saturating_add(norm);
        block.saturating_mul(self.blocks as u64).saturating_add(ends)
    }
}

impl Settings for ByteNetConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each block adds the width of its filters minus one, times its dilation.
    fn receptive_field(&self) -> ReceptiveField {
        self.layer.field_of_stack(self.blocks, self.dilation_base)
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("hidden", self.hidden), ("blocks", self.blocks))?;
        check_size("dilation_base", self.dilation_base)
    }
}

/// ByteNet's blocks.
#[derive(Module, Debug)]
pub struct ByteNet {
    /// From the embeddings to the channels: a convolution of width 1.
    pub input: ConvLayer,
    /// The blocks, from first to last.
    pub blocks: Vec<ByteNetBlock>,
    norm: Option<LayerNorm>,
    #[module(skip)]
    activation: Activation,
}

/// One block: three convolutions, whose output is added to their input.
#[derive(Module, Debug)]
pub struct ByteNetBlock {
    norm: Option<LayerNorm>,
    /// To half of the channels: a convolution of width 1.
    pub narrow: ConvLayer,
    /// Over the positions: a dilated convolution.
    pub middle: ConvLayer,
    /// Back to all channels: a convolution of width 1.
    pub wide: ConvLayer,
}

impl ByteNet {
    /// Everything after the input convolution.
    fn after_input(&self, mut x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        for block in &self.blocks {
            let inner = block.narrow.apply(self.activate(&block.norm, x.clone()), reading);
            let inner = block.middle.apply(inner, reading);
            x = x + block.wide.apply(inner, reading);
        }
        self.activate(&self.norm, x)
    }

    fn activate(&self, norm: &Option<LayerNorm>, x: Tensor<3>) -> Tensor<3> {
        match (self.activation, norm) {
            (Activation::Relu, Some(norm)) => layer_norm(norm, x, Epilogue::RELU),
            (activation, Some(norm)) => activation.forward(layer_norm(norm, x, Epilogue::NONE)),
            (activation, None) => activation.forward(x),
        }
    }
}

impl Layered for ByteNet {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        let blocks = self.blocks.iter().flat_map(|block| [&block.narrow, &block.middle, &block.wide]);
        Some(std::iter::once(&self.input).chain(blocks).collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let x = self.input.apply(x, reading);
        self.after_input(x, reading)
    }
}

impl Encode for ByteNet {
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

//! ByteNet's residual blocks, dilated 1, 2, 4, … (Kalchbrenner et al. 2016, section 3.6 and figure 3,
//! left): normalised and activated before each convolution, the wide one on half of the channels.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation, over_channels};
use super::{Activation, Encode, EncoderSettings, Filters};
use crate::{ReceptiveField, Words};

/// Settings of [`ByteNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByteNetConfig {
    /// How many channels each block has; half as many within.
    pub hidden: usize,
    /// How many blocks there are.
    pub blocks: usize,
    /// What the dilation is multiplied with from block to block.
    #[serde(default = "super::layer::two")]
    pub dilation_base: usize,
    /// How the layers are built; the paper's have layer normalisation.
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
}

impl EncoderSettings for ByteNetConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each block adds one filter's width less one, times its dilation.
    fn receptive_field(&self) -> ReceptiveField {
        self.layer.field_of_stack(self.blocks, self.dilation_base)
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack([
            ("hidden", self.hidden),
            ("blocks", self.blocks),
            ("dilation_base", self.dilation_base),
        ])
    }
}

/// ByteNet's blocks.
#[derive(Module, Debug)]
pub struct ByteNet {
    /// A convolution of width 1, from embeddings to channels.
    pub input: ConvLayer,
    /// The blocks, from the words up.
    pub blocks: Vec<ByteNetBlock>,
    norm: Option<LayerNorm>,
    #[module(skip)]
    activation: Activation,
}

/// What a block adds to what it was given.
#[derive(Module, Debug)]
pub struct ByteNetBlock {
    norm: Option<LayerNorm>,
    /// To half of the channels, of width 1.
    pub narrow: ConvLayer,
    /// Over the positions, dilated.
    pub middle: ConvLayer,
    /// Back to all channels, of width 1.
    pub wide: ConvLayer,
}

impl ByteNet {
    fn above(&self, mut x: Tensor<3>, mask: &Tensor<3>) -> Tensor<3> {
        for block in &self.blocks {
            let inner = block.narrow.forward(self.activate(&block.norm, x.clone()));
            x = x + block.wide.forward(block.middle.forward(inner * mask.clone()));
        }
        self.activate(&self.norm, x)
    }

    fn activate(&self, norm: &Option<LayerNorm>, x: Tensor<3>) -> Tensor<3> {
        self.activation.forward(over_channels(norm, x))
    }
}

impl Encode for ByteNet {
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

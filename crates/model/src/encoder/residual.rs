//! Residual blocks of two convolutions: as He et al. (2016, figure 2) have them, or as TCN has them,
//! dilated 1, 2, 4, … from block to block (Bai, Kolter and Koltun 2018, figure 1b).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation};
use super::{Activation, Encode, EncoderSettings, Filters};
use crate::{ReceptiveField, Words};

/// Where a block's activations stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Branch {
    /// After each convolution, and after the sum (TCN).
    #[default]
    Tcn,
    /// After the first convolution, and after the sum: what is added may be of either sign (He et al.).
    He,
}

/// Settings of [`Residual`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualConfig {
    /// How many channels each block has.
    pub hidden: usize,
    /// How many blocks there are, of two convolutions each.
    pub blocks: usize,
    /// What the dilation is multiplied with from block to block: 1 leaves it at 1, 2 gives 1, 2, 4, …
    #[serde(default = "one")]
    pub dilation_base: usize,
    /// Where a block's activations stand.
    #[serde(default)]
    pub branch: Branch,
    /// How the layers are built.
    #[serde(default)]
    pub layer: LayerConfig,
}

fn one() -> usize {
    1
}

impl ResidualConfig {
    /// Initializes the blocks for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Residual {
        let second = match self.branch {
            Branch::Tcn => self.layer.clone(),
            Branch::He => LayerConfig { activation: Activation::None, ..self.layer.clone() },
        };
        let block = |number: usize| {
            let input = if number == 0 { embedding } else { self.hidden };
            let dilation = dilation(self.dilation_base, number);
            let through = LayerConfig { kernel_size: 1, activation: Activation::None, ..LayerConfig::default() };
            Block {
                first: self.layer.init(input, self.hidden, dilation, 1, device),
                second: second.init(self.hidden, self.hidden, dilation, 1, device),
                through: (input != self.hidden).then(|| through.init(input, self.hidden, 1, 1, device)),
                activation: self.layer.activation,
            }
        };
        Residual { blocks: (0..self.blocks).map(block).collect() }
    }
}

impl EncoderSettings for ResidualConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each block adds two filters' widths less one, times its dilation.
    fn receptive_field(&self) -> ReceptiveField {
        let once = self.layer.field_of_stack(self.blocks, self.dilation_base);
        once.then(once, 1)
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack([
            ("hidden", self.hidden),
            ("blocks", self.blocks),
            ("dilation_base", self.dilation_base),
        ])
    }
}

/// Residual blocks.
#[derive(Module, Debug)]
pub struct Residual {
    /// The blocks, from the words up.
    pub blocks: Vec<Block>,
}

/// Two convolutions, and what they were given added to what they give.
#[derive(Module, Debug)]
pub struct Block {
    /// The first convolution.
    pub first: ConvLayer,
    /// The second.
    pub second: ConvLayer,
    /// Where the channels differ: a convolution of width 1 for what is added.
    pub through: Option<ConvLayer>,
    #[module(skip)]
    activation: Activation,
}

impl Block {
    /// The rest of the block after its first convolution.
    fn rest(&self, first: Tensor<3>, x: Tensor<3>, mask: &Tensor<3>) -> Tensor<3> {
        let second = self.second.forward(first * mask.clone());
        let x = match &self.through {
            Some(through) => through.forward(x),
            None => x,
        };
        self.activation.forward(x + second)
    }
}

impl Residual {
    fn above(&self, mut x: Tensor<3>, mask: &Tensor<3>) -> Tensor<3> {
        for block in &self.blocks[1..] {
            x = x * mask.clone();
            x = block.rest(block.first.forward(x.clone()), x, mask);
        }
        x
    }
}

impl Encode for Residual {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        let block = &self.blocks[0];
        self.above(block.rest(block.first.forward(x.clone()), x, &mask), &mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        let (block, mask) = (&self.blocks[0], words.mask());
        self.above(block.rest(block.first.forward_words(words), words.embed(), &mask), &mask)
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::of_layer(&self.blocks[0].first, false))
    }
}

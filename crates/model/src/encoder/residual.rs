//! Residual blocks of two convolutions: those of He et al. (2016, figure 2), or those of TCN, with
//! dilations 1, 2, 4, … from block to block (Bai, Kolter and Koltun 2018, figure 1b).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig, dilation};
use super::streaming::{Layered, Reading};
use super::{Activation, Encode, Filters, Settings};
use crate::kernels::rectified_sum;
use crate::limits::{check_size, product};
use crate::{ReceptiveField, Words};

/// Where a block has activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualBranch {
    /// After each convolution, and after the sum (TCN).
    #[default]
    Tcn,
    /// After the first convolution, and after the sum (He et al.). The summand may have either sign.
    He,
}

/// Settings of [`Residual`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualConfig {
    /// The number of channels of each block.
    pub hidden: usize,
    /// The number of blocks, of two convolutions each.
    pub blocks: usize,
    /// The factor by which the dilation grows from block to block: 1 keeps it at 1, 2 gives 1, 2, 4, …
    #[serde(default = "one")]
    pub dilation_base: usize,
    /// Where a block has activations.
    #[serde(default)]
    pub branch: ResidualBranch,
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
            ResidualBranch::Tcn => self.layer.clone(),
            ResidualBranch::He => LayerConfig { activation: Activation::None, ..self.layer.clone() },
        };
        let block = |number: usize| {
            let input = if number == 0 { embedding } else { self.hidden };
            let dilation = dilation(self.dilation_base, number);
            let through = LayerConfig { kernel_size: 1, activation: Activation::None, ..LayerConfig::default() };
            ResidualBlock {
                first: self.layer.init(input, self.hidden, dilation, 1, device),
                second: second.init(self.hidden, self.hidden, dilation, 1, device),
                through: (input != self.hidden).then(|| through.init(input, self.hidden, 1, 1, device)),
                activation: self.layer.activation,
            }
        };
        Residual { blocks: (0..self.blocks).map(block).collect() }
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let hidden = self.hidden;
        let same = self.layer.parameters(hidden, hidden);
        let first = self.layer.parameters(embedding, hidden);
        let through = if embedding == hidden { 0 } else { product([embedding, hidden]).saturating_add(hidden as u64) };
        let others = same.saturating_mul(self.blocks.saturating_mul(2).saturating_sub(1) as u64);
        first.saturating_add(through).saturating_add(others)
    }
}

impl Settings for ResidualConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    /// Each block adds twice the width of its filters minus one, times its dilation.
    fn receptive_field(&self) -> ReceptiveField {
        let once = self.layer.field_of_stack(self.blocks, self.dilation_base);
        once.then(once, 1)
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("hidden", self.hidden), ("blocks", self.blocks))?;
        check_size("dilation_base", self.dilation_base)
    }
}

/// Residual blocks.
#[derive(Module, Debug)]
pub struct Residual {
    /// The blocks, from first to last.
    pub blocks: Vec<ResidualBlock>,
}

/// Two convolutions, whose input is added to their output.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// The first convolution.
    pub first: ConvLayer,
    /// The second convolution.
    pub second: ConvLayer,
    /// If the numbers of channels differ: a convolution of width 1, applied to the input before the sum.
    pub through: Option<ConvLayer>,
    #[module(skip)]
    activation: Activation,
}

impl ResidualBlock {
    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        // The order in which the windows of a stream are kept.
        let first = self.first.apply(x.clone(), reading);
        let second = self.second.apply(first, reading);
        let x = match &self.through {
            Some(through) => through.apply(x, reading),
            None => x,
        };
        self.sum(x, second)
    }

    /// The same as [`apply`](Self::apply), for words.
    fn apply_to_words(&self, words: &Words, reading: &mut Reading) -> Tensor<3> {
        let second = self.second.apply(self.first.forward_words(words), reading);
        let x = match &self.through {
            Some(through) => through.forward_words(words),
            None => words.embed(),
        };
        self.sum(x, second)
    }

    fn sum(&self, x: Tensor<3>, second: Tensor<3>) -> Tensor<3> {
        if self.activation == Activation::Relu {
            return rectified_sum(x, second);
        }
        self.activation.forward(x + second)
    }
}

impl Residual {
    /// The blocks after the first.
    fn after_first(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        self.blocks[1..].iter().fold(x, |x, block| block.apply(x, reading))
    }
}

impl Layered for Residual {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        let blocks = self.blocks.iter();
        Some(blocks.flat_map(|block| [&block.first, &block.second].into_iter().chain(&block.through)).collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        self.blocks.iter().fold(x, |x, block| block.apply(x, reading))
    }
}

impl Encode for Residual {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.apply(x, &mut Reading::Texts(&mask))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        let mask = words.mask();
        let mut reading = Reading::Texts(&mask);
        let x = self.blocks[0].apply_to_words(words, &mut reading);
        self.after_first(x, &mut reading)
    }

    fn filters(&self) -> Option<Filters> {
        Some(Filters::from_layer(&self.blocks[0].first, false))
    }
}

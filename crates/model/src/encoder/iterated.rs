//! Iterated dilated convolutions (Strubell et al. 2017, section 4): one block of dilated convolutions, applied several
//! times with the same weights. A position sees more with every iteration, and no iteration adds a parameter.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig};
use super::streaming::{Layered, Reading};
use super::{Encode, Filters, Settings};
use crate::limits::{MAX_LAYERS, check_size, check_up_to, product};
use crate::{ReceptiveField, Words};

/// Settings of [`Iterated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IteratedConfig {
    /// The number of channels of each layer.
    pub hidden: usize,
    /// The dilation of each layer of the block. The paper's are 1, 2 and 1.
    pub dilations: Vec<usize>,
    /// How often the block is applied.
    pub iterations: usize,
    /// How the layers are built.
    #[serde(default)]
    pub layer: LayerConfig,
}

impl IteratedConfig {
    /// Initializes the layers for inputs of `embedding` dimensions. The layers of the block are at first the identity, as
    /// in the paper (section 4.3): otherwise the signal is lost on its way through so many of them.
    pub fn init(&self, embedding: usize, device: &Device) -> Iterated {
        let layer = |&dilation: &usize| {
            let layer = self.layer.init(self.hidden, self.hidden, dilation, 1, device);
            layer.passing_on()
        };
        Iterated {
            input: self.layer.init(embedding, self.hidden, 1, 1, device),
            block: self.dilations.iter().map(layer).collect(),
            iterations: self.iterations,
        }
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        let block = self.layer.parameters(self.hidden, self.hidden).saturating_mul(self.dilations.len() as u64);
        self.layer.parameters(embedding, self.hidden).saturating_add(block)
    }
}

impl Settings for IteratedConfig {
    fn hidden(&self) -> usize {
        self.hidden
    }

    fn receptive_field(&self) -> ReceptiveField {
        let once = self
            .dilations
            .iter()
            .fold(ReceptiveField::ONE, |field, &dilation| field.then(self.layer.field(dilation), 1));
        (0..self.iterations).fold(self.layer.field(1), |field, _| field.then(once, 1))
    }

    fn kernel_size(&self) -> usize {
        self.layer.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        self.layer.check_stack(("hidden", self.hidden), ("the number of dilations", self.dilations.len()))?;
        self.dilations.iter().try_for_each(|&dilation| check_size("each of dilations", dilation))?;
        check_up_to("iterations", self.iterations, MAX_LAYERS)?;
        let layers = product([self.dilations.len(), self.iterations]);
        if layers > MAX_LAYERS as u64 {
            return Err(format!("iterations times dilations must be {MAX_LAYERS} layers or fewer, but is {layers}"));
        }
        Ok(())
    }
}

/// A convolution from the embeddings to the channels, and a block that is applied several times.
#[derive(Module, Debug)]
pub struct Iterated {
    /// From the embeddings to the channels.
    pub input: ConvLayer,
    /// The layers of the block, from first to last.
    pub block: Vec<ConvLayer>,
    #[module(skip)]
    iterations: usize,
}

impl Iterated {
    /// Everything after the input convolution.
    fn after_input(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let layers = (0..self.iterations).flat_map(|_| &self.block);
        layers.fold(x, |x, layer| layer.apply(x, reading))
    }
}

impl Layered for Iterated {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        let layers = (0..self.iterations).flat_map(|_| &self.block);
        Some(std::iter::once(&self.input).chain(layers).collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        let x = self.input.apply(x, reading);
        self.after_input(x, reading)
    }
}

impl Encode for Iterated {
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

//! Encoders: from a vector a token to a vector a position.
//!
//! A new encoder is one file here, one variant of each of the two enums below, and one row
//! of the table in the README.

mod activation;
mod conv;
mod linear;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use activation::Activation;
pub use conv::{Conv, ConvConfig};
pub use linear::{LinearConv, LinearConvConfig};

use crate::{Pooling, ReceptiveField, Words};

/// Which encoder, and its settings; in `config.json` tagged by `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// One convolution with neither activation nor bias (document A).
    Linear(LinearConvConfig),
    /// One convolution with bias and activation.
    Conv(ConvConfig),
}

impl EncoderConfig {
    /// Initializes the encoder for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Encoder {
        match self {
            Self::Linear(config) => Encoder::Linear(config.init(embedding, device)),
            Self::Conv(config) => Encoder::Conv(config.init(embedding, device)),
        }
    }

    /// How many channels come out.
    pub fn hidden(&self) -> usize {
        match self {
            Self::Linear(config) => config.filters,
            Self::Conv(config) => config.filters,
        }
    }

    /// What one position of the output sees of the input.
    pub fn receptive_field(&self) -> ReceptiveField {
        match self {
            Self::Linear(config) => config.receptive_field(),
            Self::Conv(config) => config.receptive_field(),
        }
    }

    /// What is wrong with the settings, if anything.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Linear(config) => config.check(),
            Self::Conv(config) => config.check(),
        }
    }
}

/// An encoder, ready to run.
#[derive(Module, Debug)]
pub enum Encoder {
    /// See [`EncoderConfig::Linear`].
    Linear(LinearConv),
    /// See [`EncoderConfig::Conv`].
    Conv(Conv),
}

impl Encoder {
    /// Applies the encoder.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, embedding, length]`, zero where `mask` is
    /// - `mask`: `[batch, 1, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, hidden, length]`; what stands at masked positions has no meaning
    pub fn forward(&self, x: Tensor<3>, _mask: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Linear(encoder) => encoder.forward(x),
            Self::Conv(encoder) => encoder.forward(x),
        }
    }

    /// As [`forward`](Self::forward), of words: an encoder whose first layer is a convolution
    /// multiplies each distinct word with it once.
    pub fn forward_words(&self, words: &Words) -> Tensor<3> {
        match self {
            Self::Conv(encoder) => encoder.forward_words(words),
            Self::Linear(_) => self.forward(words.embed(), words.mask.clone().unsqueeze_dim(1)),
        }
    }

    /// As [`forward_words`](Self::forward_words), pooled over the positions, `[batch, hidden]`,
    /// where one kernel does both.
    pub(crate) fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        match self {
            Self::Conv(encoder) => encoder.forward_pooled(words, pooling),
            Self::Linear(_) => None,
        }
    }

    /// The filters that read the words themselves, those of the first layer,
    /// `[filters, embedding, kernel_size]`.
    pub fn filters(&self) -> Tensor<3> {
        match self {
            Self::Linear(encoder) => encoder.conv.weight.val(),
            Self::Conv(encoder) => encoder.conv.weight.val(),
        }
    }

    /// The one kernel that the encoder amounts to, `[hidden, embedding, kernel_size]`, where it
    /// is linear and so amounts to one.
    pub fn linear_kernel(&self) -> Option<Tensor<3>> {
        match self {
            Self::Linear(encoder) => Some(encoder.conv.weight.val()),
            Self::Conv(_) => None,
        }
    }
}

//! Encoders: from a vector a token to a vector a position.
//!
//! A new encoder is one file here, one variant of each of the two enums below, one line of
//! `each!` and of [`EncoderConfig::init`], one row of the table in the README, and a name in the program's
//! `args/encoders.rs` to ask about it untrained.

mod activation;
mod bytenet;
mod conv;
mod dense;
mod downsampling;
mod filters;
mod gated;
mod layer;
mod limits;
mod linear;
mod one_hot;
mod plain;
mod recurrent;
mod residual;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use activation::Activation;
pub use bytenet::{ByteNet, ByteNetBlock, ByteNetConfig};
pub use conv::{Conv, ConvConfig};
pub use dense::{Dense, DenseConfig};
pub use downsampling::Downsampling;
pub(crate) use downsampling::downsampled;
pub use filters::{FilterWeights, Filters};
pub use gated::{Gated, GatedConfig, Unit};
pub use layer::{ConvLayer, LayerConfig};
use limits::LARGEST;
pub(crate) use limits::check_size;
pub use linear::{LinearConv, LinearConvConfig};
pub use one_hot::{OneHot, OneHotConfig};
pub use plain::{Plain, PlainConfig};
pub use recurrent::{Gru, Lstm, RecurrentConfig};
pub use residual::{Block, Branch, Residual, ResidualConfig};

use crate::{Pooling, ReceptiveField, Words};

/// Which encoder, and its settings; in `config.json` tagged by `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EncoderConfig {
    /// One convolution with neither activation nor bias (document A).
    Linear(LinearConvConfig),
    /// Convolutions of several widths side by side, with activation (Kim 2014).
    Conv(ConvConfig),
    /// Convolutions one after the other.
    Plain(PlainConfig),
    /// Residual blocks, dilated or not (He et al. 2016; Bai, Kolter and Koltun 2018).
    Residual(ResidualConfig),
    /// ByteNet's residual blocks, dilated (Kalchbrenner et al. 2016).
    #[serde(rename = "bytenet")]
    ByteNet(ByteNetConfig),
    /// Every layer reads all layers before it (Huang et al. 2017).
    Dense(DenseConfig),
    /// Gated units with skip connections (van den Oord et al. 2016).
    Gated(GatedConfig),
    /// A convolution straight over one-hot words (Johnson and Zhang 2015).
    OneHot(OneHotConfig),
    /// Long short-term memory, a baseline.
    Lstm(RecurrentConfig),
    /// Gated recurrent units, a baseline.
    Gru(RecurrentConfig),
}

/// The same expression for every variant of [`EncoderConfig`] or [`Encoder`].
macro_rules! each {
    ($kind:ident, $value:expr, $name:ident => $same:expr) => {
        match $value {
            $kind::Linear($name) => $same,
            $kind::Conv($name) => $same,
            $kind::Plain($name) => $same,
            $kind::Residual($name) => $same,
            $kind::ByteNet($name) => $same,
            $kind::Dense($name) => $same,
            $kind::Gated($name) => $same,
            $kind::OneHot($name) => $same,
            $kind::Lstm($name) => $same,
            $kind::Gru($name) => $same,
        }
    };
}

/// What every encoder's settings tell.
pub trait EncoderSettings {
    /// How many channels come out.
    fn hidden(&self) -> usize;

    /// What one position of the output sees of the input.
    fn receptive_field(&self) -> ReceptiveField;

    /// How many positions of the input become one of the output.
    fn stride(&self) -> usize {
        1
    }

    /// What is wrong with the settings, if anything.
    ///
    /// # Errors
    ///
    /// What is wrong, and how it should be.
    fn check(&self) -> Result<(), String>;
}

/// The most channels of a layer that another layer of as many reads.
const MOST_CHANNELS: usize = 1 << 14;

impl EncoderConfig {
    /// Whether an encoder can be built of it.
    ///
    /// # Errors
    ///
    /// What is wrong, and how it should be.
    pub fn check(&self) -> Result<(), String> {
        let settings = self.settings();
        settings.check()?;
        let (most, has_no_end) = match self {
            Self::Linear(_) | Self::Conv(_) | Self::OneHot(_) => (LARGEST, false),
            Self::Lstm(_) | Self::Gru(_) => (MOST_CHANNELS, true),
            _ => (MOST_CHANNELS, false),
        };
        if settings.hidden() > most {
            return Err(format!("{} channels are too many; it computes with {most} at most", settings.hidden()));
        }
        // A dilation grows fast: beyond that no text has the positions that the outermost taps see.
        if settings.stride() > 1 << 31 || !has_no_end && settings.receptive_field().size() > 1 << 31 {
            return Err("it would see further than any text is long; make it smaller".into());
        }
        Ok(())
    }

    /// Initializes the encoder for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Encoder {
        match self {
            Self::Linear(config) => Encoder::Linear(config.init(embedding, device)),
            Self::Conv(config) => Encoder::Conv(config.init(embedding, device)),
            Self::Plain(config) => Encoder::Plain(config.init(embedding, device)),
            Self::Residual(config) => Encoder::Residual(config.init(embedding, device)),
            Self::ByteNet(config) => Encoder::ByteNet(config.init(embedding, device)),
            Self::Dense(config) => Encoder::Dense(config.init(embedding, device)),
            Self::Gated(config) => Encoder::Gated(config.init(embedding, device)),
            Self::OneHot(config) => Encoder::OneHot(config.init(device)),
            Self::Lstm(config) => Encoder::Lstm(config.init_lstm(embedding, device)),
            Self::Gru(config) => Encoder::Gru(config.init_gru(embedding, device)),
        }
    }

    /// What the settings tell.
    pub fn settings(&self) -> &dyn EncoderSettings {
        each!(Self, self, config => config)
    }
}

/// An encoder, ready to run.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model holds one encoder, and Burn's modules go in no box")]
pub enum Encoder {
    /// See [`EncoderConfig::Linear`].
    Linear(LinearConv),
    /// See [`EncoderConfig::Conv`].
    Conv(Conv),
    /// See [`EncoderConfig::Plain`].
    Plain(Plain),
    /// See [`EncoderConfig::Residual`].
    Residual(Residual),
    /// See [`EncoderConfig::ByteNet`].
    ByteNet(ByteNet),
    /// See [`EncoderConfig::Dense`].
    Dense(Dense),
    /// See [`EncoderConfig::Gated`].
    Gated(Gated),
    /// See [`EncoderConfig::OneHot`].
    OneHot(OneHot),
    /// See [`EncoderConfig::Lstm`].
    Lstm(Lstm),
    /// See [`EncoderConfig::Gru`].
    Gru(Gru),
}

/// What every encoder does.
pub trait Encode {
    /// Applies the encoder.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, embedding, length]`, zero where `mask` is
    /// - `mask`: `[batch, 1, length]`, 1 where a position counts and 0 elsewhere; what counts
    ///   stands at the begin
    /// - output: `[batch, hidden, length / stride]`, rounded up; what stands at masked positions
    ///   has no meaning
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3>;

    /// As [`forward`](Self::forward), of words: an encoder whose first layer is a convolution
    /// multiplies each distinct word with it once.
    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.forward(words.embed(), words.mask())
    }

    /// As [`forward_words`](Self::forward_words), pooled over the positions, `[batch, hidden]`,
    /// where one kernel does both.
    fn forward_pooled(&self, _words: &Words, _pooling: Pooling) -> Option<Tensor<2>> {
        None
    }

    /// The filters that read the words themselves, those of the first layer; none where it is no
    /// convolution.
    fn filters(&self) -> Option<Filters> {
        None
    }

    /// The one kernel that the encoder amounts to, `[hidden, embedding, kernel_size]`, where it
    /// is linear and so amounts to one.
    fn linear_kernel(&self) -> Option<Tensor<3>> {
        None
    }
}

impl Encoder {
    fn inner(&self) -> &dyn Encode {
        each!(Self, self, encoder => encoder)
    }
}

impl Encode for Encoder {
    fn forward(&self, x: Tensor<3>, mask: Tensor<3>) -> Tensor<3> {
        self.inner().forward(x, mask)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.inner().forward_words(words)
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        self.inner().forward_pooled(words, pooling)
    }

    fn filters(&self) -> Option<Filters> {
        self.inner().filters()
    }

    fn linear_kernel(&self) -> Option<Tensor<3>> {
        self.inner().linear_kernel()
    }
}

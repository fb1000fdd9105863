//! Encoders: from one vector per token to one vector per position.
//!
//! An encoder is a module that implements [`Encode`], with settings that implement [`EncoderSettings`]. Both may
//! belong to another crate.
//!
//! To add an encoder to this crate, add a file here, a variant to each of the two enums below, a line to `each!`,
//! [`init`](EncoderConfig::init), [`parameters`](EncoderConfig::parameters) and
//! [`size_settings`](EncoderConfig::size_settings), and a row to the table in the README. A name in the program's
//! `args/encoders.rs`, with its settings in `verb/receptive_field.rs`, makes it known to commands that need no trained
//! model.

mod activation;
mod bytenet;
mod conv;
mod dense;
mod downsampling;
mod filters;
mod gated;
mod iterated;
mod layer;
mod linear;
mod one_hot;
mod plain;
mod recurrent;
mod residual;
mod streaming;

use std::fmt::Debug;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use activation::Activation;
pub use bytenet::{ByteNet, ByteNetBlock, ByteNetConfig};
pub use conv::{Conv, ConvConfig};
pub use dense::{Dense, DenseConfig};
pub use downsampling::Downsampling;
pub(crate) use downsampling::downsampled;
pub use filters::{FilterWeights, Filters};
pub use gated::{Gated, GatedBranch, GatedConfig, GatedUnit};
pub use iterated::{Iterated, IteratedConfig};
pub use layer::{ConvLayer, LayerConfig};
pub use linear::{LinearConv, LinearConvConfig};
pub use one_hot::{OneHot, OneHotConfig};
pub use plain::{PlainStack, PlainStackConfig};
pub use recurrent::{Gru, Lstm, RecurrentConfig};
pub use residual::{Residual, ResidualBlock, ResidualBranch, ResidualConfig};
pub use streaming::{Stream, StreamState};

use crate::limits::{MAX_CHANNELS, MAX_SIZE, product};
use crate::{Pooling, ReceptiveField, Words};

/// An encoder and its settings. In `config.json` the field `type` names the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EncoderConfig {
    /// One convolution without activation and bias.
    Linear(LinearConvConfig),
    /// Convolutions of one or several widths in parallel, with an activation (Kim 2014).
    Conv(ConvConfig),
    /// A stack of convolutions.
    Plain(PlainStackConfig),
    /// Residual blocks, with or without dilation (He et al. 2016; Bai, Kolter and Koltun 2018).
    Residual(ResidualConfig),
    /// ByteNet's dilated residual blocks (Kalchbrenner et al. 2016).
    #[serde(rename = "bytenet")]
    ByteNet(ByteNetConfig),
    /// Every layer reads all layers before it (Huang et al. 2017).
    Dense(DenseConfig),
    /// Gated units with skip connections (van den Oord et al. 2016).
    Gated(GatedConfig),
    /// A block of dilated convolutions, applied several times (Strubell et al. 2017).
    Iterated(IteratedConfig),
    /// A convolution over one-hot words, without embeddings (Johnson and Zhang 2015).
    OneHot(OneHotConfig),
    /// Long short-term memory, a recurrent baseline.
    Lstm(RecurrentConfig),
    /// Gated recurrent units, a recurrent baseline.
    Gru(RecurrentConfig),
}

/// Evaluates the same expression for every variant of [`EncoderConfig`] or [`Encoder`].
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
            $kind::Iterated($name) => $same,
            $kind::OneHot($name) => $same,
            $kind::Lstm($name) => $same,
            $kind::Gru($name) => $same,
        }
    };
}

/// The settings of an encoder: what it is built from, and what is known of it before it is built.
///
/// Apart from [`check`](Self::check), the methods are meant for settings that have been checked.
pub trait EncoderSettings: Clone + Debug + PartialEq + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The encoder that is built.
    type Encoder: Encode;

    /// Initializes the encoder for inputs of `embedding` dimensions.
    fn init(&self, embedding: usize, device: &Device) -> Self::Encoder;

    /// The number of parameters of the encoder for inputs of `embedding` dimensions.
    fn parameters(&self, embedding: usize) -> u64 {
        self.init(embedding, &Device::flex()).num_params() as u64
    }

    /// The number of channels of the output.
    fn hidden(&self) -> usize;

    /// What one position of the output sees of the input.
    fn receptive_field(&self) -> ReceptiveField;

    /// The number of positions of the input per position of the output.
    fn stride(&self) -> usize {
        1
    }

    /// The width of the widest filter.
    fn kernel_size(&self) -> usize {
        1
    }

    /// Checks that an encoder can be built from the settings, and that its size is not absurd.
    ///
    /// # Errors
    ///
    /// A message that begins with the names of the settings and says which values are possible.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The number of dimensions that embeddings must have; none if the encoder reads any.
    fn embedding(&self) -> Option<usize> {
        None
    }

    /// The names of the settings that decide how large the encoder is, for error messages.
    fn size_settings(&self) -> &'static str {
        "encoder"
    }
}

/// What the settings of the encoders of this crate have in common.
pub(crate) trait Settings {
    /// See [`EncoderSettings::hidden`].
    fn hidden(&self) -> usize;

    /// See [`EncoderSettings::receptive_field`].
    fn receptive_field(&self) -> ReceptiveField;

    /// See [`EncoderSettings::stride`].
    fn stride(&self) -> usize {
        1
    }

    /// See [`EncoderSettings::kernel_size`].
    fn kernel_size(&self) -> usize {
        1
    }

    /// Checks each setting by itself; [`EncoderConfig::check`] also checks them together.
    ///
    /// # Errors
    ///
    /// See [`EncoderSettings::check`].
    fn check(&self) -> Result<(), String>;
}

/// The largest receptive field and the largest stride. Dilations grow exponentially, and no text is
/// longer than this.
const MAX_FIELD: usize = 1 << 31;

impl EncoderSettings for EncoderConfig {
    type Encoder = Encoder;

    fn init(&self, embedding: usize, device: &Device) -> Encoder {
        match self {
            Self::Linear(config) => Encoder::Linear(config.init(embedding, device)),
            Self::Conv(config) => Encoder::Conv(config.init(embedding, device)),
            Self::Plain(config) => Encoder::Plain(config.init(embedding, device)),
            Self::Residual(config) => Encoder::Residual(config.init(embedding, device)),
            Self::ByteNet(config) => Encoder::ByteNet(config.init(embedding, device)),
            Self::Dense(config) => Encoder::Dense(config.init(embedding, device)),
            Self::Gated(config) => Encoder::Gated(config.init(embedding, device)),
            Self::Iterated(config) => Encoder::Iterated(config.init(embedding, device)),
            Self::OneHot(config) => Encoder::OneHot(config.init(device)),
            Self::Lstm(config) => Encoder::Lstm(config.init_lstm(embedding, device)),
            Self::Gru(config) => Encoder::Gru(config.init_gru(embedding, device)),
        }
    }

    fn parameters(&self, embedding: usize) -> u64 {
        match self {
            Self::Linear(config) => config.parameters(embedding),
            Self::Conv(config) => config.parameters(embedding),
            Self::Plain(config) => config.parameters(embedding),
            Self::Residual(config) => config.parameters(embedding),
            Self::ByteNet(config) => config.parameters(embedding),
            Self::Dense(config) => config.parameters(embedding),
            Self::Gated(config) => config.parameters(embedding),
            Self::Iterated(config) => config.parameters(embedding),
            Self::OneHot(config) => config.hidden() as u64,
            Self::Lstm(config) => config.parameters(embedding, 4),
            Self::Gru(config) => config.parameters(embedding, 3),
        }
    }

    fn hidden(&self) -> usize {
        each!(Self, self, config => config.hidden())
    }

    fn receptive_field(&self) -> ReceptiveField {
        each!(Self, self, config => config.receptive_field())
    }

    fn stride(&self) -> usize {
        each!(Self, self, config => config.stride())
    }

    fn kernel_size(&self) -> usize {
        each!(Self, self, config => config.kernel_size())
    }

    fn check(&self) -> Result<(), String> {
        each!(Self, self, config => config.check())?;
        let names = self.size_settings();
        let largest = if matches!(self, Self::Dense(_)) { MAX_CHANNELS } else { MAX_SIZE };
        if self.hidden() > largest {
            let channels = self.hidden();
            return Err(format!("{names}: there must be {largest} channels or fewer, but there are {channels}"));
        }
        let window = product([self.hidden(), self.kernel_size()]);
        if window > MAX_SIZE as u64 {
            return Err(format!("{names}: channels times kernel size must be {MAX_SIZE} or less, but is {window}"));
        }
        if self.stride() > MAX_FIELD {
            return Err(format!("{names}: {} tokens per position are more than any text has", self.stride()));
        }
        let is_recurrent = matches!(self, Self::Lstm(_) | Self::Gru(_));
        if !is_recurrent && self.receptive_field().size() > MAX_FIELD {
            return Err(format!("{names}: the receptive field would reach further than any text is long"));
        }
        Ok(())
    }

    fn embedding(&self) -> Option<usize> {
        match self {
            Self::OneHot(one_hot) => Some(one_hot.weights()),
            _ => None,
        }
    }

    fn size_settings(&self) -> &'static str {
        match self {
            Self::Linear(_) => "filters, kernel_size",
            Self::Conv(_) | Self::OneHot(_) => "filters, kernel_sizes",
            Self::Plain(_) => "hidden, layers, kernel_size, downsampling",
            Self::Residual(_) | Self::ByteNet(_) => "hidden, blocks, kernel_size, dilation_base",
            Self::Dense(_) => "growth, layers, kernel_size",
            Self::Gated(_) => "hidden, units, kernel_size, dilation_base",
            Self::Iterated(_) => "hidden, dilations, iterations, kernel_size",
            Self::Lstm(_) | Self::Gru(_) => "hidden, bidirectional",
        }
    }
}

/// An encoder, ready to run.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one encoder, and Burn's modules cannot be boxed")]
#[non_exhaustive]
pub enum Encoder {
    /// See [`EncoderConfig::Linear`].
    Linear(LinearConv),
    /// See [`EncoderConfig::Conv`].
    Conv(Conv),
    /// See [`EncoderConfig::Plain`].
    Plain(PlainStack),
    /// See [`EncoderConfig::Residual`].
    Residual(Residual),
    /// See [`EncoderConfig::ByteNet`].
    ByteNet(ByteNet),
    /// See [`EncoderConfig::Dense`].
    Dense(Dense),
    /// See [`EncoderConfig::Gated`].
    Gated(Gated),
    /// See [`EncoderConfig::Iterated`].
    Iterated(Iterated),
    /// See [`EncoderConfig::OneHot`].
    OneHot(OneHot),
    /// See [`EncoderConfig::Lstm`].
    Lstm(Lstm),
    /// See [`EncoderConfig::Gru`].
    Gru(Gru),
}

/// What every encoder can do. [`forward`](Self::forward) is enough; the other methods are faster ways to the same
/// result, and what a convolution shows of itself.
pub trait Encode: Module + ModuleDisplay + Sync {
    /// Applies the encoder.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, embedding]`, zero where `mask` is
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere; the positions that count
    ///   come first
    /// - output: `[batch, length / stride, hidden]`, rounded up; the values at masked positions have no
    ///   meaning
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3>;

    /// The same as [`forward`](Self::forward), for words. An encoder whose first layer is a convolution
    /// multiplies each distinct word by it once.
    fn forward_words(&self, words: &Words) -> Tensor<3> {
        self.forward(words.embed(), words.mask())
    }

    /// The same as [`forward_words`](Self::forward_words), pooled over the positions, `[batch, hidden]`,
    /// if the encoder can do both at once.
    fn forward_pooled(&self, _words: &Words, _pooling: Pooling) -> Option<Tensor<2>> {
        None
    }

    /// Whether the first layer adds up the embeddings of words as they are, without a product, so that nothing is saved
    /// by reading each distinct word once.
    fn reads_as_they_are(&self) -> bool {
        false
    }

    /// The filters of the first layer, which read the words; none if it is not a convolution.
    fn filters(&self) -> Option<Filters> {
        None
    }

    /// The kernel of the one convolution that the encoder consists of, `[hidden, embedding,
    /// kernel_size]`, if the encoder is linear.
    fn linear_kernel(&self) -> Option<Tensor<3>> {
        None
    }
}

impl Stream for Encoder {
    fn begin(&self, batch: usize, device: &Device) -> Option<StreamState> {
        each!(Self, self, encoder => encoder.begin(batch, device))
    }

    fn step(&self, state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        each!(Self, self, encoder => encoder.step(state, x))
    }
}

impl Encode for Encoder {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        each!(Self, self, encoder => encoder.forward(x, mask))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        each!(Self, self, encoder => encoder.forward_words(words))
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        each!(Self, self, encoder => encoder.forward_pooled(words, pooling))
    }

    fn reads_as_they_are(&self) -> bool {
        each!(Self, self, encoder => encoder.reads_as_they_are())
    }

    fn filters(&self) -> Option<Filters> {
        each!(Self, self, encoder => encoder.filters())
    }

    fn linear_kernel(&self) -> Option<Tensor<3>> {
        each!(Self, self, encoder => encoder.linear_kernel())
    }
}

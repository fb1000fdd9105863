#![doc = include_str!("../README.md")]

mod adaptive;
mod batch;
mod chain;
mod dropout;
mod encoder;
mod fold;
mod head;
mod kernels;
mod lexicon;
mod limits;
mod masking;
mod model;
mod parameters;
mod pooling;
mod spelling;
mod upsampling;
mod words;

pub use adaptive::{AdaptiveConfig, Cluster};
pub use batch::Batch;
pub use chain::{Chain, ChainScores};
pub use convlens_phrases::{Padding, ReceptiveField, VisibleTokens};
pub use encoder::{
    Activation, ByteNet, ByteNetBlock, ByteNetConfig, Conv, ConvConfig, ConvLayer, Dense, DenseConfig, Downsampling,
    Encode, Encoder, EncoderConfig, EncoderSettings, FilterWeights, Filters, Gated, GatedBranch, GatedConfig,
    GatedUnit, Gru, Iterated, IteratedConfig, LayerConfig, LinearConv, LinearConvConfig, Lstm, OneHot, OneHotConfig,
    PlainStack, PlainStackConfig, RecurrentConfig, Residual, ResidualBlock, ResidualBranch, ResidualConfig, Stream,
    StreamState,
};
pub use fold::Folded;
pub use head::position_cross_entropy;
pub use kernels::{linear_cross_entropy, transposed_convolution};
pub use lexicon::{Lexicon, LexiconConfig, LexiconEntries, MOST_WORDS_OF_PHRASE, Role};
pub use model::{ConfigError, ModelConfig, TextModel};
pub use parameters::{
    ParameterMapper, ParameterVisitor, map_parameters, parameter_name, parameter_shapes, visit_parameters,
};
pub use pooling::Pooling;
pub use spelling::{Forms, Spelling, SpellingConfig};
pub use upsampling::{Upsampling, UpsamplingConfig};
pub use words::Words;

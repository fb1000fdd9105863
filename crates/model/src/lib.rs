#![doc = include_str!("../README.md")]

mod batch;
mod encoder;
mod fold;
mod lookup;
mod model;
mod pooling;
mod receptive_field;
mod words;

pub use batch::Batch;
pub use encoder::{Activation, Conv, ConvConfig, Encoder, EncoderConfig, LinearConv, LinearConvConfig};
pub use fold::Folded;
pub use model::{ConfigError, ModelConfig, Padding, TextModel};
pub use pooling::Pooling;
pub use receptive_field::ReceptiveField;
pub use words::Words;

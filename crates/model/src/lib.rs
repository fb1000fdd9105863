#![doc = include_str!("../README.md")]

mod batch;
mod encoder;
mod fold;
mod model;
mod pooling;
mod receptive_field;

pub use batch::Batch;
pub use encoder::{Encoder, EncoderConfig, LinearConv, LinearConvConfig};
pub use fold::Folded;
pub use model::{ConfigError, ModelConfig, Padding, TextModel};
pub use receptive_field::ReceptiveField;

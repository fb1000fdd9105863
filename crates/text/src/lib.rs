#![doc = include_str!("../README.md")]

mod cut;
mod encoding;
mod error;
mod kind;
#[cfg(feature = "library")]
mod library;
mod tokenizer;
mod train;
mod word_level;

pub use encoding::{Encoding, PAD, START, UNK};
pub use error::TextError;
pub use kind::TokenizerKind;
pub use tokenizer::Tokenizer;
pub use train::train;

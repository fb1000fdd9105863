#![doc = include_str!("../README.md")]

mod cut;
mod error;
#[cfg(feature = "library")]
mod library;
mod tokenizer;
mod train;
mod word_level;

pub use error::TextError;
#[cfg(feature = "library")]
use tokenizer::UNKNOWN;
pub use tokenizer::{Encoding, PAD, START, Tokenizer, UNK};
pub use train::{TokenizerKind, train};

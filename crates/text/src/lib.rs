#![doc = include_str!("../README.md")]

mod error;
mod tokenizer;
mod train;
mod word_level;

pub use error::TextError;
pub use tokenizer::{Encoding, PAD, START, Tokenizer, UNK};
pub use train::{TokenizerKind, train};

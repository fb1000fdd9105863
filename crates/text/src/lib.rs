#![doc = include_str!("../README.md")]

mod cut;
mod detokenizer;
mod encoding;
mod english;
mod error;
mod kind;
#[cfg(feature = "library")]
mod library;
mod sentences;
mod tokenizer;
mod train;
mod word_level;
mod words;

pub use detokenizer::Detokenizer;
pub use encoding::{Encoding, PAD, START, UNK};
pub use error::TextError;
pub use kind::TokenizerKind;
pub use sentences::sentences;
pub use tokenizer::Tokenizer;
pub use train::{train, train_on_words};

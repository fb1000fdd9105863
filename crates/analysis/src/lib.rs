#![doc = include_str!("../README.md")]

mod phrases;
mod terminal;

pub use phrases::{explained_output, strongest_phrases};
pub use terminal::paint;

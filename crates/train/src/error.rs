//! What can go wrong in training.

use std::path::PathBuf;

use convlens_run::RunError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrainError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Data(#[from] convlens_data::DataError),
    #[error("text to ids: {0}")]
    Text(#[from] convlens_run::text::TextError),
    #[error("{0}")]
    Model(#[from] convlens_run::model::ConfigError),
    #[error(transparent)]
    Learn(#[from] convlens_learn::LearnError),
    #[error("{}: {message}", path.display())]
    Tokenizer { path: PathBuf, message: String },
    #[error("{}: {source}; encoded texts that do not fit in memory are kept there: make room, or set CONVLENS_CACHE to another folder", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("{}: damaged ({message}); train anew into another --out", path.display())]
    Checkpoint { path: PathBuf, message: String },
    #[error(
        "the loss is no longer a number (epoch {epoch}, step {step}); try a smaller --learning-rate (it is {learning_rate}); the weights of the last good epoch, if any, are kept"
    )]
    NotFinite { epoch: usize, step: usize, learning_rate: f64 },
    #[error("--{flag} {value}: {mend}")]
    Setting { flag: &'static str, value: String, mend: &'static str },
    #[error(
        "preset {0:?} counts padding, and the tokenizer has no padding token; choose another preset or a tokenizer with [PAD]"
    )]
    NoPadding(String),
    #[error("reading from the device: {0}")]
    Device(String),
}

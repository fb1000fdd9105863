//! The errors of this crate.

use std::path::PathBuf;

use convlens_run::RunError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum TrainError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Data(#[from] convlens_data::DataError),
    #[error("cannot convert the texts to ids: {0}")]
    Text(#[from] convlens_run::text::TextError),
    #[error("{0}")]
    Model(#[from] convlens_run::model::ConfigError),
    #[error(transparent)]
    Learn(#[from] convlens_learn::LearnError),
    #[error("{}: {message}", path.display())]
    Tokenizer { path: PathBuf, message: String },
    #[error("{}: {source}; the cache is in this folder: make room, or set CONVLENS_CACHE to another folder", path.display())]
    Cache { path: PathBuf, source: std::io::Error },
    #[error("CONVLENS_CACHE_GIB={value}: not a size; set it to a number of GiB, such as 10, or to 0 to keep nothing")]
    CacheLimit { value: String },
    #[error("{}: not the tokenizer that this run was trained with; put back the run's own file", path.display())]
    OtherTokenizer { path: PathBuf },
    #[error("{name}: the training texts contain no words, so there is nothing to build a vocabulary from")]
    NoWords { name: String },
    #[error("{name}: the {split} texts have no token to predict; give longer texts")]
    ShortSplit { name: String, split: &'static str },
    #[error("{}: damaged ({message})", path.display())]
    Checkpoint { path: PathBuf, message: String },
    #[error(
        "the {quantity} is no longer a finite number (epoch {epoch}, step {step}, learning rate {learning_rate}); the weights of the last good epoch, if any, are kept"
    )]
    NotFinite { quantity: &'static str, epoch: usize, step: usize, learning_rate: f64 },
    #[error("the word vectors are no longer finite numbers; leave --unlabelled out, or use other texts")]
    VectorsNotFinite,
    #[error("preset {0:?} counts padding, and the tokenizer has no padding token")]
    NoPadding(String),
    #[error("cannot read from the device: {0}")]
    Device(String),
}

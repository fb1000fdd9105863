//! Errors of this crate.

use std::path::PathBuf;

use convlens_run::RunError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum AnalysisError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{0}")]
    Texts(String),
    #[error("{}: {message}", path.display())]
    Treebank { path: PathBuf, message: String },
    #[error(
        "the parts do not add up to the logit: text {} ({start:?}) has a residual of {residual:.1e}, and its tolerance is {tolerance:.1e}; nothing was written",
        index + 1
    )]
    Residual { index: usize, start: String, residual: f64, tolerance: f64 },
    #[error("drawing {plot}: {message}")]
    Plot { plot: String, message: String },
    #[error("writing the report: {0}")]
    Report(String),
    #[error("{path}: the model does not fold into a table, because its encoder is not linear up to the pooling")]
    DoesNotFold { path: String },
    #[error(
        "phrases with human labels need a model with two labels, first the negative and then the positive one; this model has {labels}"
    )]
    NotBinary { labels: String },
    #[error("runs with different labels cannot be compared: one has {ours}, the other {theirs}")]
    OtherLabels { ours: String, theirs: String },
}

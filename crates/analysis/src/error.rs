//! What can go wrong in an analysis.

use std::path::PathBuf;

use convlens_run::RunError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum AnalysisError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{}: {message}", path.display())]
    Treebank { path: PathBuf, message: String },
    #[error(
        "the parts do not add up: {residual:.1e} is left of a logit, more than --tolerance {tolerance:.0e}; nothing was written"
    )]
    Residual { residual: f64, tolerance: f64 },
    #[error("drawing {plot}: {message}")]
    Plot { plot: String, message: String },
    #[error("the report: {0}")]
    Report(String),
    #[error("{path}: the model does not fold into a table: its encoder is not linear up to the pooling")]
    DoesNotFold { path: String },
    #[error("--sst asks for a model of two labels, the second of them the positive one; this one has: {labels}")]
    NotBinary { labels: String },
    #[error("--against: its labels are {theirs}, this run's are {ours}; compare runs of the same labels")]
    OtherLabels { ours: String, theirs: String },
}

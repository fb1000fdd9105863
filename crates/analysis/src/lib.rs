#![doc = include_str!("../README.md")]

#[cfg(feature = "report")]
mod analysis;
mod decisions;
mod error;
mod evidence;
mod export;
mod filters;
mod language_models;
#[cfg(feature = "report")]
mod output;
mod people;
#[cfg(feature = "report")]
mod pictures;
#[cfg(feature = "report")]
mod plot;
#[cfg(feature = "report")]
mod report;
mod tags;
mod terminal;
mod texts;
mod words;

#[cfg(feature = "report")]
pub use analysis::{Analysis, Options};
pub use decisions::*;
pub use error::AnalysisError;
pub use evidence::Evidence;
pub use export::{FoldedFormat, folded};
pub use filters::*;
pub use language_models::*;
#[cfg(feature = "report")]
pub use output::{NamedFile, analysis_file, check_writable, write_analyses};
pub use people::*;
#[cfg(feature = "report")]
pub use plot::{Chart, Picture, Scale, draw_charts};
#[cfg(feature = "report")]
pub use report::{Compared, check_labels, comparison, language_model_report, report, tag_report};
pub use tags::*;
pub use terminal::{paint, paint_scores};
pub use texts::{Corpus, OnStage, TextSource, Texts};
pub use words::*;

#![doc = include_str!("../README.md")]

mod card;
mod class_report;
mod config;
mod device;
mod error;
mod folded_run;
mod folder;
mod generator;
mod local_paths;
mod lock;
mod logits;
mod matrix_file;
mod metrics;
mod prediction;
mod predictor;
mod run;
mod spans;
mod tag_evaluation;
mod tagger;
#[cfg(test)]
mod testing;
mod vectors;
mod weights;
mod windows;
mod write;

// What a run is made of.
pub use convlens_model as model;
pub use convlens_text as text;

pub use card::model_card;
pub use class_report::{ClassReport, class_reports};
pub use config::{
    BURN_VERSION, DatasetConfig, FileConfig, LexiconVectorsConfig, RunConfig, Task, TeacherConfig, TextConfig,
    TextsSource, TokenizerSource, TrainingConfig, VectorsConfig, VectorsSource,
};
pub use convlens_phrases::files::{CONFIG, TOKENIZER, WEIGHTS, most_tokenizer_bytes, tokenizer_digest};
pub use convlens_phrases::{
    Classification, ConvRun, ConvRunConfig, FORMAT, FoldedConfig, FoldedRun, Part, Phrase, PhrasesError, Precision,
    Prediction, RunFiles, Token, WordTable, argmax, calibrated, calibration_error, fit_temperature, log_probabilities,
    predicted_label, probabilities,
};
pub use device::{ChosenDevice, DeviceChoice, to_host, to_host_async};
pub use error::RunError;
pub use folder::{CHECKPOINTS, METRICS, METRICS_BY_EPOCH, RunFolder};
pub use generator::{Generator, NextToken, Sampling};
pub use lock::RunLock;
pub use logits::{batches_by_length, logits, padded};
pub use matrix_file::MatrixFile;
pub use metrics::{EpochMetrics, Metrics, RunMetrics};
pub use predictor::Predictor;
pub use run::Run;
pub use spans::{Span, SpanCounts, SpanTally, mark_spans, spans};
pub use tag_evaluation::{SpanEvaluation, SpanReport, TagEvaluation, WordAccuracy};
pub use tagger::{TaggedWord, Tagger, WordPrediction, best_labels, forms_of};
pub use vectors::{MAX_VECTOR_DIMENSIONS, WordVectors};
pub use windows::{LongText, MOST_TOKENS};
pub use write::write_file;

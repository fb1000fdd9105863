#![doc = include_str!("../README.md")]

mod calibration;
mod card;
mod classes;
mod config;
mod device;
mod error;
mod folded_run;
mod folder;
mod local_paths;
mod lock;
mod logits;
mod metrics;
mod packed;
mod prediction;
mod predictor;
mod run;
#[cfg(test)]
mod testing;
mod vectors;
mod weights;
mod windows;
mod word_table;
mod write;

// What a run is made of.
pub use convlens_model as model;
pub use convlens_text as text;

pub use calibration::{calibrated, calibration_error, fit_temperature};
pub use card::model_card;
pub use classes::{argmax, log_probabilities, predicted_label, probabilities};
pub use config::{
    BURN_VERSION, DatasetConfig, FORMAT, FileConfig, RunConfig, Task, TextConfig, TokenizerSource, TrainingConfig,
    VectorsConfig, VectorsSource,
};
pub use device::{ChosenDevice, DeviceChoice, to_host, to_host_async};
pub use error::RunError;
pub use folded_run::FoldedRun;
pub use folder::{CHECKPOINTS, METRICS, METRICS_BY_EPOCH, RunFolder};
pub use lock::RunLock;
pub use logits::{batches_by_length, logits, padded};
pub use metrics::{EpochMetrics, Metrics, RunMetrics};
pub use packed::Precision;
pub use prediction::{Phrase, Prediction, Token};
pub use predictor::{Classification, Predictor};
pub use run::{Run, RunFiles, most_tokenizer_bytes, tokenizer_digest};
pub use vectors::{MAX_VECTOR_DIMENSIONS, WordVectors};
pub use windows::{LongText, MOST_TOKENS};
pub use word_table::{Part, WordTable};
pub use write::write_file;

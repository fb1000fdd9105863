#![doc = include_str!("../README.md")]

mod cache;
mod checkpoint;
mod corpus;
mod error;
mod evaluate;
mod evaluate_tags;
mod gradients;
mod memory;
mod teacher;
mod texts;
mod trainer;
mod vectors;

pub use cache::{Cache, CacheEntry, CacheEntryKind};
pub use convlens_learn::{
    Adam, LabelProbabilities, PRESETS, Preset, Settings, UnknownPreset, epoch_order, preset, preset_for,
};
pub use convlens_run::{ClassReport, SpanEvaluation, SpanReport, TagEvaluation, WordAccuracy};
pub use corpus::{Corpus, Stage, TextSize};
pub use error::TrainError;
pub use evaluate::{Evaluation, TextEvaluation, evaluate, evaluate_texts};
pub use evaluate_tags::evaluate_tags;
pub use gradients::{DepthGradients, depth_gradients};
pub use teacher::{label_probabilities, read_label_probabilities, write_label_probabilities};
pub use texts::Texts;
pub use trainer::{Event, Outcome, Trainer};
pub use vectors::VectorKind;

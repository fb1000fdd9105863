#![doc = include_str!("../README.md")]

mod adam;
mod average;
mod batches;
mod error;
mod fit;
mod learner;
mod lexicon;
mod lexicon_vectors;
mod loss;
mod objective;
mod parameters;
mod preset;
mod session;
mod targets;
mod training;
mod vectors;

pub use adam::Adam;
// What is trained, and its settings.
pub use convlens_run as run;

pub use batches::{batches, epoch_order, first_window, most_tokens, shuffled};
pub use error::{LearnError, StateError};
pub use fit::{Fit, Progress, fit};
pub use learner::{Learner, StepPosition};
pub use lexicon::CountedLexicon;
pub use lexicon_vectors::LexiconVectorLearner;
pub use loss::{Tally, calibrated_metrics, cross_entropy, cross_entropy_of_probabilities};
pub use objective::{Measurement, StepScores};
pub use parameters::{parameters, with_parameters};
pub use preset::{PRESETS, Preset, Settings, UnknownPreset, preset, preset_for};
pub use session::Session;
pub use targets::{LabelProbabilities, NextTokens, Targets};
pub use training::{Split, Training, measure};
pub use vectors::{TextPosition, VectorLearner, VectorLoss};

#![doc = include_str!("../README.md")]

mod adam;
mod batches;
mod error;
mod learner;
mod lexicon;
mod loss;
mod parameters;
mod preset;
mod vectors;

pub use adam::Adam;
pub use batches::epoch_order;
pub use error::{LearnError, StateError};
pub use learner::{Learner, StepPosition};
pub use lexicon::CountedLexicon;
pub use loss::{Tally, calibrated_metrics, cross_entropy};
pub use parameters::{parameters, with_parameters};
pub use preset::{PRESETS, Preset, UnknownPreset, preset};
pub use vectors::{TextPosition, VectorLearner, VectorLoss};

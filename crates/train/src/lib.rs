#![doc = include_str!("../README.md")]

mod adam;
mod batches;
mod checkpoint;
mod corpus;
mod error;
mod evaluate;
mod gradients;
mod loss;
mod preset;
mod texts;
mod trainer;

pub use adam::Adam;
pub use batches::epoch_order;
pub use corpus::{Cache, Corpus, Stage};
pub use error::TrainError;
pub use evaluate::{ClassReport, Evaluation, evaluate};
pub use gradients::{DepthGradients, depth_gradients};
pub use preset::{PRESETS, Preset, preset};
pub use texts::Texts;
pub use trainer::{Event, Outcome, Trainer};

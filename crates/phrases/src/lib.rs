#![doc = include_str!("../README.md")]

mod calibration;
mod classes;
mod classification;
mod conv_run;
mod error;
pub mod files;
mod folded_run;
mod lexicon;
pub mod packed;
mod padding;
mod prediction;
mod receptive_field;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod weights;
mod word_table;

pub use convlens_text as text;

pub use calibration::{TEMPERATURES, calibrated, calibrated_probabilities, calibration_error, fit_temperature};
pub use classes::{argmax, log_probabilities, output_names, outputs_for, predicted_label, probabilities};
pub use classification::Classification;
pub use conv_run::ConvRun;
pub use error::{PhrasesError, one_line};
pub use files::RunFiles;
pub use folded_run::FoldedRun;
pub use lexicon::{LexiconIndex, LexiconMatches, MOST_WORDS_OF_PHRASE, Role};
pub use packed::Precision;
pub use padding::{Padding, VisibleTokens};
pub use prediction::{Phrase, Prediction, PredictionSettings, Token, Values};
pub use receptive_field::ReceptiveField;
pub use settings::{ConvRunConfig, FORMAT, FoldedConfig, LexiconSettings};
pub use word_table::{Part, WordTable};

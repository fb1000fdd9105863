//! `config.json`: all that rebuilds the model and repeats the run.

use std::path::Path;

use convlens_model::ModelConfig;
use convlens_text::TokenizerKind;
use serde::{Deserialize, Serialize};

use crate::folder::json_lines;
use crate::{EpochMetrics, RunError};

/// The version of the run folder's layout that this crate writes; it reads this and older ones.
pub const FORMAT: u32 = 1;

/// What the model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One label a text.
    Classify,
}

/// All that rebuilds the model and repeats the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// The version of the run folder's layout.
    pub format: u32,
    /// The version of convlens that wrote it.
    pub convlens: String,
    /// The version of Burn behind it.
    pub burn: String,
    /// What the model does.
    pub task: Task,
    /// The preset that the settings began from.
    pub preset: String,
    /// The labels, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// What it was trained on.
    pub dataset: DatasetConfig,
    /// How texts become ids.
    pub text: TextConfig,
    /// The model.
    pub model: ModelConfig,
    /// How it was trained.
    pub training: TrainingConfig,
}

impl RunConfig {
    /// Reads `config.json`, from `path`.
    ///
    /// # Errors
    ///
    /// [`RunError::Newer`] where a newer version wrote it, [`RunError::Config`] where it is not
    /// one.
    pub(crate) fn from_json(json: &[u8], path: &Path) -> Result<Self, RunError> {
        let wrong = |error: serde_json::Error| RunError::Config { path: path.into(), message: error.to_string() };
        let json: serde_json::Value = serde_json::from_slice(json).map_err(wrong)?;
        match json.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found > u64::from(FORMAT) => {
                Err(RunError::Newer { path: path.into(), found, known: FORMAT })
            }
            _ => serde_json::from_value(json).map_err(wrong),
        }
    }

    /// The names of the logits: with two labels there is one logit, the second label's.
    pub fn outputs(&self) -> &[String] {
        let labels = &self.labels;
        if self.model.outputs == 1 { &labels[labels.len() - 1..] } else { labels }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        json_lines(self).unwrap_or_else(|error| unreachable!("settings are JSON: {error}"))
    }
}

/// What a run was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// The name of a known set, or a file's path.
    pub name: String,
    /// How to read it again, where it is no known set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileConfig>,
    /// The commit of its repository on the Hugging Face Hub, if it comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// A digest of every text and label.
    pub fingerprint: String,
    /// How many examples each split holds.
    pub train: usize,
    /// As `train`, of the part that was cut from it to choose the epoch by.
    pub validation: usize,
    /// As `train`.
    pub test: usize,
}

/// How a file of the user's is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileConfig {
    /// CSV, TSV, Parquet or JSON Lines.
    pub path: std::path::PathBuf,
    /// A file of its own for the test split; else it is cut from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<std::path::PathBuf>,
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels.
    pub label_column: String,
    /// Whether quotation marks in CSV and TSV files are part of the text, and do not enclose fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_quotes: bool,
    /// Other names for labels, `FILE_LABEL=MODEL_LABEL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_map: Vec<String>,
}

/// How texts become ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Where the tokenizer came from.
    pub tokenizer: TokenizerSource,
    /// The most ids that a trained tokenizer may have; `tokenizer.json` may hold fewer.
    pub vocab_size: usize,
}

/// Where a tokenizer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerSource {
    /// Trained on the training split.
    Trained(TokenizerKind),
    /// A `tokenizer.json` of the user's.
    File(std::path::PathBuf),
}

/// How a run is trained. Equal settings on equal data give equal weights on the CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// What every random draw is made from.
    pub seed: u64,
    /// The most passes over the training split.
    pub epochs: usize,
    /// Texts a step.
    pub batch_size: usize,
    /// Adam's step size (Kingma and Ba 2015), at its start.
    pub learning_rate: f64,
    /// Whether the step size falls linearly to zero over the epochs.
    pub decay: bool,
    /// Adam's term for numerical stability.
    pub adam_epsilon: f32,
    /// The chance that a word of a training text is read as unknown.
    pub word_dropout: f64,
    /// Whether a step moves the embeddings of the words of its batch alone, and their moments, as
    /// PyTorch's SparseAdam does: for tables too large to be walked at every step.
    #[serde(default)]
    pub sparse_embedding: bool,
    /// How much a step shrinks the weights by, as a share of the step size times the weight
    /// (decoupled weight decay, Loshchilov and Hutter 2019).
    pub weight_decay: f32,
    /// Epochs without a better validation loss after which training stops; none: never.
    pub patience: Option<usize>,
    /// The share of the training data that the best epoch is chosen on.
    pub validation_fraction: f64,
}

impl TrainingConfig {
    /// Whether training ends after these epochs: they are as many as there may be, or patience is
    /// over.
    pub fn is_over(&self, history: &[EpochMetrics]) -> bool {
        let since_best = EpochMetrics::best(history).map_or(0, |best| history.len() - best.epoch);
        history.len() >= self.epochs || self.patience.is_some_and(|patience| since_best >= patience)
    }
}

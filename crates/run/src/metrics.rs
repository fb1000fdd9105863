//! `metrics.json` and `metrics.jsonl`: what a run reached.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::Run;

/// How well a classifier did on a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The share of texts whose label was found.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: usize,
    /// On the training split, as the weights moved.
    pub train: ClassMetrics,
    /// On the validation split, at the end of the epoch.
    pub validation: ClassMetrics,
    /// Seconds of training, without validation.
    pub seconds: f64,
}

impl EpochMetrics {
    /// The epoch with the lowest validation loss, the first of equals.
    pub fn best(history: &[Self]) -> Option<&Self> {
        history.iter().min_by(|a, b| a.validation.loss.total_cmp(&b.validation.loss))
    }
}

/// The end result; see [`RunMetrics::of`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMetrics {
    /// What the model does.
    pub task: crate::Task,
    /// The preset that the settings began from.
    pub preset: String,
    /// The data set's name.
    pub dataset: String,
    /// How many numbers were learnt.
    pub parameters: usize,
    /// How many tokens one prediction sees; none where it sees as many as there are.
    pub receptive_field: Option<usize>,
    /// How many epochs were trained.
    pub epochs: usize,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Texts a second in training, forward and backward.
    pub examples_per_second: f64,
    /// Seconds of training, without validation, over all sittings.
    pub train_seconds: f64,
    /// The most memory that the process held, in bytes; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// Where it was trained.
    pub device: String,
    /// The best epoch on the validation split.
    pub validation: ClassMetrics,
    /// The best epoch on the test split, read once.
    pub test: ClassMetrics,
}

impl RunMetrics {
    /// What a run reached in `history` on `texts` training texts, and on the test split. Where it was
    /// trained and how much memory it took are left for the caller to fill in. None before the first
    /// epoch is over.
    pub fn of(run: &Run, history: &[EpochMetrics], texts: usize, test: ClassMetrics) -> Option<Self> {
        let best = EpochMetrics::best(history)?;
        let train_seconds = history.iter().map(|epoch| epoch.seconds).sum::<f64>();
        let field = run.model.receptive_field();
        Some(Self {
            task: run.config.task,
            preset: run.config.preset.clone(),
            dataset: run.config.dataset.name.clone(),
            parameters: run.model.num_params(),
            receptive_field: Some(field.size()).filter(|_| !field.is_unbounded()),
            epochs: history.len(),
            best_epoch: best.epoch,
            examples_per_second: (texts * history.len()) as f64 / train_seconds.max(f64::MIN_POSITIVE),
            train_seconds,
            peak_rss_bytes: 0,
            device: String::new(),
            validation: best.validation,
            test,
        })
    }
}

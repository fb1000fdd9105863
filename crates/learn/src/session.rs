//! How far a training is.

use convlens_run::{EpochMetrics, Metrics, TrainingConfig};
use serde::{Deserialize, Serialize};

use crate::{StepPosition, Tally, Targets};

/// How far a training is: everything that its next step depends on, except the weights and the optimiser.
///
/// The program writes it to checkpoints, and the page and [`Training`](crate::Training) keep it in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The epoch in progress, from 1.
    pub epoch: usize,
    /// The number of its steps that are done.
    pub step: usize,
    /// The loss and the correct predictions of the epoch so far.
    #[serde(flatten)]
    pub tally: Tally,
    /// The seconds of training in this epoch.
    pub epoch_seconds: f64,
    /// The number of steps that are done in all epochs.
    pub steps: usize,
    /// The completed epochs.
    pub history: Vec<EpochMetrics>,
}

impl Default for Session {
    /// The state before the first step.
    fn default() -> Self {
        Self { epoch: 1, step: 0, tally: Tally::default(), epoch_seconds: 0.0, steps: 0, history: Vec::new() }
    }
}

impl Session {
    /// The place of the next step in the schedule of the learning rate, for training on `texts` texts, in an epoch of
    /// `steps` steps. The schedule counts whole batches: an epoch with split batches has more steps, and each of them
    /// counts less.
    pub fn next_step(&self, texts: usize, steps: usize, training: &TrainingConfig) -> StepPosition {
        let batches = texts.div_ceil(training.batch_size.max(1)).max(1);
        let done = (self.epoch - 1).saturating_mul(batches) + self.step * batches / steps.max(1);
        let all = training.epochs.saturating_mul(batches);
        StepPosition { epoch: self.epoch, step: self.step + 1, done, steps: all }
    }

    /// Counts a step that was taken, and adds what it found.
    pub fn record(&mut self, step: Tally) {
        self.step += 1;
        self.steps += 1;
        self.tally.merge(step);
    }

    /// Ends the epoch, and begins the next one. Returns its metrics, and whether it is the best so far: by the score, if
    /// there is one (see [`EpochMetrics::score`]).
    pub fn end_epoch(&mut self, validation: Metrics, score: Option<f64>) -> (EpochMetrics, bool) {
        let (train, seconds) = (self.tally.metrics(), self.epoch_seconds);
        let epoch = EpochMetrics { epoch: self.epoch, train, validation, score, seconds };
        let is_best = epoch.is_better_than(EpochMetrics::best(&self.history));
        self.history.push(epoch.clone());
        self.epoch += 1;
        (self.step, self.epoch_seconds, self.tally) = (0, 0.0, Tally::default());
        (epoch, is_best)
    }

    /// Checks that a training on texts with these targets can be in this state.
    ///
    /// # Errors
    ///
    /// The reason why it cannot.
    pub fn check(&self, targets: &Targets) -> Result<(), String> {
        let texts = targets.len();
        let are_in_order = self.history.iter().zip(1..).all(|(epoch, number)| epoch.epoch == number);
        let most_steps = self.epoch.saturating_mul(texts);
        let is_time = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
        let checks = [
            (are_in_order && self.epoch == self.history.len() + 1, "its epochs are not in order"),
            (self.step <= self.steps && self.step <= texts, "it has too many steps"),
            (self.steps <= most_steps && i32::try_from(self.steps).is_ok(), "it has too many steps"),
            (self.tally.hits <= self.tally.count, "it counts more correct predictions than predictions"),
            (self.tally.count <= targets.count(), "it counts more predictions than there are labels"),
            (self.tally.loss.is_finite(), "its loss is not a finite number"),
            (self.history.iter().all(is_measured), "a loss or an accuracy is out of range"),
            (is_time(self.epoch_seconds), "a time is out of range"),
            (self.history.iter().all(|epoch| is_time(epoch.seconds)), "a time is out of range"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(problem.into()),
            None => Ok(()),
        }
    }
}

fn is_measured(epoch: &EpochMetrics) -> bool {
    [epoch.train, epoch.validation]
        .iter()
        .all(|metrics| metrics.loss.is_finite() && (0.0..=1.0).contains(&metrics.accuracy))
        && epoch.score.is_none_or(|score| (0.0..=1.0).contains(&score))
}

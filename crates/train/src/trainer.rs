//! The training loop.
//!
//! It is this crate's own, not burn-train's: docs/architecture.md says what was measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use convlens_learn::{Learner, Moment, epoch_order};
use convlens_run::model::Padding;
use convlens_run::{
    ChosenDevice, EpochMetrics, METRICS, METRICS_BY_EPOCH, Run, RunConfig, RunError, RunFolder, RunMetrics, model_card,
    to_host,
};

use crate::checkpoint::{self, Progress};
use crate::evaluate::metrics;
use crate::{Corpus, TrainError};

/// What happens in training, as it happens.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Training goes on from a checkpoint.
    Resumed {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
    },
    /// A step is done.
    Step {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
        /// How many it has.
        steps: usize,
        /// The mean loss of the epoch so far.
        loss: f64,
        /// The accuracy of the epoch so far.
        accuracy: f64,
    },
    /// An epoch is done.
    Epoch {
        /// How it went.
        metrics: &'a EpochMetrics,
        /// Whether its weights are the best so far, and kept.
        is_best: bool,
    },
}

/// How training ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All is done and written.
    Finished(RunMetrics),
    /// It was asked to stop, and wrote a checkpoint.
    Interrupted {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
    },
}

/// All that training needs.
pub struct Trainer<'a> {
    /// Where the run is written; its configuration and tokenizer are there already.
    pub folder: &'a RunFolder,
    /// What to train.
    pub config: &'a RunConfig,
    /// What to train it on.
    pub corpus: &'a Corpus,
    /// Where.
    pub device: &'a ChosenDevice,
    /// How long training goes on before it writes a checkpoint within an epoch; at the end of
    /// each it writes one anyway.
    pub checkpoint_every: Duration,
}

/// The model in training, and where training stands.
struct State {
    learner: Learner,
    progress: Progress,
}

impl Trainer<'_> {
    /// Trains from the start, or from the folder's checkpoint if it holds one, until the last
    /// epoch, until patience ends or until `stop` is set; then reads the test split once.
    ///
    /// On the CPU the weights are the same, bit for bit, however often training was stopped or
    /// killed and resumed.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotFinite`] where the loss is no longer a number,
    /// [`TrainError::Checkpoint`] for a damaged checkpoint, [`TrainError::Run`] where the folder
    /// cannot be written.
    pub fn train(&self, stop: &AtomicBool, on_event: &mut dyn FnMut(Event)) -> Result<Outcome, TrainError> {
        let mut state = self.begin()?;
        if state.progress.steps > 0 {
            on_event(Event::Resumed { epoch: state.progress.epoch, step: state.progress.step });
        }
        while !self.config.training.is_over(&state.progress.history) {
            let is_whole;
            (state, is_whole) = self.train_epoch(state, stop, on_event)?;
            if !is_whole {
                return Ok(Outcome::Interrupted { epoch: state.progress.epoch, step: state.progress.step });
            }
            self.end_epoch(&mut state, on_event)?;
        }
        self.finish(&state).map(Outcome::Finished)
    }

    fn begin(&self) -> Result<State, TrainError> {
        let (model, training) = (&self.config.model, &self.config.training);
        if matches!(model.padding, Padding::Counted { .. }) && self.corpus.tokenizer.pad_id().is_none() {
            return Err(TrainError::NoPadding(self.config.preset.clone()));
        }
        let mut learner = Learner::new(model, training, &self.corpus.tokenizer, &self.device.device)?;
        let progress = checkpoint::load(self.folder, &mut learner, &self.device.device)?;
        let progress = progress.unwrap_or_else(|| Progress { epoch: 1, ..Progress::default() });
        Ok(State { learner, progress })
    }

    /// Trains to the end of the epoch; false where it was asked to stop before. The state is handed
    /// through by value, so that a step may change the weights where they lie.
    fn train_epoch(
        &self,
        mut state: State,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(State, bool), TrainError> {
        let training = &self.config.training;
        let epoch = state.progress.epoch;
        let by_length = self.config.model.padding == Padding::Masked;
        let batches = epoch_order(&self.corpus.train.lengths(), training.batch_size, by_length, training.seed, epoch);
        let steps = batches.len();
        let mut clock = Instant::now();
        for indices in batches.iter().skip(state.progress.step) {
            if stop.load(Ordering::Relaxed) {
                state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
                checkpoint::save(self.folder, &state.learner, &state.progress)?;
                return Ok((state, false));
            }
            state = self.train_step(state, indices, steps)?;
            let metrics = state.progress.tally().metrics();
            let step = state.progress.step;
            on_event(Event::Step { epoch, step, steps, loss: metrics.loss, accuracy: metrics.accuracy });
            if clock.elapsed() > self.checkpoint_every {
                state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
                checkpoint::save(self.folder, &state.learner, &state.progress)?;
                clock = Instant::now();
            }
        }
        state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
        Ok((state, true))
    }

    fn train_step(&self, state: State, indices: &[usize], steps_an_epoch: usize) -> Result<State, TrainError> {
        let State { learner, mut progress } = state;
        let texts = &self.corpus.train;
        let rows = indices.iter().map(|&index| texts.ids(index)).collect::<Result<Vec<_>, _>>()?;
        let labels: Vec<usize> = indices.iter().map(|&index| texts.labels[index]).collect();
        let steps = self.config.training.epochs * steps_an_epoch;
        let moment = Moment { epoch: progress.epoch, step: progress.step + 1, done: progress.steps, steps };
        let (learner, logits) = learner.step(rows, &labels, moment)?;

        let mut tally = progress.tally();
        tally.add(&to_host(logits)?, self.config.model.outputs, &labels);
        progress.step += 1;
        progress.steps += 1;
        if !tally.loss.is_finite() {
            let learning_rate = self.config.training.learning_rate;
            return Err(TrainError::NotFinite { epoch: progress.epoch, step: progress.step, learning_rate });
        }
        progress.set_tally(tally);
        Ok(State { learner, progress })
    }

    /// Validates, keeps the weights if they are the best, and writes a checkpoint, in this order:
    /// a kill between two of them leaves a checkpoint from which all is done again, alike.
    fn end_epoch(&self, state: &mut State, on_event: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let model = state.learner.trained();
        let pad_id = self.corpus.tokenizer.pad_id().unwrap_or(0);
        let padding = self.config.model.padding;
        let validation = metrics(&model, &self.corpus.validation, padding, pad_id, &self.device.device)?;
        let progress = &mut state.progress;
        let epoch = EpochMetrics {
            epoch: progress.epoch,
            train: progress.tally().metrics(),
            validation,
            seconds: progress.epoch_seconds,
        };
        let is_best = EpochMetrics::best(&progress.history).is_none_or(|best| validation.loss < best.validation.loss);
        if is_best {
            Run::save_weights(self.folder, &model)?;
        }
        progress.history.push(epoch.clone());
        progress.epoch += 1;
        (progress.step, progress.epoch_seconds) = (0, 0.0);
        progress.set_tally(Default::default());
        checkpoint::save(self.folder, &state.learner, progress)?;
        let lines: String = progress.history.iter().map(|epoch| format!("{}\n", serde_json::json!(epoch))).collect();
        self.folder.write(METRICS_BY_EPOCH, lines.as_bytes())?;
        on_event(Event::Epoch { metrics: &epoch, is_best });
        Ok(())
    }

    /// Reads the test split with the weights of the best epoch, and writes the end result.
    fn finish(&self, state: &State) -> Result<RunMetrics, TrainError> {
        let progress = &state.progress;
        let run = Run::open_on(self.folder, &self.device.device)?;
        let pad_id = run.tokenizer.pad_id().unwrap_or(0);
        let test = metrics(&run.model, &self.corpus.test, self.config.model.padding, pad_id, &run.device)?;
        let metrics = RunMetrics::of(&run, &progress.history, self.corpus.train.len(), test)
            .ok_or_else(|| RunError::Untrained { path: self.folder.path().into() })?;
        let metrics = RunMetrics { peak_rss_bytes: peak_rss_bytes(), device: self.device.name.clone(), ..metrics };
        self.folder.write_json(METRICS, &metrics)?;
        self.folder.write_card(&model_card(self.config, &metrics))?;
        Ok(metrics)
    }
}

/// The most memory that this process held so far. One line of one file; no crate tells it on
/// Linux without more than this.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|number| number.trim().parse().ok());
    kibibytes.map_or(0, |kibibytes: u64| kibibytes * 1024)
}

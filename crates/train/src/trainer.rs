//! The training loop.
//!
//! It is this crate's own, not burn-train's: docs/architecture.md says what was measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use convlens_run::model::{Batch, Padding, TextModel};
use convlens_run::{
    ChosenDevice, EpochMetrics, METRICS, METRICS_BY_EPOCH, Run, RunConfig, RunError, RunFolder, RunMetrics, model_card,
    to_host,
};

use crate::batches::{draws, drop_words, step_seed};
use crate::checkpoint::{self, Progress};
use crate::evaluate::metrics;
use crate::loss::cross_entropy;
use crate::{Adam, Corpus, TrainError, epoch_order};

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

/// The model, its optimiser, and where training stands.
struct State {
    model: TextModel,
    adam: Adam,
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
        while !self.is_over(&state.progress) {
            let is_whole;
            (state, is_whole) = self.train_epoch(state, stop, on_event)?;
            if !is_whole {
                return Ok(Outcome::Interrupted { epoch: state.progress.epoch, step: state.progress.step });
            }
            self.end_epoch(&mut state, on_event)?;
        }
        self.finish(&state).map(Outcome::Finished)
    }

    fn training_device(&self) -> Device {
        self.device.device.clone().autodiff()
    }

    /// The model as it begins: drawn on the CPU, so that every device begins alike.
    fn begin(&self) -> Result<State, TrainError> {
        let training = &self.config.training;
        if matches!(self.config.model.padding, Padding::Counted { .. }) && self.corpus.tokenizer.pad_id().is_none() {
            return Err(TrainError::NoPadding(self.config.preset.clone()));
        }
        let cpu = Device::flex();
        cpu.seed(training.seed);
        let drawn = self.config.model.init(&cpu)?.materialize();
        let model = checkpoint::copy(&drawn, self.config.model.init(&self.training_device())?);
        let mut adam = Adam::new(training.adam_epsilon, training.weight_decay);
        let (model, progress) = checkpoint::load(self.folder, model, &mut adam, &self.device.device)?;
        let progress = progress.unwrap_or_else(|| Progress { epoch: 1, ..Progress::default() });
        Ok(State { model, adam, progress })
    }

    fn is_over(&self, progress: &Progress) -> bool {
        let done = progress.history.len();
        let since_best = progress.best().map_or(0, |best| done - best.epoch);
        done >= self.config.training.epochs
            || self.config.training.patience.is_some_and(|patience| since_best >= patience)
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
        let batches = epoch_order(&self.corpus.train, training.batch_size, by_length, training.seed, epoch);
        let steps = batches.len();
        let mut clock = Instant::now();
        for indices in batches.iter().skip(state.progress.step) {
            if stop.load(Ordering::Relaxed) {
                state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
                checkpoint::save(self.folder, &state.model, &state.adam, &state.progress)?;
                return Ok((state, false));
            }
            state = self.train_step(state, indices, steps)?;
            let metrics = state.progress.tally().metrics();
            let step = state.progress.step;
            on_event(Event::Step { epoch, step, steps, loss: metrics.loss, accuracy: metrics.accuracy });
            if clock.elapsed() > self.checkpoint_every {
                state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
                checkpoint::save(self.folder, &state.model, &state.adam, &state.progress)?;
                clock = Instant::now();
            }
        }
        state.progress.epoch_seconds += clock.elapsed().as_secs_f64();
        Ok((state, true))
    }

    fn train_step(&self, state: State, indices: &[usize], steps_an_epoch: usize) -> Result<State, TrainError> {
        let State { model, mut adam, mut progress } = state;
        let training = &self.config.training;
        let device = self.training_device();
        let labels: Vec<usize> = indices.iter().map(|&index| self.corpus.train.labels[index]).collect();
        // Dropout draws on the device, from the step's own seed.
        device.seed(step_seed(training.seed, progress.epoch, progress.step + 1));
        let batch = self.batch(indices, &progress, &device)?;
        let rows = match training.sparse_embedding {
            true => Tensor::from_inner(model.rows(&batch).inner()).require_grad(),
            false => model.rows(&batch),
        };
        let logits = model.forward_rows(rows.clone(), &batch);
        let loss = cross_entropy(logits.clone(), &labels, &device);
        let mut gradients = loss.backward();
        let logits = to_host(logits.inner())?;

        let mut tally = progress.tally();
        tally.add(&logits, self.config.model.outputs, &labels);
        progress.step += 1;
        progress.steps += 1;
        if !tally.loss.is_finite() {
            let (epoch, step, learning_rate) = (progress.epoch, progress.step, training.learning_rate);
            return Err(TrainError::NotFinite { epoch, step, learning_rate });
        }
        progress.set_tally(tally);
        let left = 1.0 - (progress.steps - 1) as f64 / (training.epochs * steps_an_epoch) as f64;
        let rate = if training.decay { training.learning_rate * left } else { training.learning_rate };
        let of_rows = if training.sparse_embedding { rows.grad_remove(&mut gradients) } else { None };
        let mut model = adam.step(model, gradients, rate);
        if let Some(gradient) = of_rows {
            model = adam.step_rows(model, batch.distinct.inner(), gradient, rate);
        }
        Ok(State { model, adam, progress })
    }

    fn batch(&self, indices: &[usize], progress: &Progress, device: &Device) -> Result<Batch, TrainError> {
        let training = &self.config.training;
        let pad_id = self.corpus.tokenizer.pad_id().unwrap_or(0);
        let mut rows = indices.iter().map(|&index| self.corpus.train.ids(index)).collect::<Result<Vec<_>, _>>()?;
        if let Some(unk_id) = self.corpus.tokenizer.unk_id().filter(|_| training.word_dropout > 0.0) {
            let mut rng = draws(training.seed, progress.epoch, progress.step + 1);
            rows.iter_mut().for_each(|ids| drop_words(ids.to_mut(), unk_id, training.word_dropout, &mut rng));
        }
        let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
        Ok(Batch::new(&rows, self.config.model.padding, pad_id, device))
    }

    /// Validates, keeps the weights if they are the best, and writes a checkpoint, in this order:
    /// a kill between two of them leaves a checkpoint from which all is done again, alike.
    fn end_epoch(&self, state: &mut State, on_event: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let model = state.model.valid();
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
        let is_best = progress.best().is_none_or(|best| validation.loss < best.validation.loss);
        if is_best {
            Run::save_weights(self.folder, &model)?;
        }
        progress.history.push(epoch.clone());
        progress.seconds += progress.epoch_seconds;
        progress.epoch += 1;
        (progress.step, progress.epoch_seconds) = (0, 0.0);
        progress.set_tally(Default::default());
        checkpoint::save(self.folder, &state.model, &state.adam, progress)?;
        let lines: String = progress.history.iter().map(|epoch| format!("{}\n", serde_json::json!(epoch))).collect();
        self.folder.write(METRICS_BY_EPOCH, lines.as_bytes())?;
        on_event(Event::Epoch { metrics: &epoch, is_best });
        Ok(())
    }

    /// Reads the test split with the weights of the best epoch, and writes the end result.
    fn finish(&self, state: &State) -> Result<RunMetrics, TrainError> {
        let progress = &state.progress;
        let best = progress.best().ok_or_else(|| RunError::Untrained { path: self.folder.path().into() })?;
        let run = Run::open_on(self.folder, &self.device.device)?;
        let pad_id = run.tokenizer.pad_id().unwrap_or(0);
        let test = metrics(&run.model, &self.corpus.test, self.config.model.padding, pad_id, &run.device)?;
        let texts = self.corpus.train.len() * progress.history.len();
        let metrics = RunMetrics {
            task: self.config.task,
            preset: self.config.preset.clone(),
            dataset: self.config.dataset.name.clone(),
            parameters: run.model.num_params(),
            receptive_field: Some(run.model.receptive_field())
                .filter(|field| !field.is_unbounded())
                .map(|field| field.size()),
            epochs: progress.history.len(),
            best_epoch: best.epoch,
            examples_per_second: texts as f64 / progress.seconds.max(f64::MIN_POSITIVE),
            train_seconds: progress.seconds,
            peak_rss_bytes: peak_rss_bytes(),
            device: self.device.name.clone(),
            validation: best.validation,
            test,
        };
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

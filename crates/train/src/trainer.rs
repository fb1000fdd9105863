//! The training loop.
//!
//! It is this crate's own, not burn-train's; docs/burn-train.md says why.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use convlens_learn::{CountedLexicon, Learner, Measurement, Session, batches, first_window, most_tokens};
use convlens_run::model::{LexiconConfig, Padding, TextModel};
use convlens_run::{
    ChosenDevice, EpochMetrics, METRICS, METRICS_BY_EPOCH, Metrics, PhrasesError, Run, RunConfig, RunError, RunFolder,
    RunMetrics, VectorsConfig, WordVectors, model_card, tokenizer_digest,
};

use crate::checkpoint::{self, Progress};
use crate::evaluate::measure;
use crate::memory::peak_rss_bytes;
use crate::vectors::Learned;
use crate::{Corpus, TextSize, Texts, TrainError, VectorKind};

/// An event of training.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Training continues from a checkpoint.
    Resumed {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
    },
    /// Some training texts are longer than [`TrainingConfig::max_tokens`], and training reads only
    /// their beginnings.
    ///
    /// [`TrainingConfig::max_tokens`]: convlens_run::TrainingConfig::max_tokens
    Truncated {
        /// How many texts.
        texts: usize,
        /// How many tokens of each are read.
        max_tokens: usize,
    },
    /// Vectors are being learned.
    Vectors {
        /// What they belong to.
        of: VectorKind,
        /// How many texts were read, in all epochs.
        done: usize,
        /// How many there are to read, in all epochs.
        total: usize,
        /// The mean loss of the epoch so far, in nats per prediction.
        loss: f64,
    },
    /// A step is done.
    Step {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
        /// How many steps it has.
        steps: usize,
        /// The mean loss of the epoch so far, in nats.
        loss: f64,
        /// The accuracy of the epoch so far.
        accuracy: f64,
    },
    /// An epoch is done.
    Epoch {
        /// Its metrics.
        metrics: &'a EpochMetrics,
        /// Whether its weights are the best so far. The best weights are kept.
        is_best: bool,
    },
}

/// How training ended.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per training")]
pub enum Outcome {
    /// Training is complete, and the results are written.
    Finished(RunMetrics),
    /// Training was asked to stop, and wrote a checkpoint.
    Interrupted {
        /// The epoch, from 1.
        epoch: usize,
        /// How many of its steps are done.
        step: usize,
    },
    /// Training was asked to stop while vectors were learned, and wrote a checkpoint.
    InterruptedVectors {
        /// What they belong to.
        of: VectorKind,
        /// How many texts were read, in all epochs.
        done: usize,
        /// How many there are to read, in all epochs.
        total: usize,
    },
}

/// A model to train, and everything that training needs.
pub struct Trainer<'a> {
    /// The run folder. It must hold the configuration and the tokenizer.
    pub folder: &'a RunFolder,
    /// The configuration.
    pub config: &'a RunConfig,
    /// The data.
    pub corpus: &'a Corpus,
    /// The device to train on.
    pub device: &'a ChosenDevice,
    /// The time between two checkpoints within an epoch. There is always one at the end of an
    /// epoch.
    pub checkpoint_every: Duration,
}

/// The model in training, and how far it is.
struct State {
    learner: Learner,
    session: Session,
    /// The digest of the tokenizer.
    tokenizer: String,
}

impl Trainer<'_> {
    /// Trains from the start, or from the folder's checkpoint if there is one. Training ends after
    /// the last epoch, when patience runs out, or when `stop` is set. Unless it was stopped, the
    /// model is then measured on the test split.
    ///
    /// On the CPU the weights are the same, bit for bit, however often training was stopped or
    /// killed and resumed.
    ///
    /// A text longer than `max_tokens` is cut, and a batch of more than 2¹⁸ positions is split into
    /// several steps, so that one long text does not exhaust the memory.
    ///
    /// # Errors
    ///
    /// - [`TrainError::NotFinite`] if a loss or a weight is no longer a finite number. Nothing is
    ///   written then; earlier weights and checkpoints are kept.
    /// - [`TrainError::Checkpoint`] if the checkpoint is damaged.
    /// - [`TrainError::OtherTokenizer`] if the checkpoint belongs to another tokenizer.
    /// - [`TrainError::NoPadding`] if the model counts padding and the tokenizer has none.
    /// - [`TrainError::Run`] if a file of the folder cannot be read or written.
    pub fn train(&self, stop: &AtomicBool, on_event: &mut dyn FnMut(Event)) -> Result<Outcome, TrainError> {
        if let Some(interrupted) = self.learn_vectors(stop, on_event)? {
            return Ok(interrupted);
        }
        let lexicon = match self.lexicon(stop, on_event)? {
            Ok(lexicon) => lexicon,
            Err(interrupted) => return Ok(interrupted),
        };
        let mut state = self.start(lexicon)?;
        if state.session.steps > 0 {
            on_event(Event::Resumed { epoch: state.session.epoch, step: state.session.step });
        }
        let max_tokens = self.most_tokens();
        let lengths = self.texts_of_epoch(state.session.epoch).lengths();
        let truncated = lengths.iter().filter(|&&length| length > max_tokens).count();
        if truncated > 0 {
            on_event(Event::Truncated { texts: truncated, max_tokens });
        }
        while !self.config.training.is_over(&state.session.history) {
            let texts = self.texts_of_epoch(state.session.epoch);
            let is_complete;
            (state, is_complete) = self.train_epoch(state, &texts, stop, on_event)?;
            if !is_complete {
                return Ok(Outcome::Interrupted { epoch: state.session.epoch, step: state.session.step });
            }
            self.end_epoch(&mut state, on_event)?;
        }
        self.finish(&state).map(Outcome::Finished)
    }

    /// The lexicon of the training texts, with its vectors, if the model has one; or how the learning of these ended.
    fn lexicon(
        &self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Result<Option<CountedLexicon>, Outcome>, TrainError> {
        let (model, training) = (&self.config.model, &self.config.training);
        let Some(LexiconConfig { words, .. }) = model.lexicon else { return Ok(Ok(None)) };
        let lexicon = self.corpus.lexicon(model.outputs, words, training.max_tokens)?;
        let Some(vectors) = &self.config.lexicon_vectors else { return Ok(Ok(Some(lexicon.clone()))) };
        Ok(match self.learn_lexicon_vectors(lexicon, vectors, stop, on_event)? {
            Learned::Vectors(vectors) => Ok(Some(lexicon.clone().with_vectors(vectors, model.outputs))),
            Learned::Interrupted(outcome) => Err(*outcome),
        })
    }

    fn start(&self, lexicon: Option<CountedLexicon>) -> Result<State, TrainError> {
        let (model, training) = (&self.config.model, &self.config.training);
        if matches!(model.padding, Padding::Counted { .. }) && self.corpus.tokenizer.pad_id().is_none() {
            return Err(TrainError::NoPadding(self.config.preset.clone()));
        }
        let mut learner = Learner::new(model, training, &self.corpus.tokenizer, lexicon, &self.device.device)?;
        if let Some(VectorsConfig { dimensions, .. }) = self.config.vectors {
            let vectors = WordVectors::read(self.folder, model.vocab_size, dimensions)?;
            learner = learner.with_vectors(&vectors, model)?;
        }
        if let Some(forms) = &self.corpus.forms {
            learner = learner.with_forms(forms.clone());
        }
        let targets = &self.texts_of_epoch(1).targets;
        let tokenizer = tokenizer_digest(self.corpus.tokenizer_json.as_bytes());
        let progress = checkpoint::load(self.folder, &mut learner, &self.device.device, targets, &tokenizer)?;
        let session = progress.map(|progress| progress.session).unwrap_or_default();
        Ok(State { learner, session, tokenizer })
    }

    /// How many ids of a text training reads at most. Windows are as long as they are.
    fn most_tokens(&self) -> usize {
        if self.config.window().is_some() {
            return usize::MAX;
        }
        most_tokens(&self.config.training, self.config.model.padding)
    }

    /// The texts to train on in an epoch: all of them, or for a language model windows of them, which begin elsewhere in
    /// every epoch.
    fn texts_of_epoch(&self, epoch: usize) -> Cow<'_, Texts> {
        match self.config.window() {
            Some(length) => {
                let first = first_window(length, self.config.training.seed, epoch);
                Cow::Owned(self.corpus.train.windows(length, first, 0))
            }
            None => Cow::Borrowed(&self.corpus.train),
        }
    }

    /// Trains to the end of the epoch; false if it was asked to stop earlier. The state is passed by
    /// value, so that a step can change the weights in place.
    fn train_epoch(
        &self,
        mut state: State,
        texts: &Texts,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(State, bool), TrainError> {
        let epoch = state.session.epoch;
        let max_tokens = self.most_tokens();
        let lengths: Vec<usize> = texts.lengths().into_iter().map(|length| length.min(max_tokens)).collect();
        let batches = batches(&lengths, &self.config.training, self.config.model.padding, epoch);
        let steps = batches.len();
        let mut clock = Instant::now();
        for indices in batches.iter().skip(state.session.step) {
            if stop.load(Ordering::Relaxed) {
                state.session.epoch_seconds += clock.elapsed().as_secs_f64();
                self.write_checkpoint(&state)?;
                return Ok((state, false));
            }
            state = self.train_step(state, texts, indices, steps)?;
            let metrics = state.session.tally.metrics();
            let step = state.session.step;
            on_event(Event::Step { epoch, step, steps, loss: metrics.loss, accuracy: metrics.accuracy });
            if clock.elapsed() > self.checkpoint_every {
                state.session.epoch_seconds += clock.elapsed().as_secs_f64();
                self.write_checkpoint(&state)?;
                clock = Instant::now();
            }
        }
        state.session.epoch_seconds += clock.elapsed().as_secs_f64();
        Ok((state, true))
    }

    fn train_step(&self, state: State, texts: &Texts, indices: &[usize], steps: usize) -> Result<State, TrainError> {
        let State { learner, mut session, tokenizer } = state;
        let max_tokens = self.most_tokens();
        let rows = indices.iter().map(|&index| Ok(truncated(texts.ids(index)?, max_tokens)));
        let rows = rows.collect::<Result<Vec<_>, TrainError>>()?;
        let targets = texts.targets.pick(indices, max_tokens);
        let at = session.next_step(texts.len(), steps, &self.config.training);
        let (learner, scores) = learner.step(rows, &targets, at)?;
        session.record(scores.tally()?);
        if !session.tally.loss.is_finite() {
            return Err(self.not_finite("training loss", &session));
        }
        Ok(State { learner, session, tokenizer })
    }

    /// Validates, keeps the weights if they are the best, and writes a checkpoint, in this order: a
    /// kill between two of them leaves a checkpoint from which the rest is repeated, with the same
    /// result.
    fn end_epoch(&self, state: &mut State, on_event: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let model = state.learner.trained();
        let measured = self.measure(&model, &self.corpus.validation)?;
        let validation = measured.metrics(1.0);
        if !validation.loss.is_finite() {
            return Err(self.not_finite("validation loss", &state.session));
        }
        if !checkpoint::is_finite(&state.learner) {
            return Err(self.not_finite("model", &state.session));
        }
        let (epoch, is_best) = state.session.end_epoch(validation, measured.score());
        if is_best {
            Run::save_weights(self.folder, &model)?;
        }
        self.save_checkpoint(state)?;
        let history = &state.session.history;
        let lines: String = history.iter().map(|epoch| format!("{}\n", serde_json::json!(epoch))).collect();
        self.folder.write(METRICS_BY_EPOCH, lines.as_bytes())?;
        on_event(Event::Epoch { metrics: &epoch, is_best });
        Ok(())
    }

    /// Calibrates the weights of the best epoch on the validation split, measures them on the test split,
    /// and writes the result.
    fn finish(&self, state: &State) -> Result<RunMetrics, TrainError> {
        let session = &state.session;
        let mut run = Run::open_on(self.folder, &self.device.device)?;
        let validation = self.measure(&run.model, &self.corpus.validation)?;
        let test = self.measure(&run.model, &self.corpus.test)?;
        let temperature = validation.temperature();
        let counts = [&validation, &test].map(Measurement::count);
        let (mut validation, mut test) = (validation.metrics(temperature), test.metrics(temperature));
        if let Some(sizes) = self.corpus.sizes.filter(|_| self.corpus.tokenizer.keeps_white_space()) {
            let with_bits = |metrics: &mut Metrics, tokens, size: TextSize| {
                *metrics = metrics.with_bits(tokens, size.characters, size.bytes);
            };
            with_bits(&mut validation, counts[0], sizes[0]);
            with_bits(&mut test, counts[1], sizes[1]);
        }
        if !test.loss.is_finite() {
            return Err(self.not_finite("test loss", session));
        }
        run.config = RunConfig { temperature, ..self.config.clone() };
        let train = &self.corpus.train;
        let examples =
            if self.config.window().is_some() { self.texts_of_epoch(1).targets.count() } else { train.len() };
        let metrics = RunMetrics::new(&run, &session.history, examples, validation, test)
            .ok_or_else(|| RunError::from(PhrasesError::Untrained { path: self.folder.path().into() }))?;
        let metrics = RunMetrics { peak_rss_bytes: peak_rss_bytes(), device: self.device.name.clone(), ..metrics };
        self.folder.write_config(&run.config)?;
        self.folder.write_json(METRICS, &metrics)?;
        self.folder.write_card(&model_card(&run.config, &metrics))?;
        Ok(metrics)
    }

    fn measure(&self, model: &TextModel, texts: &Texts) -> Result<Measurement, TrainError> {
        let pad_id = self.corpus.tokenizer.pad_id().unwrap_or(0);
        measure(model, texts, self.config, pad_id, self.corpus.forms.as_ref(), &|_| {})
    }

    fn write_checkpoint(&self, state: &State) -> Result<(), TrainError> {
        if !checkpoint::is_finite(&state.learner) {
            return Err(self.not_finite("model", &state.session));
        }
        self.save_checkpoint(state)
    }

    fn save_checkpoint(&self, State { learner, session, tokenizer }: &State) -> Result<(), TrainError> {
        let progress = Progress { session: session.clone(), tokenizer: Some(tokenizer.clone()) };
        checkpoint::save(self.folder, learner, &progress)
    }

    fn not_finite(&self, quantity: &'static str, session: &Session) -> TrainError {
        let learning_rate = self.config.training.learning_rate;
        TrainError::NotFinite { quantity, epoch: session.epoch, step: session.step, learning_rate }
    }
}

/// The first `length` ids of a text.
fn truncated(ids: Cow<'_, [u32]>, length: usize) -> Cow<'_, [u32]> {
    match ids {
        Cow::Borrowed(ids) => Cow::Borrowed(&ids[..ids.len().min(length)]),
        Cow::Owned(mut ids) => {
            ids.truncate(length);
            Cow::Owned(ids)
        }
    }
}

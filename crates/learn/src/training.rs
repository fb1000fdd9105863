//! Training on texts in memory.

use std::borrow::Cow;
use std::convert::Infallible;

use burn::tensor::Device;
use convlens_run::model::{EncoderConfig, EncoderSettings, TextModel};
use convlens_run::text::Tokenizer;
use convlens_run::{EpochMetrics, Run, RunConfig, RunError};

use crate::batches::{batches, most_tokens};
use crate::objective::{check_labels, check_tokens};
use crate::{CountedLexicon, LearnError, Learner, Measurement, Session, StepScores, Tally, Targets};

/// Texts as ids, with their targets.
#[derive(Clone, Debug)]
pub struct Split {
    /// The ids of each text.
    pub rows: Vec<Vec<u32>>,
    /// What the model should say of each text.
    pub targets: Targets,
}

impl Split {
    /// The number of texts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Some texts, given by their indices.
    ///
    /// # Panics
    ///
    /// If there is no text with one of the indices.
    pub fn pick(&self, texts: &[usize]) -> Self {
        let rows = texts.iter().map(|&text| self.rows[text].clone()).collect();
        Self { rows, targets: self.targets.pick(texts, usize::MAX) }
    }
}

/// A model in training on texts in memory, one step after the other. After each epoch it is measured on the validation
/// split, and the weights of the best epoch are kept.
///
/// The same settings and texts give the same weights.
#[derive(Debug)]
pub struct Training<S: EncoderSettings = EncoderConfig> {
    /// The model in it is as old as the last call of [`current`](Self::current).
    run: Run<S>,
    /// None while a step is taken, and after a step that failed.
    learner: Option<Learner<S::Encoder>>,
    train: Split,
    validation: Split,
    /// The batches of the current epoch.
    batches: Vec<Vec<usize>>,
    session: Session,
    /// The weights of the best epoch, and their temperature.
    best: Option<(TextModel<S::Encoder>, f64)>,
}

impl<S: EncoderSettings> Training<S> {
    /// Draws the first weights of a model. Nothing is trained yet. If the model has a lexicon, it is counted on the
    /// training texts, and sized by them.
    ///
    /// # Errors
    ///
    /// [`LearnError`] if a split is empty, or the settings, texts and targets do not fit each other.
    pub fn new(
        mut config: RunConfig<S>,
        tokenizer: Tokenizer,
        train: Split,
        validation: Split,
        device: Device,
    ) -> Result<Self, LearnError> {
        if train.is_empty() || validation.is_empty() {
            return Err(LearnError::EmptySplit { train: train.len(), validation: validation.len() });
        }
        // A lexicon is counted before there is a learner to check the texts.
        let classes = config.model.outputs.max(2);
        check_labels(&train.targets, classes)?;
        check_tokens(&train.rows, config.model.vocab_size)?;
        let max_tokens = most_tokens(&config.training, config.model.padding);
        let words = config.model.lexicon.as_ref().map(|lexicon| lexicon.words);
        let probabilities = words.and_then(|words| Some((words, train.targets.probabilities(classes)?)));
        let lexicon = probabilities.map(|(words, probabilities)| {
            let Ok(counted) = CountedLexicon::new(&tokenizer, config.model.outputs, words, |count| {
                for (ids, probabilities) in train.rows.iter().zip(probabilities.rows()) {
                    count(&ids[..ids.len().min(max_tokens)], probabilities);
                }
                Ok::<_, Infallible>(())
            });
            counted
        });
        if let Some(lexicon) = &lexicon {
            lexicon.size(&mut config.model);
        }
        config.check()?;
        let learner = Learner::new(&config.model, &config.training, &tokenizer, lexicon, &device)?;
        for split in [&train, &validation] {
            learner.check_texts(&split.rows, &split.targets)?;
        }
        let run = Run { config, tokenizer, model: learner.trained(), device };
        let (learner, session) = (Some(learner), Session::default());
        let mut training = Self { run, learner, train, validation, batches: Vec::new(), session, best: None };
        training.batches = training.batches_of_epoch();
        Ok(training)
    }

    fn max_tokens(&self) -> usize {
        most_tokens(&self.run.config.training, self.run.config.model.padding)
    }

    fn batches_of_epoch(&self) -> Vec<Vec<usize>> {
        let max_tokens = self.max_tokens();
        let lengths: Vec<usize> = self.train.rows.iter().map(|ids| ids.len().min(max_tokens)).collect();
        batches(&lengths, &self.run.config.training, self.run.config.model.padding, self.session.epoch)
    }

    /// The settings of the run.
    pub fn config(&self) -> &RunConfig<S> {
        &self.run.config
    }

    /// The run with the weights of the last call of [`current`](Self::current), or the first ones.
    pub fn run(&self) -> &Run<S> {
        &self.run
    }

    /// The texts that the best epoch is chosen by.
    pub fn validation(&self) -> &Split {
        &self.validation
    }

    /// How far training is.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The number of steps in the current epoch.
    pub fn steps_in_epoch(&self) -> usize {
        self.batches.len()
    }

    /// Whether the last epoch has ended, or patience has run out.
    pub fn is_over(&self) -> bool {
        self.run.config.training.is_over(&self.session.history)
    }

    /// Adds to the time of the current epoch. The crate reads no clock, which browsers do not have.
    pub fn add_seconds(&mut self, seconds: f64) {
        self.session.epoch_seconds += seconds;
    }

    /// Takes a step. At the end of an epoch the model is measured on the validation split, and the metrics of the
    /// epoch are returned.
    ///
    /// # Errors
    ///
    /// [`LearnError::NotFinite`] if a loss is no longer a finite number, [`LearnError::Failed`] after a step that
    /// failed, [`LearnError::Ended`] after the last step, or [`LearnError::Run`].
    pub fn step(&mut self) -> Result<Option<EpochMetrics>, LearnError> {
        let scores = self.take_step()?;
        let tally = scores.tally()?;
        self.record(tally)
    }

    /// As [`step`](Self::step), for platforms that can only read from a device asynchronously.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub async fn step_async(&mut self) -> Result<Option<EpochMetrics>, LearnError> {
        let scores = self.take_step()?;
        let tally = scores.tally_async().await?;
        self.record(tally)
    }

    fn take_step(&mut self) -> Result<StepScores, LearnError> {
        if self.is_over() {
            return Err(LearnError::Ended);
        }
        let max_tokens = self.max_tokens();
        let indices = self.batches.get(self.session.step).map(Vec::as_slice).unwrap_or_default();
        let rows = indices.iter().map(|&index| {
            let ids = &self.train.rows[index];
            Cow::Borrowed(&ids[..ids.len().min(max_tokens)])
        });
        let targets = self.train.targets.pick(indices, max_tokens);
        let at = self.session.next_step(self.train.len(), self.batches.len(), &self.run.config.training);
        let learner = self.learner.take().ok_or(LearnError::Failed)?;
        let (learner, scores) = learner.step(rows.collect(), &targets, at)?;
        self.learner = Some(learner);
        Ok(scores)
    }

    fn record(&mut self, tally: Tally) -> Result<Option<EpochMetrics>, LearnError> {
        self.session.record(tally);
        if !self.session.tally.loss.is_finite() {
            self.learner = None;
            return Err(LearnError::NotFinite);
        }
        if self.session.step < self.batches.len() {
            return Ok(None);
        }
        self.current();
        let measured = measure(&self.run, &self.validation)?;
        let validation = measured.metrics(1.0);
        if !validation.loss.is_finite() {
            self.learner = None;
            return Err(LearnError::NotFinite);
        }
        let (epoch, is_best) = self.session.end_epoch(validation, None);
        if is_best {
            self.best = Some((self.run.model.clone(), measured.temperature()));
        }
        self.batches = self.batches_of_epoch();
        Ok(Some(epoch))
    }

    /// The run with the current weights.
    pub fn current(&mut self) -> &Run<S> {
        if let Some(learner) = &self.learner {
            self.run.model = learner.trained();
        }
        &self.run
    }

    /// The run with the weights of the best epoch and its temperature, or with the current weights if no epoch has
    /// ended.
    pub fn best(&self) -> Run<S> {
        let mut run = self.run.clone();
        match (&self.best, &self.learner) {
            (Some((model, temperature)), _) => (run.model, run.config.temperature) = (model.clone(), *temperature),
            (None, Some(learner)) => run.model = learner.trained(),
            (None, None) => {}
        }
        run
    }
}

/// How well a run does on texts that it was not trained on.
///
/// # Errors
///
/// [`RunError::Device`], or [`RunError::TooLong`] for a text that the model cannot read.
pub fn measure<S: EncoderSettings>(run: &Run<S>, split: &Split) -> Result<Measurement, RunError> {
    let rows: Vec<&[u32]> = split.rows.iter().map(Vec::as_slice).collect();
    let mut measured = Measurement::default();
    measured.add(&run.model, &rows, &split.targets, run.config.model.padding, run.pad_id(), &|_| {})?;
    Ok(measured)
}

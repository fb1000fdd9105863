//! From texts and labels in memory to a trained classifier, in one call.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use burn::tensor::Device;
use convlens_run::model::{EncoderConfig, EncoderSettings, ModelConfig};
use convlens_run::text::train;
use convlens_run::{EpochMetrics, Run, RunConfig, Task, TextConfig, TokenizerSource, TrainingConfig};

use crate::{LearnError, Preset, Split, Targets, Training, preset, shuffled};

/// Trains a classifier on texts with one label each, by the settings of a preset. Some of the texts are held out to
/// choose the best epoch by. [`Fit`] has options.
///
/// # Errors
///
/// [`LearnError`] if there is no such preset, or nothing to learn from.
pub fn fit<T: AsRef<str>, L: AsRef<str>>(texts: &[T], labels: &[L], preset: &str) -> Result<Run, LearnError> {
    Fit::preset(preset)?.run(texts, labels)
}

/// How far [`Fit::run_with`] is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The maximum number of epochs.
    pub epochs: usize,
    /// The number of steps that are done in this epoch.
    pub step: usize,
    /// The number of steps in this epoch.
    pub steps: usize,
    /// The metrics of the epoch, after its last step.
    pub ended: Option<&'a EpochMetrics>,
}

/// Settings for training on texts in memory, which start from a preset.
pub struct Fit<S: EncoderSettings = EncoderConfig> {
    preset: &'static Preset,
    text: TextConfig,
    model: Box<dyn Fn(usize, usize) -> ModelConfig<S>>,
    training: TrainingConfig,
    epochs: Option<usize>,
    validation: Option<(Vec<String>, Vec<String>)>,
    device: Device,
}

impl<S: EncoderSettings> fmt::Debug for Fit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Fit");
        fields.field("preset", &self.preset.name).field("text", &self.text).field("training", &self.training);
        fields.finish_non_exhaustive()
    }
}

impl Fit {
    /// The settings of a preset.
    ///
    /// # Errors
    ///
    /// [`LearnError::Preset`] if there is none of that name.
    pub fn preset(name: &str) -> Result<Self, LearnError> {
        let preset = preset(name)?;
        Ok(Self {
            preset,
            text: (preset.text)(),
            model: Box::new(preset.model),
            training: (preset.training)(),
            epochs: None,
            validation: None,
            device: Device::flex(),
        })
    }
}

impl<S: EncoderSettings> Fit<S> {
    /// Another encoder, which may be one of the caller's own. The other settings stay.
    pub fn encoder<T: EncoderSettings>(self, encoder: T) -> Fit<T> {
        let Self { preset, text, model, training, epochs, validation, device } = self;
        let model: Box<dyn Fn(usize, usize) -> ModelConfig<T>> =
            Box::new(move |vocab_size, outputs| model(vocab_size, outputs).with_encoder(encoder.clone()));
        Fit { preset, text, model, training, epochs, validation, device }
    }

    /// Changes settings of the model. The function may be called more than once.
    pub fn model(self, change: impl Fn(&mut ModelConfig<S>) + 'static) -> Self
    where
        S: 'static,
    {
        let model = self.model;
        let changed = move |vocab_size, outputs| {
            let mut model = model(vocab_size, outputs);
            change(&mut model);
            model
        };
        Self { model: Box::new(changed), ..self }
    }

    /// Changes settings of training, except the number of epochs.
    pub fn training(mut self, change: impl FnOnce(&mut TrainingConfig)) -> Self {
        change(&mut self.training);
        self
    }

    /// How texts become ids. The tokenizer must be one that is trained.
    pub fn text(self, text: TextConfig) -> Self {
        Self { text, ..self }
    }

    /// The seed of every random draw. The same seed, texts and settings give the same weights.
    pub fn seed(self, seed: u64) -> Self {
        self.training(|training| training.seed = seed)
    }

    /// The maximum number of epochs. Otherwise it is the preset's, or more if the texts are few.
    pub fn epochs(self, epochs: usize) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    /// Texts to choose the best epoch by. Otherwise some of the training texts are held out.
    pub fn validation<T: AsRef<str>, L: AsRef<str>>(self, texts: &[T], labels: &[L]) -> Self {
        let owned = |text: &str| text.to_owned();
        let texts = texts.iter().map(|text| owned(text.as_ref())).collect();
        let labels = labels.iter().map(|label| owned(label.as_ref())).collect();
        Self { validation: Some((texts, labels)), ..self }
    }

    /// The device to train on. Otherwise it is the CPU.
    pub fn device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Trains to the end.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin) and [`Training::step`].
    pub fn run<T: AsRef<str>, L: AsRef<str>>(self, texts: &[T], labels: &[L]) -> Result<Run<S>, LearnError> {
        self.run_with(texts, labels, |_| ControlFlow::Continue(()))
    }

    /// As [`run`](Self::run). After each step `on_step` is called, which can stop the training; the result then has the
    /// weights of the best epoch so far, or those of the last step if no epoch has ended.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_with<T: AsRef<str>, L: AsRef<str>>(
        self,
        texts: &[T],
        labels: &[L],
        mut on_step: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Run<S>, LearnError> {
        let mut training = self.begin(texts, labels)?;
        while !training.is_over() {
            let (epoch, steps) = (training.session().epoch, training.steps_in_epoch());
            let ended = training.step()?;
            let step = if ended.is_some() { steps } else { training.session().step };
            let epochs = training.config().training.epochs;
            if on_step(Progress { epoch, epochs, step, steps, ended: ended.as_ref() }).is_break() {
                break;
            }
        }
        Ok(training.best())
    }

    /// Trains a tokenizer, holds out texts for validation, and draws the first weights.
    ///
    /// # Errors
    ///
    /// [`LearnError`] if the numbers of texts and labels differ, there are fewer than two distinct labels or texts, the
    /// texts contain no words, or a setting is not possible.
    pub fn begin<T: AsRef<str>, L: AsRef<str>>(self, texts: &[T], labels: &[L]) -> Result<Training<S>, LearnError> {
        let Self { preset, text, model, mut training, epochs, validation, device } = self;
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        let names: BTreeSet<&str> = labels.iter().copied().collect();
        let names: Vec<&str> = names.into_iter().collect();
        let TokenizerSource::Trained(kind) = text.tokenizer else { return Err(LearnError::ForeignTokenizer) };
        if names.len() < 2 {
            return Err(LearnError::OneLabel(names.len()));
        }
        let tokenizer = train(kind, text.vocab_size, texts.iter().copied())?;
        let split = |texts: &[&str], labels: &[&str]| {
            if texts.len() != labels.len() {
                return Err(LearnError::LabelCount { texts: texts.len(), labels: labels.len() });
            }
            let index =
                |label: &&str| names.binary_search(label).map_err(|_| LearnError::UnknownLabel((*label).into()));
            let indices = labels.iter().map(index).collect::<Result<Vec<usize>, LearnError>>()?;
            Ok(Split { rows: tokenizer.encode_ids(texts)?, targets: Targets::Labels(indices) })
        };
        let all = split(&texts, &labels)?;
        let (train, validation) = match &validation {
            Some((texts, labels)) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                (all, split(&texts, &labels)?)
            }
            None => hold_out(&all, &training),
        };
        training.epochs = epochs.unwrap_or_else(|| preset.epochs(train.len(), training.batch_size));
        let vocab_size = tokenizer.vocab_size();
        let model = model(vocab_size, Task::Classify.outputs(names.len(), vocab_size));
        let labels = names.into_iter().map(String::from).collect();
        let mut config = RunConfig::new(preset.name, labels, text, model, training);
        (config.dataset.train, config.dataset.validation) = (train.len(), validation.len());
        Training::new(config, tokenizer, train, validation, device)
    }
}

/// Splits off texts for validation, at least one.
fn hold_out(all: &Split, training: &TrainingConfig) -> (Split, Split) {
    let shuffled = shuffled(all.len(), training.seed);
    let count = (all.len() as f64 * training.validation_fraction) as usize;
    let (validation, train) = shuffled.split_at(count.max(1).min(all.len()));
    (all.pick(train), all.pick(validation))
}

//! A model and its optimiser, and the step that both take together.

use std::borrow::Cow;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use convlens_run::TrainingConfig;
use convlens_run::model::{Batch, ConfigError, ModelConfig, Padding, TextModel};
use convlens_run::text::Tokenizer;

use crate::batches::{draws, drop_words, step_seed};
use crate::parameters::{parameters, with_parameters};
use crate::{Adam, cross_entropy};

/// A model in training.
#[derive(Debug)]
pub struct Learner {
    /// The model.
    pub model: TextModel,
    /// Its optimiser.
    pub adam: Adam,
    training: TrainingConfig,
    padding: Padding,
    pad_id: u32,
    unk_id: Option<u32>,
    /// With gradients recorded.
    device: Device,
}

/// Where training stands: what a step's random draws and its rate are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The step of the epoch, from 1.
    pub step: usize,
    /// How many steps were taken before this one, in all.
    pub done: usize,
    /// How many will have been taken in the end.
    pub steps: usize,
}

impl Learner {
    /// A model as it begins, on `device`: its weights are drawn on the CPU, so that they are the
    /// same on every device.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where the settings make no model.
    pub fn new(
        model: &ModelConfig,
        training: &TrainingConfig,
        tokenizer: &Tokenizer,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        let (cpu, device) = (Device::flex(), device.clone().autodiff());
        cpu.seed(training.seed);
        let drawn = parameters(&model.init(&cpu)?.materialize());
        let drawn = drawn.into_iter().map(|(name, data)| (name, data.iter::<f32>().collect())).collect();
        let begun = with_parameters(model.init(&device)?, drawn);
        Ok(Self {
            model: begun.unwrap_or_else(|path| unreachable!("{path} was drawn for the same model")),
            adam: Adam::new(training.adam_epsilon, training.weight_decay),
            training: training.clone(),
            padding: model.padding,
            pad_id: tokenizer.pad_id().unwrap_or(0),
            unk_id: tokenizer.unk_id(),
            device,
        })
    }

    /// Takes one step on texts, given as ids, and their labels. Given through by value, the weights
    /// change where they lie. Also the logits before the step, `[batch, outputs]`: who reads them
    /// knows the loss.
    pub fn step(mut self, mut rows: Vec<Cow<'_, [u32]>>, labels: &[usize], at: Moment) -> (Self, Tensor<2>) {
        let training = &self.training;
        // Dropout draws on the device, from the step's own seed.
        self.device.seed(step_seed(training.seed, at.epoch, at.step));
        if let Some(unk_id) = self.unk_id.filter(|_| training.word_dropout > 0.0) {
            let mut rng = draws(training.seed, at.epoch, at.step);
            rows.iter_mut().for_each(|ids| drop_words(ids.to_mut(), unk_id, training.word_dropout, &mut rng));
        }
        let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
        let batch = Batch::new(&rows, self.padding, self.pad_id, &self.device);
        let words = match training.sparse_embedding {
            true => Tensor::from_inner(self.model.rows(&batch).inner()).require_grad(),
            false => self.model.rows(&batch),
        };
        let logits = self.model.forward_rows(words.clone(), &batch);
        let mut gradients = cross_entropy(logits.clone(), labels, &self.device).backward();
        let left = 1.0 - at.done as f64 / at.steps as f64;
        let rate = if training.decay { training.learning_rate * left } else { training.learning_rate };
        let of_words = if training.sparse_embedding { words.grad_remove(&mut gradients) } else { None };
        self.model = self.adam.step(self.model, gradients, rate);
        if let Some(gradient) = of_words {
            self.model = self.adam.step_rows(self.model, batch.distinct.inner(), gradient, rate);
        }
        (self, logits.inner())
    }

    /// The model as it is, its gradients not recorded.
    pub fn trained(&self) -> TextModel {
        self.model.valid()
    }
}

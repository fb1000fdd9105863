//! Presets: named settings to begin from; a new one is a function here and a row of the table.

use convlens_run::model::{Activation, ConvConfig, EncoderConfig, LinearConvConfig, ModelConfig, Padding};
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource, TrainingConfig};

use crate::TrainError;

/// Named settings.
pub struct Preset {
    /// What `--preset` takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// How texts become ids.
    pub text: fn() -> TextConfig,
    /// The model for a vocabulary size and a number of outputs.
    pub model: fn(usize, usize) -> ModelConfig,
    /// How it is trained.
    pub training: fn() -> TrainingConfig,
    /// On small data it is trained for more epochs, until it has taken this many steps.
    pub min_steps: usize,
}

impl Preset {
    /// How many epochs it trains for on `texts` texts in batches of `batch_size`.
    pub fn epochs(&self, texts: usize, batch_size: usize) -> usize {
        let steps_an_epoch = texts.div_ceil(batch_size).max(1);
        (self.training)().epochs.max(self.min_steps.div_ceil(steps_an_epoch))
    }
}

/// Every preset; the first is the default.
pub const PRESETS: [Preset; 3] = [
    Preset {
        name: "default",
        summary: "one linear convolution, padding masked, texts of any length, regularised",
        text: words,
        model: |vocab_size, outputs| linear(vocab_size, outputs, Padding::Masked),
        training: regularised,
        min_steps: 1_500,
    },
    Preset {
        name: "seed",
        summary: "document A's model to the letter: 400 tokens, padded at the front and counted in the mean",
        text: words,
        model: |vocab_size, outputs| linear(vocab_size, outputs, Padding::Counted { length: 400 }),
        training: as_document_a,
        min_steps: 0,
    },
    Preset {
        name: "relu",
        summary: "as default, with bias and ReLU after the convolution",
        text: words,
        model: |vocab_size, outputs| ModelConfig {
            encoder: EncoderConfig::Conv(ConvConfig { filters: 128, kernel_size: 3, activation: Activation::Relu }),
            ..linear(vocab_size, outputs, Padding::Masked)
        },
        training: || TrainingConfig { weight_decay: 0.5, ..regularised() },
        min_steps: 1_500,
    },
];

/// The preset of that name.
///
/// # Errors
///
/// [`TrainError::UnknownPreset`] where there is none.
pub fn preset(name: &str) -> Result<&'static Preset, TrainError> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| TrainError::UnknownPreset {
        name: name.into(),
        known: PRESETS.each_ref().map(|preset| preset.name).join(", "),
    })
}

/// Document A: the 20,000 most frequent words.
fn words() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 }
}

/// Document A: 32 dimensions, 128 filters of width 3, no bias, no activation, N(0, 0.05).
fn linear(vocab_size: usize, outputs: usize, padding: Padding) -> ModelConfig {
    let encoder = LinearConvConfig { filters: 128, kernel_size: 3, init_std: 0.05 };
    ModelConfig { vocab_size, embedding: 32, init_std: 0.05, encoder: EncoderConfig::Linear(encoder), outputs, padding }
}

/// Document A's, with weight decay, word dropout, a rate that falls to zero, and an end when it no
/// longer helps.
fn regularised() -> TrainingConfig {
    TrainingConfig {
        epochs: 8,
        decay: true,
        word_dropout: 0.1,
        weight_decay: 3.0,
        patience: Some(3),
        ..as_document_a()
    }
}

/// Document A: Adam at 1e-3 with Keras's epsilon, batches of 32.
fn as_document_a() -> TrainingConfig {
    TrainingConfig {
        seed: 0,
        epochs: 3,
        batch_size: 32,
        learning_rate: 1e-3,
        decay: false,
        adam_epsilon: 1e-7,
        word_dropout: 0.0,
        weight_decay: 0.0,
        patience: None,
        validation_fraction: 0.1,
    }
}

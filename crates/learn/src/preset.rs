//! Presets: named settings to begin from; a new one is a function here and a row of the table.

use convlens_run::model::{
    Branch, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, EncoderConfig, GatedConfig, LayerConfig,
    LinearConvConfig, ModelConfig, OneHotConfig, Padding, PlainConfig, Pooling, RecurrentConfig, ResidualConfig,
};
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource, TrainingConfig};

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
pub const PRESETS: [Preset; 14] = [
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
            encoder: EncoderConfig::Conv(ConvConfig::new(128, &[3])),
            ..linear(vocab_size, outputs, Padding::Masked)
        },
        training: || TrainingConfig { weight_decay: 0.5, ..regularised() },
        min_steps: 1_500,
    },
    Preset {
        name: "conv",
        summary: "convolutions of 3, 4 and 5 words side by side, ReLU, the largest of each feature (Kim 2014)",
        text: || TextConfig { vocab_size: 30_000, ..punctuated() },
        // Kim's section 3.1: 300 dimensions, 100 filters of each width, dropout of a half, batches of 50.
        model: |vocab_size, outputs| ModelConfig {
            embedding: 300,
            init_std: 0.1,
            pooling: Pooling::Max,
            dropout: 0.5,
            ..stack(vocab_size, outputs, EncoderConfig::Conv(ConvConfig::new(100, &[3, 4, 5])))
        },
        training: || TrainingConfig { learning_rate: 5e-4, epochs: 10, ..of_rows() },
        min_steps: 1_500,
    },
    Preset {
        name: "best",
        summary: "filters over one-hot words, the largest of each (Johnson and Zhang 2015)",
        text: || TextConfig { vocab_size: 30_000, ..punctuated() },
        model: |vocab_size, outputs| one_hot(vocab_size, outputs, 500, &[2, 3]),
        training: || TrainingConfig { learning_rate: 2e-3, epochs: 12, ..of_rows() },
        min_steps: 1_500,
    },
    Preset {
        name: "plain",
        summary: "four convolutions one after the other",
        text: words,
        model: |vocab_size, outputs| {
            let downsampling = Downsampling::None;
            let plain = PlainConfig { hidden: HIDDEN, layers: 4, downsampling, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Plain(plain))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "residual",
        summary: "two residual blocks (He et al. 2016)",
        text: words,
        model: |vocab_size, outputs| {
            let branch = Branch::He;
            let residual = ResidualConfig { hidden: HIDDEN, blocks: 2, dilation_base: 1, branch, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Residual(residual))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "dense",
        summary: "four densely connected convolutions (Huang et al. 2017)",
        text: words,
        model: |vocab_size, outputs| {
            let dense = DenseConfig { growth: HIDDEN / 2, layers: 4, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Dense(dense))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "dilated",
        summary: "four residual blocks, dilated 1, 2, 4, 8 (TCN, Bai et al. 2018)",
        text: words,
        model: |vocab_size, outputs| {
            let branch = Branch::Tcn;
            let dilated = ResidualConfig { hidden: HIDDEN, blocks: 4, dilation_base: 2, branch, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Residual(dilated))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "bytenet",
        summary: "four residual blocks, normalised, dilated 1, 2, 4, 8 (ByteNet, Kalchbrenner et al. 2016)",
        text: words,
        model: |vocab_size, outputs| {
            let layer = LayerConfig { layer_norm: true, ..layer() };
            let bytenet = ByteNetConfig { hidden: HIDDEN, blocks: 4, dilation_base: 2, layer };
            stack(vocab_size, outputs, EncoderConfig::ByteNet(bytenet))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "gated",
        summary: "four gated units, dilated 1, 2, 4, 8, with skip connections (WaveNet)",
        text: words,
        model: |vocab_size, outputs| {
            let gated = GatedConfig { hidden: HIDDEN, units: 4, dilation_base: 2, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Gated(gated))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "lstm",
        summary: "long short-term memory, the baseline",
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Lstm(recurrent(false))),
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "bilstm",
        summary: "long short-term memory in both directions",
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Lstm(recurrent(true))),
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "gru",
        summary: "gated recurrent units",
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Gru(recurrent(false))),
        training: stacked,
        min_steps: 1_500,
    },
];

/// Johnson and Zhang 2015, section 2.1, in one layer: every word has weights of its own for every
/// filter and place.
fn one_hot(vocab_size: usize, outputs: usize, filters: usize, kernel_sizes: &[usize]) -> ModelConfig {
    let encoder = OneHotConfig { filters, kernel_sizes: kernel_sizes.to_vec() };
    ModelConfig {
        embedding: encoder.weights(),
        init_std: 0.01,
        encoder: EncoderConfig::OneHot(encoder),
        pooling: Pooling::Max,
        dropout: 0.5,
        ..linear(vocab_size, outputs, Padding::Masked)
    }
}

/// How many channels the stacks and the recurrent baselines have.
const HIDDEN: usize = 64;

fn layer() -> LayerConfig {
    LayerConfig { dropout: 0.1, ..LayerConfig::default() }
}

fn recurrent(bidirectional: bool) -> RecurrentConfig {
    RecurrentConfig { hidden: HIDDEN, bidirectional }
}

/// Embeddings as wide as the channels, masked padding, the mean of the predictions.
fn stack(vocab_size: usize, outputs: usize, encoder: EncoderConfig) -> ModelConfig {
    ModelConfig { embedding: HIDDEN, encoder, ..linear(vocab_size, outputs, Padding::Masked) }
}

/// As `regularised`, with less decay: an activation needs the size of its weights.
fn stacked() -> TrainingConfig {
    TrainingConfig { weight_decay: 0.1, epochs: 6, ..regularised() }
}

/// There is no preset of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preset is called {name:?} (known: {known})")]
pub struct UnknownPreset {
    name: String,
    known: String,
}

/// The preset of that name.
///
/// # Errors
///
/// [`UnknownPreset`] where there is none.
pub fn preset(name: &str) -> Result<&'static Preset, UnknownPreset> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| UnknownPreset {
        name: name.into(),
        known: PRESETS.each_ref().map(|preset| preset.name).join(", "),
    })
}

/// Document A: the 20,000 most frequent words.
fn words() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 }
}

/// Words and punctuation marks: how a review is shouted tells something too.
fn punctuated() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Punctuated), ..words() }
}

/// Document A: 32 dimensions, 128 filters of width 3, no bias, no activation, N(0, 0.05).
fn linear(vocab_size: usize, outputs: usize, padding: Padding) -> ModelConfig {
    let encoder = LinearConvConfig { filters: 128, kernel_size: 3, init_std: 0.05 };
    ModelConfig {
        vocab_size,
        embedding: 32,
        init_std: 0.05,
        encoder: EncoderConfig::Linear(encoder),
        outputs,
        padding,
        pooling: Pooling::Mean,
        dropout: 0.0,
    }
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

/// Only the words of a batch are moved, half of them read as unknown: for large embeddings, kept from
/// learning the texts by heart by what they do not see instead of by decay.
fn of_rows() -> TrainingConfig {
    TrainingConfig {
        batch_size: 50,
        sparse_embedding: true,
        weight_decay: 0.0,
        word_dropout: 0.5,
        validation_fraction: 0.05,
        ..regularised()
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
        sparse_embedding: false,
        patience: None,
        validation_fraction: 0.1,
        max_tokens: TrainingConfig::MAX_TOKENS,
    }
}

//! Presets: named settings to start from. To add one, add a row to the table.

use convlens_run::model::{
    Activation, AdaptiveConfig, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, EncoderConfig, GatedBranch,
    GatedConfig, IteratedConfig, LayerConfig, LexiconConfig, LinearConvConfig, ModelConfig, OneHotConfig, Padding,
    PlainStackConfig, Pooling, RecurrentConfig, ResidualBranch, ResidualConfig, SpellingConfig,
};
use convlens_run::text::TokenizerKind;
use convlens_run::{Task, TextConfig, TokenizerSource, TrainingConfig};

/// Named settings.
pub struct Preset {
    /// The name of the preset.
    pub name: &'static str,
    /// A description in one line.
    pub summary: &'static str,
    /// The task that it is made for.
    pub task: Task,
    /// How texts are turned into ids.
    pub text: fn() -> TextConfig,
    /// The model, from the size of the vocabulary and the number of outputs.
    pub model: fn(usize, usize) -> ModelConfig,
    /// How the model is trained.
    pub training: fn() -> TrainingConfig,
    /// On small data, the model is trained for more epochs, until it has taken this many steps.
    pub min_steps: usize,
}

impl Preset {
    /// The settings of the preset for a task. For tagging with a preset that is made for classifying, they are the
    /// preset's encoder over words and their spelling; none for a task that the preset cannot do.
    pub fn for_task(&'static self, task: Task) -> Option<Settings> {
        let model = move |vocab_size, outputs| (self.model)(vocab_size, outputs);
        match (self.task, task) {
            (Task::Classify, Task::Tag) => Some(Settings {
                text: words_of_sentences(),
                training: tagging(),
                min_steps: TAGGING_STEPS,
                model: Box::new(move |vocab_size, outputs| {
                    tagger(vocab_size, outputs, model(vocab_size, outputs).encoder)
                }),
            }),
            (own, task) if own == task => {
                let (text, training, min_steps) = ((self.text)(), (self.training)(), self.min_steps);
                Some(Settings { text, training, min_steps, model: Box::new(model) })
            }
            _ => None,
        }
    }

    /// The first preset that is made for a task.
    pub fn default_for(task: Task) -> &'static Self {
        PRESETS.iter().find(|preset| preset.task == task).unwrap_or(&PRESETS[0])
    }

    /// The number of epochs for `texts` texts in batches of `batch_size`, which counts as 1 if it is 0.
    pub fn epochs(&self, texts: usize, batch_size: usize) -> usize {
        epochs((self.training)().epochs, self.min_steps, texts, batch_size)
    }
}

/// The settings of a preset for a task.
pub struct Settings {
    /// How texts are turned into ids.
    pub text: TextConfig,
    /// The model, from the size of the vocabulary and the number of outputs.
    pub model: Box<dyn Fn(usize, usize) -> ModelConfig>,
    /// How the model is trained.
    pub training: TrainingConfig,
    /// See [`Preset::min_steps`].
    pub min_steps: usize,
}

impl Settings {
    /// The number of epochs for `texts` texts in batches of `batch_size`, which counts as 1 if it is 0.
    pub fn epochs(&self, texts: usize, batch_size: usize) -> usize {
        epochs(self.training.epochs, self.min_steps, texts, batch_size)
    }
}

/// So many epochs, or more until so many steps are taken.
fn epochs(epochs: usize, min_steps: usize, texts: usize, batch_size: usize) -> usize {
    let steps_per_epoch = texts.div_ceil(batch_size.max(1)).max(1);
    epochs.max(min_steps.div_ceil(steps_per_epoch))
}

/// All presets; the first of each task is its default.
pub const PRESETS: [Preset; 23] = [
    Preset {
        name: "default",
        summary: "a lexicon of words and phrases, with rules for negation, and a small convolution with max pooling",
        task: Task::Classify,
        text: || TextConfig { vocab_size: 20_000, ..contractions() },
        model: |vocab_size, outputs| ModelConfig {
            embedding: 16,
            init_std: 0.1,
            pooling: Pooling::Max,
            dropout: 0.5,
            shrinkage: 150.0,
            lexicon: Some(LexiconConfig { pairs: 1, words: 3, saturation: 500.0, encoder_share: 0.15 }),
            encoder: EncoderConfig::Conv(ConvConfig::new(32, &[3])),
            ..linear(vocab_size, outputs, Padding::Masked)
        },
        training: || TrainingConfig { learning_rate: 3e-3, epochs: 8, ..sparse() },
        min_steps: 1_500,
    },
    Preset {
        name: "linear",
        summary: "one linear convolution, masked padding, texts of any length, regularised",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| linear(vocab_size, outputs, Padding::Masked),
        // With more decay, a product of linear layers keeps a single direction.
        training: || TrainingConfig { learning_rate: 5e-4, word_dropout: 0.3, weight_decay: 1.0, ..regularised() },
        min_steps: 1_500,
    },
    Preset {
        name: "seed",
        summary: "Ben Bolte's model exactly: 400 tokens, padded at the front and counted in the mean",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| linear(vocab_size, outputs, Padding::Counted { length: 400 }),
        training: TrainingConfig::default,
        min_steps: 0,
    },
    Preset {
        name: "relu",
        summary: "linear with bias and ReLU after the convolution",
        task: Task::Classify,
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
        summary: "convolutions over 3, 4 and 5 words in parallel, ReLU, max pooling (Kim 2014)",
        task: Task::Classify,
        text: || TextConfig { vocab_size: 30_000, ..punctuated() },
        // Kim 2014, section 3.1: 300 dimensions, 100 filters of each width, dropout 0.5, batches of 50.
        model: |vocab_size, outputs| ModelConfig {
            embedding: 300,
            init_std: 0.1,
            pooling: Pooling::Max,
            dropout: 0.5,
            ..stack(vocab_size, outputs, EncoderConfig::Conv(ConvConfig::new(100, &[3, 4, 5])))
        },
        training: || TrainingConfig { learning_rate: 5e-4, epochs: 10, ..sparse() },
        min_steps: 1_500,
    },
    Preset {
        name: "best",
        summary: "filters over one-hot words, max pooling (Johnson and Zhang 2015), and a lexicon",
        task: Task::Classify,
        text: contractions,
        model: |vocab_size, outputs| ModelConfig {
            lexicon: Some(LexiconConfig { pairs: 1, words: 3, saturation: 500.0, encoder_share: 0.5 }),
            ..one_hot(vocab_size, outputs, 333, &[2, 3, 4])
        },
        training: || TrainingConfig {
            learning_rate: 2e-3,
            epochs: 10,
            patience: None,
            validation_fraction: 0.02,
            ..sparse()
        },
        min_steps: 1_500,
    },
    Preset {
        name: "plain",
        summary: "a stack of four convolutions",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| {
            let downsampling = Downsampling::None;
            let plain = PlainStackConfig { hidden: HIDDEN, layers: 4, downsampling, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Plain(plain))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "residual",
        summary: "two residual blocks (He et al. 2016)",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| {
            let branch = ResidualBranch::He;
            let residual = ResidualConfig { hidden: HIDDEN, blocks: 2, dilation_base: 1, branch, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Residual(residual))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "dense",
        summary: "four densely connected convolutions (Huang et al. 2017)",
        task: Task::Classify,
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
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| {
            let branch = ResidualBranch::Tcn;
            let dilated = ResidualConfig { hidden: HIDDEN, blocks: 4, dilation_base: 2, branch, layer: layer() };
            stack(vocab_size, outputs, EncoderConfig::Residual(dilated))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "bytenet",
        summary: "four residual blocks, normalised, dilated 1, 2, 4, 8 (ByteNet, Kalchbrenner et al. 2016)",
        task: Task::Classify,
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
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| {
            let gated = GatedConfig {
                hidden: HIDDEN,
                units: 4,
                dilation_base: 2,
                cycle: None,
                branch: GatedBranch::Skip,
                layer: layer(),
            };
            stack(vocab_size, outputs, EncoderConfig::Gated(gated))
        },
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "lstm",
        summary: "long short-term memory (LSTM), a recurrent baseline",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Lstm(recurrent(false))),
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "bilstm",
        summary: "long short-term memory (LSTM) in both directions",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Lstm(recurrent(true))),
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "gru",
        summary: "gated recurrent units (GRU)",
        task: Task::Classify,
        text: words,
        model: |vocab_size, outputs| stack(vocab_size, outputs, EncoderConfig::Gru(recurrent(false))),
        training: stacked,
        min_steps: 1_500,
    },
    Preset {
        name: "tagger",
        summary: "a residual block over words and their spelling (for tagging)",
        task: Task::Tag,
        text: words_of_sentences,
        model: |vocab_size, outputs| tagger(vocab_size, outputs, residual_block(0.2)),
        training: tagging,
        min_steps: TAGGING_STEPS,
    },
    Preset {
        name: "names",
        summary: "the same with a chain over the tags, and more dropout (for tagging spans)",
        task: Task::Tag,
        text: words_of_sentences,
        model: |vocab_size, outputs| ModelConfig {
            chain: true,
            dropout: 0.5,
            ..tagger(vocab_size, outputs, residual_block(0.4))
        },
        training: || TrainingConfig { epochs: 40, patience: None, ..tagging() },
        min_steps: TAGGING_STEPS,
    },
    Preset {
        name: "iterated",
        summary: "a block of dilated convolutions, applied three times (Strubell et al. 2017), and a chain (for tagging)",
        task: Task::Tag,
        text: words_of_sentences,
        model: |vocab_size, outputs| {
            let layer = LayerConfig { dropout: 0.15, ..LayerConfig::default() };
            let iterated = IteratedConfig { hidden: 256, dilations: vec![1, 2, 1], iterations: 3, layer };
            ModelConfig { chain: true, ..tagger(vocab_size, outputs, EncoderConfig::Iterated(iterated)) }
        },
        training: tagging,
        min_steps: TAGGING_STEPS,
    },
    Preset {
        name: "gated",
        summary: "eight gated residual units, dilated 1 to 32 (Dauphin et al. 2017), over characters (for language models)",
        task: Task::LanguageModel,
        text: characters,
        model: |vocab_size, outputs| {
            let gated = GatedConfig {
                hidden: 192,
                units: 8,
                dilation_base: 2,
                cycle: Some(6),
                branch: GatedBranch::Residual,
                layer: causal(0.3),
            };
            language_model(vocab_size, outputs, 64, EncoderConfig::Gated(gated))
        },
        training: || TrainingConfig { word_dropout: 0.05, weight_decay: 0.1, ..generating() },
        min_steps: 0,
    },
    Preset {
        name: "dilated",
        summary: "six residual blocks, dilated 1 to 32 (TCN), over characters (for language models)",
        task: Task::LanguageModel,
        text: characters,
        model: |vocab_size, outputs| {
            let (branch, layer) = (ResidualBranch::Tcn, causal(0.2));
            let dilated = ResidualConfig { hidden: 256, blocks: 6, dilation_base: 2, branch, layer };
            language_model(vocab_size, outputs, 64, EncoderConfig::Residual(dilated))
        },
        training: generating,
        min_steps: 0,
    },
    Preset {
        name: "bytenet",
        summary: "eight of ByteNet's decoder blocks, dilated 1 to 128, over characters (for language models)",
        task: Task::LanguageModel,
        text: characters,
        model: |vocab_size, outputs| {
            let bytenet = ByteNetConfig { hidden: 512, blocks: 8, dilation_base: 2, layer: causal(0.2) };
            language_model(vocab_size, outputs, 64, EncoderConfig::ByteNet(bytenet))
        },
        training: generating,
        min_steps: 0,
    },
    Preset {
        name: "lstm",
        summary: "long short-term memory (LSTM) over characters, a recurrent baseline (for language models)",
        task: Task::LanguageModel,
        text: characters,
        model: |vocab_size, outputs| {
            let encoder = EncoderConfig::Lstm(RecurrentConfig { hidden: 512, bidirectional: false });
            ModelConfig { dropout: 0.3, ..language_model(vocab_size, outputs, 64, encoder) }
        },
        training: || TrainingConfig { learning_rate: 2e-3, ..generating() },
        min_steps: 0,
    },
    Preset {
        name: "six-words",
        summary: "Ben Bolte's language model: 512 filters over six words, without activation (for language models)",
        task: Task::LanguageModel,
        text: punctuated,
        model: |vocab_size, outputs| {
            let linear = LayerConfig { activation: Activation::None, layer_norm: false, ..causal(0.0) };
            let layer = LayerConfig { kernel_size: 6, ..linear };
            let plain = PlainStackConfig { hidden: 512, layers: 1, downsampling: Downsampling::None, layer };
            let model = language_model(vocab_size, outputs, 128, EncoderConfig::Plain(plain));
            ModelConfig { adaptive: None, ..model }
        },
        training: generating,
        min_steps: 0,
    },
];

/// A language model. If it has many tokens, the rare ones are predicted in a cluster of their own, which takes a fraction
/// of the time.
fn language_model(vocab_size: usize, outputs: usize, embedding: usize, encoder: EncoderConfig) -> ModelConfig {
    let adaptive = (outputs >= MANY_TOKENS).then(|| AdaptiveConfig { cutoffs: vec![FREQUENT_TOKENS], factor: 4 });
    ModelConfig { embedding, init_std: 1.0, encoder, adaptive, ..linear(vocab_size, outputs, Padding::Masked) }
}

/// The number of tokens from which on rare ones have a cluster of their own.
const MANY_TOKENS: usize = 5_000;
/// How many tokens are not in that cluster; 86 % of the words and marks of reviews are these.
const FREQUENT_TOKENS: usize = 2_000;

/// A layer that sees no position after its own.
fn causal(dropout: f64) -> LayerConfig {
    LayerConfig { causal: true, dropout, layer_norm: true, ..LayerConfig::default() }
}

/// Adam with a step size that rises, then falls to zero, on windows.
fn generating() -> TrainingConfig {
    TrainingConfig {
        epochs: 16,
        batch_size: 8,
        window: Some(256),
        learning_rate: 4e-3,
        decay: true,
        warmup: 0.05,
        adam_epsilon: 1e-8,
        weight_decay: 0.01,
        patience: None,
        validation_fraction: 0.05,
        ..TrainingConfig::default()
    }
}

/// All characters that the texts have, but for the rarest if there are many.
fn characters() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::CasedCharacters), vocab_size: 1_000 }
}

/// Johnson and Zhang 2015, section 2.1, in one layer: every word has a weight for every filter and place.
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

/// The number of channels of the stacks and of the recurrent baselines.
const HIDDEN: usize = 64;

fn layer() -> LayerConfig {
    LayerConfig { dropout: 0.1, ..LayerConfig::default() }
}

fn recurrent(bidirectional: bool) -> RecurrentConfig {
    RecurrentConfig { hidden: HIDDEN, bidirectional }
}

/// Embeddings with as many dimensions as there are channels, masked padding, mean pooling.
fn stack(vocab_size: usize, outputs: usize, encoder: EncoderConfig) -> ModelConfig {
    ModelConfig { embedding: HIDDEN, encoder, ..linear(vocab_size, outputs, Padding::Masked) }
}

/// A tagger: words of 100 dimensions, and beside them their spelling under filters of three and five bytes (Ma and Hovy
/// 2016, section 2.1, have 30 filters of three characters).
fn tagger(vocab_size: usize, outputs: usize, encoder: EncoderConfig) -> ModelConfig {
    let spelling = SpellingConfig { embedding: 30, filters: 100, kernel_sizes: vec![3, 5] };
    ModelConfig {
        embedding: 100,
        init_std: 0.1,
        dropout: 0.33,
        spelling: Some(spelling),
        encoder,
        ..linear(vocab_size, outputs, Padding::Masked)
    }
}

/// A residual block of 192 channels, which sees two words to each side.
fn residual_block(dropout: f64) -> EncoderConfig {
    let (branch, layer) = (ResidualBranch::He, LayerConfig { dropout, ..LayerConfig::default() });
    EncoderConfig::Residual(ResidualConfig { hidden: 192, blocks: 1, dilation_base: 1, branch, layer })
}

/// The words of tagged sentences, which are split already.
fn words_of_sentences() -> TextConfig {
    TextConfig { vocab_size: 50_000, ..contractions() }
}

/// On small data, a tagger is trained for more epochs, until it has taken this many steps.
const TAGGING_STEPS: usize = 3_000;

/// Adam with a step size that rises, then falls to zero.
fn tagging() -> TrainingConfig {
    TrainingConfig {
        epochs: 12,
        learning_rate: 2e-3,
        decay: true,
        warmup: 0.2,
        adam_epsilon: 1e-8,
        word_dropout: 0.25,
        weight_decay: 0.01,
        sparse_embedding: true,
        patience: Some(8),
        ..TrainingConfig::default()
    }
}

/// [`regularised`] with fewer epochs.
fn stacked() -> TrainingConfig {
    TrainingConfig { epochs: 6, ..regularised() }
}

/// There is no preset with that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preset is called {name:?} (known: {known})")]
pub struct UnknownPreset {
    name: String,
    known: String,
}

/// The first preset with that name.
///
/// # Errors
///
/// [`UnknownPreset`] if there is none; its message lists the names.
pub fn preset(name: &str) -> Result<&'static Preset, UnknownPreset> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let is_first =
            |(index, preset): &(usize, &Preset)| PRESETS[..*index].iter().all(|other| other.name != preset.name);
        let names = PRESETS.iter().enumerate().filter(is_first).map(|(_, preset)| preset.name);
        UnknownPreset { name: name.into(), known: names.collect::<Vec<_>>().join(", ") }
    })
}

/// The preset with that name that is made for a task, or else the first with that name.
///
/// # Errors
///
/// As [`preset`].
pub fn preset_for(name: &str, task: Task) -> Result<&'static Preset, UnknownPreset> {
    let is_it = |preset: &&Preset| preset.name == name && preset.task == task;
    PRESETS.iter().find(is_it).map_or_else(|| preset(name), Ok)
}

/// The 20,000 most frequent words, as in Ben Bolte's model.
fn words() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 }
}

/// Words and punctuation marks, which carry sentiment too.
fn punctuated() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Punctuated), ..words() }
}

/// Words, punctuation marks and the parts of contractions, so that *n't* is a word.
fn contractions() -> TextConfig {
    TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Contractions), vocab_size: 30_000 }
}

/// Ben Bolte's model: 32 dimensions, 128 filters of width 3, no bias, no activation, weights drawn with
/// standard deviation 0.05.
fn linear(vocab_size: usize, outputs: usize, padding: Padding) -> ModelConfig {
    let encoder = LinearConvConfig { filters: 128, kernel_size: 3, init_std: 0.05 };
    ModelConfig { padding, ..ModelConfig::new(vocab_size, EncoderConfig::Linear(encoder), outputs) }
}

/// Ben Bolte's training with weight decay, word dropout, a learning rate that falls to zero, and early
/// stopping.
fn regularised() -> TrainingConfig {
    TrainingConfig {
        epochs: 8,
        decay: true,
        word_dropout: 0.1,
        weight_decay: 0.1,
        patience: Some(3),
        ..TrainingConfig::default()
    }
}

/// For large embeddings: each step updates only the words of its batch. Overfitting is prevented by word
/// dropout, which replaces half of the words by the unknown token, instead of weight decay.
fn sparse() -> TrainingConfig {
    TrainingConfig {
        batch_size: 50,
        sparse_embedding: true,
        weight_decay: 0.0,
        word_dropout: 0.5,
        validation_fraction: 0.05,
        ..regularised()
    }
}

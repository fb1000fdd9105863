//! `config.json`: the settings that rebuild the model and repeat the run.

use std::fmt;
use std::path::{Path, PathBuf};

use convlens_model::{EncoderConfig, EncoderSettings, ModelConfig, Padding};
use convlens_phrases::files::parse_config;
use convlens_phrases::settings::{check, check_classifier, check_temperature, uncalibrated};
use convlens_phrases::{FORMAT, PhrasesError, PredictionSettings, calibrated_probabilities, output_names, outputs_for};
use convlens_text::TokenizerKind;
use serde::{Deserialize, Serialize};

use crate::folder::json_lines;
use crate::{EpochMetrics, MAX_VECTOR_DIMENSIONS, RunError};

/// The most ids, positions or epochs that a setting may ask for.
const MOST: usize = i32::MAX as usize;
/// The maximum number of values of all word vectors.
const MOST_VECTOR_VALUES: usize = 1 << 28;

/// The version of Burn that this crate is built with. A test compares it with `Cargo.lock`.
pub const BURN_VERSION: &str = "0.22.1";

/// What the model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Task {
    /// One label per text.
    Classify,
    /// One label per word.
    Tag,
    /// The next token of a text.
    #[serde(rename = "lm")]
    LanguageModel,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Classify, Self::Tag, Self::LanguageModel];

    /// The name of the task, as in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Tag => "tag",
            Self::LanguageModel => "lm",
        }
    }

    /// The number of outputs of a model with so many labels and ids.
    pub fn outputs(self, labels: usize, vocab_size: usize) -> usize {
        match self {
            Self::Classify => outputs_for(labels),
            Self::Tag => labels,
            Self::LanguageModel => vocab_size,
        }
    }

    /// What its models do, as a verb: *classify*.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Classify => "classify texts",
            Self::Tag => "tag words",
            Self::LanguageModel => "generate texts",
        }
    }
}

impl fmt::Display for Task {
    /// What a run does: *classifies*.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classify => "classifies texts",
            Self::Tag => "tags words",
            Self::LanguageModel => "generates texts",
        })
    }
}

/// The settings that rebuild the model and repeat the run, and the temperature of its probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RunConfig<S: EncoderSettings = EncoderConfig> {
    /// The version of the run folder's layout.
    pub format: u32,
    /// The version of convlens that wrote it.
    pub convlens: String,
    /// The version of Burn that trained it.
    pub burn: String,
    /// What the model does.
    pub task: Task,
    /// The preset that the settings started from.
    pub preset: String,
    /// The labels, in the order of the model's outputs; of a language model those that a text is generated for, if there
    /// are any.
    pub labels: Vec<String>,
    /// The data that it was trained on.
    pub dataset: DatasetConfig,
    /// How texts become ids.
    pub text: TextConfig,
    /// The model.
    pub model: ModelConfig<S>,
    /// How it was trained.
    pub training: TrainingConfig,
    /// The word vectors that training starts from, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<VectorsConfig>,
    /// The vectors of the words and phrases of its lexicon, if they have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lexicon_vectors: Option<LexiconVectorsConfig>,
    /// The runs that label further texts for it, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherConfig>,
    /// The number that logits are divided by before they become probabilities, fitted on the validation
    /// split; see [`fit_temperature`](crate::fit_temperature). It is 1 until training has ended.
    #[serde(default = "uncalibrated")]
    pub temperature: f64,
}

impl<S: EncoderSettings> RunConfig<S> {
    /// Reads `config.json`, whose path is `path`.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Newer`] if a newer version wrote it, [`PhrasesError::Config`] if it is not JSON, a
    /// setting is missing or [`check`](Self::check) refuses one.
    pub(crate) fn from_json(json: &[u8], path: &Path) -> Result<Self, RunError> {
        let json = parse_config(json, path)?;
        let invalid = |error: &dyn ToString| PhrasesError::Config { path: path.into(), message: error.to_string() };
        let config: Self = serde_json::from_value(json).map_err(|error| invalid(&error))?;
        config.check().map_err(|error| invalid(&error))?;
        Ok(config)
    }

    /// The settings of a classifier that is trained on texts in memory. For another task, change the field.
    pub fn new(
        preset: &str,
        labels: Vec<String>,
        text: TextConfig,
        model: ModelConfig<S>,
        training: TrainingConfig,
    ) -> Self {
        Self {
            format: FORMAT,
            convlens: env!("CARGO_PKG_VERSION").into(),
            burn: BURN_VERSION.into(),
            task: Task::Classify,
            preset: preset.into(),
            labels,
            dataset: DatasetConfig::in_memory(),
            text,
            model,
            training,
            vectors: None,
            lexicon_vectors: None,
            teacher: None,
            temperature: uncalibrated(),
        }
    }

    /// Checks that a model can be built, trained and read with these settings.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Setting`] or [`RunError::Model`], naming the setting and what it must be.
    pub fn check(&self) -> Result<(), RunError> {
        let Self { labels, model, .. } = self;
        if self.task == Task::LanguageModel {
            check_temperature(self.temperature)?;
        } else {
            check_classifier(labels, model.vocab_size, model.outputs, model.padding, self.temperature)?;
        }
        self.check_task()?;
        let vocab_size = self.text.vocab_size;
        check("text.vocab_size", vocab_size, (1..=MOST).contains(&vocab_size), "from 1 to 2^31 - 1")?;
        model.check()?;
        if let Some(vectors) = &self.vectors {
            let VectorsConfig { dimensions, epochs, .. } = *vectors;
            let are_dimensions = (1..=MAX_VECTOR_DIMENSIONS).contains(&dimensions);
            check("vectors.dimensions", dimensions, are_dimensions, "from 1 to 4096")?;
            let is_small = model.vocab_size <= MOST_VECTOR_VALUES / dimensions;
            check("vectors.dimensions", dimensions, is_small, "less: times vocab_size, at most 2^28")?;
            check("vectors.epochs", epochs, (1..=MOST).contains(&epochs), "from 1 to 2^31 - 1")?;
        }
        if let Some(LexiconVectorsConfig { texts, dimensions, epochs, .. }) = self.lexicon_vectors {
            let are_dimensions = (1..=MAX_VECTOR_DIMENSIONS).contains(&dimensions);
            check("lexicon_vectors.dimensions", dimensions, are_dimensions, "from 1 to 4096")?;
            let is_small = (1..=MOST_VECTOR_VALUES / dimensions).contains(&texts);
            check("lexicon_vectors.texts", texts, is_small, "from 1; times the dimensions, at most 2^28")?;
            check("lexicon_vectors.epochs", epochs, (1..=MOST).contains(&epochs), "from 1 to 2^31 - 1")?;
            check("lexicon_vectors", "given", model.lexicon.is_some(), "null: the model has no lexicon")?;
        }
        if let Some(TeacherConfig { runs, texts, .. }) = &self.teacher {
            check("teacher.runs", runs.len(), !runs.is_empty(), "one run or more")?;
            check("teacher.texts", *texts, (1..=MOST).contains(texts), "from 1 to 2^31 - 1")?;
            let is_classifier = self.task == Task::Classify;
            check("teacher", "given", is_classifier, "null: only classifiers have one")?;
        }
        self.training.check()
    }

    /// Checks that the model has what its task needs, and nothing that only other tasks have.
    fn check_task(&self) -> Result<(), RunError> {
        let model = &self.model;
        let is_tagger = self.task == Task::Tag;
        let outputs = self.task.outputs(self.labels.len(), model.vocab_size);
        check("model.outputs", model.outputs, !is_tagger || model.outputs == outputs, "the number of labels")?;
        let is_language_model = self.task == Task::LanguageModel;
        let conditions = model.conditions;
        check(
            "model.conditions",
            conditions,
            is_language_model || conditions == 0,
            "0: only language models have some",
        )?;
        if is_language_model {
            check("model.outputs", model.outputs, model.outputs == outputs, "model.vocab_size for a language model")?;
            check("model.conditions", conditions, conditions == self.labels.len(), "the number of labels")?;
            let sees_ahead = model.encoder.receptive_field().right > 0;
            check("model.encoder", "one that sees the next token", !sees_ahead, "causal for a language model")?;
        }
        let is_divided = model.adaptive.is_some();
        check("model.adaptive", "given", is_language_model || !is_divided, "null: only language models have it")?;
        let fits = |is_given: bool| is_tagger || !is_given;
        check("model.spelling", "given", fits(model.spelling.is_some()), "null: only taggers read spellings")?;
        check("model.chain", model.chain, fits(model.chain), "false: only taggers have one")?;
        if self.task != Task::Classify {
            let predicts_everywhere = model.encoder.stride() == 1 && model.padding == Padding::Masked;
            check("model.encoder", "with a stride or counted padding", predicts_everywhere, "one position per token")?;
            check("model.lexicon", "given", model.lexicon.is_none(), "null: only classifiers have one")?;
        }
        Ok(())
    }

    /// Refuses the settings of a run that is no classifier.
    ///
    /// # Errors
    ///
    /// [`RunError::Task`].
    pub fn require_classifier(&self) -> Result<(), RunError> {
        match self.task {
            Task::Classify => Ok(()),
            task => Err(RunError::Task { task, expected: Task::Classify }),
        }
    }

    /// The number of tokens of the windows that texts are cut into in training, if the model is a language model.
    pub fn window(&self) -> Option<usize> {
        let window = self.training.window.unwrap_or(TrainingConfig::WINDOW);
        (self.task == Task::LanguageModel).then_some(window)
    }

    /// Whether a language model has learned where texts end. One that was trained on a part of a single text has not.
    pub fn knows_ends(&self) -> bool {
        self.dataset.train != 1
    }

    /// Every label's calibrated probability, from the logits of a text.
    pub fn probabilities<T: Copy + Into<f64>>(&self, logits: &[T]) -> Vec<f64> {
        calibrated_probabilities(logits, self.temperature)
    }

    /// These settings with only the names of the user's files in place of their paths, to be published.
    pub fn without_paths(&self) -> Self {
        let mut config = self.clone();
        config.dataset.name = self.dataset.short_name();
        if let Some(file) = &mut config.dataset.file {
            file.path = file_name(&file.path);
            file.validation = file.validation.as_deref().map(file_name);
            file.test = file.test.as_deref().map(file_name);
        }
        if let TokenizerSource::File(path) = &mut config.text.tokenizer {
            *path = file_name(path);
        }
        if let Some(path) = config.vectors.as_mut().and_then(|vectors| vectors.source.path_mut()) {
            *path = file_name(path);
        }
        if let Some(path) = config.lexicon_vectors.as_mut().and_then(LexiconVectorsConfig::path_mut) {
            *path = file_name(path);
        }
        if let Some(teacher) = &mut config.teacher {
            teacher.runs.iter_mut().chain(teacher.source.path_mut()).for_each(|path| *path = file_name(path));
        }
        config
    }

    /// The names of the logits. With two labels there is one logit, the second label's.
    pub fn outputs(&self) -> &[String] {
        output_names(&self.labels, self.model.outputs)
    }

    /// What a prediction needs to know.
    pub(crate) fn prediction(&self) -> PredictionSettings<'_> {
        PredictionSettings {
            labels: &self.labels,
            outputs: self.outputs(),
            temperature: self.temperature,
            padding: self.model.padding,
            field: self.model.receptive_field(),
            stride: self.model.encoder.stride(),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        json_lines(self).unwrap_or_else(|error| unreachable!("settings are JSON: {error}"))
    }
}

/// The data that a run was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// The name of a known data set, or a file's path.
    pub name: String,
    /// How to read the file again; none for a known data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileConfig>,
    /// The commit of its repository on the Hugging Face Hub, if it comes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// A digest of every text and label.
    pub fingerprint: String,
    /// The number of examples in the training split.
    pub train: usize,
    /// The number of examples held out from the training data to choose the epoch by.
    pub validation: usize,
    /// The number of examples in the test split.
    pub test: usize,
}

impl DatasetConfig {
    /// Texts that a program has in memory, of which nothing else is known.
    fn in_memory() -> Self {
        let (name, fingerprint) = ("texts in memory".into(), String::new());
        Self { name, file: None, revision: None, fingerprint, train: 0, validation: 0, test: 0 }
    }

    /// The name, of a file without its folder.
    pub(crate) fn short_name(&self) -> String {
        match &self.file {
            Some(_) => file_name(Path::new(&self.name)).to_string_lossy().into_owned(),
            None => self.name.clone(),
        }
    }
}

/// How a file of the user's is read. `config.json` holds the names of the files without their folders;
/// the paths stay in `checkpoints/paths.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileConfig {
    /// The file: CSV, TSV, Parquet or JSON Lines.
    pub path: PathBuf,
    /// The file of the validation split; if there is none, the split is cut from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// The file of the test split; if there is none, the split is cut from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels.
    pub label_column: String,
    /// Whether quotation marks in CSV and TSV files are part of the text, and do not enclose fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_quotes: bool,
    /// New names for labels, each as `FILE_LABEL=MODEL_LABEL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub label_map: Vec<String>,
}

/// How texts become ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Where the tokenizer comes from.
    pub tokenizer: TokenizerSource,
    /// The maximum number of ids that a trained tokenizer may have; `tokenizer.json` may hold fewer.
    pub vocab_size: usize,
}

/// Where a tokenizer comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerSource {
    /// It is trained on the training split.
    Trained(TokenizerKind),
    /// It is the user's `tokenizer.json` at this path.
    File(PathBuf),
}

/// Word vectors that are learned before the model, from texts without labels and from the training split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorsConfig {
    /// Where the texts, or the vectors, come from.
    pub source: VectorsSource,
    /// The number of texts that the vectors are learned from, those of the training split included; 0 if they come from
    /// a file of vectors.
    pub texts: usize,
    /// The number of dimensions of a vector.
    pub dimensions: usize,
    /// The number of passes over the texts.
    pub epochs: usize,
}

impl VectorsConfig {
    /// The default of [`dimensions`](Self::dimensions).
    pub const DIMENSIONS: usize = 300;
    /// The default of [`epochs`](Self::epochs).
    pub const EPOCHS: usize = 6;
}

/// Vectors of the words and phrases of a lexicon, learned before the model from the texts that they are in: those of the
/// training split and others. In training, what the labels teach of one carries over to similar ones; the trained model
/// has plain scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LexiconVectorsConfig {
    /// Where texts without labels come from, if there are others than those that teachers label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TextsSource>,
    /// The number of texts that the vectors are learned from, those of the training split included.
    pub texts: usize,
    /// The number of dimensions of a vector.
    pub dimensions: usize,
    /// The number of passes over the texts.
    pub epochs: usize,
}

impl LexiconVectorsConfig {
    /// The default of [`dimensions`](Self::dimensions).
    pub const DIMENSIONS: usize = 100;
    /// The default of [`epochs`](Self::epochs).
    pub const EPOCHS: usize = 10;

    /// The user's file, to be changed.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        self.source.as_mut()?.path_mut()
    }

    /// What they are learned from, in words.
    pub fn in_words(&self) -> String {
        format!("{} dimensions, learned from {} texts", self.dimensions, self.texts)
    }
}

/// Where word vectors come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VectorsSource {
    /// A file of word2vec or GloVe, whose vectors are used as they are.
    Vectors(PathBuf),
    /// Another run, whose vectors are used as they are.
    Run(PathBuf),
    /// Texts without labels, which they are learned from.
    #[serde(untagged)]
    Texts(TextsSource),
}

impl VectorsSource {
    /// The file or run of the user's.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Vectors(path) | Self::Run(path) => Some(path),
            Self::Texts(source) => source.path(),
        }
    }

    /// As [`path`](Self::path), to be changed.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Vectors(path) | Self::Run(path) => Some(path),
            Self::Texts(source) => source.path_mut(),
        }
    }
}

/// Where texts without labels come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextsSource {
    /// The unlabelled texts of a known data set.
    Dataset(String),
    /// A column of the user's file.
    File {
        /// The file.
        path: PathBuf,
        /// The column.
        text_column: String,
    },
}

impl TextsSource {
    /// The file of the user's.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Dataset(_) => None,
            Self::File { path, .. } => Some(path),
        }
    }

    /// As [`path`](Self::path), to be changed.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Dataset(_) => None,
            Self::File { path, .. } => Some(path),
        }
    }
}

/// Trained runs that label texts for a run to be trained on, beside texts that have labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherConfig {
    /// The runs. The mean of their probabilities is what is learned.
    pub runs: Vec<PathBuf>,
    /// Where the texts come from.
    pub source: TextsSource,
    /// The number of texts.
    pub texts: usize,
}

impl TeacherConfig {
    /// What the texts are, in words, with the names of the runs and without their paths.
    pub fn in_words(&self) -> String {
        let runs: Vec<String> = self.runs.iter().map(|path| file_name(path).display().to_string()).collect();
        format!("{} texts, labelled by {}", self.texts, runs.join(", "))
    }
}

/// How a run is trained. The same settings and data give the same weights on the CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// The seed of every random draw.
    pub seed: u64,
    /// The maximum number of passes over the training split.
    pub epochs: usize,
    /// Texts per step.
    pub batch_size: usize,
    /// The number of tokens of the windows that texts are cut into in training; only language models have windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Adam's initial step size (Kingma and Ba 2015).
    pub learning_rate: f64,
    /// Whether the step size falls linearly to zero over the epochs.
    pub decay: bool,
    /// The share of the steps in which the step size first rises linearly from zero.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warmup: f64,
    /// Adam's term for numerical stability.
    pub adam_epsilon: f32,
    /// The probability that a word of a training text is replaced by the unknown word.
    pub word_dropout: f64,
    /// Whether each step updates only the embeddings of the words in its batch, and their moments, as
    /// PyTorch's SparseAdam does: for tables that are too large to be updated as a whole.
    #[serde(default)]
    pub sparse_embedding: bool,
    /// Decoupled weight decay (Loshchilov and Hutter 2019): each step shrinks the weights by this
    /// number times the step size.
    pub weight_decay: f32,
    /// The share that each step keeps of the exponential moving average of the weights (Kingma and Ba 2015, section 7.2),
    /// which is then the trained model; 0 for the weights of the last step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ema_decay: f64,
    /// Training stops after this many epochs without a better validation loss; none: never.
    pub patience: Option<usize>,
    /// The share of the training data that is held out to choose the epoch by.
    pub validation_fraction: f64,
    /// How many tokens of a text training reads, from its beginning. Counted padding has a length of
    /// its own, and ignores it.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: usize,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn default_max_tokens() -> usize {
    TrainingConfig::MAX_TOKENS
}

impl Default for TrainingConfig {
    /// Ben Bolte's training: three epochs of Adam with learning rate 1e-3 and Keras's epsilon, in batches of 32, without
    /// regularisation.
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 3,
            batch_size: 32,
            window: None,
            learning_rate: 1e-3,
            decay: false,
            warmup: 0.0,
            adam_epsilon: 1e-7,
            word_dropout: 0.0,
            weight_decay: 0.0,
            ema_decay: 0.0,
            sparse_embedding: false,
            patience: None,
            validation_fraction: 0.1,
            max_tokens: Self::MAX_TOKENS,
        }
    }
}

impl TrainingConfig {
    /// The default of [`max_tokens`](Self::max_tokens): some 300 KB of English words.
    pub const MAX_TOKENS: usize = 1 << 16;

    /// The default of [`window`](Self::window).
    pub const WINDOW: usize = 256;

    /// Checks that a model can be trained with these settings.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Setting`], naming the setting and what it must be.
    pub fn check(&self) -> Result<(), RunError> {
        let Self { epochs, batch_size, learning_rate, adam_epsilon, word_dropout, .. } = *self;
        let Self { weight_decay, patience, validation_fraction, max_tokens, .. } = *self;
        check("training.epochs", epochs, (1..=MOST).contains(&epochs), "from 1 to 2^31 - 1")?;
        check("training.batch_size", batch_size, (1..=MOST).contains(&batch_size), "from 1 to 2^31 - 1")?;
        let window = self.window.unwrap_or(1);
        check("training.window", window, (1..=MOST).contains(&window), "from 1 to 2^31 - 1, or null")?;
        let is_rate = learning_rate.is_finite() && learning_rate > 0.0;
        check("training.learning_rate", learning_rate, is_rate, "a finite number above 0")?;
        let warmup = self.warmup;
        check("training.warmup", warmup, (0.0..1.0).contains(&warmup), "0 or more and below 1")?;
        let is_epsilon = adam_epsilon.is_finite() && adam_epsilon > 0.0;
        check("training.adam_epsilon", adam_epsilon, is_epsilon, "a finite number above 0")?;
        check("training.word_dropout", word_dropout, (0.0..1.0).contains(&word_dropout), "0 or more and below 1")?;
        let is_decay = weight_decay.is_finite() && weight_decay >= 0.0;
        check("training.weight_decay", weight_decay, is_decay, "a finite number, 0 or more")?;
        let ema_decay = self.ema_decay;
        check("training.ema_decay", ema_decay, (0.0..1.0).contains(&ema_decay), "0 or more and below 1")?;
        check("training.patience", patience.unwrap_or(1), patience != Some(0), "1 or more, or null")?;
        let is_share = validation_fraction > 0.0 && validation_fraction < 1.0;
        check("training.validation_fraction", validation_fraction, is_share, "above 0 and below 1")?;
        Ok(check("training.max_tokens", max_tokens, max_tokens > 0, "1 or more")?)
    }

    /// The step size relative to [`learning_rate`](Self::learning_rate), after `done` of all `steps`.
    pub fn relative_rate(&self, done: usize, steps: usize) -> f64 {
        let share = done as f64 / steps.max(1) as f64;
        if share < self.warmup {
            // The first step counts too.
            return (done + 1) as f64 / (self.warmup * steps as f64).max((done + 1) as f64);
        }
        if self.decay { (1.0 - share) / (1.0 - self.warmup) } else { 1.0 }
    }

    /// Whether training is over after these epochs: it has reached the most epochs, or has waited for
    /// a better one as long as [`patience`](Self::patience) says.
    pub fn is_over(&self, history: &[EpochMetrics]) -> bool {
        let best = EpochMetrics::best(history).map_or(0, |best| best.epoch);
        let since_best = history.len().saturating_sub(best);
        history.len() >= self.epochs || self.patience.is_some_and(|patience| since_best >= patience)
    }
}

/// The part of a path after the last separator of any system: a run may come from another one. The address of a file on
/// the Hugging Face Hub stays whole, because it is the same everywhere.
pub(crate) fn file_name(path: &Path) -> PathBuf {
    if path.to_string_lossy().starts_with("hf://") {
        return path.into();
    }
    path.to_string_lossy().rsplit(['/', '\\']).next().unwrap_or_default().into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::run;
    use convlens_model::{ConvConfig, EncoderConfig, Padding};
    use serde_json::json;

    /// A file of a user's, with a file of its own for the test split.
    pub(crate) fn file() -> FileConfig {
        FileConfig {
            path: "/home/me/reviews.csv".into(),
            validation: None,
            test: Some("/home/me/held-out.csv".into()),
            text_column: "text".into(),
            label_column: "label".into(),
            label_map: vec![],
            no_quotes: false,
        }
    }

    fn config() -> RunConfig {
        run(EncoderConfig::Conv(ConvConfig::new(2, &[3])), Padding::Masked).config
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let cases = [
            ("/labels", json!([]), "labels is []"),
            ("/labels", json!(["a"]), "labels is [\"a\"]"),
            ("/labels", json!(["a", "b", "b"]), "\"b\" twice"),
            ("/labels", json!(["a", "b"]), "model.outputs is 3 for 2 labels"),
            ("/model/outputs", json!(1), "model.outputs is 1 for 3 labels"),
            ("/model/vocab_size", json!(1_000_000_000_000_000_000u64), "model.vocab_size is 1000000000000000000"),
            ("/text/vocab_size", json!(0), "text.vocab_size is 0"),
            (
                "/model/padding",
                json!({ "counted": { "length": 1u64 << 40 } }),
                "padding.counted.length is 1099511627776",
            ),
            ("/model/embedding", json!(0), "embedding must be 1 or more, but is 0"),
            ("/temperature", json!(0), "temperature is 0; it must be from 0.01 to 100"),
            ("/training/epochs", json!(0), "training.epochs is 0"),
            ("/training/batch_size", json!(0), "training.batch_size is 0"),
            ("/training/learning_rate", json!(-1), "training.learning_rate is -1"),
            ("/training/adam_epsilon", json!(-1), "training.adam_epsilon is -1"),
            ("/training/word_dropout", json!(7), "training.word_dropout is 7"),
            ("/training/weight_decay", json!(-0.5), "training.weight_decay is -0.5"),
            ("/training/patience", json!(0), "training.patience is 0"),
            (
                "/training/validation_fraction",
                json!(5),
                "training.validation_fraction is 5; it must be above 0 and below 1",
            ),
        ];
        for (pointer, value, expected) in cases {
            let mut json = serde_json::to_value(config()).expect("JSON");
            *json.pointer_mut(pointer).expect("a setting") = value;
            let read =
                RunConfig::<EncoderConfig>::from_json(json.to_string().as_bytes(), Path::new("runs/r/config.json"));
            let error = read.expect_err(pointer).to_string();
            assert!(error.starts_with("runs/r/config.json: ") && error.contains(expected), "{error}");
        }
        config().check().expect("valid");
    }

    #[test]
    fn the_step_size_rises_and_falls() {
        let rate = |warmup, decay, done| {
            TrainingConfig { warmup, decay, ..TrainingConfig::default() }.relative_rate(done, 100)
        };
        assert_eq!(
            [rate(0.0, false, 0), rate(0.0, false, 99), rate(0.0, true, 0), rate(0.0, true, 50)],
            [1.0, 1.0, 1.0, 0.5]
        );
        assert_eq!(
            [rate(0.2, true, 0), rate(0.2, true, 9), rate(0.2, true, 20), rate(0.2, true, 60)],
            [0.05, 0.5, 1.0, 0.5]
        );
    }

    #[test]
    fn a_task_needs_a_model_of_its_own() {
        let tags = |change: fn(&mut RunConfig)| {
            let mut config = RunConfig { task: Task::Tag, ..config() };
            change(&mut config);
            config.check().map_err(|error| error.to_string())
        };
        tags(|_| {}).expect("three labels and three outputs");
        let error = tags(|config| config.model.padding = Padding::Counted { length: 4 }).expect_err("is refused");
        assert!(error.contains("model.encoder") && error.contains("one position per token"), "{error}");
        let chain = RunConfig { model: ModelConfig { chain: true, ..config().model }, ..config() };
        let error = chain.check().expect_err("is refused").to_string();
        assert!(error.contains("model.chain") && error.contains("only taggers"), "{error}");
        let error = tags(|config| (config.labels, config.model.outputs) = (vec!["a".into(), "b".into()], 1));
        assert!(error.expect_err("is refused").contains("model.outputs"));
    }

    #[test]
    fn an_average_keeps_less_than_all() {
        let with = |ema_decay| TrainingConfig { ema_decay, ..TrainingConfig::default() }.check();
        assert!(with(0.0).is_ok() && with(0.999).is_ok());
        for ema_decay in [-0.1, 1.0, f64::NAN] {
            let error = with(ema_decay).expect_err("out of range").to_string();
            assert!(error.contains("training.ema_decay is") && error.contains("below 1"), "{error}");
        }
    }

    #[test]
    fn word_vectors_have_a_bounded_size() {
        let with = |dimensions| {
            let source = VectorsSource::Run("/home/me/run".into());
            let vectors = VectorsConfig { source, texts: 3, dimensions, epochs: 1 };
            RunConfig { vectors: Some(vectors), ..config() }
        };
        with(4_096).check().expect("valid");
        for dimensions in [0, 4_097] {
            let error = with(dimensions).check().expect_err("out of range").to_string();
            assert_eq!(error, format!("vectors.dimensions is {dimensions}; it must be from 1 to 4096"));
        }
        let published = String::from_utf8(with(2).without_paths().to_json()).expect("JSON");
        assert!(published.contains("\"run\": \"run\""), "{published}");
    }

    #[test]
    fn a_classifier_has_teachers_whose_paths_are_not_published() {
        let with = |runs: &[&str], texts| {
            let source = TextsSource::File { path: "/home/me/texts.csv".into(), text_column: "text".into() };
            let runs = runs.iter().map(PathBuf::from).collect();
            RunConfig { teacher: Some(TeacherConfig { runs, source, texts }), ..config() }
        };
        let config = with(&["/home/me/one", "/home/me/other"], 3);
        config.check().expect("valid");
        let in_words = config.teacher.as_ref().map(TeacherConfig::in_words);
        assert_eq!(in_words.as_deref(), Some("3 texts, labelled by one, other"));
        let published = config.without_paths();
        let json = String::from_utf8(published.to_json()).expect("JSON");
        assert!(!json.contains("/home") && json.contains("\"texts.csv\""), "{json}");
        let mut restored = published;
        crate::local_paths::LocalPaths::new(&config).restore(&mut restored);
        assert_eq!(restored, config);
        for (config, setting) in [
            (with(&[], 3), "teacher.runs"),
            (with(&["one"], 0), "teacher.texts"),
            (RunConfig { task: Task::Tag, ..config }, "teacher"),
        ] {
            let error = config.check().expect_err("is refused").to_string();
            assert!(error.contains(&format!("{setting} is")), "{error}");
        }
    }

    #[test]
    fn sources_of_vectors_are_read_as_they_were_written() {
        let texts = |source| VectorsSource::Texts(source);
        let file = TextsSource::File { path: "texts.csv".into(), text_column: "text".into() };
        let cases = [
            (VectorsSource::Run("run".into()), r#"{"run":"run"}"#),
            (VectorsSource::Vectors("v.txt".into()), r#"{"vectors":"v.txt"}"#),
            (texts(TextsSource::Dataset("imdb".into())), r#"{"dataset":"imdb"}"#),
            (texts(file), r#"{"file":{"path":"texts.csv","text_column":"text"}}"#),
        ];
        for (source, json) in cases {
            assert_eq!(serde_json::to_string(&source).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<VectorsSource>(json).expect("a source"), source);
        }
    }

    #[test]
    fn a_file_name_is_found_in_the_paths_of_any_system() {
        let names = ["/home/me/data.csv", "C:\\Users\\me\\data.csv", "..\\data.csv", "data.csv"];
        assert_eq!(names.map(|path| file_name(Path::new(path))), ["data.csv"; 4].map(PathBuf::from));
        let on_hub = Path::new("hf://datasets/owner/name/data.csv");
        assert_eq!(file_name(on_hub), on_hub);
    }

    #[test]
    fn published_settings_hold_no_path() {
        let mut config = config();
        assert_eq!(config.without_paths(), config);
        config.dataset.name = "/home/me/reviews.csv".into();
        config.dataset.file = Some(file());
        config.text.tokenizer = TokenizerSource::File("/home/me/tokenizer.json".into());
        let published = String::from_utf8(config.without_paths().to_json()).expect("JSON");
        assert!(!published.contains("/home"), "{published}");
        for name in ["reviews.csv", "held-out.csv", "tokenizer.json"] {
            assert!(published.contains(&format!("\"{name}\"")), "{published}");
        }
    }
}

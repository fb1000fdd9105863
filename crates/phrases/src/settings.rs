//! `config.json`: what of it a classifier that is read, and not trained, depends on.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::files::{CONFIG, parse_config};
use crate::{
    MOST_WORDS_OF_PHRASE, Padding, PhrasesError, PredictionSettings, ReceptiveField, TEMPERATURES, output_names,
    outputs_for,
};

/// The version of the run folder's layout that this crate reads, besides older ones.
pub const FORMAT: u32 = 1;

/// The maximum number of ids, and the maximum number of places in a phrase.
const MOST: usize = i32::MAX as usize;
/// The maximum of a number of words that counts are compared with.
const MOST_FACTOR: f64 = (1 << 20) as f64;
/// The maximum number of positions that texts are padded to.
const MOST_PADDING: usize = 1 << 20;

/// The settings of a folded run.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedConfig {
    /// The labels, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// The number that logits are divided by before they become probabilities.
    pub temperature: f64,
    /// The number of ids.
    pub vocab_size: usize,
    /// The number of logits: one for two labels, otherwise one per label.
    pub outputs: usize,
    /// The number of places in a phrase.
    pub places: usize,
    /// How padding is treated.
    pub padding: Padding,
}

/// The settings of a run of one layer of convolutions; see [`ConvRun`](crate::ConvRun).
#[derive(Clone, Debug, PartialEq)]
pub struct ConvRunConfig {
    /// The labels, in the order of the model's outputs.
    pub labels: Vec<String>,
    /// The number that logits are divided by before they become probabilities.
    pub temperature: f64,
    /// The number of ids.
    pub vocab_size: usize,
    /// The number of dimensions of an embedding.
    pub embedding: usize,
    /// The number of filters of each width.
    pub filters: usize,
    /// The widths of the filters, in tokens.
    pub kernel_sizes: Vec<usize>,
    /// The number of logits: one for two labels, otherwise one per label.
    pub outputs: usize,
    /// The number of positions without evidence that are added to every text.
    pub shrinkage: f64,
    /// The lexicon beside the convolutions, if there is one.
    pub lexicon: Option<LexiconSettings>,
}

/// The settings of the lexicon of a [`ConvRunConfig`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LexiconSettings {
    /// The number of phrases.
    pub pairs: usize,
    /// The maximum number of words of a phrase.
    #[serde(default = "two_words")]
    pub words: usize,
    /// The number of words from which on scores are averaged rather than added.
    pub saturation: f64,
    /// The share of the convolutions in the logits; the lexicon has the rest.
    pub encoder_share: f64,
}

/// The number of words of the phrases of a lexicon that says nothing of it.
fn two_words() -> usize {
    2
}

/// The part of `config.json` that is read.
#[derive(Deserialize)]
struct Config {
    labels: Vec<String>,
    #[serde(default = "uncalibrated")]
    temperature: f64,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab_size: usize,
    embedding: usize,
    encoder: Value,
    outputs: usize,
    padding: Padding,
    #[serde(default)]
    pooling: Option<String>,
    #[serde(default)]
    shrinkage: f64,
    #[serde(default)]
    lexicon: Value,
    #[serde(default)]
    spelling: Value,
    #[serde(default)]
    chain: bool,
    #[serde(default)]
    conditions: usize,
    #[serde(default)]
    adaptive: Value,
}

impl Model {
    /// Whether the encoder is of this kind, and nothing is beside it but perhaps a lexicon.
    fn is_only(&self, encoder: &str) -> bool {
        let is_kind = self.encoder.get("type").is_some_and(|kind| kind == encoder);
        is_kind && self.spelling.is_null() && self.adaptive.is_null() && !self.chain && self.conditions == 0
    }

    fn pooling(&self) -> &str {
        self.pooling.as_deref().unwrap_or("mean")
    }
}

#[derive(Deserialize)]
struct Filters {
    filters: usize,
    kernel_size: usize,
}

#[derive(Deserialize)]
struct Convolutions {
    filters: usize,
    kernel_sizes: Vec<usize>,
    #[serde(default = "relu")]
    activation: String,
    #[serde(default)]
    causal: bool,
    #[serde(default)]
    layer_norm: bool,
    #[serde(default)]
    weight_norm: bool,
}

fn relu() -> String {
    "relu".into()
}

/// Reads the content of a `config.json`, in `folder`, and checks the settings that every classifier has.
fn read_config(json: &[u8], path: &Path) -> Result<Config, PhrasesError> {
    let json = parse_config(json, path)?;
    let invalid = |error: &dyn ToString| PhrasesError::Config { path: path.into(), message: error.to_string() };
    let config: Config = serde_json::from_value(json).map_err(|error| invalid(&error))?;
    let Model { vocab_size, outputs, padding, .. } = config.model;
    check_classifier(&config.labels, vocab_size, outputs, padding, config.temperature)
        .map_err(|error| invalid(&error))?;
    Ok(config)
}

/// The temperature of a run that has not been calibrated.
pub fn uncalibrated() -> f64 {
    1.0
}

impl FoldedConfig {
    /// Reads the content of a `config.json`, in `folder`.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Newer`] if a newer version wrote it, [`PhrasesError::Config`] if it is not JSON or a
    /// setting is missing or not valid, [`PhrasesError::NotFolded`] if the model is not a table.
    pub fn from_json(json: &[u8], folder: &Path) -> Result<Self, PhrasesError> {
        let path = folder.join(CONFIG);
        let Config { labels, temperature, model } = read_config(json, &path)?;
        let invalid = |error: &dyn ToString| PhrasesError::Config { path: path.clone(), message: error.to_string() };
        let is_table =
            model.is_only("linear") && model.pooling() == "mean" && model.shrinkage == 0.0 && model.lexicon.is_null();
        if !is_table {
            return Err(PhrasesError::NotFolded { path });
        }
        let Model { vocab_size, embedding, encoder, outputs, padding, .. } = model;
        let Filters { filters, kernel_size: places } =
            serde_json::from_value(encoder).map_err(|error| invalid(&error))?;
        let are_places = (1..=MOST).contains(&places);
        check("model.encoder.kernel_size", places, are_places, "from 1 to 2^31 - 1")
            .map_err(|error| invalid(&error))?;
        if filters != outputs || places.checked_mul(outputs) != Some(embedding) {
            return Err(PhrasesError::NotFolded { path });
        }
        Ok(Self { labels, temperature, vocab_size, outputs, places, padding })
    }

    /// The names of the logits; see [`output_names`].
    pub fn outputs(&self) -> &[String] {
        output_names(&self.labels, self.outputs)
    }

    /// What a position sees of the text.
    pub fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField::same_convolution(self.places, 1)
    }

    /// What a prediction needs to know.
    pub fn prediction(&self) -> PredictionSettings<'_> {
        PredictionSettings {
            labels: &self.labels,
            outputs: self.outputs(),
            temperature: self.temperature,
            padding: self.padding,
            field: self.receptive_field(),
            stride: 1,
        }
    }
}

impl ConvRunConfig {
    /// Reads the content of a `config.json`, in `folder`.
    ///
    /// # Errors
    ///
    /// As [`FoldedConfig::from_json`]; [`PhrasesError::NotConv`] if the model is another one.
    pub fn from_json(json: &[u8], folder: &Path) -> Result<Self, PhrasesError> {
        let path = folder.join(CONFIG);
        let Config { labels, temperature, model } = read_config(json, &path)?;
        let invalid = |error: &dyn ToString| PhrasesError::Config { path: path.clone(), message: error.to_string() };
        if !model.is_only("conv") || model.pooling() != "max" || model.padding != Padding::Masked {
            return Err(PhrasesError::NotConv { path });
        }
        let Model { vocab_size, embedding, encoder, outputs, shrinkage, lexicon, .. } = model;
        let Convolutions { filters, kernel_sizes, activation, causal, layer_norm, weight_norm } =
            serde_json::from_value(encoder).map_err(|error| invalid(&error))?;
        if activation != "relu" || causal || layer_norm || weight_norm {
            return Err(PhrasesError::NotConv { path });
        }
        let lexicon: Option<LexiconSettings> = serde_json::from_value(lexicon).map_err(|error| invalid(&error))?;
        let config =
            Self { labels, temperature, vocab_size, embedding, filters, kernel_sizes, outputs, shrinkage, lexicon };
        config.check().map_err(|error| invalid(&error))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), PhrasesError> {
        let sizes = [("model.embedding", self.embedding), ("model.encoder.filters", self.filters)];
        let widths = self.kernel_sizes.iter().map(|&width| ("model.encoder.kernel_sizes", width));
        for (name, size) in sizes.into_iter().chain(widths) {
            check(name, size, (1..=MOST).contains(&size), "from 1 to 2^31 - 1")?;
        }
        let is_factor = |factor: f64| (0.0..=MOST_FACTOR).contains(&factor);
        check("model.shrinkage", self.shrinkage, is_factor(self.shrinkage), "from 0 to 2^20")?;
        let Some(LexiconSettings { pairs, words, saturation, encoder_share }) = self.lexicon else { return Ok(()) };
        let most_pairs = MOST.saturating_sub(self.vocab_size);
        check("model.lexicon.pairs", pairs, pairs <= most_pairs, "below 2^31 with the words")?;
        let are_words = (1..=MOST_WORDS_OF_PHRASE).contains(&words);
        check("model.lexicon.words", words, are_words, "1, 2 or 3")?;
        check("model.lexicon.saturation", saturation, is_factor(saturation) && saturation >= 1.0, "from 1 to 2^20")?;
        let is_share = (0.0..=1.0).contains(&encoder_share);
        check("model.lexicon.encoder_share", encoder_share, is_share, "from 0 to 1")
    }

    /// The names of the logits; see [`output_names`].
    pub fn outputs(&self) -> &[String] {
        output_names(&self.labels, self.outputs)
    }

    /// What a position sees of the text: the words under the widest filter and, with a lexicon, those of a phrase that
    /// ends there.
    pub fn receptive_field(&self) -> ReceptiveField {
        let of_widths = self.kernel_sizes.iter().map(|&width| ReceptiveField::same_convolution(width, 1));
        let field = of_widths.fold(ReceptiveField::ONE, ReceptiveField::or);
        match &self.lexicon {
            Some(lexicon) => field.or(ReceptiveField { left: lexicon.words.saturating_sub(1), right: 0 }),
            None => field,
        }
    }

    /// What a prediction needs to know.
    pub fn prediction(&self) -> PredictionSettings<'_> {
        PredictionSettings {
            labels: &self.labels,
            outputs: self.outputs(),
            temperature: self.temperature,
            padding: Padding::Masked,
            field: self.receptive_field(),
            stride: 1,
        }
    }
}

/// Checks the settings that every classifier has.
///
/// # Errors
///
/// [`PhrasesError::Setting`], naming the setting and what it must be.
pub fn check_classifier(
    labels: &[String],
    vocab_size: usize,
    outputs: usize,
    padding: Padding,
    temperature: f64,
) -> Result<(), PhrasesError> {
    if labels.len() < 2 {
        return Err(setting("labels", format_args!("{labels:?}"), "two or more names"));
    }
    let mut distinct = HashSet::new();
    if let Some(label) = labels.iter().find(|label| !distinct.insert(label.as_str())) {
        return Err(setting("labels", format_args!("a list with {label:?} twice"), "distinct names"));
    }
    check("model.vocab_size", vocab_size, (1..=MOST).contains(&vocab_size), "from 1 to 2^31 - 1")?;
    if let Padding::Counted { length } = padding {
        check("model.padding.counted.length", length, (1..=MOST_PADDING).contains(&length), "from 1 to 2^20")?;
    }
    if outputs != labels.len() && outputs != outputs_for(labels.len()) {
        let value = format_args!("{outputs} for {} labels", labels.len());
        return Err(setting("model.outputs", value, "1 for two labels, otherwise the number of labels"));
    }
    check_temperature(temperature)
}

/// Checks the number that logits are divided by before they become probabilities.
///
/// # Errors
///
/// As [`check_classifier`].
pub fn check_temperature(temperature: f64) -> Result<(), PhrasesError> {
    check("temperature", temperature, TEMPERATURES.contains(&temperature), "from 0.01 to 100")
}

/// An error if the value of a setting is not valid.
///
/// # Errors
///
/// [`PhrasesError::Setting`].
pub fn check(
    name: &'static str,
    value: impl ToString,
    is_valid: bool,
    expected: &'static str,
) -> Result<(), PhrasesError> {
    if is_valid { Ok(()) } else { Err(setting(name, value, expected)) }
}

fn setting(name: &'static str, value: impl ToString, expected: &'static str) -> PhrasesError {
    PhrasesError::Setting { name, value: value.to_string(), expected }
}

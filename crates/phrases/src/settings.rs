//! `config.json`: what of it a classifier that is read, and not trained, depends on.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::files::{CONFIG, parse_config};
use crate::{Padding, PhrasesError, PredictionSettings, ReceptiveField, TEMPERATURES, output_names, outputs_for};

/// The version of the run folder's layout that this crate reads, besides older ones.
pub const FORMAT: u32 = 1;

/// The maximum number of ids, and the maximum number of places in a phrase.
const MOST: usize = i32::MAX as usize;
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
}

#[derive(Deserialize)]
struct Filters {
    filters: usize,
    kernel_size: usize,
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
        let json = parse_config(json, &path)?;
        let invalid = |error: &dyn ToString| PhrasesError::Config { path: path.clone(), message: error.to_string() };
        let Config { labels, temperature, model } = serde_json::from_value(json).map_err(|error| invalid(&error))?;
        let Model { vocab_size, embedding, encoder, outputs, padding, pooling, shrinkage, lexicon } = model;
        check_classifier(&labels, vocab_size, outputs, padding, temperature).map_err(|error| invalid(&error))?;
        let is_table = encoder.get("type").is_some_and(|kind| kind == "linear")
            && pooling.is_none_or(|pooling| pooling == "mean")
            && shrinkage == 0.0
            && lexicon.is_null();
        if !is_table {
            return Err(PhrasesError::NotFolded { path });
        }
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

//! A trained model, opened from its folder.

use std::path::Path;

use burn::tensor::Device;
use convlens_model::{Batch, Encode, EncoderConfig, EncoderSettings, ModelConfig, TextModel};
use convlens_phrases::files::{CONFIG, TOKENIZER, WEIGHTS, parse_tokenizer, tokenizer_digest};
use convlens_phrases::weights::{check_shapes, digest_of, most_bytes};
use convlens_phrases::{PhrasesError, Prediction, RunFiles, WordTable};
use convlens_text::Tokenizer;
use serde_json::Value;

use crate::device::{Transfer, now};
use crate::logits::{padded, positions};
use crate::windows::{LongText, Windows};
use crate::{RunConfig, RunError, RunFolder, logits, prediction, to_host, weights};

/// A trained model with its configuration and tokenizer.
///
/// The model's encoder is one of the crate [`convlens_model`]'s, unless `S` is another crate's.
#[derive(Clone, Debug)]
pub struct Run<S: EncoderSettings = EncoderConfig> {
    /// Its configuration.
    pub config: RunConfig<S>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its model.
    pub model: TextModel<S::Encoder>,
    /// The device that it computes on.
    pub device: Device,
}

impl Run {
    /// Opens a run folder on the CPU.
    ///
    /// The files may come from a stranger: whatever they say, this returns a run or an error, and a file
    /// much larger than the others allow for is not read.
    ///
    /// # Errors
    ///
    /// [`RunError`], naming the file that is missing, damaged, too large, newer or of another run.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RunError> {
        Self::open_on(&RunFolder::open(path.as_ref())?, &Device::flex())
    }

    /// Opens a run folder on `device`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(folder: &RunFolder, device: &Device) -> Result<Self, RunError> {
        Self::open_as(folder, device)
    }

    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files(files: RunFiles, device: &Device) -> Result<Self, RunError> {
        let config = RunConfig::from_json(&files.config, Path::new(CONFIG))?;
        let tokenizer = parse_tokenizer(&files.tokenizer, config.model.vocab_size, Path::new(""))?;
        let digest = tokenizer_digest(&files.tokenizer);
        Self::with_weights(config, tokenizer, files.weights, &digest, Path::new(""), device)
    }

    /// Writes a model's weights into a folder that already holds the tokenizer.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the file.
    pub fn save_weights<E: Encode>(folder: &RunFolder, model: &TextModel<E>) -> Result<(), RunError> {
        let bytes = weights::to_bytes(model, &tokenizer_digest(&folder.read(TOKENIZER)?));
        folder.write(WEIGHTS, &bytes.map_err(RunError::Device)?)
    }

    /// The [`tokenizer_digest`] that a folder's weights name; `None` if there are no weights of `model`,
    /// or they name none.
    pub fn digest_of_weights<E: Encode>(folder: &RunFolder, model: &TextModel<E>) -> Option<String> {
        digest_of(&folder.read_up_to(WEIGHTS, most_bytes(&weights::shapes(model))).ok()?)
    }
}

impl<S: EncoderSettings> Run<S> {
    /// A run from its parts.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a setting is not possible, or the vocabularies of tokenizer and model differ.
    pub fn new(
        config: RunConfig<S>,
        tokenizer: Tokenizer,
        model: TextModel<S::Encoder>,
        device: Device,
    ) -> Result<Self, RunError> {
        config.check()?;
        let (found, expected) = (tokenizer.vocab_size(), config.model.vocab_size);
        if found != expected {
            let path = TOKENIZER.into();
            return Err(PhrasesError::TokenizerSize { path, tokenizer: found, model: expected }.into());
        }
        Ok(Self { config, tokenizer, model, device })
    }

    /// Writes the run to a new folder, which [`open`](Run::open) reads: `config.json`, `tokenizer.json` and
    /// `model.safetensors`. Like [`files`](Self::files), they hold no paths of the user's files.
    ///
    /// # Errors
    ///
    /// [`RunError::Exists`] if the folder holds something already, or [`RunError::Io`], naming the file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RunError> {
        let folder = RunFolder::create(path.as_ref())?;
        let files = self.files()?;
        folder.write(TOKENIZER, &files.tokenizer)?;
        folder.write(WEIGHTS, &files.weights)?;
        // This file makes the folder a run, so it comes last.
        folder.write(CONFIG, &files.config)
    }

    /// Opens a run folder on `device`, as a run with the encoder whose settings are `S`.
    ///
    /// # Errors
    ///
    /// As [`open`](Run::open).
    pub fn open_as(folder: &RunFolder, device: &Device) -> Result<Self, RunError> {
        let config = folder.config_as()?;
        let json = folder.read_tokenizer(&config)?;
        if !folder.file(WEIGHTS).exists() {
            return Err(PhrasesError::Untrained { path: folder.path().into() }.into());
        }
        let tokenizer = parse_tokenizer(&json, config.model.vocab_size, folder.path())?;
        let shapes = weights::shapes(&unallocated(&config, device)?);
        let weights = folder.read_up_to(WEIGHTS, most_bytes(&shapes))?;
        Self::with_weights(config, tokenizer, weights, &tokenizer_digest(&json), folder.path(), device)
    }

    fn with_weights(
        config: RunConfig<S>,
        tokenizer: Tokenizer,
        weights: Vec<u8>,
        tokenizer_digest: &str,
        folder: &Path,
        device: &Device,
    ) -> Result<Self, RunError> {
        let path = folder.join(WEIGHTS);
        check_shapes(&weights::shapes(&unallocated(&config, device)?), &weights, &path)?;
        let mut model = config.model.init(device)?;
        weights::load(&mut model, weights, tokenizer_digest, &path)?;
        Ok(Self { config, tokenizer, model, device: device.clone() })
    }

    /// The contents of the files that make the run, to be published: the configuration holds the names
    /// of the user's files but not their paths.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`] or [`RunError::Device`].
    pub fn files(&self) -> Result<RunFiles, RunError> {
        let tokenizer = self.tokenizer.to_json()?.into_bytes();
        let weights = weights::to_bytes(&self.model, &tokenizer_digest(&tokenizer)).map_err(RunError::Device)?;
        Ok(RunFiles { config: self.config.without_paths().to_json(), tokenizer, weights })
    }

    /// Classifies a text and scores its phrases.
    ///
    /// A long text is read in windows; its cost is proportional to its length.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`], [`RunError::Device`], [`PhrasesError::Overflow`], or [`RunError::TooLong`] if the
    /// model can only read the text as a whole and it has more than
    /// [`MOST_TOKENS`](crate::MOST_TOKENS) tokens.
    pub fn predict(&self, text: &str) -> Result<Prediction, RunError> {
        prediction::predict(self, text)
    }

    /// As [`predict`](Self::predict), for platforms that can only read from a device asynchronously,
    /// such as browsers.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub async fn predict_async(&self, text: &str) -> Result<Prediction, RunError> {
        prediction::predict_async(self, text).await
    }

    /// The logits of texts given as ids, one row per text; see [`logits()`].
    ///
    /// # Errors
    ///
    /// [`RunError::TooLong`] or [`RunError::Device`].
    pub fn logits(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, RunError> {
        let padding = self.config.model.padding;
        let values = logits(&self.model, texts, padding, self.pad_id(), &self.device, &|_| {})?;
        Ok(values.chunks(self.config.model.outputs).map(<[f32]>::to_vec).collect())
    }

    /// The scores and logits of a text given as ids, if it is so long that it is read in windows; none for
    /// any other text.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`], or [`RunError::TooLong`] if the model can only read the text as a whole and it
    /// has more than [`MOST_TOKENS`](crate::MOST_TOKENS) tokens.
    pub fn long_text(&self, ids: &[u32]) -> Result<Option<LongText>, RunError> {
        let padding = self.config.model.padding;
        let Some(windows) = Windows::new(&self.model, positions(ids, padding))? else { return Ok(None) };
        let (ids, bias) = (padded(ids, padding, self.pad_id()), self.bias()?);
        now(windows.explain(&self.model, &ids, &bias, &self.device, Transfer::Blocking)).map(Some)
    }

    /// Texts given as ids, as a batch for the model.
    pub fn batch(&self, texts: &[&[u32]]) -> Batch {
        Batch::new(texts, self.config.model.padding, self.pad_id(), &self.device)
    }

    /// The id of padding; 0 if the tokenizer has none, in which case the value does not matter.
    pub fn pad_id(&self) -> u32 {
        self.tokenizer.pad_id().unwrap_or(0)
    }

    /// The logits of a text without evidence.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn bias(&self) -> Result<Vec<f64>, RunError> {
        match self.model.bias() {
            Some(bias) => Ok(to_host(bias)?.into_iter().map(f64::from).collect()),
            None => Ok(vec![0.0; self.config.model.outputs]),
        }
    }

    /// The table that the model folds into; none if it is not linear up to its pooling.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn word_table(&self) -> Result<Option<WordTable>, RunError> {
        let Some(folded) = self.model.fold() else { return Ok(None) };
        let (field, padding) = (self.model.receptive_field(), self.config.model.padding);
        Ok(WordTable::new(to_host(folded.table)?, self.bias()?, field, padding, self.pad_id()))
    }

    /// The names of the logits. With two labels there is one logit, the second label's.
    pub fn outputs(&self) -> &[String] {
        self.config.outputs()
    }
}

/// The model without weight normalisation. Its weights are drawn only when they are first read, while the
/// norms of the filters would be computed from them at once.
fn unallocated<S: EncoderSettings>(config: &RunConfig<S>, device: &Device) -> Result<TextModel<S::Encoder>, RunError> {
    fn turn_off(settings: &mut Value) {
        match settings {
            Value::Object(settings) => settings.iter_mut().for_each(|(name, value)| {
                if name == "weight_norm" {
                    *value = Value::Bool(false);
                }
                turn_off(value);
            }),
            Value::Array(settings) => settings.iter_mut().for_each(turn_off),
            _ => {}
        }
    }
    let invalid = |error: serde_json::Error| PhrasesError::Config { path: CONFIG.into(), message: error.to_string() };
    let mut settings = serde_json::to_value(&config.model).map_err(invalid)?;
    turn_off(&mut settings);
    Ok(serde_json::from_value::<ModelConfig<S>>(settings).map_err(invalid)?.init(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::testing::run;
    use convlens_model::{ConvConfig, EncoderConfig, Padding};
    use convlens_phrases::packed::EMBEDDINGS;
    use safetensors::SafeTensors;

    #[test]
    fn packed_runs_open_and_score_nearly_the_same() {
        let encoder = EncoderConfig::Conv(ConvConfig::new(6, &[3]));
        let run = run(encoder, Padding::Masked);
        let files = run.files().expect("files");
        let logits = |run: &Run| run.predict("a good film").expect("predicts").logits;
        for (precision, size, tolerance) in [
            (Precision::F32, 4, 0.0),
            (Precision::F16, 2, 2e-3),
            (Precision::Int8, 1, 2e-2),
            (Precision::Int6, 1, 8e-2),
        ] {
            let packed = files.packed(precision).expect("packs");
            let tensors = SafeTensors::deserialize(&packed.weights).expect("tensors");
            assert_eq!(tensors.tensor(EMBEDDINGS).expect("embeddings").data().len(), 7 * 5 * size);
            let again = Run::from_files(packed, &Device::flex()).expect("opens");
            for (a, b) in logits(&run).into_iter().zip(logits(&again)) {
                assert!((a - b).abs() <= tolerance, "{precision}: {a} is not {b}");
            }
        }
    }
}

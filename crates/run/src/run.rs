//! A trained model: opened from its folder, text in and explained prediction out.

use std::path::Path;

use burn::tensor::Device;
use convlens_model::{Batch, TextModel};
use convlens_text::Tokenizer;
use safetensors::SafeTensorError;
use sha2::{Digest, Sha256};

use crate::folder::{CONFIG, TOKENIZER, WEIGHTS};
use crate::packed::{self, Precision};
use crate::{Prediction, RunConfig, RunError, RunFolder, WordTable, logits, to_host, weights};

/// The contents of the files that make a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// `config.json`
    pub config: Vec<u8>,
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
    /// `model.safetensors`
    pub weights: Vec<u8>,
}

impl RunFiles {
    /// The settings, which a model can be built of, and the tokenizer that goes with them.
    pub(crate) fn read_texts(&self, folder: &Path) -> Result<(RunConfig, Tokenizer), RunError> {
        let config = RunConfig::from_json(&self.config, &folder.join(CONFIG))?;
        config.model.check()?;
        let path = folder.join(TOKENIZER);
        let tokenizer = Tokenizer::from_json(&self.tokenizer)
            .map_err(|error| RunError::Tokenizer { path: path.clone(), message: error.to_string() })?;
        let (words, model) = (tokenizer.vocab_size(), config.model.vocab_size);
        match words == model {
            true => Ok((config, tokenizer)),
            false => Err(RunError::TokenizerSize { path, tokenizer: words, model }),
        }
    }

    /// The same with the embeddings in fewer bytes.
    ///
    /// # Errors
    ///
    /// [`RunError::DamagedWeights`].
    pub fn packed(&self, precision: Precision) -> Result<Self, RunError> {
        let damaged =
            |error: SafeTensorError| RunError::DamagedWeights { path: WEIGHTS.into(), message: error.to_string() };
        Ok(Self { weights: packed::pack(&self.weights, precision).map_err(damaged)?, ..self.clone() })
    }
}

/// A trained model with all it needs.
#[derive(Debug)]
pub struct Run {
    /// Its configuration.
    pub config: RunConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its model.
    pub model: TextModel,
    /// Where it computes.
    pub device: Device,
}

impl Run {
    /// Opens a run folder, to compute on the CPU.
    ///
    /// # Errors
    ///
    /// [`RunError`], naming the file that is missing, damaged, newer or of another run.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RunError> {
        Self::open_on(&RunFolder::open(path.as_ref())?, &Device::flex())
    }

    /// Opens a run folder, to compute on `device`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(folder: &RunFolder, device: &Device) -> Result<Self, RunError> {
        let config = folder.read(CONFIG)?;
        let tokenizer = folder.read(TOKENIZER)?;
        if !folder.file(WEIGHTS).exists() {
            return Err(RunError::Untrained { path: folder.path().into() });
        }
        let weights = folder.read(WEIGHTS)?;
        Self::of(RunFiles { config, tokenizer, weights }, folder.path(), device)
    }

    /// A run from the contents of its files, wherever they are from.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files(files: RunFiles, device: &Device) -> Result<Self, RunError> {
        Self::of(files, Path::new(""), device)
    }

    fn of(files: RunFiles, folder: &Path, device: &Device) -> Result<Self, RunError> {
        let (config, tokenizer) = files.read_texts(folder)?;
        let mut model = config.model.init(device)?;
        weights::load(&mut model, files.weights, &digest(&files.tokenizer), &folder.join(WEIGHTS))?;
        Ok(Self { config, tokenizer, model, device: device.clone() })
    }

    /// The contents of the files that make the run.
    ///
    /// # Errors
    ///
    /// [`RunError::Text`] or [`RunError::Device`].
    pub fn files(&self) -> Result<RunFiles, RunError> {
        let tokenizer = self.tokenizer.to_json()?.into_bytes();
        let weights = weights::to_bytes(&self.model, &digest(&tokenizer)).map_err(RunError::Device)?;
        Ok(RunFiles { config: self.config.to_json(), tokenizer, weights })
    }

    /// Writes the weights of a run whose tokenizer is in the folder already.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the file.
    pub fn save_weights(folder: &RunFolder, model: &TextModel) -> Result<(), RunError> {
        let bytes = weights::to_bytes(model, &digest(&folder.read(TOKENIZER)?));
        folder.write(WEIGHTS, &bytes.map_err(RunError::Device)?)
    }

    /// Classifies a text, and says which phrases made it so.
    ///
    /// # Errors
    ///
    /// [`RunError::Text`] or [`RunError::Device`].
    pub fn predict(&self, text: &str) -> Result<Prediction, RunError> {
        Prediction::new(self, text)
    }

    /// As [`predict`](Self::predict), where a device can only be read from while the program goes
    /// on with other work, as in a browser.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub async fn predict_async(&self, text: &str) -> Result<Prediction, RunError> {
        Prediction::new_async(self, text).await
    }

    /// The logits of texts given as ids, a row each.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn logits(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, RunError> {
        let padding = self.config.model.padding;
        let values = logits(&self.model, texts, padding, self.pad_id(), &self.device, &|_| {})?;
        Ok(values.chunks(self.config.model.outputs).map(<[f32]>::to_vec).collect())
    }

    /// Texts given as ids, as the model reads them.
    pub fn batch(&self, texts: &[&[u32]]) -> Batch {
        Batch::new(texts, self.config.model.padding, self.pad_id(), &self.device)
    }

    /// The id of padding; 0 where the tokenizer knows none, and then it is never looked at.
    pub fn pad_id(&self) -> u32 {
        self.tokenizer.pad_id().unwrap_or(0)
    }

    /// What each logit is where there is no evidence.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn bias(&self) -> Result<Vec<f64>, RunError> {
        match &self.model.head.bias {
            Some(bias) => Ok(to_host(bias.val())?.into_iter().map(f64::from).collect()),
            None => Ok(vec![0.0; self.config.model.outputs]),
        }
    }

    /// The table that the model folds into, where it is linear up to its pooling.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn word_table(&self) -> Result<Option<WordTable>, RunError> {
        WordTable::new(self)
    }

    /// The names of the logits: with two labels there is one logit, the second label's.
    pub fn outputs(&self) -> &[String] {
        self.config.outputs()
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

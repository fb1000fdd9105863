//! The files of a run folder that predictions need. Each may come from a stranger: it is read up to a bounded
//! size, and is valid or an error.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use convlens_text::Tokenizer;
use safetensors::SafeTensorError;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::packed::{self, Precision};
use crate::{FORMAT, PhrasesError, weights};

/// The settings.
pub const CONFIG: &str = "config.json";
/// The tokenizer, in the format of the `tokenizers` library.
pub const TOKENIZER: &str = "tokenizer.json";
/// The weights, with PyTorch's names and layouts.
pub const WEIGHTS: &str = "model.safetensors";
/// The maximum number of bytes of a JSON file that describes a run, such as [`CONFIG`].
pub const MOST_JSON: u64 = 64 << 20;

/// The maximum number of bytes of a `tokenizer.json` besides those of its tokens.
const MOST_TOKENIZER: u64 = 16 << 20;
/// The maximum number of bytes of a `tokenizer.json` for each token; a token takes some twenty.
const MOST_PER_TOKEN: u64 = 1 << 10;

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
    /// These files with the embeddings in fewer bytes.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::DamagedWeights`].
    pub fn packed(&self, precision: Precision) -> Result<Self, PhrasesError> {
        let damaged =
            |error: SafeTensorError| PhrasesError::DamagedWeights { path: WEIGHTS.into(), message: error.to_string() };
        Ok(Self { weights: packed::pack(&self.weights, precision).map_err(damaged)?, ..self.clone() })
    }
}

/// Reads a regular file, unless it has more than `most` bytes.
///
/// # Errors
///
/// [`PhrasesError::TooLarge`] or [`PhrasesError::Io`], naming the file.
pub fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, PhrasesError> {
    let read = || {
        // Opening a named pipe would wait for a writer.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        if size > most {
            return Ok(Err(size));
        }
        let mut content = Vec::new();
        content.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
        file.take(most).read_to_end(&mut content)?;
        Ok(Ok(content))
    };
    match read() {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(size)) => Err(PhrasesError::TooLarge { path: path.into(), size, most }),
        Err(source) => Err(PhrasesError::Io { path: path.into(), source }),
    }
}

/// Reads the `config.json` of a run folder.
///
/// # Errors
///
/// [`PhrasesError::NotARun`] if it has none, and those of [`read_up_to`].
pub(crate) fn read_config(folder: &Path) -> Result<Vec<u8>, PhrasesError> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Err(PhrasesError::NotARun { path: folder.into() });
    }
    read_up_to(&path, MOST_JSON)
}

/// Reads the tokenizer and the weights of a run folder, whose `config.json` names this vocabulary and these tensors.
///
/// # Errors
///
/// [`PhrasesError::Untrained`] if it has no weights, and those of [`read_up_to`].
pub(crate) fn read_model(
    folder: &Path,
    vocab_size: usize,
    shapes: &weights::Shapes,
) -> Result<(Vec<u8>, Vec<u8>), PhrasesError> {
    let tokenizer = read_up_to(&folder.join(TOKENIZER), most_tokenizer_bytes(vocab_size))?;
    let path = folder.join(WEIGHTS);
    if !path.exists() {
        return Err(PhrasesError::Untrained { path: folder.into() });
    }
    Ok((tokenizer, read_up_to(&path, weights::most_bytes(shapes))?))
}

/// Parses the content of a `config.json`, whose path is `path`.
///
/// # Errors
///
/// [`PhrasesError::Newer`] if its layout is newer than [`FORMAT`], [`PhrasesError::Config`] if it is not JSON.
pub fn parse_config(json: &[u8], path: &Path) -> Result<Value, PhrasesError> {
    let invalid = |error: serde_json::Error| PhrasesError::Config { path: path.into(), message: error.to_string() };
    let json: Value = serde_json::from_slice(json).map_err(invalid)?;
    match json.get("format").and_then(Value::as_u64) {
        Some(found) if found > u64::from(FORMAT) => {
            Err(PhrasesError::Newer { path: path.into(), found, known: FORMAT })
        }
        _ => Ok(json),
    }
}

/// Parses the content of the `tokenizer.json` in `folder`.
///
/// # Errors
///
/// [`PhrasesError::Tokenizer`], or [`PhrasesError::TokenizerSize`] if it does not have `vocab_size` tokens.
pub fn parse_tokenizer(json: &[u8], vocab_size: usize, folder: &Path) -> Result<Tokenizer, PhrasesError> {
    let path = folder.join(TOKENIZER);
    let invalid = |message: String| PhrasesError::Tokenizer { path: path.clone(), message };
    // The tokenizers library panics on some files that are not JSON.
    serde_json::from_slice::<Value>(json).map_err(|error| invalid(format!("not a tokenizer.json: {error}")))?;
    let tokenizer = Tokenizer::from_json(json).map_err(|error| invalid(error.to_string()))?;
    let tokens = tokenizer.vocab_size();
    if tokens == vocab_size {
        Ok(tokenizer)
    } else {
        Err(PhrasesError::TokenizerSize { path, tokenizer: tokens, model: vocab_size })
    }
}

/// The digest that ties weights to the `tokenizer.json` that they were trained with: the SHA-256 of the
/// file, in hexadecimal.
pub fn tokenizer_digest(json: &[u8]) -> String {
    hex::encode(Sha256::digest(json))
}

/// The maximum number of bytes of the `tokenizer.json` of a run with this vocabulary. A larger file is not
/// read.
pub fn most_tokenizer_bytes(vocab_size: usize) -> u64 {
    (vocab_size as u64).saturating_mul(MOST_PER_TOKEN).saturating_add(MOST_TOKENIZER)
}

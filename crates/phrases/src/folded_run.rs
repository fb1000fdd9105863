//! Folded runs: a linear model's table as a run of its own, which computes the same function.

use std::path::Path;

use convlens_text::Tokenizer;
use safetensors::{SafeTensorError, SafeTensors};

use crate::files::{
    CONFIG, MOST_JSON, RunFiles, TOKENIZER, WEIGHTS, most_tokenizer_bytes, parse_tokenizer, read_up_to,
    tokenizer_digest,
};
use crate::packed::{EMBEDDINGS, floats};
use crate::{Classification, FoldedConfig, PhrasesError, Prediction, Values, WordTable, weights};

/// The filters of the only layer, `[outputs, places · outputs, places]`.
const FILTERS: &str = "encoder.conv.weight";
/// `[outputs, outputs, 1]`
const HEAD: &str = "head.weight";
/// `[outputs]`
const BIAS: &str = "head.bias";

/// A folded run: it looks words up in its table, and adds. It needs no tensors and no device.
///
/// In its folder the embeddings are the table: a word's vector holds its scores at each place of a phrase,
/// and each output's single filter selects them. So any program that reads run folders reads it as a linear
/// model.
#[derive(Clone, Debug)]
pub struct FoldedRun {
    /// Its configuration.
    pub config: FoldedConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The score of each word at each place of a phrase.
    pub table: WordTable,
}

impl FoldedRun {
    /// Opens the folder of a folded run.
    ///
    /// The files may come from a stranger: whatever they say, this returns a run or an error, and a file
    /// much larger than the others allow for is not read.
    ///
    /// # Errors
    ///
    /// [`PhrasesError`], naming the file that is missing, damaged, too large, newer or of another run;
    /// [`PhrasesError::NotFolded`] if the run is not a folded one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PhrasesError> {
        let folder = path.as_ref();
        let file = |name: &str| folder.join(name);
        if !file(CONFIG).is_file() {
            return Err(PhrasesError::NotARun { path: folder.into() });
        }
        let config = FoldedConfig::from_json(&read_up_to(&file(CONFIG), MOST_JSON)?, folder)?;
        let tokenizer = read_up_to(&file(TOKENIZER), most_tokenizer_bytes(config.vocab_size))?;
        if !file(WEIGHTS).exists() {
            return Err(PhrasesError::Untrained { path: folder.into() });
        }
        let weights = read_up_to(&file(WEIGHTS), weights::most_bytes(&shapes(&config)))?;
        Self::new(config, &tokenizer, weights, folder)
    }

    /// Opens a folded run from the contents of its files.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files(files: RunFiles) -> Result<Self, PhrasesError> {
        let folder = Path::new("");
        Self::new(FoldedConfig::from_json(&files.config, folder)?, &files.tokenizer, files.weights, folder)
    }

    fn new(config: FoldedConfig, tokenizer: &[u8], weights: Vec<u8>, folder: &Path) -> Result<Self, PhrasesError> {
        let path = folder.join(WEIGHTS);
        let damaged =
            |error: SafeTensorError| PhrasesError::DamagedWeights { path: path.clone(), message: error.to_string() };
        let digest = tokenizer_digest(tokenizer);
        let tokenizer = parse_tokenizer(tokenizer, config.vocab_size, folder)?;
        let weights = weights::checked(weights, &shapes(&config), &digest, &path)?;
        let tensors = SafeTensors::deserialize(&weights).map_err(damaged)?;
        let values = |name: &str| -> Result<Vec<f32>, PhrasesError> {
            Ok(floats(tensors.tensor(name).map_err(damaged)?.data()).collect())
        };
        let not_folded = || PhrasesError::NotFolded { path: path.clone() };
        let (outputs, places) = (config.outputs, config.places);
        if values(FILTERS)? != Self::filters(outputs, places) || values(HEAD)? != Self::head(outputs) {
            return Err(not_folded());
        }
        let bias = values(BIAS)?.into_iter().map(f64::from).collect();
        let pad_id = tokenizer.pad_id().unwrap_or(0);
        let table = WordTable::new(values(EMBEDDINGS)?, bias, config.receptive_field(), config.padding, pad_id);
        Ok(Self { config, tokenizer, table: table.ok_or_else(not_folded)? })
    }

    /// Classifies a text and scores its phrases.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`] or [`PhrasesError::Overflow`].
    pub fn predict(&self, text: &str) -> Result<Prediction, PhrasesError> {
        let encoding = self.tokenizer.encode(text)?;
        let scores = self.table.scores(&encoding.ids);
        let values = Values { scores, logits: self.table.logits(&encoding.ids), bias: self.table.bias().to_vec() };
        Prediction::from_values(self.config.prediction(), &self.tokenizer, text, &encoding, values)
    }

    /// Classifies a text without scoring its phrases, which takes a fraction of the time of
    /// [`predict`](Self::predict). The label and the probabilities are the same.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn classify(&self, text: &str) -> Result<Classification, PhrasesError> {
        let logits = self.table.logits(&self.tokenizer.ids(text)?);
        Classification::from_logits(&logits, self.config.temperature)
    }

    /// The filters of every folded run, `[outputs, places · outputs, places]`: 1 where the dimension of a
    /// word's vector belongs to the output and the place.
    pub fn filters(outputs: usize, places: usize) -> Vec<f32> {
        let dimensions = places * outputs;
        let mut kernel = vec![0.0; outputs * dimensions * places];
        for output in 0..outputs {
            for place in 0..places {
                kernel[(output * dimensions + place * outputs + output) * places + place] = 1.0;
            }
        }
        kernel
    }

    /// The head of every folded run, `[outputs, outputs, 1]`: each filter is an output.
    pub fn head(outputs: usize) -> Vec<f32> {
        (0..outputs * outputs).map(|at| if at / outputs == at % outputs { 1.0 } else { 0.0 }).collect()
    }
}

/// The tensors of a folded run.
fn shapes(config: &FoldedConfig) -> [(String, Vec<usize>); 4] {
    let (outputs, places) = (config.outputs, config.places);
    let width = places * outputs;
    [
        (EMBEDDINGS.to_owned(), vec![config.vocab_size, width]),
        (FILTERS.to_owned(), vec![outputs, width, places]),
        (HEAD.to_owned(), vec![outputs, outputs, 1]),
        (BIAS.to_owned(), vec![outputs]),
    ]
}

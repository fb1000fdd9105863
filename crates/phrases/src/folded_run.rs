//! Folded runs: a linear model's table as a run of its own, which computes the same function.

use std::path::Path;

use convlens_text::Tokenizer;
use safetensors::{SafeTensorError, SafeTensors};

use crate::files::{RunFiles, WEIGHTS, parse_tokenizer, read_config, read_model, tokenizer_digest};
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
        let config = FoldedConfig::from_json(&read_config(folder)?, folder)?;
        let (tokenizer, weights) = read_model(folder, config.vocab_size, &shapes(&config))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::files;
    use crate::{Padding, Precision};
    use serde_json::{Value, json};

    fn with_setting(pointer: &str, value: Value) -> RunFiles {
        let files = files(Padding::Masked);
        let mut config: Value = serde_json::from_slice(&files.config).expect("JSON");
        let (parent, name) = pointer.rsplit_once('/').expect("a parent");
        config.pointer_mut(parent).expect("a setting")[name] = value;
        RunFiles { config: config.to_string().into_bytes(), ..files }
    }

    // from math import exp, sin
    // ids, bias = [1, 3, 4], [0.5, -1, 0]  # [START] a film
    // score = lambda word, place, output: sin(1 + (3 * word + place) * 3 + output)
    // at = lambda i, place, output: score(ids[i + place - 1], place, output) if 0 <= i + place - 1 < 3 else 0
    // logits = [b + sum(at(i, k, o) for i in range(3) for k in range(3)) / 3 for o, b in enumerate(bias)]
    // odds = [exp(logit / 2) for logit in logits]; [o / sum(odds) for o in odds]
    #[test]
    fn predictions_match_python() {
        let run = FoldedRun::from_files(files(Padding::Masked)).expect("opens");
        let ids = run.tokenizer.ids("a film").expect("ids");
        assert_eq!(ids, IDS);
        let prediction = run.predict("a film").expect("predicts");
        for (found, expected) in prediction.logits.iter().zip(LOGITS) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        for (found, expected) in prediction.probabilities.iter().zip(PROBABILITIES) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert!(prediction.residual.iter().all(|residual| residual.abs() < 1e-6));
        assert_eq!(prediction.phrase_text(&prediction.phrases[1]), "a film");
    }

    const IDS: [u32; 3] = [1, 3, 4];
    const LOGITS: [f64; 3] = [0.561812, -1.230231, -0.310601];
    const PROBABILITIES: [f64; 3] = [0.486695, 0.198664, 0.314641];

    #[test]
    fn the_fast_path_gives_the_same_probabilities() {
        for padding in [Padding::Masked, Padding::Counted { length: 4 }] {
            let run = FoldedRun::from_files(files(padding)).expect("opens");
            for text in ["", "a good film", "a bad film, a good film, a film"] {
                let (prediction, fast) =
                    (run.predict(text).expect("predicts"), run.classify(text).expect("classifies"));
                assert_eq!((fast.label, fast.probabilities), (prediction.label, prediction.probabilities));
            }
        }
    }

    #[test]
    fn packed_weights_give_nearly_the_same_logits() {
        let files = files(Padding::Masked);
        let logits =
            |files| FoldedRun::from_files(files).expect("opens").predict("a good film").expect("predicts").logits;
        let exact = logits(files.clone());
        for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::F16, 1e-3), (Precision::Int8, 1e-2)] {
            for (one, other) in exact.iter().zip(logits(files.packed(precision).expect("packs"))) {
                assert!((one - other).abs() <= tolerance, "{precision}: {one} is not {other}");
            }
        }
    }

    #[test]
    fn models_that_are_no_tables_are_refused() {
        for (pointer, value) in [
            ("/model/encoder/type", json!("conv")),
            ("/model/encoder/filters", json!(4)),
            ("/model/embedding", json!(10)),
            ("/model/pooling", json!("max")),
            ("/model/shrinkage", json!(0.5)),
            ("/model/lexicon", json!({})),
        ] {
            let error = FoldedRun::from_files(with_setting(pointer, value)).expect_err(pointer);
            assert!(matches!(error, PhrasesError::NotFolded { .. }), "{pointer}: {error}");
        }
    }

    #[test]
    fn errors_name_the_setting_or_the_file() {
        for (pointer, value, expected) in [
            ("/format", json!(99), "config.json: written by a newer convlens"),
            ("/labels", json!(["a", "b", "b"]), "config.json: not a configuration"),
            ("/temperature", json!(0), "temperature is 0; it must be from 0.01 to 100"),
            ("/model/padding", json!({ "counted": { "length": 1u64 << 40 } }), "length is 1099511627776"),
            ("/model/encoder/kernel_size", json!(1u64 << 60), "kernel_size is 1152921504606846976"),
            ("/model/vocab_size", json!(8), "tokenizer.json: 7 tokens, but config.json says 8"),
        ] {
            let error = FoldedRun::from_files(with_setting(pointer, value)).expect_err(pointer).to_string();
            assert!(error.contains(expected), "{pointer}: {error}");
        }
        let valid = files(Padding::Masked);
        let tokenizer = [valid.tokenizer.as_slice(), b" "].concat();
        let error = FoldedRun::from_files(RunFiles { tokenizer, ..valid.clone() }).expect_err("is another").to_string();
        assert!(error.contains("it was trained with another tokenizer.json"), "{error}");
        let mut weights = valid.weights.clone();
        let end = weights.len() - 4;
        weights[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = FoldedRun::from_files(RunFiles { weights, ..valid.clone() }).expect_err("NaN").to_string();
        assert!(error.contains("not a finite number"), "{error}");
    }
}

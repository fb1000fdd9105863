//! Reads texts with a run that needs no tensors: one that is folded into a table, or has one layer of convolutions. This
//! module contains nothing of Burn, so it is small and loads first. [`Reader`](crate::Reader) replaces it when the whole
//! module has loaded.

use convlens_analysis::{Parts, explained_output};
use convlens_run::text::Tokenizer;
use convlens_run::{ConvRun, FoldedRun, Part, PhrasesError, Prediction, RunFiles};
use serde_json::Value;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;
use crate::reading::{Reading, facts, phrase_json, tokens};

/// An open run. Its methods return the same as those of [`Reader`](crate::Reader).
#[wasm_bindgen]
#[derive(Debug)]
pub struct SmallReader {
    run: SmallRun,
    /// The content of its `config.json`, which the page shows.
    config: Value,
    /// The text that was read last.
    prediction: Option<Prediction>,
}

#[derive(Debug)]
enum SmallRun {
    Folded(Box<FoldedRun>),
    Conv(Box<ConvRun>),
}

impl SmallRun {
    fn open(files: RunFiles) -> Result<Self, PhrasesError> {
        match FoldedRun::from_files(files.clone()) {
            Err(PhrasesError::NotFolded { .. }) => Ok(Self::Conv(Box::new(ConvRun::from_files(files)?))),
            run => Ok(Self::Folded(Box::new(run?))),
        }
    }

    fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Folded(run) => &run.tokenizer,
            Self::Conv(run) => &run.tokenizer,
        }
    }

    fn predict(&self, text: &str) -> Result<Prediction, PhrasesError> {
        match self {
            Self::Folded(run) => run.predict(text),
            Self::Conv(run) => run.predict(text),
        }
    }

    /// What each word of a phrase adds to each logit, and whether that is exact.
    fn parts(&self, prediction: &Prediction, phrase: usize) -> (Vec<Part>, bool) {
        match self {
            Self::Folded(run) => (run.table.parts(prediction, phrase), true),
            Self::Conv(run) => (run.parts(prediction, phrase), false),
        }
    }
}

#[wasm_bindgen]
impl SmallReader {
    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn open(config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<Self, JsError> {
        let json = serde_json::from_slice(&config).map_err(|error| js_error(format!("config.json: {error}")))?;
        let run = SmallRun::open(RunFiles { config, tokenizer, weights }).map_err(js_error)?;
        Ok(Self { run, config: json, prediction: None })
    }

    /// What the page must know about the run.
    pub fn facts(&self) -> String {
        match &self.run {
            SmallRun::Folded(run) => {
                let config = &run.config;
                facts(&config.labels, config.outputs(), &self.config, config.receptive_field(), true)
            }
            SmallRun::Conv(run) => {
                let config = &run.config;
                facts(&config.labels, config.outputs(), &self.config, config.receptive_field(), false)
            }
        }
    }

    /// The token of each id, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(self.run.tokenizer())
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// If the tokenizer cannot read it.
    pub fn read(&mut self, text: &str) -> Result<Reading, JsError> {
        let prediction = self.run.predict(text).map_err(js_error)?;
        let reading = Reading::new(&prediction);
        self.prediction = Some(prediction);
        Ok(reading)
    }

    /// A phrase of the text that was read last, without the filters behind it.
    ///
    /// # Errors
    ///
    /// If there is no such phrase.
    pub fn phrase(&self, index: usize) -> Result<String, JsError> {
        let prediction = self.prediction.as_ref().filter(|prediction| index < prediction.phrases.len());
        let prediction = prediction.ok_or_else(|| js_error("the text that was read last has no such phrase"))?;
        let output = explained_output(prediction);
        let (mut of_tokens, is_exact) = self.run.parts(prediction, index);
        of_tokens.iter_mut().for_each(|part| part.score = vec![part.score[output]]);
        let parts = Parts { of_tokens, is_exact };
        Ok(phrase_json(prediction.phrases[index].score[output], &parts, Value::Null).to_string())
    }
}

//! Reads texts with a linear run by its table only. This module contains nothing of Burn, so it is small and
//! loads first. [`Reader`](crate::Reader) replaces it when the whole module has loaded.

use convlens_analysis::{Parts, explained_output};
use convlens_run::{FoldedRun, Prediction, RunFiles};
use serde_json::Value;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;
use crate::reading::{Reading, facts, phrase_json, tokens};

/// An open folded run. Its methods return the same as those of [`Reader`](crate::Reader).
#[wasm_bindgen]
#[derive(Debug)]
pub struct TableReader {
    run: FoldedRun,
    /// The content of its `config.json`, which the page shows.
    config: Value,
    /// The text that was read last.
    prediction: Option<Prediction>,
}

#[wasm_bindgen]
impl TableReader {
    /// Opens a folded run from the contents of its files.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn open(config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<Self, JsError> {
        let json = serde_json::from_slice(&config).map_err(|error| js_error(format!("config.json: {error}")))?;
        let run = FoldedRun::from_files(RunFiles { config, tokenizer, weights }).map_err(js_error)?;
        Ok(Self { run, config: json, prediction: None })
    }

    /// What the page must know about the run.
    pub fn facts(&self) -> String {
        let config = &self.run.config;
        facts(&config.labels, config.outputs(), &self.config, config.receptive_field(), true)
    }

    /// The token of each id, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
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
        let mut of_tokens = self.run.table.parts(prediction, index);
        of_tokens.iter_mut().for_each(|part| part.score = vec![part.score[output]]);
        let parts = Parts { of_tokens, is_exact: true };
        Ok(phrase_json(prediction.phrases[index].score[output], &parts, Value::Null).to_string())
    }
}

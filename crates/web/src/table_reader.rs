//! A linear run that reads texts on a page by its table alone: nothing of Burn is in its module, which
//! is there in a moment. [`Reader`](crate::Reader) takes its place once the whole is there.

use convlens_analysis::{Parts, explained_output};
use convlens_run::{FoldedRun, Prediction, RunFiles};
use serde_json::Value;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::reading::{Reading, facts, taken_apart, tokens};
use crate::said;

/// A folded run, open. What its methods give is what [`Reader`](crate::Reader)'s do.
#[wasm_bindgen]
#[derive(Debug)]
pub struct TableReader {
    run: FoldedRun,
    /// What was read last.
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
        let run = FoldedRun::from_files(RunFiles { config, tokenizer, weights }).map_err(said)?;
        Ok(Self { run, prediction: None })
    }

    /// What the page must know of the run.
    pub fn facts(&self) -> String {
        facts(&self.run.config, true)
    }

    /// Every id's token, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot read it.
    pub fn read(&mut self, text: &str) -> Result<Reading, JsError> {
        let prediction = self.run.predict(text).map_err(said)?;
        let reading = Reading::of(&prediction);
        self.prediction = Some(prediction);
        Ok(reading)
    }

    /// A phrase of the text that was read last, without the filters behind it.
    ///
    /// # Errors
    ///
    /// Where there is no such phrase.
    pub fn phrase(&self, index: usize) -> Result<String, JsError> {
        let prediction = self.prediction.as_ref().filter(|prediction| index < prediction.phrases.len());
        let prediction = prediction.ok_or_else(|| said("no such phrase has been read"))?;
        let output = explained_output(prediction);
        let mut of_tokens = self.run.table.parts(prediction, index);
        of_tokens.iter_mut().for_each(|part| part.score = vec![part.score[output]]);
        let parts = Parts { of_tokens, is_exact: true };
        Ok(taken_apart(prediction.phrases[index].score[output], &parts, Value::Null).to_string())
    }
}

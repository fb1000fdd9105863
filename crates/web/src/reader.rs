//! A run that reads texts on a page.

use burn::tensor::Device;
use convlens_analysis::{FilterVectors, explained_output, filters_behind, learnt, phrase_parts};
use convlens_run::{Prediction, Run, RunFiles, WordTable};
use serde_json::{Value, json};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::reading::{Reading, facts, taken_apart, tokens};
use crate::said;

/// How many filters are named behind a phrase.
const FILTERS: usize = 6;

/// A run, open.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Reader {
    /// On the CPU, where all but the scores of whole texts is computed.
    run: Run,
    /// As `run`, on WebGPU.
    on_gpu: Option<Run>,
    table: Option<WordTable>,
    /// The layers of a run that was opened folded, once they are there.
    layers: Option<Run>,
    /// The filters of the model's own layers, once they are there.
    vectors: Option<FilterVectors>,
    /// What was read last.
    prediction: Option<Prediction>,
}

#[wasm_bindgen]
impl Reader {
    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn open(config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<Self, JsError> {
        let run = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(said)?;
        let mut reader = Self::of(run).map_err(said)?;
        if reader.table.is_none() {
            reader.vectors = Some(FilterVectors::of(&reader.run).map_err(said)?);
        }
        Ok(reader)
    }

    /// Brings the layers of a run that was opened folded: the filters behind its phrases, and what it has
    /// learnt.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn bring_layers(&mut self, config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<(), JsError> {
        let layers = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(said)?;
        self.vectors = Some(FilterVectors::of(&layers).map_err(said)?);
        self.layers = Some(layers);
        Ok(())
    }

    /// Computes the scores of whole texts on WebGPU from here on.
    ///
    /// # Errors
    ///
    /// Where there is no adapter, or this module was built without.
    #[cfg(all(target_arch = "wasm32", feature = "webgpu"))]
    pub async fn use_webgpu(&mut self) -> Result<(), JsError> {
        let device = Device::wgpu_options().init_async().await.map_err(said)?;
        let files = self.run.files().map_err(said)?;
        self.on_gpu = Some(Run::from_files(files, &device).map_err(said)?);
        Ok(())
    }

    /// What the page must know of the run, as JSON: `labels`, `outputs`, `config`, `width` of a
    /// phrase (null: the whole text), `linear`.
    pub fn facts(&self) -> String {
        facts(&self.run.config, self.table.is_some())
    }

    /// Every id's token, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
    }

    /// What the run has learnt, as JSON; see [`learnt`].
    ///
    /// # Errors
    ///
    /// Where the device failed.
    pub fn learnt(&self, count: usize) -> Result<String, JsError> {
        let run = self.layers.as_ref().unwrap_or(&self.run);
        Ok(learnt(run, self.table.as_ref(), count, usize::MAX).map_err(said)?.to_string())
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Where the tokenizer cannot read it, or the device failed.
    pub async fn read(&mut self, text: String) -> Result<Reading, JsError> {
        let run = self.on_gpu.as_ref().unwrap_or(&self.run);
        let prediction = run.predict_async(&text).await.map_err(said)?;
        let reading = Reading::of(&prediction);
        self.prediction = Some(prediction);
        Ok(reading)
    }

    /// A phrase of the text that was read last, as JSON: its `score`, its `parts` (each a `token`, by
    /// its index, or null for padding, its `place` and `score`), whether they are `exact`, and the
    /// `filters` behind it (each with its `activation` and, of a linear model, its `share`).
    ///
    /// # Errors
    ///
    /// Where there is no such phrase, or the device failed.
    pub fn phrase(&self, index: usize) -> Result<String, JsError> {
        Ok(self.take_apart(index).map_err(said)?.to_string())
    }
}

impl Reader {
    pub(crate) fn of(run: Run) -> Result<Self, convlens_run::RunError> {
        let table = run.word_table()?;
        Ok(Self { run, on_gpu: None, table, layers: None, vectors: None, prediction: None })
    }

    /// As [`of`](Self::of), of a run whose layers are its own.
    pub(crate) fn of_layers(run: Run) -> Result<Self, convlens_run::RunError> {
        let vectors = Some(FilterVectors::of(&run)?);
        Ok(Self { vectors, ..Self::of(run)? })
    }

    fn take_apart(&self, index: usize) -> Result<Value, String> {
        let prediction = self.prediction.as_ref().filter(|prediction| index < prediction.phrases.len());
        let prediction = prediction.ok_or("no such phrase has been read")?;
        let output = explained_output(prediction);
        let parts = phrase_parts(&self.run, self.table.as_ref(), prediction, index, output);
        let parts = parts.map_err(|error| error.to_string())?;
        let filters = self.vectors.as_ref().map(|vectors| {
            filters_behind(&self.run, vectors, prediction, index, output, FILTERS)
                .iter()
                .map(|found| json!({ "filter": found.filter, "activation": found.activation, "share": found.share }))
                .collect::<Value>()
        });
        Ok(taken_apart(prediction.phrases[index].score[output], &parts, filters.unwrap_or_default()))
    }
}

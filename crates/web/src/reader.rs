//! Reads texts with a run.

use burn::tensor::Device;
use convlens_analysis::{FilterVectors, explained_output, filters_behind, learnt, phrase_parts};
use convlens_run::model::EncoderSettings;
use convlens_run::{Prediction, Run, RunConfig, RunFiles, WordTable};
use serde_json::{Value, json};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;
use crate::reading::{Reading, facts, phrase_json, tokens};

/// How many filters are listed for a phrase.
const FILTERS: usize = 6;

/// An open run.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Reader {
    /// On the CPU, which computes everything but the scores of whole texts.
    run: Run,
    /// The same run on WebGPU.
    on_gpu: Option<Run>,
    table: Option<WordTable>,
    /// The layers of a folded run, once they have been added.
    layers: Option<Run>,
    /// The filters of the model's layers, once they are known.
    vectors: Option<FilterVectors>,
    /// The text that was read last.
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
        let run = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(js_error)?;
        let mut reader = Self::new(run).map_err(js_error)?;
        if reader.table.is_none() {
            reader.vectors = Some(FilterVectors::new(&reader.run).map_err(js_error)?);
        }
        Ok(reader)
    }

    /// Adds the layers of a run that was opened folded. They are needed for the filters behind its phrases and
    /// for what it has learnt.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn bring_layers(&mut self, config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<(), JsError> {
        let layers = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(js_error)?;
        self.vectors = Some(FilterVectors::new(&layers).map_err(js_error)?);
        self.layers = Some(layers);
        Ok(())
    }

    /// Computes the scores of whole texts on WebGPU from now on.
    ///
    /// # Errors
    ///
    /// If there is no adapter.
    #[cfg(all(target_arch = "wasm32", feature = "webgpu"))]
    pub async fn use_webgpu(&mut self) -> Result<(), JsError> {
        let device = Device::wgpu_options().init_async().await.map_err(js_error)?;
        let files = self.run.files().map_err(js_error)?;
        self.on_gpu = Some(Run::from_files(files, &device).map_err(js_error)?);
        Ok(())
    }

    /// What the page must know about the run, as JSON: `labels`, `outputs`, `config`, the `width` of a phrase (null if
    /// a phrase is the whole text), and whether the model is `linear`.
    pub fn facts(&self) -> String {
        let RunConfig { labels, model, .. } = &self.run.config;
        let field = model.encoder.receptive_field();
        facts(labels, self.run.outputs(), &json!(self.run.config), field, self.table.is_some())
    }

    /// The token of each id, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
    }

    /// What the run has learnt, as JSON; see [`learnt`].
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn learnt(&self, count: usize) -> Result<String, JsError> {
        let run = self.layers.as_ref().unwrap_or(&self.run);
        Ok(learnt(run, self.table.as_ref(), count, usize::MAX).map_err(js_error)?.to_string())
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// If the tokenizer cannot read it, or the device fails.
    pub async fn read(&mut self, text: String) -> Result<Reading, JsError> {
        let run = self.on_gpu.as_ref().unwrap_or(&self.run);
        let prediction = run.predict_async(&text).await.map_err(js_error)?;
        let reading = Reading::new(&prediction);
        self.prediction = Some(prediction);
        Ok(reading)
    }

    /// A phrase of the text that was read last, as JSON: its `score`; its `parts`, each with the index of its
    /// `token` (null for padding), its `place` and its `score`; whether they are `exact`; and the `filters` behind
    /// it, each with its `activation` and, in a linear model, its `share`.
    ///
    /// # Errors
    ///
    /// If there is no such phrase, or the device fails.
    pub fn phrase(&self, index: usize) -> Result<String, JsError> {
        Ok(self.explain_phrase(index).map_err(js_error)?.to_string())
    }
}

impl Reader {
    pub(crate) fn new(run: Run) -> Result<Self, convlens_run::RunError> {
        let table = run.word_table()?;
        Ok(Self { run, on_gpu: None, table, layers: None, vectors: None, prediction: None })
    }

    /// A reader for a run that is not folded.
    pub(crate) fn with_layers(run: Run) -> Result<Self, convlens_run::RunError> {
        let vectors = Some(FilterVectors::new(&run)?);
        Ok(Self { vectors, ..Self::new(run)? })
    }

    fn explain_phrase(&self, index: usize) -> Result<Value, String> {
        let prediction = self.prediction.as_ref().filter(|prediction| index < prediction.phrases.len());
        let prediction = prediction.ok_or("the text that was read last has no such phrase")?;
        let output = explained_output(prediction);
        let parts = phrase_parts(&self.run, self.table.as_ref(), prediction, index, output);
        let parts = parts.map_err(|error| error.to_string())?;
        let filters = self.vectors.as_ref().map(|vectors| {
            filters_behind(&self.run, vectors, prediction, index, output, FILTERS)
                .iter()
                .map(|found| json!({ "filter": found.filter, "activation": found.activation, "share": found.share }))
                .collect::<Value>()
        });
        Ok(phrase_json(prediction.phrases[index].score[output], &parts, filters.unwrap_or_default()))
    }
}

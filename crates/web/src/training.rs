//! Trains a small model on a visitor's texts, a few steps at a time.

use std::io::{Cursor, Write};

use burn::tensor::Device;
use convlens_analysis::learnt;
use convlens_learn::{LearnError, Split, Targets, measure, preset, shuffled};
use convlens_run::text::train;
use convlens_run::{RunConfig, RunError, RunMetrics, Task, TextConfig, TokenizerSource, model_card};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::reading::tokens;
use crate::table::{Labelled, labelled};
use crate::{Reader, js_error};

/// The maximum number of tokens that a text may have: a batch of such texts must fit into a page's memory.
const MOST_TOKENS: usize = 20_000;
/// The maximum number of epochs that a visitor may choose.
const MOST_EPOCHS: usize = 1_000;
/// The largest vocabulary that a visitor may choose.
const MOST_WORDS: usize = 100_000;

/// The settings that a visitor chooses.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The name of the file.
    name: String,
    text_column: String,
    label_column: String,
    preset: String,
    vocab_size: usize,
    /// 0: as many as the preset has.
    epochs: usize,
    seed: u64,
}

/// A model in training.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Training {
    training: convlens_learn::Training,
    test: Split,
}

#[wasm_bindgen]
impl Training {
    /// Reads a CSV, learns its vocabulary, cuts off a tenth for validation and another for the test, and draws the
    /// first weights. Nothing is trained yet. `settings` are JSON: `name`, `textColumn`, `labelColumn`, `preset`,
    /// `vocabSize`, `epochs` (0: as many as the preset has), `seed`.
    ///
    /// # Errors
    ///
    /// One line that names the setting, the line of the file, or the column.
    pub fn begin(csv: &[u8], settings: &str) -> Result<Self, JsError> {
        let settings: Settings =
            serde_json::from_str(settings).map_err(|error| js_error(format!("settings: {error}")))?;
        let data = labelled(csv, &settings.text_column, &settings.label_column).map_err(js_error)?;
        Self::new(&data, &settings).map_err(js_error)
    }

    /// Takes up to `count` steps and returns the state of training as JSON: `epoch`, `epochs`, `step`, `steps` in an
    /// epoch, `loss` and `accuracy` of the epoch so far, `history` (as in `metrics.jsonl`), `over`. `seconds` is the
    /// time since the last call.
    ///
    /// # Errors
    ///
    /// If the loss is not finite, or the device fails.
    pub async fn steps(&mut self, count: usize, seconds: f64) -> Result<String, JsError> {
        self.training.add_seconds(seconds);
        for _ in 0..count {
            if self.training.is_over() {
                break;
            }
            self.training.step_async().await.map_err(|error| match error {
                LearnError::NotFinite => js_error("the loss is not finite; try another model or other texts"),
                error => js_error(error),
            })?;
        }
        let session = self.training.session();
        let so_far = session.tally.metrics();
        Ok(json!({
            "epoch": session.epoch,
            "epochs": self.training.config().training.epochs,
            "step": session.step,
            "steps": self.training.steps_in_epoch(),
            "loss": so_far.loss,
            "accuracy": so_far.accuracy,
            "history": session.history,
            "over": self.training.is_over(),
        })
        .to_string())
    }

    /// What the model has learnt so far, as JSON; see [`Reader::learnt`]. The page asks for it often, so it covers
    /// the first label only.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn learnt(&mut self, count: usize) -> Result<String, JsError> {
        let run = self.training.current();
        let table = run.word_table().map_err(js_error)?;
        Ok(learnt(run, table.as_ref(), count, 1).map_err(js_error)?.to_string())
    }

    /// The token of each id, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.training.run().tokenizer)
    }

    /// A reader with the model of the best epoch.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn reader(&self) -> Result<Reader, JsError> {
        Reader::with_layers(self.training.best()).map_err(js_error)
    }

    /// The run folder of the best epoch, as a zip file.
    ///
    /// # Errors
    ///
    /// If no epoch has ended.
    pub fn folder(&self) -> Result<Vec<u8>, JsError> {
        self.zipped().map_err(js_error)
    }
}

impl Training {
    fn new(data: &Labelled, settings: &Settings) -> Result<Self, Box<dyn std::error::Error>> {
        for (name, value, most) in
            [("epochs", settings.epochs, MOST_EPOCHS), ("vocabulary", settings.vocab_size, MOST_WORDS)]
        {
            if value > most {
                return Err(format!("{name} is {value}; a page takes up to {most}").into());
            }
        }
        let chosen = preset(&settings.preset)?;
        let TokenizerSource::Trained(kind) = (chosen.text)().tokenizer else {
            return Err("this model needs a tokenizer of its own; train it with the convlens program".into());
        };
        let tokenizer = train(kind, settings.vocab_size, data.texts.iter())?;
        let mut training = (chosen.training)();
        training.seed = settings.seed;
        let vocab_size = tokenizer.vocab_size();
        let model = (chosen.model)(vocab_size, Task::Classify.outputs(data.names.len(), vocab_size));
        let rows = tokenizer.encode_ids(&data.texts.iter().map(String::as_str).collect::<Vec<_>>())?;

        if let Some((line, row)) = data.lines.iter().zip(&rows).find(|(_, row)| row.len() > MOST_TOKENS) {
            return Err(format!(
                "line {line}: the text has {} words, and a page takes up to {MOST_TOKENS}; shorten it, or train with the convlens program",
                row.len()
            )
            .into());
        }

        let shuffled = shuffled(rows.len(), training.seed);
        let tenth = (rows.len() / 10).max(1);
        let all = Split { rows, targets: Targets::Labels(data.labels.clone()) };
        let (test, rest) = shuffled.split_at(tenth);
        let (validation, rest) = rest.split_at(tenth);
        training.epochs = match settings.epochs {
            0 => chosen.epochs(rest.len(), training.batch_size),
            epochs => epochs,
        };
        training.validation_fraction = 1.0 / 9.0;
        let text = TextConfig { tokenizer: TokenizerSource::Trained(kind), vocab_size: settings.vocab_size };
        let mut config = RunConfig::new(chosen.name, data.names.clone(), text, model, training);
        config.dataset.name = settings.name.clone();
        (config.dataset.train, config.dataset.validation, config.dataset.test) =
            (rest.len(), validation.len(), test.len());
        let (train, validation, test) = (all.pick(rest), all.pick(validation), all.pick(test));
        let training = convlens_learn::Training::new(config, tokenizer, train, validation, Device::flex())?;
        Ok(Self { training, test })
    }

    fn zipped(&self) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let run = self.training.best();
        let history = &self.training.session().history;
        let temperature = run.config.temperature;
        let metrics_on = |split| Ok::<_, RunError>(measure(&run, split)?.metrics(temperature));
        let (validation, test) = (metrics_on(self.training.validation())?, metrics_on(&self.test)?);
        let metrics = RunMetrics::new(&run, history, run.config.dataset.train, validation, test);
        let metrics = RunMetrics {
            device: "a browser's CPU".into(),
            ..metrics.ok_or("no epoch has ended yet; nothing can be saved")?
        };
        let files = run.files()?;
        let lines: String = history.iter().map(|epoch| format!("{}\n", json!(epoch))).collect();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let card = model_card(&run.config, &metrics);
        for (name, content) in [
            ("config.json", files.config),
            ("tokenizer.json", files.tokenizer),
            ("model.safetensors", files.weights),
            ("metrics.json", serde_json::to_vec_pretty(&metrics)?),
            ("metrics.jsonl", lines.into_bytes()),
            ("README.md", card.into_bytes()),
        ] {
            zip.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))?;
            zip.write_all(&content)?;
        }
        Ok(zip.finish()?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
        }
    }

    fn settings(changes: serde_json::Value) -> Settings {
        let mut settings = json!({
            "name": "file.csv", "textColumn": "text", "labelColumn": "label", "preset": "default",
            "vocabSize": 1_000, "epochs": 2, "seed": 0,
        });
        for (key, value) in changes.as_object().expect("an object") {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).expect("settings")
    }

    fn begin(rows: &str, changes: serde_json::Value) -> Result<Training, String> {
        let settings = settings(changes);
        let csv = format!("text,label\n{rows}{}", "good,a\nbad,b\n".repeat(10));
        let data = labelled(csv.as_bytes(), &settings.text_column, &settings.label_column)?;
        Training::new(&data, &settings).map_err(|error| error.to_string())
    }

    #[test]
    fn odd_texts_and_labels_are_learnt() {
        let rows = "\u{2603}\u{2603},a\n\0,\u{202e}b\n\"\"\"\n\"\"\",\"<script>, \u{1b}[2J\"\n.,a\n";
        for preset in ["default", "relu"] {
            let mut training = begin(rows, json!({ "preset": preset })).expect("begins");
            while !training.training.is_over() {
                wait_for(training.training.step_async()).expect("trains");
            }
            let (session, config) = (training.training.session(), training.training.config());
            assert_eq!((session.history.len(), config.labels.len()), (2, 4));
            assert!(!training.zipped().expect("a run folder").is_empty());
            training.training.best().predict("\u{2603} <script>").expect("reads");
        }
    }

    #[test]
    fn absurd_settings_and_texts_are_errors() {
        let message = |rows: &str, changes| begin(rows, changes).expect_err("an error");
        assert_eq!(
            message("", json!({ "epochs": 5_000_000_000_u64 })),
            "epochs is 5000000000; a page takes up to 1000"
        );
        assert_eq!(message("", json!({ "vocabSize": 10_u64.pow(18) })).split(';').count(), 2);
        assert!(message("", json!({ "vocabSize": 0 })).contains('0'));
        assert!(message("", json!({ "preset": "none" })).contains("none"));
        assert!(message("", json!({ "textColumn": "label" })).contains("both texts and labels"));
        let long = format!("good,a\n{},a\n", "word ".repeat(MOST_TOKENS + 1));
        assert!(message(&long, json!({})).starts_with("line 3: the text has 2000"), "{}", message(&long, json!({})));
        let begun = begin("", json!({})).expect("begins");
        assert_eq!(begun.zipped().expect_err("an error").to_string(), "no epoch has ended yet; nothing can be saved");
    }
}

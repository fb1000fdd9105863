//! Trains a small model on a visitor's texts, a few steps at a time.

use std::borrow::Cow;
use std::io::{Cursor, Write};

use burn::tensor::Device;
use convlens_analysis::learnt;
use convlens_learn::{CountedLexicon, Learner, StepPosition, Tally, calibrated_metrics, epoch_order, preset};
use convlens_run::model::{ModelConfig, Padding, TextModel};
use convlens_run::text::train;
use convlens_run::{
    BURN_VERSION, ClassMetrics, DatasetConfig, EpochMetrics, FORMAT, Run, RunConfig, RunMetrics, Task, TextConfig,
    TokenizerSource, fit_temperature, logits, model_card, to_host_async,
};
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

/// Texts as ids, with labels.
#[derive(Debug, Default)]
struct Split {
    rows: Vec<Vec<u32>>,
    labels: Vec<usize>,
}

/// A model in training.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Training {
    /// The model in it is as old as the last call of `current`.
    run: Run,
    /// None while it takes a step, and after a step that failed.
    learner: Option<Learner>,
    train: Split,
    validation: Split,
    test: Split,
    /// The batches of the current epoch.
    order: Vec<Vec<usize>>,
    epoch: usize,
    step: usize,
    done: usize,
    tally: Tally,
    epoch_seconds: f64,
    history: Vec<EpochMetrics>,
    /// The weights of the best epoch, and their temperature.
    best: Option<(TextModel, f64)>,
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
        self.epoch_seconds += seconds;
        for _ in 0..count {
            if self.is_over() {
                break;
            }
            self.take_step().await.map_err(js_error)?;
        }
        let so_far = self.tally.metrics();
        Ok(json!({
            "epoch": self.epoch,
            "epochs": self.run.config.training.epochs,
            "step": self.step,
            "steps": self.order.len(),
            "loss": so_far.loss,
            "accuracy": so_far.accuracy,
            "history": self.history,
            "over": self.is_over(),
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
        let run = self.current();
        let table = run.word_table().map_err(js_error)?;
        Ok(learnt(run, table.as_ref(), count, 1).map_err(js_error)?.to_string())
    }

    /// The token of each id, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
    }

    /// A reader with the model of the best epoch.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn reader(&self) -> Result<Reader, JsError> {
        Reader::with_layers(self.trained()).map_err(js_error)
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
        let mut model = (chosen.model)(tokenizer.vocab_size(), ModelConfig::outputs_for(data.names.len()));
        let rows = tokenizer.encode_ids(&data.texts.iter().map(String::as_str).collect::<Vec<_>>())?;

        if let Some((line, row)) = data.lines.iter().zip(&rows).find(|(_, row)| row.len() > MOST_TOKENS) {
            return Err(format!(
                "line {line}: the text has {} words, and a page takes up to {MOST_TOKENS}; shorten it, or train with the convlens program",
                row.len()
            )
            .into());
        }

        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let shuffled = epoch_order(&lengths, rows.len(), false, training.seed, 0).concat();
        let tenth = (rows.len() / 10).max(1);
        let split = |indices: &[usize]| Split {
            rows: indices.iter().map(|&index| rows[index].clone()).collect(),
            labels: indices.iter().map(|&index| data.labels[index]).collect(),
        };
        let (test, rest) = shuffled.split_at(tenth);
        let (validation, rest) = rest.split_at(tenth);
        training.epochs = match settings.epochs {
            0 => chosen.epochs(rest.len(), training.batch_size),
            epochs => epochs,
        };
        training.validation_fraction = 1.0 / 9.0;

        let device = Device::flex();
        let count = || {
            let Ok(counted) = CountedLexicon::new(&tokenizer, model.outputs, |count| {
                rest.iter().for_each(|&index| count(&rows[index], data.labels[index]));
                Ok::<_, std::convert::Infallible>(())
            });
            counted
        };
        let lexicon = model.lexicon.is_some().then(count);
        if let Some(lexicon) = &lexicon {
            lexicon.size(&mut model);
        }
        let learner = Learner::new(&model, &training, &tokenizer, lexicon, &device)?;
        let dataset = DatasetConfig {
            name: settings.name.clone(),
            file: None,
            revision: None,
            fingerprint: String::new(),
            train: rest.len(),
            validation: validation.len(),
            test: test.len(),
        };
        let config = RunConfig {
            format: FORMAT,
            convlens: env!("CARGO_PKG_VERSION").into(),
            burn: BURN_VERSION.into(),
            task: Task::Classify,
            preset: settings.preset.clone(),
            labels: data.names.clone(),
            dataset,
            text: TextConfig { tokenizer: TokenizerSource::Trained(kind), vocab_size: settings.vocab_size },
            model,
            training,
            vectors: None,
            temperature: 1.0,
        };
        config.check()?;
        let (train, validation, test) = (split(rest), split(validation), split(test));
        let mut begun = Self {
            run: Run { config, tokenizer, model: learner.trained(), device },
            learner: Some(learner),
            train,
            validation,
            test,
            order: Vec::new(),
            epoch: 1,
            step: 0,
            done: 0,
            tally: Tally::default(),
            epoch_seconds: 0.0,
            history: Vec::new(),
            best: None,
        };
        begun.order = begun.order();
        Ok(begun)
    }

    fn order(&self) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.train.rows.iter().map(Vec::len).collect();
        let training = &self.run.config.training;
        let by_length = self.run.config.model.padding == Padding::Masked;
        epoch_order(&lengths, training.batch_size, by_length, training.seed, self.epoch)
    }

    fn is_over(&self) -> bool {
        self.run.config.training.is_over(&self.history)
    }

    async fn take_step(&mut self) -> Result<(), String> {
        let indices = &self.order[self.step];
        let rows = indices.iter().map(|&index| Cow::Borrowed(self.train.rows[index].as_slice())).collect();
        let labels: Vec<usize> = indices.iter().map(|&index| self.train.labels[index]).collect();
        let steps = self.run.config.training.epochs * self.order.len();
        let position = StepPosition { epoch: self.epoch, step: self.step + 1, done: self.done, steps };
        let learner = self.learner.take().ok_or("training failed before; start it again")?;
        let (learner, logits) = learner.step(rows, &labels, position).map_err(|error| error.to_string())?;
        self.learner = Some(learner);
        let logits = to_host_async(logits).await.map_err(|error| error.to_string())?;
        self.tally.add(&logits, self.run.config.model.outputs, &labels);
        if !self.tally.loss.is_finite() {
            return Err("the loss is not finite; try another model or other texts".into());
        }
        self.step += 1;
        self.done += 1;
        if self.step == self.order.len() {
            self.end_epoch()?;
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<(), String> {
        self.current();
        let logits = read(&self.run, &self.validation)?;
        let validation = metrics(&self.run, &logits, &self.validation);
        let train = self.tally.metrics();
        let epoch = EpochMetrics { epoch: self.epoch, train, validation, seconds: self.epoch_seconds };
        if epoch.is_better_than(EpochMetrics::best(&self.history)) {
            let temperature = fit_temperature(&logits, self.run.config.model.outputs, &self.validation.labels);
            self.best = Some((self.run.model.clone(), temperature));
        }
        self.history.push(epoch);
        (self.step, self.epoch_seconds, self.tally) = (0, 0.0, Tally::default());
        self.epoch += 1;
        self.order = self.order();
        Ok(())
    }

    /// The run with the current model.
    fn current(&mut self) -> &Run {
        if let Some(learner) = &self.learner {
            self.run.model = learner.trained();
        }
        &self.run
    }

    /// A run with the model of the best epoch, or with the last known model if no epoch has ended.
    fn trained(&self) -> Run {
        let Run { config, tokenizer, model, device } = &self.run;
        let (model, temperature) = self.best.clone().unwrap_or_else(|| (model.clone(), 1.0));
        Run {
            config: RunConfig { temperature, ..config.clone() },
            tokenizer: tokenizer.clone(),
            model,
            device: device.clone(),
        }
    }

    fn zipped(&self) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let run = self.trained();
        let metrics_on = |split: &Split| Ok::<_, String>(metrics(&run, &read(&run, split)?, split));
        let (validation, test) = (metrics_on(&self.validation)?, metrics_on(&self.test)?);
        let metrics = RunMetrics::new(&run, &self.history, self.train.rows.len(), validation, test);
        let metrics = RunMetrics {
            device: "a browser's CPU".into(),
            ..metrics.ok_or("no epoch has ended yet; nothing can be saved")?
        };
        let files = run.files()?;
        let lines: String = self.history.iter().map(|epoch| format!("{}\n", json!(epoch))).collect();
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

/// The logits of every text, one row after the other.
fn read(run: &Run, split: &Split) -> Result<Vec<f32>, String> {
    let rows: Vec<&[u32]> = split.rows.iter().map(Vec::as_slice).collect();
    let (padding, pad_id) = (run.config.model.padding, run.pad_id());
    logits(&run.model, &rows, padding, pad_id, &run.device, &|_| {}).map_err(|error| error.to_string())
}

fn metrics(run: &Run, logits: &[f32], split: &Split) -> ClassMetrics {
    calibrated_metrics(logits, run.config.model.outputs, &split.labels, run.config.temperature)
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
            while !training.is_over() {
                wait_for(training.take_step()).expect("trains");
            }
            assert_eq!((training.history.len(), training.run.config.labels.len()), (2, 4));
            assert!(!training.zipped().expect("a run folder").is_empty());
            training.trained().predict("\u{2603} <script>").expect("reads");
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
        let mut begun = begin("", json!({})).expect("begins");
        assert_eq!(begun.zipped().expect_err("an error").to_string(), "no epoch has ended yet; nothing can be saved");
        begun.learner = None;
        assert_eq!(wait_for(begun.take_step()), Err("training failed before; start it again".into()));
    }
}

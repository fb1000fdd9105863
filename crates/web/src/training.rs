//! A small model, trained on a visitor's texts a few steps at a time.

use std::borrow::Cow;
use std::io::{Cursor, Write};

use burn::tensor::Device;
use convlens_analysis::learnt;
use convlens_learn::{Learner, Moment, Tally, epoch_order, preset};
use convlens_run::model::{ModelConfig, Padding, TextModel};
use convlens_run::text::{TokenizerKind, train};
use convlens_run::{
    ClassMetrics, DatasetConfig, EpochMetrics, FORMAT, Run, RunConfig, RunMetrics, Task, TextConfig, TokenizerSource,
    logits, model_card, to_host_async,
};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::reading::tokens;
use crate::table::{Labelled, labelled};
use crate::{Reader, said};

/// What a visitor chooses.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The file's name.
    name: String,
    text_column: String,
    label_column: String,
    preset: String,
    vocab_size: usize,
    /// The preset's where it is zero.
    epochs: usize,
    seed: u64,
}

/// Texts as ids.
#[derive(Debug, Default)]
struct Split {
    rows: Vec<Vec<u32>>,
    labels: Vec<usize>,
}

/// A model in training.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Training {
    /// With the model as it was when it was last looked at.
    run: Run,
    /// Away only while it takes a step.
    learner: Option<Learner>,
    train: Split,
    validation: Split,
    test: Split,
    /// The batches of the epoch.
    order: Vec<Vec<usize>>,
    epoch: usize,
    step: usize,
    done: usize,
    tally: Tally,
    epoch_seconds: f64,
    history: Vec<EpochMetrics>,
    /// The weights of the best epoch.
    best: Option<TextModel>,
}

#[wasm_bindgen]
impl Training {
    /// Reads a CSV, learns its vocabulary, cuts a tenth off for validation and another for the test,
    /// and draws the first weights; nothing is trained yet. `settings` are JSON: `name`,
    /// `textColumn`, `labelColumn`, `preset`, `vocabSize`, `epochs` (0: the preset's), `seed`.
    ///
    /// # Errors
    ///
    /// One line that names the row or the column.
    pub fn begin(csv: &[u8], settings: &str) -> Result<Self, JsError> {
        let settings: Settings = serde_json::from_str(settings).map_err(said)?;
        let data = labelled(csv, &settings.text_column, &settings.label_column).map_err(said)?;
        Self::of(&data, &settings).map_err(said)
    }

    /// Takes up to `count` steps and returns how training stands, as JSON: `epoch`, `epochs`, `step`,
    /// `steps` of the epoch, `loss` and `accuracy` of the epoch so far, `history` (see
    /// `metrics.jsonl`), `over`. `seconds` is how long the page waited since the last call.
    ///
    /// # Errors
    ///
    /// Where the loss is no longer a number, or the device failed.
    pub async fn steps(&mut self, count: usize, seconds: f64) -> Result<String, JsError> {
        self.epoch_seconds += seconds;
        for _ in 0..count {
            if self.is_over() {
                break;
            }
            self.take_step().await.map_err(said)?;
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

    /// What the model has learnt so far, as JSON; see [`Reader::learnt`]. It is asked for many times a
    /// minute, and so tells of the first label alone.
    ///
    /// # Errors
    ///
    /// Where the device failed.
    pub fn learnt(&mut self, count: usize) -> Result<String, JsError> {
        let run = self.current();
        let table = run.word_table().map_err(said)?;
        Ok(learnt(run, table.as_ref(), count, 1).map_err(said)?.to_string())
    }

    /// Every id's token, as a JSON array.
    pub fn tokens(&self) -> String {
        tokens(&self.run.tokenizer)
    }

    /// The model of the best epoch, to read with.
    ///
    /// # Errors
    ///
    /// Where the device failed.
    pub fn reader(&self) -> Result<Reader, JsError> {
        Reader::of_layers(self.trained()).map_err(said)
    }

    /// The run folder of the best epoch, as a zip file.
    ///
    /// # Errors
    ///
    /// Where no epoch is over.
    pub fn folder(&self) -> Result<Vec<u8>, JsError> {
        self.zipped().map_err(said)
    }
}

impl Training {
    fn of(data: &Labelled, settings: &Settings) -> Result<Self, Box<dyn std::error::Error>> {
        let chosen = preset(&settings.preset)?;
        let tokenizer = train(TokenizerKind::Words, settings.vocab_size, data.texts.iter())?;
        let mut training = (chosen.training)();
        training.seed = settings.seed;
        let model = (chosen.model)(tokenizer.vocab_size(), ModelConfig::outputs_for(data.names.len()));
        let rows = tokenizer.encode_ids(&data.texts.iter().map(String::as_str).collect::<Vec<_>>())?;

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
        let learner = Learner::new(&model, &training, &tokenizer, &device)?;
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
            burn: "0.22".into(),
            task: Task::Classify,
            preset: settings.preset.clone(),
            labels: data.names.clone(),
            dataset,
            text: TextConfig {
                tokenizer: TokenizerSource::Trained(TokenizerKind::Words),
                vocab_size: settings.vocab_size,
            },
            model,
            training,
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
        let moment = Moment { epoch: self.epoch, step: self.step + 1, done: self.done, steps };
        let learner = self.learner.take().ok_or("training broke off; begin anew")?;
        let (learner, logits) = learner.step(rows, &labels, moment).map_err(|error| error.to_string())?;
        self.learner = Some(learner);
        let logits = to_host_async(logits).await.map_err(|error| error.to_string())?;
        self.tally.add(&logits, self.run.config.model.outputs, &labels);
        if !self.tally.loss.is_finite() {
            return Err("the loss is no longer a number; these texts cannot be learnt with these settings".into());
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
        let validation = metrics(&self.run, &self.validation)?;
        let train = self.tally.metrics();
        let epoch = EpochMetrics { epoch: self.epoch, train, validation, seconds: self.epoch_seconds };
        if epoch.is_better_than(EpochMetrics::best(&self.history)) {
            self.best = Some(self.run.model.clone());
        }
        self.history.push(epoch);
        (self.step, self.epoch_seconds, self.tally) = (0, 0.0, Tally::default());
        self.epoch += 1;
        self.order = self.order();
        Ok(())
    }

    /// The run with the model as it is.
    fn current(&mut self) -> &Run {
        if let Some(learner) = &self.learner {
            self.run.model = learner.trained();
        }
        &self.run
    }

    /// A run with the model of the best epoch; before the first is over, as it was last looked at.
    fn trained(&self) -> Run {
        let Run { config, tokenizer, model, device } = &self.run;
        let model = self.best.as_ref().unwrap_or(model).clone();
        Run { config: config.clone(), tokenizer: tokenizer.clone(), model, device: device.clone() }
    }

    fn zipped(&self) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let run = self.trained();
        let test = metrics(&run, &self.test)?;
        let metrics = RunMetrics::of(&run, &self.history, self.train.rows.len(), test);
        let metrics = RunMetrics { device: "a browser's CPU".into(), ..metrics.ok_or("train for an epoch first")? };
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

fn metrics(run: &Run, split: &Split) -> Result<ClassMetrics, String> {
    let rows: Vec<&[u32]> = split.rows.iter().map(Vec::as_slice).collect();
    let (padding, pad_id) = (run.config.model.padding, run.pad_id());
    let logits = logits(&run.model, &rows, padding, pad_id, &run.device, &|_| {}).map_err(|error| error.to_string())?;
    let mut tally = Tally::default();
    tally.add(&logits, run.config.model.outputs, &split.labels);
    Ok(tally.metrics())
}

//! Writes texts with a language model.

use std::sync::Arc;

use burn::tensor::Device;
use convlens_analysis::token_evidence;
use convlens_run::model::EncoderSettings;
use convlens_run::{Generator, NextToken, Run, RunError, RunFiles, Sampling};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;

/// How many unknown characters of a prompt are named.
const NAMED: usize = 5;
/// The most tokens before a token whose shares are computed.
const LONGEST_FIELD: usize = 600;

/// An open run that generates texts, on the CPU.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Writer {
    run: Arc<Run>,
    text: Option<Text>,
}

/// A text that is being written.
#[derive(Debug)]
struct Text {
    generator: Generator,
    sampling: Sampling,
    label: Option<usize>,
    /// The ids of the prompt and of what was written after it.
    ids: Vec<u32>,
    /// How many of them are the prompt's.
    prompt: usize,
}

/// How a text is written, as the page sends it.
#[derive(Debug, Deserialize)]
struct Settings {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    /// The index of the label that the text is written for.
    label: Option<usize>,
    seed: u32,
}

/// What the model makes of a prompt.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone, Debug)]
pub struct PromptReading {
    /// The number of tokens.
    pub tokens: usize,
    /// The pieces that the model does not know, or some of them.
    pub unknown: Vec<String>,
    /// Whether a prompt with unknown pieces can be continued all the same.
    pub reads_unknown: bool,
}

#[wasm_bindgen]
impl Writer {
    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// One line that names the file, or says that the run does not generate texts.
    pub fn open(config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<Self, JsError> {
        let run = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(js_error)?;
        if run.config.window().is_none() {
            return Err(JsError::new(&format!("this run {}, and does not generate texts", run.config.task)));
        }
        Ok(Self { run: Arc::new(run), text: None })
    }

    /// What the page must know about the run, as JSON: `labels`, `config`, the `width` of the receptive field (null if it
    /// is the whole text), and whether tokens have `spaces` of their own.
    pub fn facts(&self) -> String {
        let config = &self.run.config;
        let field = config.model.encoder.receptive_field();
        let width = if field.is_unbounded() { Value::Null } else { field.size().into() };
        let spaces = self.run.tokenizer.keeps_white_space();
        json!({ "labels": config.labels, "config": config, "width": width, "spaces": spaces }).to_string()
    }

    /// Reads a prompt. `part` has no effect: a prompt is read as a whole.
    ///
    /// # Errors
    ///
    /// If the tokenizer cannot read it.
    pub fn read(&self, text: &str, part: usize) -> Result<PromptReading, JsError> {
        let _ = part;
        let encoding = self.run.tokenizer.encode(text).map_err(js_error)?;
        let pieces = encoding.ids.iter().zip(&encoding.offsets);
        let pieces = pieces.filter(|(id, _)| Some(**id) == self.run.tokenizer.unk_id());
        let unknown = pieces.map(|(_, &(start, end))| text[start..end].to_owned()).take(NAMED).collect();
        let tokens = encoding.offsets.iter().filter(|(start, end)| start < end).count();
        Ok(PromptReading { tokens, unknown, reads_unknown: !self.run.tokenizer.keeps_white_space() })
    }

    /// Begins a text after a prompt, with settings as JSON: `temperature`, `top_k`, `top_p`, `label`, `seed`.
    ///
    /// # Errors
    ///
    /// If the settings are not valid, the prompt cannot be read, or the device fails.
    pub fn begin(&mut self, prompt: &str, settings: &str) -> Result<(), JsError> {
        let settings: Settings = serde_json::from_str(settings).map_err(js_error)?;
        self.text = Some(self.begun(prompt, &settings).map_err(js_error)?);
        Ok(())
    }

    /// Writes up to `count` more tokens, as JSON: a list of their `text`, `probability` and `alternatives` (pairs of a
    /// token and its probability), and whether one `ends` the text, which is the last then.
    ///
    /// # Errors
    ///
    /// If no text was begun, or the device fails.
    pub fn write(&mut self, count: usize) -> Result<String, JsError> {
        Ok(self.written(count).map_err(js_error)?.to_string())
    }

    /// Why a token that was written was chosen, given by its number after the prompt, as JSON: its `logit` relative to the
    /// mean of all, the `baseline`, which is that without tokens, the `shares` of the tokens before it, as `tokens` and
    /// numbers, and the `residual`.
    ///
    /// # Errors
    ///
    /// If there is no such token, or the device fails.
    pub fn token(&self, index: usize) -> Result<String, JsError> {
        let text = self.text.as_ref().filter(|text| text.prompt + index < text.ids.len());
        let text = text.ok_or_else(|| JsError::new("there is no such token"))?;
        Ok(self.explained(text, text.prompt + index).map_err(js_error)?.to_string())
    }
}

impl Writer {
    fn begun(&self, prompt: &str, settings: &Settings) -> Result<Text, RunError> {
        let &Settings { temperature, top_k, top_p, label, seed } = settings;
        let generator = Generator::new(self.run.clone(), prompt, label, u64::from(seed))?;
        let ids = self.run.tokenizer.ids(prompt)?;
        let prompt = ids.len();
        Ok(Text { generator, sampling: Sampling { temperature, top_k, top_p }, label, ids, prompt })
    }

    fn written(&mut self, count: usize) -> Result<Value, RunError> {
        let run = &self.run;
        let Some(text) = &mut self.text else { return Ok(json!([])) };
        let mut tokens = Vec::new();
        for _ in 0..count {
            let NextToken { id, probability, alternatives, text: added, is_end } =
                text.generator.choose(&text.sampling)?;
            text.ids.push(id);
            let name = |id: u32| run.tokenizer.token(id).unwrap_or_default();
            let alternatives: Vec<Value> =
                alternatives.into_iter().map(|(id, probability)| json!([name(id), probability])).collect();
            tokens.push(json!({
                "text": added, "probability": probability, "alternatives": alternatives, "ends": is_end,
            }));
            if is_end {
                break;
            }
        }
        Ok(Value::Array(tokens))
    }

    fn explained(&self, text: &Text, index: usize) -> Result<Value, RunError> {
        // Only the tokens in the receptive field matter.
        let seen = self.run.model.receptive_field().size().min(LONGEST_FIELD).min(index);
        let first = index - seen;
        let ids = &text.ids[first..=index];
        let found = token_evidence(&self.run, ids, text.label, seen..seen + 1, &|_| {})?;
        let Some(evidence) = found.into_iter().next() else { return Ok(Value::Null) };
        let names = ids[evidence.first..].iter().take(evidence.shares.len());
        let names: Vec<String> = names.map(|&id| self.run.tokenizer.token(id).unwrap_or_default()).collect();
        Ok(json!({
            "tokens": names, "shares": evidence.shares, "logit": evidence.logit, "baseline": evidence.baseline,
            "residual": evidence.residual,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_run::model::{EncoderConfig, GatedBranch, GatedConfig, LayerConfig, ModelConfig};
    use convlens_run::text::{TokenizerKind, train};
    use convlens_run::{RunConfig, Task, TextConfig, TokenizerSource, TrainingConfig};

    fn writer() -> Writer {
        let tokenizer = train(TokenizerKind::CasedCharacters, 50, std::iter::once("a good film")).expect("trains");
        let layer = LayerConfig { causal: true, ..LayerConfig::default() };
        let encoder = EncoderConfig::Gated(GatedConfig {
            hidden: 6,
            units: 2,
            dilation_base: 2,
            cycle: None,
            branch: GatedBranch::Skip,
            layer,
        });
        let vocab_size = tokenizer.vocab_size();
        let model = ModelConfig::new(vocab_size, encoder, vocab_size);
        let tokens = TokenizerSource::Trained(TokenizerKind::CasedCharacters);
        let text = TextConfig { tokenizer: tokens, vocab_size: 50 };
        let config = RunConfig::new("test", Vec::new(), text, model, TrainingConfig::default());
        let config = RunConfig { task: Task::LanguageModel, ..config };
        let device = Device::flex();
        let weights = config.model.init(&device).expect("a model");
        Writer { run: Arc::new(Run::new(config, tokenizer, weights, device).expect("a run")), text: None }
    }

    #[test]
    fn what_is_written_is_explained() {
        let mut writer = writer();
        let settings = Settings { temperature: 1.0, top_k: None, top_p: None, label: None, seed: 3 };
        writer.text = Some(writer.begun("a film", &settings).expect("begins"));
        let tokens = [writer.written(5), writer.written(5)].map(|tokens| tokens.expect("writes"));
        let texts: Vec<&str> = tokens
            .iter()
            .flat_map(|tokens| tokens.as_array().expect("a list"))
            .filter_map(|token| token["text"].as_str())
            .collect();
        let text = writer.text.as_ref().expect("a text");
        assert_eq!(text.ids.len(), text.prompt + texts.len());
        for index in 0..texts.len() {
            let evidence = writer.explained(text, text.prompt + index).expect("explains");
            let number = |name: &str| evidence[name].as_f64().expect("a number");
            let shares: Vec<f64> =
                evidence["shares"].as_array().expect("shares").iter().filter_map(Value::as_f64).collect();
            assert_eq!(shares.len(), 7.min(text.prompt + index));
            let sum = number("baseline") + shares.iter().sum::<f64>() + number("residual");
            assert!((number("logit") - sum).abs() < 1e-5, "{evidence}");
        }
        let reading = writer.read("a célèbre film", 0).expect("reads");
        assert_eq!((reading.tokens, reading.reads_unknown), (14, false));
        assert_eq!(reading.unknown, ["c", "é", "è", "b", "r"]);
    }
}

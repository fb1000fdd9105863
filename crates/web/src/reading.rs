//! What the page is told of a run and of a text.

use convlens_analysis::{Parts, explained_output, strongest_phrases};
use convlens_run::text::Tokenizer;
use convlens_run::{Part, Prediction, RunConfig};
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

/// How many phrases are named as the strongest.
const STRONGEST: usize = 12;

/// A text, read. A phrase stands at each of `centers`, from token `firsts` to before token `lasts`.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone, Debug)]
pub struct Reading {
    /// The index of the label.
    pub label: usize,
    /// Which logit is explained: the label's own, or the only one.
    pub explains: usize,
    /// Every label's probability.
    pub probabilities: Vec<f64>,
    /// The logits.
    pub logits: Vec<f64>,
    /// Each logit where there is no evidence.
    pub bias: Vec<f64>,
    /// What the phrases' scores and the bias leave of each logit.
    pub residual: Vec<f64>,
    /// Where each token begins in the text, in UTF-16 code units.
    pub starts: Vec<u32>,
    /// Where it ends.
    pub ends: Vec<u32>,
    /// The id of each token.
    pub ids: Vec<u32>,
    /// Each phrase's token in the middle; -1 for the one that sums up the padding.
    pub centers: Vec<i32>,
    /// Each phrase's first token.
    pub firsts: Vec<u32>,
    /// The token after its last.
    pub lasts: Vec<u32>,
    /// What each phrase adds to each logit, phrase after phrase.
    pub scores: Vec<f32>,
    /// The phrases that move the explained logit most, strongest first, no two overlapping.
    pub strongest: Vec<u32>,
}

/// What the page must know of a run, as JSON: see [`Reader::facts`](crate::Reader::facts).
pub(crate) fn facts(config: &RunConfig, is_linear: bool) -> String {
    let field = config.model.encoder.settings().receptive_field();
    let width = if field.is_unbounded() { Value::Null } else { field.size().into() };
    json!({
        "labels": config.labels,
        "outputs": config.outputs(),
        "config": config,
        "width": width,
        "linear": is_linear,
    })
    .to_string()
}

/// Every id's token, as a JSON array.
pub(crate) fn tokens(tokenizer: &Tokenizer) -> String {
    let all = 0..tokenizer.vocab_size() as u32;
    all.map(|id| tokenizer.token(id).unwrap_or_default()).collect::<Value>().to_string()
}

/// A phrase as the page is told of it, as JSON: see [`Reader::phrase`](crate::Reader::phrase).
pub(crate) fn taken_apart(score: f64, parts: &Parts, filters: Value) -> Value {
    let part = |part: &Part| json!({ "token": part.token, "place": part.place, "score": part.score[0] });
    json!({
        "score": score,
        "parts": parts.of_tokens.iter().map(part).collect::<Value>(),
        "exact": parts.is_exact,
        "filters": filters,
    })
}

impl Reading {
    pub(crate) fn of(prediction: &Prediction) -> Self {
        let phrases = &prediction.phrases;
        let index = |phrase: &convlens_run::Phrase| phrases.iter().position(|other| std::ptr::eq(phrase, other));
        let (starts, ends) = utf16_offsets(prediction);
        Self {
            label: prediction.label,
            explains: explained_output(prediction),
            probabilities: prediction.probabilities.clone(),
            logits: prediction.logits.clone(),
            bias: prediction.bias.clone(),
            residual: prediction.residual.clone(),
            starts,
            ends,
            ids: prediction.tokens.iter().map(|token| token.id).collect(),
            centers: phrases.iter().map(|phrase| phrase.center.map_or(-1, |center| center as i32)).collect(),
            firsts: phrases.iter().map(|phrase| phrase.tokens.start as u32).collect(),
            lasts: phrases.iter().map(|phrase| phrase.tokens.end as u32).collect(),
            scores: phrases.iter().flat_map(|phrase| phrase.score.iter().map(|&score| score as f32)).collect(),
            strongest: strongest_phrases(prediction, STRONGEST)
                .into_iter()
                .filter_map(|phrase| index(phrase).map(|index| index as u32))
                .collect(),
        }
    }
}

/// Where each token begins and ends, in the units that JavaScript counts strings in: one pass over
/// the text, whose tokens rise.
fn utf16_offsets(prediction: &Prediction) -> (Vec<u32>, Vec<u32>) {
    let (mut byte, mut unit) = (0, 0);
    let mut units_to = |to: usize| {
        if to < byte {
            (byte, unit) = (0, 0); // a tokenizer whose tokens do not rise
        }
        unit += prediction.text[byte..to].chars().map(char::len_utf16).sum::<usize>();
        byte = to;
        unit as u32
    };
    prediction.tokens.iter().map(|token| (units_to(token.range.start), units_to(token.range.end))).unzip()
}

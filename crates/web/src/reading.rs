//! What the page is told about a run and about a text.

use std::ops::Range;

use convlens_analysis::{Parts, explained_output, strongest_phrases};
use convlens_run::model::ReceptiveField;
use convlens_run::text::Tokenizer;
use convlens_run::{Part, Prediction};
use serde_json::{Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

/// How many of the strongest phrases are listed.
const STRONGEST: usize = 12;

/// A text that was read. The phrases are in four parallel arrays: each has its token in the middle in `centers`,
/// its range of tokens in `firsts` and `lasts`, and one score per logit in `scores`.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone, Debug)]
pub struct Reading {
    /// The index of the label.
    pub label: usize,
    /// The index of the logit that is explained: the one of the label, or the only one.
    pub explains: usize,
    /// The probability of each label.
    pub probabilities: Vec<f64>,
    /// The logits.
    pub logits: Vec<f64>,
    /// The value of each logit without evidence.
    pub bias: Vec<f64>,
    /// Each logit minus its bias and the scores of all phrases.
    pub residual: Vec<f64>,
    /// The start of each token in the text, in UTF-16 code units.
    pub starts: Vec<u32>,
    /// The end of each token.
    pub ends: Vec<u32>,
    /// The id of each token.
    pub ids: Vec<u32>,
    /// The token in the middle of each phrase; -1 for the one that stands for all padding.
    pub centers: Vec<i32>,
    /// The first token of each phrase.
    pub firsts: Vec<u32>,
    /// The token after the last one of each phrase.
    pub lasts: Vec<u32>,
    /// The score of each phrase for each logit, phrase after phrase.
    pub scores: Vec<f32>,
    /// The phrases with the largest effect on the explained logit, without overlaps, strongest first.
    pub strongest: Vec<u32>,
}

/// What the page must know about a run, as JSON: see [`Reader::facts`](crate::Reader::facts).
pub(crate) fn facts(
    labels: &[String],
    outputs: &[String],
    config: &Value,
    field: ReceptiveField,
    is_linear: bool,
) -> String {
    let width = if field.is_unbounded() { Value::Null } else { field.size().into() };
    json!({
        "labels": labels,
        "outputs": outputs,
        "config": config,
        "width": width,
        "linear": is_linear,
    })
    .to_string()
}

/// The token of each id, as a JSON array.
pub(crate) fn tokens(tokenizer: &Tokenizer) -> String {
    let all = 0..tokenizer.vocab_size() as u32;
    all.map(|id| tokenizer.token(id).unwrap_or_default()).collect::<Value>().to_string()
}

/// A phrase as JSON: see [`Reader::phrase`](crate::Reader::phrase).
pub(crate) fn phrase_json(score: f64, parts: &Parts, filters: Value) -> Value {
    let part = |part: &Part| json!({ "token": part.token, "place": part.place, "score": part.score[0] });
    json!({
        "score": score,
        "parts": parts.of_tokens.iter().map(part).collect::<Value>(),
        "exact": parts.is_exact,
        "filters": filters,
    })
}

impl Reading {
    pub(crate) fn new(prediction: &Prediction) -> Self {
        let phrases = &prediction.phrases;
        let index = |phrase: &convlens_run::Phrase| phrases.iter().position(|other| std::ptr::eq(phrase, other));
        let (starts, ends) = utf16_offsets(&prediction.text, prediction.tokens.iter().map(|token| &token.range));
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

/// The start and end of each token in UTF-16 code units, which JavaScript counts strings in. One pass over the
/// text, because tokens are in order.
pub(crate) fn utf16_offsets<'a>(text: &str, ranges: impl Iterator<Item = &'a Range<usize>>) -> (Vec<u32>, Vec<u32>) {
    let (mut byte, mut unit) = (0, 0);
    let mut units_to = |to: usize| {
        if to < byte {
            (byte, unit) = (0, 0); // a tokenizer whose tokens are out of order
        }
        unit += text[byte..to].chars().map(char::len_utf16).sum::<usize>();
        byte = to;
        unit as u32
    };
    ranges.map(|range| (units_to(range.start), units_to(range.end))).unzip()
}

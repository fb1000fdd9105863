//! A prediction, and the phrases that it is the sum of.

use burn::tensor::Tensor;
use convlens_model::{ModelConfig, Seen};
use convlens_text::{Encoding, Tokenizer};
use serde_json::{Map, Value, json};

use crate::predictor::most_probable;
use crate::{Run, RunConfig, RunError, to_host, to_host_async};

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// The token as the vocabulary has it.
    pub token: String,
    /// Its byte range in the text; empty for tokens that stand for nothing in it.
    pub range: std::ops::Range<usize>,
}

/// A phrase: the tokens that one position of the model sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// The token at the phrase's centre; none for the one entry that sums up the padding.
    pub center: Option<usize>,
    /// Which tokens it spans; empty for the padding.
    pub tokens: std::ops::Range<usize>,
    /// What it adds to each logit.
    pub score: Vec<f64>,
}

/// A text's label, and why.
///
/// Each logit is the sum of its [`bias`](Self::bias), of every phrase's
/// [`score`](Phrase::score) and of the [`residual`](Self::residual), which holds nothing but
/// the rounding of 32-bit sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The text.
    pub text: String,
    /// The index of its label among [`labels`](Self::labels).
    pub label: usize,
    /// Every label's name.
    pub labels: Vec<String>,
    /// Every label's probability.
    pub probabilities: Vec<f64>,
    /// The names of the logits: with two labels there is one logit, the second label's.
    pub outputs: Vec<String>,
    /// The logits.
    pub logits: Vec<f64>,
    /// The tokens that the model saw, in order.
    pub tokens: Vec<Token>,
    /// The phrases, in order.
    pub phrases: Vec<Phrase>,
    /// What each logit is where there is no evidence.
    pub bias: Vec<f64>,
    /// What is left of each logit when bias and phrases are taken off.
    pub residual: Vec<f64>,
}

impl Prediction {
    pub(crate) fn new(run: &Run, text: &str) -> Result<Self, RunError> {
        let asked = Asked::new(run, text)?;
        let values = Values {
            scores: to_f64(to_host(asked.scores)?),
            logits: to_f64(to_host(asked.logits)?),
            bias: run.bias()?,
        };
        Ok(Self::of(&run.config, &run.tokenizer, text, &asked.encoding, values))
    }

    pub(crate) async fn new_async(run: &Run, text: &str) -> Result<Self, RunError> {
        let asked = Asked::new(run, text)?;
        let bias = match &run.model.head.bias {
            Some(bias) => to_f64(to_host_async(bias.val()).await?),
            None => vec![0.0; run.config.model.outputs],
        };
        let scores = to_f64(to_host_async(asked.scores).await?);
        let values = Values { scores, logits: to_f64(to_host_async(asked.logits).await?), bias };
        Ok(Self::of(&run.config, &run.tokenizer, text, &asked.encoding, values))
    }

    /// What the values say of a text.
    pub(crate) fn of(
        config: &RunConfig,
        tokenizer: &Tokenizer,
        text: &str,
        encoding: &Encoding,
        values: Values,
    ) -> Self {
        let Values { scores, logits, bias } = values;
        let seen = config.model.padding.seen(encoding.ids.len());
        let phrases = phrases(&scores, seen, &config.model);
        let residual = (0..config.model.outputs)
            .map(|output| {
                logits[output] - bias[output] - phrases.iter().map(|phrase| phrase.score[output]).sum::<f64>()
            })
            .collect();
        let probabilities = probabilities(&logits);
        let label = most_probable(&probabilities);
        let token = |index: usize| Token {
            id: encoding.ids[index],
            token: tokenizer.token(encoding.ids[index]).unwrap_or_default(),
            range: encoding.offsets[index].0..encoding.offsets[index].1,
        };
        Self {
            text: text.into(),
            label,
            probabilities,
            outputs: config.outputs().to_vec(),
            labels: config.labels.clone(),
            logits,
            tokens: (seen.first..encoding.ids.len()).map(token).collect(),
            phrases,
            bias,
            residual,
        }
    }

    /// The name of the label.
    pub fn label_name(&self) -> &str {
        &self.labels[self.label]
    }

    /// The text under a phrase.
    pub fn phrase_text(&self, phrase: &Phrase) -> &str {
        let tokens = self.tokens[phrase.tokens.clone()].iter().filter(|token| !token.range.is_empty());
        let ranges: Vec<_> = tokens.map(|token| token.range.clone()).collect();
        match (ranges.first(), ranges.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => "",
        }
    }

    /// One object: `text`, `label`, `probability`, `probabilities`, `logits`, `tokens` (each
    /// with `start` and `end` in the text, counted in Unicode code points), `phrases` (each
    /// with its tokens' range, its text and its `score` by class; an empty range sums up the
    /// padding), `bias` and `residual`.
    pub fn to_json(&self) -> Value {
        let characters = CharacterOffsets::new(&self.text);
        let tokens = self.tokens.iter().map(|token| {
            let (start, end) = (characters.at(token.range.start), characters.at(token.range.end));
            json!({ "token": token.token, "start": start, "end": end })
        });
        let phrases = self.phrases.iter().map(|phrase| {
            json!({
                "start": phrase.tokens.start,
                "end": phrase.tokens.end,
                "text": self.phrase_text(phrase),
                "score": by_name(&self.outputs, &phrase.score),
            })
        });
        json!({
            "text": self.text,
            "label": self.label_name(),
            "probability": self.probabilities[self.label],
            "probabilities": by_name(&self.labels, &self.probabilities),
            "logits": by_name(&self.outputs, &self.logits),
            "tokens": tokens.collect::<Vec<_>>(),
            "phrases": phrases.collect::<Vec<_>>(),
            "bias": by_name(&self.outputs, &self.bias),
            "residual": by_name(&self.outputs, &self.residual),
        })
    }
}

/// What a device was asked about a text.
struct Asked {
    encoding: Encoding,
    /// `[1, positions, outputs]`
    scores: Tensor<3>,
    /// `[1, outputs]`
    logits: Tensor<2>,
}

impl Asked {
    fn new(run: &Run, text: &str) -> Result<Self, RunError> {
        let encoding = run.tokenizer.encode(text)?;
        let batch = run.batch(&[&encoding.ids]);
        Ok(Self { scores: run.model.scores(&batch), logits: run.model.forward(&batch), encoding })
    }
}

/// What a text got: the scores of its positions, `[positions, outputs]`, its logits, and the logits
/// without evidence.
pub(crate) struct Values {
    pub scores: Vec<f64>,
    pub logits: Vec<f64>,
    pub bias: Vec<f64>,
}

fn to_f64(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// The phrases of a text, given each position's scores, `[positions, outputs]`.
fn phrases(scores: &[f64], seen: Seen, config: &ModelConfig) -> Vec<Phrase> {
    let (outputs, field) = (config.outputs, config.encoder.settings().receptive_field());
    let tokens = seen.positions - seen.padding;
    let score = |position: usize| scores[position * outputs..(position + 1) * outputs].to_vec();
    let padding = (seen.padding > 0).then(|| Phrase {
        center: None,
        tokens: 0..0,
        score: (0..seen.padding)
            .map(score)
            .fold(vec![0.0; outputs], |sum, score| sum.iter().zip(score).map(|(sum, score)| sum + score).collect()),
    });
    let words = (0..tokens).step_by(config.encoder.settings().stride()).enumerate().map(|(position, center)| Phrase {
        center: Some(center),
        tokens: field.phrase(center, tokens),
        score: score(seen.padding + position),
    });
    padding.into_iter().chain(words).collect()
}

/// Softmax; of one logit the sigmoid and its complement.
pub(crate) fn probabilities(logits: &[f64]) -> Vec<f64> {
    match logits {
        [logit] => {
            let positive = 1.0 / (1.0 + (-logit).exp());
            vec![1.0 - positive, positive]
        }
        logits => {
            let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        }
    }
}

fn by_name(names: &[String], values: &[f64]) -> Map<String, Value> {
    names.iter().cloned().zip(values.iter().map(|&value| json!(value))).collect()
}

/// Byte offsets to offsets in code points, in one pass over the text.
struct CharacterOffsets {
    starts: Vec<usize>,
}

impl CharacterOffsets {
    fn new(text: &str) -> Self {
        Self { starts: text.char_indices().map(|(start, _)| start).collect() }
    }

    fn at(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start < byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_softmax() {
        // torch.softmax(torch.tensor([0., 1.5]), 0)  ->  [0.1824, 0.8176]; the same of one logit
        let one = probabilities(&[1.5]);
        let two = probabilities(&[0.0, 1.5]);
        assert!((one[1] - 0.81757448).abs() < 1e-7 && (two[1] - one[1]).abs() < 1e-12);
        assert_eq!(probabilities(&[1000.0, -1000.0]), [1.0, 0.0]);
        assert_eq!(probabilities(&[-1000.0]), [1.0, 0.0]);
    }

    #[test]
    fn offsets_count_code_points() {
        let offsets = CharacterOffsets::new("é☃x");
        assert_eq!([0, 2, 5, 6].map(|byte| offsets.at(byte)), [0, 1, 2, 3]);
    }
}

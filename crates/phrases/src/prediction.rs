//! A text's prediction as the sum of its phrases' scores.

use convlens_text::{Encoding, Tokenizer};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::{Padding, PhrasesError, ReceptiveField, VisibleTokens, calibrated_probabilities, predicted_label};

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its name in the vocabulary.
    pub token: String,
    /// Its byte range in the text; empty for a token that is not in the text, such as the start token.
    pub range: std::ops::Range<usize>,
}

/// A phrase: the tokens that one position of the model sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// The token at the phrase's centre; none for the entry that sums up the padding.
    pub center: Option<usize>,
    /// The tokens that it spans, with the negations of a lexicon in whose scope it is; empty for the padding.
    pub tokens: std::ops::Range<usize>,
    /// What it adds to each logit.
    pub score: Vec<f64>,
}

/// A text's label, and the phrases that it follows from.
///
/// Each logit is the sum of its [`bias`](Self::bias), every phrase's [`score`](Phrase::score) and the
/// [`residual`](Self::residual). The residual is a rounding error of 32-bit numbers; it does not grow
/// with the length of the text.
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
    /// The logits of a text without evidence.
    pub bias: Vec<f64>,
    /// Each logit minus its bias and the phrases' scores.
    pub residual: Vec<f64>,
}

impl Prediction {
    /// The prediction that a text's values make.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Overflow`] if a value is not finite.
    ///
    /// # Panics
    ///
    /// If the values do not have the shapes that the settings and the encoding give them.
    pub fn from_values(
        settings: PredictionSettings<'_>,
        tokenizer: &Tokenizer,
        text: &str,
        encoding: &Encoding,
        values: Values,
    ) -> Result<Self, PhrasesError> {
        let Values { scores, logits, bias } = values;
        if !scores.iter().chain(&logits).chain(&bias).all(|value| value.is_finite()) {
            return Err(PhrasesError::Overflow);
        }
        let seen = settings.padding.visible(encoding.ids.len());
        let phrases = phrases(&scores, seen, settings);
        let residual = (0..settings.outputs.len())
            .map(|output| {
                logits[output] - bias[output] - phrases.iter().map(|phrase| phrase.score[output]).sum::<f64>()
            })
            .collect();
        let token = |index: usize| Token {
            id: encoding.ids[index],
            token: tokenizer.token(encoding.ids[index]).unwrap_or_default(),
            range: encoding.offsets[index].0..encoding.offsets[index].1,
        };
        Ok(Self {
            text: text.into(),
            label: predicted_label(&logits),
            probabilities: calibrated_probabilities(&logits, settings.temperature),
            outputs: settings.outputs.to_vec(),
            labels: settings.labels.to_vec(),
            logits,
            tokens: (seen.first..encoding.ids.len()).map(token).collect(),
            phrases,
            bias,
            residual,
        })
    }

    /// Lets each phrase begin with the negation in whose scope it is, if that is before it. `starts` has the position of
    /// the negation for each token, or of the token itself; see [`LexiconIndex::scopes`](crate::LexiconIndex::scopes).
    pub fn begin_with_negations(&mut self, starts: &[usize]) {
        for (phrase, start) in self.phrases.iter_mut().zip(starts) {
            phrase.tokens.start = phrase.tokens.start.min(*start);
        }
    }

    /// The name of the label.
    pub fn label_name(&self) -> &str {
        &self.labels[self.label]
    }

    /// The part of the text that a phrase spans.
    pub fn phrase_text(&self, phrase: &Phrase) -> &str {
        let tokens = self.tokens[phrase.tokens.clone()].iter().filter(|token| !token.range.is_empty());
        let ranges: Vec<_> = tokens.map(|token| token.range.clone()).collect();
        match (ranges.first(), ranges.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => "",
        }
    }

    /// The prediction as a JSON object: `text`, `label`, `probability`, `probabilities`, `logits`,
    /// `tokens` (each with its `start` and `end` in the text, in Unicode code points), `phrases` (each
    /// with the range of its tokens, its text and its `score` for each logit; an empty range sums up
    /// the padding), `bias` and `residual`.
    ///
    /// A prediction serializes to the same object. For a long text, serializing into a file or a stream
    /// takes much less memory than this value does.
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

/// As [`Prediction::to_json`], without an intermediate value.
impl Serialize for Prediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Prediction", 9)?;
        object.serialize_field("text", &self.text)?;
        object.serialize_field("label", self.label_name())?;
        object.serialize_field("probability", &self.probabilities[self.label])?;
        object.serialize_field("probabilities", &ByName::new(&self.labels, &self.probabilities))?;
        object.serialize_field("logits", &ByName::new(&self.outputs, &self.logits))?;
        object.serialize_field("tokens", &Tokens(self))?;
        object.serialize_field("phrases", &Phrases(self))?;
        object.serialize_field("bias", &ByName::new(&self.outputs, &self.bias))?;
        object.serialize_field("residual", &ByName::new(&self.outputs, &self.residual))?;
        object.end()
    }
}

/// Serializes the tokens of a prediction as a list of objects.
struct Tokens<'a>(&'a Prediction);

impl Serialize for Tokens<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            token: &'a str,
            start: usize,
            end: usize,
        }

        let characters = CharacterOffsets::new(&self.0.text);
        serializer.collect_seq(self.0.tokens.iter().map(|token| Fields {
            token: &token.token,
            start: characters.at(token.range.start),
            end: characters.at(token.range.end),
        }))
    }
}

/// Serializes the phrases of a prediction as a list of objects.
struct Phrases<'a>(&'a Prediction);

impl Serialize for Phrases<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            start: usize,
            end: usize,
            text: &'a str,
            score: ByName<'a>,
        }

        serializer.collect_seq(self.0.phrases.iter().map(|phrase| Fields {
            start: phrase.tokens.start,
            end: phrase.tokens.end,
            text: self.0.phrase_text(phrase),
            score: ByName::new(&self.0.outputs, &phrase.score),
        }))
    }
}

/// Serializes numbers as an object with a name for each.
struct ByName<'a> {
    names: &'a [String],
    values: &'a [f64],
}

impl<'a> ByName<'a> {
    fn new(names: &'a [String], values: &'a [f64]) -> Self {
        Self { names, values }
    }
}

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values))
    }
}

/// What a prediction needs to know of the model that makes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictionSettings<'a> {
    /// Every label's name.
    pub labels: &'a [String],
    /// The names of the logits; see [`output_names`](crate::output_names).
    pub outputs: &'a [String],
    /// The number that logits are divided by before they become probabilities.
    pub temperature: f64,
    /// How padding is treated.
    pub padding: Padding,
    /// What one position sees of the text.
    pub field: ReceptiveField,
    /// The number of tokens per position, 1 or more.
    pub stride: usize,
}

/// The numbers that a model computes for a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The score of every position, `[positions, outputs]`.
    pub scores: Vec<f64>,
    /// `[outputs]`
    pub logits: Vec<f64>,
    /// The logits of a text without evidence, `[outputs]`.
    pub bias: Vec<f64>,
}

/// The phrases of a text from its positions' scores, `[positions, outputs]`.
fn phrases(scores: &[f64], seen: VisibleTokens, settings: PredictionSettings<'_>) -> Vec<Phrase> {
    let (outputs, field) = (settings.outputs.len(), settings.field);
    let tokens = seen.positions - seen.padding;
    let score = |position: usize| scores[position * outputs..(position + 1) * outputs].to_vec();
    let padding = (seen.padding > 0).then(|| Phrase {
        center: None,
        tokens: 0..0,
        score: (0..seen.padding)
            .map(score)
            .fold(vec![0.0; outputs], |sum, score| sum.iter().zip(score).map(|(sum, score)| sum + score).collect()),
    });
    let words = (0..tokens).step_by(settings.stride).enumerate().map(|(position, center)| Phrase {
        center: Some(center),
        tokens: field.phrase(center, tokens),
        score: score(seen.padding + position),
    });
    padding.into_iter().chain(words).collect()
}

fn by_name(names: &[String], values: &[f64]) -> Map<String, Value> {
    names.iter().cloned().zip(values.iter().map(|&value| json!(value))).collect()
}

/// Converts byte offsets to offsets in code points.
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
    use crate::FoldedRun;
    use crate::testing::files;

    #[test]
    fn offsets_count_code_points() {
        let offsets = CharacterOffsets::new("é☃x");
        assert_eq!([0, 2, 5, 6].map(|byte| offsets.at(byte)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_prediction_serializes_to_its_json() {
        for padding in [Padding::Masked, Padding::Counted { length: 6 }] {
            let run = FoldedRun::from_files(files(padding)).expect("opens");
            for text in ["", "a good film", "é☃ a \"bad\" film\u{9b}\n"] {
                let prediction = run.predict(text).expect("predicts");
                assert_eq!(serde_json::to_string(&prediction).expect("JSON"), prediction.to_json().to_string());
            }
        }
    }
}

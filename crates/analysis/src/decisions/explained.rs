//! Texts explained phrase by phrase and, if the model folds into a table, word by word.

use convlens_run::model::EncoderSettings;
use convlens_run::{Part, Prediction, Run, RunError, WordTable};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::index::sample;
use serde_json::{Value, json};

use crate::{OnStage, Texts, explained_output};

/// The parts of a phrase are computed for at most this many phrases of a text, the first ones.
pub(crate) const PHRASES_WITH_PARTS: usize = 1_000;

/// A text, its explanation and, if known, its label.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The explanation.
    pub prediction: Prediction,
    /// The true label of the text.
    pub label: Option<usize>,
    /// The parts of each of the first 1,000 phrases; empty if the model does not fold.
    pub parts: Vec<Vec<Part>>,
}

/// Draws `count` of `texts` texts, in random order, by a seed.
pub(crate) fn choose(texts: usize, count: usize, seed: u64) -> Vec<usize> {
    sample(&mut ChaCha8Rng::seed_from_u64(seed), texts, count.min(texts)).into_vec()
}

/// Explains the user's own texts, then those of a corpus.
///
/// # Errors
///
/// [`RunError`].
pub fn explain<S: EncoderSettings>(
    run: &Run<S>,
    table: Option<&WordTable>,
    own: &[String],
    texts: &Texts,
    on_stage: OnStage<'_>,
) -> Result<Vec<Explained>, RunError> {
    let own = own.iter().map(|text| (text, None));
    let all = own.chain(texts.texts.iter().zip(texts.labels.iter().map(|&label| Some(label))));
    let total = all.clone().count();
    let explained = all.enumerate().map(|(done, (text, label))| {
        on_stage("phrases of texts", done + 1, total);
        let prediction = run.predict(text)?;
        let with_parts = prediction.phrases.len().min(PHRASES_WITH_PARTS);
        let parts = match table {
            Some(table) => (0..with_parts).map(|phrase| table.parts(&prediction, phrase)).collect(),
            None => Vec::new(),
        };
        Ok(Explained { prediction, label, parts })
    });
    explained.collect()
}

impl Explained {
    /// The explanation as one object, like [`Prediction::to_json`] with these differences: each of the
    /// `phrases` is `[start, end, score]`, where the score is for the logit that `explains` names and the
    /// text is left out, because wide phrases repeat it many times; and `true_label` is the label.
    pub fn to_json(&self) -> Value {
        let prediction = &self.prediction;
        let output = explained_output(prediction);
        let phrases = prediction
            .phrases
            .iter()
            .map(|phrase| json!([phrase.tokens.start, phrase.tokens.end, phrase.score[output]]));
        // Without its phrases, so that their texts are not written first.
        let mut json = Prediction { phrases: Vec::new(), ..prediction.clone() }.to_json();
        json["phrases"] = phrases.collect();
        json["explains"] = prediction.outputs[output].as_str().into();
        json["true_label"] = self.label.map(|label| prediction.labels[label].as_str()).into();
        json
    }
}

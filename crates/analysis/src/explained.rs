//! Texts explained phrase by phrase, and word by word where the model folds.

use convlens_run::{Part, Prediction, Run, RunError, WordTable};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::index::sample;
use serde_json::{Value, json};

use crate::{OnStage, Texts, explained_output};

/// A text, its explanation, and its label where it is known.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The explanation.
    pub prediction: Prediction,
    /// The text's own label.
    pub label: Option<usize>,
    /// Each phrase's parts; empty where the model does not fold.
    pub parts: Vec<Vec<Part>>,
}

/// Which `count` of some texts are looked at, by seed, in an order drawn by lot.
pub(crate) fn choose(texts: usize, count: usize, seed: u64) -> Vec<usize> {
    sample(&mut ChaCha8Rng::seed_from_u64(seed), texts, count.min(texts)).into_vec()
}

/// Explains the user's texts, then the chosen ones of a corpus.
///
/// # Errors
///
/// [`RunError`].
pub fn explain(
    run: &Run,
    table: Option<&WordTable>,
    own: &[String],
    texts: &Texts<'_>,
    chosen: &[usize],
    on_stage: OnStage<'_>,
) -> Result<Vec<Explained>, RunError> {
    let own = own.iter().map(|text| (text.as_str(), None));
    let all = own.chain(chosen.iter().map(|&index| (texts.texts[index], Some(texts.labels[index]))));
    let total = all.clone().count();
    let explained = all.enumerate().map(|(done, (text, label))| {
        on_stage("phrases of texts", done + 1, total);
        let prediction = run.predict(text)?;
        let parts = match table {
            Some(table) => (0..prediction.phrases.len()).map(|phrase| table.parts(&prediction, phrase)).collect(),
            None => Vec::new(),
        };
        Ok(Explained { prediction, label, parts })
    });
    explained.collect()
}

impl Explained {
    /// One object: as [`Prediction::to_json`], but for each phrase only its place and the score
    /// that it adds to the explained logit, which `explains` names; and the label, where known.
    pub fn to_json(&self) -> Value {
        let prediction = &self.prediction;
        let output = explained_output(prediction);
        let mut json = prediction.to_json();
        let phrases = prediction
            .phrases
            .iter()
            .map(|phrase| json!([phrase.tokens.start, phrase.tokens.end, phrase.score[output]]));
        json["phrases"] = phrases.collect();
        json["explains"] = prediction.outputs[output].as_str().into();
        json["true_label"] = self.label.map(|label| prediction.labels[label].as_str()).into();
        json
    }
}

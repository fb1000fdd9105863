//! Evaluation of a tagger on tagged sentences.

use convlens_data::TaggedSentences;
use convlens_run::{Run, TagEvaluation, Tagger};

use crate::{Stage, TrainError};

/// How many sentences are tagged between two reports of progress.
const CHUNK: usize = 1_000;

/// Evaluates a tagger. A tag that it does not know counts as wrong.
///
/// # Errors
///
/// [`TrainError::Run`] if the run does not tag, or the device cannot be read.
pub fn evaluate_tags(
    run: Run,
    examples: &TaggedSentences,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<TagEvaluation, TrainError> {
    let tagger = Tagger::new(run)?;
    let total = examples.len();
    let mut found = Vec::with_capacity(total);
    for sentences in examples.sentences.chunks(CHUNK) {
        on_stage(Stage { name: "tagging sentences", done: found.len(), total });
        found.extend(tagger.labels(sentences)?);
    }
    on_stage(Stage { name: "tagging sentences", done: total, total });
    Ok(TagEvaluation::new(tagger.run(), &examples.sentences, &examples.tags, &found))
}

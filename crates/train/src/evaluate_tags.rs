//! Evaluation of a tagger on tagged sentences.

use std::collections::BTreeMap;

use convlens_data::TaggedSentences;
use convlens_run::{Run, SpanCounts, SpanTally, Tagger, forms_of, mark_spans};
use serde::Serialize;

use crate::evaluate::{ClassReport, class_reports};
use crate::{Stage, TrainError};

/// How many sentences are tagged between two reports of progress.
const CHUNK: usize = 1_000;

/// The metrics of a tagger on tagged sentences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagEvaluation {
    /// How many sentences there are.
    pub sentences: usize,
    /// All words.
    pub words: WordAccuracy,
    /// The words that the vocabulary has, which are those of the training split.
    pub known_words: WordAccuracy,
    /// The words that it does not have.
    pub unknown_words: WordAccuracy,
    /// The spans, if the tags mark spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanEvaluation>,
    /// One report per tag.
    pub tags: Vec<ClassReport>,
    /// How many words with each tag (row) were given each tag (column).
    pub confusion: Vec<Vec<usize>>,
}

/// How many words have the right tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WordAccuracy {
    /// How many words there are.
    pub count: usize,
    /// How many of them have the right tag.
    pub correct: usize,
    /// The share that has; 0 if there are no words.
    pub accuracy: f64,
}

impl WordAccuracy {
    fn add(&mut self, is_correct: bool) {
        self.count += 1;
        self.correct += usize::from(is_correct);
        self.accuracy = self.correct as f64 / self.count as f64;
    }
}

/// How well spans are found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanEvaluation {
    /// All spans.
    pub total: SpanReport,
    /// The spans of each type.
    pub by_type: BTreeMap<String, SpanReport>,
}

/// The counts of some spans, and the ratios that they give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpanReport {
    /// The counts.
    #[serde(flatten)]
    pub counts: SpanCounts,
    /// See [`SpanCounts::precision`].
    pub precision: f64,
    /// See [`SpanCounts::recall`].
    pub recall: f64,
    /// See [`SpanCounts::f1`].
    pub f1: f64,
}

impl From<SpanCounts> for SpanReport {
    fn from(counts: SpanCounts) -> Self {
        Self { counts, precision: counts.precision(), recall: counts.recall(), f1: counts.f1() }
    }
}

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
    Ok(report(tagger.run(), examples, &found))
}

fn report(run: &Run, examples: &TaggedSentences, found: &[Vec<usize>]) -> TagEvaluation {
    let names = &run.config.labels;
    let (forms, texts) = forms_of(&run.tokenizer, &examples.sentences);
    let [mut words, mut known_words, mut unknown_words] = [WordAccuracy::default(); 3];
    let mut confusion = vec![vec![0; names.len()]; names.len()];
    let mut spans = SpanTally::default();
    for ((text, expected), found) in texts.iter().zip(&examples.tags).zip(found) {
        for ((&form, &expected), &found) in text.iter().zip(expected).zip(found) {
            let is_correct = expected == Some(found);
            words.add(is_correct);
            let part = if forms.is_unknown(form) { &mut unknown_words } else { &mut known_words };
            part.add(is_correct);
            if let Some(expected) = expected {
                confusion[expected][found] += 1;
            }
        }
        let expected: Vec<&str> = expected.iter().map(|tag| tag.map_or("O", |tag| names[tag].as_str())).collect();
        let found: Vec<&str> = found.iter().map(|&tag| names[tag].as_str()).collect();
        spans.add(&expected, &found);
    }
    let spans = mark_spans(names).then(|| SpanEvaluation {
        total: spans.total().into(),
        by_type: spans.by_kind().iter().map(|(kind, &counts)| (kind.clone(), counts.into())).collect(),
    });
    let tags = class_reports(names, &confusion);
    TagEvaluation { sentences: examples.len(), words, known_words, unknown_words, spans, tags, confusion }
}

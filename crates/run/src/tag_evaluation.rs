//! How well a tagger does: accuracy of words, reports of tags and of spans.

use std::collections::BTreeMap;

use convlens_model::EncoderSettings;
use serde::Serialize;

use crate::{ClassReport, Run, SpanCounts, SpanTally, class_reports, forms_of, mark_spans};

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

impl TagEvaluation {
    /// Compares the tags of the words of some sentences with those that a run has found, all of them as indices of the
    /// run's labels. A tag that the run does not know is none, and counts as wrong.
    pub fn new<S: EncoderSettings, T: AsRef<str>>(
        run: &Run<S>,
        sentences: &[Vec<T>],
        expected: &[Vec<Option<usize>>],
        found: &[Vec<usize>],
    ) -> Self {
        let names = &run.config.labels;
        let (forms, texts) = forms_of(&run.tokenizer, sentences);
        let [mut words, mut known_words, mut unknown_words] = [WordAccuracy::default(); 3];
        let mut confusion = vec![vec![0; names.len()]; names.len()];
        let mut spans = SpanTally::default();
        for ((text, expected), found) in texts.iter().zip(expected).zip(found) {
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
        Self { sentences: sentences.len(), words, known_words, unknown_words, spans, tags, confusion }
    }
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

#[cfg(test)]
mod tests {
    use convlens_model::{ConvConfig, EncoderConfig, Padding};

    use super::*;

    #[test]
    fn known_and_unknown_words_are_counted_apart() {
        let run = crate::testing::run(EncoderConfig::Conv(ConvConfig::new(2, &[3])), Padding::Masked);
        let sentences = [vec!["A", "good", "play"], vec!["bad"]];
        let expected = [vec![Some(0), Some(1), None], vec![Some(2)]];
        let evaluation = TagEvaluation::new(&run, &sentences, &expected, &[vec![0, 2, 1], vec![2]]);
        let counts = |words: WordAccuracy| (words.count, words.correct);
        assert_eq!((evaluation.sentences, counts(evaluation.words)), (2, (4, 2)));
        assert_eq!((counts(evaluation.known_words), counts(evaluation.unknown_words)), ((3, 2), (1, 0)));
        assert_eq!(evaluation.confusion, [[1, 0, 0], [0, 0, 1], [0, 0, 1]]);
        assert_eq!((evaluation.tags[2].precision, evaluation.tags[2].recall), (0.5, 1.0));
        assert!(evaluation.spans.is_none());
    }
}

//! Spans of labels, such as the names of persons in a sentence, and how well they are found.
//!
//! Spans are read and counted as by conlleval, the script of the CoNLL-2000 and CoNLL-2003 shared tasks, and by the
//! Python library seqeval in its default mode. (No crate does it.)

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A span of words of one type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span<'a> {
    /// The type, such as `PER`.
    pub kind: &'a str,
    /// The index of the first word.
    pub first: usize,
    /// The index of the last word.
    pub last: usize,
}

/// The spans of the tags of a sentence, which are `O` or a prefix (`B`, `I`, `E` or `S`), a hyphen and a type. Tags
/// that no annotator would write are read too: a span begins at an `I` that no span of its type goes before.
pub fn spans<'a>(tags: &[&'a str]) -> Vec<Span<'a>> {
    let (mut found, mut first) = (Vec::new(), 0);
    let mut before = Tag::OUTSIDE;
    for (at, tag) in tags.iter().map(|tag| Tag::new(tag)).chain([Tag::OUTSIDE]).enumerate() {
        if before.ends_before(tag) {
            found.push(Span { kind: before.kind, first, last: at - 1 });
        }
        if before.lets_begin(tag) {
            first = at;
        }
        before = tag;
    }
    found
}

/// Whether labels mark spans: one is `O`, and the others are `B`, `I`, `E` or `S`, a hyphen and a type.
pub fn mark_spans(labels: &[String]) -> bool {
    let is_part = |label: &str| matches!(label.as_bytes(), [b'B' | b'I' | b'E' | b'S', b'-', _, ..]);
    labels.len() > 1
        && labels.iter().any(|label| label == "O")
        && labels.iter().all(|label| label == "O" || is_part(label))
}

#[derive(Clone, Copy)]
struct Tag<'a> {
    prefix: char,
    kind: &'a str,
}

impl<'a> Tag<'a> {
    const OUTSIDE: Self = Self { prefix: 'O', kind: "_" };

    fn new(tag: &'a str) -> Self {
        let mut characters = tag.chars();
        let prefix = characters.next().unwrap_or('O');
        let rest = characters.as_str();
        // seqeval takes what follows the first hyphen.
        let kind = rest.split_once('-').map_or(rest, |(_, kind)| kind);
        Self { prefix, kind: if kind.is_empty() { "_" } else { kind } }
    }

    fn is_outside(self) -> bool {
        matches!(self.prefix, 'O' | '.')
    }

    /// Whether a span ends at this tag, given the next one.
    fn ends_before(self, next: Tag<'_>) -> bool {
        match (self.prefix, next.prefix) {
            ('E' | 'S', _) | ('B' | 'I', 'B' | 'S' | 'O') => true,
            _ => !self.is_outside() && self.kind != next.kind,
        }
    }

    /// Whether a span begins at `next`, which follows this tag.
    fn lets_begin(self, next: Tag<'_>) -> bool {
        match (self.prefix, next.prefix) {
            (_, 'B' | 'S') | ('E' | 'S' | 'O', 'E' | 'I') => true,
            _ => !next.is_outside() && self.kind != next.kind,
        }
    }
}

/// How many spans there are, how many were predicted, and how many of these are right: same type, first and last word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanCounts {
    /// The number of spans in the data.
    pub expected: usize,
    /// The number of predicted spans.
    pub predicted: usize,
    /// The number of predicted spans that are in the data.
    pub correct: usize,
}

impl SpanCounts {
    /// The share of predicted spans that are right; 0 if there are none.
    pub fn precision(self) -> f64 {
        ratio(self.correct, self.predicted)
    }

    /// The share of spans that were predicted; 0 if there are none.
    pub fn recall(self) -> f64 {
        ratio(self.correct, self.expected)
    }

    /// The harmonic mean of precision and recall; 0 if no span is right.
    pub fn f1(self) -> f64 {
        ratio(2 * self.correct, self.expected + self.predicted)
    }

    fn add(&mut self, other: Self) {
        self.expected += other.expected;
        self.predicted += other.predicted;
        self.correct += other.correct;
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The counts of the spans of each type, added up sentence by sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanTally {
    by_kind: BTreeMap<String, SpanCounts>,
}

impl SpanTally {
    /// Adds a sentence, given by its tags and the predicted ones.
    pub fn add(&mut self, expected: &[&str], predicted: &[&str]) {
        let (expected, predicted) = (spans(expected), spans(predicted));
        let known: BTreeSet<&Span<'_>> = expected.iter().collect();
        let mut count = |kind: &str, counts: SpanCounts| {
            if let Some(sum) = self.by_kind.get_mut(kind) {
                sum.add(counts);
            } else {
                self.by_kind.insert(kind.to_owned(), counts);
            }
        };
        for span in &expected {
            count(span.kind, SpanCounts { expected: 1, ..SpanCounts::default() });
        }
        for span in &predicted {
            let correct = usize::from(known.contains(span));
            count(span.kind, SpanCounts { predicted: 1, correct, ..SpanCounts::default() });
        }
    }

    /// The counts of all spans. Precision, recall and F1 of these are conlleval's, and seqeval's micro average.
    pub fn total(&self) -> SpanCounts {
        let mut total = SpanCounts::default();
        self.by_kind.values().for_each(|&counts| total.add(counts));
        total
    }

    /// The counts of each type, in alphabetical order.
    pub fn by_kind(&self) -> &BTreeMap<String, SpanCounts> {
        &self.by_kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tags: &str) -> String {
        let tags: Vec<&str> = tags.split(' ').collect();
        let found = spans(&tags).into_iter().map(|Span { kind, first, last }| format!("{kind} {first} {last}"));
        found.collect::<Vec<_>>().join(", ")
    }

    // from seqeval.metrics.sequence_labeling import get_entities; get_entities("B-PER I-PER O B-LOC".split())
    #[test]
    fn spans_are_those_of_seqeval() {
        for (tags, expected) in [
            ("B-PER I-PER O B-LOC", "PER 0 1, LOC 3 3"),
            ("B-PER B-PER I-LOC I-LOC", "PER 0 0, PER 1 1, LOC 2 3"),
            ("O I-PER I-PER O", "PER 1 2"),
            ("I-PER B-PER I-PER", "PER 0 0, PER 1 2"),
            ("B-A I-A E-A S-B O E-C", "A 0 2, B 3 3, C 5 5"),
            ("S-A S-A I-A", "A 0 0, A 1 1, A 2 2"),
            ("B-a-b I-a-b", "a-b 0 1"),
            ("O O", ""),
        ] {
            assert_eq!(found(tags), expected, "{tags}");
        }
    }

    #[test]
    fn labels_of_spans_are_told_from_others() {
        let mark = |labels: &[&str]| mark_spans(&labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>());
        assert!(mark(&["B-PER", "I-PER", "O"]) && mark(&["O", "S-x"]));
        assert!(!mark(&["O"]) && !mark(&["NOUN", "O"]) && !mark(&["B-PER", "I-PER"]) && !mark(&["B-", "O"]));
    }

    // from seqeval.metrics import precision_score, recall_score, f1_score
    // y = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "I-LOC"]]
    // p = [["B-PER", "I-PER", "B-LOC", "I-LOC"], ["O", "B-LOC", "O"]]
    // precision_score(y, p), recall_score(y, p), f1_score(y, p)  # 0.333..., 0.333..., 0.333...
    #[test]
    fn scores_are_those_of_seqeval() {
        let mut tally = SpanTally::default();
        tally.add(&["B-PER", "I-PER", "O", "B-LOC"], &["B-PER", "I-PER", "B-LOC", "I-LOC"]);
        tally.add(&["O", "B-LOC", "I-LOC"], &["O", "B-LOC", "O"]);
        let total = tally.total();
        assert_eq!(total, SpanCounts { expected: 3, predicted: 3, correct: 1 });
        assert!((total.f1() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(tally.by_kind()["PER"].f1(), 1.0);
        assert_eq!(SpanCounts::default().f1(), 0.0);
    }
}

//! The agreement of phrase scores with the labels that people gave to the same phrases.

use std::ops::RangeInclusive;

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError};
use serde::Serialize;

use crate::JudgedPhrase;
use crate::{AnalysisError, OnStage};

/// Negations.
const NEGATIONS: [&str; 14] = [
    "not", "n't", "no", "never", "neither", "nor", "none", "nobody", "nothing", "nowhere", "cannot", "without",
    "hardly", "barely",
];
/// Ranges of phrase lengths, in words, that are reported together.
const LENGTHS: [(&str, RangeInclusive<usize>); 7] = [
    ("1 word", 1..=1),
    ("2 words", 2..=2),
    ("3 words", 3..=3),
    ("4 to 5 words", 4..=5),
    ("6 to 10 words", 6..=10),
    ("11 to 20 words", 11..=20),
    ("21 words or more", 21..=usize::MAX),
];
/// The middle label.
const NEUTRAL: u8 = 2;
/// The number of phrases scored between two reports of progress.
const CHUNK: usize = 5_000;

/// The agreement of scores and labels on some of the phrases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// A description of the phrases.
    pub phrases: String,
    /// The number of phrases.
    pub count: usize,
    /// Spearman's rank correlation of score and label; `None` if either is constant.
    pub rank_correlation: Option<f64>,
    /// The number of phrases whose label is not neutral.
    pub judged: usize,
    /// The share of these whose score has the sign of their label; `None` if there are none.
    pub accuracy: Option<f64>,
}

/// The agreement of a model with people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// On all phrases.
    pub all: Agreement,
    /// By length of the phrase in words.
    pub by_length: Vec<Agreement>,
    /// On phrases of two words or more, with and without a negation.
    pub by_negation: Vec<Agreement>,
}

impl Judged {
    /// Fails unless the run has two labels, the second of which is then taken to be the positive one.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::NotBinary`].
    pub fn check<S: EncoderSettings>(run: &Run<S>) -> Result<(), AnalysisError> {
        if run.config.model.outputs == 1 {
            Ok(())
        } else {
            Err(AnalysisError::NotBinary { labels: run.config.labels.join(", ") })
        }
    }

    /// Scores phrases and compares the scores with the labels. The score of a phrase is its logit as a text
    /// of its own minus the logit of an empty text.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub fn new<S: EncoderSettings>(
        run: &Run<S>,
        phrases: &[JudgedPhrase],
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let empty = f64::from(run.logits(&[&run.tokenizer.encode("")?.ids])?[0][0]);
        let mut scores = Vec::with_capacity(phrases.len());
        for chunk in phrases.chunks(CHUNK) {
            let texts: Vec<&str> = chunk.iter().map(|phrase| phrase.text.as_str()).collect();
            let ids = run.tokenizer.encode_ids(&texts)?;
            let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
            scores.extend(run.logits(&ids)?.iter().map(|logits| f64::from(logits[0]) - empty));
            on_stage("phrases with human labels", scores.len(), phrases.len());
        }
        let judged: Vec<(&JudgedPhrase, f64)> = phrases.iter().zip(scores).collect();
        let agreement_on = |name: &str, fits: &dyn Fn(&JudgedPhrase) -> bool| {
            let chosen: Vec<_> = judged.iter().copied().filter(|(phrase, _)| fits(phrase)).collect();
            agreement(name, &chosen)
        };
        Ok(Self {
            all: agreement_on("all phrases", &|_| true),
            by_length: LENGTHS
                .iter()
                .map(|(name, lengths)| agreement_on(name, &|phrase| lengths.contains(&phrase.words)))
                .collect(),
            by_negation: vec![
                agreement_on("with a negation", &|phrase| phrase.words > 1 && has_negation(phrase)),
                agreement_on("without a negation", &|phrase| phrase.words > 1 && !has_negation(phrase)),
            ],
        })
    }
}

fn has_negation(phrase: &JudgedPhrase) -> bool {
    phrase.text.split(' ').any(|word| NEGATIONS.contains(&word.to_lowercase().as_str()))
}

fn agreement(name: &str, judged: &[(&JudgedPhrase, f64)]) -> Agreement {
    let scores: Vec<f64> = judged.iter().map(|(_, score)| *score).collect();
    let labels: Vec<f64> = judged.iter().map(|(phrase, _)| f64::from(phrase.label)).collect();
    let opinions: Vec<bool> = judged
        .iter()
        .filter(|(phrase, _)| phrase.label != NEUTRAL)
        .map(|(phrase, score)| (*score > 0.0) == (phrase.label > NEUTRAL))
        .collect();
    let hits = opinions.iter().filter(|hit| **hit).count();
    Agreement {
        phrases: name.into(),
        count: judged.len(),
        rank_correlation: rank_correlation(&scores, &labels),
        judged: opinions.len(),
        accuracy: (!opinions.is_empty()).then(|| hits as f64 / opinions.len() as f64),
    }
}

/// Spearman's rank correlation; `None` if either side is constant.
pub(crate) fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    correlation(&ranks(a), &ranks(b))
}

/// The rank of each value; equal values get the mean of their ranks. (A statistics crate would be a large
/// dependency for these two functions.)
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for equals in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = start as f64 + (equals.len() - 1) as f64 / 2.0;
        equals.iter().for_each(|&index| ranks[index] = mean);
        start += equals.len();
    }
    ranks
}

/// Pearson's correlation; `None` if either side is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let covariance: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    let spread = |values: &[f64], mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let product = spread(a, mean_a) * spread(b, mean_b);
    (product > 0.0).then(|| covariance / product.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy.stats.spearmanr([3.5, -1, 0.2, 0.2, 9], [4, 0, 2, 3, 3]).statistic  ->  0.7631578947368421
    #[test]
    fn rank_correlation_matches_scipy() {
        let phrase = |label: u8, text: &str| JudgedPhrase { text: text.into(), words: 2, label };
        let phrases = [phrase(4, "a"), phrase(0, "b"), phrase(2, "c"), phrase(3, "d"), phrase(3, "e")];
        let judged: Vec<_> = phrases.iter().zip([3.5, -1.0, 0.2, 0.2, 9.0]).collect();
        let agreement = agreement("x", &judged);
        assert!((agreement.rank_correlation.expect("both vary") - 0.763_157_894_736_842_1).abs() < 1e-12);
        assert_eq!((agreement.count, agreement.judged, agreement.accuracy), (5, 4, Some(1.0)));
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn negations_are_whole_words() {
        let phrase = |text: &str| JudgedPhrase { text: text.into(), words: 2, label: 2 };
        assert!(has_negation(&phrase("is n't bad")) && has_negation(&phrase("Never dull")));
        assert!(!has_negation(&phrase("notable nose")));
    }
}

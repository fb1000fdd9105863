//! The strongest phrases of a prediction.

use std::ops::Range;

use convlens_run::{Phrase, Prediction};

/// The number of words to each side of its centre in which a phrase excludes others.
const NEAR: usize = 5;

/// The logit that is explained: that of the predicted label, or the only one.
pub fn explained_output(prediction: &Prediction) -> usize {
    prediction.label.min(prediction.outputs.len() - 1)
}

/// The `count` phrases that change the [explained](explained_output) logit most, up or down, strongest
/// first. No two overlap: of overlapping phrases only the strongest is returned. Only the five words to each
/// side of the centre count as overlap, since every phrase of an LSTM contains the first word of the text.
pub fn strongest_phrases(prediction: &Prediction, count: usize) -> Vec<&Phrase> {
    let output = explained_output(prediction);
    let mut ranked: Vec<&Phrase> = prediction.phrases.iter().filter(|phrase| !phrase.tokens.is_empty()).collect();
    ranked.sort_by(|a, b| b.score[output].abs().total_cmp(&a.score[output].abs()));
    let mut taken = vec![false; prediction.tokens.len()];
    let mut strongest = Vec::new();
    for phrase in ranked {
        if strongest.len() == count {
            break;
        }
        let near = near(phrase);
        if !taken[near.clone()].contains(&true) && !prediction.phrase_text(phrase).is_empty() {
            taken[near].fill(true);
            strongest.push(phrase);
        }
    }
    strongest
}

/// The tokens of a phrase that are at most [`NEAR`] away from its centre.
pub(crate) fn near(phrase: &Phrase) -> Range<usize> {
    let Range { start, end } = phrase.tokens;
    let center = phrase.center.unwrap_or(start);
    start.max(center.saturating_sub(NEAR))..end.min(center + NEAR + 1).max(start)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use convlens_run::Token;

    /// A prediction on words of one letter, with phrases of width 3.
    pub(crate) fn prediction(scores: &[f64]) -> Prediction {
        let count = scores.len();
        let phrase = |(center, &score): (usize, &f64)| Phrase {
            center: Some(center),
            tokens: center.saturating_sub(1)..(center + 2).min(count),
            score: vec![score],
        };
        Prediction {
            text: "a ".repeat(count),
            label: 1,
            labels: vec!["neg".into(), "pos".into()],
            probabilities: vec![0.2, 0.8],
            outputs: vec!["pos".into()],
            logits: vec![scores.iter().sum()],
            tokens: (0..count)
                .map(|index| Token { id: 0, token: "a".into(), range: 2 * index..2 * index + 1 })
                .collect(),
            phrases: scores.iter().enumerate().map(phrase).collect(),
            bias: vec![0.0],
            residual: vec![0.0],
        }
    }

    #[test]
    fn only_the_strongest_of_overlapping_phrases_is_returned() {
        let prediction = prediction(&[0.1, 0.9, 0.8, 0.0, -0.5, 0.2, 0.1]);
        let centers: Vec<_> = strongest_phrases(&prediction, 5).iter().map(|phrase| phrase.center).collect();
        assert_eq!(centers, [Some(1), Some(4)]);
        assert_eq!(strongest_phrases(&prediction, 1).len(), 1);
        assert!(strongest_phrases(&super::tests::prediction(&[]), 3).is_empty());
    }
}

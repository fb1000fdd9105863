//! Minimal pairs, in the manner of CheckList (Ribeiro et al. 2020): sentences that differ in little and have
//! opposite sentiments. They test whether phrases mean more to a model than their words.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, predicted_label};
use serde::Serialize;

/// One pair per line: the capability that it tests, a negative text and a positive text, separated by tabs.
/// Lines that begin with `#` are comments. The pairs were written for this purpose. They are a test, and never
/// training data.
const SENTIMENT: &str = include_str!("sentiment.tsv");

/// The names of labels that mark a run as a classifier of sentiment, the negative one first.
const SENTIMENTS: [[&str; 2]; 2] = [["neg", "pos"], ["negative", "positive"]];

/// How a model does on the minimal pairs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MinimalPairs {
    /// All pairs.
    pub all: PassRate,
    /// The pairs of each capability.
    pub by_capability: Vec<PassRate>,
    /// The pairs that failed.
    pub failed: Vec<FailedPair>,
}

/// How many pairs passed. A pair passes if both of its texts get the right label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassRate {
    /// What the pairs test.
    pub capability: String,
    /// How many passed.
    pub passed: usize,
    /// How many there are.
    pub count: usize,
}

/// A pair that failed: one of its texts, or both, got the wrong label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedPair {
    /// What the pair tests.
    pub capability: String,
    /// The negative and the positive text.
    pub texts: [String; 2],
    /// The probability that each of them is positive.
    pub positive: [f64; 2],
}

impl PassRate {
    fn new(capability: &str) -> Self {
        Self { capability: capability.into(), passed: 0, count: 0 }
    }

    fn add(&mut self, passed: bool) {
        self.count += 1;
        self.passed += usize::from(passed);
    }

    /// The share of the pairs that passed.
    pub fn share(&self) -> f64 {
        self.passed as f64 / self.count.max(1) as f64
    }
}

impl MinimalPairs {
    /// Tests a run; `None` unless its labels are `neg` and `pos`, or `negative` and `positive`, in this order
    /// and in any case.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub fn new<S: EncoderSettings>(run: &Run<S>) -> Result<Option<Self>, RunError> {
        let labels: Vec<String> = run.config.labels.iter().map(|label| label.to_lowercase()).collect();
        if !SENTIMENTS.iter().any(|sentiments| labels == sentiments) {
            return Ok(None);
        }
        let mut tested = Self { all: PassRate::new("all"), by_capability: Vec::new(), failed: Vec::new() };
        for (capability, texts) in pairs() {
            let ids = run.tokenizer.encode_ids(&texts)?;
            let logits = run.logits(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            let passed = [0, 1].into_iter().all(|label| predicted_label(&logits[label]) == label);
            tested.all.add(passed);
            tested.of_capability(capability).add(passed);
            if !passed {
                let positive = [0, 1].map(|text| run.config.probabilities(&logits[text])[1]);
                tested.failed.push(FailedPair {
                    capability: capability.into(),
                    texts: texts.map(Into::into),
                    positive,
                });
            }
        }
        Ok(Some(tested))
    }

    fn of_capability(&mut self, capability: &str) -> &mut PassRate {
        let rates = &mut self.by_capability;
        let place = rates.iter().position(|rate| rate.capability == capability).unwrap_or_else(|| {
            rates.push(PassRate::new(capability));
            rates.len() - 1
        });
        &mut rates[place]
    }
}

/// The capability, and the negative and the positive text, of every pair.
fn pairs() -> impl Iterator<Item = (&'static str, [&'static str; 2])> {
    SENTIMENT.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, [fields.next()?, fields.next()?]))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_is_a_pair_of_different_texts() {
        let lines: Vec<&str> = SENTIMENT.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(
            lines.iter().all(|line| line.split('\t').count() == 3 && line.split('\t').all(|field| !field.is_empty()))
        );
        assert_eq!(pairs().count(), lines.len());
        assert_eq!(pairs().collect::<HashSet<_>>().len(), lines.len(), "no pair is there twice");
        assert!(pairs().all(|(_, [negative, positive])| negative != positive));
    }

    /// A text that is the same for both sentiments would fail for every model.
    #[test]
    fn no_text_is_both_negative_and_positive() {
        let negative: HashSet<&str> = pairs().map(|(_, texts)| texts[0]).collect();
        assert!(pairs().all(|(_, texts)| !negative.contains(texts[1])));
    }

    #[test]
    fn every_capability_has_at_least_ten_pairs() {
        let mut tested = MinimalPairs { all: PassRate::new("all"), by_capability: vec![], failed: vec![] };
        pairs().for_each(|(capability, _)| tested.of_capability(capability).add(true));
        assert_eq!(tested.by_capability.len(), 8);
        assert!(tested.by_capability.iter().all(|rate| rate.count >= 10 && rate.share() == 1.0));
    }
}

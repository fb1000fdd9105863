//! Sentences whose words have tags, and the explanations of those that a model gives them.

use convlens_run::model::EncoderSettings;
use convlens_run::{RunError, Tagger};
use serde_json::{Value, json};

use crate::{Evidence, tag_evidence};

/// Tagged sentences that a tagger was not trained on.
#[derive(Clone, Copy, Debug)]
pub struct TaggedSentences<'a> {
    /// The words of each sentence.
    pub sentences: &'a [Vec<String>],
    /// For each word the index of its tag among the run's labels; none for a tag that the run does not know.
    pub tags: &'a [Vec<Option<usize>>],
}

/// A sentence, the tags of its words, and the evidence for each.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedSentence {
    /// The index of the sentence in the data; none if it is the user's own.
    pub index: Option<usize>,
    /// The words.
    pub words: Vec<String>,
    /// The tag of each word, as an index of the run's labels.
    pub tags: Vec<usize>,
    /// The tag that each word has in the data, if it has one there that the run knows.
    pub expected: Vec<Option<usize>>,
    /// The probability of each tag for each word.
    pub probabilities: Vec<Vec<f64>>,
    /// What speaks for the tag of each word.
    pub evidence: Vec<Evidence>,
}

impl ExplainedSentence {
    /// Tags a sentence and explains its tags.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    ///
    /// # Panics
    ///
    /// If there is not one entry of `expected` for each word.
    pub fn new<S: EncoderSettings>(
        tagger: &Tagger<S>,
        index: Option<usize>,
        words: &[String],
        expected: Vec<Option<usize>>,
    ) -> Result<Self, RunError> {
        assert_eq!(words.len(), expected.len(), "every word has an entry");
        let sentence = [words.to_vec()];
        let predictions = tagger.predict(&sentence)?.into_iter().flatten();
        let (tags, probabilities): (Vec<usize>, _) =
            predictions.map(|prediction| (prediction.label, prediction.probabilities)).unzip();
        let evidence = tag_evidence(tagger, words, &tags)?;
        let [words] = sentence;
        Ok(Self { index, words, tags, expected, probabilities, evidence })
    }

    /// The sentence as one object: its words, each with its tag, the probability of the tag, the tag and its
    /// probability in the data if that is another one, and the [evidence](Evidence).
    pub fn to_json(&self, labels: &[String]) -> Value {
        let word = |at: usize| {
            let (tag, expected) = (self.tags[at], self.expected[at]);
            let mut json = json!({
                "word": self.words[at],
                "tag": labels[tag],
                "probability": self.probabilities[at][tag],
                "evidence": self.evidence[at],
            });
            if let Some(expected) = expected.filter(|&expected| expected != tag) {
                json["true_tag"] = labels[expected].as_str().into();
                json["true_probability"] = self.probabilities[at][expected].into();
            }
            json
        };
        json!({ "sentence": self.index, "words": (0..self.words.len()).map(word).collect::<Value>() })
    }

    /// For each word of the sentence, its tag, and each word in its receptive field: its place relative to the word,
    /// and its share.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = (isize, &str, f64)>)> {
        self.tags.iter().zip(&self.evidence).enumerate().map(move |(at, (&tag, evidence))| {
            let of_field = evidence.shares.iter().enumerate().map(move |(place, &share)| {
                let other = evidence.first + place;
                (other as isize - at as isize, self.words[other].as_str(), share)
            });
            (tag, of_field)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A sentence without probabilities, whose words have these tags and these shares of the words around them.
    pub(crate) fn explained(words: &[&str], tags: &[usize], evidence: &[(usize, &[f64])]) -> ExplainedSentence {
        let evidence = evidence.iter().map(|&(first, shares)| Evidence {
            logit: 1.0 + shares.iter().sum::<f64>(),
            baseline: 0.5,
            first,
            shares: shares.to_vec(),
            residual: 0.5,
        });
        ExplainedSentence {
            index: Some(0),
            words: words.iter().map(|word| (*word).into()).collect(),
            tags: tags.to_vec(),
            expected: tags.iter().map(|&tag| Some(tag)).collect(),
            probabilities: vec![vec![0.75, 0.25]; words.len()],
            evidence: evidence.collect(),
        }
    }

    #[test]
    fn shares_are_placed_relative_to_the_word() {
        let sentence =
            explained(&["a", "b", "c"], &[0, 1, 0], &[(0, &[1.0, 2.0]), (0, &[3.0, 4.0, 5.0]), (1, &[6.0, 7.0])]);
        let found: Vec<(usize, Vec<_>)> = sentence.shares().map(|(tag, field)| (tag, field.collect())).collect();
        assert_eq!(found[0], (0, vec![(0, "a", 1.0), (1, "b", 2.0)]));
        assert_eq!(found[1], (1, vec![(-1, "a", 3.0), (0, "b", 4.0), (1, "c", 5.0)]));
        assert_eq!(found[2], (0, vec![(-1, "b", 6.0), (0, "c", 7.0)]));
    }

    #[test]
    fn only_a_mistake_has_another_tag() {
        let mut sentence = explained(&["a", "b"], &[0, 1], &[(0, &[1.0, 2.0]), (0, &[3.0, 4.0])]);
        sentence.expected[1] = Some(0);
        let json = sentence.to_json(&["X".into(), "Y".into()]);
        assert!(json["words"][0].get("true_tag").is_none(), "{json}");
        assert_eq!((&json["words"][1]["tag"], &json["words"][1]["true_tag"]), (&"Y".into(), &"X".into()));
        assert_eq!(json["words"][1]["true_probability"], 0.75);
    }
}

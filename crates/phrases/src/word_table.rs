//! A linear model as a table: the score of each word at each place of a phrase.

use crate::{Padding, Prediction, ReceptiveField, VisibleTokens};

/// The table that a linear model folds into: word × place in a phrase × logit.
///
/// Ids are those of its words, below [`vocab_size`](Self::vocab_size). Methods that take ids panic on others.
#[derive(Clone, Debug, PartialEq)]
pub struct WordTable {
    /// `[vocab_size, places, outputs]`
    values: Vec<f32>,
    /// `[vocab_size, outputs]`: the sum over the places
    contributions: Vec<f32>,
    outputs: usize,
    field: ReceptiveField,
    bias: Vec<f64>,
    padding: Padding,
    pad_id: u32,
}

/// The part of a phrase's score that is due to one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The token's index in the prediction; none for padding.
    pub token: Option<usize>,
    /// Its place relative to the phrase's centre: -1 is the word before.
    pub place: isize,
    /// Its part of each logit.
    pub score: Vec<f64>,
}

impl WordTable {
    /// A table from its values, `[vocab_size, places, outputs]`, and one bias per output. Its phrases have a
    /// place for each position of `field`; `pad_id` is the word that counted padding consists of.
    ///
    /// None if the values are not those of whole words, or `pad_id` is none of them.
    pub fn new(values: Vec<f32>, bias: Vec<f64>, field: ReceptiveField, padding: Padding, pad_id: u32) -> Option<Self> {
        let outputs = bias.len();
        let width = field.size().checked_mul(outputs).filter(|&width| width > 0)?;
        if !values.len().is_multiple_of(width) || pad_id as usize >= values.len() / width {
            return None;
        }
        let contributions = values
            .chunks_exact(width)
            .flat_map(|word| (0..outputs).map(move |output| of_output(word, output, outputs).sum::<f64>() as f32))
            .collect();
        Some(Self { values, contributions, outputs, field, bias, padding, pad_id })
    }

    /// The number of words.
    pub fn vocab_size(&self) -> usize {
        self.values.len() / (self.places() * self.outputs)
    }

    /// The number of places in a phrase.
    pub fn places(&self) -> usize {
        self.field.size()
    }

    /// The number of logits.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// A place relative to the phrase's centre: -1 is the word before.
    pub fn offset(&self, place: usize) -> isize {
        place as isize - self.field.left as isize
    }

    /// All values, `[vocab_size, places, outputs]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The logits of a text without evidence.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// The score of a word at `place` of a phrase, for each logit.
    ///
    /// # Panics
    ///
    /// If there is no such word or place.
    pub fn get(&self, id: u32, place: usize) -> &[f32] {
        let start = (id as usize * self.places() + place) * self.outputs;
        &self.values[start..start + self.outputs]
    }

    /// The score of a word away from the edges of a text, for each logit: the sum over all places. The
    /// mean over the text's positions still has to be taken.
    pub fn contribution(&self, id: u32) -> Vec<f64> {
        let start = id as usize * self.outputs;
        self.contributions[start..start + self.outputs].iter().map(|&value| f64::from(value)).collect()
    }

    /// The logits of a text, by lookups alone.
    pub fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let (kept, padding, counted) = self.seen(ids);
        let mut sums = self.bag(kept, padding);
        // At the edges of the text some places of a word belong to no phrase.
        let length = padding + kept.len();
        let id = |at: usize| if at < padding { self.pad_id } else { kept[at - padding] };
        let (left, right) = (self.field.left, self.field.right);
        for at in 0..right.min(length) {
            self.subtract(id(at), at + left + 1..self.places(), &mut sums);
        }
        for at in length.saturating_sub(left)..length {
            self.subtract(id(at), 0..at + left + 1 - length, &mut sums);
        }
        self.pooled(&sums, counted)
    }

    fn subtract(&self, id: u32, places: std::ops::Range<usize>, sums: &mut [f64]) {
        for place in places {
            sums.iter_mut().zip(self.get(id, place)).for_each(|(sum, &value)| *sum -= f64::from(value));
        }
    }

    /// The score of each position of a text, including those of padding, `[positions, outputs]`.
    pub fn scores(&self, ids: &[u32]) -> Vec<f64> {
        let (kept, padding, counted) = self.seen(ids);
        let length = padding + kept.len();
        let id = |at: usize| if at < padding { self.pad_id } else { kept[at - padding] };
        let mut scores = vec![0.0; length * self.outputs];
        for (center, sums) in scores.chunks_exact_mut(self.outputs).enumerate() {
            for place in 0..self.places() {
                let at = (center + place).checked_sub(self.field.left).filter(|&at| at < length);
                let values = at.map_or(&[][..], |at| self.get(id(at), place));
                sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value) / counted as f64);
            }
        }
        scores
    }

    /// Each token's part of each logit, summed over the phrases that contain it. With the bias and the
    /// padding's part they add up to the logit. Tokens that the model does not see have zero.
    pub fn shares(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let (kept, padding, counted) = self.seen(ids);
        let length = padding + kept.len();
        let cut = ids.len() - kept.len();
        let share = |index: usize| {
            let mut share = vec![0.0; self.outputs];
            if index >= cut {
                self.add(ids[index], padding + index - cut, length, &mut share);
            }
            share.iter().map(|value| value / counted as f64).collect()
        };
        (0..ids.len()).map(share).collect()
    }

    /// Adds the scores of a word at position `at` of `length`, over the phrases that contain it.
    fn add(&self, id: u32, at: usize, length: usize, sums: &mut [f64]) {
        for place in 0..self.places() {
            // The centre of the phrase that has the word at `place`.
            let center = (at + self.field.left).checked_sub(place);
            if center.is_some_and(|center| center < length) {
                for (sum, &value) in sums.iter_mut().zip(self.get(id, place)) {
                    *sum += f64::from(value);
                }
            }
        }
    }

    /// As [`logits`](Self::logits), for a bag of words: each word counts as it does away from the
    /// edges of a text.
    pub fn bag_logits(&self, ids: &[u32]) -> Vec<f64> {
        let (kept, padding, counted) = self.seen(ids);
        self.pooled(&self.bag(kept, padding), counted)
    }

    /// The sum of all words' contributions.
    fn bag(&self, ids: &[u32], padding: usize) -> Vec<f64> {
        let mut sums: Vec<f64> = self.contribution(self.pad_id).iter().map(|value| padding as f64 * value).collect();
        match self.outputs {
            // Four sums in parallel, so that no addition waits for the one before.
            1 => {
                let (fours, rest) = ids.as_chunks::<4>();
                let value = |id: u32| f64::from(self.contributions[id as usize]);
                let four = fours.iter().fold([0.0; 4], |sums, ids| [0, 1, 2, 3].map(|at| sums[at] + value(ids[at])));
                sums[0] += four.iter().sum::<f64>() + rest.iter().map(|&id| value(id)).sum::<f64>();
            }
            outputs => {
                for &id in ids {
                    let values = &self.contributions[id as usize * outputs..][..outputs];
                    sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
        }
        sums
    }

    /// The ids that the model sees, the number of padding positions before them, and the mean's divisor.
    fn seen<'a>(&self, ids: &'a [u32]) -> (&'a [u32], usize, usize) {
        let VisibleTokens { first, padding, positions } = self.padding.visible(ids.len());
        (&ids[first..], padding, positions.max(1))
    }

    fn pooled(&self, sums: &[f64], counted: usize) -> Vec<f64> {
        sums.iter().zip(&self.bias).map(|(sum, bias)| sum / counted as f64 + bias).collect()
    }

    /// A phrase's score, word by word, in order; empty for the entry that sums up the padding.
    ///
    /// # Panics
    ///
    /// If the prediction has no such phrase.
    pub fn parts(&self, prediction: &Prediction, phrase: usize) -> Vec<Part> {
        let Some(center) = prediction.phrases[phrase].center else { return Vec::new() };
        let tokens = prediction.tokens.len();
        let VisibleTokens { padding, positions, .. } = self.padding.visible(tokens);
        let counted = positions.max(1);
        let part = |place: usize| {
            let offset = self.offset(place);
            let (id, token) = match center.checked_add_signed(offset) {
                Some(token) if token < tokens => (prediction.tokens[token].id, Some(token)),
                None if (center + padding).checked_add_signed(offset).is_some() => (self.pad_id, None),
                _ => return None,
            };
            let score = self.get(id, place).iter().map(|&value| f64::from(value) / counted as f64).collect();
            Some(Part { token, place: offset, score })
        };
        (0..self.places()).filter_map(part).collect()
    }
}

/// A word's scores for one output, place by place.
fn of_output(word: &[f32], output: usize, outputs: usize) -> impl Iterator<Item = f64> + '_ {
    word.iter().skip(output).step_by(outputs).map(|&value| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn values_of_half_words_make_no_table() {
        let table = |values: usize, outputs: usize, left: usize, pad_id: u32| {
            let field = ReceptiveField { left, right: 0 };
            WordTable::new(vec![1.0; values], vec![0.0; outputs], field, Padding::Masked, pad_id)
        };
        assert_eq!(table(12, 3, 1, 1).expect("two words").vocab_size(), 2);
        assert!(table(13, 3, 1, 1).is_none(), "half a word");
        assert!(table(12, 3, 1, 2).is_none(), "no such word");
        assert!(table(12, 0, 1, 0).is_none(), "no output");
        assert!(table(0, 3, 1, 0).is_none(), "no word");
        assert!(table(12, 3, ReceptiveField::ALL, 0).is_none(), "no bounded phrase");
    }
}

//! A linear model as numbers: what each word adds, by its place in a phrase.

use convlens_model::{ModelConfig, Padding, ReceptiveField, Seen};

use crate::{Prediction, Run, RunError, to_host};

/// The table that a linear model folds into: word × place in the phrase × logit.
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

/// What one token adds to the score of a phrase that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The token, by its index in the prediction; none for padding.
    pub token: Option<usize>,
    /// Its place, counted from the phrase's centre: -1 is the word before.
    pub place: isize,
    /// What it adds to each logit.
    pub score: Vec<f64>,
}

impl WordTable {
    pub(crate) fn new(run: &Run) -> Result<Option<Self>, RunError> {
        let Some(folded) = run.model.fold() else { return Ok(None) };
        Ok(Some(Self::of(to_host(folded.table)?, run.bias()?, &run.config.model, run.pad_id())))
    }

    /// Of a table's values, `[vocab_size, places, outputs]`.
    pub(crate) fn of(values: Vec<f32>, bias: Vec<f64>, config: &ModelConfig, pad_id: u32) -> Self {
        let (outputs, field) = (config.outputs, config.encoder.settings().receptive_field());
        let contributions = values
            .chunks_exact(field.size() * outputs)
            .flat_map(|word| (0..outputs).map(move |output| of_output(word, output, outputs).sum::<f64>() as f32))
            .collect();
        Self { values, contributions, outputs, field, bias, padding: config.padding, pad_id }
    }

    /// How many words there are.
    pub fn vocab_size(&self) -> usize {
        self.values.len() / (self.places() * self.outputs)
    }

    /// How many places a phrase has.
    pub fn places(&self) -> usize {
        self.field.size()
    }

    /// How many logits there are.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// A place, counted from the phrase's centre: -1 is the word before.
    pub fn offset(&self, place: usize) -> isize {
        place as isize - self.field.left as isize
    }

    /// All numbers, `[vocab_size, places, outputs]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Each logit where there is no evidence.
    pub fn bias(&self) -> &[f64] {
        &self.bias
    }

    /// What a word adds to each logit of a phrase that it stands in at `place`.
    pub fn get(&self, id: u32, place: usize) -> &[f32] {
        let start = (id as usize * self.places() + place) * self.outputs;
        &self.values[start..start + self.outputs]
    }

    /// What a word in the midst of a text adds to each logit, but for the mean's divisor: the sum
    /// over its places.
    pub fn contribution(&self, id: u32) -> Vec<f64> {
        let start = id as usize * self.outputs;
        self.contributions[start..start + self.outputs].iter().map(|&value| f64::from(value)).collect()
    }

    /// The logits of a text, by looking its words up: nothing else of the model is needed.
    pub fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let (kept, padding, counted) = self.seen(ids);
        let mut sums = self.bag(kept, padding);
        // At the edges of the text a word has not all its places.
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

    /// What each position of a text adds to each logit, padding's included, `[positions, outputs]`.
    pub(crate) fn scores(&self, ids: &[u32]) -> Vec<f64> {
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

    /// What each token of a text adds to each logit, over all phrases that it stands in; with the
    /// bias and the padding's they make up the logit. Tokens that the model does not see add zero.
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

    /// Adds what a word at `at`, of `length` positions, gives to all phrases that it stands in.
    fn add(&self, id: u32, at: usize, length: usize, sums: &mut [f64]) {
        for place in 0..self.places() {
            // It stands at `place` of the phrase whose centre is here.
            let center = (at + self.field.left).checked_sub(place);
            if center.is_some_and(|center| center < length) {
                for (sum, &value) in sums.iter_mut().zip(self.get(id, place)) {
                    *sum += f64::from(value);
                }
            }
        }
    }

    /// As [`logits`](Self::logits), of a text without order and edges: each word adds what it adds
    /// in the midst of a text.
    pub fn bag_logits(&self, ids: &[u32]) -> Vec<f64> {
        let (kept, padding, counted) = self.seen(ids);
        self.pooled(&self.bag(kept, padding), counted)
    }

    /// The sum of what all words add in the midst of a text.
    fn bag(&self, ids: &[u32], padding: usize) -> Vec<f64> {
        let mut sums: Vec<f64> = self.contribution(self.pad_id).iter().map(|value| padding as f64 * value).collect();
        match self.outputs {
            // Four sums side by side, so that no addition waits for the one before.
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

    /// What the model sees of a text, how many positions of padding before it, and the mean's
    /// divisor.
    fn seen<'a>(&self, ids: &'a [u32]) -> (&'a [u32], usize, usize) {
        let Seen { first, padding, positions } = self.padding.seen(ids.len());
        (&ids[first..], padding, positions.max(1))
    }

    fn pooled(&self, sums: &[f64], counted: usize) -> Vec<f64> {
        sums.iter().zip(&self.bias).map(|(sum, bias)| sum / counted as f64 + bias).collect()
    }

    /// A phrase's score, word by word, in order; none for the entry that sums up the padding.
    pub fn parts(&self, prediction: &Prediction, phrase: usize) -> Vec<Part> {
        let Some(center) = prediction.phrases[phrase].center else { return Vec::new() };
        let tokens = prediction.tokens.len();
        let Seen { padding, positions, .. } = self.padding.seen(tokens);
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

/// What a word adds to one output, place by place.
fn of_output(word: &[f32], output: usize, outputs: usize) -> impl Iterator<Item = f64> + '_ {
    word.iter().skip(output).step_by(outputs).map(|&value| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_the_tokens_share_makes_up_the_logits(
            ids in prop::collection::vec(0u32..5, 0..14), left in 0usize..3, right in 0usize..3, outputs in 1usize..4,
            length in prop::option::of(1usize..9),
        ) {
            let field = ReceptiveField { left, right };
            let values: Vec<f32> = (1..=5 * field.size() * outputs).map(|at| (at as f32).sin()).collect();
            let contributions = values
                .chunks_exact(field.size() * outputs)
                .flat_map(|word| (0..outputs).map(move |output| of_output(word, output, outputs).sum::<f64>() as f32))
                .collect();
            let padding = length.map_or(Padding::Masked, |length| Padding::Counted { length });
            let bias: Vec<f64> = (0..outputs).map(|output| output as f64).collect();
            let table = WordTable { values, contributions, outputs, field, bias: bias.clone(), padding, pad_id: 0 };
            // Padding written out is a text of so many more words.
            let (kept, before, _) = table.seen(&ids);
            let padded = [vec![0; before], kept.to_vec()].concat();
            let shares = table.shares(&padded);
            for (output, logit) in table.logits(&ids).into_iter().enumerate() {
                let sum: f64 = shares.iter().map(|share| share[output]).sum();
                prop_assert!((logit - bias[output] - sum).abs() < 1e-5, "{logit} is not {sum}");
            }
        }
    }
}

//! A linear model as numbers: what each word adds, by its place in a phrase.

use convlens_model::{Padding, ReceptiveField};

use crate::{Prediction, Run, RunError, to_host};

/// The table that a linear model folds into: word × place in the phrase × logit.
#[derive(Clone, Debug, PartialEq)]
pub struct WordTable {
    /// `[vocab_size, places, outputs]`
    values: Vec<f32>,
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
        Ok(Some(Self {
            values: to_host(folded.table)?,
            outputs: run.config.model.outputs,
            field: run.model.receptive_field(),
            bias: run.bias()?,
            padding: run.config.model.padding,
            pad_id: run.pad_id(),
        }))
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
        let sum = |output: usize| (0..self.places()).map(|place| f64::from(self.get(id, place)[output])).sum();
        (0..self.outputs).map(sum).collect()
    }

    /// The logits of a text, by looking its words up: nothing else of the model is needed.
    pub fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let (ids, padding, counted) = self.seen(ids);
        let length = padding + ids.len();
        let mut logits = vec![0.0; self.outputs];
        for at in 0..length {
            let id = if at < padding { self.pad_id } else { ids[at - padding] };
            self.add(id, at, length, &mut logits);
        }
        self.pooled(&logits, counted)
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
        let (ids, padding, counted) = self.seen(ids);
        let mut logits = vec![0.0; self.outputs];
        let mut add = |id: u32, times: usize| {
            for (logit, value) in logits.iter_mut().zip(self.contribution(id)) {
                *logit += times as f64 * value;
            }
        };
        add(self.pad_id, padding);
        ids.iter().for_each(|&id| add(id, 1));
        self.pooled(&logits, counted)
    }

    /// What the model sees of a text, how many positions of padding before it, and the mean's
    /// divisor.
    fn seen<'a>(&self, ids: &'a [u32]) -> (&'a [u32], usize, usize) {
        match self.padding {
            Padding::Masked => (ids, 0, ids.len().max(1)),
            Padding::Counted { length } => {
                let kept = &ids[ids.len().saturating_sub(length)..];
                (kept, length - kept.len(), length)
            }
        }
    }

    fn pooled(&self, sums: &[f64], counted: usize) -> Vec<f64> {
        sums.iter().zip(&self.bias).map(|(sum, bias)| sum / counted as f64 + bias).collect()
    }

    /// A phrase's score, word by word, in order; none for the entry that sums up the padding.
    pub fn parts(&self, prediction: &Prediction, phrase: usize) -> Vec<Part> {
        let Some(center) = prediction.phrases[phrase].center else { return Vec::new() };
        let tokens = prediction.tokens.len();
        let (padding, counted) = match self.padding {
            Padding::Masked => (0, tokens.max(1)),
            Padding::Counted { length } => (length - tokens, length),
        };
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

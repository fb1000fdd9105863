//! The importance of each token of a text for its label, by several methods.

use burn::tensor::Tensor;
use convlens_run::model::{EncoderSettings, Padding, ReceptiveField};
use convlens_run::{Run, RunError, WordTable, batches_by_length, predicted_label, to_host};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::Texts;
use crate::decisions::gradient::gradient_times_input;

/// A way to measure the importance of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// The score of the best phrase that contains the token. It ranks phrases as wholes, best first.
    Phrases,
    /// The exact share of the token: the sum of what it adds to the phrases that contain it. Only for
    /// models that fold into a table.
    Words,
    /// The logit minus the logit of the text without the token. It takes one forward pass per token, so
    /// its cost grows with the square of the length.
    Occlusion,
    /// The gradient of the logit with respect to the embedding of the token, times the embedding
    /// (Shrikumar et al. 2017). For a linear model it equals the exact share.
    GradientTimesInput,
    /// Random numbers.
    Random,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Phrases, Self::Words, Self::Occlusion, Self::GradientTimesInput, Self::Random];

    /// The methods that apply to a model, given its table if it has one.
    pub fn fitting(table: Option<&WordTable>) -> Vec<Self> {
        Self::ALL.into_iter().filter(|method| *method != Self::Words || table.is_some()).collect()
    }

    /// The name to show.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phrases => "phrases",
            Self::Words => "words",
            Self::Occlusion => "occlusion",
            Self::GradientTimesInput => "gradient × input",
            Self::Random => "random",
        }
    }
}

/// The importance of each token for its text's [`Side`], one number per id. Only the order of the numbers
/// within a text is meaningful for every method. Tokens that the model does not see get zero, and so do
/// all tokens with [`Method::Words`] if there is no table.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn attributions<S: EncoderSettings>(
    run: &Run<S>,
    table: Option<&WordTable>,
    texts: &Texts,
    sides: &[Side],
    method: Method,
    seed: u64,
    on_done: &dyn Fn(usize),
) -> Result<Vec<Vec<f64>>, RunError> {
    match method {
        Method::Phrases => {
            let mut found = by_batch(run, texts, sides, phrase_scores, on_done)?;
            let field = run.model.receptive_field();
            found.iter_mut().for_each(|scores| *scores = best_phrase(scores, field));
            Ok(found)
        }
        Method::Words => Ok(texts.ids.iter().zip(sides).map(|(ids, side)| shares(table, ids, *side)).collect()),
        Method::GradientTimesInput => by_batch(run, texts, sides, gradients, on_done),
        Method::Occlusion => occlusion(run, texts, sides, on_done),
        Method::Random => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            Ok(texts.ids.iter().map(|ids| ids.iter().map(|_| rng.random::<f64>()).collect()).collect())
        }
    }
}

/// The score of the best phrase that contains each token, given the scores by the centre of the phrase. If
/// phrases extend to an end of the text, every token would get nearly the same score, so each token gets
/// the score of the phrase centred on it.
fn best_phrase(scores: &[f64], field: ReceptiveField) -> Vec<f64> {
    if field.is_unbounded() {
        return scores.to_vec();
    }
    let centers = |token: usize| {
        token.saturating_sub(field.right)..token.saturating_add(field.left).saturating_add(1).min(scores.len())
    };
    (0..scores.len()).map(|token| scores[centers(token)].iter().copied().fold(f64::MIN, f64::max)).collect()
}

fn shares(table: Option<&WordTable>, ids: &[u32], side: Side) -> Vec<f64> {
    match table {
        Some(table) => table.shares(ids).iter().map(|share| side.sign * share[side.output]).collect(),
        None => vec![0.0; ids.len()],
    }
}

/// The logit that decides for a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// The index of the logit.
    pub output: usize,
    /// 1, or -1 for the first of two labels, which has a low logit.
    pub sign: f64,
}

impl Side {
    /// The side of the label that the logits of a text predict.
    pub fn from_logits(logits: &[f32]) -> Self {
        match logits {
            [_] => Self { output: 0, sign: if predicted_label(logits) == 1 { 1.0 } else { -1.0 } },
            _ => Self { output: predicted_label(logits), sign: 1.0 },
        }
    }
}

/// Computes one number per position, `[batch, length]`, from the ids and sides of a batch.
type BatchFn<S> = fn(&Run<S>, &[&[u32]], &[Side]) -> Result<(Vec<f32>, usize), RunError>;

fn by_batch<S: EncoderSettings>(
    run: &Run<S>,
    texts: &Texts,
    sides: &[Side],
    compute: BatchFn<S>,
    on_done: &dyn Fn(usize),
) -> Result<Vec<Vec<f64>>, RunError> {
    let rows = texts.rows();
    let padding = run.config.model.padding;
    let mut found: Vec<Vec<f64>> = rows.iter().map(|ids| vec![0.0; ids.len()]).collect();
    let mut done = 0;
    for batch in batches_by_length(&rows, padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| rows[index]).collect();
        let sides: Vec<Side> = batch.iter().map(|&index| sides[index]).collect();
        let (values, length) = compute(run, &ids, &sides)?;
        for (values, &index) in values.chunks(length).zip(&batch) {
            let count = rows[index].len();
            let seen = count.min(length);
            let first = match padding {
                Padding::Masked => 0,
                Padding::Counted { .. } => length - seen,
            };
            for (place, value) in found[index][count - seen..].iter_mut().zip(&values[first..]) {
                *place = f64::from(*value);
            }
        }
        done += batch.len();
        on_done(done);
    }
    Ok(found)
}

/// The sign of each text's side at its output, zero at the others, `[batch, 1, outputs]`.
fn selector<S: EncoderSettings>(sides: &[Side], run: &Run<S>, device: &burn::tensor::Device) -> Tensor<3> {
    let outputs = run.config.model.outputs;
    let row =
        |side: &Side| (0..outputs).map(|output| if output == side.output { side.sign as f32 } else { 0.0 }).collect();
    let rows: Vec<Vec<f32>> = sides.iter().map(row).collect();
    Tensor::<1>::from_floats(rows.concat().as_slice(), device).reshape([sides.len(), 1, outputs])
}

fn phrase_scores<S: EncoderSettings>(
    run: &Run<S>,
    ids: &[&[u32]],
    sides: &[Side],
) -> Result<(Vec<f32>, usize), RunError> {
    let batch = run.batch(ids);
    let [count, length] = batch.ids.dims();
    let scores = run.model.scores(&batch); // [batch, positions, outputs]
    let positions = scores.dims()[1];
    let chosen = to_host((scores * selector(sides, run, &run.device)).sum_dim(2))?; // [batch, positions, 1]
    // With a stride, tokens without a position of their own rank last.
    let mut found = vec![f32::MIN; count * length];
    for (at, score) in chosen.into_iter().enumerate() {
        found[at / positions * length + at % positions * run.model.stride()] = score;
    }
    Ok((found, length))
}

fn gradients<S: EncoderSettings>(run: &Run<S>, ids: &[&[u32]], sides: &[Side]) -> Result<(Vec<f32>, usize), RunError> {
    gradient_times_input(run, ids, |recorded| {
        let sums = recorded.sums();
        let selector = selector(sides, run, &sums.device()).squeeze_dim::<2>(1);
        (sums * selector).sum()
    })
}

fn occlusion<S: EncoderSettings>(
    run: &Run<S>,
    texts: &Texts,
    sides: &[Side],
    on_done: &dyn Fn(usize),
) -> Result<Vec<Vec<f64>>, RunError> {
    let mut found = Vec::with_capacity(texts.len());
    for (ids, side) in texts.ids.iter().zip(sides) {
        let without = |index: usize| [&ids[..index], &ids[index + 1..]].concat();
        let variants: Vec<Vec<u32>> = (0..ids.len()).map(without).chain([ids.clone()]).collect();
        let variants: Vec<&[u32]> = variants.iter().map(Vec::as_slice).collect();
        let logits = run.logits(&variants)?;
        let logit = |row: usize| side.sign * f64::from(logits[row][side.output]);
        found.push((0..ids.len()).map(|index| logit(ids.len()) - logit(index)).collect());
        on_done(found.len());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_get_the_score_of_the_best_phrase_that_contains_them() {
        let field = ReceptiveField { left: 1, right: 1 };
        assert_eq!(best_phrase(&[0.1, -1.0, 0.0, 3.0, -2.0], field), [0.1, 0.1, 3.0, 3.0, 3.0]);
        let causal = ReceptiveField { left: 2, right: 0 };
        assert_eq!(best_phrase(&[1.0, 2.0, 0.0, 5.0], causal), [2.0, 5.0, 5.0, 5.0]);
    }
}

//! What each token of a text is worth to its label, by several methods.

use burn::module::Module;
use burn::tensor::Tensor;
use convlens_run::model::{Padding, ReceptiveField};
use convlens_run::{Run, RunError, WordTable, batches_by_length, predicted_label, to_host};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::Texts;

/// A way to say what a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The score of the best phrase that the token stands in, so that the best phrases are taken
    /// whole, one after the other.
    Phrases,
    /// The token's exact share: the sum of what it adds to the phrases that it stands in; only for
    /// models that fold.
    Words,
    /// The logit less the logit of the text without the token.
    Occlusion,
    /// The gradient of the logit with regard to the token's embedding, times the embedding
    /// (Shrikumar et al. 2017). Of a linear model it is the exact share of the word.
    GradientTimesInput,
    /// Numbers drawn by lot.
    Random,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Phrases, Self::Words, Self::Occlusion, Self::GradientTimesInput, Self::Random];

    /// Those that fit a model with such a table, or with none.
    pub fn fitting(table: Option<&WordTable>) -> Vec<Self> {
        Self::ALL.into_iter().filter(|method| *method != Self::Words || table.is_some()).collect()
    }

    /// Its name for people.
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

/// What each text's [`Side`] owes to each of its tokens, a number an id; only their order within a
/// text means something for all methods. Tokens that the model does not see get zero, and so does
/// every token by [`Method::Words`] where there is no table.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn attributions(
    run: &Run,
    table: Option<&WordTable>,
    texts: &Texts<'_>,
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
        Method::GradientTimesInput => by_batch(run, texts, sides, gradient_times_input, on_done),
        Method::Occlusion => occlusion(run, texts, sides, on_done),
        Method::Random => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            Ok(texts.ids.iter().map(|ids| ids.iter().map(|_| rng.random::<f64>()).collect()).collect())
        }
    }
}

/// The score of the best phrase that each token stands in, from the scores by the phrase's centre. Where
/// a phrase is all of the text, at least to one side, that tells nothing: there it is the token's own.
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

/// The logit that speaks for a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// Which logit.
    pub output: usize,
    /// 1, or -1 for the first of two labels, which a low logit speaks for.
    pub sign: f64,
}

impl Side {
    /// Of the label that a text's logits give it.
    pub fn of(logits: &[f32]) -> Self {
        match logits {
            [_] => Self { output: 0, sign: if predicted_label(logits) == 1 { 1.0 } else { -1.0 } },
            _ => Self { output: predicted_label(logits), sign: 1.0 },
        }
    }
}

/// A number a position, `[batch, length]`, from a batch's ids and sides.
type OfBatch = fn(&Run, &[&[u32]], &[Side]) -> Result<(Vec<f32>, usize), RunError>;

fn by_batch(
    run: &Run,
    texts: &Texts<'_>,
    sides: &[Side],
    of_batch: OfBatch,
    on_done: &dyn Fn(usize),
) -> Result<Vec<Vec<f64>>, RunError> {
    let rows = texts.rows();
    let padding = run.config.model.padding;
    let mut found: Vec<Vec<f64>> = rows.iter().map(|ids| vec![0.0; ids.len()]).collect();
    let mut done = 0;
    for batch in batches_by_length(&rows, padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| rows[index]).collect();
        let sides: Vec<Side> = batch.iter().map(|&index| sides[index]).collect();
        let (values, length) = of_batch(run, &ids, &sides)?;
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

/// 1 or -1 at the output that each text's side names, `[batch, 1, outputs]`.
fn selector(sides: &[Side], run: &Run, device: &burn::tensor::Device) -> Tensor<3> {
    let outputs = run.config.model.outputs;
    let row =
        |side: &Side| (0..outputs).map(|output| if output == side.output { side.sign as f32 } else { 0.0 }).collect();
    let rows: Vec<Vec<f32>> = sides.iter().map(row).collect();
    Tensor::<1>::from_floats(rows.concat().as_slice(), device).reshape([sides.len(), 1, outputs])
}

fn phrase_scores(run: &Run, ids: &[&[u32]], sides: &[Side]) -> Result<(Vec<f32>, usize), RunError> {
    let batch = run.batch(ids);
    let [count, length] = batch.ids.dims();
    let scores = run.model.scores(&batch); // [batch, positions, outputs]
    let positions = scores.dims()[1];
    let chosen = to_host((scores * selector(sides, run, &run.device)).sum_dim(2))?; // [batch, positions, 1]
    // Where not every token has a position of its own, the others say nothing.
    let mut found = vec![f32::MIN; count * length];
    for (at, score) in chosen.into_iter().enumerate() {
        found[at / positions * length + at % positions * run.model.stride()] = score;
    }
    Ok((found, length))
}

fn gradient_times_input(run: &Run, ids: &[&[u32]], sides: &[Side]) -> Result<(Vec<f32>, usize), RunError> {
    let model = run.model.clone().freeze().train();
    let batch = run.batch(ids);
    let embedded = run.model.embed.forward(batch.ids); // [batch, length, embedding]
    let length = embedded.dims()[1];
    let x = Tensor::from_inner(embedded.clone()).require_grad();
    let mask = Tensor::from_inner(batch.mask);
    let logits = model.forward_embedded(x.clone(), mask); // [batch, outputs]
    let device = logits.device();
    let chosen = logits.unsqueeze_dim::<3>(1) * selector(sides, run, &device);
    let gradients = chosen.sum().backward();
    let gradient = x.grad(&gradients).unwrap_or_else(|| embedded.zeros_like());
    Ok((to_host((gradient * embedded).sum_dim(2))?, length))
}

fn occlusion(run: &Run, texts: &Texts<'_>, sides: &[Side], on_done: &dyn Fn(usize)) -> Result<Vec<Vec<f64>>, RunError> {
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
    fn the_best_phrase_is_taken_whole() {
        let field = ReceptiveField { left: 1, right: 1 };
        assert_eq!(best_phrase(&[0.1, -1.0, 0.0, 3.0, -2.0], field), [0.1, 0.1, 3.0, 3.0, 3.0]);
        let causal = ReceptiveField { left: 2, right: 0 };
        assert_eq!(best_phrase(&[1.0, 2.0, 0.0, 5.0], causal), [2.0, 5.0, 5.0, 5.0]);
    }
}

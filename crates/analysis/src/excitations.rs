//! For each filter of the first layer, the phrases of a corpus that excite it most and least.

use std::collections::HashSet;

use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor};
use convlens_run::model::{Encode, FilterWeights, Filters};
use convlens_run::{Run, RunError, batches_by_length, to_host};
use serde::Serialize;

use crate::{OnStage, Texts};

/// A phrase, and how a filter answers to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excitation {
    /// The phrase, as its tokens.
    pub phrase: String,
    /// The filter's output.
    pub output: f64,
    /// The text it is from, by its index.
    pub text: usize,
}

/// The extremes of one filter over a corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excitations {
    /// The filter.
    pub filter: usize,
    /// The phrases with the largest output, largest first, each once.
    pub most: Vec<Excitation>,
    /// The phrases with the smallest output, smallest first, each once.
    pub least: Vec<Excitation>,
}

/// The `count` phrases that excite each filter most and least among the texts.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn excitations(
    run: &Run,
    texts: &Texts<'_>,
    count: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<Excitations>, RunError> {
    let rows = texts.rows();
    let Some(Filters { weights, left, .. }) = run.model.encoder.filters() else { return Ok(Vec::new()) };
    let [filters, kernel_size] = weights.shape();
    let mut best = vec![(Best::new(count), Best::new(count)); filters];
    let mut done = 0;
    for batch in batches_by_length(&rows, run.config.model.padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| rows[index]).collect();
        let (outputs, shape) = responses(run, &ids, &weights, left)?; // [batch, filters, length]
        for (row, &index) in batch.iter().enumerate() {
            for (at, phrase) in phrases(rows[index], kernel_size, left, shape[2], run) {
                for (filter, (most, least)) in best.iter_mut().enumerate() {
                    let output = outputs[(row * shape[1] + filter) * shape[2] + at];
                    most.offer(output, index, phrase);
                    least.offer(-output, index, phrase);
                }
            }
        }
        done += batch.len();
        on_stage("phrases of each filter", done, rows.len());
    }
    let name = |sign: f64, found: Best<'_>| -> Vec<Excitation> {
        let name = |(output, text, phrase): (f32, usize, &[u32])| {
            let words: Vec<String> = phrase.iter().filter_map(|&id| run.tokenizer.token(id)).collect();
            Excitation { phrase: words.join(" "), output: sign * f64::from(output), text }
        };
        found.entries.into_iter().map(name).collect()
    };
    let named = best.into_iter().enumerate();
    Ok(named
        .map(|(filter, (most, least))| Excitations { filter, most: name(1.0, most), least: name(-1.0, least) })
        .collect())
}

/// The outputs of the first layer's filters, `[batch, filters, length]`, before any activation.
fn responses(
    run: &Run,
    ids: &[&[u32]],
    weights: &FilterWeights,
    left: usize,
) -> Result<(Vec<f32>, [usize; 3]), RunError> {
    let batch = run.batch(ids);
    let mask = batch.mask.unsqueeze_dim::<3>(1); // [batch, 1, length]
    let x = run.model.embed.forward(batch.ids).swap_dims(1, 2) * mask; // [batch, embedding, length]
    let ([_, _, length], [_, kernel_size]) = (x.dims(), weights.shape());
    let x: Tensor<3> = x.pad([(0, 0), (0, 0), (left, kernel_size - 1 - left)], 0.0);
    let outputs = match weights {
        FilterWeights::Vectors(filters) => conv1d(x, filters.clone(), None, ConvOptions::new([1], [0], [1], 1)),
        FilterWeights::Dimensions(of_filters) => {
            let of_place = |place: usize| {
                let dimensions: Vec<i32> = of_filters.iter().map(|of| of[place].map_or(-1, |at| at as i32)).collect();
                one_a_filter(&x, &dimensions).narrow(2, place, length)
            };
            (1..kernel_size).fold(of_place(0), |sum, place| sum + of_place(place))
        }
    };
    let shape = outputs.dims();
    Ok((to_host(outputs)?, shape))
}

/// Of each filter the dimension that is its own, zeros where that is -1: `[batch, embedding, length]` to
/// `[batch, filters, length]`.
fn one_a_filter(x: &Tensor<3>, dimensions: &[i32]) -> Tensor<3> {
    let kept: Vec<f32> = dimensions.iter().map(|&at| if at < 0 { 0.0 } else { 1.0 }).collect();
    let chosen: Vec<i32> = dimensions.iter().map(|&at| at.max(0)).collect();
    let chosen = Tensor::<1, Int>::from_data(chosen.as_slice(), &x.device());
    let kept = Tensor::<1>::from_data(kept.as_slice(), &x.device()).reshape([1, dimensions.len(), 1]);
    x.clone().select(1, chosen) * kept
}

/// The whole phrases of a text, without special tokens: where among the `length` positions of the
/// batch their filter is applied, and their ids.
fn phrases<'a>(
    ids: &'a [u32],
    kernel_size: usize,
    left: usize,
    length: usize,
    run: &'a Run,
) -> impl Iterator<Item = (usize, &'a [u32])> {
    let kept = &ids[ids.len().saturating_sub(length)..];
    let before = match run.config.model.padding {
        convlens_run::model::Padding::Masked => 0,
        convlens_run::model::Padding::Counted { length } => length - kept.len(),
    };
    let center = before + left;
    kept.windows(kernel_size)
        .enumerate()
        .map(move |(start, phrase)| (center + start, phrase))
        .filter(|(_, phrase)| !phrase.iter().any(|&id| run.tokenizer.is_special(id)))
}

/// The highest of what it is offered, highest first, each phrase once.
#[derive(Clone)]
struct Best<'a> {
    count: usize,
    entries: Vec<(f32, usize, &'a [u32])>,
    known: HashSet<&'a [u32]>,
}

impl<'a> Best<'a> {
    fn new(count: usize) -> Self {
        Self { count, entries: Vec::with_capacity(count + 1), known: HashSet::new() }
    }

    fn offer(&mut self, output: f32, text: usize, phrase: &'a [u32]) {
        let lowest = self.entries.last().map_or(f32::NEG_INFINITY, |entry| entry.0);
        if (self.entries.len() == self.count && output <= lowest) || self.known.contains(phrase) {
            return;
        }
        let place = self.entries.partition_point(|entry| entry.0 >= output);
        self.entries.insert(place, (output, text, phrase));
        self.known.insert(phrase);
        if self.entries.len() > self.count
            && let Some((_, _, last)) = self.entries.pop()
        {
            self.known.remove(last);
        }
    }
}

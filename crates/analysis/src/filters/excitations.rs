//! The phrases of a corpus that excite each filter of the first layer most and least.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use burn::tensor::Tensor;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use convlens_run::model::{Batch, Encode, EncoderSettings, FilterWeights, Filters, Padding, TextModel};
use convlens_run::{Run, RunError, batches_by_length, padded, to_host};
use rayon::prelude::*;
use serde::Serialize;

use crate::{OnStage, Texts};

/// The maximum number of tokens of a text that the filters read at once.
const WINDOW: usize = 1 << 14;

/// A phrase and the output of a filter on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excitation {
    /// The tokens of the phrase, separated by spaces.
    pub phrase: String,
    /// The output of the filter, before any activation.
    pub output: f64,
    /// The index in the corpus of a text that contains the phrase.
    pub text: usize,
}

/// The phrases with the largest and smallest outputs of one filter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Excitations {
    /// The filter.
    pub filter: usize,
    /// The phrases with the largest outputs, largest first, without duplicates.
    pub most: Vec<Excitation>,
    /// The phrases with the smallest outputs, smallest first, without duplicates.
    pub least: Vec<Excitation>,
}

/// The `count` phrases that excite each filter most and least. Only whole phrases without special tokens
/// count.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn excitations<S: EncoderSettings>(
    run: &Run<S>,
    texts: &Texts,
    count: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<Excitations>, RunError> {
    let Some(Filters { weights, left, .. }) = run.model.encoder.filters() else { return Ok(Vec::new()) };
    let [filters, kernel_size] = weights.shape();
    let (windows, texts_of): (Vec<&[u32]>, Vec<usize>) = windows(run, texts, kernel_size).into_iter().unzip();
    // Only filters over one-hot words are read on the host.
    let embeddings = match &weights {
        FilterWeights::Vectors(_) => Vec::new(),
        FilterWeights::Dimensions(_) => to_host(run.model.embed.weight.val())?,
    };
    let mut best = vec![(Best::new(count), Best::new(count)); filters];
    let mut done = 0;
    for batch in batches_by_length(&windows, run.config.model.padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| windows[index]).collect();
        let (outputs, shape) = match &weights {
            FilterWeights::Vectors(vectors) => responses(&run.model, &run.batch(&ids), vectors.clone(), left)?,
            FilterWeights::Dimensions(dimensions) => weights_of_words(run, &ids, &embeddings, dimensions, left),
        }; // [batch, filters, length]
        let of_text = |(row, &index): (usize, &usize)| {
            let phrases = phrases(windows[index], kernel_size, left, shape[2], run);
            phrases.map(move |(at, phrase)| (row, at, index, phrase))
        };
        let phrases: Vec<(usize, usize, usize, &[u32])> = batch.iter().enumerate().flat_map(of_text).collect();
        best.par_iter_mut().enumerate().for_each(|(filter, (most, least))| {
            for &(row, at, index, phrase) in &phrases {
                let output = outputs[(row * shape[1] + filter) * shape[2] + at];
                most.offer(output, texts_of[index], phrase);
                least.offer(-output, texts_of[index], phrase);
            }
        });
        done += batch.len();
        on_stage("phrases of each filter", done, windows.len());
    }
    let to_list = |sign: f64, found: Best<'_, u32>| -> Vec<Excitation> {
        let excitation = |(output, text, phrase): (f32, usize, &[u32])| {
            let words: Vec<String> = phrase.iter().filter_map(|&id| run.tokenizer.token(id)).collect();
            Excitation { phrase: words.join(" "), output: sign * f64::from(output), text: texts.indices[text] }
        };
        found.entries.into_iter().map(excitation).collect()
    };
    let best = best.into_iter().enumerate();
    Ok(best
        .map(|(filter, (most, least))| Excitations { filter, most: to_list(1.0, most), least: to_list(-1.0, least) })
        .collect())
}

/// The texts, each with its position in the list. Long ones are cut into windows that overlap so that
/// every phrase is in one of them; a model with counted padding sees only the end of a text anyway.
fn windows<'a, S: EncoderSettings>(run: &Run<S>, texts: &'a Texts, kernel_size: usize) -> Vec<(&'a [u32], usize)> {
    let cut = |(text, ids): (usize, &'a Vec<u32>)| -> Vec<(&'a [u32], usize)> {
        if run.config.model.padding != Padding::Masked || ids.len() <= WINDOW + kernel_size {
            return vec![(ids.as_slice(), text)];
        }
        let window = |start: usize| (&ids[start..ids.len().min(start + WINDOW + kernel_size - 1)], text);
        (0..ids.len()).step_by(WINDOW).map(window).collect()
    };
    texts.ids.iter().enumerate().flat_map(cut).collect()
}

/// The outputs of filters that are vectors, `[filters, embedding, kernel_size]`, before any activation:
/// `[batch, filters, length]`, flattened, and this shape.
pub(crate) fn responses<E: Encode>(
    model: &TextModel<E>,
    batch: &Batch,
    filters: Tensor<3>,
    left: usize,
) -> Result<(Vec<f32>, [usize; 3]), RunError> {
    let mask = batch.mask.clone().unsqueeze_dim::<3>(1); // [batch, 1, length]
    let x = model.embedded(batch).swap_dims(1, 2) * mask; // [batch, embedding, length]
    let [_, _, kernel_size] = filters.dims();
    let x: Tensor<3> = x.pad([(0, 0), (0, 0), (left, kernel_size - 1 - left)], 0.0);
    let outputs = conv1d(x, filters, None, ConvOptions::new([1], [0], [1], 1));
    let shape = outputs.dims();
    Ok((to_host(outputs)?, shape))
}

/// The same for filters over one-hot words: the sums of the words' weights, which are the dimensions of their
/// embeddings that `of_filters` names for each filter and place. Embeddings have thousands of dimensions then, so
/// they are read where they lie.
fn weights_of_words<S: EncoderSettings>(
    run: &Run<S>,
    ids: &[&[u32]],
    embeddings: &[f32],
    of_filters: &[Vec<Option<usize>>],
    left: usize,
) -> (Vec<f32>, [usize; 3]) {
    let width = run.config.model.embedding;
    let texts: Vec<Cow<'_, [u32]>> =
        ids.iter().map(|ids| padded(ids, run.config.model.padding, run.pad_id())).collect();
    let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
    let shape = [texts.len(), of_filters.len(), length];
    let mut outputs = vec![0.0; shape.iter().product()];
    let of_texts = outputs.par_chunks_mut(shape[1] * length);
    of_texts.zip(&texts).for_each(|(outputs, ids)| {
        for (at, &id) in ids.iter().enumerate() {
            let word = &embeddings[id as usize * width..][..width];
            for (filter, places) in of_filters.iter().enumerate() {
                for (place, dimension) in places.iter().enumerate() {
                    // The filter at `center` reads this word at this place.
                    let center = (at + left).checked_sub(place).filter(|&center| center < ids.len());
                    if let (Some(center), Some(dimension)) = (center, dimension) {
                        outputs[filter * length + center] += word[*dimension];
                    }
                }
            }
        }
    });
    (outputs, shape)
}

/// The whole phrases of a text that contain no special token, each with the position, of the `length`
/// positions in the batch, at which a filter reads it.
fn phrases<'a, S: EncoderSettings>(
    ids: &'a [u32],
    kernel_size: usize,
    left: usize,
    length: usize,
    run: &'a Run<S>,
) -> impl Iterator<Item = (usize, &'a [u32])> {
    let kept = &ids[ids.len().saturating_sub(length)..];
    let before = match run.config.model.padding {
        Padding::Masked => 0,
        Padding::Counted { length } => length - kept.len(),
    };
    let center = before + left;
    kept.windows(kernel_size)
        .enumerate()
        .map(move |(start, phrase)| (center + start, phrase))
        .filter(|(_, phrase)| !phrase.iter().any(|&id| run.tokenizer.is_special(id)))
}

/// The phrases with the highest outputs, highest first, without duplicates: each with its output and text.
#[derive(Clone)]
pub(crate) struct Best<'a, T: Eq + Hash> {
    count: usize,
    pub entries: Vec<(f32, usize, &'a [T])>,
    known: HashSet<&'a [T]>,
}

impl<'a, T: Eq + Hash> Best<'a, T> {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, entries: Vec::new(), known: HashSet::new() }
    }

    pub(crate) fn offer(&mut self, output: f32, text: usize, phrase: &'a [T]) {
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

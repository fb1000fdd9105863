//! The words that excite and inhibit each position of each filter most (the receptive fields of Ben
//! Bolte's post on convolutional sentiment models; code: codekansas/language_conv_visualizations).

use std::sync::atomic::{AtomicUsize, Ordering};

use convlens_run::model::{Encode, EncoderSettings, FilterWeights, Pooling};
use convlens_run::{Run, RunError, to_host};
use rayon::prelude::*;
use serde::Serialize;

use crate::OnStage;
use crate::words::vocabulary::{Vocabulary, WordScore};

/// One filter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filter {
    /// The index of the filter.
    pub filter: usize,
    /// The weight of its output in each logit; empty if there are other layers in between.
    pub head: Vec<f64>,
    /// The positions, from left to right.
    pub positions: Vec<FilterPosition>,
}

/// One position of a filter, which is a vector in the space of the embeddings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterPosition {
    /// The place relative to the centre: -1 is the word before it.
    pub place: isize,
    /// The norm of the vector.
    pub norm: f64,
    /// The words with the largest dot product, largest first.
    pub excite: Vec<WordScore>,
    /// The words with the smallest dot product, smallest first.
    pub inhibit: Vec<WordScore>,
    /// The words with the largest cosine, largest first.
    pub excite_by_cosine: Vec<WordScore>,
    /// The words with the smallest cosine, smallest first.
    pub inhibit_by_cosine: Vec<WordScore>,
}

/// The filters of the first layer as vectors, and the embeddings.
#[derive(Clone, Debug)]
pub struct FilterVectors {
    /// The embeddings, `[vocab_size, embedding]`.
    pub embeddings: Vec<f32>,
    /// The positions of the filters, `[filters, kernel_size, embedding]`; empty for filters over one-hot
    /// words.
    pub vectors: Vec<f32>,
    /// For filters over one-hot words, the dimension of a word's embedding that holds its weight,
    /// `[filters, kernel_size]`; otherwise empty.
    pub dimension_of: Vec<Option<usize>>,
    /// The number of filters.
    pub filters: usize,
    /// The number of positions of a filter.
    pub kernel_size: usize,
    /// How many of them are before the centre.
    pub left: usize,
    /// The number of dimensions of an embedding.
    pub dimensions: usize,
    /// The weights of the head, `[outputs, filters]`; empty if there are other layers between the filters and
    /// the logits.
    pub head: Vec<f32>,
    /// Whether the model is linear between the filters and the logits, so that a filter adds its
    /// activation times its weight.
    pub is_linear: bool,
}

impl FilterVectors {
    /// Reads them from a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn new<S: EncoderSettings>(run: &Run<S>) -> Result<Self, RunError> {
        let filters = run.model.encoder.filters();
        let (left, is_last) = filters.as_ref().map_or((0, false), |filters| (filters.left, filters.is_last));
        let [count, kernel_size] = filters.as_ref().map_or([0, 1], |filters| filters.weights.shape());
        let (vectors, dimension_of) = match filters.map(|filters| filters.weights) {
            Some(FilterWeights::Vectors(weights)) => (to_host(weights.swap_dims(1, 2))?, Vec::new()),
            Some(FilterWeights::Dimensions(of_filters)) => (Vec::new(), of_filters.concat()),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Self {
            embeddings: to_host(run.model.embed.weight.val())?,
            vectors,
            dimension_of,
            filters: count,
            kernel_size,
            left,
            dimensions: run.config.model.embedding,
            is_linear: run.model.encoder.linear_kernel().is_some() && run.model.pooling() == Pooling::Mean,
            head: if is_last { to_host(run.model.head.weight.val())? } else { Vec::new() },
        })
    }

    /// Whether the filters are vectors in the space of the embeddings.
    pub fn are_vectors(&self) -> bool {
        self.dimension_of.is_empty()
    }

    /// What a word adds to the output of a filter at one of its places: the dot product of their vectors or,
    /// for one-hot words, the weight of the word there.
    pub fn answer(&self, filter: usize, place: usize, id: usize) -> f64 {
        let word = self.embedding(id);
        if self.are_vectors() {
            dot(self.vector(filter, place), word)
        } else {
            self.dimension_of[filter * self.kernel_size + place].map_or(0.0, |at| f64::from(word[at]))
        }
    }

    /// The vector of a filter at a place.
    pub fn vector(&self, filter: usize, place: usize) -> &[f32] {
        let start = (filter * self.kernel_size + place) * self.dimensions;
        &self.vectors[start..start + self.dimensions]
    }

    /// The vector of a word.
    pub fn embedding(&self, id: usize) -> &[f32] {
        &self.embeddings[id * self.dimensions..(id + 1) * self.dimensions]
    }

    /// The number of words.
    pub fn words(&self) -> usize {
        self.embeddings.len() / self.dimensions
    }

    /// The weight of a filter's output in each logit.
    pub fn head(&self, filter: usize) -> Vec<f64> {
        self.head.iter().skip(filter).step_by(self.filters).map(|&weight| f64::from(weight)).collect()
    }

    /// A place relative to the position that the filter is applied at.
    pub fn offset(&self, place: usize) -> isize {
        place as isize - self.left as isize
    }
}

/// The `count` words that excite and inhibit each position of each filter most.
pub fn receptive_fields(
    vectors: &FilterVectors,
    words: &Vocabulary,
    count: usize,
    on_stage: OnStage<'_>,
) -> Vec<Filter> {
    // A one-hot word is a vector of norm 1, and a filter over them has one dimension per word.
    let norm_of = |id: usize| if vectors.are_vectors() { norm(vectors.embedding(id)) } else { 1.0 };
    let norms: Vec<f64> = (0..vectors.words()).map(norm_of).collect();
    let position = |filter: usize, place: usize| {
        let dots: Vec<f64> = (0..vectors.words()).map(|id| vectors.answer(filter, place, id)).collect();
        let length = if vectors.are_vectors() {
            norm(vectors.vector(filter, place))
        } else {
            dots.iter().map(|dot| dot * dot).sum::<f64>().sqrt()
        };
        let cosine = |(dot, norm): (&f64, &f64)| if norm * length > 0.0 { dot / (norm * length) } else { 0.0 };
        let cosines: Vec<f64> = dots.iter().zip(&norms).map(cosine).collect();
        let (excite, inhibit) = words.extremes(&dots, count);
        let (excite_by_cosine, inhibit_by_cosine) = words.extremes(&cosines, count);
        let place = vectors.offset(place);
        FilterPosition { place, norm: length, excite, inhibit, excite_by_cosine, inhibit_by_cosine }
    };
    let done = AtomicUsize::new(0);
    let filter = |filter: usize| {
        on_stage("words of each filter", done.fetch_add(1, Ordering::Relaxed) + 1, vectors.filters);
        // A filter narrower than others of the same layer has zero vectors at the outermost places.
        let positions = (0..vectors.kernel_size).map(|place| position(filter, place));
        Filter { filter, head: vectors.head(filter), positions: positions.filter(|at| at.norm > 0.0).collect() }
    };
    (0..vectors.filters).into_par_iter().map(filter).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

//! Receptive fields after document A: for each filter and each of its positions, the words whose
//! embeddings excite it most; and those that inhibit it most.

use burn::tensor::Tensor;
use convlens_run::model::{Encode, Pooling};
use convlens_run::{Run, RunError, to_host};
use serde::Serialize;

use crate::OnStage;
use crate::vocabulary::{Vocabulary, WordScore};

/// One filter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Filter {
    /// Its index.
    pub filter: usize,
    /// What its output weighs in each logit; empty where other layers lie between.
    pub head: Vec<f64>,
    /// Its positions, from left to right.
    pub positions: Vec<FilterPosition>,
}

/// One position of a filter: a vector in the space of the embeddings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterPosition {
    /// The place, counted from the centre: -1 is the word before.
    pub place: isize,
    /// The vector's length.
    pub norm: f64,
    /// The words with the largest dot product, largest first.
    pub excite: Vec<WordScore>,
    /// The words with the smallest dot product, smallest first.
    pub inhibit: Vec<WordScore>,
    /// As `excite`, by cosine.
    pub excite_by_cosine: Vec<WordScore>,
    /// As `inhibit`, by cosine.
    pub inhibit_by_cosine: Vec<WordScore>,
}

/// The filters of the first layer as vectors, and the embeddings beside them.
#[derive(Clone, Debug)]
pub struct FilterVectors {
    /// Each embedding, `[vocab_size, embedding]`.
    pub embeddings: Vec<f32>,
    /// Each filter's positions, `[filters, kernel_size, embedding]`.
    pub vectors: Vec<f32>,
    /// How many filters there are.
    pub filters: usize,
    /// How many positions a filter has.
    pub kernel_size: usize,
    /// How many dimensions an embedding has.
    pub dimensions: usize,
    /// `[outputs, filters]`; empty where other layers lie between filters and logits.
    pub head: Vec<f32>,
    /// Whether nothing bends between filters and logits, so that a filter adds its activation times
    /// its weight.
    pub is_linear: bool,
}

impl FilterVectors {
    /// Of a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn of(run: &Run) -> Result<Self, RunError> {
        let filters = run.model.encoder.filters(); // [filters, embedding, kernel_size]
        let dimensions = run.config.model.embedding;
        let [count, _, kernel_size] = filters.as_ref().map_or([0, dimensions, 1], Tensor::dims);
        let [outputs, hidden, _] = run.model.head.weight.val().dims();
        let head = to_host(run.model.head.weight.val())?;
        let is_one_layer = run.model.receptive_field().size() == kernel_size;
        let is_direct = is_one_layer && hidden == count && head.len() == outputs * count;
        Ok(Self {
            embeddings: to_host(run.model.embed.weight.val())?,
            vectors: filters.map(|filters| to_host(filters.swap_dims(1, 2))).transpose()?.unwrap_or_default(),
            filters: count,
            kernel_size,
            dimensions,
            is_linear: run.model.encoder.linear_kernel().is_some() && run.model.pooling() == Pooling::Mean,
            head: if is_direct { head } else { Vec::new() },
        })
    }

    /// The vector of a filter's position.
    pub fn vector(&self, filter: usize, place: usize) -> &[f32] {
        let start = (filter * self.kernel_size + place) * self.dimensions;
        &self.vectors[start..start + self.dimensions]
    }

    /// The vector of a word.
    pub fn embedding(&self, id: usize) -> &[f32] {
        &self.embeddings[id * self.dimensions..(id + 1) * self.dimensions]
    }

    /// How many words there are.
    pub fn words(&self) -> usize {
        self.embeddings.len() / self.dimensions
    }

    /// What a filter's output weighs in each logit.
    pub fn head(&self, filter: usize) -> Vec<f64> {
        self.head.iter().skip(filter).step_by(self.filters).map(|&weight| f64::from(weight)).collect()
    }

    /// A place, counted from the filter's centre.
    pub fn offset(&self, place: usize) -> isize {
        place as isize - ((self.kernel_size - 1) / 2) as isize
    }
}

/// The `count` words that excite and inhibit each position of each filter most.
pub fn receptive_fields(
    vectors: &FilterVectors,
    words: &Vocabulary,
    count: usize,
    on_stage: OnStage<'_>,
) -> Vec<Filter> {
    let norms: Vec<f64> = (0..vectors.words()).map(|id| norm(vectors.embedding(id))).collect();
    let position = |filter: usize, place: usize| {
        let vector = vectors.vector(filter, place);
        let dots: Vec<f64> = (0..vectors.words()).map(|id| dot(vector, vectors.embedding(id))).collect();
        let length = norm(vector);
        let cosine = |(dot, norm): (&f64, &f64)| if norm * length > 0.0 { dot / (norm * length) } else { 0.0 };
        let cosines: Vec<f64> = dots.iter().zip(&norms).map(cosine).collect();
        let (excite, inhibit) = words.extremes(&dots, count);
        let (excite_by_cosine, inhibit_by_cosine) = words.extremes(&cosines, count);
        let place = vectors.offset(place);
        FilterPosition { place, norm: length, excite, inhibit, excite_by_cosine, inhibit_by_cosine }
    };
    let filter = |filter: usize| {
        on_stage("words of each filter", filter + 1, vectors.filters);
        let positions = (0..vectors.kernel_size).map(|place| position(filter, place)).collect();
        Filter { filter, head: vectors.head(filter), positions }
    };
    (0..vectors.filters).map(filter).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

//! Receptive fields after document A: for each filter and each of its positions, the words whose
//! embeddings excite it most; and those that inhibit it most.

use convlens_run::model::{Encode, FilterWeights, Pooling};
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
    /// Each filter's positions, `[filters, kernel_size, embedding]`; empty for filters over one-hot
    /// words.
    pub vectors: Vec<f32>,
    /// Of filters over one-hot words, whose weight a word carries itself: in which of its dimensions,
    /// `[filters, kernel_size]`.
    pub dimension_of: Vec<Option<usize>>,
    /// How many filters there are.
    pub filters: usize,
    /// How many positions a filter has.
    pub kernel_size: usize,
    /// How many of them lie before the position itself.
    pub left: usize,
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

    /// What a word gives to a filter at one of its places: the dot product of their vectors or, over
    /// one-hot words, the weight that the word has there.
    pub fn answer(&self, filter: usize, place: usize, id: usize) -> f64 {
        let word = self.embedding(id);
        match self.are_vectors() {
            true => dot(self.vector(filter, place), word),
            false => self.dimension_of[filter * self.kernel_size + place].map_or(0.0, |at| f64::from(word[at])),
        }
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

    /// A place, counted from the position that the filter is applied at.
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
    // A one-hot word's vector has the length 1, a filter's has a dimension for each word.
    let norm_of = |id: usize| if vectors.are_vectors() { norm(vectors.embedding(id)) } else { 1.0 };
    let norms: Vec<f64> = (0..vectors.words()).map(norm_of).collect();
    let position = |filter: usize, place: usize| {
        let dots: Vec<f64> = (0..vectors.words()).map(|id| vectors.answer(filter, place, id)).collect();
        let length = match vectors.are_vectors() {
            true => norm(vectors.vector(filter, place)),
            false => dots.iter().map(|dot| dot * dot).sum::<f64>().sqrt(),
        };
        let cosine = |(dot, norm): (&f64, &f64)| if norm * length > 0.0 { dot / (norm * length) } else { 0.0 };
        let cosines: Vec<f64> = dots.iter().zip(&norms).map(cosine).collect();
        let (excite, inhibit) = words.extremes(&dots, count);
        let (excite_by_cosine, inhibit_by_cosine) = words.extremes(&cosines, count);
        let place = vectors.offset(place);
        FilterPosition { place, norm: length, excite, inhibit, excite_by_cosine, inhibit_by_cosine }
    };
    let filter = |filter: usize| {
        on_stage("words of each filter", filter + 1, vectors.filters);
        // A filter that is narrower than others beside it has no words at their outermost places.
        let positions = (0..vectors.kernel_size).map(|place| position(filter, place));
        Filter { filter, head: vectors.head(filter), positions: positions.filter(|at| at.norm > 0.0).collect() }
    };
    (0..vectors.filters).map(filter).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())
}

fn norm(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

//! What the features that were learned from unlabelled texts answer to.

use convlens_run::WordVectors;
use serde::Serialize;

use crate::{Vocabulary, WordScore};

/// A feature of the regions that word vectors were learned with: one dimension of the vectors. A region of words has
/// the feature as far as the sum of its words' values is above zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VectorFeature {
    /// The number of the dimension.
    pub dimension: usize,
    /// The share of the variance of all vectors along this dimension.
    pub share_of_variance: f64,
    /// The words with the largest values, which the feature answers to.
    pub words: Vec<WordScore>,
}

/// Every feature with its first `count` words, that of the largest variance first. Words of which nothing was learned
/// are left out.
///
/// # Panics
///
/// If there is not a vector for every word of the vocabulary.
pub fn vector_features(vectors: &WordVectors, vocabulary: &Vocabulary, count: usize) -> Vec<VectorFeature> {
    let width = vectors.dimensions;
    let values = |dimension: usize| vectors.values.iter().skip(dimension).step_by(width).map(|&value| f64::from(value));
    let variances: Vec<f64> = (0..width).map(|dimension| variance(values(dimension))).collect();
    let all = variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let mut features: Vec<VectorFeature> = (0..width)
        .map(|dimension| {
            let scores: Vec<f64> = values(dimension).collect();
            let words = vocabulary.extremes(&scores, count).0;
            VectorFeature { dimension, share_of_variance: variances[dimension] / all, words }
        })
        .collect();
    features.sort_by(|a, b| b.share_of_variance.total_cmp(&a.share_of_variance).then(a.dimension.cmp(&b.dimension)));
    features
}

fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    values.map(|value| (value - mean).powi(2)).sum::<f64>() / count
}

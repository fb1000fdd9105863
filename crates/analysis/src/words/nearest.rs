//! The words whose embeddings point in nearly the same direction.

use crate::FilterVectors;
use crate::words::vocabulary::{Vocabulary, WordScore};

/// The words whose embeddings have the largest cosine with that of the word with this id, largest first; the word
/// itself is not among them. Empty if there is no such id, or the embedding of the word is zero.
pub fn nearest_words(vectors: &FilterVectors, words: &Vocabulary, id: usize, count: usize) -> Vec<WordScore> {
    let embedding = |id: usize| vectors.embeddings.chunks_exact(vectors.dimensions.max(1)).nth(id);
    let norm = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let Some(word) = embedding(id).filter(|values| norm(values) > 0.0) else { return Vec::new() };
    let cosine = |other: &[f32]| {
        let product: f64 = word.iter().zip(other).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        product / (norm(word) * norm(other)).max(f64::MIN_POSITIVE)
    };
    let others = words.ids().iter().filter(|&&other| other != id);
    let mut found: Vec<WordScore> = others
        .filter_map(|&other| Some(WordScore { word: words.word(other).to_owned(), score: cosine(embedding(other)?) }))
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(count);
    found
}

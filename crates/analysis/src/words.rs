//! The folded table of a linear model: the words that are strongest at each place of a phrase.

use convlens_run::{Run, WordTable};
use serde::Serialize;

use crate::vocabulary::{Vocabulary, WordScore};

/// The strongest words of one place of a phrase, for one logit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceWords {
    /// The logit.
    pub output: String,
    /// The place, counted from the phrase's centre; none for the sum over the places, which is
    /// what a word adds in the midst of a text.
    pub place: Option<isize>,
    /// The words that add most, strongest first.
    pub raise: Vec<WordScore>,
    /// The words that take off most, strongest first.
    pub lower: Vec<WordScore>,
}

/// The `count` strongest words at each place, and over all places, for each logit. The scores are
/// a phrase's, before the mean's divisor.
pub fn strongest_words(run: &Run, table: &WordTable, words: &Vocabulary, count: usize) -> Vec<PlaceWords> {
    let places = || std::iter::once(None).chain((0..table.places()).map(Some));
    let of = |(output, name): (usize, &String), place: Option<usize>| {
        let score = |id: usize| match place {
            Some(place) => f64::from(table.get(id as u32, place)[output]),
            None => table.contribution(id as u32)[output],
        };
        let scores: Vec<f64> = (0..table.vocab_size()).map(score).collect();
        let (raise, lower) = words.extremes(&scores, count);
        PlaceWords { output: name.clone(), place: place.map(|place| table.offset(place)), raise, lower }
    };
    run.outputs().iter().enumerate().flat_map(|output| places().map(move |place| of(output, place))).collect()
}

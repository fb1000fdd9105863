//! The words with the largest entries in the folded table of a linear model.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, WordTable};
use serde::Serialize;

use crate::words::vocabulary::{Vocabulary, WordScore};

/// The strongest words of one place of a phrase, for one logit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaceWords {
    /// The name of the logit.
    pub output: String,
    /// The place relative to the centre of the phrase; `None` for the sum over the places, which is what a
    /// word adds away from the edges of a text.
    pub place: Option<isize>,
    /// The words that raise the logit most, strongest first.
    pub raise: Vec<WordScore>,
    /// The words that lower the logit most, strongest first.
    pub lower: Vec<WordScore>,
}

/// The `count` strongest words over all places and at each place, for each logit. The scores are those
/// before the division by the number of positions.
pub fn strongest_words<S: EncoderSettings>(
    run: &Run<S>,
    table: &WordTable,
    words: &Vocabulary,
    count: usize,
) -> Vec<PlaceWords> {
    let places = || std::iter::once(None).chain((0..table.places()).map(Some));
    let strongest = |(output, name): (usize, &String), place: Option<usize>| {
        let score = |id: usize| match place {
            Some(place) => f64::from(table.get(id as u32, place)[output]),
            None => table.contribution(id as u32)[output],
        };
        let scores: Vec<f64> = (0..table.vocab_size()).map(score).collect();
        let (raise, lower) = words.extremes(&scores, count);
        PlaceWords { output: name.clone(), place: place.map(|place| table.offset(place)), raise, lower }
    };
    run.outputs().iter().enumerate().flat_map(|output| places().map(move |place| strongest(output, place))).collect()
}

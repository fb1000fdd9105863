//! The words and phrases with the largest scores in a lexicon.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, to_host};
use serde::Serialize;

use crate::words::vocabulary::{Vocabulary, WordScore, extremes};

/// The strongest entries of a lexicon for one logit. The scores are those before the factors of negation, contrast
/// and length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LexiconWords {
    /// The name of the logit.
    pub output: String,
    /// The words that raise the logit most, strongest first.
    pub raise: Vec<WordScore>,
    /// The words that lower it most, strongest first.
    pub lower: Vec<WordScore>,
    /// The phrases of two and three words that raise it most, strongest first.
    pub pairs_raise: Vec<WordScore>,
    /// The phrases that lower it most, strongest first.
    pub pairs_lower: Vec<WordScore>,
}

/// The `count` strongest words and phrases for each logit; `None` for a model without a lexicon.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn lexicon_words<S: EncoderSettings>(
    run: &Run<S>,
    words: &Vocabulary,
    count: usize,
) -> Result<Option<Vec<LexiconWords>>, RunError> {
    let Some(lexicon) = &run.model.lexicon else { return Ok(None) };
    let (scores, phrases) = (to_host(lexicon.weight.val())?, lexicon.words_of_phrases());
    let (outputs, vocab_size) = (run.config.model.outputs, run.config.model.vocab_size);
    let is_word = |id: u32| (id as usize) < vocab_size && !run.tokenizer.is_special(id);
    let of_words: Vec<usize> =
        (0..phrases.len()).filter(|&at| phrases[at].iter().copied().all(is_word)).map(|at| vocab_size + at).collect();
    let strongest = |(output, name): (usize, &String)| {
        let score = |row: usize| f64::from(scores[row * outputs + output]);
        let (raise, lower) = words.extremes(&(0..vocab_size).map(score).collect::<Vec<_>>(), count);
        let (highest, lowest) = extremes(&of_words, score, count);
        let named = |row: usize| {
            let of_phrase = phrases[row - vocab_size].iter().map(|&id| words.word(id as usize));
            WordScore { word: of_phrase.collect::<Vec<_>>().join(" "), score: score(row) }
        };
        LexiconWords {
            output: name.clone(),
            raise,
            lower,
            pairs_raise: highest.into_iter().map(named).collect(),
            pairs_lower: lowest.into_iter().map(named).collect(),
        }
    };
    Ok(Some(run.outputs().iter().enumerate().map(strongest).collect()))
}

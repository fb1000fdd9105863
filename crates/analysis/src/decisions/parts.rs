//! The parts of one phrase: what each of its words adds, and which filters respond to it.

use convlens_run::model::{EncoderSettings, VisibleTokens};
use convlens_run::{Part, Prediction, Run, RunError, WordTable};

use crate::FilterVectors;
use crate::decisions::gradient::gradient_times_input;

/// Phrases of longer texts, in tokens, have no parts if that takes a gradient for each phrase.
const MOST_TOKENS: usize = 4_000;

/// The parts of a phrase's score.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// What each token adds to the explained logit; empty if it was not computed, which is the case for
    /// padding and, if the model does not fold, for texts of more than 4,000 tokens.
    pub of_tokens: Vec<Part>,
    /// Whether the parts sum to the score, as they do if the model folds into a table. For any other model
    /// a part is gradient × input (Shrikumar et al. 2017). With ReLU and max-pooling the sum differs from
    /// the score by what the biases add.
    pub is_exact: bool,
}

/// What each word of a phrase adds to one logit.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn phrase_parts<S: EncoderSettings>(
    run: &Run<S>,
    table: Option<&WordTable>,
    prediction: &Prediction,
    phrase: usize,
    output: usize,
) -> Result<Parts, RunError> {
    if let Some(table) = table {
        let mut of_tokens = table.parts(prediction, phrase);
        of_tokens.iter_mut().for_each(|part| part.score = vec![part.score[output]]);
        return Ok(Parts { of_tokens, is_exact: true });
    }
    let seen = &prediction.phrases[phrase];
    let Some(center) = seen.center.filter(|_| prediction.tokens.len() <= MOST_TOKENS) else {
        return Ok(Parts { of_tokens: Vec::new(), is_exact: false });
    };
    let ids: Vec<u32> = prediction.tokens.iter().map(|token| token.id).collect();
    let padding = run.config.model.padding.visible(ids.len()).padding;
    let position = (padding + center) / run.model.stride();
    let (values, _) = gradient_times_input(run, &[&ids], |recorded| {
        recorded.scores().slice([0..1, position..position + 1, output..output + 1]).sum()
    })?;
    let part = |token: usize| Part {
        token: Some(token),
        place: token as isize - center as isize,
        score: vec![f64::from(values[padding + token])],
    };
    Ok(Parts { of_tokens: seen.tokens.clone().map(part).collect(), is_exact: false })
}

/// How a filter of the first layer responds to a phrase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterShare {
    /// The filter.
    pub filter: usize,
    /// The sum over its positions of the dot product with the word there, without its bias.
    pub activation: f64,
    /// What it adds to the logit, for a linear model, where the shares of all filters sum to the score;
    /// otherwise `None`.
    pub share: Option<f64>,
}

/// The `count` filters that respond most to a phrase, by their share or, if that is unknown, by their
/// activation; strongest first.
pub fn filters_behind<S: EncoderSettings>(
    run: &Run<S>,
    vectors: &FilterVectors,
    prediction: &Prediction,
    phrase: usize,
    output: usize,
    count: usize,
) -> Vec<FilterShare> {
    let Some(center) = prediction.phrases[phrase].center else { return Vec::new() };
    let VisibleTokens { padding: before, positions, .. } = run.config.model.padding.visible(prediction.tokens.len());
    let id = |offset: isize| match center.checked_add_signed(offset) {
        Some(token) => prediction.tokens.get(token).map(|token| token.id),
        None => (center + before).checked_add_signed(offset).map(|_| run.pad_id()),
    };
    let of_filter = |filter: usize| {
        let places = (0..vectors.kernel_size)
            .filter_map(|place| Some(vectors.answer(filter, place, id(vectors.offset(place))? as usize)));
        let activation: f64 = places.sum();
        let weight = vectors.head(filter).get(output).copied().filter(|_| vectors.is_linear);
        FilterShare { filter, activation, share: weight.map(|weight| weight * activation / positions as f64) }
    };
    let mut filters: Vec<FilterShare> = (0..vectors.filters).map(of_filter).collect();
    let strength = |filter: &FilterShare| filter.share.unwrap_or(filter.activation).abs();
    filters.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
    filters.truncate(count);
    filters
}

//! One phrase taken apart: what each of its words adds, and which filters stand behind it.

use burn::module::Module;
use burn::tensor::Tensor;
use convlens_run::model::Seen;
use convlens_run::{Part, Prediction, Run, RunError, WordTable, to_host};

use crate::FilterVectors;

/// Texts of more tokens than this are not taken apart where every phrase asks for a gradient.
const MOST_TOKENS: usize = 4_000;

/// What a phrase's score is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// What each token adds to each logit explained.
    pub of_tokens: Vec<Part>,
    /// Whether they, and nothing else, make up the score: so of models that fold. Of any other, a
    /// part is gradient × input (Shrikumar et al. 2017), which of ReLU and max-pooling leaves over
    /// what the biases give, given the active set.
    pub is_exact: bool,
}

/// What each word of a phrase adds to one logit.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn phrase_parts(
    run: &Run,
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
    let batch = run.batch(&[&ids]);
    let padding = run.config.model.padding.seen(ids.len()).padding;
    // As it predicts, without dropout, but with gradients.
    let model = run.model.clone().freeze().train();
    let embedded = run.model.embed.forward(batch.ids); // [1, length, embedding]
    let x = Tensor::from_inner(embedded.clone()).require_grad();
    let scores = model.scores_embedded(x.clone(), Tensor::from_inner(batch.mask)); // [1, positions, outputs]
    let position = (padding + center) / run.model.stride();
    let gradients = scores.slice([0..1, position..position + 1, output..output + 1]).sum().backward();
    let gradient = x.grad(&gradients).unwrap_or_else(|| embedded.zeros_like());
    let values = to_host((gradient * embedded).sum_dim(2))?;
    let part = |token: usize| Part {
        token: Some(token),
        place: token as isize - center as isize,
        score: vec![f64::from(values[padding + token])],
    };
    Ok(Parts { of_tokens: seen.tokens.clone().map(part).collect(), is_exact: false })
}

/// A filter of the first layer over a phrase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterShare {
    /// The filter.
    pub filter: usize,
    /// The dot product of its places with the words', without its bias.
    pub activation: f64,
    /// What it adds to the logit: of linear models, whose phrases these make up; else none.
    pub share: Option<f64>,
}

/// The `count` filters that answer most to a phrase, by what they add or, where that is not known,
/// by their activation; strongest first.
pub fn filters_behind(
    run: &Run,
    vectors: &FilterVectors,
    prediction: &Prediction,
    phrase: usize,
    output: usize,
    count: usize,
) -> Vec<FilterShare> {
    let Some(center) = prediction.phrases[phrase].center else { return Vec::new() };
    let Seen { padding: before, positions, .. } = run.config.model.padding.seen(prediction.tokens.len());
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

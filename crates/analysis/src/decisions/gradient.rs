//! Gradient × input (Shrikumar et al. 2017).

use burn::module::Module;
use burn::tensor::Tensor;
use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, to_host};

/// For each token, the dot product of its embedding and the gradient of a target with respect to that
/// embedding, and what the token adds through a lexicon: its own score, and half of that of each of its pairs. The
/// target is computed from the scores of the positions, `[batch, positions, outputs]`,
/// without dropout.
///
/// Returns the values, `[batch, length]`, and `length`.
///
/// # Errors
///
/// [`RunError::Device`].
pub(crate) fn gradient_times_input<S: EncoderSettings>(
    run: &Run<S>,
    ids: &[&[u32]],
    target: impl FnOnce(Tensor<3>) -> Tensor<1>,
) -> Result<(Vec<f32>, usize), RunError> {
    let model = run.model.clone().freeze().train();
    let batch = run.batch(ids);
    let embedded = run.model.embedded(&batch); // [batch, length, embedding]
    let length = embedded.dims()[1];
    let x = Tensor::from_inner(embedded.clone()).require_grad();
    // The scores and the bias sum to the logits, and unlike the logits they never pass the dropout layer.
    let scores = model.scores_embedded(x.clone(), Tensor::from_inner(batch.mask.clone()));
    let presence = Tensor::from_inner(batch.mask.ones_like()).require_grad();
    let scores = match &run.model.lexicon {
        Some(lexicon) => scores + lexicon.scores_by_presence(&batch, presence.clone()),
        None => scores,
    };
    let gradients = target(scores).backward();
    let gradient = x.grad(&gradients).unwrap_or_else(|| embedded.zeros_like());
    let through_embeddings = (gradient * embedded).sum_dim(2).squeeze_dim::<2>(2);
    let products = match presence.grad(&gradients) {
        Some(through_lexicon) => through_embeddings + through_lexicon,
        None => through_embeddings,
    };
    Ok((to_host(products)?, length))
}

//! Gradient × input (Shrikumar et al. 2017).

use burn::module::Module;
use burn::tensor::Tensor;
use convlens_run::model::{Batch, EncoderSettings, TextModel};
use convlens_run::{Run, RunError, to_host};

/// A batch whose logits are computed with recorded gradients, without dropout.
pub(crate) struct Recorded<'a, S: EncoderSettings> {
    run: &'a Run<S>,
    batch: Batch,
    /// `[batch, length, embedding]`
    embedded: Tensor<3>,
    /// Ones, `[batch, length]`, that a lexicon's scores are multiplied by, so that they have a gradient too.
    presence: Tensor<2>,
}

impl<S: EncoderSettings> Recorded<'_, S> {
    /// The scores of the positions, `[batch, positions, outputs]`.
    pub fn scores(&self) -> Tensor<3> {
        let scores = self.model().scores_embedded(self.embedded.clone(), self.mask());
        match self.scores_of_lexicon() {
            Some(of_lexicon) => scores + of_lexicon,
            None => scores,
        }
    }

    /// The sums of the scores over the positions, `[batch, outputs]`, in less time than all scores take.
    pub fn sums(&self) -> Tensor<2> {
        let sums = self.model().sums_embedded(self.embedded.clone(), self.mask());
        match self.scores_of_lexicon() {
            Some(of_lexicon) => sums + of_lexicon.sum_dim(1).squeeze_dim::<2>(1),
            None => sums,
        }
    }

    fn scores_of_lexicon(&self) -> Option<Tensor<3>> {
        let lexicon = self.run.model.lexicon.as_ref()?;
        Some(lexicon.scores_by_presence(&self.batch, self.presence.clone()))
    }

    fn model(&self) -> TextModel<S::Encoder> {
        self.run.model.clone().freeze().train()
    }

    fn mask(&self) -> Tensor<2> {
        Tensor::from_inner(self.batch.mask.clone())
    }
}

/// For each token, the dot product of its embedding and the gradient of a target with respect to that
/// embedding, and what the token adds through a lexicon: its own score, and its share of that of each of its phrases. The
/// target is computed from the scores of the positions or their sums, which, unlike the logits, never pass the dropout
/// layer; with the bias they are the logits.
///
/// Returns the values, `[batch, length]`, and `length`.
///
/// # Errors
///
/// [`RunError::Device`].
pub(crate) fn gradient_times_input<S: EncoderSettings>(
    run: &Run<S>,
    ids: &[&[u32]],
    target: impl FnOnce(&Recorded<'_, S>) -> Tensor<1>,
) -> Result<(Vec<f32>, usize), RunError> {
    let batch = run.batch(ids);
    let embedded = run.model.embedded(&batch);
    let length = embedded.dims()[1];
    let recorded = Recorded {
        run,
        embedded: Tensor::from_inner(embedded.clone()).require_grad(),
        presence: Tensor::from_inner(batch.mask.ones_like()).require_grad(),
        batch,
    };
    let gradients = target(&recorded).backward();
    let gradient = recorded.embedded.grad(&gradients).unwrap_or_else(|| embedded.zeros_like());
    let through_embeddings = (gradient * embedded).sum_dim(2).squeeze_dim::<2>(2);
    let products = match recorded.presence.grad(&gradients) {
        Some(through_lexicon) => through_embeddings + through_lexicon,
        None => through_embeddings,
    };
    Ok((to_host(products)?, length))
}

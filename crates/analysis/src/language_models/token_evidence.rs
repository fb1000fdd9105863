//! Why a language model writes a token: what each token before it adds to its logit.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError};

use crate::Evidence;
use crate::evidence::{Fields, Path};

/// Why the tokens with some indices follow those before them in a text, given as ids, that was written for a label if the
/// run has labels. The logit of a token is relative to
/// the mean of all tokens' logits; the shares are gradient × input.
///
/// [`Evidence::first`] is the index of the first token that is seen. `on_done` is called with the number of tokens done so
/// far.
///
/// # Errors
///
/// [`RunError::Device`].
///
/// # Panics
///
/// If the run is no language model, or there is no token before the first of them.
pub fn token_evidence<S: EncoderSettings>(
    run: &Run<S>,
    ids: &[u32],
    label: Option<usize>,
    tokens: Range<usize>,
    on_done: &dyn Fn(usize),
) -> Result<Vec<Evidence>, RunError> {
    assert!(tokens.start > 0, "the first token follows nothing");
    assert!(run.config.window().is_some(), "no language model");
    let labels: Vec<usize> = ids.iter().skip(1).map(|&id| id as usize).collect();
    let read: Vec<i32> = ids[..labels.len()].iter().map(|&id| id as i32).collect();
    let read = Tensor::<1, Int>::from_data(TensorData::new(read, [labels.len()]), &run.device);
    let embedded = run.model.embed.weight.val().select(0, read);
    let embedded = match (&run.model.condition, label) {
        (Some(condition), Some(label)) => embedded + condition.weight.val().narrow(0, label, 1),
        _ => embedded,
    };
    let fields = Fields { labels: &labels, field: run.model.receptive_field(), path: Path::AtWords, is_centred: true };
    fields.explain_all(&run.model, &embedded, tokens.start - 1..tokens.end - 1, on_done)
}

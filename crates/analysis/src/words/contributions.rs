//! What each word contributes to each logit on its own.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, WordTable};

/// The contribution of each id to each logit, `[vocab_size][outputs]`. For a model that folds into a
/// table, it is what the word adds away from the edges of a text, before the division by the number of
/// positions. For any other model, it is the logit of the word alone minus the bias.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn contributions<S: EncoderSettings>(run: &Run<S>, table: Option<&WordTable>) -> Result<Vec<Vec<f64>>, RunError> {
    let ids = 0..run.tokenizer.vocab_size() as u32;
    if let Some(table) = table {
        return Ok(ids.map(|id| table.contribution(id)).collect());
    }
    let bias = run.bias()?;
    let words: Vec<[u32; 1]> = ids.map(|id| [id]).collect();
    let words: Vec<&[u32]> = words.iter().map(<[u32; 1]>::as_slice).collect();
    let minus_bias =
        |logits: Vec<f32>| logits.iter().zip(&bias).map(|(&logit, bias)| f64::from(logit) - bias).collect();
    Ok(run.logits(&words)?.into_iter().map(minus_bias).collect())
}

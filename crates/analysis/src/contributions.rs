//! What each word says for itself, for each logit.

use convlens_run::{Run, RunError, WordTable};

/// What each id adds to each logit: of a model that folds, what it adds in the midst of a text
/// (but for the mean's divisor); of any other, the logit of the word alone, less the bias.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn contributions(run: &Run, table: Option<&WordTable>) -> Result<Vec<Vec<f64>>, RunError> {
    let ids = 0..run.tokenizer.vocab_size() as u32;
    if let Some(table) = table {
        return Ok(ids.map(|id| table.contribution(id)).collect());
    }
    let bias = run.bias()?;
    let words: Vec<[u32; 1]> = ids.map(|id| [id]).collect();
    let words: Vec<&[u32]> = words.iter().map(<[u32; 1]>::as_slice).collect();
    let less_bias = |logits: Vec<f32>| logits.iter().zip(&bias).map(|(&logit, bias)| f64::from(logit) - bias).collect();
    Ok(run.logits(&words)?.into_iter().map(less_bias).collect())
}

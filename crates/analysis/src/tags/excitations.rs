//! The phrases that excite each filter of the first layer of a tagger most and least.

use convlens_run::model::{Encode, EncoderSettings, FilterWeights, Filters, Padding};
use convlens_run::{RunError, Tagger, batches_by_length, forms_of};
use rayon::prelude::*;

use crate::filters::excitations::{Best, responses};
use crate::{Excitation, Excitations, OnStage};

/// The `count` phrases of some sentences that excite each filter most and least. The filters read the spelling of words
/// as well as their embeddings. Only whole phrases count. There are none if the first layer is not a convolution of
/// vectors.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn tag_excitations<S: EncoderSettings>(
    tagger: &Tagger<S>,
    sentences: &[Vec<String>],
    count: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<Excitations>, RunError> {
    let run = tagger.run();
    let Some(Filters { weights: FilterWeights::Vectors(vectors), left, .. }) = run.model.encoder.filters() else {
        return Ok(Vec::new());
    };
    let [filters, _, kernel_size] = vectors.dims();
    let (_, texts) = forms_of(&run.tokenizer, sentences);
    let rows: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let mut best = vec![(Best::new(count), Best::new(count)); filters];
    let mut done = 0;
    for batch in batches_by_length(&rows, Padding::Masked) {
        let words: Vec<Vec<&str>> =
            batch.iter().map(|&index| sentences[index].iter().map(String::as_str).collect()).collect();
        let (outputs, shape) = responses(&run.model, &tagger.batch(&words), vectors.clone(), left)?;
        best.par_iter_mut().enumerate().for_each(|(filter, (most, least))| {
            for (row, &index) in batch.iter().enumerate() {
                for (start, phrase) in sentences[index].windows(kernel_size).enumerate() {
                    let output = outputs[(row * shape[1] + filter) * shape[2] + start + left];
                    most.offer(output, index, phrase);
                    least.offer(-output, index, phrase);
                }
            }
        });
        done += batch.len();
        on_stage("phrases of each filter", done, sentences.len());
    }
    let to_list = |sign: f64, found: Best<'_, String>| -> Vec<Excitation> {
        let excitation = |(output, text, phrase): (f32, usize, &[String])| Excitation {
            phrase: phrase.join(" "),
            output: sign * f64::from(output),
            text,
        };
        found.entries.into_iter().map(excitation).collect()
    };
    let excitations =
        |(filter, (most, least))| Excitations { filter, most: to_list(1.0, most), least: to_list(-1.0, least) };
    Ok(best.into_iter().enumerate().map(excitations).collect())
}

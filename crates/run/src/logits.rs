//! The logits of many texts: batches of similar length, bounded by their positions.

use burn::tensor::Device;
use convlens_model::{Batch, Encode, Padding, TextModel};

use crate::windows::Windows;
use crate::{RunError, to_host};

/// The maximum number of positions that one batch holds, padding included.
const POSITIONS: usize = 1 << 16;

/// The texts of each batch, by their index, shortest first so that little padding is needed. Each batch
/// holds as many texts as fit into 65,536 positions with its longest text's length; a longer text
/// is a batch of its own.
pub fn batches_by_length(texts: &[&[u32]], padding: Padding) -> Vec<Vec<usize>> {
    batches_up_to(POSITIONS, texts, padding)
}

/// As [`batches_by_length`], with another number of positions.
pub(crate) fn batches_up_to(most: usize, texts: &[&[u32]], padding: Padding) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&index| texts[index].len());
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let fit = rest
            .iter()
            .enumerate()
            .take_while(|&(before, &index)| (before + 1) * positions(texts[index], padding) <= most);
        let (batch, after) = rest.split_at(fit.count().max(1));
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// The logits of every text, one row after the other, `[texts, outputs]`; `on_done` is called with
/// the number of texts done so far. Long texts are read in windows, so memory does not grow with their length.
///
/// # Errors
///
/// [`RunError::Device`], or [`RunError::TooLong`] for a text that the model can only read as a whole and
/// that has more than [`MOST_TOKENS`](crate::MOST_TOKENS) tokens.
pub fn logits<E: Encode>(
    model: &TextModel<E>,
    texts: &[&[u32]],
    padding: Padding,
    pad_id: u32,
    device: &Device,
    on_done: &dyn Fn(usize),
) -> Result<Vec<f32>, RunError> {
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
    let mut done = 0;
    let mut finish = |count: usize| {
        done += count;
        on_done(done);
    };
    let mut short = Vec::with_capacity(texts.len());
    for (index, &text) in texts.iter().enumerate() {
        match Windows::new(model, positions(text, padding))? {
            None => short.push(index),
            Some(windows) => {
                let logits = windows.logits(model, &padded(text, padding, pad_id), device)?;
                rows[index] = logits.into_iter().map(|logit| logit as f32).collect();
                finish(1);
            }
        }
    }
    let short_texts: Vec<&[u32]> = short.iter().map(|&index| texts[index]).collect();
    for batch in batches_by_length(&short_texts, padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| short_texts[index]).collect();
        let logits = to_host(model.forward(&Batch::new(&ids, padding, pad_id, device)))?;
        for (row, &index) in logits.chunks(logits.len() / batch.len()).zip(&batch) {
            rows[short[index]] = row.to_vec();
        }
        finish(batch.len());
    }
    Ok(rows.concat())
}

/// How many positions a text has.
pub(crate) fn positions(text: &[u32], padding: Padding) -> usize {
    match padding {
        Padding::Masked => text.len().max(1),
        Padding::Counted { length } => length,
    }
}

/// The ids at a text's positions: the text, or what is left of it after padding that counts.
pub fn padded(text: &[u32], padding: Padding, pad_id: u32) -> std::borrow::Cow<'_, [u32]> {
    let seen = padding.visible(text.len());
    let kept = &text[seen.first..];
    if seen.padding == 0 { kept.into() } else { [&vec![pad_id; seen.padding], kept].concat().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_one_batch_and_no_batch_is_too_large() {
        let rows: Vec<Vec<u32>> = (0..3_000).map(|index| vec![1; index * 7919 % 1_000]).collect();
        let texts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).chain([[2; 100_000].as_slice()]).collect();
        let batches = batches_by_length(&texts, Padding::Masked);
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..texts.len()));
        let positions =
            |batch: &Vec<usize>| batch.len() * batch.iter().map(|&index| texts[index].len()).max().unwrap_or(0);
        assert!(batches.iter().all(|batch| batch.len() == 1 || positions(batch) <= POSITIONS));
        assert!(batches.len() < 40, "{}", batches.len());
        assert_eq!(batches_by_length(&texts, Padding::Counted { length: POSITIONS }).len(), texts.len());
    }
}

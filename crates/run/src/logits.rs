//! Many texts at once: batches of equal length, as large as they may be.

use burn::tensor::Device;
use convlens_model::{Batch, Padding, TextModel};

use crate::{RunError, to_host};

/// The most positions that one batch holds, padding included.
const POSITIONS: usize = 1 << 16;

/// The texts of each batch, by their index: shortest first, so that a batch wastes little on
/// padding, and as many as fit if all were as long as the longest of them.
pub fn batches_by_length(texts: &[&[u32]], padding: Padding) -> Vec<Vec<usize>> {
    let length = |index: usize| match padding {
        Padding::Masked => texts[index].len().max(1),
        Padding::Counted { length } => length,
    };
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&index| texts[index].len());
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let fit = rest.iter().enumerate().take_while(|&(before, &index)| (before + 1) * length(index) <= POSITIONS);
        let (batch, after) = rest.split_at(fit.count().max(1));
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// The logits of every text, a row after the other; `on_done` is told how many are done.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn logits(
    model: &TextModel,
    texts: &[&[u32]],
    padding: Padding,
    pad_id: u32,
    device: &Device,
    on_done: &dyn Fn(usize),
) -> Result<Vec<f32>, RunError> {
    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
    let mut done = 0;
    for batch in batches_by_length(texts, padding) {
        let ids: Vec<&[u32]> = batch.iter().map(|&index| texts[index]).collect();
        let logits = to_host(model.forward(&Batch::new(&ids, padding, pad_id, device)))?;
        for (row, &index) in logits.chunks(logits.len() / batch.len()).zip(&batch) {
            rows[index] = row.to_vec();
        }
        done += batch.len();
        on_done(done);
    }
    Ok(rows.concat())
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
        let places =
            |batch: &Vec<usize>| batch.len() * batch.iter().map(|&index| texts[index].len()).max().unwrap_or(0);
        assert!(batches.iter().all(|batch| batch.len() == 1 || places(batch) <= POSITIONS));
        assert!(batches.len() < 40, "{}", batches.len());
        assert_eq!(batches_by_length(&texts, Padding::Counted { length: POSITIONS }).len(), texts.len());
    }
}

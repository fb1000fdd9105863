//! Bounds on the memory that a training step takes.

use convlens_learn::epoch_order;
use convlens_run::TrainingConfig;
use convlens_run::model::Padding;

/// The maximum number of positions in a batch, padding included.
///
/// The presets take between 0.1 and 5.4 KiB per position in training (docs/performance.md has a
/// table), so a full batch takes up to 1.4 GiB. No preset reaches the bound on IMDB.
const POSITIONS: usize = 1 << 18;

/// How many ids of a text training reads at most: with counted padding the model itself cuts each
/// text.
pub(crate) fn most_tokens(training: &TrainingConfig, padding: Padding) -> usize {
    match padding {
        Padding::Masked => training.max_tokens,
        Padding::Counted { .. } => usize::MAX,
    }
}

/// The batches of an epoch, as indices of texts with these `lengths`.
///
/// They are those of [`epoch_order`], except that a batch with more than 2¹⁸ positions is split
/// into several. With counted padding every text has the same, chosen length, and no batch is
/// split.
pub(crate) fn batches(lengths: &[usize], training: &TrainingConfig, padding: Padding, epoch: usize) -> Vec<Vec<usize>> {
    let by_length = padding == Padding::Masked;
    let order = epoch_order(lengths, training.batch_size, by_length, training.seed, epoch);
    if by_length { order.into_iter().flat_map(|batch| split(batch, lengths, POSITIONS)).collect() } else { order }
}

/// Splits a batch so that no part has more than `positions` positions, unless it is a single text.
fn split(mut batch: Vec<usize>, lengths: &[usize], positions: usize) -> Vec<Vec<usize>> {
    let mut parts = Vec::new();
    loop {
        let (mut longest, mut count) = (0, 0);
        for &index in &batch {
            longest = lengths[index].max(longest);
            if longest.saturating_mul(count + 1) > positions && count > 0 {
                break;
            }
            count += 1;
        }
        let rest = batch.split_off(count);
        parts.push(batch);
        if rest.is_empty() {
            return parts;
        }
        batch = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_keep_the_order_and_the_bound(lengths in prop::collection::vec(0usize..50, 1..40)) {
            let batch: Vec<usize> = (0..lengths.len()).collect();
            let parts = split(batch.clone(), &lengths, 100);
            prop_assert_eq!(parts.concat(), batch);
            for part in &parts {
                let longest = part.iter().map(|&index| lengths[index]).max().unwrap_or(0);
                prop_assert!(part.len() == 1 || longest * part.len() <= 100);
            }
        }
    }

    #[test]
    fn ordinary_batches_stay_whole_and_a_long_text_gets_its_own() {
        let training = (convlens_learn::preset("dilated").expect("a preset").training)();
        let mut lengths = vec![300; 500];
        let order = epoch_order(&lengths, training.batch_size, true, training.seed, 2);
        assert_eq!(batches(&lengths, &training, Padding::Masked, 2), order);
        lengths[7] = 100_000;
        let bounded = batches(&lengths, &training, Padding::Masked, 2);
        assert!(bounded.contains(&vec![7]), "{bounded:?}");
        assert_eq!(bounded.concat().len(), 500);
        // With counted padding the lengths do not matter.
        let counted = batches(&lengths, &training, Padding::Counted { length: 400 }, 2);
        assert!(
            counted.iter().all(|batch| batch.len() <= training.batch_size)
                && counted.len() == 500usize.div_ceil(training.batch_size)
        );
    }
}

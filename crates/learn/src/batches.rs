//! The batches in which training reads texts, and its other random draws.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use convlens_run::TrainingConfig;
use convlens_run::model::Padding;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// The number of batches whose texts are sorted by length together, so that batches need little padding.
const BUCKET: usize = 50;

/// The maximum number of positions in a batch, padding included.
///
/// The presets take between 0.1 and 5.4 KiB per position in training (docs/performance.md has a
/// table), so a full batch takes up to 1.4 GiB. No preset reaches the bound on IMDB.
const POSITIONS: usize = 1 << 18;

/// The batches of an epoch, as indices of texts with the given `lengths`. They are the same for the same
/// seed and epoch. A `batch_size` of 0 counts as 1.
///
/// The texts are shuffled. With `by_length`, texts of similar length then share a batch, and the batches
/// are shuffled again.
pub fn epoch_order(lengths: &[usize], batch_size: usize, by_length: bool, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let batch_size = batch_size.max(1);
    let mut rng = draws(seed, epoch, 0);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(&mut rng);
    if by_length {
        for bucket in order.chunks_mut(batch_size.saturating_mul(BUCKET)) {
            bucket.sort_by_key(|&index| lengths[index]);
        }
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
    if by_length {
        batches.shuffle(&mut rng);
    }
    batches
}

/// The indices of texts in a random order, to cut splits from. They are the same for the same seed.
pub fn shuffled(texts: usize, seed: u64) -> Vec<usize> {
    epoch_order(&vec![0; texts], texts, false, seed, 0).concat()
}

/// How many tokens the first window of a long text predicts in an epoch, from 1 to `length`. It is another number in
/// every epoch, so that windows begin elsewhere.
pub fn first_window(length: usize, seed: u64, epoch: usize) -> usize {
    let mut rng = draws(seed, epoch, 0);
    rng.random_range(0..length.max(1)) + 1
}

/// How many ids of a text training reads at most: with counted padding the model itself cuts each
/// text.
pub fn most_tokens(training: &TrainingConfig, padding: Padding) -> usize {
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
pub fn batches(lengths: &[usize], training: &TrainingConfig, padding: Padding, epoch: usize) -> Vec<Vec<usize>> {
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

/// Replaces each id by what `dropped` returns for it, with the probability `word_dropout`, which is from 0 to 1.
pub(crate) fn drop_words(ids: &mut [u32], dropped: impl Fn(u32) -> u32, word_dropout: f64, rng: &mut ChaCha8Rng) {
    for id in ids {
        if rng.random_bool(word_dropout) {
            *id = dropped(*id);
        }
    }
}

/// A random generator for each step (from 1; step 0 draws the order of the epoch). A resumed run
/// therefore draws the same numbers as a run that was never interrupted.
pub(crate) fn draws(seed: u64, epoch: usize, step: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(step as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A seed for each step, for what a device draws.
pub(crate) fn step_seed(seed: u64, epoch: usize, step: usize) -> u64 {
    draws(seed, epoch, step).random()
}

/// Seeds the random state of a device, which no other learner seeds or draws from while the guard is held: the CPU
/// backend has one state per process.
pub(crate) fn seeded(device: &Device, seed: u64) -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    let drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn batches_by_length_need_little_padding() {
        let lengths: Vec<usize> = (0..1000).map(|index| index % 97).collect();
        let padded = |by_length| -> usize {
            let batches = epoch_order(&lengths, 10, by_length, 1, 1);
            batches.iter().map(|batch| batch.len() * batch.iter().map(|&i| lengths[i]).max().unwrap_or(0)).sum()
        };
        let words: usize = lengths.iter().sum();
        assert!(padded(true) < words * 11 / 10 && padded(false) > words * 15 / 10);
    }

    proptest! {
        #[test]
        fn an_epoch_reads_every_text_once(
            lengths in prop::collection::vec(0usize..9, 1..60), batch_size in 0usize..20, by_length: bool, seed: u64,
        ) {
            let batches = epoch_order(&lengths, batch_size, by_length, seed, 3);
            let mut all: Vec<usize> = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert_eq!(batches, epoch_order(&lengths, batch_size, by_length, seed, 3));
        }
    }

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
        let training = (crate::preset("dilated").expect("a preset").training)();
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

//! Memory that a thread uses again and again.

use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with slices of the given lengths, whose contents are unspecified.
pub(super) fn with_scratch<const N: usize, R>(lengths: [usize; N], work: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    let mut memory = SCRATCH.take();
    let total = lengths.iter().sum();
    if memory.len() < total {
        memory.resize(total, 0.0);
    }
    let mut rest = memory.as_mut_slice();
    let slices = lengths.map(|length| {
        let (slice, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        slice
    });
    let result = work(slices);
    SCRATCH.replace(memory);
    result
}

//! The positions of each word in a batch.

use rayon::prelude::*;

/// The positions of each word, found by a counting sort.
pub(super) struct Occurrences {
    /// Positions in the batch, sorted by word.
    positions: Vec<u32>,
    /// For each word, where its positions end. They begin where those of the previous word end.
    ends: Vec<u32>,
}

impl Occurrences {
    /// Finds the positions of the words below `words`, leaving out those where the mask is zero.
    pub(super) fn new(ids: &[i32], mask: &[f32], words: usize) -> Self {
        let counted = || ids.iter().zip(mask).enumerate().filter(|(_, (_, mask))| **mask != 0.0);
        let mut ends = vec![0u32; words + 1];
        counted().for_each(|(_, (&id, _))| ends[id as usize + 1] += 1);
        for word in 1..=words {
            ends[word] += ends[word - 1];
        }
        let mut positions = vec![0; ends[words] as usize];
        // Each entry of `ends` first is the start of its word, and moves up to the end.
        for (position, (&id, _)) in counted() {
            positions[ends[id as usize] as usize] = position as u32;
            ends[id as usize] += 1;
        }
        ends.pop();
        Self { positions, ends }
    }

    /// The positions of a word in ascending order.
    pub(super) fn positions(&self, word: usize) -> &[u32] {
        let start = if word == 0 { 0 } else { self.ends[word - 1] };
        &self.positions[start as usize..self.ends[word] as usize]
    }

    /// Adds to `sums` what `add` does for the positions of a word. Those of a very frequent word are
    /// divided among threads, and the parts are added in the order of the text.
    pub(super) fn sum(&self, word: usize, sums: &mut [f32], add: impl Fn(&[u32], &mut [f32]) + Sync) {
        /// How many positions one thread takes at a time.
        const POSITIONS: usize = 2_048;
        let positions = self.positions(word);
        if positions.len() <= POSITIONS {
            return add(positions, sums);
        }
        let part = |positions: &[u32]| {
            let mut part = vec![0.0; sums.len()];
            add(positions, &mut part);
            part
        };
        let parts: Vec<Vec<f32>> = positions.par_chunks(POSITIONS).map(part).collect();
        parts.iter().for_each(|part| super::add(sums, part));
    }
}

//! Where each word of a batch stands.

/// Where each word stands, by a counting sort.
pub(super) struct Occurrences {
    indices: Vec<u32>,
    /// Where a word's indices end; they begin where the word's before end.
    ends: Vec<u32>,
}

impl Occurrences {
    pub(super) fn new(ids: &[i32], mask: &[f32], words: usize) -> Self {
        let counted = || ids.iter().zip(mask).enumerate().filter(|(_, (_, mask))| **mask != 0.0);
        let mut ends = vec![0u32; words + 1];
        counted().for_each(|(_, (&id, _))| ends[id as usize + 1] += 1);
        for word in 1..=words {
            ends[word] += ends[word - 1];
        }
        let mut indices = vec![0; ends[words] as usize];
        // Each entry begins as its word's start and is moved on to its end.
        for (index, (&id, _)) in counted() {
            indices[ends[id as usize] as usize] = index as u32;
            ends[id as usize] += 1;
        }
        ends.pop();
        Self { indices, ends }
    }

    pub(super) fn of(&self, word: usize) -> &[u32] {
        let start = if word == 0 { 0 } else { self.ends[word - 1] };
        &self.indices[start as usize..self.ends[word] as usize]
    }
}

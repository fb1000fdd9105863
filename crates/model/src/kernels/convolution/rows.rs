//! The rows that a convolution reads, and what it applies to its sums.

use crate::kernels::Epilogue;

/// The rows of a batch of texts, one per position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// `[batch, length, channels]`
    pub values: &'a [f32],
    /// How many positions of each text count; the others read as zeros.
    pub counted: &'a [usize],
    pub length: usize,
    pub channels: usize,
    /// A row of zeros.
    pub zeros: &'a [f32],
}

impl<'a> Rows<'a> {
    /// How many positions of a text count.
    #[inline(always)]
    pub fn counted(&self, text: usize) -> usize {
        self.counted[text]
    }

    /// A position's row; zeros before the start of a text and after its last position that counts.
    #[inline(always)]
    pub fn row(&self, text: usize, position: isize) -> &'a [f32] {
        if position < 0 || position as usize >= self.counted(text) {
            return self.zeros;
        }
        &self.values[(text * self.length + position as usize) * self.channels..][..self.channels]
    }
}

/// What is applied to the sums: a bias, `[channels]`, then the epilogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish<'a> {
    pub bias: &'a [f32],
    pub epilogue: Epilogue,
}

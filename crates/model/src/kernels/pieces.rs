//! How the rows of a batch are divided into pieces that fit the cache.
//!
//! The division depends on the sizes alone, so that sums over pieces are the same bits with any number of
//! threads.

use rayon::prelude::*;

use super::add;

/// The approximate number of rows of a piece: what a convolution keeps of them fits the second-level cache.
/// The tests cut small batches too.
const ROWS: usize = if cfg!(test) { 16 } else { 512 };
/// The largest number of groups in which pieces are summed, and of threads that take part in a sum.
const GROUPS: usize = 8;
/// How many values the sums of all groups may have together.
const SUMS: usize = 1 << 25;

/// Rows `first..first + rows` of each of some texts that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: usize,
    pub texts: usize,
    pub first: usize,
    pub rows: usize,
}

impl Piece {
    /// Divides `batch` texts of `rows` rows each. A text is cut at multiples of `unit` rows.
    pub fn all(batch: usize, rows: usize, unit: usize) -> Vec<Self> {
        if rows == 0 {
            return Vec::new();
        }
        if rows <= ROWS {
            let texts = ROWS / rows;
            let piece = |text| Self { text, texts: texts.min(batch - text), first: 0, rows };
            return (0..batch).step_by(texts).map(piece).collect();
        }
        let size = ROWS.next_multiple_of(unit);
        let cut = |text| {
            let piece = move |first| Self { text, texts: 1, first, rows: size.min(rows - first) };
            (0..rows).step_by(size).map(piece)
        };
        (0..batch).flat_map(cut).collect()
    }

    /// Calls `work` with every piece and its rows of `output`, `[batch, rows, channels]`, on all threads.
    pub fn for_each(pieces: &[Self], output: &mut [f32], channels: usize, work: impl Fn(Self, &mut [f32]) + Sync) {
        Self::with_rows(pieces, output, channels).into_par_iter().for_each(|(piece, rows)| work(piece, rows));
    }

    /// The sum of what `work` adds for every piece to a slice of `length` values, on all threads; the
    /// order of the sum is always the same.
    pub fn sum(pieces: &[Self], length: usize, work: impl Fn(Self, &mut [f32]) + Sync) -> Vec<f32> {
        Self::sum_each(pieces, &mut [], 0, length, |piece, _, sum| work(piece, sum))
    }

    /// Both: `work` also has the piece's rows of `output`.
    pub fn sum_each(
        pieces: &[Self],
        output: &mut [f32],
        channels: usize,
        length: usize,
        work: impl Fn(Self, &mut [f32], &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let of_group = |group: &mut [(Self, &mut [f32])]| {
            let mut sum = vec![0.0; length];
            group.iter_mut().for_each(|(piece, rows)| work(*piece, rows, &mut sum));
            sum
        };
        let mut pieces = Self::with_rows(pieces, output, channels);
        let size = pieces.len().div_ceil((SUMS / length.max(1)).clamp(1, GROUPS)).max(1);
        let groups: Vec<Vec<f32>> = pieces.par_chunks_mut(size).map(of_group).collect();
        let mut groups = groups.into_iter();
        let mut sum = groups.next().unwrap_or_else(|| vec![0.0; length]);
        groups.for_each(|group| add(&mut sum, &group));
        sum
    }

    /// Every piece with its rows of `output`, `[batch, rows, channels]`.
    fn with_rows<'a>(pieces: &[Self], output: &'a mut [f32], channels: usize) -> Vec<(Self, &'a mut [f32])> {
        let mut rest = output;
        let rows_of = |&piece: &Self| {
            let (rows, after) = std::mem::take(&mut rest).split_at_mut(piece.texts * piece.rows * channels);
            rest = after;
            (piece, rows)
        };
        pieces.iter().map(rows_of).collect()
    }
}

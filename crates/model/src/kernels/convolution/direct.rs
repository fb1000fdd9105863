//! Filters of any width, dilation and stride, as one matrix product per tap. The rows that a tap reads are
//! read where they lie.

use super::Taps;
use super::rows::Rows;
use crate::kernels::panels::{Columns, Panels, Write, add_transposed_product};
use crate::kernels::pieces::Piece;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::vectorized;
use crate::kernels::{Epilogue, add};

/// Convolves a piece; `sums` are its rows of the output. `filters` add the bias themselves.
pub(super) fn convolve(x: &Rows, filters: &Panels, taps: Taps, piece: Piece, epilogue: Epilogue, sums: &mut [f32]) {
    let (channels, length) = (filters.columns(), taps.outputs(x.length));
    for (text, sums) in (piece.text..).zip(sums.chunks_exact_mut(piece.rows * channels)) {
        let counted = taps.outputs(x.counted(text)).saturating_sub(piece.first).min(piece.rows);
        let (sums, others) = sums.split_at_mut(counted * channels);
        others.fill(0.0);
        let row = |row: usize, tap: usize| x.row(text, taps.position(piece.first + row, tap));
        filters.multiply(counted, row, sums, Write::Replace);
        if !epilogue.is_identity() {
            vectorized!(for (number, row) in (text * length + piece.first..).zip(sums.chunks_exact_mut(channels)) {
                epilogue.finish(number, row);
            });
        }
    }
}

/// Adds a piece's part of the filters' gradient, `[kernel_size, output, input]`, to `sums`.
/// `gradient` is zero at positions that do not count.
pub(super) fn add_filter_gradient(x: &Rows, gradient: &Rows, taps: Taps, piece: Piece, sums: &mut [f32]) {
    let (input, output) = (x.channels, gradient.channels);
    for text in piece.text..piece.text + piece.texts {
        let counted = gradient.counted(text).min(piece.first + piece.rows);
        for (tap, sums) in sums.chunks_exact_mut((output * input).max(1)).enumerate() {
            // The outputs for which the tap reads a position that counts.
            let reads = |&output: &usize| (0..x.counted(text) as isize).contains(&taps.position(output, tap));
            let Some(first) = (piece.first..counted).find(reads) else { continue };
            let rows = (first..counted).take_while(reads).count();
            let position = taps.position(first, tap) as usize;
            let gradients = &gradient.values[(text * gradient.length + first) * output..][..rows * output];
            let seen = Columns {
                values: &x.values[(text * x.length + position) * input..],
                rows,
                stride: taps.stride * input,
                first: 0,
                width: input,
            };
            add_transposed_product(Columns::all(gradients, output), seen, sums);
        }
    }
}

/// Writes a text's gradient, `[length, input]`, from the gradient of its outputs, where positions are
/// stepped over.
///
/// `filters` multiply a gradient to what it contributes at every tap, `[kernel_size · input]`.
pub(super) fn write_input_gradient(
    gradient: &Rows,
    filters: &Panels,
    kernel_size: usize,
    taps: Taps,
    text: usize,
    counted: usize,
    of_input: &mut [f32],
) {
    /// How many outputs are taken at a time.
    const OUTPUTS: usize = 256;
    of_input.fill(0.0);
    let width = filters.columns();
    let channels = width / kernel_size;
    let all = 0..gradient.counted(text);
    for first in all.clone().step_by(OUTPUTS) {
        let outputs = first..all.end.min(first + OUTPUTS);
        with_scratch([outputs.len() * width], |[windows]| {
            let row = |row: usize, _: usize| gradient.row(text, (first + row) as isize);
            filters.multiply(outputs.len(), row, windows, Write::Replace);
            for (output, window) in outputs.zip(windows.chunks_exact(width)) {
                for (tap, part) in window.chunks_exact(channels).enumerate() {
                    let position = taps.position(output, tap);
                    if (0..counted as isize).contains(&position) {
                        add(&mut of_input[position as usize * channels..][..channels], part);
                    }
                }
            }
        });
    }
}

//! Filters of three positions with half of the multiplications.
//!
//! Winograd's minimal filtering (Lavin and Gray 2016, section 4.1, in one dimension) computes four
//! outputs from six inputs by six products instead of twelve: F(4, 3), with the points 0, 1, −1, 2, −2
//! and ∞. Each of the six products is a matrix product over all tiles and channels. A dilated
//! convolution takes tiles whose positions lie as far apart as its taps.

use super::Taps;
use super::rows::{Finish, Rows};
use crate::kernels::panels::{Columns, Panels, Write, add_transposed_product};
use crate::kernels::pieces::Piece;
use crate::kernels::rows_mut;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd::vectorized;

/// The width of the filters that this module convolves with.
pub(super) const TAPS: usize = 3;
/// How many outputs a tile has.
const OUTPUTS: usize = 4;
/// How many inputs a tile reads, and how many products it takes.
pub(super) const POINTS: usize = OUTPUTS + TAPS - 1;

/// A text may be cut into pieces at multiples of this many rows.
pub(super) fn unit(taps: Taps) -> usize {
    taps.dilation.saturating_mul(OUTPUTS)
}

/// Whether tiles save anything: those of a wide dilation lie mostly beyond the end of a short text.
pub(super) fn pays(taps: Taps, kernel_size: usize, rows: usize) -> bool {
    if kernel_size != TAPS || taps.stride != 1 {
        return false;
    }
    let tiles = rows / unit(taps) * taps.dilation + (rows % unit(taps)).min(taps.dilation);
    10 * POINTS * tiles <= 9 * TAPS * rows
}

/// The tiles of a piece, each as its text and its first output, without those in which no output
/// counts.
fn tiles(x: &Rows, taps: Taps, piece: Piece) -> Vec<(usize, usize)> {
    let of_text = |text: usize| {
        let end = x.counted(text).min(piece.first + piece.rows);
        let blocks = (piece.first..end).step_by(unit(taps));
        blocks.flat_map(move |block| (block..end.min(block + taps.dilation)).map(move |row| (text, row)))
    };
    (piece.text..piece.text + piece.texts).flat_map(of_text).collect()
}

/// Transforms filters, given tap by tap, to six matrices of the same size.
pub(super) fn transform_filters(taps: [&[f32]; TAPS]) -> [Vec<f32>; POINTS] {
    let size = taps[0].len();
    let mut transformed = [(); POINTS].map(|()| vec![0.0; size]);
    vectorized!({
        let [t0, t1, t2, t3, t4, t5] = transformed.each_mut().map(|plane| &mut plane[..size]);
        let [first, second, third] = taps.map(|tap| &tap[..size]);
        for at in 0..size {
            let [a, b, c] = [first[at], second[at], third[at]];
            let (even, odd) = (a + c, b);
            t0[at] = a / 4.0;
            t1[at] = (even + odd) / -6.0;
            t2[at] = (even - odd) / -6.0;
            let (even, odd) = (a / 24.0 + c / 6.0, b / 12.0);
            t3[at] = even + odd;
            t4[at] = even - odd;
            t5[at] = c;
        }
    });
    transformed
}

/// Convolves a piece. `filters` multiply the six transformed inputs.
pub(super) fn convolve(
    x: &Rows,
    filters: &[Panels; POINTS],
    taps: Taps,
    piece: Piece,
    finish: Finish,
    sums: &mut [f32],
) {
    let tiles = tiles(x, taps, piece);
    let (of_input, of_output) = (tiles.len() * x.channels, tiles.len() * finish.bias.len());
    with_scratch([POINTS * of_input, POINTS * of_output], |[inputs, products]| {
        transform_inputs(x, taps, &tiles, inputs);
        for (point, filters) in filters.iter().enumerate() {
            let inputs = &inputs[point * of_input..][..of_input];
            let products = &mut products[point * of_output..][..of_output];
            let row = |tile: usize, _: usize| &inputs[tile * x.channels..][..x.channels];
            filters.multiply(tiles.len(), row, products, Write::Replace);
        }
        write_outputs(x, products, taps, &tiles, piece, finish, sums);
    });
}

/// Adds a piece's part of the filters' gradient, transformed, `[6, output · input]`, to `sums`.
pub(super) fn add_filter_gradient(x: &Rows, gradient: &Rows, taps: Taps, piece: Piece, sums: &mut [f32]) {
    let tiles = tiles(x, taps, piece);
    let (of_input, of_output) = (tiles.len() * x.channels, tiles.len() * gradient.channels);
    with_scratch([POINTS * of_input, POINTS * of_output], |[inputs, gradients]| {
        transform_inputs(x, taps, &tiles, inputs);
        transform_gradients(gradient, taps, &tiles, gradients);
        for (point, sums) in sums.chunks_exact_mut((x.channels * gradient.channels).max(1)).enumerate() {
            let inputs = Columns::all(&inputs[point * of_input..][..of_input], x.channels);
            let gradients = Columns::all(&gradients[point * of_output..][..of_output], gradient.channels);
            add_transposed_product(gradients, inputs, sums);
        }
    });
}

/// The taps' gradients, `[output · input]` each, from those of the six transformed matrices.
pub(super) fn filter_gradient(sums: &[f32]) -> [Vec<f32>; TAPS] {
    let size = sums.len() / POINTS;
    let mut taps = [(); TAPS].map(|()| vec![0.0; size]);
    let [p0, p1, p2, p3, p4, p5] = planes(sums, size);
    let [first, second, third] = taps.each_mut();
    for at in 0..size {
        let (even, odd) = ((p1[at] + p2[at]) / -6.0, (p1[at] - p2[at]) / -6.0);
        let (even_2, odd_2) = ((p3[at] + p4[at]) / 24.0, (p3[at] - p4[at]) / 24.0);
        first[at] = p0[at] / 4.0 + even + even_2;
        second[at] = odd + 2.0 * odd_2;
        third[at] = even + 4.0 * even_2 + p5[at];
    }
    taps
}

fn transform_inputs(x: &Rows, taps: Taps, tiles: &[(usize, usize)], transformed: &mut [f32]) {
    let channels = x.channels;
    vectorized!({
        let mut all = planes_mut(transformed, tiles.len() * channels);
        for (number, &(text, row)) in tiles.iter().enumerate() {
            let [x0, x1, x2, x3, x4, x5] = std::array::from_fn(|at| {
                let row = (row + at * taps.dilation) as isize - taps.field.left as isize;
                &x.row(text, row)[..channels]
            });
            let [t0, t1, t2, t3, t4, t5] = all.each_mut().map(|plane| &mut plane[number * channels..][..channels]);
            for at in 0..channels {
                t0[at] = 4.0 * x0[at] - 5.0 * x2[at] + x4[at];
                let (even, odd) = (x4[at] - 4.0 * x2[at], x3[at] - 4.0 * x1[at]);
                t1[at] = even + odd;
                t2[at] = even - odd;
                let (even, odd) = (x4[at] - x2[at], 2.0 * (x3[at] - x1[at]));
                t3[at] = even + odd;
                t4[at] = even - odd;
                t5[at] = 4.0 * x1[at] - 5.0 * x3[at] + x5[at];
            }
        }
    });
}

fn transform_gradients(gradient: &Rows, taps: Taps, tiles: &[(usize, usize)], transformed: &mut [f32]) {
    let channels = gradient.channels;
    vectorized!({
        let mut all = planes_mut(transformed, tiles.len() * channels);
        for (number, &(text, row)) in tiles.iter().enumerate() {
            let rows: [&[f32]; OUTPUTS] =
                std::array::from_fn(|at| &gradient.row(text, (row + at * taps.dilation) as isize)[..channels]);
            let [g0, g1, g2, g3] = rows;
            let [t0, t1, t2, t3, t4, t5] = all.each_mut().map(|plane| &mut plane[number * channels..][..channels]);
            for at in 0..channels {
                t0[at] = g0[at];
                let (even, odd) = (g0[at] + g2[at], g1[at] + g3[at]);
                t1[at] = even + odd;
                t2[at] = even - odd;
                let (even, odd) = (g0[at] + 4.0 * g2[at], 2.0 * g1[at] + 8.0 * g3[at]);
                t3[at] = even + odd;
                t4[at] = even - odd;
                t5[at] = g3[at];
            }
        }
    });
}

fn write_outputs(
    x: &Rows,
    products: &[f32],
    taps: Taps,
    tiles: &[(usize, usize)],
    piece: Piece,
    finish: Finish,
    sums: &mut [f32],
) {
    let channels = finish.bias.len();
    for (number, sums) in sums.chunks_exact_mut(piece.rows * channels).enumerate() {
        let counted = x.counted(piece.text + number).saturating_sub(piece.first).min(piece.rows);
        sums[counted * channels..].fill(0.0);
    }
    let mut spare = vec![0.0; OUTPUTS * channels];
    vectorized!({
        let products = planes(products, tiles.len() * channels);
        for (number, &(text, row)) in tiles.iter().enumerate() {
            let of_tile = products.map(|plane| &plane[number * channels..][..channels]);
            let counted = x.counted(text).min(piece.first + piece.rows);
            let start = (text - piece.text) * piece.rows + row - piece.first;
            let rows: [_; OUTPUTS] = std::array::from_fn(|at| {
                let row = start + at * taps.dilation;
                row * channels..(row + 1) * channels
            });
            let inside = (counted - row).div_ceil(taps.dilation).min(OUTPUTS);
            match sums.get_disjoint_mut(rows.clone()) {
                Ok(outputs) if inside == OUTPUTS => {
                    outputs_of_tile(of_tile, finish, text * x.length + row, taps.dilation, outputs)
                }
                _ => {
                    let outputs = rows_mut(&mut spare, channels);
                    outputs_of_tile(of_tile, finish, text * x.length + row, taps.dilation, outputs);
                    for (range, values) in rows.into_iter().zip(spare.chunks_exact(channels)).take(inside) {
                        sums[range].copy_from_slice(values);
                    }
                }
            }
        }
    });
}

/// Writes the outputs of a tile, whose rows begin with number `first` and lie `apart` rows apart.
#[inline(always)]
fn outputs_of_tile(
    products: [&[f32]; POINTS],
    finish: Finish,
    first: usize,
    apart: usize,
    mut outputs: [&mut [f32]; OUTPUTS],
) {
    let channels = products[0].len();
    let [p0, p1, p2, p3, p4, p5] = products.map(|plane| &plane[..channels]);
    let [o0, o1, o2, o3] = outputs.each_mut().map(|row| &mut row[..channels]);
    let bias = &finish.bias[..channels];
    for at in 0..channels {
        let (even, odd) = (p1[at] + p2[at], p1[at] - p2[at]);
        let (even_2, odd_2) = (p3[at] + p4[at], p3[at] - p4[at]);
        o0[at] = p0[at] + even + even_2 + bias[at];
        o1[at] = odd + 2.0 * odd_2 + bias[at];
        o2[at] = even + 4.0 * even_2 + bias[at];
        o3[at] = odd + 8.0 * odd_2 + p5[at] + bias[at];
    }
    for (number, row) in (first..).step_by(apart).zip(outputs) {
        finish.epilogue.finish(number, row);
    }
}

#[inline(always)]
fn planes(values: &[f32], size: usize) -> [&[f32]; POINTS] {
    std::array::from_fn(|point| &values[point * size..][..size])
}

#[inline(always)]
fn planes_mut(values: &mut [f32], size: usize) -> [&mut [f32]; POINTS] {
    rows_mut(values, size)
}

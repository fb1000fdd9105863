//! Matrix products on one thread, inside a larger parallel computation.
//!
//! A general matrix product first copies both operands into the order that it reads them in. Here one of
//! them is the weights of a layer, which all pieces of a batch are multiplied by, so they are copied once;
//! the other is read where it lies, row by row.

use std::ops::Range;

use pulp::{Simd, WithSimd};

/// How many columns are next to each other in memory: two vectors of the widest processors.
const WIDTH: usize = 32;
/// How many rows are multiplied by a panel before the next: they and the panel fit the first-level cache.
const TILE: usize = 32;

/// How many rows a transposed product adds before it goes on to the next columns: they fit the second-level
/// cache.
const DEPTH: usize = 64;

/// Whether a product replaces what its destination holds, or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Replace,
    Add,
}

/// Weights that several rows are multiplied by: one matrix `[depth, columns]` for each tap, in panels of 32
/// columns, `[panels, taps, depth, 32]`. The last panel is filled up with zeros.
pub(super) struct Panels {
    values: Vec<f32>,
    /// What is added to each row of a product, filled up like the panels.
    bias: Vec<f32>,
    taps: usize,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// From the matrices of the taps, each stored row by row.
    pub fn new(taps: &[&[f32]], depth: usize, columns: usize) -> Self {
        Self::from_rows(taps.len(), depth, columns, |tap, row, values| {
            values.copy_from_slice(&taps[tap][row * columns..][..columns]);
        })
    }

    /// From the transposes of the matrices of the taps, `[columns, depth]`, each stored row by row.
    pub fn transposed(taps: &[&[f32]], depth: usize, columns: usize) -> Self {
        Self::from_rows(taps.len(), depth, columns, |tap, row, values| {
            let column = taps[tap].iter().skip(row).step_by(depth.max(1));
            values.iter_mut().zip(column).for_each(|(value, of_column)| *value = *of_column);
        })
    }

    fn from_rows(taps: usize, depth: usize, columns: usize, write_row: impl Fn(usize, usize, &mut [f32])) -> Self {
        let padded = columns.next_multiple_of(WIDTH);
        let mut values = vec![0.0; padded * taps * depth];
        let mut row = vec![0.0; padded];
        for number in 0..taps * depth {
            write_row(number / depth, number % depth, &mut row[..columns]);
            for (panel, part) in row.chunks_exact(WIDTH).enumerate() {
                values[(panel * taps * depth + number) * WIDTH..][..WIDTH].copy_from_slice(part);
            }
        }
        Self { values, bias: vec![0.0; padded], taps, depth, columns }
    }

    /// The same, with a bias that is added to each row of a product.
    pub fn with_bias(mut self, bias: &[f32]) -> Self {
        self.bias[..self.columns].copy_from_slice(bias);
        self
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Writes the bias plus the sum of `x(row, tap) · weights[tap]` over the taps, for `rows` rows, to `out`,
    /// `[rows, columns]`. The bits of a row do not depend on the other rows.
    pub fn multiply<'a>(&self, rows: usize, x: impl Fn(usize, usize) -> &'a [f32], out: &mut [f32], write: Write) {
        pulp::Arch::new().dispatch(Multiply { panels: self, rows, x, out, write });
    }
}

struct Multiply<'a, F> {
    panels: &'a Panels,
    rows: usize,
    x: F,
    out: &'a mut [f32],
    write: Write,
}

impl<'x, F: Fn(usize, usize) -> &'x [f32]> WithSimd for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let size = self.panels.taps * self.panels.depth * WIDTH;
        for first in (0..self.rows).step_by(TILE) {
            let end = self.rows.min(first + TILE);
            for column in (0..self.panels.columns).step_by(2 * S::F32_LANES) {
                let values = &self.panels.values[column / WIDTH * size..][..size];
                // As many sums as fit in registers.
                let mut row = first;
                while S::F32_LANES >= 16 && row + 8 <= end {
                    self.block::<S, 8>(simd, values, row, column);
                    row += 8;
                }
                while row + 4 <= end {
                    self.block::<S, 4>(simd, values, row, column);
                    row += 4;
                }
                while row < end {
                    self.block::<S, 1>(simd, values, row, column);
                    row += 1;
                }
            }
        }
    }
}

impl<'x, F: Fn(usize, usize) -> &'x [f32]> Multiply<'_, F> {
    /// Some rows of the product, in two vectors of columns.
    #[inline(always)]
    #[expect(unsafe_code, reason = "one check of bounds per product is as slow as the products")]
    fn block<S: Simd, const ROWS: usize>(&mut self, simd: S, values: &[f32], row: usize, column: usize) {
        let Panels { bias, taps, depth, columns, .. } = self.panels;
        let first = column % WIDTH;
        let mut sums = [vectors::<S>(&bias[column..]); ROWS];
        for tap in 0..*taps {
            let mut x: [&[f32]; ROWS] = [&[]; ROWS];
            for (at, x) in x.iter_mut().enumerate() {
                *x = &(self.x)(row + at, tap)[..*depth];
            }
            let values = values[tap * depth * WIDTH..].chunks_exact(WIDTH).take(*depth);
            for (at, values) in values.enumerate() {
                let values = vectors::<S>(&values[first..]);
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `at` is below `depth`, the length of every row. The compiler checks the bounds
                    // of each row otherwise, which takes as long as the products.
                    let x = simd.splat_f32s(*unsafe { x[row].get_unchecked(at) });
                    *sums = add_product(simd, x, values, *sums);
                }
            }
        }
        for (at, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[(row + at) * columns..][..*columns][column..];
            store(simd, sums, out, self.write);
        }
    }
}

/// The first two vectors of a slice.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> [S::f32s; 2] {
    let (vectors, _) = S::as_simd_f32s(&values[..2 * S::F32_LANES]);
    [vectors[0], vectors[1]]
}

/// `sums + x · values`. (Optimised for size, as for the page, methods of arrays and `zip` are calls, which take several
/// times as long as the products.)
#[inline(always)]
fn add_product<S: Simd>(simd: S, x: S::f32s, values: [S::f32s; 2], sums: [S::f32s; 2]) -> [S::f32s; 2] {
    [simd.mul_add_e_f32s(x, values[0], sums[0]), simd.mul_add_e_f32s(x, values[1], sums[1])]
}

/// Adds the product of the transpose of `a` with `b` to `out`, `[a.width, b.width]`.
pub(super) fn add_transposed_product(a: Columns, b: Columns, out: &mut [f32]) {
    assert_eq!(a.rows, b.rows, "the inner dimensions of a product");
    pulp::Arch::new().dispatch(AddTransposed { a, b, out });
}

/// Some columns of a matrix stored row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    /// From one row to the next, in values.
    pub stride: usize,
    /// The first column.
    pub first: usize,
    /// How many columns.
    pub width: usize,
}

impl<'a> Columns<'a> {
    /// All columns.
    pub fn all(values: &'a [f32], width: usize) -> Self {
        Self { values, rows: values.len() / width.max(1), stride: width, first: 0, width }
    }

    /// The values of a row in these columns.
    #[inline(always)]
    pub fn row(self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride + self.first..][..self.width]
    }
}

struct AddTransposed<'a> {
    a: Columns<'a>,
    b: Columns<'a>,
    out: &'a mut [f32],
}

impl WithSimd for AddTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (vectors, width) = (2 * S::F32_LANES, self.b.width);
        let (all, whole) = (self.a.rows, width / vectors * vectors);
        // What remains of the columns is filled up with zeros.
        let mut rest = vec![0.0; if whole < width { all * vectors } else { 0 }];
        for (row, rest) in rest.chunks_exact_mut(vectors).enumerate() {
            rest[..width - whole].copy_from_slice(&self.b.row(row)[whole..]);
        }
        for first in (0..all).step_by(DEPTH) {
            let rows = first..all.min(first + DEPTH);
            for column in (0..whole).step_by(vectors) {
                self.columns(simd, self.b, rows.clone(), column, column);
            }
            if whole < width {
                self.columns(simd, Columns::all(&rest, vectors), rows, 0, whole);
            }
        }
    }
}

impl AddTransposed<'_> {
    /// Adds some rows to two vectors of columns of the product: those of `b` from `from`.
    #[inline(always)]
    fn columns<S: Simd>(&mut self, simd: S, b: Columns, rows: Range<usize>, from: usize, column: usize) {
        let mut row = 0;
        while S::F32_LANES >= 16 && row + 8 <= self.a.width {
            self.block::<S, 8>(simd, b, rows.clone(), from, row, column);
            row += 8;
        }
        while row + 4 <= self.a.width {
            self.block::<S, 4>(simd, b, rows.clone(), from, row, column);
            row += 4;
        }
        while row < self.a.width {
            self.block::<S, 1>(simd, b, rows.clone(), from, row, column);
            row += 1;
        }
    }

    #[inline(always)]
    fn block<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        b: Columns,
        rows: Range<usize>,
        from: usize,
        row: usize,
        column: usize,
    ) {
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; 2]; ROWS];
        for at in rows {
            let factors = &self.a.row(at)[row..][..ROWS];
            let values = vectors::<S>(&b.row(at)[from..]);
            for (row, sums) in sums.iter_mut().enumerate() {
                *sums = add_product(simd, simd.splat_f32s(factors[row]), values, *sums);
            }
        }
        for (at, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[(row + at) * self.b.width..][..self.b.width][column..];
            store(simd, sums, out, Write::Add);
        }
    }
}

/// Writes two vectors to `out`, or as much of them as it holds.
#[inline(always)]
fn store<S: Simd>(simd: S, sums: [S::f32s; 2], out: &mut [f32], write: Write) {
    let mut whole = [0.0; WIDTH];
    let (vectors, _) = S::as_mut_simd_f32s(match out.get_mut(..2 * S::F32_LANES) {
        Some(out) => out,
        None => &mut whole[..2 * S::F32_LANES],
    });
    for (vector, sum) in vectors.iter_mut().zip(sums) {
        *vector = if write == Write::Add { simd.add_f32s(*vector, sum) } else { sum };
    }
    if out.len() < 2 * S::F32_LANES {
        for (out, sum) in out.iter_mut().zip(whole) {
            *out = if write == Write::Add { *out + sum } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(count: usize, pace: f32) -> Vec<f32> {
        (0..count).map(|at| (at as f32 * pace).sin()).collect()
    }

    proptest! {
        #[test]
        fn products_match_their_definition(
            taps in 1usize..4, depth in 1usize..9, columns in 1usize..70, rows in 0usize..19, adds: bool,
        ) {
            let size = depth * columns;
            let (weights, bias, x) = (wave(taps * size, 0.7), wave(columns, 1.1), wave((rows + taps) * depth, 1.3));
            let mirrored: Vec<f32> = (0..taps * size)
                .map(|at| weights[at / size * size + at % depth * columns + at % size / depth])
                .collect();
            let all = |weights: &[f32]| weights.chunks(size).map(<[f32]>::to_vec).collect::<Vec<_>>();
            for is_transposed in [false, true] {
                let of_taps = all(if is_transposed { &mirrored } else { &weights });
                let of_taps: Vec<&[f32]> = of_taps.iter().map(Vec::as_slice).collect();
                let new = if is_transposed { Panels::transposed } else { Panels::new };
                let panels = new(&of_taps, depth, columns).with_bias(&bias);
                let mut out = vec![1.0; rows * columns];
                let write = if adds { Write::Add } else { Write::Replace };
                panels.multiply(rows, |row, tap| &x[(row + tap) * depth..][..depth], &mut out, write);
                for (at, found) in out.iter().enumerate() {
                    let (row, column) = (at / columns, at % columns);
                    let product = |number: usize| x[row * depth + number] * weights[number * columns + column];
                    let expected = bias[column] + (0..taps * depth).map(product).sum::<f32>() + f32::from(u8::from(adds));
                    prop_assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
                }
            }
        }

        #[test]
        fn transposed_products_match_their_definition(
            rows in 0usize..20, a in 1usize..20, b in 1usize..70, around in 0usize..3,
        ) {
            let (left, right) = (wave(rows * (a + around), 0.7), wave(rows * b, 1.3));
            let mut out = vec![1.0; a * b];
            let columns = Columns { values: &left, rows, stride: a + around, first: around, width: a };
            add_transposed_product(columns, Columns::all(&right, b), &mut out);
            for (at, found) in out.iter().enumerate() {
                let product = |row: usize| left[row * (a + around) + around + at / b] * right[row * b + at % b];
                let expected = 1.0 + (0..rows).map(product).sum::<f32>();
                prop_assert!((found - expected).abs() < 1e-4, "{found} and {expected}");
            }
        }
    }
}

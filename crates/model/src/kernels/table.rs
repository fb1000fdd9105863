//! The table of the first convolution over words.

use burn_flex::FlexTensor;

use super::places_within;
use crate::ReceptiveField;

/// What every word contributes at each place of a phrase, and the bias of every phrase.
pub(super) struct Table<'a> {
    values: &'a [f32],
    /// Where the first row begins.
    first: usize,
    /// From the beginning of a row to that of the next. Rows may be parts of longer ones.
    stride: usize,
    bias: &'a [f32],
    field: ReceptiveField,
}

impl<'a> Table<'a> {
    /// Reads a table, `[words, places · channels]`, that [`readable`] returned, and a bias, `[channels]`.
    pub fn new(table: &'a FlexTensor, bias: &'a FlexTensor, field: ReceptiveField) -> Self {
        let layout = table.layout();
        let (first, stride) = (layout.start_offset(), layout.strides()[0].unsigned_abs());
        Self { values: table.storage(), first, stride, bias: bias.storage(), field }
    }

    /// The number of channels of a phrase.
    pub fn channels(&self) -> usize {
        self.bias.len()
    }

    /// Adds to `sum`, `[channels]`, the bias and what the words of the phrase around `center` contribute that count.
    #[inline(always)]
    pub fn add_phrase(&self, sum: &mut [f32], center: usize, ids: &[i32], mask: &[f32]) {
        let (left, channels) = (self.field.left, self.channels());
        for place in places_within(center, left, self.field.size(), ids.len()) {
            let at = center + place - left;
            if mask[at] != 0.0 {
                let start = self.first + ids[at] as usize * self.stride + place * channels;
                let part = &self.values[start..start + channels];
                if place == left {
                    let parts = sum.iter_mut().zip(part).zip(self.bias);
                    parts.for_each(|((sum, part), bias)| *sum += part + bias);
                } else {
                    super::add(sum, part);
                }
            }
        }
    }
}

/// The same table as the kernels read it: each row in one piece, and rows in order.
pub(super) fn readable(table: FlexTensor) -> FlexTensor {
    match table.layout().strides() {
        [rows, 1] if *rows >= 0 => table,
        _ => table.to_contiguous(),
    }
}

//! What part of a text one prediction sees.

use serde::{Deserialize, Serialize};

/// The positions that decide the prediction at a position *t*: *t − left* to *t + right*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceptiveField {
    /// How many positions before its own.
    pub left: usize,
    /// How many positions after its own.
    pub right: usize,
}

impl ReceptiveField {
    /// The field of one convolution with "same" padding: of an even `kernel_size` the larger
    /// part lies to the right, as in Keras and PyTorch.
    pub fn of_same_convolution(kernel_size: usize, dilation: usize) -> Self {
        let span = dilation * (kernel_size - 1);
        Self { left: span / 2, right: span - span / 2 }
    }

    /// How many positions in all: the width of a phrase, in tokens.
    pub fn size(&self) -> usize {
        self.left + 1 + self.right
    }

    /// The tokens that position `position` of a text of `length` tokens sees.
    pub fn phrase(&self, position: usize, length: usize) -> std::ops::Range<usize> {
        position.saturating_sub(self.left)..(position + self.right + 1).min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields() {
        let field = |kernel_size, dilation| ReceptiveField::of_same_convolution(kernel_size, dilation);
        assert_eq!(field(1, 1), ReceptiveField { left: 0, right: 0 });
        assert_eq!(field(3, 1), ReceptiveField { left: 1, right: 1 });
        assert_eq!(field(4, 1), ReceptiveField { left: 1, right: 2 });
        assert_eq!(field(3, 4).size(), 9);
    }

    #[test]
    fn phrases_end_at_the_edges() {
        let field = ReceptiveField { left: 1, right: 2 };
        assert_eq!(field.phrase(0, 9), 0..3);
        assert_eq!(field.phrase(4, 9), 3..7);
        assert_eq!(field.phrase(8, 9), 7..9);
    }
}

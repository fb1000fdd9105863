//! Which part of a text one prediction sees.

use serde::{Deserialize, Serialize};

/// The positions that the prediction at a position *t* depends on: *t − left* to *t + right*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceptiveField {
    /// The number of positions before *t*.
    pub left: usize,
    /// The number of positions after *t*.
    pub right: usize,
}

impl ReceptiveField {
    /// Only the position itself.
    pub const ONE: Self = Self { left: 0, right: 0 };
    /// The value of `left` or `right` that stands for all positions on that side.
    pub const ALL: usize = usize::MAX;

    /// The field of this layer with another layer on top of it, whose field is `next`. One position of
    /// that layer's input is `jump` positions of the text.
    pub fn then(self, next: Self, jump: usize) -> Self {
        let add = |own: usize, next: usize| own.saturating_add(next.saturating_mul(jump));
        Self { left: add(self.left, next.left), right: add(self.right, next.right) }
    }

    /// The smallest field that contains this one and another.
    pub fn or(self, other: Self) -> Self {
        Self { left: self.left.max(other.left), right: self.right.max(other.right) }
    }

    /// Whether it extends over the whole text on at least one side.
    pub fn is_unbounded(&self) -> bool {
        self.left == Self::ALL || self.right == Self::ALL
    }

    /// The field of one convolution with "same" padding. If the number of positions around the centre is
    /// odd, the larger part is on the right, as in Keras and PyTorch.
    pub fn same_convolution(kernel_size: usize, dilation: usize) -> Self {
        let span = dilation.saturating_mul(kernel_size.saturating_sub(1));
        Self { left: span / 2, right: span - span / 2 }
    }

    /// The number of positions in total: the width of a phrase, in tokens.
    pub fn size(&self) -> usize {
        self.left.saturating_add(1).saturating_add(self.right)
    }

    /// The tokens that `position` sees, in a text of `length` tokens.
    pub fn phrase(&self, position: usize, length: usize) -> std::ops::Range<usize> {
        position.saturating_sub(self.left)..position.saturating_add(self.right).saturating_add(1).min(length)
    }
}

impl std::fmt::Display for ReceptiveField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.left, self.right) {
            (Self::ALL, Self::ALL) => write!(f, "the whole text"),
            (Self::ALL, _) => write!(f, "all of the text before"),
            _ => write!(f, "{} tokens", self.size()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_convolution() {
        let field = |kernel_size, dilation| ReceptiveField::same_convolution(kernel_size, dilation);
        assert_eq!(field(1, 1), ReceptiveField { left: 0, right: 0 });
        assert_eq!(field(3, 1), ReceptiveField { left: 1, right: 1 });
        assert_eq!(field(4, 1), ReceptiveField { left: 1, right: 2 });
        assert_eq!(field(3, 4).size(), 9);
    }

    #[test]
    fn phrases_end_at_the_edges_of_the_text() {
        let field = ReceptiveField { left: 1, right: 2 };
        assert_eq!(field.phrase(0, 9), 0..3);
        assert_eq!(field.phrase(4, 9), 3..7);
        assert_eq!(field.phrase(8, 9), 7..9);
    }
}

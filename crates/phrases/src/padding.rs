//! Which ids of a text a model sees.

use serde::{Deserialize, Serialize};

/// How a model treats padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Padding has no effect: its embedding is zero, and it is not counted in the mean.
    Masked,
    /// Every text is cut or padded at the front to `length` ids. Padding is a word like any other and is
    /// counted in the mean, as in Ben Bolte's model (codekansas/language_conv_visualizations).
    Counted {
        /// The number of ids of every text.
        length: usize,
    },
}

impl Padding {
    /// Which ids of a text of `tokens` ids the model sees, and at which positions.
    pub fn visible(self, tokens: usize) -> VisibleTokens {
        match self {
            Self::Masked => VisibleTokens { first: 0, padding: 0, positions: tokens },
            Self::Counted { length } => {
                let first = tokens.saturating_sub(length);
                VisibleTokens { first, padding: length - (tokens - first), positions: length }
            }
        }
    }
}

/// The part of a text that a model sees; see [`Padding::visible`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisibleTokens {
    /// The index of the first id that is not cut off.
    pub first: usize,
    /// The number of positions of padding before that id.
    pub padding: usize,
    /// The number of positions in total, of padding and of ids.
    pub positions: usize,
}

//! Reducing the number of positions.

use burn::tensor::{Slice, Tensor};
use serde::{Deserialize, Serialize};

use crate::ReceptiveField;
use crate::masking::{lower_padding, lowest};

/// How a layer reduces the number of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Downsampling {
    /// It does not.
    #[default]
    None,
    /// The convolution is computed at every `by`-th position only.
    Stride {
        /// The number of input positions per output position.
        by: usize,
    },
    /// After the convolution, the largest of `by` positions is kept.
    MaxPool {
        /// The number of input positions per output position.
        by: usize,
    },
}

impl Downsampling {
    /// The number of input positions per output position.
    pub fn factor(self) -> usize {
        match self {
            Self::None => 1,
            Self::Stride { by } | Self::MaxPool { by } => by,
        }
    }

    /// What the pooling sees beyond the convolution: positions after its own or, in a causal stack,
    /// before it. The last position of a causal stack may come before the end of the text; no position
    /// sees the tokens after it.
    pub(super) fn field(self, causal: bool) -> ReceptiveField {
        let span = if let Self::MaxPool { by } = self { by.saturating_sub(1) } else { 0 };
        if causal { ReceptiveField { left: span, right: 0 } } else { ReceptiveField { left: 0, right: span } }
    }

    /// Applies max pooling, if that is the method. Padding is never the largest value.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, channels]`
    /// - `mask`: `[batch, length]`
    /// - output: `[batch, length / by, channels]`, rounded up
    pub(super) fn pooled(self, x: Tensor<3>, mask: &Tensor<2>, causal: bool) -> Tensor<3> {
        let Self::MaxPool { by } = self else { return x };
        let length = x.dims()[1];
        // One window over the whole text is enough, however large `by` is.
        let by = by.min(length.max(1));
        let positions = length.div_ceil(by);
        let before = Self::MaxPool { by }.field(causal).left;
        let after = (positions * by).saturating_sub(before + length);
        let lowest = lowest(&x);
        let x = lower_padding(x, mask.clone().unsqueeze_dim(2));
        let x = x.pad([(0, 0), (before, after), (0, 0)], lowest).narrow(1, 0, positions * by);
        let [batch, length, channels] = x.dims();
        x.reshape([batch, length / by, by, channels]).max_dim(2).squeeze_dim::<3>(2)
    }
}

/// Every `by`-th position of a mask, `[batch, length]`.
pub(crate) fn downsampled(mask: Tensor<2>, by: usize) -> Tensor<2> {
    if by == 1 {
        return mask;
    }
    let [batch, length] = mask.dims();
    mask.slice([Slice::from(0..batch), Slice::new(0, Some(length as isize), by as isize)])
}

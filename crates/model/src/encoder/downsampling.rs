//! Reducing the number of positions.

use burn::tensor::{Slice, Tensor};
use serde::{Deserialize, Serialize};

use crate::ReceptiveField;
use crate::masking::{lower_padding, lowest};

/// How a layer reduces the number of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// - `x`: `[batch, channels, length]`
    /// - `mask`: `[batch, 1, length]`
    /// - output: `[batch, channels, length / by]`, rounded up
    pub(super) fn pooled(self, x: Tensor<3>, mask: &Tensor<3>, causal: bool) -> Tensor<3> {
        let Self::MaxPool { by } = self else { return x };
        let length = x.dims()[2];
        // One window over the whole text is enough, however large `by` is.
        let by = by.min(length.max(1));
        let positions = length.div_ceil(by);
        let before = Self::MaxPool { by }.field(causal).left;
        let after = (positions * by).saturating_sub(before + length);
        let lowest = lowest(&x);
        let x = lower_padding(x, mask.clone());
        let x = x.pad([(0, 0), (0, 0), (before, after)], lowest).narrow(2, 0, positions * by);
        let [batch, channels, length] = x.dims();
        x.reshape([batch, channels, length / by, by]).max_dim(3).squeeze_dim::<3>(3)
    }
}

/// Every `by`-th position of a mask, `[batch, 1, length]`.
pub(crate) fn downsampled(mask: Tensor<3>, by: usize) -> Tensor<3> {
    if by == 1 {
        return mask;
    }
    let [batch, _, length] = mask.dims();
    mask.slice([Slice::from(0..batch), Slice::from(0..1), Slice::new(0, Some(length as isize), by as isize)])
}

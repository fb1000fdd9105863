//! Fewer positions than were read.

use burn::tensor::{Slice, Tensor};
use serde::{Deserialize, Serialize};

use crate::ReceptiveField;

/// Whether a layer leaves fewer positions than it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Downsampling {
    /// It leaves as many.
    #[default]
    None,
    /// The convolution is made at every `by`-th position.
    Stride {
        /// How many positions become one.
        by: usize,
    },
    /// After the convolution the largest of `by` positions is kept.
    MaxPool {
        /// How many positions become one.
        by: usize,
    },
}

impl Downsampling {
    /// How many positions become one.
    pub fn factor(self) -> usize {
        match self {
            Self::None => 1,
            Self::Stride { by } | Self::MaxPool { by } => by,
        }
    }

    /// What the pooling sees beyond the convolution: the positions after its own or, where it is
    /// causal, those before. (A causal stack that leaves fewer positions may end before the text does:
    /// what comes after its last one is seen by none.)
    pub(super) fn field(self, causal: bool) -> ReceptiveField {
        let span = if let Self::MaxPool { by } = self { by.saturating_sub(1) } else { 0 };
        if causal { ReceptiveField { left: span, right: 0 } } else { ReceptiveField { left: 0, right: span } }
    }

    /// Pools where that is how it is done; padding is never the largest.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, length]`
    /// - `mask`: `[batch, 1, length]`
    /// - output: `[batch, channels, length / by]`, rounded up
    pub(super) fn pooled(self, x: Tensor<3>, mask: &Tensor<3>, causal: bool) -> Tensor<3> {
        let Self::MaxPool { by } = self else { return x };
        const LOWEST: f32 = -1e30;
        let length = x.dims()[2];
        let hidden = mask.clone().mul_scalar(-1.0).add_scalar(1.0).mul_scalar(LOWEST);
        let positions = length.div_ceil(by);
        let before = self.field(causal).left;
        let after = (positions * by).saturating_sub(before + length);
        let x = (x + hidden).pad([(0, 0), (0, 0), (before, after)], LOWEST).narrow(2, 0, positions * by);
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

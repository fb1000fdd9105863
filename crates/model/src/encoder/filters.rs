//! The filters that read the words themselves, to be looked at.

use burn::tensor::Tensor;

use super::ConvLayer;

/// The filters of an encoder's first layer.
#[derive(Clone, Debug)]
pub struct Filters {
    /// What each weighs at each of its places.
    pub weights: FilterWeights,
    /// How many of its places lie before the position itself.
    pub left: usize,
    /// Whether the head reads their outputs, and no layer lies between.
    pub is_last: bool,
}

/// The weights of filters.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
pub enum FilterWeights {
    /// Vectors in the space of the embeddings, `[filters, embedding, kernel_size]`.
    Vectors(Tensor<3>),
    /// Every word has a weight of its own for each filter and place: the dimension of the
    /// embeddings where it stands, by filter and place; none where a filter is narrower than others.
    Dimensions(Vec<Vec<Option<usize>>>),
}

impl FilterWeights {
    /// How many filters there are, and how many places each has.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Vectors(weights) => [weights.dims()[0], weights.dims()[2]],
            Self::Dimensions(of_filters) => [of_filters.len(), of_filters.first().map_or(1, Vec::len)],
        }
    }
}

impl Filters {
    pub(super) fn of_layer(layer: &ConvLayer, is_last: bool) -> Self {
        Self { weights: FilterWeights::Vectors(layer.filters()), left: layer.field().left, is_last }
    }
}

//! The filters of an encoder that read the words, for inspection.

use burn::tensor::Tensor;

use super::ConvLayer;

/// The filters of an encoder's first layer.
#[derive(Clone, Debug)]
pub struct Filters {
    /// The weights of each filter at each of its places.
    pub weights: FilterWeights,
    /// The number of places before the position itself.
    pub left: usize,
    /// Whether the head reads the outputs of the filters directly, with no layer in between.
    pub is_last: bool,
}

/// The weights of filters.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is only one at a time, for a short time")]
pub enum FilterWeights {
    /// Vectors in the space of the embeddings, `[filters, embedding, kernel_size]`.
    Vectors(Tensor<3>),
    /// Every word has a weight of its own for each filter and place: the index of the embedding
    /// dimension that holds it, by filter and place. None where a filter is narrower than the widest.
    Dimensions(Vec<Vec<Option<usize>>>),
}

impl FilterWeights {
    /// The number of filters, and the number of places of each.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Vectors(weights) => [weights.dims()[0], weights.dims()[2]],
            Self::Dimensions(dimensions) => [dimensions.len(), dimensions.first().map_or(1, Vec::len)],
        }
    }
}

impl Filters {
    pub(super) fn from_layer(layer: &ConvLayer, is_last: bool) -> Self {
        Self { weights: FilterWeights::Vectors(layer.filters()), left: layer.field().left, is_last }
    }
}

//! A convolution straight over one-hot words (Johnson and Zhang 2015, section 2.1: seq-CNN): every
//! word has a weight for each filter and place, which is its embedding.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Encode, EncoderSettings};
use crate::{Pooling, ReceptiveField, Words};

/// Settings of [`OneHot`]. The model's `embedding` must be `filters · kernel_size`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneHotConfig {
    /// How many filters; each one channel of the output.
    pub filters: usize,
    /// How many words a filter is wide.
    pub kernel_size: usize,
}

impl OneHotConfig {
    /// Initializes the biases; the filters are the embeddings.
    pub fn init(&self, device: &Device) -> OneHot {
        OneHot { bias: Initializer::Zeros.init([self.filters], device), kernel_size: self.kernel_size }
    }
}

impl EncoderSettings for OneHotConfig {
    fn hidden(&self) -> usize {
        self.filters
    }

    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField::of_same_convolution(self.kernel_size, 1)
    }

    fn check(&self) -> Result<(), &'static str> {
        match (self.filters, self.kernel_size) {
            (0, _) => Err("filters must be 1 or more"),
            (_, 0) => Err("kernel_size must be 1 or more"),
            _ => Ok(()),
        }
    }
}

/// The sum of what each word of a phrase weighs at its place, and ReLU.
#[derive(Module, Debug)]
pub struct OneHot {
    /// `[filters]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    kernel_size: usize,
}

impl OneHot {
    fn field(&self) -> ReceptiveField {
        ReceptiveField::of_same_convolution(self.kernel_size, 1)
    }
}

impl Encode for OneHot {
    fn forward(&self, x: Tensor<3>, _mask: Tensor<3>) -> Tensor<3> {
        let field = self.field();
        let [batch, width, length] = x.dims();
        let filters = width / self.kernel_size;
        let x = x.pad([(0, 0), (0, 0), (field.left, field.right)], 0.0);
        let of_place =
            |place: usize| x.clone().slice([0..batch, place * filters..(place + 1) * filters, place..place + length]);
        let sum = (1..self.kernel_size).fold(of_place(0), |sum, place| sum + of_place(place));
        relu(sum + self.bias.val().reshape([1, filters, 1]))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        relu(words.sum_places(Some(self.bias.val()), self.field())).swap_dims(1, 2)
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        Some(words.pool_places(Some(self.bias.val()), self.field(), pooling))
    }
}

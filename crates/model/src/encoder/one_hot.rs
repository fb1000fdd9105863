//! A convolution over one-hot words, without embeddings (Johnson and Zhang 2015, section 2.1: seq-CNN).
//! Every word has a weight for each filter and place; these weights are stored as its embedding.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::streaming::{Memory, Stream, StreamState};
use super::{Encode, FilterWeights, Filters, Settings};
use crate::kernels::Epilogue;
use crate::limits::check_widths;
use crate::{Pooling, ReceptiveField, Words};

/// Settings of [`OneHot`]. The model's `embedding` must be [`weights`](Self::weights).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneHotConfig {
    /// The number of filters of each width. Each is one channel of the output.
    pub filters: usize,
    /// The widths of the filters, in words.
    pub kernel_sizes: Vec<usize>,
}

impl OneHotConfig {
    /// Initializes the biases. The filters are the embeddings.
    pub fn init(&self, device: &Device) -> OneHot {
        let bias = Initializer::Zeros.init([self.hidden()], device);
        OneHot { bias, filters: self.filters, kernel_sizes: self.kernel_sizes.clone() }
    }

    /// The number of weights per word.
    pub fn weights(&self) -> usize {
        self.filters.saturating_mul(self.kernel_sizes.iter().fold(0, |sum, width| sum.saturating_add(*width)))
    }
}

impl Settings for OneHotConfig {
    fn hidden(&self) -> usize {
        self.filters.saturating_mul(self.kernel_sizes.len())
    }

    /// As wide as the widest filter.
    fn receptive_field(&self) -> ReceptiveField {
        let fields = self.kernel_sizes.iter().map(|&kernel_size| ReceptiveField::same_convolution(kernel_size, 1));
        fields.fold(ReceptiveField::ONE, ReceptiveField::or)
    }

    fn check(&self) -> Result<(), String> {
        check_widths(self.filters, &self.kernel_sizes)
    }
}

/// The sum of the weights of the words of a phrase at their places, then ReLU.
#[derive(Module, Debug)]
pub struct OneHot {
    /// `[filters · widths]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    filters: usize,
    #[module(skip)]
    kernel_sizes: Vec<usize>,
}

/// The filters of one width.
struct Width {
    field: ReceptiveField,
    /// The dimensions of an embedding that hold their weights.
    weights: Range<usize>,
    bias: Tensor<1>,
}

impl OneHot {
    fn widths(&self) -> impl Iterator<Item = Width> {
        let mut first = 0;
        self.kernel_sizes.iter().enumerate().map(move |(at, &kernel_size)| {
            let weights = first..first + self.filters * kernel_size;
            first = weights.end;
            let bias = self.bias.val().narrow(0, at * self.filters, self.filters);
            Width { field: ReceptiveField::same_convolution(kernel_size, 1), weights, bias }
        })
    }
}

impl Encode for OneHot {
    fn forward(&self, x: Tensor<3>, _mask: Tensor<2>) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let forward_width = |Width { field, weights, bias }: Width| {
            let x =
                x.clone().slice([0..batch, 0..length, weights]).pad([(0, 0), (field.left, field.right), (0, 0)], 0.0);
            let at_place = |place: usize| {
                let channels = place * self.filters..(place + 1) * self.filters;
                x.clone().slice([0..batch, place..place + length, channels])
            };
            let sum = (1..field.size()).fold(at_place(0), |sum, place| sum + at_place(place));
            relu(sum + bias.reshape([1, 1, self.filters]))
        };
        Tensor::cat(self.widths().map(forward_width).collect(), 2)
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        let forward_width = |Width { field, weights, bias }: Width| {
            words.with_dimensions(weights).sum_places(Some(bias), field, Epilogue::RELU)
        };
        Tensor::cat(self.widths().map(forward_width).collect(), 2)
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        let forward_width = |Width { field, weights, bias }: Width| {
            words.with_dimensions(weights).pool_places(Some(bias), field, pooling)
        };
        Some(Tensor::cat(self.widths().map(forward_width).collect(), 1))
    }

    fn reads_as_they_are(&self) -> bool {
        true
    }

    fn filters(&self) -> Option<Filters> {
        let widest = self.widths().fold(ReceptiveField::ONE, |widest, width| widest.or(width.field));
        let dimensions_of_width = |Width { field, weights, .. }: Width| {
            let dimension = move |filter: usize, place: usize| {
                let own = (place + field.left).checked_sub(widest.left).filter(|own| *own < field.size())?;
                Some(weights.start + own * self.filters + filter)
            };
            (0..self.filters).map(move |filter| (0..widest.size()).map(|place| dimension(filter, place)).collect())
        };
        let dimensions = FilterWeights::Dimensions(self.widths().flat_map(dimensions_of_width).collect());
        Some(Filters { weights: dimensions, left: widest.left, is_last: true })
    }
}

impl Stream for OneHot {
    /// Only filters of width 1 see nothing after their position.
    fn begin(&self, _batch: usize, _device: &Device) -> Option<StreamState> {
        (self.kernel_sizes.iter().all(|&kernel_size| kernel_size == 1))
            .then(|| StreamState(Memory::Windows(Vec::new())))
    }

    fn step(&self, _state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        let mask = Tensor::ones([x.dims()[0], 1], &x.device());
        self.forward(x.unsqueeze_dim::<3>(1), mask).squeeze_dim::<2>(1)
    }
}

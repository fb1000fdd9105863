//! One convolution without activation and bias, as in Ben Bolte's model
//! (codekansas/language_conv_visualizations).

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Initializer, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::streaming::{Memory, Stream, StreamState};
use super::{Encode, FilterWeights, Filters, Settings};
use crate::kernels::{Epilogue, Taps, convolve};
use crate::limits::{check_size, check_std, product};
use crate::{Pooling, ReceptiveField, Words};

/// Settings of [`LinearConv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearConvConfig {
    /// The number of filters. Each is one channel of the output.
    pub filters: usize,
    /// The width of a filter, in tokens.
    pub kernel_size: usize,
    /// The standard deviation of the normal distribution that the filters are drawn from.
    pub init_std: f64,
}

impl LinearConvConfig {
    /// Initializes the layer for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> LinearConv {
        let conv = Conv1dConfig::new(embedding, self.filters, self.kernel_size)
            .with_padding(PaddingConfig1d::Same)
            .with_bias(false)
            .with_initializer(Initializer::Normal { mean: 0.0, std: self.init_std });
        LinearConv { conv: conv.init(device) }
    }

    pub(super) fn parameters(&self, embedding: usize) -> u64 {
        product([self.filters, embedding, self.kernel_size])
    }
}

impl Settings for LinearConvConfig {
    fn hidden(&self) -> usize {
        self.filters
    }

    /// As wide as a filter.
    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField::same_convolution(self.kernel_size, 1)
    }

    fn kernel_size(&self) -> usize {
        self.kernel_size
    }

    fn check(&self) -> Result<(), String> {
        check_size("filters", self.filters)?;
        check_size("kernel_size", self.kernel_size)?;
        check_std("init_std", self.init_std)
    }
}

/// One convolution with "same" padding, without activation and bias.
#[derive(Module, Debug)]
pub struct LinearConv {
    /// The filters, `[filters, embedding, kernel_size]`.
    pub conv: Conv1d,
}

impl LinearConv {
    fn field(&self) -> ReceptiveField {
        ReceptiveField::same_convolution(self.conv.weight.dims()[2], 1)
    }
}

impl Encode for LinearConv {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let taps = Taps { field: self.field(), dilation: 1, stride: 1 };
        convolve(x, self.conv.weight.val(), None, mask, taps, Epilogue::NONE)
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        (pooling == Pooling::Mean).then(|| words.convolve_mean(self.conv.weight.val(), self.field()))
    }

    fn filters(&self) -> Option<Filters> {
        let weights = FilterWeights::Vectors(self.conv.weight.val());
        Some(Filters { weights, left: self.field().left, is_last: true })
    }

    fn linear_kernel(&self) -> Option<Tensor<3>> {
        Some(self.conv.weight.val())
    }
}

impl Stream for LinearConv {
    /// Only filters of width 1 see nothing after their position.
    fn begin(&self, _batch: usize, _device: &Device) -> Option<StreamState> {
        (self.field() == ReceptiveField::ONE).then(|| StreamState(Memory::Windows(Vec::new())))
    }

    fn step(&self, _state: &mut StreamState, x: Tensor<2>) -> Tensor<2> {
        let mask = Tensor::ones([x.dims()[0], 1], &x.device());
        self.forward(x.unsqueeze_dim::<3>(1), mask).squeeze_dim::<2>(1)
    }
}

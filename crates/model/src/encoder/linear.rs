//! Document A's encoder: one convolution with neither activation nor bias.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Initializer, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Encode, EncoderSettings, FilterWeights, Filters, check_size};
use crate::ReceptiveField;

/// Settings of [`LinearConv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearConvConfig {
    /// How many filters; each one channel of the output.
    pub filters: usize,
    /// How many tokens a filter is wide.
    pub kernel_size: usize,
    /// The standard deviation of the normal distribution that the filters start from.
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
}

impl EncoderSettings for LinearConvConfig {
    fn hidden(&self) -> usize {
        self.filters
    }

    /// A filter's width.
    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField::of_same_convolution(self.kernel_size, 1)
    }

    fn check(&self) -> Result<(), String> {
        match self.filters {
            0 => Err("filters must be 1 or more".into()),
            _ => check_size("kernel_size", self.kernel_size),
        }
    }
}

/// One convolution, "same" padding, neither activation nor bias.
#[derive(Module, Debug)]
pub struct LinearConv {
    /// The filters, `[filters, embedding, kernel_size]`.
    pub conv: Conv1d,
}

impl Encode for LinearConv {
    fn forward(&self, x: Tensor<3>, _mask: Tensor<3>) -> Tensor<3> {
        self.conv.forward(x)
    }

    fn filters(&self) -> Option<Filters> {
        let weights = self.conv.weight.val();
        let left = ReceptiveField::of_same_convolution(weights.dims()[2], 1).left;
        Some(Filters { weights: FilterWeights::Vectors(weights), left, is_last: true })
    }

    fn linear_kernel(&self) -> Option<Tensor<3>> {
        Some(self.conv.weight.val())
    }
}

//! One convolution with bias and activation (Kim 2014, equation 2; document B's first encoder).

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Initializer, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::Activation;
use crate::{Pooling, ReceptiveField, Words};

/// Settings of [`Conv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvConfig {
    /// How many filters; each one channel of the output.
    pub filters: usize,
    /// How many tokens a filter is wide.
    pub kernel_size: usize,
    /// What follows the convolution.
    pub activation: Activation,
}

impl ConvConfig {
    /// Initializes the layer for inputs of `embedding` dimensions; the filters are drawn as
    /// activations want them (He et al. 2015, uniform), the biases are zero.
    pub fn init(&self, embedding: usize, device: &Device) -> Conv {
        let mut conv = Conv1dConfig::new(embedding, self.filters, self.kernel_size)
            .with_padding(PaddingConfig1d::Same)
            .with_initializer(Initializer::KaimingUniform { gain: 2f64.sqrt(), fan_out_only: false })
            .init(device);
        conv.bias = Some(Initializer::Zeros.init([self.filters], device));
        Conv { conv, activation: self.activation }
    }

    /// A filter's width.
    pub fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField::of_same_convolution(self.kernel_size, 1)
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        match (self.filters, self.kernel_size) {
            (0, _) => Err("filters must be 1 or more"),
            (_, 0) => Err("kernel_size must be 1 or more"),
            _ => Ok(()),
        }
    }
}

/// One convolution, "same" padding, bias and activation.
#[derive(Module, Debug)]
pub struct Conv {
    /// The filters, `[filters, embedding, kernel_size]`, and their biases, `[filters]`.
    pub conv: Conv1d,
    #[module(skip)]
    activation: Activation,
}

impl Conv {
    /// Applies the filters at every position.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, embedding, length]`
    /// - output: `[batch, filters, length]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.activation.forward(self.conv.forward(x))
    }

    /// As [`forward`](Self::forward), of words: each of them is multiplied with the filters once,
    /// however often it occurs.
    pub fn forward_words(&self, words: &Words) -> Tensor<3> {
        let (kernel, bias, field) = self.parts();
        self.activation.forward(words.convolve(kernel, bias, field)).swap_dims(1, 2)
    }

    /// As [`forward_words`](Self::forward_words), pooled over the positions: `[batch, filters]`;
    /// none where the activation has no kernel that does both.
    pub fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        let (kernel, bias, field) = self.parts();
        (self.activation == Activation::Relu).then(|| words.convolve_pooled(kernel, bias, field, pooling))
    }

    fn parts(&self) -> (Tensor<3>, Option<Tensor<1>>, ReceptiveField) {
        let kernel = self.conv.weight.val();
        let field = ReceptiveField::of_same_convolution(kernel.dims()[2], 1);
        (kernel, self.conv.bias.as_ref().map(|bias| bias.val()), field)
    }
}

//! One convolution of a stack, with what belongs to it: padding, weight normalisation,
//! normalisation, activation, dropout.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::{Activation, check_size};
use crate::kernels::{Taps, convolve};
use crate::{Pooling, ReceptiveField, Words};

/// How the layers of a stack are built, whatever the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerConfig {
    /// How many positions a filter is wide.
    pub kernel_size: usize,
    /// Whether a position sees itself and what is before it, and nothing after it.
    pub causal: bool,
    /// What follows the convolution.
    pub activation: Activation,
    /// Whether the channels of each position are normalised before the activation (Ba, Kiros and
    /// Hinton 2016, equation 4); over the batch it would let padding and neighbours in.
    pub layer_norm: bool,
    /// Whether a filter's length is a parameter of its own (Salimans and Kingma 2016, equation 2).
    pub weight_norm: bool,
    /// The chance that a value is dropped after the activation, in training.
    pub dropout: f64,
}

impl Default for LayerConfig {
    fn default() -> Self {
        Self {
            kernel_size: 3,
            causal: false,
            activation: Activation::Relu,
            layer_norm: false,
            weight_norm: false,
            dropout: 0.0,
        }
    }
}

impl LayerConfig {
    /// Initializes one layer.
    pub fn init(&self, input: usize, output: usize, dilation: usize, stride: usize, device: &Device) -> ConvLayer {
        let mut conv = Conv1dConfig::new(input, output, self.kernel_size)
            .with_initializer(Initializer::KaimingUniform { gain: 2f64.sqrt(), fan_out_only: false })
            .init(device);
        conv.bias = Some(Initializer::Zeros.init([output], device));
        let gain = self.weight_norm.then(|| {
            let length = conv.weight.val().powi_scalar(2).sum_dims(&[1, 2]).sqrt().reshape([output]);
            Param::from_tensor(length.detach())
        });
        ConvLayer {
            conv,
            gain,
            norm: self.layer_norm.then(|| LayerNormConfig::new(output).init(device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            activation: self.activation,
            field: self.field(dilation),
            dilation,
            stride,
        }
    }

    /// What one output of a layer sees of its input.
    pub fn field(&self, dilation: usize) -> ReceptiveField {
        match self.causal {
            true => ReceptiveField { left: dilation.saturating_mul(self.kernel_size - 1), right: 0 },
            false => ReceptiveField::of_same_convolution(self.kernel_size, dilation),
        }
    }

    /// What one output of a stack of layers sees, whose dilations grow by `base`.
    pub(super) fn field_of_stack(&self, layers: usize, base: usize) -> ReceptiveField {
        (0..layers).fold(ReceptiveField::ONE, |field, layer| field.then(self.field(dilation(base, layer)), 1))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        check_size("kernel_size", self.kernel_size)?;
        match (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => Err("dropout must be from 0 to below 1".into()),
        }
    }

    /// As [`check`](Self::check), of a stack with further settings, each of which has a size.
    pub(super) fn check_stack<const N: usize>(&self, settings: [(&str, usize); N]) -> Result<(), String> {
        settings.into_iter().try_for_each(|(name, value)| check_size(name, value))?;
        self.check()
    }
}

/// The dilation of a layer of a stack in which it grows, counted from 0.
pub(super) fn dilation(base: usize, layer: usize) -> usize {
    base.saturating_pow(layer as u32)
}

/// What the dilation grows by where nothing is said of it.
pub(super) fn two() -> usize {
    2
}

/// One convolution of a stack.
#[derive(Module, Debug)]
pub struct ConvLayer {
    /// The filters, `[output, input, kernel_size]`, and their biases, `[output]`. With weight
    /// normalisation only the filters' directions count.
    pub conv: Conv1d,
    /// With weight normalisation: each filter's length, `[output]`.
    pub gain: Option<Param<Tensor<1>>>,
    norm: Option<LayerNorm>,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    field: ReceptiveField,
    #[module(skip)]
    dilation: usize,
    #[module(skip)]
    stride: usize,
}

impl ConvLayer {
    /// Applies the layer.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, input, length]`, zero at masked positions
    /// - output: `[batch, output, length / stride]`, rounded up
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.finish(self.convolve(x))
    }

    /// As [`forward`](Self::forward), of words: each distinct one is multiplied with the filters
    /// once.
    pub fn forward_words(&self, words: &Words) -> Tensor<3> {
        if self.stride != 1 || self.dilation != 1 {
            return self.forward(words.embed());
        }
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        self.finish(words.convolve(self.filters(), bias, self.field).swap_dims(1, 2))
    }

    /// As [`forward_words`](Self::forward_words), pooled over the positions, `[batch, output]`,
    /// where one kernel does both: with ReLU and nothing else after the convolution.
    pub fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        let is_short = self.stride == 1 && self.dilation == 1 && self.norm.is_none() && self.dropout.prob == 0.0;
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        (is_short && self.activation == Activation::Relu)
            .then(|| words.convolve_pooled(self.filters(), bias, self.field, pooling))
    }

    /// What one output sees of the input.
    pub fn field(&self) -> ReceptiveField {
        self.field
    }

    /// The filters as they are applied, `[output, input, kernel_size]`.
    pub fn filters(&self) -> Tensor<3> {
        let weight = self.conv.weight.val();
        match &self.gain {
            None => weight,
            Some(gain) => {
                let [output, _, _] = weight.dims();
                let length = weight.clone().powi_scalar(2).sum_dims(&[1, 2]).sqrt(); // [output, 1, 1]
                weight * (gain.val().reshape([output, 1, 1]) / length)
            }
        }
    }

    fn convolve(&self, x: Tensor<3>) -> Tensor<3> {
        let taps = Taps { field: self.field, dilation: self.dilation, stride: self.stride };
        let sums = convolve(x, self.filters(), taps);
        match &self.conv.bias {
            Some(bias) => sums + bias.val().unsqueeze_dims(&[0, 2]),
            None => sums,
        }
    }

    fn finish(&self, x: Tensor<3>) -> Tensor<3> {
        self.dropout.forward(self.activation.forward(over_channels(&self.norm, x)))
    }
}

/// Normalises the channels of each position of `[batch, channels, length]`, where that is asked for.
pub(super) fn over_channels(norm: &Option<LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x.swap_dims(1, 2)).swap_dims(1, 2),
        None => x,
    }
}

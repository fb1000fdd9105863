//! One convolutional layer: padding, weight normalisation, convolution, layer normalisation, activation
//! and dropout.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::Activation;
use super::streaming::{Reading, Window, another_encoder};
use crate::dropout;
use crate::kernels::{Epilogue, Taps, convolve, layer_norm};
use crate::limits::{MAX_CHANNELS, MAX_LAYERS, check_chance, check_size, check_up_to, product};
use crate::{Pooling, ReceptiveField, Words};

/// How convolutional layers are built; every encoder that has some uses these settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerConfig {
    /// The width of a filter, in positions.
    pub kernel_size: usize,
    /// Whether a position sees only itself and the positions before it.
    pub causal: bool,
    /// The activation after the convolution.
    pub activation: Activation,
    /// Whether the channels of each position are normalised before the activation (Ba, Kiros and
    /// Hinton 2016, equation 4). Normalisation over the batch would make a prediction depend on padding
    /// and on the other texts.
    pub layer_norm: bool,
    /// Whether the norm of a filter is a parameter of its own (Salimans and Kingma 2016, equation 2).
    pub weight_norm: bool,
    /// The probability that a value is dropped in training, after the activation and at each position
    /// independently.
    /// It does not depend on [`ModelConfig::dropout`](crate::ModelConfig::dropout).
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
    /// Initializes one layer from `input` to `output` channels.
    pub fn init(&self, input: usize, output: usize, dilation: usize, stride: usize, device: &Device) -> ConvLayer {
        let mut conv = Conv1dConfig::new(input, output, self.kernel_size)
            .with_initializer(Initializer::KaimingUniform { gain: 2f64.sqrt(), fan_out_only: false })
            .init(device);
        conv.bias = Some(Initializer::Zeros.init([output], device));
        let gain = self.weight_norm.then(|| {
            let norm = conv.weight.val().powi_scalar(2).sum_dims(&[1, 2]).sqrt().reshape([output]);
            Param::from_tensor(norm.detach())
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
        if self.causal {
            let span = dilation.saturating_mul(self.kernel_size.saturating_sub(1));
            ReceptiveField { left: span, right: 0 }
        } else {
            ReceptiveField::same_convolution(self.kernel_size, dilation)
        }
    }

    /// The number of parameters of a layer from `input` to `output` channels.
    pub(super) fn parameters(&self, input: usize, output: usize) -> u64 {
        let vectors = 1 + usize::from(self.weight_norm) + 2 * usize::from(self.layer_norm);
        product([input, output, self.kernel_size]).saturating_add(product([vectors, output]))
    }

    /// What one output of a stack of layers sees, if the dilation grows by the factor `base` from layer
    /// to layer.
    pub(super) fn field_of_stack(&self, layers: usize, base: usize) -> ReceptiveField {
        (0..layers).fold(ReceptiveField::ONE, |field, layer| field.then(self.field(dilation(base, layer)), 1))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        check_size("kernel_size", self.kernel_size)?;
        check_chance("dropout", self.dropout)
    }

    /// Checks the settings of a stack: the name and value of its number of channels and of its number of
    /// layers, and the settings of a layer.
    pub(super) fn check_stack(&self, channels: (&str, usize), layers: (&str, usize)) -> Result<(), String> {
        check_up_to(channels.0, channels.1, MAX_CHANNELS)?;
        check_up_to(layers.0, layers.1, MAX_LAYERS)?;
        self.check()
    }
}

/// The dilation of layer number `layer`, counted from 0.
pub(super) fn dilation(base: usize, layer: usize) -> usize {
    power(base, layer)
}

/// A power that is `usize::MAX` where it would overflow.
pub(super) fn power(base: usize, exponent: usize) -> usize {
    base.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

/// The default factor by which the dilation grows from layer to layer.
pub(super) fn two() -> usize {
    2
}

/// One convolutional layer.
#[derive(Module, Debug)]
pub struct ConvLayer {
    /// The filters, `[output, input, kernel_size]`, and the biases, `[output]`. With weight
    /// normalisation only the direction of a filter has an effect.
    pub conv: Conv1d,
    /// With weight normalisation: the norm of each filter, `[output]`.
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
    /// The same layer, whose filters at first pass each channel of the input on: the identity. It must have as many
    /// channels of input as of output.
    pub(super) fn passing_on(mut self) -> Self {
        let (shape, center) = (self.conv.weight.lazy_shape(), self.field.left / self.dilation);
        let (channels, width, device) = (shape[0], shape[2], self.conv.weight.lazy_device());
        if let Some(gain) = &mut self.gain {
            *gain = Initializer::Ones.init([channels], &device);
        }
        let identity = move |device: &Device, needs_gradient: bool| {
            let mut filters = vec![0.0f32; channels * channels * width];
            (0..channels).for_each(|channel| filters[(channel * channels + channel) * width + center] = 1.0);
            let filters = Tensor::from_data(TensorData::new(filters, [channels, channels, width]), device);
            if needs_gradient { filters.require_grad() } else { filters }
        };
        // As with other initial weights, there is no memory for them before they are read.
        self.conv.weight = Param::uninitialized(self.conv.weight.id, identity, device, true, shape);
        self
    }

    /// Applies the layer.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, input]`; masked positions are read as zeros
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, length / stride, output]`, rounded up; the values at masked positions have no
    ///   meaning
    pub fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let taps = Taps { field: self.field, dilation: self.dilation, stride: self.stride };
        let (filters, device) = (self.filters(), x.device());
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        self.finish(|epilogue| convolve(x, filters, bias, mask, taps, epilogue), &device)
    }

    /// Applies the layer to the positions that are read: `[batch, length, input]` to
    /// `[batch, length, output]`.
    pub(super) fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        match reading {
            Reading::Texts(mask) => self.forward(x, mask.clone()),
            Reading::Next(windows) => {
                let Some(window) = windows.next() else { another_encoder() };
                let (sums, device) = (window.convolve(x), self.conv.weight.device());
                let sums = match &self.conv.bias {
                    Some(bias) => sums + bias.val().unsqueeze::<3>(),
                    None => sums,
                };
                self.finish(|epilogue| epilogue.composed(sums), &device)
            }
        }
    }

    /// What [`apply`](Self::apply) remembers before the first position; none if a position sees others
    /// after it, or is several positions of the input.
    pub(super) fn window(&self, batch: usize, device: &Device) -> Option<Window> {
        let is_causal = self.field.right == 0 && self.stride == 1;
        is_causal.then(|| Window::new(self.filters(), self.dilation, batch, device))
    }

    /// The same as [`forward`](Self::forward), for words. Each distinct word is multiplied by the
    /// filters once.
    pub fn forward_words(&self, words: &Words) -> Tensor<3> {
        if self.stride != 1 || self.dilation != 1 {
            return self.forward(words.embed(), words.mask());
        }
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        let convolve = |epilogue| words.convolve(self.filters(), bias, self.field, epilogue);
        self.finish(convolve, &words.device())
    }

    /// The same as [`forward_words`](Self::forward_words), pooled over the positions, `[batch, output]`,
    /// if one kernel can do both: if the convolution is followed by ReLU and nothing else.
    pub fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        let drops = dropout::probability(&self.dropout, &words.device()) > 0.0;
        let is_dense = self.stride == 1 && self.dilation == 1;
        let has_kernel = is_dense && self.norm.is_none() && !drops && self.activation == Activation::Relu;
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        has_kernel.then(|| words.convolve_pooled(self.filters(), bias, self.field, pooling))
    }

    /// What one output sees of the input.
    pub fn field(&self) -> ReceptiveField {
        self.field
    }

    /// The filters after weight normalisation, `[output, input, kernel_size]`.
    pub fn filters(&self) -> Tensor<3> {
        let weight = self.conv.weight.val();
        match &self.gain {
            None => weight,
            Some(gain) => {
                let [output, _, _] = weight.dims();
                let norm = weight.clone().powi_scalar(2).sum_dims(&[1, 2]).sqrt(); // [output, 1, 1]
                weight * (gain.val().reshape([output, 1, 1]) / norm)
            }
        }
    }

    /// What follows the convolution, which applies the epilogue that it is given.
    fn finish(&self, convolve: impl FnOnce(Epilogue) -> Tensor<3>, device: &Device) -> Tensor<3> {
        // An epilogue has ReLU or no activation.
        let is_fused = matches!(self.activation, Activation::Relu | Activation::None);
        let epilogue = if is_fused {
            let relu = self.activation == Activation::Relu;
            Epilogue::new(relu, dropout::probability(&self.dropout, device), device)
        } else {
            Epilogue::NONE
        };
        let x = match &self.norm {
            None => convolve(epilogue),
            Some(norm) => layer_norm(norm, convolve(Epilogue::NONE), epilogue),
        };
        if is_fused { x } else { self.dropout.forward(self.activation.forward(x)) }
    }
}

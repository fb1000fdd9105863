//! A layer that makes texts longer: a transposed convolution with bias.

use burn::module::{Module, Param};
use burn::nn::conv::ConvTranspose1dConfig;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::kernels::transposed_convolution;
use crate::limits::{MAX_PARAMETERS, check_size, product};

/// Settings of [`Upsampling`], with the names of PyTorch's `ConvTranspose1d`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsamplingConfig {
    /// The number of channels of the input.
    pub input: usize,
    /// The number of channels of the output.
    pub output: usize,
    /// The number of positions of the output that one of the input contributes to.
    pub kernel_size: usize,
    /// The number of positions of the output per position of the input.
    #[serde(default = "one")]
    pub stride: usize,
    /// From one tap of a filter to the next, in positions of the output.
    #[serde(default = "one")]
    pub dilation: usize,
    /// How many positions are cut off at either end.
    #[serde(default)]
    pub padding: usize,
    /// How many positions are added at the end.
    #[serde(default)]
    pub output_padding: usize,
}

fn one() -> usize {
    1
}

impl UpsamplingConfig {
    /// Filters of a width equal to their stride, so that every position of the input becomes `stride` of the
    /// output.
    pub fn new(input: usize, output: usize, stride: usize) -> Self {
        Self { input, output, kernel_size: stride, stride, dilation: 1, padding: 0, output_padding: 0 }
    }

    /// Checks that a layer can be built from the settings, and that its size is not absurd.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], whose message begins with the name of the setting.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_settings().map_err(ConfigError)
    }

    fn check_settings(&self) -> Result<(), String> {
        let Self { input, output, kernel_size, stride, dilation, padding, output_padding } = *self;
        let sizes = [
            ("input", input),
            ("output", output),
            ("kernel_size", kernel_size),
            ("stride", stride),
            ("dilation", dilation),
        ];
        sizes.into_iter().try_for_each(|(name, value)| check_size(name, value))?;
        if self.parameters() > MAX_PARAMETERS {
            return Err(format!("input, output, kernel_size: there can be {MAX_PARAMETERS} parameters at most"));
        }
        if output_padding >= stride.max(dilation) {
            return Err(format!("output_padding must be below the stride or the dilation, but is {output_padding}"));
        }
        // One position must be left of a text of one.
        let most = (product([dilation, kernel_size - 1]) + output_padding as u64) / 2;
        if padding as u64 > most {
            return Err(format!("padding must be {most} or less, but is {padding}"));
        }
        Ok(())
    }

    /// The number of parameters of the layer.
    pub fn parameters(&self) -> u64 {
        product([self.input, self.output, self.kernel_size]).saturating_add(self.output as u64)
    }

    /// Initializes the layer; weights and biases are drawn as in PyTorch.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Result<Upsampling, ConfigError> {
        self.check()?;
        let Self { input, output, kernel_size, stride, dilation, padding, output_padding } = *self;
        let conv = ConvTranspose1dConfig::new([input, output], kernel_size).init(device);
        Ok(Upsampling { weight: conv.weight, bias: conv.bias, stride, dilation, padding, output_padding })
    }
}

/// A [transposed convolution](transposed_convolution) with bias, padding and output padding.
#[derive(Module, Debug)]
pub struct Upsampling {
    /// The filters, `[input, output, kernel_size]`.
    pub weight: Param<Tensor<3>>,
    /// `[output]`
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    dilation: usize,
    #[module(skip)]
    padding: usize,
    #[module(skip)]
    output_padding: usize,
}

impl Upsampling {
    /// Applies the layer. Positions of `x` that do not count must be zero.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, positions, input]`
    /// - output: `[batch, length, output]`; see [`length`](Self::length)
    ///
    /// # Panics
    ///
    /// If `x` has no positions or another number of channels.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let length = self.length(x.dims()[1]);
        let y = transposed_convolution(x, self.weight.val(), self.stride, self.dilation);
        let missing = (self.padding + length).saturating_sub(y.dims()[1]);
        let y = if missing > 0 { y.pad([(0, 0), (0, missing), (0, 0)], 0.0) } else { y };
        let y = y.narrow(1, self.padding, length);
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze::<3>(),
            None => y,
        }
    }

    /// How many positions the output has for `positions` of the input, of which there is at least one.
    pub fn length(&self, positions: usize) -> usize {
        let span = self.dilation * (self.weight.dims()[2] - 1);
        positions.saturating_sub(1) * self.stride + span + self.output_padding + 1 - 2 * self.padding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn wave(count: usize, pace: f64) -> Vec<f32> {
        (1..=count).map(|at| (at as f64 * pace).sin() as f32).collect()
    }

    fn assert_close<const D: usize>(found: Tensor<D>, expected: &[f32]) {
        let found = found.try_into_vec_as::<f32>().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} and {expected}");
        }
    }

    // import torch
    // def wave(n, pace): return torch.sin(torch.arange(1, n + 1, dtype=torch.float64) * pace)
    // conv = torch.nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1, output_padding=1, dilation=2).double()
    // with torch.no_grad():
    //     conv.weight.copy_(wave(18, 0.7).reshape(2, 3, 3)); conv.bias.copy_(wave(3, 0.4))
    // x = wave(12, 1.3).reshape(2, 3, 2).requires_grad_()
    // y = conv(x.transpose(1, 2)).transpose(1, 2)
    // (y * y).sum().backward()
    // y, x.grad, conv.weight.grad, conv.bias.grad
    #[test]
    fn values_and_gradients_match_pytorch() {
        let device = Device::flex().autodiff();
        let config = UpsamplingConfig {
            kernel_size: 3,
            dilation: 2,
            padding: 1,
            output_padding: 1,
            ..UpsamplingConfig::new(2, 3, 2)
        };
        let weight = Param::from_data(TensorData::new(wave(18, 0.7), [2, 3, 3]), &device);
        let bias = Param::from_data(TensorData::new(wave(3, 0.4), [3]), &device);
        let layer = Upsampling { weight, bias: Some(bias), ..config.init(&device).unwrap() };
        let x = Tensor::<3>::from_data(TensorData::new(wave(12, 1.3), [2, 3, 2]), &device).require_grad();
        let y = layer.forward(x.clone());
        assert_eq!(y.dims(), [2, layer.length(3), 3]);
        let gradients = (y.clone() * y.clone()).sum().backward();
        assert_close(y.inner(), &VALUES);
        assert_close(x.grad(&gradients).unwrap(), &OF_X);
        assert_close(layer.weight.val().grad(&gradients).unwrap(), &OF_WEIGHT);
        assert_close(layer.bias.as_ref().unwrap().val().grad(&gradients).unwrap(), &[18.031664, 19.84573, 27.394777]);
    }

    #[rustfmt::skip]
    const VALUES: [f32; 48] = [
        0.3894183, 0.7173561, 0.9320391, 0.8248696, -0.3218669, 1.5458832,
        0.3894183, 0.7173561, 0.9320391, 0.9055706, 0.3797785, 0.7567363,
        0.3894183, 0.7173561, 0.9320391, 0.2394515, 1.6525619, 0.1377358,
        0.3894183, 0.7173561, 0.9320391, 1.428466, -0.3485516, 0.9692302,
        0.3894183, 0.7173561, 0.9320391, -0.3289973, 0.787622, 1.5795078,
        0.3894183, 0.7173561, 0.9320391, 0.3281953, 1.6457227, 0.0558976,
        0.3894183, 0.7173561, 0.9320391, 1.1696342, 0.6262308, 0.2438317,
        0.3894183, 0.7173561, 0.9320391, 1.3332953, -0.2374809, 0.9522536,
    ];
    #[rustfmt::skip]
    const OF_X: [f32; 12] = [
        0.826647, 0.8855071, -4.0900626, -4.062101, 2.1792552, 2.1619554,
        -5.4954324, -5.510969, -2.6422405, -2.7358522, 5.7214766, 5.6839366,
    ];
    #[rustfmt::skip]
    const OF_WEIGHT: [f32; 18] = [
        0.4040668, 2.0452, 3.0886357, 2.6537302, -1.2011498, -2.0639753,
        -4.0976357, 3.401504, 3.2292569, 0.1452941, 0.8011508, 4.090168,
        2.343691, 2.511315, -5.4741435, 0.1191932, -1.9838006, 2.7900379,
    ];

    // torch.nn.ConvTranspose1d(1, 1, 1, stride=3, output_padding=2, bias=False) of ones, with weight 1
    // [1, 0, 0, 1, 0, 0]
    #[test]
    fn output_padding_beyond_the_taps_is_zero() {
        let device = Device::flex();
        let config = UpsamplingConfig { kernel_size: 1, output_padding: 2, ..UpsamplingConfig::new(1, 1, 3) };
        let weight = Param::from_tensor(Tensor::ones([1, 1, 1], &device));
        let layer = Upsampling { weight, bias: None, ..config.init(&device).unwrap() };
        assert_close(layer.forward(Tensor::ones([1, 2, 1], &device)), &[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn impossible_settings_are_refused() {
        let valid = || UpsamplingConfig::new(2, 3, 2);
        assert_eq!(valid().check(), Ok(()));
        for (config, name) in [
            (UpsamplingConfig { input: 0, ..valid() }, "input"),
            (UpsamplingConfig { stride: 0, ..valid() }, "stride"),
            (UpsamplingConfig { dilation: usize::MAX, ..valid() }, "dilation"),
            (UpsamplingConfig { output: 1 << 20, kernel_size: 1 << 20, ..valid() }, "input, output, kernel_size"),
            (UpsamplingConfig { output_padding: 2, ..valid() }, "output_padding"),
            (UpsamplingConfig { padding: 1, ..valid() }, "padding"),
        ] {
            let error = config.init(&Device::flex()).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}

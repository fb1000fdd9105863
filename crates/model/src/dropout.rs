//! The probability with which a dropout layer drops values.

use burn::nn::Dropout;
use burn::tensor::Device;

/// The probability with which `dropout` drops a value of a tensor on `device`: zero unless the device
/// records gradients and the model is not frozen.
///
/// At inference nothing is dropped, so the fast paths that dropout excludes are available.
pub(crate) fn probability(dropout: &Dropout, device: &Device) -> f64 {
    if dropout.training.is_enabled() && device.is_autodiff() { dropout.prob } else { 0.0 }
}

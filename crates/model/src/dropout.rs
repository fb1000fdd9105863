//! Whether a dropout layer changes its input.

use burn::nn::Dropout;
use burn::tensor::Device;

/// Whether `dropout` drops anything from a tensor on `device`: its probability is above zero, the device
/// records gradients, and the model is not frozen.
///
/// At inference nothing is dropped, so the fast paths that dropout excludes are available.
pub(crate) fn is_active(dropout: &Dropout, device: &Device) -> bool {
    dropout.prob > 0.0 && dropout.training.is_enabled() && device.is_autodiff()
}

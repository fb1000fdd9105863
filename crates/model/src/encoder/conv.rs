//! Convolutions of one or several widths in parallel, with bias and activation (Kim 2014, equation 2).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::layer::{ConvLayer, LayerConfig};
use super::streaming::{Layered, Reading};
use super::{Activation, Encode, FilterWeights, Filters, Settings};
use crate::limits::check_widths;
use crate::{Pooling, ReceptiveField, Words};

/// Settings of [`Conv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvConfig {
    /// The number of filters of each width.
    pub filters: usize,
    /// The widths of the filters, in tokens.
    pub kernel_sizes: Vec<usize>,
    /// The activation after the convolution.
    #[serde(default)]
    pub activation: Activation,
    /// See [`LayerConfig::causal`].
    #[serde(default)]
    pub causal: bool,
    /// See [`LayerConfig::layer_norm`].
    #[serde(default)]
    pub layer_norm: bool,
    /// See [`LayerConfig::weight_norm`].
    #[serde(default)]
    pub weight_norm: bool,
    /// See [`LayerConfig::dropout`].
    #[serde(default)]
    pub dropout: f64,
}

impl ConvConfig {
    /// Filters of the given widths with ReLU, and no other option.
    pub fn new(filters: usize, kernel_sizes: &[usize]) -> Self {
        Self {
            filters,
            kernel_sizes: kernel_sizes.to_vec(),
            activation: Activation::Relu,
            causal: false,
            layer_norm: false,
            weight_norm: false,
            dropout: 0.0,
        }
    }

    fn layer(&self, kernel_size: usize) -> LayerConfig {
        let Self { activation, causal, layer_norm, weight_norm, dropout, .. } = *self;
        LayerConfig { kernel_size, causal, activation, layer_norm, weight_norm, dropout }
    }

    /// Initializes the layers for inputs of `embedding` dimensions.
    pub fn init(&self, embedding: usize, device: &Device) -> Conv {
        let init = |&kernel_size: &usize| self.layer(kernel_size).init(embedding, self.filters, 1, 1, device);
        Conv { widths: self.kernel_sizes.iter().map(init).collect() }
    }

    pub(crate) fn parameters(&self, embedding: usize) -> u64 {
        let parameters = |&kernel_size: &usize| self.layer(kernel_size).parameters(embedding, self.filters);
        self.kernel_sizes.iter().map(parameters).fold(0, u64::saturating_add)
    }
}

impl Settings for ConvConfig {
    fn hidden(&self) -> usize {
        self.filters.saturating_mul(self.kernel_sizes.len())
    }

    /// As wide as the widest filter.
    fn receptive_field(&self) -> ReceptiveField {
        let fields = self.kernel_sizes.iter().map(|&kernel_size| self.layer(kernel_size).field(1));
        fields.fold(ReceptiveField::ONE, ReceptiveField::or)
    }

    fn kernel_size(&self) -> usize {
        self.kernel_sizes.iter().copied().max().unwrap_or(1)
    }

    fn check(&self) -> Result<(), String> {
        check_widths(self.filters, &self.kernel_sizes)?;
        self.layer(1).check()
    }
}

/// Convolutions in parallel.
#[derive(Module, Debug)]
pub struct Conv {
    /// One layer for each width.
    pub widths: Vec<ConvLayer>,
}

impl Layered for Conv {
    fn layers(&self) -> Option<Vec<&ConvLayer>> {
        Some(self.widths.iter().collect())
    }

    fn apply(&self, x: Tensor<3>, reading: &mut Reading) -> Tensor<3> {
        Tensor::cat(self.widths.iter().map(|layer| layer.apply(x.clone(), reading)).collect(), 2)
    }
}

impl Encode for Conv {
    fn forward(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.apply(x, &mut Reading::Texts(&mask))
    }

    fn forward_words(&self, words: &Words) -> Tensor<3> {
        Tensor::cat(self.widths.iter().map(|layer| layer.forward_words(words)).collect(), 2)
    }

    fn forward_pooled(&self, words: &Words, pooling: Pooling) -> Option<Tensor<2>> {
        let pooled = self.widths.iter().map(|layer| layer.forward_pooled(words, pooling));
        Some(Tensor::cat(pooled.collect::<Option<_>>()?, 1))
    }

    /// Narrow filters are aligned with the centre of the widest and padded with zeros.
    fn filters(&self) -> Option<Filters> {
        let fields = self.widths.iter().map(ConvLayer::field);
        let widest = fields.fold(ReceptiveField::ONE, ReceptiveField::or);
        let filters = self.widths.iter().map(|layer| {
            let around = (widest.left - layer.field().left, widest.right - layer.field().right);
            layer.filters().pad([(0, 0), (0, 0), around], 0.0)
        });
        let weights = Tensor::cat(filters.collect(), 0);
        Some(Filters { weights: FilterWeights::Vectors(weights), left: widest.left, is_last: true })
    }
}

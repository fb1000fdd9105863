//! The one skeleton of every model: embed → encode → predict at every position → pool.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::pooling::mean_over_positions;
use crate::{Batch, Encoder, EncoderConfig, Folded, Pooling, ReceptiveField, Words};

/// What a model does with the places that a text leaves empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Padding is invisible: it is embedded as zero and not counted in the mean.
    Masked,
    /// Every text is cut or padded at the front to `length` ids, and padding is a word like any
    /// other, counted in the mean (document A).
    Counted {
        /// How many ids every text has.
        length: usize,
    },
}

/// All that rebuilds a model, but for its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// How many ids there are.
    pub vocab_size: usize,
    /// How many dimensions an embedding has.
    pub embedding: usize,
    /// The standard deviation of the normal distribution that the embeddings start from.
    pub init_std: f64,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// How many logits: one for two classes (a sigmoid), else one a class (a softmax).
    pub outputs: usize,
    /// How empty places are treated.
    pub padding: Padding,
}

/// A configuration that no model can be built from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model configuration: {0}")]
pub struct ConfigError(&'static str);

impl ModelConfig {
    /// How many logits tell `classes` classes apart: one where there are two.
    pub fn outputs_for(classes: usize) -> usize {
        if classes == 2 { 1 } else { classes }
    }

    /// Initializes the model; the weights are drawn from the random state of `device`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where a size is zero.
    pub fn init(&self, device: &Device) -> Result<TextModel, ConfigError> {
        self.check()?;
        let head = Conv1dConfig::new(self.encoder.hidden(), self.outputs, 1)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .init(device);
        let bias = Initializer::Zeros.init::<1, _>([self.outputs], device);
        Ok(TextModel {
            embed: EmbeddingConfig::new(self.vocab_size, self.embedding)
                .with_initializer(Initializer::Normal { mean: 0.0, std: self.init_std })
                .init(device),
            encoder: self.encoder.init(self.embedding, device),
            head: Conv1d { bias: Some(bias), ..head },
            field: self.receptive_field(),
        })
    }

    /// What one prediction sees of the text: the width of a phrase.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.encoder.receptive_field()
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.vocab_size == 0 || self.embedding == 0 || self.outputs == 0 {
            return Err(ConfigError("vocab_size, embedding and outputs must be 1 or more"));
        }
        if !(self.init_std.is_finite() && self.init_std >= 0.0) {
            return Err(ConfigError("init_std must be a finite number, 0 or more"));
        }
        self.encoder.check().map_err(ConfigError)
    }
}

/// A convolutional text model.
///
/// Its parameters carry PyTorch's names and layout: `embed.weight` `[vocab_size, embedding]`,
/// `encoder.conv.weight` `[hidden, embedding, kernel_size]`, `head.weight` `[outputs, hidden, 1]`,
/// `head.bias` `[outputs]`.
#[derive(Module, Debug)]
pub struct TextModel {
    /// A vector a token.
    pub embed: Embedding,
    /// A vector a position.
    pub encoder: Encoder,
    /// A prediction a position: a convolution of width 1.
    pub head: Conv1d,
    #[module(skip)]
    field: ReceptiveField,
}

impl TextModel {
    /// The logits of each text, `[batch, outputs]`.
    ///
    /// The head is linear, so the mean of its predictions is its prediction of the mean: where a
    /// kernel pools as it goes, nothing is kept a position.
    pub fn forward(&self, batch: &Batch) -> Tensor<2> {
        match self.encoder.forward_pooled(&self.words(batch), Pooling::Mean) {
            Some(pooled) => {
                let weight = self.head.weight.val().squeeze_dim::<2>(2).swap_dims(0, 1); // [hidden, outputs]
                self.add_bias(pooled.matmul(weight))
            }
            None => self.pool(self.predict_positions(batch), batch.mask.clone()),
        }
    }

    /// The prediction at every position, `[batch, length, outputs]`, without the bias (which is
    /// the same everywhere): a linear model looks it up in the [`Folded`] table of the words that
    /// occur, any other looks its first layer up and computes the rest.
    pub fn predict_positions(&self, batch: &Batch) -> Tensor<3> {
        let words = self.words(batch);
        match self.encoder.linear_kernel() {
            Some(kernel) => {
                let folded = Folded::new(words.rows, kernel, self.head.weight.val(), self.receptive_field());
                folded.predict_positions(words.among, words.mask)
            }
            None => self.predict_encoded(self.encoder.forward_words(&words)),
        }
    }

    fn words(&self, batch: &Batch) -> Words {
        let rows = self.embed.weight.val().select(0, batch.distinct.clone());
        Words { rows, among: batch.among_distinct.clone(), mask: batch.mask.clone() }
    }

    /// As [`predict_positions`](Self::predict_positions), always layer by layer.
    pub fn predict_positions_by_layer(&self, batch: &Batch) -> Tensor<3> {
        self.predict_embedded(self.embed.forward(batch.ids.clone()), batch.mask.clone())
    }

    /// As [`predict_positions_by_layer`](Self::predict_positions_by_layer), of vectors instead of
    /// ids: what a gradient with regard to the words goes through.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, embedding]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, length, outputs]`
    pub fn predict_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let mask = mask.unsqueeze_dim::<3>(1); // [batch, 1, length]
        let x = x.swap_dims(1, 2) * mask.clone(); // [batch, embedding, length]
        self.predict_encoded(self.encoder.forward(x, mask))
    }

    /// The head: `[batch, hidden, length]` to `[batch, length, outputs]`.
    fn predict_encoded(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, hidden, length] = x.dims();
        let weight = self.head.weight.val().squeeze_dim::<2>(2).swap_dims(0, 1); // [hidden, outputs]
        let x = x.swap_dims(1, 2).reshape([batch * length, hidden]);
        x.matmul(weight).reshape([batch as i64, length as i64, -1])
    }

    /// Predictions at every position become one: their mean, and the bias.
    ///
    /// # Shapes
    ///
    /// - `positions`: `[batch, length, outputs]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, outputs]`
    pub fn pool(&self, positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        self.add_bias(mean_over_positions(positions, mask))
    }

    fn add_bias(&self, pooled: Tensor<2>) -> Tensor<2> {
        match &self.head.bias {
            Some(bias) => pooled + bias.val().unsqueeze::<2>(),
            None => pooled,
        }
    }

    /// The table that the model folds into, where it is linear up to its pooling.
    pub fn fold(&self) -> Option<Folded> {
        let kernel = self.encoder.linear_kernel()?;
        Some(Folded::new(self.embed.weight.val(), kernel, self.head.weight.val(), self.receptive_field()))
    }

    /// What one prediction sees of the text.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.field
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.embed.weight.val().device()
    }
}

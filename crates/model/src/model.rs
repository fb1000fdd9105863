//! The one skeleton of every model: embed → encode → predict at every position → pool.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::encoder::{Encode, check_size, downsampled};
use crate::pooling::{max_over_positions, mean_over_positions, only_the_largest};
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

impl Padding {
    /// Which of a text's `tokens` ids are seen, how many positions of padding stand before them, and
    /// how many positions there are.
    pub fn seen(self, tokens: usize) -> Seen {
        match self {
            Self::Masked => Seen { first: 0, padding: 0, positions: tokens },
            Self::Counted { length } => {
                let first = tokens.saturating_sub(length);
                Seen { first, padding: length - (tokens - first), positions: length }
            }
        }
    }
}

/// What of a text is seen, and where; see [`Padding::seen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The first id that is not cut off.
    pub first: usize,
    /// How many positions of padding stand before it.
    pub padding: usize,
    /// How many positions there are, those of padding and those of ids.
    pub positions: usize,
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
    /// How a text's positions become one.
    #[serde(default)]
    pub pooling: Pooling,
    /// The chance that a feature is dropped before the head, in training.
    #[serde(default)]
    pub dropout: f64,
}

/// A configuration that no model can be built from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("model configuration: {0}")]
pub struct ConfigError(String);

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
        let head = Conv1dConfig::new(self.encoder.settings().hidden(), self.outputs, 1)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .init(device);
        let bias = Initializer::Zeros.init::<1, _>([self.outputs], device);
        Ok(TextModel {
            embed: EmbeddingConfig::new(self.vocab_size, self.embedding)
                .with_initializer(Initializer::Normal { mean: 0.0, std: self.init_std })
                .init(device),
            encoder: self.encoder.init(self.embedding, device),
            head: Conv1d { bias: Some(bias), ..head },
            dropout: DropoutConfig::new(self.dropout).init(),
            field: self.receptive_field(),
            stride: self.encoder.settings().stride(),
            pooling: self.pooling,
        })
    }

    /// What one prediction sees of the text: the width of a phrase.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.encoder.settings().receptive_field()
    }

    /// Whether a model can be built of it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], saying what is wrong and how it should be.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.vocab_size == 0 || self.embedding == 0 || self.outputs == 0 {
            return Err(ConfigError("vocab_size, embedding and outputs must be 1 or more".into()));
        }
        check_size("embedding", self.embedding).map_err(ConfigError)?;
        if !(self.init_std.is_finite() && self.init_std >= 0.0) {
            return Err(ConfigError("init_std must be a finite number, 0 or more".into()));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(ConfigError("dropout must be from 0 to below 1".into()));
        }
        if self.padding == (Padding::Counted { length: 0 }) {
            return Err(ConfigError("padding must be counted to a length of 1 or more".into()));
        }
        if self.encoder.settings().stride() > 1 && self.padding != Padding::Masked {
            return Err(ConfigError("an encoder that leaves fewer positions goes with masked padding".into()));
        }
        match &self.encoder {
            EncoderConfig::OneHot(one_hot) if self.embedding != one_hot.weights() => {
                Err(ConfigError("with one-hot words embedding must be filters · the sum of kernel_sizes".into()))
            }
            encoder => encoder.check().map_err(ConfigError),
        }
    }
}

/// A convolutional text model.
///
/// Its parameters carry PyTorch's names and layout: `embed.weight` `[vocab_size, embedding]`,
/// `head.weight` `[outputs, hidden, 1]`, `head.bias` `[outputs]`, and those of the encoder, of a
/// linear one `encoder.conv.weight` `[hidden, embedding, kernel_size]`.
#[derive(Module, Debug)]
pub struct TextModel {
    /// A vector a token.
    pub embed: Embedding,
    /// A vector a position.
    pub encoder: Encoder,
    /// A prediction a position: a convolution of width 1.
    pub head: Conv1d,
    dropout: Dropout,
    #[module(skip)]
    field: ReceptiveField,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    pooling: Pooling,
}

impl TextModel {
    /// The logits of each text, `[batch, outputs]`: by the table where the model is linear, by a
    /// kernel that pools as it goes where there is one, else layer by layer.
    pub fn forward(&self, batch: &Batch) -> Tensor<2> {
        self.forward_rows(self.rows(batch), batch)
    }

    /// The embeddings of the words that occur in a batch, `[distinct, embedding]`.
    pub fn rows(&self, batch: &Batch) -> Tensor<2> {
        self.embed.weight.val().select(0, batch.distinct.clone())
    }

    /// As [`forward`](Self::forward), of embeddings given as [`rows`](Self::rows) gives them: their
    /// gradient is as large as they are, and not as large as the vocabulary.
    pub fn forward_rows(&self, rows: Tensor<2>, batch: &Batch) -> Tensor<2> {
        let words = Words::of(rows, batch);
        if self.encoder.linear_kernel().is_some() && self.pooling == Pooling::Mean && self.dropout.prob == 0.0 {
            return self.pool(self.predict_words(words), batch.mask.clone());
        }
        match self.encoder.forward_pooled(&words, self.pooling) {
            Some(pooled) => self.predict_pooled(pooled),
            None => self.finish(self.encoder.forward_words(&words), batch.mask.clone()),
        }
    }

    /// As [`forward`](Self::forward), of vectors instead of ids and layer by layer: what a gradient
    /// with regard to the words goes through.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, embedding]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, outputs]`
    pub fn forward_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        self.finish(self.encode_embedded(x, mask.clone()), mask)
    }

    /// What each position adds to each logit, `[batch, positions, outputs]`: with the bias they sum
    /// to the logits. Where the positions' predictions are averaged, a position adds its prediction
    /// by their number; where the largest of each feature counts, it adds the features that are
    /// largest there, which is exact as long as the same positions stay the largest.
    pub fn scores(&self, batch: &Batch) -> Tensor<3> {
        match (self.encoder.linear_kernel(), self.pooling) {
            (Some(_), Pooling::Mean) => self.shares(self.predict_positions(batch), batch.mask.clone()),
            _ => self.score(self.encoder.forward_words(&self.words(batch)), batch.mask.clone()),
        }
    }

    /// As [`scores`](Self::scores), always layer by layer.
    pub fn scores_by_layer(&self, batch: &Batch) -> Tensor<3> {
        self.scores_embedded(self.embed.forward(batch.ids.clone()), batch.mask.clone())
    }

    /// As [`scores`](Self::scores), of vectors instead of ids; shapes as those of
    /// [`forward_embedded`](Self::forward_embedded).
    pub fn scores_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.score(self.encode_embedded(x, mask.clone()), mask)
    }

    /// The encoder's output at every position, `[batch, hidden, positions]`; the values at masked
    /// positions have no meaning.
    pub fn encode(&self, batch: &Batch) -> Tensor<3> {
        self.encoder.forward_words(&self.words(batch))
    }

    /// The prediction at every position, `[batch, positions, outputs]`, without the bias (which is
    /// the same everywhere): a linear model looks it up in the [`Folded`] table of the words that
    /// occur, any other looks its first layer up and computes the rest.
    pub fn predict_positions(&self, batch: &Batch) -> Tensor<3> {
        self.predict_words(self.words(batch))
    }

    fn predict_words(&self, words: Words) -> Tensor<3> {
        match self.encoder.linear_kernel() {
            Some(kernel) => {
                let folded = Folded::new(words.rows, kernel, self.head.weight.val(), self.receptive_field());
                folded.predict_positions(words.among, words.mask)
            }
            None => self.predict_encoded(self.encoder.forward_words(&words)),
        }
    }

    /// As [`predict_positions`](Self::predict_positions), always layer by layer.
    pub fn predict_positions_by_layer(&self, batch: &Batch) -> Tensor<3> {
        self.predict_encoded(self.encode_embedded(self.embed.forward(batch.ids.clone()), batch.mask.clone()))
    }

    /// Predictions at every position become one: their mean, and the bias.
    ///
    /// # Shapes
    ///
    /// - `positions`: `[batch, positions, outputs]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, outputs]`
    pub fn pool(&self, positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        self.add_bias(mean_over_positions(positions, self.position_mask(mask)))
    }

    /// The table that the model folds into, where it is linear up to its pooling.
    pub fn fold(&self) -> Option<Folded> {
        let kernel = self.encoder.linear_kernel().filter(|_| self.pooling == Pooling::Mean)?;
        Some(Folded::new(self.embed.weight.val(), kernel, self.head.weight.val(), self.receptive_field()))
    }

    /// What one prediction sees of the text.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.field
    }

    /// How many tokens there are for each position that predicts.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How the positions become one.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.embed.weight.val().device()
    }

    fn words(&self, batch: &Batch) -> Words {
        Words::of(self.rows(batch), batch)
    }

    /// `[batch, length, embedding]` to `[batch, hidden, positions]`.
    fn encode_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let mask = mask.unsqueeze_dim::<3>(1); // [batch, 1, length]
        let x = x.swap_dims(1, 2) * mask.clone(); // [batch, embedding, length]
        self.encoder.forward(x, mask)
    }

    /// The head at every position: `[batch, hidden, positions]` to `[batch, positions, outputs]`.
    fn predict_encoded(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, hidden, positions] = x.dims();
        let x = x.swap_dims(1, 2).reshape([batch * positions, hidden]);
        x.matmul(self.head_weight()).reshape([batch as i64, positions as i64, -1])
    }

    /// The logits from the features at every position.
    fn finish(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        match self.pooling {
            Pooling::Mean => self.pool(self.predict_encoded(self.dropout.forward(x)), mask),
            Pooling::Max => self.predict_pooled(max_over_positions(x.swap_dims(1, 2), self.position_mask(mask))),
        }
    }

    fn score(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        match self.pooling {
            Pooling::Mean => self.shares(self.predict_encoded(x), mask),
            Pooling::Max => self.predict_encoded(only_the_largest(x, self.position_mask(mask))),
        }
    }

    /// Predictions by the number of positions that count, zero elsewhere.
    fn shares(&self, positions: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let mask = self.position_mask(mask);
        let count = mask.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
        positions * (mask / count).unsqueeze_dim::<3>(2)
    }

    /// The head of pooled features, `[batch, hidden]`; the head is linear, so the mean of its
    /// predictions is its prediction of the mean.
    fn predict_pooled(&self, pooled: Tensor<2>) -> Tensor<2> {
        self.add_bias(self.dropout.forward(pooled).matmul(self.head_weight()))
    }

    /// `[hidden, outputs]`
    fn head_weight(&self) -> Tensor<2> {
        self.head.weight.val().squeeze_dim::<2>(2).swap_dims(0, 1)
    }

    fn add_bias(&self, pooled: Tensor<2>) -> Tensor<2> {
        match &self.head.bias {
            Some(bias) => pooled + bias.val().unsqueeze::<2>(),
            None => pooled,
        }
    }

    /// From a mask of tokens to one of the positions that predict.
    fn position_mask(&self, mask: Tensor<2>) -> Tensor<2> {
        downsampled(mask.unsqueeze_dim::<3>(1), self.stride).squeeze_dim::<2>(1)
    }
}

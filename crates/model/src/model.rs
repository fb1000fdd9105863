//! The skeleton that every model shares: embed → encode → predict at every position → pool.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::adaptive::{self, AdaptiveConfig, Cluster};
use crate::dropout;
use crate::encoder::{Encode, EncoderSettings, downsampled};
use crate::head::{position_cross_entropy, rows_with_target};
use crate::kernels::{drop_values, has_kernels};
use crate::limits::{self, MAX_PARAMETERS, MAX_SIZE, MAX_VOCABULARY, product};
use crate::masking::zero_padding;
use crate::pooling::{max_over_positions, mean_over_positions, shares_of_the_largest};
use crate::{
    Batch, Chain, Encoder, EncoderConfig, Folded, Lexicon, LexiconConfig, Padding, Pooling, ReceptiveField, Spelling,
    SpellingConfig, Stream, StreamState, Words,
};

/// The settings of a model: everything but its weights.
///
/// The encoder is one of this crate's, unless `S` is another crate's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ModelConfig<S: EncoderSettings = EncoderConfig> {
    /// The number of ids.
    pub vocab_size: usize,
    /// The number of dimensions of an embedding.
    pub embedding: usize,
    /// The standard deviation of the normal distribution that the embeddings are drawn from.
    pub init_std: f64,
    /// The encoder.
    pub encoder: S,
    /// The number of logits: one for two classes (sigmoid), otherwise one per class (softmax).
    pub outputs: usize,
    /// How padding is treated.
    pub padding: Padding,
    /// How the positions of a text are pooled.
    #[serde(default)]
    pub pooling: Pooling,
    /// The probability that a pooled feature is dropped in training, before the head (Kim 2014, section 2.1).
    ///
    /// Every text has a mask of its own, `[hidden]`, which applies to its pooled features, for every
    /// encoder and either pooling. The head is linear, so for mean pooling this is the same as one mask for
    /// all positions of a text.
    #[serde(default)]
    pub dropout: f64,
    /// How many positions without evidence are added to every text: the pooled features of a text of *n*
    /// positions are multiplied by *n* / (*n* + shrinkage). Short texts have little evidence.
    #[serde(default)]
    pub shrinkage: f64,
    /// The lexicon beside the encoder, if there is one.
    #[serde(default)]
    pub lexicon: Option<LexiconConfig>,
    /// The spelling beside the embedding of each word, if there is one. Texts then consist of [forms](crate::Forms).
    #[serde(default)]
    pub spelling: Option<SpellingConfig>,
    /// The number of labels that a text may be written for, 0 for a model that knows none. Each has a vector that is added
    /// to the embedding at every position (van den Oord et al. 2016, "WaveNet", section 2.5, where it is added in every
    /// layer).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conditions: usize,
    /// Whether the labels of a text depend on each other: a [chain](Chain) over the predictions of its positions.
    #[serde(default)]
    pub chain: bool,
    /// How the outputs are divided among the head and clusters of rare ones, in a language model with many tokens; none
    /// for one softmax over all.
    #[serde(default)]
    pub adaptive: Option<AdaptiveConfig>,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// Settings that no model can be built from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl<S: EncoderSettings> ModelConfig<S> {
    /// The settings of a model with 32 dimensions per embedding (or as many as the encoder needs), masked padding and
    /// mean pooling, without dropout and lexicon.
    pub fn new(vocab_size: usize, encoder: S, outputs: usize) -> Self {
        Self {
            vocab_size,
            embedding: encoder.embedding().unwrap_or(32),
            init_std: 0.05,
            encoder,
            outputs,
            padding: Padding::Masked,
            pooling: Pooling::Mean,
            dropout: 0.0,
            shrinkage: 0.0,
            lexicon: None,
            spelling: None,
            chain: false,
            conditions: 0,
            adaptive: None,
        }
    }

    /// The same settings with another encoder, and with as many dimensions per embedding as it needs.
    pub fn with_encoder<T: EncoderSettings>(self, encoder: T) -> ModelConfig<T> {
        let Self {
            vocab_size,
            embedding,
            init_std,
            encoder: _,
            outputs,
            padding,
            pooling,
            dropout,
            shrinkage,
            lexicon,
            spelling,
            chain,
            conditions,
            adaptive,
        } = self;
        let embedding = encoder.embedding().unwrap_or(embedding);
        ModelConfig {
            vocab_size,
            embedding,
            init_std,
            encoder,
            outputs,
            padding,
            pooling,
            dropout,
            shrinkage,
            lexicon,
            spelling,
            chain,
            conditions,
            adaptive,
        }
    }

    /// Initializes the model. The weights are drawn from the random state of `device`.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Result<TextModel<S::Encoder>, ConfigError> {
        self.check()?;
        let (hidden, outputs) = (self.encoder.hidden(), self.head_outputs());
        let head = Conv1dConfig::new(hidden, outputs, 1)
            .with_initializer(Initializer::XavierUniform { gain: 1.0 })
            .init(device);
        // The lexicon has the bias.
        let bias = self.lexicon.is_none().then(|| Initializer::Zeros.init::<1, _>([outputs], device));
        let clusters = |adaptive: &AdaptiveConfig| adaptive.init(hidden, self.outputs, device);
        Ok(TextModel {
            embed: EmbeddingConfig::new(self.vocab_size, self.embedding)
                .with_initializer(Initializer::Normal { mean: 0.0, std: self.init_std })
                .init(device),
            encoder: self.encoder.init(self.input(), device),
            head: Conv1d { bias, ..head },
            clusters: self.adaptive.as_ref().map(clusters).unwrap_or_default(),
            dropout: DropoutConfig::new(self.dropout).init(),
            field: self.receptive_field(),
            stride: self.encoder.stride(),
            pooling: self.pooling,
            shrinkage: self.shrinkage as f32,
            encoder_share: self.lexicon.as_ref().map_or(1.0, |lexicon| lexicon.encoder_share as f32),
            lexicon: self.lexicon.as_ref().map(|lexicon| lexicon.init(self.vocab_size, self.outputs, device)),
            spelling: self.spelling.as_ref().map(|spelling| spelling.init(device)),
            chain: self.chain.then(|| Chain::new(self.outputs, device)),
            condition: (self.conditions > 0).then(|| {
                let normal = Initializer::Normal { mean: 0.0, std: self.init_std };
                EmbeddingConfig::new(self.conditions, self.embedding).with_initializer(normal).init(device)
            }),
        })
    }

    /// What one prediction sees of the text: the width of a phrase.
    ///
    /// With a lexicon it includes the word before, with which a word makes a pair, but neither the negations nor the
    /// contrasts in whose scope the phrase is.
    pub fn receptive_field(&self) -> ReceptiveField {
        let field = self.encoder.receptive_field();
        match &self.lexicon {
            Some(lexicon) => field.or(ReceptiveField { left: lexicon.words.saturating_sub(1), right: 0 }),
            None => field,
        }
    }

    /// The number of dimensions of a word that the encoder reads: its embedding, and beside it its spelling.
    pub fn input(&self) -> usize {
        let of_spelling = self.spelling.as_ref().map_or(0, SpellingConfig::dimensions);
        self.embedding.saturating_add(of_spelling)
    }

    /// The number of parameters: how many numbers the model learns.
    pub fn parameters(&self) -> u64 {
        self.parts().into_iter().fold(0, |sum: u64, (_, parameters)| sum.saturating_add(parameters))
    }

    /// The number of parameters of each part, and the settings that decide it.
    fn parts(&self) -> [(&'static str, u64); 8] {
        [
            ("vocab_size times embedding", self.embedding_parameters()),
            (self.encoder.size_settings(), self.encoder.parameters(self.input())),
            ("outputs times the encoder's channels", self.head_parameters()),
            ("adaptive", self.cluster_parameters()),
            ("lexicon.pairs", self.lexicon_parameters()),
            ("spelling", self.spelling.as_ref().map_or(0, SpellingConfig::parameters)),
            ("conditions times embedding", product([self.conditions, self.embedding])),
            ("outputs, with a chain", if self.chain { Chain::parameters(self.outputs) } else { 0 }),
        ]
    }

    fn embedding_parameters(&self) -> u64 {
        product([self.vocab_size, self.embedding])
    }

    /// The number of outputs of the head: all, or the frequent ones and one for each cluster of the others.
    fn head_outputs(&self) -> usize {
        self.adaptive.as_ref().map_or(self.outputs, AdaptiveConfig::head)
    }

    fn head_parameters(&self) -> u64 {
        let outputs = self.head_outputs();
        let bias = if self.lexicon.is_none() { outputs } else { 0 };
        product([outputs, self.encoder.hidden()]).saturating_add(bias as u64)
    }

    fn cluster_parameters(&self) -> u64 {
        let parameters = |adaptive: &AdaptiveConfig| adaptive.parameters(self.encoder.hidden(), self.outputs);
        self.adaptive.as_ref().map_or(0, parameters)
    }

    fn lexicon_parameters(&self) -> u64 {
        self.lexicon.as_ref().map_or(0, |lexicon| lexicon.parameters(self.vocab_size, self.outputs))
    }

    /// Checks that a model can be built from the settings, and that its size is not absurd.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], whose message begins with the name of the setting and says which values are
    /// possible.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_settings().map_err(ConfigError)
    }

    fn check_settings(&self) -> Result<(), String> {
        limits::check_up_to("vocab_size", self.vocab_size, MAX_VOCABULARY)?;
        limits::check_size("embedding", self.embedding)?;
        limits::check_size("outputs", self.outputs)?;
        limits::check_std("init_std", self.init_std)?;
        limits::check_chance("dropout", self.dropout)?;
        limits::check_factor("shrinkage", self.shrinkage)?;
        if let Some(lexicon) = &self.lexicon {
            lexicon.check()?;
            if self.padding != Padding::Masked || self.encoder.stride() > 1 {
                return Err("padding must be \"masked\", and the encoder without downsampling, for a lexicon".into());
            }
        }
        if let Some(spelling) = &self.spelling {
            spelling.check()?;
            if self.padding != Padding::Masked || self.lexicon.is_some() {
                return Err("padding must be \"masked\", and the model without a lexicon, for a spelling".into());
            }
        }
        if self.conditions > 0 {
            limits::check_size("conditions", self.conditions)?;
            if self.padding != Padding::Masked || self.lexicon.is_some() || self.spelling.is_some() {
                return Err(
                    "padding must be \"masked\", and the model without lexicon and spelling, for conditions".into()
                );
            }
        }
        if self.chain && (self.padding != Padding::Masked || self.lexicon.is_some() || self.encoder.stride() > 1) {
            return Err(
                "padding must be \"masked\", and the model without downsampling and lexicon, for a chain".into()
            );
        }
        if let Some(adaptive) = &self.adaptive {
            adaptive.check(self.outputs)?;
            if self.padding != Padding::Masked || self.lexicon.is_some() || self.chain || self.encoder.stride() > 1 {
                return Err(
                    "padding must be \"masked\", and the model without downsampling, lexicon and chain, for adaptive"
                        .into(),
                );
            }
        }
        if let Padding::Counted { length } = self.padding {
            limits::check_size("padding.counted.length", length)?;
        }
        self.encoder.check()?;
        if self.encoder.stride() > 1 && self.padding != Padding::Masked {
            return Err("padding must be \"masked\" for an encoder with downsampling".into());
        }
        if let Some(expected) = self.encoder.embedding().filter(|&expected| expected != self.input()) {
            let (found, settings) = (self.input(), self.encoder.size_settings());
            return Err(format!("embedding must be {expected}, as {settings} of the encoder have it, but is {found}"));
        }
        let window = product([self.input(), self.encoder.kernel_size()]);
        if window > MAX_SIZE as u64 {
            return Err(format!("embedding times kernel_size must be {MAX_SIZE} or less, but is {window}"));
        }
        self.check_parameters()
    }

    fn check_parameters(&self) -> Result<(), String> {
        match self.parts().into_iter().max_by_key(|(_, parameters)| *parameters) {
            Some((settings, parameters)) if self.parameters() > MAX_PARAMETERS => Err(format!(
                "{settings}: too large, these settings alone give the model {parameters} parameters; \
                 it can have {MAX_PARAMETERS} at most"
            )),
            _ => Ok(()),
        }
    }
}

/// A convolutional text model.
///
/// Its parameters have PyTorch's names and layout: `embed.weight` `[vocab_size, embedding]`,
/// `head.weight` `[outputs, hidden, 1]`, `head.bias` `[outputs]`, and those of the encoder. A linear
/// encoder has `encoder.conv.weight` `[hidden, embedding, kernel_size]`. A model with a [`Lexicon`] has no
/// `head.bias`, but `lexicon.bias`.
#[derive(Module, Debug)]
pub struct TextModel<E: Module = Encoder> {
    /// One vector per token.
    pub embed: Embedding,
    /// One vector per position.
    pub encoder: E,
    /// One prediction per position: a convolution of width 1.
    pub head: Conv1d,
    /// The rare outputs, if the head predicts only the frequent ones and these clusters. The outputs at every position
    /// are log-probabilities then, which are logits too, and what is pooled over positions has no meaning.
    pub clusters: Vec<Cluster>,
    /// The scores of words and phrases beside the encoder, if there are any.
    pub lexicon: Option<Lexicon>,
    /// The spelling of words beside their embeddings, if it is read.
    pub spelling: Option<Spelling>,
    /// The scores of labels after each other, if there are any.
    pub chain: Option<Chain>,
    /// The vectors of the labels that a text may be written for, if there are any, `[conditions, embedding]`.
    pub condition: Option<Embedding>,
    dropout: Dropout,
    #[module(skip)]
    field: ReceptiveField,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    pooling: Pooling,
    #[module(skip)]
    shrinkage: f32,
    /// The share of the encoder in the logits; 1 without a lexicon.
    #[module(skip)]
    encoder_share: f32,
}

impl<E: Encode> TextModel<E> {
    /// The logits of each text, `[batch, outputs]`, by the fastest path: through the table if the model
    /// is linear, through a kernel that pools as it goes if there is one, otherwise layer by layer.
    pub fn forward(&self, batch: &Batch) -> Tensor<2> {
        self.with_lexicon(self.forward_words(self.words(batch), batch.mask.clone()), batch)
    }

    /// The embeddings of the distinct words of a batch, `[distinct, embedding]`, each with the spelling of its form
    /// beside it if the model reads it, and with the vector of its text's label added if the model has one. A batch without
    /// forms has spellings of zeros, and nothing is added in a batch without labels.
    pub fn rows(&self, batch: &Batch) -> Tensor<2> {
        self.complete(self.embed.weight.val().select(0, batch.distinct.clone()), batch)
    }

    /// The same as [`rows`](Self::rows), of other embeddings of the distinct words of a batch.
    pub fn complete(&self, rows: Tensor<2>, batch: &Batch) -> Tensor<2> {
        let rows = match (&self.condition, &batch.conditions) {
            (Some(condition), Some(labels)) => rows + condition.weight.val().select(0, labels.clone()),
            _ => rows,
        };
        let Some(spelling) = &self.spelling else { return rows };
        let spellings = match &batch.spellings {
            Some(bytes) => spelling.forward(bytes),
            None => {
                let dimensions = spelling.conv.widths.iter().map(|layer| layer.conv.weight.dims()[0]).sum::<usize>();
                Tensor::zeros([rows.dims()[0], dimensions], &rows.device())
            }
        };
        Tensor::cat(vec![rows, spellings], 1)
    }

    /// The embedding at each position, `[batch, length, embedding]`, which is what [`rows`](Self::rows) says of the word
    /// there. At padding it has no meaning.
    pub fn embedded(&self, batch: &Batch) -> Tensor<3> {
        match self.spelling.is_some() || self.condition.is_some() {
            true => embedding(self.rows(batch), batch.distinct_indices.clone()),
            false => self.embed.forward(batch.ids.clone()),
        }
    }

    /// The same as [`forward`](Self::forward), for embeddings as [`rows`](Self::rows) returns them.
    /// Their gradient is as large as they are, not as large as the vocabulary.
    pub fn forward_rows(&self, rows: Tensor<2>, batch: &Batch) -> Tensor<2> {
        self.with_lexicon(self.forward_encoder(rows, batch), batch)
    }

    fn with_lexicon(&self, of_encoder: Tensor<2>, batch: &Batch) -> Tensor<2> {
        match &self.lexicon {
            Some(lexicon) => self.combine(of_encoder, lexicon.logits(batch)),
            None => of_encoder,
        }
    }

    /// What the encoder alone says: the logits of a model without a lexicon, `[batch, outputs]`. With a lexicon the
    /// logits of the model are these, [combined](Self::combine) with those of the lexicon; each of both can be
    /// trained as a model of its own.
    pub fn forward_encoder(&self, rows: Tensor<2>, batch: &Batch) -> Tensor<2> {
        self.forward_words(Words::new(rows, batch), batch.mask.clone())
    }

    fn forward_words(&self, words: Words, mask: Tensor<2>) -> Tensor<2> {
        let drops = dropout::probability(&self.dropout, &words.device()) > 0.0;
        // The table includes the head, so there are no features to drop.
        if self.encoder.linear_kernel().is_some() && self.pooling == Pooling::Mean && !drops {
            return self.pool(self.predict_words(words), mask);
        }
        match self.encoder.forward_pooled(&words, self.pooling) {
            Some(pooled) => self.predict_pooled(pooled, mask),
            None => self.finish(self.encoder.forward_words(&words), mask),
        }
    }

    /// The logits of the model, from those of its encoder and those of its lexicon: each times its share, and the
    /// bias.
    pub fn combine(&self, of_encoder: Tensor<2>, of_lexicon: Tensor<2>) -> Tensor<2> {
        self.add_bias(self.weighted(of_encoder) + of_lexicon.mul_scalar(1.0 - self.encoder_share))
    }

    /// The same as [`forward`](Self::forward), for vectors instead of ids and layer by layer: the path
    /// of a gradient with respect to the words. A lexicon adds nothing, for it reads ids.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, length, embedding]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, outputs]`
    pub fn forward_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        self.weighted(self.finish(self.encode_embedded(x, mask.clone()), mask))
    }

    /// What each position contributes to each logit, `[batch, positions, outputs]`. The sum over the
    /// positions, plus the bias, is the logit.
    ///
    /// With mean pooling, a position contributes its prediction divided by the number of positions. With
    /// max pooling, it contributes the features that are largest there; this is exact as long as the same
    /// positions remain the largest.
    pub fn scores(&self, batch: &Batch) -> Tensor<3> {
        let scores = match (self.encoder.linear_kernel(), self.pooling) {
            (Some(_), Pooling::Mean) => self.shares(self.predict_positions(batch), batch.mask.clone()),
            _ => self.score(self.encoder.forward_words(&self.words(batch)), batch.mask.clone()),
        };
        self.add_lexicon(self.weighted(scores), batch)
    }

    /// The same as [`scores`](Self::scores), always layer by layer.
    pub fn scores_by_layer(&self, batch: &Batch) -> Tensor<3> {
        self.add_lexicon(self.scores_embedded(self.embedded(batch), batch.mask.clone()), batch)
    }

    /// The same as [`scores`](Self::scores), for vectors instead of ids. The shapes of the inputs are
    /// those of [`forward_embedded`](Self::forward_embedded), and as there, a lexicon adds nothing.
    pub fn scores_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.weighted(self.score(self.encode_embedded(x, mask.clone()), mask))
    }

    /// The sums over the positions of [`scores_embedded`](Self::scores_embedded), `[batch, outputs]`, by a kernel that
    /// pools as it goes if there is one.
    pub fn sums_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        match self.encoder.forward_pooled(&Words::of_positions(x.clone(), mask.clone()), self.pooling) {
            Some(pooled) => {
                let evidence = self.evidence(self.position_mask(mask));
                self.weighted(pooled.matmul(self.head_weight()) * evidence)
            }
            None => self.scores_embedded(x, mask).sum_dim(1).squeeze_dim::<2>(1),
        }
    }

    /// The encoder's output at every position, `[batch, positions, hidden]`; the values at masked
    /// positions have no meaning.
    pub fn encode(&self, batch: &Batch) -> Tensor<3> {
        self.encoder.forward_words(&self.words(batch))
    }

    /// What the head predicts from at every position, `[batch, positions, hidden]`, for embeddings as
    /// [`rows`](Self::rows) returns them. In training some of it is dropped, at every position separately, and some of
    /// the embeddings, of every distinct word separately. This is the path of tasks with a target for every position.
    pub fn features(&self, rows: Tensor<2>, batch: &Batch) -> Tensor<3> {
        let dropped = dropout::probability(&self.dropout, &rows.device());
        let drop_rows = |rows| if dropped > 0.0 { drop_values(rows, dropped) } else { rows };
        let features = self.encoder.forward_words(&Words::new(drop_rows(rows), batch));
        if dropped > 0.0 { drop_values(features, dropped) } else { features }
    }

    /// The logits at every position, `[batch, positions, outputs]`: the answer of a model whose task has a target for
    /// every position. A lexicon adds nothing.
    pub fn forward_positions(&self, batch: &Batch) -> Tensor<3> {
        if self.clusters.is_empty() {
            self.add_position_bias(self.predict_positions(batch))
        } else {
            self.predict_features(self.encode(batch))
        }
    }

    /// The same as [`forward_positions`](Self::forward_positions), from [`features`](Self::features).
    pub fn predict_features(&self, features: Tensor<3>) -> Tensor<3> {
        if self.clusters.is_empty() {
            return self.add_position_bias(self.predict_encoded(features));
        }
        let [batch, positions, hidden] = features.dims();
        let predictions = self.predict_rows(features.reshape([batch * positions, hidden]));
        predictions.reshape([batch as i64, positions as i64, -1])
    }

    /// The logits of `x`, `[rows, hidden]`: `[rows, outputs]`.
    fn predict_rows(&self, x: Tensor<2>) -> Tensor<2> {
        let of_head = self.add_head_bias(x.clone().matmul(self.head_weight()));
        if self.clusters.is_empty() { of_head } else { adaptive::log_probabilities(of_head, x, &self.clusters) }
    }

    /// The mean cross-entropy at the positions that have a target, and how many are right; see
    /// [`position_cross_entropy`].
    ///
    /// # Shapes
    ///
    /// - `features`: those of [`features`](Self::features)
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// As [`position_cross_entropy`].
    pub fn position_cross_entropy(&self, features: Tensor<3>, targets: &[Vec<Option<usize>>]) -> (Tensor<1>, usize) {
        let weight = self.head.weight.val().squeeze_dim::<2>(2);
        let bias = match &self.head.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([weight.dims()[0]], &features.device()),
        };
        if self.clusters.is_empty() {
            return position_cross_entropy(features, weight, bias, targets);
        }
        let (x, targets) = rows_with_target(features, targets);
        adaptive::cross_entropy(x, (weight, bias), &self.clusters, &targets)
    }

    /// The number of outputs at every position.
    pub fn outputs(&self) -> usize {
        let of_head = self.head.weight.dims()[0];
        of_head - self.clusters.len() + self.clusters.iter().map(Cluster::len).sum::<usize>()
    }

    /// The weight of each of the encoder's channels in each output, `[outputs, hidden]`. Those of a rare output are
    /// relative to the others of its [cluster](Self::clusters).
    pub fn output_weights(&self) -> Tensor<2> {
        let weight = self.head.weight.val().squeeze_dim::<2>(2);
        let [of_head, hidden] = weight.dims();
        let frequent = weight.slice([0..of_head - self.clusters.len(), 0..hidden]);
        Tensor::cat([frequent].into_iter().chain(self.clusters.iter().map(Cluster::directions)).collect(), 0)
    }

    /// The same as [`forward_positions`](Self::forward_positions), for vectors instead of ids and layer by layer. The
    /// shapes of the inputs are those of [`forward_embedded`](Self::forward_embedded).
    pub fn forward_positions_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.predict_features(self.encode_embedded(x, mask))
    }

    fn add_position_bias(&self, predictions: Tensor<3>) -> Tensor<3> {
        match &self.head.bias {
            Some(bias) => predictions + bias.val().unsqueeze::<3>(),
            None => predictions,
        }
    }

    /// The prediction at every position, `[batch, positions, outputs]`, without the bias (which is the
    /// same at every position) and the lexicon. A linear model looks it up in the [`Folded`] table of the batch's words.
    /// Any other model looks up its first layer and computes the others.
    pub fn predict_positions(&self, batch: &Batch) -> Tensor<3> {
        self.predict_words(self.words(batch))
    }

    fn predict_words(&self, words: Words) -> Tensor<3> {
        match self.encoder.linear_kernel() {
            Some(kernel) => {
                let folded = Folded::new(words.rows(), kernel, self.head.weight.val(), self.receptive_field());
                folded.predict_positions(words.indices(), words.mask())
            }
            None => self.predict_encoded(self.encoder.forward_words(&words)),
        }
    }

    /// The same as [`predict_positions`](Self::predict_positions), always layer by layer.
    pub fn predict_positions_by_layer(&self, batch: &Batch) -> Tensor<3> {
        self.predict_encoded(self.encode_embedded(self.embedded(batch), batch.mask.clone()))
    }

    /// The mean of the predictions at every position, shrunk, plus the bias of the head.
    ///
    /// # Shapes
    ///
    /// - `positions`: `[batch, positions, outputs]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, outputs]`
    pub fn pool(&self, positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let mask = self.position_mask(mask);
        self.add_head_bias(mean_over_positions(positions, mask.clone()) * self.evidence(mask))
    }

    /// The table that the model folds into, if the model is linear including its pooling.
    pub fn fold(&self) -> Option<Folded> {
        let is_plain = self.lexicon.is_none() && self.spelling.is_none() && self.condition.is_none();
        let is_linear = self.pooling == Pooling::Mean && self.shrinkage == 0.0 && is_plain;
        let kernel = self.encoder.linear_kernel().filter(|_| is_linear)?;
        Some(Folded::new(self.embed.weight.val(), kernel, self.head.weight.val(), self.receptive_field()))
    }

    /// What one prediction sees of the text.
    pub fn receptive_field(&self) -> ReceptiveField {
        self.field
    }

    /// The number of tokens per position that predicts.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How the positions of a text are pooled.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// What the pooled features of a text of this many positions are multiplied by: the share that
    /// [`ModelConfig::shrinkage`] leaves, times the share of the encoder beside a lexicon.
    pub fn evidence_of(&self, positions: usize) -> f64 {
        let (positions, shrinkage) = (positions as f64, f64::from(self.shrinkage));
        let share = if shrinkage == 0.0 { 1.0 } else { positions / (positions + shrinkage) };
        share * f64::from(self.encoder_share)
    }

    /// The logits of a text without evidence, `[outputs]`.
    pub fn bias(&self) -> Option<Tensor<1>> {
        let of_lexicon = self.lexicon.as_ref().map(|lexicon| lexicon.bias.val());
        of_lexicon.or_else(|| self.head.bias.as_ref().map(Param::val))
    }

    /// The device that the weights are on.
    pub fn device(&self) -> Device {
        self.embed.weight.val().device()
    }

    fn words(&self, batch: &Batch) -> Words {
        let embeddings = self.embed.weight.val();
        let are_plain = self.spelling.is_none() && self.condition.is_none();
        let records = embeddings.device().is_autodiff();
        if self.encoder.reads_as_they_are() && are_plain && !records && has_kernels(&embeddings) {
            return Words::from_parts(embeddings, batch.ids.clone(), batch.mask.clone());
        }
        Words::new(self.rows(batch), batch)
    }

    /// `[batch, length, embedding]` to `[batch, positions, hidden]`.
    fn encode_embedded(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        self.encoder.forward(zero_padding(x, mask.clone().unsqueeze_dim(2)), mask)
    }

    /// The head at every position: `[batch, positions, hidden]` to `[batch, positions, outputs]`.
    fn predict_encoded(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, positions, hidden] = x.dims();
        let x = x.reshape([batch * positions, hidden]);
        x.matmul(self.head_weight()).reshape([batch as i64, positions as i64, -1])
    }

    /// The logits, from the features at every position, `[batch, positions, hidden]`.
    fn finish(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
        let drops = dropout::probability(&self.dropout, &x.device()) > 0.0;
        match self.pooling {
            Pooling::Mean if !drops => self.pool(self.predict_encoded(x), mask),
            Pooling::Mean => self.predict_pooled(mean_over_positions(x, self.position_mask(mask.clone())), mask),
            Pooling::Max => self.predict_pooled(max_over_positions(x, self.position_mask(mask.clone())), mask),
        }
    }

    fn score(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        match self.pooling {
            Pooling::Mean => self.shares(self.predict_encoded(x), mask),
            Pooling::Max => {
                let mask = self.position_mask(mask);
                let scores = shares_of_the_largest(x, mask.clone(), self.head_weight());
                scores * self.evidence(mask).unsqueeze_dim::<3>(2)
            }
        }
    }

    fn add_lexicon(&self, scores: Tensor<3>, batch: &Batch) -> Tensor<3> {
        match &self.lexicon {
            Some(lexicon) => scores + lexicon.scores(batch),
            None => scores,
        }
    }

    /// The share of its pooled features that each text keeps, `[batch, 1]`, from a mask of positions.
    fn evidence(&self, mask: Tensor<2>) -> Tensor<2> {
        let count = mask.sum_dim(1);
        if self.shrinkage == 0.0 { count.ones_like() } else { count.clone() / count.add_scalar(self.shrinkage) }
    }

    /// The predictions divided by the number of positions that count, zero at padding.
    fn shares(&self, positions: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let mask = self.position_mask(mask);
        let count = mask.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
        positions * (mask.clone() / count * self.evidence(mask)).unsqueeze_dim::<3>(2)
    }

    /// The logits, from pooled features, `[batch, hidden]`. In training some of them are dropped. `mask` is the mask of
    /// the tokens, which says how long each text is.
    fn predict_pooled(&self, pooled: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
        let evidence = self.evidence(self.position_mask(mask));
        self.add_head_bias(self.dropout.forward(pooled).matmul(self.head_weight()) * evidence)
    }

    /// `[hidden, outputs]`
    fn head_weight(&self) -> Tensor<2> {
        self.head.weight.val().squeeze_dim::<2>(2).swap_dims(0, 1)
    }

    fn add_bias(&self, logits: Tensor<2>) -> Tensor<2> {
        match self.bias() {
            Some(bias) => logits + bias.unsqueeze::<2>(),
            None => logits,
        }
    }

    fn add_head_bias(&self, logits: Tensor<2>) -> Tensor<2> {
        match &self.head.bias {
            Some(bias) => logits + bias.val().unsqueeze::<2>(),
            None => logits,
        }
    }

    /// What the encoder says, times its share beside a lexicon.
    fn weighted<const D: usize>(&self, of_encoder: Tensor<D>) -> Tensor<D> {
        if self.lexicon.is_some() { of_encoder.mul_scalar(self.encoder_share) } else { of_encoder }
    }

    /// From a mask of tokens to a mask of the positions that predict.
    fn position_mask(&self, mask: Tensor<2>) -> Tensor<2> {
        downsampled(mask, self.stride)
    }
}

impl<E: Stream> TextModel<E> {
    /// The state before the first token of `batch` texts that are read a token at a time; none if the
    /// encoder [cannot](Stream::begin) read this way, or the model reads the spelling of words.
    pub fn begin(&self, batch: usize) -> Option<StreamState> {
        self.encoder.begin(batch, &self.device()).filter(|_| self.spelling.is_none())
    }

    /// Reads one more token of each text, and predicts at its position, as
    /// [`forward_positions`](Self::forward_positions) does.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[batch]`, below the size of the vocabulary
    /// - `labels`: `[batch]`, the labels that the texts are written for; none if there are no such labels
    /// - output: `[batch, outputs]`
    ///
    /// # Panics
    ///
    /// If `state` is that of another model or of another number of texts.
    pub fn predict_next(
        &self,
        state: &mut StreamState,
        ids: Tensor<1, Int>,
        labels: Option<Tensor<1, Int>>,
    ) -> Tensor<2> {
        let x = self.embed.weight.val().select(0, ids);
        let x = match (&self.condition, labels) {
            (Some(condition), Some(labels)) => x + condition.weight.val().select(0, labels),
            _ => x,
        };
        self.predict_rows(self.encoder.step(state, x))
    }
}

//! What can go wrong when a model learns.

use convlens_run::RunError;
use convlens_run::model::ConfigError;
use convlens_run::text::TextError;

use crate::UnknownPreset;

/// An error of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// No model can be built from the settings.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// There is no preset with that name.
    #[error(transparent)]
    Preset(#[from] UnknownPreset),
    /// No tokenizer can be trained on the texts, or one cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A setting is not possible, a text is too long, or the device cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There are no texts to train on, or none to choose the best epoch by.
    #[error("training needs texts in both splits, but has {train} for training and {validation} for validation")]
    EmptySplit {
        /// The number of texts for training.
        train: usize,
        /// The number of texts for validation.
        validation: usize,
    },
    /// There are fewer than two distinct labels.
    #[error("the texts have {0} distinct labels, and a classifier needs two or more")]
    OneLabel(usize),
    /// A validation text has a label that no training text has.
    #[error("the label {0:?} is not among those of the training texts")]
    UnknownLabel(String),
    /// The tokenizer is a file, and only a tokenizer that is trained on the texts is possible.
    #[error("the tokenizer must be one that is trained on the texts, not a file")]
    ForeignTokenizer,
    /// The loss is no longer a finite number.
    #[error("the loss is not a finite number; a lower learning rate may help")]
    NotFinite,
    /// All steps were taken, or patience has run out.
    #[error("training has ended")]
    Ended,
    /// A step failed before, and the weights are lost.
    #[error("training failed before; start it again")]
    Failed,
    /// The probability of word dropout is not from 0 to 1.
    #[error("word_dropout must be a number from 0 to 1, but is {0}")]
    WordDropout(f64),
    /// The lexicon is missing, unexpected, or of another size.
    #[error("the model has a lexicon of {expected:?} phrases, but got one of {found:?}")]
    Lexicon {
        /// The number of phrases in the model's settings.
        expected: Option<usize>,
        /// The number of phrases that were counted.
        found: Option<usize>,
    },
    /// The word vectors are of another vocabulary.
    #[error("the model has a vocabulary of {vocab_size} tokens, but got {found} word vectors")]
    Vectors {
        /// The size of the vocabulary.
        vocab_size: usize,
        /// The number of vectors.
        found: usize,
    },
    /// A step got no texts.
    #[error("a training step needs at least one text")]
    EmptyBatch,
    /// The number of labels differs from the number of texts.
    #[error("a training step got {labels} labels for {texts} texts")]
    LabelCount {
        /// The number of texts.
        texts: usize,
        /// The number of labels.
        labels: usize,
    },
    /// The number of labels differs from the number of tokens of a text.
    #[error("a text of {tokens} tokens has {labels} labels")]
    PositionCount {
        /// The number of tokens.
        tokens: usize,
        /// The number of labels.
        labels: usize,
    },
    /// The model has a chain over the labels of a text, and a text has no tokens, or a token without a label.
    #[error("a chain needs a label for every token, and texts with tokens")]
    ChainLabels,
    /// The tokens have labels, and the model does not predict at every token.
    #[error(
        "labels for every token need a model with masked padding, without downsampling and without a lexicon, which \
         predicts at every token"
    )]
    NoPositions,
    /// The labels are the next tokens, and the model sees them.
    #[error("the model sees the tokens that it is to predict; its encoder must be causal")]
    NotCausal,
    /// A label is not one of the model's classes.
    #[error("label {label} is not one of the model's {classes} classes, which are counted from 0")]
    Label {
        /// The label.
        label: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Texts have the probabilities of another number of labels, or one is not from 0 to 1.
    #[error("a text needs {classes} probabilities from 0 to 1, one for each label, but has {found}")]
    Probabilities {
        /// The number of the model's classes.
        classes: usize,
        /// What the text has.
        found: String,
    },
    /// A token is not in the model's vocabulary.
    #[error("token id {id} is not in the model's vocabulary of {vocab_size} tokens")]
    Token {
        /// The id of the token.
        id: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// A step comes after the last one, or there are none.
    #[error("training has {steps} steps, but {done} were already taken")]
    Schedule {
        /// The number of steps taken.
        done: usize,
        /// The number of steps in total.
        steps: usize,
    },
}

/// Saved weights or a saved optimiser state that does not fit the model. Every message begins with the
/// name of the values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Values of the model are missing.
    #[error("{0} is missing")]
    Missing(String),
    /// The model has no such values.
    #[error("{0} belongs to no parameter of the model")]
    Unknown(String),
    /// The number of values differs.
    #[error("{name} has {found} values, but the model needs {expected}")]
    Length {
        /// The name of the values.
        name: String,
        /// How many there are.
        found: usize,
        /// How many the model has.
        expected: usize,
    },
    /// A value is infinite or not a number.
    #[error("{0} has a value that is not a finite number")]
    NotFinite(String),
    /// A second moment, which is a mean of squares, is negative.
    #[error("{0} has a negative value, but it is a mean of squares")]
    Negative(String),
}

impl StateError {
    /// Checks the number of the values called `name`, and that they are finite.
    pub(crate) fn check(name: &str, values: &[f32], expected: usize) -> Result<(), Self> {
        if values.len() != expected {
            return Err(Self::Length { name: name.into(), found: values.len(), expected });
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Self::NotFinite(name.into()));
        }
        Ok(())
    }
}

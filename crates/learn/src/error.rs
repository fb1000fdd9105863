//! What can go wrong when a model learns.

use convlens_run::model::ConfigError;

/// An error of [`Learner`](crate::Learner).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// No model can be built from the settings.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The probability of word dropout is not from 0 to 1.
    #[error("word_dropout must be a number from 0 to 1, but is {0}")]
    WordDropout(f64),
    /// The lexicon is missing, unexpected, or of another size.
    #[error("the model has a lexicon of {expected:?} pairs of words, but got one of {found:?}")]
    Lexicon {
        /// The number of pairs in the model's settings.
        expected: Option<usize>,
        /// The number of pairs that were counted.
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
    /// A label is not one of the model's classes.
    #[error("label {label} is not one of the model's {classes} classes, which are counted from 0")]
    Label {
        /// The label.
        label: usize,
        /// The number of classes.
        classes: usize,
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

//! The errors of this crate.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The bytes are not a `tokenizer.json` that this version reads.
    #[error("not a tokenizer.json: {0}")]
    Format(String),
    /// The tokenizer would need an unreasonable amount of memory, or does not keep to its vocabulary.
    #[error("this tokenizer cannot be used: {0}")]
    Unsafe(String),
    /// The corpus contains no tokens to build a vocabulary from.
    #[error("the training texts contain no words, so there is nothing to build a vocabulary from")]
    EmptyCorpus,
    /// The vocabulary is too small for a token besides the special tokens.
    #[error("a vocabulary of {0} is too small: three tokens are special, so 4 is the minimum")]
    VocabularyTooSmall(usize),
    /// The tokenizer needs the feature `library`, as byte pairs and those of other programs do.
    #[error("this tokenizer needs the tokenizers library, which is not included in this build")]
    NoLibrary,
    /// The tokenizers library refused a text or a configuration.
    #[cfg(feature = "library")]
    #[error("tokenizer: {0}")]
    Library(#[from] tokenizers::Error),
}

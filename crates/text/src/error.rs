//! What can go wrong between text and ids.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The bytes are no `tokenizer.json` that this version reads.
    #[error("not a tokenizer.json: {0}")]
    Format(String),
    /// The corpus held no token to build a vocabulary from.
    #[error("the training texts hold no word to build a vocabulary from")]
    EmptyCorpus,
    /// The vocabulary size leaves no room beside the special tokens.
    #[error("a vocabulary of {0} leaves no room beside the three special tokens; ask for 4 or more")]
    VocabularyTooSmall(usize),
    /// Byte pairs and tokenizers that are not this crate's own want the feature `library`.
    #[error("this tokenizer wants the tokenizers library, which this build is without")]
    NoLibrary,
    /// The tokenizers library refused a text or a configuration.
    #[cfg(feature = "library")]
    #[error("tokenizer: {0}")]
    Library(#[from] tokenizers::Error),
}

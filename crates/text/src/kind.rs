//! The kinds of tokenizer that this crate trains.

use serde::{Deserialize, Serialize};

/// How a text is split into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenizerKind {
    /// Lower-case words, split at white space and the characters that Keras filters out. Rare words
    /// become `[UNK]`.
    Words,
    /// As words, but only white space and `<br />` are left out, and every punctuation mark is a token
    /// of its own.
    Punctuated,
    /// As punctuated, and English contractions are two tokens, as in the Penn Treebank: *does* and *n't*, *it* and
    /// *'s*.
    Contractions,
    /// Lower-case characters. Rare characters become `[UNK]`.
    Characters,
    /// Characters as they are, capital letters included. Rare characters become `[UNK]`.
    CasedCharacters,
    /// Bytes. The text is not converted to lower case, and no text has unknown tokens.
    Bytes,
    /// Byte-pair encoding of the lower-case text (Sennrich, Haddow and Birch 2016, on bytes). No text
    /// has unknown tokens: a rare word becomes several.
    Bpe,
    /// As byte pairs, of the text as it is.
    CasedBpe,
}

impl TokenizerKind {
    /// The kinds that look whole pieces of a text up in a vocabulary.
    pub(crate) const WORD_LEVEL: [Self; 5] =
        [Self::Words, Self::Punctuated, Self::Contractions, Self::Characters, Self::CasedCharacters];

    /// Whether texts are not converted to lower case.
    pub(crate) fn is_cased(self) -> bool {
        matches!(self, Self::CasedCharacters | Self::Bytes | Self::CasedBpe)
    }
}

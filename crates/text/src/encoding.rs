//! A text as ids, and the special tokens.

/// The padding token of the tokenizers that this crate trains; id 0.
pub const PAD: &str = "[PAD]";
/// The token at the start of every text; id 1.
pub const START: &str = "[START]";
/// The token for every word that is not in the vocabulary; id 2.
pub const UNK: &str = "[UNK]";
/// The names that tokenizers give the unknown token.
pub(crate) const UNKNOWN_TOKENS: [&str; 3] = [UNK, "<unk>", "<UNK>"];

/// A text as ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// One id per token, special tokens included.
    pub ids: Vec<u32>,
    /// The byte range of each token in the text, at character boundaries. It is empty (`start == end`)
    /// for a token that is not part of the text, such as the start token.
    pub offsets: Vec<(usize, usize)>,
}

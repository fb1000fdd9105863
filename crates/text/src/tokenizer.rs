//! A tokenizer in the Hugging Face format: text to ids with offsets, and ids to tokens.

use rayon::prelude::*;
use tokenizers::{AddedToken, Tokenizer as Inner};

use crate::TextError;
use crate::word_level::WordLevelIds;

/// The padding token of the tokenizers that this crate trains; id 0.
pub const PAD: &str = "[PAD]";
/// The token at the start of every text; id 1.
pub const START: &str = "[START]";
/// The token that stands for every word outside the vocabulary; id 2.
pub const UNK: &str = "[UNK]";
/// What tokenizers call that token.
const UNKNOWN: [&str; 3] = [UNK, "<unk>", "<UNK>"];

/// A text as ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// One id a token, special tokens included.
    pub ids: Vec<u32>,
    /// Each token's byte range in the text; empty (`start == end`) for a token that stands
    /// for nothing in it, as the start token does.
    pub offsets: Vec<(usize, usize)>,
}

/// Text to ids and back.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
    /// The ids that stand for no word; a few.
    special: Vec<u32>,
    /// The short way for word-level tokenizers.
    word_level: Option<WordLevelIds>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, this crate's own or any that the `tokenizers` library knows.
    ///
    /// Padding and truncation set in it are put aside: the model decides on both. Special
    /// tokens written out in a text are read as plain text, so that no text can smuggle one in.
    ///
    /// # Errors
    ///
    /// [`TextError::Format`] where the bytes are no tokenizer.
    pub fn from_json(json: &[u8]) -> Result<Self, TextError> {
        let inner = Inner::from_bytes(json).map_err(|error| TextError::Format(error.to_string()))?;
        Self::new(inner)
    }

    pub(crate) fn new(mut inner: Inner) -> Result<Self, TextError> {
        inner.with_padding(None);
        inner.with_truncation(None)?;
        inner.set_encode_special_tokens(true);
        let is_special = |token: &AddedToken| token.special && !UNKNOWN.contains(&token.content.as_str());
        let added = inner.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| is_special(token)).map(|(&id, _)| id).collect();
        let word_level = WordLevelIds::of(&inner);
        Ok(Self { inner, special, word_level })
    }

    /// The tokenizer as a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] where the library cannot write it.
    pub fn to_json(&self) -> Result<String, TextError> {
        Ok(self.inner.to_string(true)?)
    }

    /// A text as ids with the byte range of each.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] where the tokenizer has no unknown token and needs one.
    pub fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        match &self.word_level {
            Some(words) => Ok(words.encode(text)),
            None => self.encode_by_library(text),
        }
    }

    pub(crate) fn encode_by_library(&self, text: &str) -> Result<Encoding, TextError> {
        let encoding = self.inner.encode(text, true)?;
        Ok(Encoding { ids: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    /// A text as ids.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.word_level {
            Some(words) => Ok(words.ids(text)),
            None => Ok(self.inner.encode_fast(text, true)?.get_ids().to_vec()),
        }
    }

    /// Many texts as ids, on all cores.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        if let Some(words) = &self.word_level {
            return Ok(texts.par_iter().map(|text| words.ids(text)).collect());
        }
        let encodings = self.inner.encode_batch_fast(texts.to_vec(), true)?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    /// Whether texts go to ids in one pass over their bytes, as those of the word-level tokenizers
    /// do that this crate trains; the ids are the library's.
    pub fn is_word_level(&self) -> bool {
        self.word_level.is_some()
    }

    /// How many ids there are; each id is smaller than this.
    pub fn vocab_size(&self) -> usize {
        let vocab = self.inner.get_vocab(true);
        vocab.values().max().map_or(0, |&highest| highest as usize + 1)
    }

    /// The token of an id, if there is one.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token, if the vocabulary has it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Whether an id is a token that stands for no word, such as padding or the start.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The id that fills a batch's empty places.
    pub fn pad_id(&self) -> Option<u32> {
        self.first_of(&[PAD, "<pad>", "<PAD>", "<|padding|>"])
    }

    /// The id of words outside the vocabulary; byte-level tokenizers have none.
    pub fn unk_id(&self) -> Option<u32> {
        self.first_of(&UNKNOWN)
    }

    fn first_of(&self, names: &[&str]) -> Option<u32> {
        names.iter().find_map(|name| self.id(name))
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish()
    }
}

//! A tokenizer in the Hugging Face format: from texts to ids with offsets, and from ids to tokens.

#[cfg(feature = "rayon")]
use rayon::prelude::*;

use crate::TextError;
use crate::encoding::{Encoding, PAD, START, UNKNOWN_TOKENS};
#[cfg(feature = "library")]
use crate::library::Library;
use crate::word_level::WordLevel;

/// Converts texts to ids and back.
#[derive(Clone, Debug)]
pub struct Tokenizer(Implementation);

/// Who does the work.
#[derive(Clone, Debug)]
enum Implementation {
    WordLevel(WordLevel),
    #[cfg(feature = "library")]
    Library(Library),
}

/// Makes the same call on either implementation.
macro_rules! either {
    ($self:ident, $tokenizer:ident => $call:expr) => {
        match &$self.0 {
            Implementation::WordLevel($tokenizer) => $call,
            #[cfg(feature = "library")]
            Implementation::Library($tokenizer) => $call,
        }
    };
}

impl Tokenizer {
    /// Reads a `tokenizer.json`: one that this crate wrote, or any that the `tokenizers` library reads.
    ///
    /// Padding and truncation settings in the file are ignored, because the model decides on both. A
    /// special token that is spelled out in a text is read as plain text.
    ///
    /// The file may come from a stranger: whatever it says, it costs memory in proportion to its size.
    /// Ids may have gaps, but at most as many as there are tokens.
    ///
    /// # Errors
    ///
    /// [`TextError::Format`] if the bytes are not a tokenizer; [`TextError::Unsafe`] if the tokenizer
    /// would need an unreasonable amount of memory or produce ids outside its vocabulary;
    /// [`TextError::NoLibrary`] if it needs the library and this crate was built without it.
    pub fn from_json(json: &[u8]) -> Result<Self, TextError> {
        match WordLevel::read(json) {
            Some(words) => Ok(words.into()),
            #[cfg(feature = "library")]
            None => Ok(Library::read(json)?.into()),
            #[cfg(not(feature = "library"))]
            None => match serde_json::from_slice::<serde_json::Value>(json) {
                Ok(_) => Err(TextError::NoLibrary),
                Err(error) => Err(TextError::Format(error.to_string())),
            },
        }
    }

    /// The tokenizer as a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] if the library cannot write it.
    pub fn to_json(&self) -> Result<String, TextError> {
        match &self.0 {
            Implementation::WordLevel(words) => Ok(words.to_json().into()),
            #[cfg(feature = "library")]
            Implementation::Library(library) => library.to_json(),
        }
    }

    /// The ids of a text, with the byte range of each.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] if the tokenizer needs an unknown token and has none;
    /// [`TextError::Unsafe`] if it produces an id outside its vocabulary. A tokenizer that this crate
    /// trained has neither problem.
    pub fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        match &self.0 {
            Implementation::WordLevel(words) => Ok(words.encode(text)),
            #[cfg(feature = "library")]
            Implementation::Library(library) => library.encode(text),
        }
    }

    /// The ids of a text.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.0 {
            Implementation::WordLevel(words) => Ok(words.ids(text)),
            #[cfg(feature = "library")]
            Implementation::Library(library) => library.ids(text),
        }
    }

    /// The ids of many texts, computed on all cores.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        match &self.0 {
            #[cfg(feature = "rayon")]
            Implementation::WordLevel(words) => Ok(texts.par_iter().map(|text| words.ids(text)).collect()),
            #[cfg(not(feature = "rayon"))]
            Implementation::WordLevel(words) => Ok(texts.iter().map(|text| words.ids(text)).collect()),
            #[cfg(feature = "library")]
            Implementation::Library(library) => library.encode_ids(texts),
        }
    }

    /// Whether it is one of the word-level tokenizers that this crate trains. These convert a text in
    /// one pass over its bytes, without the `tokenizers` library, and give the library's ids.
    pub fn is_word_level(&self) -> bool {
        matches!(self.0, Implementation::WordLevel(_))
    }

    #[cfg(feature = "library")]
    pub(crate) fn library(&self) -> Option<&Library> {
        match &self.0 {
            Implementation::WordLevel(_) => None,
            Implementation::Library(library) => Some(library),
        }
    }

    /// Whether tokens keep the white space of a text, as characters, bytes and byte pairs do and words do not.
    pub fn keeps_white_space(&self) -> bool {
        self.splits_characters() || !self.is_word_level()
    }

    /// Whether each token is a character.
    pub(crate) fn splits_characters(&self) -> bool {
        match &self.0 {
            Implementation::WordLevel(words) => words.splits_characters(),
            #[cfg(feature = "library")]
            Implementation::Library(_) => false,
        }
    }

    /// The size of the vocabulary. Every id is smaller.
    pub fn vocab_size(&self) -> usize {
        either!(self, tokenizer => tokenizer.vocab_size())
    }

    /// The token with an id, if there is one.
    pub fn token(&self, id: u32) -> Option<String> {
        either!(self, tokenizer => tokenizer.token(id))
    }

    /// The id of a token, if it is in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        either!(self, tokenizer => tokenizer.id(token))
    }

    /// Whether an id belongs to a token that is not a word, such as the padding or start token.
    pub fn is_special(&self, id: u32) -> bool {
        either!(self, tokenizer => tokenizer.is_special(id))
    }

    /// The id of the padding token, if there is one.
    pub fn pad_id(&self) -> Option<u32> {
        self.first_of(&[PAD, "<pad>", "<PAD>", "<|padding|>"])
    }

    /// The id at the start of every text, if there is one.
    pub fn start_id(&self) -> Option<u32> {
        self.first_of(&[START, "<s>", "[CLS]", "<|endoftext|>", "<bos>"])
    }

    /// The id for words outside the vocabulary. Byte-level tokenizers have none.
    pub fn unk_id(&self) -> Option<u32> {
        self.first_of(&UNKNOWN_TOKENS)
    }

    fn first_of(&self, names: &[&str]) -> Option<u32> {
        names.iter().find_map(|name| self.id(name))
    }
}

impl From<WordLevel> for Tokenizer {
    fn from(words: WordLevel) -> Self {
        Self(Implementation::WordLevel(words))
    }
}

#[cfg(feature = "library")]
impl From<Library> for Tokenizer {
    fn from(library: Library) -> Self {
        Self(Implementation::Library(library))
    }
}

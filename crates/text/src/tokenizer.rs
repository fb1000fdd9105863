//! A tokenizer in the Hugging Face format: text to ids with offsets, and ids to tokens.

use rayon::prelude::*;

use crate::TextError;
#[cfg(feature = "library")]
use crate::library::Library;
use crate::word_level::WordLevel;

/// The padding token of the tokenizers that this crate trains; id 0.
pub const PAD: &str = "[PAD]";
/// The token at the start of every text; id 1.
pub const START: &str = "[START]";
/// The token that stands for every word outside the vocabulary; id 2.
pub const UNK: &str = "[UNK]";
/// What tokenizers call that token.
pub(crate) const UNKNOWN: [&str; 3] = [UNK, "<unk>", "<UNK>"];

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
#[derive(Clone, Debug)]
pub struct Tokenizer(Way);

/// Who does it.
#[derive(Clone, Debug)]
enum Way {
    WordLevel(WordLevel),
    #[cfg(feature = "library")]
    Library(Library),
}

/// The same call on whoever does it.
macro_rules! either {
    ($self:ident, $way:ident => $call:expr) => {
        match &$self.0 {
            Way::WordLevel($way) => $call,
            #[cfg(feature = "library")]
            Way::Library($way) => $call,
        }
    };
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, this crate's own or any that the `tokenizers` library knows.
    ///
    /// Padding and truncation set in it are put aside: the model decides on both. Special
    /// tokens written out in a text are read as plain text, so that no text can smuggle one in.
    ///
    /// # Errors
    ///
    /// [`TextError::Format`] where the bytes are no tokenizer; [`TextError::NoLibrary`] where they
    /// may be one of the library's and this crate was built without it.
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
    /// [`TextError::Library`] where the library cannot write it.
    pub fn to_json(&self) -> Result<String, TextError> {
        match &self.0 {
            Way::WordLevel(words) => Ok(words.to_json().into()),
            #[cfg(feature = "library")]
            Way::Library(library) => library.to_json(),
        }
    }

    /// A text as ids with the byte range of each.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] where the tokenizer has no unknown token and needs one.
    pub fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        match &self.0 {
            Way::WordLevel(words) => Ok(words.encode(text)),
            #[cfg(feature = "library")]
            Way::Library(library) => library.encode(text),
        }
    }

    /// A text as ids.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        match &self.0 {
            Way::WordLevel(words) => Ok(words.ids(text)),
            #[cfg(feature = "library")]
            Way::Library(library) => library.ids(text),
        }
    }

    /// Many texts as ids, on all cores.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        match &self.0 {
            Way::WordLevel(words) => Ok(texts.par_iter().map(|text| words.ids(text)).collect()),
            #[cfg(feature = "library")]
            Way::Library(library) => library.encode_ids(texts),
        }
    }

    /// Whether it is one of the word-level tokenizers that this crate trains: texts go to ids in one
    /// pass over their bytes, without the `tokenizers` library; the ids are the library's.
    pub fn is_word_level(&self) -> bool {
        matches!(self.0, Way::WordLevel(_))
    }

    /// How many ids there are; each id is smaller than this.
    pub fn vocab_size(&self) -> usize {
        either!(self, way => way.vocab_size())
    }

    /// The token of an id, if there is one.
    pub fn token(&self, id: u32) -> Option<String> {
        either!(self, way => way.token(id))
    }

    /// The id of a token, if the vocabulary has it.
    pub fn id(&self, token: &str) -> Option<u32> {
        either!(self, way => way.id(token))
    }

    /// Whether an id is a token that stands for no word, such as padding or the start.
    pub fn is_special(&self, id: u32) -> bool {
        either!(self, way => way.is_special(id))
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

impl From<WordLevel> for Tokenizer {
    fn from(words: WordLevel) -> Self {
        Self(Way::WordLevel(words))
    }
}

#[cfg(feature = "library")]
impl From<Library> for Tokenizer {
    fn from(library: Library) -> Self {
        Self(Way::Library(library))
    }
}

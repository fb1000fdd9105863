//! The word-level tokenizers that this crate trains: they convert a text to lower case (if they are not cased), split
//! it, look the words up and put the start token in front.
//!
//! This does in one pass over the bytes what the `tokenizers` library does, and does not need the
//! library. The library reads every other `tokenizer.json`.

use std::fmt;

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cut::cut;
use crate::encoding::{Encoding, PAD, START, UNK};
use crate::{TextError, TokenizerKind};

/// The special tokens, in the order of their ids.
const SPECIAL: [&str; 3] = [PAD, START, UNK];

/// The library's name for this kind of model.
const MODEL: &str = "WordLevel";

/// A word-level tokenizer.
#[derive(Clone)]
pub(crate) struct WordLevel {
    kind: TokenizerKind,
    ids: AHashMap<Box<str>, u32>,
    /// The tokens by id; `None` where an id is not used.
    tokens: Vec<Option<Box<str>>>,
    unknown: u32,
    /// The `tokenizer.json`.
    json: String,
}

/// The part of a `tokenizer.json` that is read.
#[derive(Deserialize)]
struct Format {
    added_tokens: Vec<Added>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    r#type: String,
    vocab: AHashMap<Box<str>, u32>,
    unk_token: String,
}

impl WordLevel {
    /// Reads a `tokenizer.json`; `None` if it is not one that this crate writes.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        let format: Format = serde_json::from_str(json).ok()?;
        let kind = TokenizerKind::WORD_LEVEL.into_iter().find(|&kind| {
            kind.pre_tokenizer() == Some(format.pre_tokenizer.clone()) && normalizer(kind) == format.normalizer
        })?;
        let ids = format.model.vocab;
        // A special token in a text is read as plain text, but any other added token would be a token.
        let is_ours = |token: &Added| token.special && ids.get(token.content.as_str()) == Some(&token.id);
        let fits = format.model.r#type == MODEL
            && format.post_processor == post_processor()
            && format.added_tokens.iter().all(is_ours)
            && ids.get(START) == Some(&1);
        let unknown = *ids.get(format.model.unk_token.as_str()).filter(|_| fits)?;
        Self::new(kind, ids, unknown, json.into())
    }

    /// A tokenizer with the special tokens and the given words, in the order of their ids.
    pub(crate) fn from_words(kind: TokenizerKind, words: impl Iterator<Item = String>) -> Result<Self, TextError> {
        let words = SPECIAL.into_iter().map(String::from).chain(words);
        let ids: AHashMap<Box<str>, u32> = words.map(String::into_boxed_str).zip(0..).collect();
        let pre_tokenizer = kind.pre_tokenizer().ok_or_else(|| TextError::Format("not word-level".into()))?;
        let mut tokens: Vec<_> = ids.iter().collect();
        tokens.sort_unstable_by_key(|(_, id)| **id);
        let vocab: serde_json::Map<String, Value> =
            tokens.into_iter().map(|(token, &id)| (token.to_string(), id.into())).collect();
        let added = |(content, id): (&str, u32)| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        };
        let format = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": SPECIAL.into_iter().zip(0..).map(added).collect::<Value>(),
            "normalizer": normalizer(kind),
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor(),
            "decoder": null,
            "model": { "type": MODEL, "vocab": vocab, "unk_token": UNK },
        });
        let json = serde_json::to_string_pretty(&format).map_err(|error| TextError::Format(error.to_string()))?;
        Self::new(kind, ids, 2, json).ok_or_else(|| TextError::Format("not word-level".into()))
    }

    /// `None` if more than half of the ids up to the highest are not used.
    fn new(kind: TokenizerKind, ids: AHashMap<Box<str>, u32>, unknown: u32, json: String) -> Option<Self> {
        let highest = ids.values().max().map_or(0, |&highest| highest as usize);
        let mut tokens = vec![None; highest.checked_add(1).filter(|&size| size <= 2 * ids.len())?];
        for (token, &id) in &ids {
            tokens[id as usize] = Some(token.clone());
        }
        Some(Self { kind, ids, tokens, unknown, json })
    }

    pub(crate) fn to_json(&self) -> &str {
        &self.json
    }

    pub(crate) fn encode(&self, text: &str) -> Encoding {
        let mut encoding = Encoding { ids: vec![1], offsets: vec![(0, 0)] };
        cut(self.kind, text, |token, range| {
            encoding.ids.push(self.id_or_unknown(token));
            encoding.offsets.push((range.start, range.end));
        });
        encoding
    }

    pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(1 + text.len() / 5);
        ids.push(1);
        cut(self.kind, text, |token, _| ids.push(self.id_or_unknown(token)));
        ids
    }

    fn id_or_unknown(&self, token: &str) -> u32 {
        self.ids.get(token).copied().unwrap_or(self.unknown)
    }

    pub(crate) fn splits_characters(&self) -> bool {
        matches!(self.kind, TokenizerKind::Characters | TokenizerKind::CasedCharacters)
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn token(&self, id: u32) -> Option<String> {
        Some(self.tokens.get(id as usize)?.as_ref()?.to_string())
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        id != self.unknown && SPECIAL.into_iter().any(|token| self.ids.get(token) == Some(&id))
    }
}

impl fmt::Debug for WordLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordLevel").field("kind", &self.kind).field("vocab_size", &self.vocab_size()).finish()
    }
}

fn normalizer(kind: TokenizerKind) -> Value {
    if kind.is_cased() { Value::Null } else { json!({ "type": "Lowercase" }) }
}

/// Puts the start token in front of every text.
fn post_processor() -> Value {
    let sequence = |id: &str, type_id: u32| json!({ "Sequence": { "id": id, "type_id": type_id } });
    json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": START, "type_id": 0 } }, sequence("A", 0)],
        "pair": [sequence("A", 0), sequence("B", 1)],
        "special_tokens": { START: { "id": START, "ids": [1], "tokens": [START] } },
    })
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::*;
    use crate::{Tokenizer, train};
    use proptest::prelude::*;

    fn tokenizer(kind: TokenizerKind) -> Tokenizer {
        let corpus = "the film was good good it's straße i̇stanbul ünïcode ΑΣ ας 10 x_y \u{a0} don't ! ( \u{307}";
        train(kind, 60, std::iter::once(corpus)).expect("trains")
    }

    #[test]
    fn the_library_reads_other_tokenizers() {
        let fast = |kind| train(kind, 300, std::iter::once("a good film")).expect("trains").is_word_level();
        assert!(fast(TokenizerKind::Words) && fast(TokenizerKind::Punctuated) && fast(TokenizerKind::Characters));
        assert!(!fast(TokenizerKind::Bpe));
        let json = tokenizer(TokenizerKind::Words).to_json().expect("JSON");
        let mut json: Value = serde_json::from_str(&json).expect("JSON");
        let reread = |json: &Value| Tokenizer::from_json(json.to_string().as_bytes()).expect("reads");
        assert!(reread(&json).is_word_level());
        json["model"]["type"] = "WordPiece".into();
        assert!(WordLevel::read(json.to_string().as_bytes()).is_none());
        json["model"]["type"] = MODEL.into();
        json["normalizer"] = Value::Null;
        assert!(!reread(&json).is_word_level());
    }

    proptest! {
        #[test]
        fn ids_and_offsets_match_the_library(
            text in r#"(\PC|good|film|It's|<br />|<BR />|<b|[A-Z]{1,3}|DON'T|'s|[İßΑΣςⒶ\u{a0}\u{300}\u{2028}\u{3000}\n\t\x1c'_.,<>()\[\]-]){0,30}"#
        ) {
            for kind in TokenizerKind::WORD_LEVEL {
                let tokenizer = tokenizer(kind);
                prop_assert!(tokenizer.is_word_level());
                let mut library: tokenizers::Tokenizer = tokenizer.to_json().expect("JSON").parse().expect("reads");
                library.set_encode_special_tokens(true);
                let expected = library.encode(text.as_str(), true).expect("encodes");
                let encoding = tokenizer.encode(&text).expect("encodes");
                prop_assert_eq!(&encoding.ids, expected.get_ids());
                prop_assert_eq!(&encoding.offsets, expected.get_offsets());
                prop_assert_eq!(&tokenizer.encode_ids(&[&text]).expect("encodes")[0], expected.get_ids());
            }
        }
    }
}

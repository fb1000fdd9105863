//! Lower-case words straight to ids: what the `tokenizers` library does for the word-level
//! tokenizers that this crate trains, in one pass over the bytes. Any other tokenizer goes the
//! library's way.

use std::ops::Range;

use ahash::AHashMap;
use tokenizers::{Model, ModelWrapper, NormalizerWrapper, Tokenizer as Inner};

use crate::train::{is_separator, pre_tokenizer, start_token};
use crate::{Encoding, START, TokenizerKind};

/// The vocabulary of a word-level tokenizer of this crate's making.
#[derive(Clone)]
pub(crate) struct WordLevelIds {
    ids: AHashMap<Box<[u8]>, u32>,
    unknown: u32,
    start: u32,
}

impl WordLevelIds {
    /// None for a tokenizer that does anything else than lower-case, cut at separators, look up and
    /// put the start token in front.
    pub(crate) fn of(inner: &Inner) -> Option<Self> {
        let ModelWrapper::WordLevel(model) = inner.get_model() else { return None };
        let is_lowercase = matches!(inner.get_normalizer()?, NormalizerWrapper::Lowercase(_));
        let ours = serde_json::to_value(pre_tokenizer(TokenizerKind::Words).ok()?).ok()?;
        let cuts_alike = serde_json::to_value(inner.get_pre_tokenizer()?).ok()? == ours;
        let ours = serde_json::to_value(start_token().ok()?).ok()?;
        let starts_alike = serde_json::to_value(inner.get_post_processor()?).ok()? == ours;
        // A special token in a text is plain text; another added token would be cut out of it.
        let finds_no_more = inner.get_added_tokens_decoder().values().all(|token| token.special);
        let fits = is_lowercase && cuts_alike && starts_alike && finds_no_more && inner.get_encode_special_tokens();
        let start = inner.token_to_id(START).filter(|id| fits && *id == 1)?;
        let unknown = model.get_vocab().get(&model.unk_token).copied()?;
        let ids = model.get_vocab().into_iter().map(|(word, id)| (word.into_bytes().into(), id)).collect();
        Some(Self { ids, unknown, start })
    }

    /// As [`Tokenizer::encode`](crate::Tokenizer::encode).
    pub(crate) fn encode(&self, text: &str) -> Encoding {
        let mut encoding = Encoding { ids: vec![self.start], offsets: vec![(0, 0)] };
        self.for_each_word(text, |id, range| {
            encoding.ids.push(id);
            encoding.offsets.push((range.start, range.end));
        });
        encoding
    }

    /// The ids alone.
    pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(1 + text.len() / 5);
        ids.push(self.start);
        self.for_each_word(text, |id, _| ids.push(id));
        ids
    }

    fn for_each_word(&self, text: &str, mut found: impl FnMut(u32, Range<usize>)) {
        split_words(text, |word, range| found(self.ids.get(word).copied().unwrap_or(self.unknown), range));
    }
}

/// How often each word occurs.
pub(crate) fn count_words(texts: impl Iterator<Item = impl AsRef<str>>) -> AHashMap<Vec<u8>, u64> {
    let mut counts: AHashMap<Vec<u8>, u64> = AHashMap::new();
    for text in texts {
        split_words(text.as_ref(), |word, _| match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.to_vec(), 1);
            }
        });
    }
    counts
}

/// Hands on each word of a text, lower-cased, in UTF-8, and the bytes of the text that it is from.
fn split_words(text: &str, mut found: impl FnMut(&[u8], Range<usize>)) {
    let bytes = text.as_bytes();
    let mut word: Vec<u8> = Vec::with_capacity(64);
    let (mut first, mut at) = (0, 0);
    let mut end_word = |word: &mut Vec<u8>, range: Range<usize>| {
        if !word.is_empty() {
            found(word, range);
            word.clear();
        }
    };
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii() {
            match IS_ASCII_SEPARATOR[usize::from(byte)] {
                true => end_word(&mut word, first..at),
                false => {
                    first = if word.is_empty() { at } else { first };
                    word.push(byte.to_ascii_lowercase());
                }
            }
            at += 1;
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        match is_separator(character) {
            true => end_word(&mut word, first..at),
            false => {
                first = if word.is_empty() { at } else { first };
                let mut buffer = [0; 4];
                for lower in character.to_lowercase() {
                    word.extend_from_slice(lower.encode_utf8(&mut buffer).as_bytes());
                }
            }
        }
        at += character.len_utf8();
    }
    end_word(&mut word, first..at);
}

const IS_ASCII_SEPARATOR: [bool; 128] = {
    let mut table = [false; 128];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = crate::train::is_ascii_separator(byte as u8);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train;
    use proptest::prelude::*;

    fn tokenizer() -> crate::Tokenizer {
        let corpus = "the film was good good it's straße i̇stanbul ünïcode ΑΣ ας 10 x_y \u{a0} don't";
        train(TokenizerKind::Words, 40, std::iter::once(corpus)).expect("trains")
    }

    #[test]
    fn other_tokenizers_go_the_librarys_way() {
        let fast = |kind| train(kind, 300, std::iter::once("a good film")).expect("trains").is_word_level();
        assert!(fast(TokenizerKind::Words) && !fast(TokenizerKind::Characters) && !fast(TokenizerKind::Bpe));
        let mut json: serde_json::Value = serde_json::from_str(&tokenizer().to_json().expect("JSON")).expect("JSON");
        let reread =
            |json: &serde_json::Value| crate::Tokenizer::from_json(json.to_string().as_bytes()).expect("reads");
        assert!(reread(&json).is_word_level());
        json["normalizer"] = serde_json::Value::Null;
        assert!(!reread(&json).is_word_level());
    }

    proptest! {
        #[test]
        fn every_text_gets_the_librarys_ids_and_offsets(
            text in r#"(\PC|good|film|It's|[A-Z]{1,3}|[İßΑΣς\u{a0}\u{2028}\u{3000}\n\t'_.,<>()\[\]-]){0,30}"#
        ) {
            let tokenizer = tokenizer();
            prop_assert!(tokenizer.is_word_level());
            let expected = tokenizer.encode_by_library(&text).expect("encodes");
            prop_assert_eq!(&tokenizer.encode(&text).expect("encodes"), &expected);
            prop_assert_eq!(&tokenizer.encode_ids(&[&text]).expect("encodes")[0], &expected.ids);
        }
    }
}

//! What the `tokenizers` library does in this crate: byte pairs, and every `tokenizer.json` that another
//! program wrote.
//!
//! Such a file may come from a stranger. The library panics on some, and would ask for any amount of
//! memory for others, so a file is checked before it is used, and a panic becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner, step_decode_stream};

use crate::TextError;
use crate::encoding::{Encoding, PAD, START, UNK, UNKNOWN_TOKENS};

/// How many ids may be unused, in addition to the number of tokens: some tokenizers reserve a block.
const UNUSED_IDS: usize = 1_000;
/// How many special tokens a text may get.
const SPECIAL_TOKENS: usize = 100;
/// How many bytes a normalizer may put before every text.
const PREPENDED: usize = 1_000;
/// How many times longer replacements may make a text.
const GROWTH: u64 = 256;

/// A tokenizer of the library.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    inner: Box<Inner>,
    /// Every id is smaller.
    vocab_size: usize,
    /// The ids of tokens that are not words; a few.
    special: Vec<u32>,
}

/// What the library remembers of the ids that it has decoded: those of which not all text is known yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodedBytes {
    ids: Vec<u32>,
    prefix: String,
    prefix_index: usize,
}

/// The part of a `tokenizer.json` that is checked before the library reads it.
#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
}

impl Library {
    pub(crate) fn read(json: &[u8]) -> Result<Self, TextError> {
        let format: Format = serde_json::from_slice(json).map_err(|error| TextError::Format(error.to_string()))?;
        let [normalizer, pre_tokenizer] = [format.normalizer, format.pre_tokenizer].map(|step| growth(&step));
        let growth = normalizer.zip(pre_tokenizer).and_then(|(one, other)| one.checked_mul(other));
        if growth.is_none_or(|growth| growth > GROWTH) {
            return Err(TextError::Unsafe(format!("its replacements can make a text over {GROWTH} times longer")));
        }
        guarded(|| Self::new(Inner::from_bytes(json).map_err(|error| TextError::Format(error.to_string()))?))
    }

    fn new(mut inner: Inner) -> Result<Self, TextError> {
        check_additions(&inner)?;
        inner.with_padding(None);
        inner.with_truncation(None)?;
        inner.set_encode_special_tokens(true);
        let is_special = |token: &AddedToken| token.special && !UNKNOWN_TOKENS.contains(&token.content.as_str());
        let added = inner.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| is_special(token)).map(|(&id, _)| id).collect();
        let vocab = inner.get_vocab(true);
        let vocab_size = vocab.values().max().map_or(0, |&highest| highest as usize + 1);
        if vocab_size > 2 * vocab.len() + UNUSED_IDS {
            let tokens = vocab.len();
            return Err(TextError::Unsafe(format!("its highest id is {}, but it has {tokens} tokens", vocab_size - 1)));
        }
        let library = Self { inner: Box::new(inner), vocab_size, special };
        let added = library.ids("")?.len();
        if added > SPECIAL_TOKENS {
            return Err(TextError::Unsafe(format!("it adds {added} special tokens to every text")));
        }
        Ok(library)
    }

    /// Learns byte pairs of the texts, in lower case unless they are to be cased.
    pub(crate) fn train_byte_pairs<T: AsRef<str> + Send>(
        vocab_size: usize,
        is_cased: bool,
        texts: impl Iterator<Item = T> + Send,
    ) -> Result<Self, TextError> {
        let mut tokenizer = Inner::new(BPE::default());
        if !is_cased {
            tokenizer.with_normalizer(Some(Lowercase))?;
        }
        Self::learn(tokenizer, vocab_size, texts)
    }

    /// Single bytes, without pairs.
    pub(crate) fn bytes() -> Result<Self, TextError> {
        Self::learn(Inner::new(BPE::default()), 0, std::iter::empty::<&str>())
    }

    fn learn<T: AsRef<str> + Send>(
        mut tokenizer: Inner,
        vocab_size: usize,
        texts: impl Iterator<Item = T> + Send,
    ) -> Result<Self, TextError> {
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens([PAD, START, UNK].map(|token| AddedToken::from(token, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build();
        tokenizer.train(&mut TrainerWrapper::from(trainer), texts)?;
        tokenizer.with_post_processor(Some(start_token()?));
        Self::new(tokenizer)
    }

    pub(crate) fn to_json(&self) -> Result<String, TextError> {
        Ok(self.inner.to_string(true)?)
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        let encoding = guarded(|| Ok(self.inner.encode(text, true)?))?;
        // The byte tokens of a character may each be a part of it.
        let whole = |&(start, end): &(usize, usize)| {
            let (start, end) = (start.min(end), end);
            (text.floor_char_boundary(start), text.ceil_char_boundary(end))
        };
        let offsets = encoding.get_offsets().iter().map(whole).collect();
        Ok(Encoding { ids: self.checked(encoding.get_ids())?, offsets })
    }

    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.checked(guarded(|| Ok(self.inner.encode_fast(text, true)?))?.get_ids())
    }

    pub(crate) fn encode_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        let encodings = guarded(|| Ok(self.inner.encode_batch_fast(texts.to_vec(), true)?))?;
        encodings.iter().map(|encoding| self.checked(encoding.get_ids())).collect()
    }

    /// The ids, if all are in the vocabulary.
    fn checked(&self, ids: &[u32]) -> Result<Vec<u32>, TextError> {
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => Err(TextError::Unsafe(format!("it produces the id {id}, which is not in its vocabulary"))),
            None => Ok(ids.to_vec()),
        }
    }

    /// The text that one more id adds to what was decoded before.
    pub(crate) fn decode_next(&self, id: u32, before: &mut DecodedBytes) -> Result<String, TextError> {
        let DecodedBytes { ids, prefix, prefix_index } = before;
        let text = guarded(|| Ok(step_decode_stream(&self.inner, vec![id], true, ids, prefix, prefix_index)?))?;
        Ok(text.unwrap_or_default())
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }
}

fn start_token() -> Result<TemplateProcessing, TextError> {
    TemplateProcessing::builder()
        .try_single(format!("{START} $A"))
        .map_err(TextError::Format)?
        .special_tokens(vec![(START, 1)])
        .build()
        .map_err(|error| TextError::Format(error.to_string()))
}

/// Refuses a tokenizer that adds too much to every text. It is not applied for this: it might need any
/// amount of memory.
fn check_additions(inner: &Inner) -> Result<(), TextError> {
    let json = |error: serde_json::Error| TextError::Format(error.to_string());
    let prepended = prepended(&serde_json::to_value(inner.get_normalizer()).map_err(json)?);
    if prepended > PREPENDED {
        return Err(TextError::Unsafe(format!("it puts {prepended} bytes before every text")));
    }
    let (added, copies) = additions(&serde_json::to_value(inner.get_post_processor()).map_err(json)?);
    if copies > 1 {
        return Err(TextError::Unsafe("it repeats every text".into()));
    }
    if added > SPECIAL_TOKENS {
        return Err(TextError::Unsafe(format!("it adds {added} special tokens to every text")));
    }
    Ok(())
}

/// How many bytes a normalizer puts before every text.
fn prepended(step: &Value) -> usize {
    let own = step.get("prepend").and_then(Value::as_str).map_or(0, str::len);
    let parts = step.get("normalizers").and_then(Value::as_array).into_iter().flatten();
    parts.map(prepended).fold(own, usize::saturating_add)
}

/// How many special tokens a post-processor with templates adds to every text, and how many copies of
/// the text it makes.
fn additions(step: &Value) -> (usize, usize) {
    if let Some(pieces) = step.get("single").and_then(Value::as_array) {
        let tokens = |piece: &Value| {
            let id = piece.get("SpecialToken")?.get("id")?.as_str()?;
            Some(step.get("special_tokens")?.get(id)?.get("ids")?.as_array()?.len())
        };
        let added = pieces.iter().filter_map(tokens).fold(0, usize::saturating_add);
        return (added, pieces.iter().filter(|piece| piece.get("Sequence").is_some()).count());
    }
    let parts = step.get("processors").and_then(Value::as_array).into_iter().flatten();
    parts.map(additions).fold((0usize, 1usize), |(added, copies), (more, times)| {
        (added.saturating_mul(times).saturating_add(more), copies.saturating_mul(times))
    })
}

/// How many times longer a normalizer or pre-tokenizer can make a text; `None` if the number is too
/// large to count.
fn growth(step: &Value) -> Option<u64> {
    let content = step.get("content").and_then(Value::as_str).map_or(0, str::len);
    let pattern = step.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
    let own = match step.get("type").and_then(Value::as_str) {
        // Each byte becomes a character of one or two bytes.
        Some("ByteLevel") => 2,
        // A table of replacements, in a binary format.
        Some("Precompiled") => 16,
        _ => match pattern {
            Some(pattern) if !pattern.is_empty() => content.div_ceil(pattern.len()).max(1),
            // A regular expression may match at every character.
            _ => 1 + content,
        },
    };
    let parts = ["normalizers", "pretokenizers"].into_iter().filter_map(|key| step.get(key)?.as_array()).flatten();
    parts.map(growth).try_fold(own as u64, |all, part| all.checked_mul(part?))
}

/// Turns a panic of the library into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, TextError>) -> Result<T, TextError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(TextError::Unsafe("the tokenizers library fails on it".into())))
}

#[cfg(test)]
mod tests {
    use crate::{TextError, Tokenizer, TokenizerKind, train};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(json: &Value) -> Result<Tokenizer, TextError> {
        Tokenizer::from_json(json.to_string().as_bytes())
    }

    /// Valid files of every kind of model.
    fn files() -> Vec<Value> {
        let trained = [TokenizerKind::Words, TokenizerKind::Bpe].map(|kind| {
            let tokenizer = train(kind, 270, ["a good film, a bad film"].into_iter()).expect("trains");
            serde_json::from_str(&tokenizer.to_json().expect("JSON")).expect("JSON")
        });
        let file = |model: Value| {
            json!({
                "version": "1.0",
                "truncation": { "direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0 },
                "padding": {
                    "strategy": { "Fixed": 12 }, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
                },
                "added_tokens": [{
                    "id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true,
                }],
                "normalizer": { "type": "Sequence", "normalizers": [
                    { "type": "NFKD" }, { "type": "Lowercase" },
                    { "type": "Replace", "pattern": { "String": " " }, "content": "\u{2581}" },
                    { "type": "Prepend", "prepend": "\u{2581}" },
                ]},
                "pre_tokenizer": { "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true },
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [{ "SpecialToken": { "id": "[PAD]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
                    "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
                    "special_tokens": { "[PAD]": { "id": "[PAD]", "ids": [0], "tokens": ["[PAD]"] } },
                },
                "decoder": null,
                "model": model,
            })
        };
        let unigram = json!({
            "type": "Unigram", "unk_id": 1, "byte_fallback": false,
            "vocab": [["[PAD]", 0.0], ["<unk>", 0.0], ["\u{2581}", -2.0], ["\u{2581}a", -1.5], ["good", -3.0], ["b", -4.0]],
        });
        let word_piece = json!({
            "type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": { "[PAD]": 0, "<unk>": 1, "\u{2581}a": 2, "##b": 3, "\u{2581}good": 4 },
        });
        let bytes = json!({
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true, "ignore_merges": false,
            "vocab": { "[PAD]": 0, "<unk>": 1, "a": 2, "b": 3, "ab": 4, "<0xC3>": 5, "<0xA9>": 6 }, "merges": [["a", "b"]],
        });
        trained.into_iter().chain([unigram, word_piece, bytes].map(file)).collect()
    }

    fn numbers<'a>(json: &'a mut Value, found: &mut Vec<&'a mut Value>) {
        match json {
            Value::Number(_) => found.push(json),
            Value::Array(items) => items.iter_mut().for_each(|item| numbers(item, found)),
            Value::Object(items) => items.values_mut().for_each(|item| numbers(item, found)),
            _ => {}
        }
    }

    /// Reads a file that may say anything: it gives an error, or a tokenizer that keeps its promises.
    fn check(json: &[u8]) -> Result<(), TestCaseError> {
        let Ok(tokenizer) = Tokenizer::from_json(json) else { return Ok(()) };
        prop_assert!(tokenizer.vocab_size() <= 2 * json.len() + super::UNUSED_IDS);
        for text in ["", "a good film", "ab Aé\u{1f3ac} <unk>[PAD]", "\u{0} \r\n"] {
            let Ok(encoding) = tokenizer.encode(text) else { continue };
            prop_assert_eq!(encoding.ids.len(), encoding.offsets.len());
            prop_assert!(encoding.ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            prop_assert!(encoding.offsets.iter().all(|&(start, end)| text.get(start..end).is_some()));
            prop_assert!(tokenizer.encode_ids(&[text]).is_ok());
        }
        Ok(())
    }

    #[test]
    fn the_files_that_are_damaged_below_are_valid() {
        for file in files() {
            let tokenizer = read(&file).expect("reads");
            assert!(tokenizer.encode("a good film é").expect("encodes").ids.len() > 2);
            check(file.to_string().as_bytes()).expect("keeps its promises");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_read_or_refused(
            file in 0usize..5,
            kind in 0usize..4,
            place: prop::sample::Index,
            byte: u8,
            number in prop_oneof![
                Just(json!(0)), Just(json!(-1)), Just(json!(1_000_000_000)), Just(json!(u32::MAX)), Just(json!(u64::MAX)),
                Just(json!(1e300)), Just(json!(0.5)), (0u32..300).prop_map(Value::from),
            ],
        ) {
            let mut json = files().swap_remove(file);
            if kind == 0 {
                let mut found = Vec::new();
                numbers(&mut json, &mut found);
                let index = place.index(found.len());
                *found[index] = number;
            }
            let mut bytes = json.to_string().into_bytes();
            let index = place.index(bytes.len());
            match kind {
                1 => bytes.truncate(index),
                2 => bytes[index] ^= byte,
                3 => _ = bytes.drain(index..(index + usize::from(byte)).min(json.to_string().len())),
                _ => {}
            }
            check(&bytes)?;
        }
    }

    #[test]
    fn ids_out_of_all_proportion_are_refused() {
        for file in files() {
            let Some(vocab) = file["model"]["vocab"].as_object() else { continue };
            let last = vocab.keys().next_back().expect("a token").clone();
            let mut file = file;
            file["model"]["vocab"][last.as_str()] = json!(1_000_000_000);
            let error = read(&file).expect_err("is refused").to_string();
            assert!(error.contains("its highest id is 1000000000"), "{error}");
        }
    }

    #[test]
    fn a_special_token_outside_the_vocabulary_is_refused() {
        let mut file = files().remove(2);
        file["post_processor"]["special_tokens"]["[PAD]"]["ids"] = json!([4_000_000_000u32]);
        let error = read(&file).expect_err("is refused").to_string();
        assert!(error.contains("the id 4000000000, which is not in its vocabulary"), "{error}");
    }

    #[test]
    fn additions_to_every_text_are_bounded() {
        let valid = files().remove(2);
        let mut file = valid.clone();
        let ids: Vec<u32> = vec![0; 1_000];
        let token = json!({ "id": "[PAD]", "ids": ids, "tokens": vec!["[PAD]"; 1_000] });
        file["post_processor"]["special_tokens"]["[PAD]"] = token;
        let piece = file["post_processor"]["single"][0].clone();
        file["post_processor"]["single"] = json!(vec![piece; 10_000]);
        let error = read(&file).expect_err("is refused").to_string();
        assert!(error.contains("it adds 10000000 special tokens to every text"), "{error}");

        let mut file = valid.clone();
        let text = file["post_processor"]["single"][1].clone();
        file["post_processor"]["single"] = json!(vec![text; 10_000]);
        let processor = file["post_processor"].clone();
        for processor in [processor.clone(), json!({ "type": "Sequence", "processors": [processor] })] {
            file["post_processor"] = processor;
            let error = read(&file).expect_err("is refused").to_string();
            assert!(error.contains("it repeats every text"), "{error}");
        }

        let mut file = valid;
        let prepend = json!({ "type": "Prepend", "prepend": "a".repeat(400) });
        for normalizer in [
            json!({ "type": "Sequence", "normalizers": vec![prepend; 3] }),
            json!({ "type": "Prepend", "prepend": "a".repeat(1_200) }),
        ] {
            file["normalizer"] = normalizer;
            let error = read(&file).expect_err("is refused").to_string();
            assert!(error.contains("it puts 1200 bytes before every text"), "{error}");
        }
    }

    #[test]
    fn replacements_that_multiply_a_text_are_refused() {
        let mut file = files().remove(2);
        let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
        file["normalizer"] = json!({ "type": "Sequence", "normalizers": vec![double; 40] });
        let error = read(&file).expect_err("is refused").to_string();
        assert!(error.contains("over 256 times longer"), "{error}");
        file["normalizer"] = Value::Null;
        let bytes =
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
        file["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": vec![bytes; 70] });
        let error = read(&file).expect_err("is refused").to_string();
        assert!(error.contains("over 256 times longer"), "{error}");
    }
}

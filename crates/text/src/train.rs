//! Trains a tokenizer on a corpus: words, characters, bytes or byte pairs.

use ahash::{AHashMap, AHashSet};

use crate::cut::cut;
#[cfg(feature = "library")]
use crate::library::Library;
use crate::word_level::WordLevel;
use crate::{TextError, Tokenizer, TokenizerKind};

/// `[PAD]`, `[START]` and `[UNK]`.
const SPECIAL_TOKENS: usize = 3;
/// Byte-pair encoding starts from the 256 bytes, whatever the texts are.
#[cfg(feature = "library")]
const BYTES: usize = 256;

/// Trains a tokenizer on `texts`.
///
/// Its vocabulary has up to `vocab_size` tokens: `[PAD]`, `[START]` and `[UNK]` (ids 0, 1 and 2), then the
/// most frequent tokens of the texts. Equally frequent tokens are in alphabetical order. Every text begins
/// with `[START]`.
///
/// # Errors
///
/// [`TextError::VocabularyTooSmall`] for fewer than four tokens; [`TextError::EmptyCorpus`] if the texts
/// contain no tokens; [`TextError::NoLibrary`] for bytes and byte pairs in a build without the
/// `tokenizers` library.
pub fn train<T: AsRef<str> + Send>(
    kind: TokenizerKind,
    vocab_size: usize,
    texts: impl Iterator<Item = T> + Send,
) -> Result<Tokenizer, TextError> {
    if vocab_size <= SPECIAL_TOKENS {
        return Err(TextError::VocabularyTooSmall(vocab_size));
    }
    match kind {
        #[cfg(feature = "library")]
        TokenizerKind::Bytes => Ok(Library::bytes()?.into()),
        #[cfg(feature = "library")]
        TokenizerKind::Bpe | TokenizerKind::CasedBpe => {
            let tokenizer = Tokenizer::from(Library::train_byte_pairs(vocab_size, kind.is_cased(), texts)?);
            let least = SPECIAL_TOKENS + BYTES;
            let has_learnt = tokenizer.vocab_size() > least || vocab_size <= least;
            if has_learnt { Ok(tokenizer) } else { Err(TextError::EmptyCorpus) }
        }
        #[cfg(not(feature = "library"))]
        TokenizerKind::Bytes | TokenizerKind::Bpe | TokenizerKind::CasedBpe => Err(TextError::NoLibrary),
        _ => train_word_level(kind, vocab_size, texts),
    }
}

/// Trains a tokenizer on words, which are not split further. Its vocabulary has them in lower case, and is made as by
/// [`train`]; while there is room, `further` words follow in their order. Texts are split as by
/// [`TokenizerKind::Contractions`].
///
/// # Errors
///
/// [`TextError::VocabularyTooSmall`] for fewer than four tokens; [`TextError::EmptyCorpus`] if there are no words.
pub fn train_on_words<T: AsRef<str>, F: AsRef<str>>(
    vocab_size: usize,
    words: impl Iterator<Item = T>,
    further: &[F],
) -> Result<Tokenizer, TextError> {
    if vocab_size <= SPECIAL_TOKENS {
        return Err(TextError::VocabularyTooSmall(vocab_size));
    }
    let mut counts: AHashMap<String, u64> = AHashMap::new();
    words.for_each(|word| *counts.entry(word.as_ref().to_lowercase()).or_default() += 1);
    let mut words = most_frequent(vocab_size, counts)?;
    let mut known: AHashSet<String> = words.iter().cloned().collect();
    let further = further.iter().map(|word| word.as_ref().to_lowercase()).filter(|word| known.insert(word.clone()));
    words.extend(further.take(vocab_size - SPECIAL_TOKENS - words.len()).collect::<Vec<_>>());
    Ok(WordLevel::from_words(TokenizerKind::Contractions, words.into_iter())?.into())
}

fn train_word_level(
    kind: TokenizerKind,
    vocab_size: usize,
    texts: impl Iterator<Item = impl AsRef<str>>,
) -> Result<Tokenizer, TextError> {
    let words = most_frequent(vocab_size, count(kind, texts))?;
    Ok(WordLevel::from_words(kind, words.into_iter())?.into())
}

/// The most frequent tokens that a vocabulary of this size has room for.
fn most_frequent(vocab_size: usize, counts: AHashMap<String, u64>) -> Result<Vec<String>, TextError> {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    if counts.is_empty() {
        return Err(TextError::EmptyCorpus);
    }
    counts.sort_unstable_by(|(word, count), (other, others)| others.cmp(count).then_with(|| word.cmp(other)));
    Ok(counts.into_iter().map(|(word, _)| word).take(vocab_size - SPECIAL_TOKENS).collect())
}

/// Counts the tokens.
fn count(kind: TokenizerKind, texts: impl Iterator<Item = impl AsRef<str>>) -> AHashMap<String, u64> {
    let mut counts: AHashMap<String, u64> = AHashMap::new();
    for text in texts {
        cut(kind, text.as_ref(), |word, _| match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word.into(), 1);
            }
        });
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PAD, START, UNK};
    use proptest::prelude::*;

    fn words(texts: &[&str], vocab_size: usize) -> Tokenizer {
        train(TokenizerKind::Words, vocab_size, texts.iter().copied()).expect("trains")
    }

    #[test]
    fn words_match_keras() {
        // from keras.src.legacy.preprocessing.text import text_to_word_sequence
        // text_to_word_sequence("It's GOOD, isn't it? (very-good)<br />")
        // ["it's", 'good', "isn't", 'it', 'very', 'good', 'br']
        let text = "It's GOOD, isn't it? (very-good)<br />";
        let tokenizer = words(&[text], 100);
        let encoding = tokenizer.encode(text).expect("encodes");
        let tokens: Vec<_> = encoding.ids.iter().filter_map(|&id| tokenizer.token(id)).collect();
        assert_eq!(tokens, [START, "it's", "good", "isn't", "it", "very", "good", "br"]);
    }

    #[test]
    fn the_most_frequent_words_come_first_and_ties_are_alphabetical() {
        let tokenizer = words(&["b b b a a c d"], 6);
        let id = |word: &str| tokenizer.id(word);
        assert_eq!([id(PAD), id(START), id(UNK)], [Some(0), Some(1), Some(2)]);
        assert_eq!([id("b"), id("a"), id("c"), id("d")], [Some(3), Some(4), Some(5), None]);
        assert_eq!(tokenizer.vocab_size(), 6);
        assert_eq!(tokenizer.encode("d b").expect("encodes").ids, [1, 2, 3]);
    }

    #[test]
    fn words_are_not_split_further() {
        let none: [&str; 0] = [];
        let words = ["U.S.", "u.s.", "a", "[UNK]"];
        let tokenizer = train_on_words(10, words.iter(), &none).expect("trains");
        assert_eq!((tokenizer.id("u.s."), tokenizer.id("a"), tokenizer.vocab_size()), (Some(3), Some(5), 6));
        assert!(train_on_words(3, words.iter(), &none).is_err() && train_on_words(9, none.iter(), &none).is_err());
        let tokenizer = train_on_words(8, words.iter(), &["A", "The", "the", "of", "in"]).expect("trains");
        assert_eq!((tokenizer.id("the"), tokenizer.id("of"), tokenizer.id("in")), (Some(6), Some(7), None));
    }

    #[test]
    fn special_tokens_in_a_text_are_plain_words() {
        let tokenizer = words(&["pad start unk"], 10);
        let ids = tokenizer.encode("[PAD] [START]").expect("encodes").ids;
        assert_eq!(ids, [1, tokenizer.id("pad").expect("known"), tokenizer.id("start").expect("known")]);
    }

    #[test]
    #[cfg(feature = "library")]
    fn the_library_learns_the_same_words() {
        use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};

        let texts = ["A b b'c, d--D <br />", "it's b İx İX ß", "", "zz zz a a \u{2003}q"];
        for kind in TokenizerKind::WORD_LEVEL {
            for vocab_size in [4, 7, 100] {
                let ours = train(kind, vocab_size, texts.into_iter()).expect("trains").to_json().expect("JSON");
                let mut json: serde_json::Value = serde_json::from_str(&ours).expect("JSON");
                json["model"]["vocab"] = serde_json::json!({ "[PAD]": 0, "[START]": 1, "[UNK]": 2 });
                let mut library: tokenizers::Tokenizer = json.to_string().parse().expect("reads");
                let special = [PAD, START, UNK].map(|token| tokenizers::AddedToken::from(token, true));
                let trainer = WordLevelTrainer::builder()
                    .vocab_size(vocab_size)
                    .special_tokens(special.to_vec())
                    .show_progress(false)
                    .build()
                    .expect("a trainer");
                library.with_model(WordLevel::builder().unk_token(UNK.into()).build().expect("a model"));
                library
                    .train(&mut tokenizers::models::TrainerWrapper::from(trainer), texts.into_iter())
                    .expect("trains");
                assert_eq!(ours, library.to_string(true).expect("JSON"));
            }
        }
    }

    #[test]
    #[cfg(feature = "library")]
    fn bytes_match_the_text() {
        let tokenizer = train(TokenizerKind::Bytes, 4, [""].into_iter()).expect("trains");
        assert_eq!(tokenizer.vocab_size(), 259);
        let encoding = tokenizer.encode("Aé 🎬").expect("encodes");
        // The start token and 1 + 2 + 1 + 4 bytes; the bytes of a character have the same offsets.
        assert_eq!(encoding.ids.len(), 9);
        assert_eq!(encoding.offsets[1..], [(0, 1), (1, 3), (1, 3), (3, 4), (4, 8), (4, 8), (4, 8), (4, 8)]);
        let other = tokenizer.encode("a").expect("encodes");
        assert_ne!(encoding.ids[1], other.ids[1]);
        let again: Tokenizer = Tokenizer::from_json(tokenizer.to_json().expect("JSON").as_bytes()).expect("reads");
        assert_eq!(again.encode("Aé 🎬").expect("encodes"), encoding);
    }

    #[test]
    fn punctuation_marks_are_words_of_their_own() {
        // from tokenizers import pre_tokenizers as p, Regex
        // p.Sequence([p.Split(Regex(r"<br />|\s+"), "removed"), p.Split(Regex(r"[^\w\s']"), "isolated")])
        //     .pre_tokenize_str("it's good!! 8/10 <br />")
        let text = "It's GOOD!! 8/10 <br />";
        let tokenizer = train(TokenizerKind::Punctuated, 50, [text].into_iter()).expect("trains");
        let encoding = tokenizer.encode(text).expect("encodes");
        let tokens: Vec<_> = encoding.ids.iter().filter_map(|&id| tokenizer.token(id)).collect();
        assert_eq!(tokens, [START, "it's", "good", "!", "!", "8", "/", "10"]);
    }

    #[test]
    fn contractions_are_two_tokens() {
        // nltk.word_tokenize("doesn't it's o'clock we'll"), but for punctuation marks within words
        let text = "Doesn't IT'S o'clock we'll n't '";
        let tokenizer = train(TokenizerKind::Contractions, 50, [text].into_iter()).expect("trains");
        let encoding = tokenizer.encode(text).expect("encodes");
        let tokens: Vec<_> = encoding.ids.iter().filter_map(|&id| tokenizer.token(id)).collect();
        assert_eq!(tokens, [START, "does", "n't", "it", "'s", "o'clock", "we", "'ll", "n't", "'"]);
        assert_eq!(encoding.offsets[1..5], [(0, 4), (4, 7), (8, 10), (10, 12)]);
    }

    #[test]
    fn characters_are_single() {
        let tokenizer = train(TokenizerKind::Characters, 50, ["Ab\né"].into_iter()).expect("trains");
        let encoding = tokenizer.encode("bÉ\n").expect("encodes");
        assert_eq!(encoding.offsets, [(0, 0), (0, 1), (1, 3), (3, 4)]);
        assert!(!encoding.ids.contains(&2));
    }

    #[test]
    #[cfg(feature = "library")]
    fn byte_pairs_leave_no_word_unknown() {
        let corpus = ["low lower lowest newer newest"; 20];
        let tokenizer = train(TokenizerKind::Bpe, 300, corpus.into_iter()).expect("trains");
        let encoding = tokenizer.encode("lowest ☃").expect("encodes");
        assert!(encoding.ids.iter().all(|&id| id != 2), "no unknown token");
        assert!(encoding.ids.len() < "lowest ☃".len(), "pairs were merged");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |size, text: &'static str| train(TokenizerKind::Words, size, [text].into_iter()).unwrap_err();
        assert!(matches!(error(3, "a"), TextError::VocabularyTooSmall(3)));
        assert!(matches!(error(10, " ?! "), TextError::EmptyCorpus));
        assert!(matches!(Tokenizer::from_json(b"{").unwrap_err(), TextError::Format(_)));
    }

    proptest! {
        #[test]
        fn offsets_point_to_the_words_in_the_text(text in "\\PC{0,60}") {
            let tokenizer = words(&["a b c d e f g"], 100);
            let encoding = tokenizer.encode(&text).expect("encodes");
            prop_assert_eq!(encoding.ids.len(), encoding.offsets.len());
            let mut end = 0;
            for &(from, to) in &encoding.offsets[1..] {
                prop_assert!(from >= end && from < to && text.get(from..to).is_some());
                end = to;
            }
        }

        #[test]
        fn a_tokenizer_written_and_read_gives_the_same_ids(text in "[a-zA-Z ,.!?']{0,60}") {
            let kinds = [TokenizerKind::Words, TokenizerKind::Characters, TokenizerKind::Bpe];
            for kind in kinds.into_iter().take(if cfg!(feature = "library") { 3 } else { 2 }) {
                let tokenizer = train(kind, 300, ["a b c abc cab the quick fox's"].into_iter()).expect("trains");
                let json = tokenizer.to_json().expect("writes");
                let again = Tokenizer::from_json(json.as_bytes()).expect("reads");
                let batch = again.encode_ids(&[&text]).expect("encodes");
                prop_assert_eq!(&batch[0], &tokenizer.encode(&text).expect("encodes").ids);
            }
        }
    }
}

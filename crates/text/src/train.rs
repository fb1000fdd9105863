//! Builds a tokenizer from a corpus: words, characters or byte pairs.

use serde::{Deserialize, Serialize};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::{WordLevel, WordLevelTrainer};
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::tokenizer::SplitDelimiterBehavior::{Isolated, Removed};
use tokenizers::{AddedToken, ModelWrapper};

use crate::word_level::count_words;
use crate::{PAD, START, TextError, Tokenizer, UNK};

/// What separates words: the characters that Keras's text tokenizer filters out (document A's
/// data set was made with it), and white space.
const KERAS_FILTERS: &str = r##"[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\s]+"##;

/// Whether a character separates words, as [`KERAS_FILTERS`] says.
pub(crate) fn is_separator(character: char) -> bool {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => is_ascii_separator(byte),
        _ => character.is_whitespace(),
    }
}

/// As [`is_separator`], of ASCII.
pub(crate) const fn is_ascii_separator(byte: u8) -> bool {
    byte == 0x0b || byte.is_ascii_whitespace() || (byte.is_ascii_punctuation() && byte != b'\'')
}

/// White space, and the line breaks of HTML, which IMDB's reviews are full of.
const BLANKS: &str = r"<br />|\s+";
/// Anything that stands in no word.
const PUNCTUATION_MARK: &str = r"[^\w\s']";

/// Any one character, line ends too.
const ONE_CHARACTER: &str = r"(?s).";

/// How a text is cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Lower-case words, cut at white space and Keras's filters; rare ones become `[UNK]`.
    Words,
    /// As words, but only white space and `<br />` are left out: every punctuation mark is a word of
    /// its own.
    Punctuated,
    /// Lower-case characters; rare ones become `[UNK]`.
    Characters,
    /// Byte-pair encoding of the lower-case text (Sennrich, Haddow and Birch 2016, on bytes):
    /// knows every word, in pieces.
    Bpe,
}

/// Trains a tokenizer on `texts`: the `vocab_size` most frequent tokens, `[PAD]`, `[START]`
/// and `[UNK]` (ids 0, 1, 2) among them, ties in alphabetical order; every text then begins
/// with `[START]`.
///
/// # Errors
///
/// [`TextError::VocabularyTooSmall`] below four tokens, [`TextError::EmptyCorpus`] where the
/// texts hold none.
pub fn train<T: AsRef<str> + Send>(
    kind: TokenizerKind,
    vocab_size: usize,
    texts: impl Iterator<Item = T> + Send,
) -> Result<Tokenizer, TextError> {
    if vocab_size < 4 {
        return Err(TextError::VocabularyTooSmall(vocab_size));
    }
    let mut tokenizer = match kind {
        TokenizerKind::Words => train_words(vocab_size, texts)?,
        _ => train_by_library(kind, vocab_size, texts)?,
    };
    tokenizer.with_post_processor(Some(start_token()?));

    let tokenizer = Tokenizer::new(tokenizer)?;
    let learnt = tokenizer.vocab_size() - special_tokens().len();
    // Byte pairs start from the 256 bytes, whatever the texts hold.
    let given = if kind == TokenizerKind::Bpe { 256 } else { 0 };
    match learnt > given || (kind == TokenizerKind::Bpe && vocab_size <= 259) {
        true => Ok(tokenizer),
        false => Err(TextError::EmptyCorpus),
    }
}

/// As [`train_by_library`], with the words counted in one pass over the bytes.
fn train_words(
    vocab_size: usize,
    texts: impl Iterator<Item = impl AsRef<str>>,
) -> Result<tokenizers::Tokenizer, TextError> {
    let mut counts: Vec<(Vec<u8>, u64)> = count_words(texts).into_iter().collect();
    counts.sort_unstable_by(|(word, count), (other, others)| others.cmp(count).then_with(|| word.cmp(other)));
    let words = counts.into_iter().filter_map(|(word, _)| String::from_utf8(word).ok());
    let words = [PAD, START, UNK].map(String::from).into_iter().chain(words);
    let vocab = words.take(vocab_size).zip(0..).collect();
    let mut tokenizer = tokenizers::Tokenizer::new(WordLevel::builder().vocab(vocab).unk_token(UNK.into()).build()?);
    tokenizer.with_normalizer(Some(Lowercase))?;
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer(TokenizerKind::Words)?));
    tokenizer.add_special_tokens(special_tokens())?;
    Ok(tokenizer)
}

fn train_by_library<T: AsRef<str> + Send>(
    kind: TokenizerKind,
    vocab_size: usize,
    texts: impl Iterator<Item = T> + Send,
) -> Result<tokenizers::Tokenizer, TextError> {
    let mut tokenizer = tokenizers::Tokenizer::new(untrained(kind)?);
    tokenizer.with_normalizer(Some(Lowercase))?;
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer(kind)?));
    if kind == TokenizerKind::Bpe {
        tokenizer.with_decoder(Some(ByteLevel::default()));
    }
    tokenizer.train(&mut trainer(kind, vocab_size)?, texts)?;
    Ok(tokenizer)
}

fn untrained(kind: TokenizerKind) -> Result<ModelWrapper, TextError> {
    Ok(match kind {
        TokenizerKind::Bpe => BPE::default().into(),
        TokenizerKind::Words | TokenizerKind::Punctuated | TokenizerKind::Characters => {
            WordLevel::builder().unk_token(UNK.into()).build()?.into()
        }
    })
}

pub(crate) fn pre_tokenizer(kind: TokenizerKind) -> Result<PreTokenizerWrapper, TextError> {
    let split = |pattern: &str, behavior| {
        Split::new(SplitPattern::Regex(pattern.into()), behavior, false).map(PreTokenizerWrapper::from)
    };
    Ok(match kind {
        TokenizerKind::Words => split(KERAS_FILTERS, Removed)?,
        TokenizerKind::Punctuated => {
            let parts = vec![split(BLANKS, Removed)?, split(PUNCTUATION_MARK, Isolated)?];
            PreTokenizerWrapper::Sequence(Sequence::new(parts))
        }
        TokenizerKind::Characters => split(ONE_CHARACTER, Isolated)?,
        TokenizerKind::Bpe => ByteLevel::new(false, false, true).into(),
    })
}

fn trainer(kind: TokenizerKind, vocab_size: usize) -> Result<TrainerWrapper, TextError> {
    Ok(match kind {
        TokenizerKind::Bpe => BpeTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens(special_tokens())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build()
            .into(),
        TokenizerKind::Words | TokenizerKind::Punctuated | TokenizerKind::Characters => WordLevelTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens(special_tokens())
            .show_progress(false)
            .build()
            .map_err(|error| TextError::Format(error.to_string()))?
            .into(),
    })
}

fn special_tokens() -> Vec<AddedToken> {
    [PAD, START, UNK].map(|token| AddedToken::from(token, true)).to_vec()
}

pub(crate) fn start_token() -> Result<TemplateProcessing, TextError> {
    TemplateProcessing::builder()
        .try_single(format!("{START} $A"))
        .map_err(TextError::Format)?
        .special_tokens(vec![(START, 1)])
        .build()
        .map_err(|error| TextError::Format(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(texts: &[&str], vocab_size: usize) -> Tokenizer {
        train(TokenizerKind::Words, vocab_size, texts.iter().copied()).expect("trains")
    }

    #[test]
    fn words_are_keras_words() {
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
    fn special_tokens_in_a_text_are_plain_words() {
        let tokenizer = words(&["pad start unk"], 10);
        let ids = tokenizer.encode("[PAD] [START]").expect("encodes").ids;
        assert_eq!(ids, [1, tokenizer.id("pad").expect("known"), tokenizer.id("start").expect("known")]);
    }

    #[test]
    fn words_are_learnt_as_the_library_learns_them() {
        let texts = ["A b b'c, d--D <br />", "it's b İx İX ß", "", "zz zz a a \u{2003}q"];
        for vocab_size in [4, 7, 100] {
            let json = |tokenizer: Result<tokenizers::Tokenizer, TextError>| {
                tokenizer.expect("trains").to_string(true).expect("JSON")
            };
            let ours = json(train_words(vocab_size, texts.into_iter()));
            assert_eq!(ours, json(train_by_library(TokenizerKind::Words, vocab_size, texts.into_iter())));
        }
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
        assert!(!tokenizer.is_word_level());
    }

    #[test]
    fn characters_are_single() {
        let tokenizer = train(TokenizerKind::Characters, 50, ["Ab\né"].into_iter()).expect("trains");
        let encoding = tokenizer.encode("bÉ\n").expect("encodes");
        assert_eq!(encoding.offsets, [(0, 0), (0, 1), (1, 3), (3, 4)]);
        assert!(!encoding.ids.contains(&2));
    }

    #[test]
    fn byte_pairs_know_every_word() {
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
        assert!(matches!(Tokenizer::from_json(b"{}").unwrap_err(), TextError::Format(_)));
    }

    proptest! {
        #[test]
        fn offsets_name_the_words_in_the_text(text in "\\PC{0,60}") {
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
        fn json_keeps_the_ids(text in "[a-zA-Z ,.!?']{0,60}") {
            for kind in [TokenizerKind::Words, TokenizerKind::Characters, TokenizerKind::Bpe] {
                let tokenizer = train(kind, 300, ["a b c abc cab the quick fox's"].into_iter()).expect("trains");
                let json = tokenizer.to_json().expect("writes");
                let again = Tokenizer::from_json(json.as_bytes()).expect("reads");
                let batch = again.encode_ids(&[&text]).expect("encodes");
                prop_assert_eq!(&batch[0], &tokenizer.encode(&text).expect("encodes").ids);
            }
        }
    }
}

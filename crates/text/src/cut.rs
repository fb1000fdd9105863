//! Splits texts into tokens, in lower case if their kind is, in one pass over the bytes.

use std::ops::Range;

use serde_json::{Value, json};

use crate::TokenizerKind;

/// What separates words: the characters that Keras's text tokenizer filters out, and white space. Ben
/// Bolte's convolutional sentiment models (codekansas/language_conv_visualizations) read such words.
const KERAS_FILTERS: &str = r##"[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\s]+"##;
/// White space, and the line breaks of HTML, which are common in IMDB's reviews.
const BLANKS: &str = r"<br />|\s+";
const LINE_BREAK: &str = "<br />";
/// Any character that cannot be part of a word.
const PUNCTUATION_MARK: &str = r"[^\w\s']";
/// The second part of an English contraction.
const CONTRACTED: &str = r"(n't|'s|'re|'ve|'d|'ll|'m)$";
const ENDINGS: [&str; 7] = ["n't", "'s", "'re", "'ve", "'d", "'ll", "'m"];
/// Any single character, including line ends.
const ONE_CHARACTER: &str = r"(?s).";

impl TokenizerKind {
    /// What [`cut`] does, in the format of the `tokenizers` library; `None` for bytes and byte pairs.
    pub(crate) fn pre_tokenizer(self) -> Option<Value> {
        let split = |pattern: &str, behavior: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": behavior, "invert": false });
        Some(match self {
            Self::Words => split(KERAS_FILTERS, "Removed"),
            Self::Punctuated => {
                let parts = [split(BLANKS, "Removed"), split(PUNCTUATION_MARK, "Isolated")];
                json!({ "type": "Sequence", "pretokenizers": parts })
            }
            Self::Contractions => {
                let patterns = [(BLANKS, "Removed"), (PUNCTUATION_MARK, "Isolated"), (CONTRACTED, "Isolated")];
                let parts = patterns.map(|(pattern, behavior)| split(pattern, behavior));
                json!({ "type": "Sequence", "pretokenizers": parts })
            }
            Self::Characters | Self::CasedCharacters => split(ONE_CHARACTER, "Isolated"),
            Self::Bytes | Self::Bpe | Self::CasedBpe => return None,
        })
    }
}

/// The role of a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is part of a word.
    Word,
    /// It is a token of its own.
    Single,
    /// It is left out.
    Blank,
}

fn role(kind: TokenizerKind, character: char) -> Role {
    let is_blank = match kind {
        TokenizerKind::Words => character.is_whitespace() || (character.is_ascii_punctuation() && character != '\''),
        TokenizerKind::Punctuated | TokenizerKind::Contractions => character.is_whitespace(),
        _ => false,
    };
    let is_word = match kind {
        TokenizerKind::Words => true,
        TokenizerKind::Punctuated | TokenizerKind::Contractions => {
            character == '\'' || regex_syntax::try_is_word_character(character).unwrap_or(character.is_alphanumeric())
        }
        _ => false,
    };
    match (is_blank, is_word) {
        (true, _) => Role::Blank,
        (false, true) => Role::Word,
        (false, false) => Role::Single,
    }
}

/// The roles of the ASCII characters, for words and for words with punctuation.
static ASCII_ROLES: std::sync::LazyLock<[[Role; 128]; 2]> = std::sync::LazyLock::new(|| {
    [TokenizerKind::Words, TokenizerKind::Punctuated]
        .map(|kind| std::array::from_fn(|byte| role(kind, char::from(byte as u8))))
});

/// Calls `found` with each token of a text, in lower case if its kind is, and its byte range in the text.
pub(crate) fn cut(kind: TokenizerKind, text: &str, mut found: impl FnMut(&str, Range<usize>)) {
    if kind == TokenizerKind::CasedCharacters {
        for (start, character) in text.char_indices() {
            let range = start..start + character.len_utf8();
            found(&text[range.clone()], range);
        }
        return;
    }
    let ascii_roles = match kind {
        TokenizerKind::Words => ASCII_ROLES[0],
        TokenizerKind::Punctuated | TokenizerKind::Contractions => ASCII_ROLES[1],
        _ => [Role::Single; 128],
    };
    let bytes = text.as_bytes();
    let mut word = String::with_capacity(64);
    let (mut first, mut at) = (0, 0);
    let mut end_word = |word: &mut String, range: Range<usize>| {
        if !word.is_empty() {
            match contraction(kind, word) {
                // The ending is ASCII, so it is as long in the text as in lower case.
                Some(ending) => {
                    let (whole, middle) = (word.len(), range.end - ending);
                    found(&word[..whole - ending], range.start..middle);
                    found(&word[whole - ending..], middle..range.end);
                }
                None => found(word, range),
            }
            word.clear();
        }
    };
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii() {
            let is_break = matches!(kind, TokenizerKind::Punctuated | TokenizerKind::Contractions)
                && byte == b'<'
                && bytes[at..]
                    .get(..LINE_BREAK.len())
                    .is_some_and(|tag| tag.eq_ignore_ascii_case(LINE_BREAK.as_bytes()));
            if is_break {
                end_word(&mut word, first..at);
                at += LINE_BREAK.len();
                continue;
            }
            let role = ascii_roles[usize::from(byte)];
            if role != Role::Word {
                end_word(&mut word, first..at);
            }
            if role != Role::Blank {
                first = if word.is_empty() { at } else { first };
                word.push(char::from(byte.to_ascii_lowercase()));
            }
            at += 1;
            if role == Role::Single {
                end_word(&mut word, first..at);
            }
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        let next = at + character.len_utf8();
        for lower in character.to_lowercase() {
            let role = role(kind, lower);
            if role != Role::Word {
                end_word(&mut word, first..at);
            }
            if role != Role::Blank {
                first = if word.is_empty() { at } else { first };
                word.push(lower);
            }
            if role == Role::Single {
                end_word(&mut word, first..next);
            }
        }
        at = next;
    }
    end_word(&mut word, first..at);
}

/// The number of bytes of the second part of a contraction; `None` for any other word.
fn contraction(kind: TokenizerKind, word: &str) -> Option<usize> {
    if kind != TokenizerKind::Contractions || !word.contains('\'') {
        return None;
    }
    let ending = ENDINGS.into_iter().find(|ending| word.ends_with(ending))?;
    (word.len() > ending.len()).then_some(ending.len())
}

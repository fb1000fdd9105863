//! Text from ids, one id at a time.

use crate::{TextError, Tokenizer};

/// Turns ids back into text, one at a time, as a language model writes them.
///
/// Characters, bytes and byte pairs give the text that they were made from, except for unknown characters and, in
/// tokenizers that are not cased, capital letters. Words are put together with spaces, which are left out before marks
/// such as commas.
#[derive(Clone, Debug, Default)]
pub struct Detokenizer {
    /// The last word, if there was one.
    last: Option<String>,
    #[cfg(feature = "library")]
    bytes: crate::library::DecodedBytes,
}

impl Detokenizer {
    /// The text that one more id of a tokenizer adds, the same for all ids of a text. It is empty for special tokens, and for the first bytes of a character,
    /// which a replacement character (U+FFFD) may be.
    ///
    /// # Errors
    ///
    /// [`TextError::Library`] if the decoder of a `tokenizer.json` that another program wrote cannot decode its own
    /// tokens.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String, TextError> {
        if tokenizer.is_special(id) {
            return Ok(String::new());
        }
        #[cfg(feature = "library")]
        if let Some(library) = tokenizer.library() {
            return library.decode_next(id, &mut self.bytes);
        }
        let token = tokenizer.token(id).unwrap_or_default();
        if tokenizer.splits_characters() {
            return Ok(token);
        }
        let space = if self.last.as_deref().is_some_and(|last| is_spaced(last, &token)) { " " } else { "" };
        let text = format!("{space}{token}");
        self.last = Some(token);
        Ok(text)
    }
}

/// Whether there is a space between two tokens of English text.
fn is_spaced(token: &str, next: &str) -> bool {
    let closes = [".", ",", ";", ":", "!", "?", ")", "]", "}", "%", "…"];
    let is_contracted = next.starts_with('\'') && next.len() > 1 || next == "n't";
    !(closes.contains(&next) || is_contracted || ["(", "[", "{", "$", "£"].contains(&token))
}

#[cfg(all(test, feature = "library"))]
mod tests {
    use super::*;
    use crate::{TokenizerKind, train};
    use proptest::prelude::*;

    fn decoded(tokenizer: &Tokenizer, ids: &[u32]) -> String {
        let mut detokenizer = Detokenizer::default();
        ids.iter().map(|&id| detokenizer.push(tokenizer, id).expect("decodes")).collect()
    }

    #[test]
    fn words_are_put_together_with_spaces() {
        let again = |kind, text: &str| {
            let tokenizer = train(kind, 100, std::iter::once(text)).expect("trains");
            decoded(&tokenizer, &tokenizer.ids(text).expect("ids"))
        };
        let text = "it isn't good (or so), he's told: nothing costs $5!";
        assert_eq!(again(TokenizerKind::Contractions, text), text);
        assert_eq!(again(TokenizerKind::Words, "A good, long film"), "a good long film");
        assert_eq!(again(TokenizerKind::Characters, "A b"), "a b");
    }

    proptest! {
        #[test]
        fn cased_kinds_give_the_text_back(text in "(\\PC|[a-zA-Z ]|\n|é|映|😀){1,30}", corpus in "\\PC{1,20}") {
            // A replacement character at the end may be the beginning of another character.
            let text = format!("{text}.");
            for kind in [TokenizerKind::CasedCharacters, TokenizerKind::Bytes, TokenizerKind::CasedBpe] {
                let texts = [text.as_str(), corpus.as_str(), "abc abc"];
                let tokenizer = train(kind, 400, texts.into_iter()).expect("trains");
                let json = tokenizer.to_json().expect("JSON");
                let tokenizer = Tokenizer::from_json(json.as_bytes()).expect("reads");
                prop_assert_eq!(&decoded(&tokenizer, &tokenizer.ids(&text).expect("ids")), &text, "{:?}", kind);
            }
        }
    }
}

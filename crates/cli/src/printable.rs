//! Text that a terminal shows and does not obey.
//!
//! Texts, tokens, label names, column names and file names come from data, and data may contain
//! characters that move the cursor, set the window's title or reorder a line. Everything that this
//! program writes to a terminal goes through here.

use std::borrow::Cow;
use std::fmt::Write;

/// The character that starts an escape sequence, such as a colour.
const ESCAPE: char = '\u{1b}';

/// The text on one line, with every control character replaced.
///
/// A line break or a tab becomes a space. Any other control character (C0, C1 and DEL) and every
/// character that embeds, overrides or isolates a direction of writing becomes an escape such as
/// `\u001b`. The escapes are JSON's, and JSON contains such characters only inside strings, so a line of
/// JSON stays valid and keeps its meaning.
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe)
}

/// Like [`printable`], but keeps escape sequences: for text that this program has coloured itself,
/// and whose parts that come from data were made [`printable`] before.
pub fn printable_styled(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c != ESCAPE && is_unsafe(c))
}

/// Like [`printable`], but keeps line ends and tabs.
pub fn printable_text(text: &str) -> Cow<'_, str> {
    replaced(text, |c| !matches!(c, '\n' | '\t') && is_unsafe(c))
}

fn is_unsafe(c: char) -> bool {
    let is_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_direction
}

fn replaced(text: &str, is_replaced: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if is_replaced(c) => safe.push(' '),
            c if is_replaced(c) => {
                let _ = write!(safe, "\\u{:04x}", u32::from(c)); // a String takes everything
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let cases = [
            ("plain, ünïcödé ☃ 映画", "plain, ünïcödé ☃ 映画"),
            ("two\nlines\tand\r", "two lines and "),
            ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
            ("\u{9b}2J\u{7f}", "\\u009b2J\\u007f"),
            ("\u{202e}gnp.exe", "\\u202egnp.exe"),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable_text("two\nlines\t\u{1b}"), "two\nlines\t\\u001b");
        assert_eq!(printable_styled("\u{1b}[1mbold\u{1b}[0m\u{9b}"), "\u{1b}[1mbold\u{1b}[0m\\u009b");
    }

    /// Any text, with many characters of the kinds that are replaced.
    fn hostile() -> impl Strategy<Value = String> {
        let range = prop::char::range;
        let unsafe_character =
            prop_oneof![range('\0', '\u{1f}'), range('\u{7f}', '\u{9f}'), range('\u{200e}', '\u{206f}')];
        prop::collection::vec(prop_oneof![any::<char>(), unsafe_character], 0..60).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in hostile()) {
            let safe = printable(&text);
            prop_assert!(!safe.contains(is_unsafe));
            prop_assert_eq!(printable(&safe), safe.as_ref());
            prop_assert!(!printable_styled(&text).contains(|c| c != ESCAPE && is_unsafe(c)));
        }

        #[test]
        fn json_keeps_its_meaning(text in hostile()) {
            let line = serde_json::json!({ text.clone(): [text.clone()] }).to_string();
            let read: serde_json::Value = serde_json::from_str(&printable(&line)).expect("JSON");
            prop_assert_eq!(read, serde_json::json!({ text.clone(): [text] }));
        }
    }
}

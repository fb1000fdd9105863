//! Splits a text into sentences.

use std::ops::Range;

use crate::english::OPENERS;
use crate::words::{Abbreviation, abbreviation, is_face, words};

/// Marks that may follow the end of a sentence and belong to it.
const CLOSERS: &str = "\"'”’»)]}";
/// Marks that no sentence begins with.
const CONTINUERS: &str = ".,:;!?…)]}%";

/// When a word ends a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Never,
    /// If a word follows that often begins a sentence.
    BeforeOpener,
    /// If neither a lower-case letter nor punctuation follows.
    BeforeCapital,
    /// If no punctuation follows.
    AtSpace,
    /// As `AtSpace`, but without white space.
    Anywhere,
}

/// The sentences of a text, each as the byte ranges of its words.
///
/// Words are those of the Penn Treebank and the English Web Treebank: punctuation marks, hyphens and the parts of
/// contractions are words of their own; numbers, abbreviations, addresses and emoticons are whole. A sentence ends
/// at a blank line, or at a full stop, question mark or exclamation mark and the quotes and brackets that it closes,
/// with white space after them; before a capital letter, also at an ellipsis or an emoticon. The full stop of an
/// abbreviation counts only before a word that often begins a sentence, and is then a word of its own.
///
/// Everything except white space is in a word, and no word contains white space. No sentence is empty. The time is
/// linear in the length of the text.
///
/// ```
/// let text = "Dr. Lee isn't here. Call back at 10:30!";
/// let sentences = convlens_text::sentences(text);
/// let words = |index: usize| sentences[index].iter().map(|word| &text[word.clone()]).collect::<Vec<_>>();
/// assert_eq!(words(0), ["Dr.", "Lee", "is", "n't", "here", "."]);
/// assert_eq!(words(1), ["Call", "back", "at", "10:30", "!"]);
/// ```
pub fn sentences(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut sentences = Vec::new();
    let mut sentence: Vec<Range<usize>> = Vec::new();
    let mut ending = Ending::Never;
    let mut words = words(text).into_iter().peekable();
    while let Some(word) = words.next() {
        let is_attached = sentence.last().is_some_and(|previous| previous.end == word.start);
        let form = &text[word.clone()];
        ending = if is_attached && is_closer(form) || is_face(form) && ending != Ending::Never {
            ending.after_closer()
        } else if form == "." && is_item_number(text, &sentence) {
            Ending::Never
        } else {
            Ending::of(form)
        };
        let end = word.end;
        sentence.push(word);
        let is_last = words.peek().is_none_or(|next| {
            let gap = &text[end..next.start];
            has_blank_line(gap) || ending.applies(gap, &text[next.clone()])
        });
        if is_last {
            split_full_stop(text, &mut sentence);
            sentences.push(std::mem::take(&mut sentence));
        }
    }
    sentences
}

impl Ending {
    fn of(word: &str) -> Self {
        let is_mark = |marks: &str| word.chars().all(|character| marks.contains(character));
        match word.strip_suffix('.').and_then(abbreviation) {
            Some(Abbreviation::Title) => Self::Never,
            Some(Abbreviation::Other) => Self::BeforeOpener,
            None if is_mark("。！？") => Self::Anywhere,
            None if is_mark("….") && word != "." => Self::BeforeCapital,
            None if is_mark(".!?") => Self::AtSpace,
            None if is_face(word) && !word.starts_with(['<', '❤', '♥']) => Self::BeforeCapital,
            None => Self::Never,
        }
    }

    /// The ending of a sentence whose last word is followed by a closing quote or bracket.
    fn after_closer(self) -> Self {
        match self {
            Self::Never | Self::BeforeOpener => Self::Never,
            Self::BeforeCapital | Self::AtSpace => Self::BeforeCapital,
            Self::Anywhere => Self::Anywhere,
        }
    }

    /// Whether the sentence ends before a word.
    fn applies(self, gap: &str, next: &str) -> bool {
        let is_ellipsis = next.starts_with("..");
        let continues = is_face(next) || (next.starts_with(|mark| CONTINUERS.contains(mark)) && !is_ellipsis);
        match self {
            Self::Never => false,
            Self::BeforeOpener => !gap.is_empty() && OPENERS.contains(&next),
            Self::BeforeCapital => !gap.is_empty() && !continues && !next.starts_with(char::is_lowercase),
            Self::AtSpace => !gap.is_empty() && !continues,
            Self::Anywhere => !(continues || gap.is_empty() && is_closer(next)),
        }
    }
}

/// Whether a word is a closing quote or bracket.
fn is_closer(word: &str) -> bool {
    word.chars().all(|character| CLOSERS.contains(character))
}

/// Whether a sentence is only the number of an item in a list.
fn is_item_number(text: &str, sentence: &[Range<usize>]) -> bool {
    matches!(sentence, [number] if text[number.clone()].bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether white space contains two line breaks.
fn has_blank_line(gap: &str) -> bool {
    let count = |line_break| gap.matches(line_break).count();
    count('\n').max(count('\r')) > 1
}

/// Separates the full stop that ends a sentence from the abbreviation before it.
fn split_full_stop(text: &str, sentence: &mut Vec<Range<usize>>) {
    if let Some(word) = sentence.last_mut()
        && text[word.clone()].strip_suffix('.').and_then(abbreviation).is_some()
    {
        let end = word.end;
        word.end -= 1;
        sentence.push(end - 1..end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The words of a text, with a space between them and ` / ` between sentences.
    fn split(text: &str) -> String {
        let sentences = sentences(text).into_iter().map(|words| words.into_iter().map(|word| &text[word]).collect());
        sentences.map(|words: Vec<&str>| words.join(" ")).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn words_are_those_of_the_treebanks() {
        for (text, words) in [
            ("They don't; it's ours, we'll see.", "They do n't ; it 's ours , we 'll see ."),
            ("I can’t, I’m CAN'T I'd've", "I ca n’t , I ’m CA N'T I 'd 've"),
            ("cannot Dont gonna o'clock O'Neil '90s", "can not Do nt gon na o'clock O'Neil '90s"),
            ("the dogs' toys; \"Up\"'s plot", "the dogs ' toys ; \" Up \" 's plot"),
            ("(see [it]) «oui» “yes”", "( see [ it ] ) « oui » “ yes ”"),
            ("$5, €3.50 and 7% of 1,000", "$ 5 , € 3.50 and 7 % of 1,000"),
            ("at 10:30pm, 5km, the 4th, 1990s, .5", "at 10:30 pm , 5 km , the 4th , 1990s , .5"),
            ("9/11 03/04/2005 1/2 5-10 555-0199 2020-02-03", "9/11 03/04/2005 1 / 2 5 - 10 555-0199 2020-02-03"),
            ("a well-known non-issue and/or e-mail", "a well - known non-issue and / or e-mail"),
            ("Mr. and Mrs. Ode, e.g. in the U.S. at 9 a.m. on", "Mr. and Mrs. Ode , e.g. in the U.S. at 9 a.m. on"),
            ("No. 5 and no. No.", "No. 5 and no . / No ."),
            ("AT&T snake_case v1.2", "AT&T snake_case v1.2"),
            ("https://a.example/b?c=d, (www.a.example).", "https://a.example/b?c=d , ( www.a.example ) ."),
            ("a.b-c@d.example's a.com/b notes.txt.", "a.b-c@d.example 's a.com/b notes.txt ."),
            ("@name #tag #1 C#", "@name #tag # 1 C #"),
            ("fine :) ok ;-) ha :D we <3 it", "fine :) ok ;-) ha :D we <3 it"),
            ("so... well.. no -- *** ==> what?!!", "so ... well .. no -- *** ==> what ?!!"),
            ("你好。再见！", "你好 。 / 再见 ！"),
            ("cafe\u{301}\u{a0}naïve", "cafe\u{301} naïve"),
            ("a👩🏽‍🚀b ❤️🇫🇷🇩🇪", "a 👩🏽‍🚀 b ❤️ 🇫🇷 🇩🇪"),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn sentences_end_at_marks_and_blank_lines() {
        for (text, words) in [
            ("", ""),
            (" \r\n\u{a0}", ""),
            ("One. two? Three! \"Four.\" (Five.) 6", "One . / two ? / Three ! / \" Four . \" / ( Five . ) / 6"),
            ("\"Why?\" she said.", "\" Why ? \" she said ."),
            ("One\ntwo\r\nthree\n \nfour\r\n\r\nfive", "One two three / four / five"),
            ("Dr. J. Smith and St. Ives Inc. left.", "Dr. J. Smith and St. Ives Inc. left ."),
            ("In the U.S. Senate. In the U.S. The end", "In the U.S. Senate . / In the U.S . / The end"),
            ("We met at 5 p.m.\n\nThe U.K.", "We met at 5 p.m . / The U.K ."),
            ("Wait... what? Wait... What?", "Wait ... what ? / Wait ... / What ?"),
            ("Great! :) Thanks 🎉 Bye", "Great ! :) / Thanks 🎉 / Bye"),
            ("1. One. 2. Two.", "1 . One . / 2 . Two ."),
            ("v1.2 is out.Next", "v1.2 is out . Next"),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    /// Panics unless the sentences of a text are as their documentation says.
    fn check(text: &str) {
        let mut end = 0;
        for sentence in sentences(text) {
            assert!(!sentence.is_empty());
            for word in sentence {
                assert!(word.start >= end && text[end..word.start].trim().is_empty(), "left out: {text:?}");
                assert!(!word.is_empty() && !text[word.clone()].contains(char::is_whitespace), "{text:?}");
                end = word.end;
            }
        }
        assert!(text[end..].trim().is_empty(), "left out: {text:?}");
    }

    #[test]
    fn the_time_is_linear() {
        // In quadratic time, this would take hours.
        for part in ["a", "."] {
            check(&part.repeat(1 << 20));
        }
        for part in [
            "a.",
            "a-",
            "-.",
            "1/",
            "1-",
            "1.",
            "'",
            "'s",
            "a's",
            "n't",
            "a_",
            "A&",
            "a@",
            "@",
            "#a",
            "www.",
            "www.;",
            "http://)",
            "a.com",
            "a.com/",
            "(",
            ":)",
            "_",
            "\u{301}",
            "👩\u{200d}",
            "🇫",
            "你",
            "。",
            "No. ",
            "U.S. ",
            "\n",
            "é\u{a0}",
        ] {
            check(&part.repeat((1 << 16) / part.len()));
        }
        check(&format!("No.{}1", " ".repeat(1 << 20)));
    }

    proptest! {
        #[test]
        fn any_text_is_split(text in any::<String>()) {
            check(&text);
        }

        #[test]
        fn texts_of_special_cases_are_split(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "I", "n't", "'", "’", "s", "S", ".", "..", "U.S.", "Dr.", "No.", "1", "23", ",", ":", "/", "-", "_",
            "&", "@", "#", "www.", "http://", "com", ".com", "am", "$", "%", "(", ")", "\"", "”", "!", "?", "…", "。", "<3",
            "cannot", "e", " ", "\n", "\r\n", "\u{a0}", "\u{2028}", "\u{200d}", "\u{fe0f}", "\u{301}", "\u{600}",
            "😀", "🏽", "🇫", "é", "İ", "ß", "你", "٣", "½",
        ]), 0..20)) {
            check(&parts.concat());
        }
    }
}

//! Splits a text into words and punctuation marks, as the Penn Treebank and the English Web Treebank do.
//!
//! The rules are our own. Unicode's word boundaries (UAX #29) keep contractions whole and split addresses, dates and
//! emoticons, so most of the same rules would still be needed to split and join them.
//!
//! A rule reads little more than the word that it finds, so the time is linear in the length of the text.

use std::ops::Range;

use crate::english::{ABBREVIATIONS, CLIPPED, CONTRACTED, EXTENSIONS, FUSED, NUMBERED, PREFIXES, TITLES, UNITS};

/// What a web address begins with.
const SCHEMES: [&str; 5] = ["http://", "https://", "ftp://", "mailto:", "www."];
/// The longest name of a host, a file or a mailbox, in bytes.
const LONGEST_NAME: usize = 64;
/// Faces and hearts.
const EMOTICONS: [&str; 30] = [
    ">:(", ":'(", ":-)", ":-(", ":-D", ":-P", ":-/", ";-)", "=-)", "^_^", "-_-", "</3", ":))", ":)", ":(", ":D", ":P",
    ":p", ":O", ":o", ":/", ":|", ":]", ":[", ";)", ";D", ";P", "=)", "=(", "<3",
];
/// Marks that are one word with any of them beside them: `?!`, `...`.
const TERMINATORS: &str = ".!?";
/// Marks that lines and arrows are drawn with: `--`, `===>`, `***`.
const STROKES: &str = "-=<>*_~+|#^";
/// Marks that are one word with others of their kind.
const REPEATED: &str = "'’‘`$…:";

/// The kinds of abbreviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abbreviation {
    /// A name or a number follows.
    Title,
    /// It may be the last word of a sentence.
    Other,
}

/// What a word may be, as the number of bytes that it takes at the start of a text. The first that applies counts.
const RULES: [fn(&str) -> Option<usize>; 7] = [address, number, word, clipped, tag, emoticon, marks];

/// The words of a text, in order. An abbreviation has its full stop, even at the end of a sentence.
pub(crate) fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let mut end = at + first.len_utf8();
        if !first.is_whitespace() {
            let rest = &text[at..];
            end = at + RULES.iter().find_map(|rule| rule(rest)).unwrap_or_else(|| symbol(rest));
            push_parts(text, at..end, &mut words);
        }
        at = end;
    }
    words
}

/// The kind of an abbreviation, given without its last full stop; `None` for any other word.
pub(crate) fn abbreviation(word: &str) -> Option<Abbreviation> {
    let is_letter = |part: &str| part.chars().count() == 1 && part.chars().all(char::is_alphabetic);
    let is_initial = is_letter(word) && word != "I" && word.chars().all(char::is_uppercase);
    if TITLES.contains(&word) {
        Some(Abbreviation::Title)
    } else if is_initial || is_in(&ABBREVIATIONS, word) || (word.contains('.') && word.split('.').all(is_letter)) {
        Some(Abbreviation::Other)
    } else {
        NUMBERED.contains(&word).then_some(Abbreviation::Title)
    }
}

/// Whether a word is an emoticon or an emoji.
pub(crate) fn is_face(word: &str) -> bool {
    EMOTICONS.contains(&word)
        || word.starts_with(|first| matches!(first, '\u{2600}'..='\u{27bf}' | '\u{1f300}'..='\u{1faff}'))
}

fn is_in(table: &[&str], word: &str) -> bool {
    table.iter().any(|entry| entry.eq_ignore_ascii_case(word))
}

/// Whether a character is a letter, a digit, or a mark that combines with one.
fn is_word(character: char) -> bool {
    character != '_' && regex_syntax::try_is_word_character(character).unwrap_or(character.is_alphanumeric())
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’' | '`')
}

/// The number of bytes at the start whose characters all have a property.
fn prefix(rest: &str, property: impl Fn(char) -> bool) -> usize {
    rest.find(|character| !property(character)).unwrap_or(rest.len())
}

/// The number of bytes of the character at the start, if it has a property.
fn first(rest: &str, property: impl Fn(char) -> bool) -> Option<usize> {
    rest.chars().next().filter(|&character| property(character)).map(char::len_utf8)
}

/// Adds a word, or the parts of a contraction.
fn push_parts(text: &str, word: Range<usize>, words: &mut Vec<Range<usize>>) {
    let (from, mut to) = (words.len(), word.end);
    while let Some(cut) = contraction(&text[word.start..to]) {
        words.push(word.start + cut..to);
        to = word.start + cut;
    }
    words.push(word.start..to);
    words[from..].reverse();
}

/// Where the last part of a contraction begins.
fn contraction(word: &str) -> Option<usize> {
    let fused = FUSED.iter().find_map(|words| {
        let (first, second) = words.split_once(' ')?;
        let (start, end) = word.split_at_checked(first.len())?;
        (start.eq_ignore_ascii_case(first) && end.eq_ignore_ascii_case(second)).then_some(first.len())
    });
    if fused.is_some() {
        return fused;
    }
    let (at, apostrophe) = word.char_indices().rev().take(3).find(|&(_, character)| is_apostrophe(character))?;
    let (stem, ending) = (&word[..at], &word[at + apostrophe.len_utf8()..]);
    let cut = if ending.eq_ignore_ascii_case("t") && stem.ends_with(['n', 'N']) {
        at - 1
    } else if is_in(&CONTRACTED, ending) && stem.ends_with(char::is_alphabetic) {
        at
    } else {
        0
    };
    (cut > 0).then_some(cut)
}

/// A web or e-mail address, or the name of a host or a file.
fn address(rest: &str) -> Option<usize> {
    first(rest, |character| character.is_ascii_alphanumeric())?;
    let bytes = rest.as_bytes().iter().take(LONGEST_NAME);
    let name = bytes.take_while(|byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte)).count();
    let (name, after) = rest.split_at(name);
    let is_link =
        SCHEMES.iter().any(|scheme| rest.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme)));
    let host = name.trim_end_matches(['.', '-']);
    let is_host = !after.starts_with(is_word) && is_host(host);
    let whole = if is_link || (is_host && host == name && after.starts_with('/')) {
        let end = prefix(rest, |character| !character.is_whitespace() && !"<>\"“”)]}".contains(character));
        rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '’', '*'])
    } else if after.strip_prefix('@').and_then(|domain| first(domain, |it| it.is_ascii_alphabetic())).is_some() {
        let domain = prefix(&after[1..], |it| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_'));
        rest[..name.len() + 1 + domain].trim_end_matches(['.', '-', '_'])
    } else if is_host {
        host
    } else {
        ""
    };
    (!whole.is_empty()).then_some(whole.len())
}

/// Whether a name ends as those of hosts and files do, or has three parts or more: `comp.lang.c`, but not `U.S.A`.
fn is_host(name: &str) -> bool {
    let (mut parts, last) = (name.split('.'), name.rsplit('.').next());
    let is_long = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    !name.contains("..")
        && !name.contains("--")
        && ((name.contains('.') && last.is_some_and(|extension| is_in(&EXTENSIONS, extension)))
            || (parts.clone().count() > 2 && parts.all(is_long)))
}

/// A number with the marks inside it, and the letters after it unless they are a unit.
fn number(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix('.').unwrap_or(rest);
    first(digits, |character| character.is_ascii_digit())?;
    let plain = rest.len() - digits.len() + digit_groups(digits, &['.', ',', ':']);
    let end = grouped(digits).unwrap_or(plain).max(plain);
    let letters = run(&rest[end..], 0);
    Some(if is_in(&UNITS, &rest[end..end + letters]) { end } else { run(rest, end) })
}

/// The bytes of digits with single separators between them.
fn digit_groups(rest: &str, separators: &[char]) -> usize {
    let mut end = 0;
    loop {
        end += prefix(&rest[end..], |character| character.is_ascii_digit());
        match rest[end..].strip_prefix(separators) {
            Some(after) if after.starts_with(|character: char| character.is_ascii_digit()) => end += 1,
            _ => return end,
        }
    }
}

/// A date or a telephone number, but neither a range (`5-10`) nor a fraction (`1/2`).
fn grouped(rest: &str) -> Option<usize> {
    ['/', '-'].into_iter().find_map(|separator| {
        let end = digit_groups(rest, &[separator]);
        let mut lengths = rest[..end].split(separator).map(str::len);
        let whole = match (separator, lengths.next()?, lengths.next()?, lengths.next()) {
            (_, _, _, Some(_)) => true,
            ('/', before, after, None) => (before <= 2 && after == 2) || (before == 3 && after == 3),
            (_, before, after, None) => before >= 5 || (before <= 3 && after == 4),
        };
        whole.then_some(end)
    })
}

/// A word, with the full stop of an abbreviation.
fn word(rest: &str) -> Option<usize> {
    first(rest, is_word)?;
    let end = run(rest, 0);
    let Some(after) = rest[end..].strip_prefix('.').filter(|after| !after.starts_with("..")) else { return Some(end) };
    let has_stop = abbreviation(&rest[..end]).is_some() && {
        let next = after.chars().find(|character| !character.is_whitespace());
        !NUMBERED.contains(&&rest[..end]) || next.is_some_and(|character| character.is_ascii_digit())
    };
    Some(end + usize::from(has_stop))
}

/// Where a run of letters and digits, and of marks that belong between them, ends.
fn run(rest: &str, from: usize) -> usize {
    let mut end = from;
    loop {
        end += prefix(&rest[end..], is_word);
        let mut ahead = rest[end..].chars();
        let (Some(mark), Some(after), further) = (ahead.next(), ahead.next(), ahead.next()) else { return end };
        let mut behind = rest[..end].chars().rev();
        let (Some(before), earlier) = (behind.next(), behind.next()) else { return end };
        let joins = match mark {
            '_' => true,
            '.' if before.is_alphabetic() => {
                after.is_alphabetic() && matches!(earlier, None | Some('.')) && !further.is_some_and(is_word)
            }
            '.' | ':' => before.is_ascii_digit() && after.is_ascii_digit(),
            '&' => before.is_uppercase() && after.is_uppercase(),
            '-' => is_in(&PREFIXES, &rest[..end]),
            mark => is_apostrophe(mark) && after.is_alphabetic(),
        };
        if !joins || !is_word(after) {
            return end;
        }
        end += mark.len_utf8();
    }
}

/// A word or a year that begins with an apostrophe, or the second part of a contraction.
fn clipped(rest: &str) -> Option<usize> {
    let apostrophe = first(rest, is_apostrophe)?;
    let after = &rest[apostrophe..];
    let length: usize = after.chars().take(6).take_while(|&character| is_word(character)).map(char::len_utf8).sum();
    let word = &after[..length];
    let is_year = word.starts_with(|it: char| it.is_ascii_digit()) && word.trim_end_matches('s').len() == 2;
    (is_year || is_in(&CLIPPED, word) || is_in(&CONTRACTED, word)).then_some(apostrophe + length)
}

/// A name after `@`, or a tag.
fn tag(rest: &str) -> Option<usize> {
    first(rest, |character| matches!(character, '@' | '#'))?;
    first(&rest[1..], char::is_alphabetic)?;
    Some(run(rest, 1))
}

fn emoticon(rest: &str) -> Option<usize> {
    let face = EMOTICONS.iter().find(|face| rest.starts_with(**face))?;
    (!rest[face.len()..].starts_with(is_word)).then_some(face.len())
}

/// Several marks that are one word.
fn marks(rest: &str) -> Option<usize> {
    let mark = rest.chars().next()?;
    let length = if TERMINATORS.contains(mark) {
        prefix(rest, |character| TERMINATORS.contains(character))
    } else if STROKES.contains(mark) {
        prefix(rest, |character| STROKES.contains(character))
    } else if REPEATED.contains(mark) {
        prefix(rest, |character| character == mark)
    } else {
        return None;
    };
    Some(length)
}

/// One character with those that modify it: an emoji may have a colour and be joined with others.
fn symbol(rest: &str) -> usize {
    const JOINER: char = '\u{200d}';
    let is_flag = |character| matches!(character, '\u{1f1e6}'..='\u{1f1ff}');
    let is_modifier = |character| matches!(character, '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}');
    let mut previous = None;
    for (at, character) in rest.char_indices() {
        let belongs = match previous {
            None => true,
            Some(JOINER) => !character.is_whitespace(),
            Some(previous) if is_flag(previous) && at == previous.len_utf8() => is_flag(character),
            Some(_) => false,
        };
        let is_mark = !character.is_alphanumeric() && character != '_' && is_word(character);
        if !belongs && !is_mark && !is_modifier(character) {
            return at;
        }
        previous = Some(character);
    }
    rest.len()
}

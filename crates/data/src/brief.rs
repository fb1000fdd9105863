//! Values from files, shortened for an error message: a message is one line, whatever the file holds.

/// How many characters of a value are shown.
const CHARACTERS: usize = 60;
/// How many names of a list are shown.
const NAMES: usize = 10;

/// A value's first characters. Characters that a terminal would act on are escaped.
pub fn shortened(value: &str) -> String {
    shortened_to(value, CHARACTERS)
}

/// As [`shortened`], to a given number of characters.
pub(crate) fn shortened_to(value: &str, characters: usize) -> String {
    let mut short = String::new();
    for (index, character) in value.chars().enumerate() {
        if index == characters {
            short.push('…');
            break;
        }
        if acts_on_terminals(character) {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    short
}

/// The first names of a list, and how many follow.
pub fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| shortened(name)).collect();
    let more = names.len().saturating_sub(NAMES);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Control characters, line separators and marks that change the direction of text.
fn acts_on_terminals(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_and_lists_are_cut() {
        assert_eq!(shortened("short, naïve 🎬"), "short, naïve 🎬");
        assert_eq!(shortened(&"é".repeat(100)), format!("{}…", "é".repeat(60)));
        assert_eq!(shortened("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        let names: Vec<String> = (0..12).map(|index| index.to_string()).collect();
        assert_eq!(listed(&names), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}

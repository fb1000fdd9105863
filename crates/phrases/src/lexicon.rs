//! Which words and phrases of a text have a score in a lexicon, and what negation and contrast do to it.

use ahash::AHashMap;

/// The maximum number of words of a phrase of a lexicon.
pub const MOST_WORDS_OF_PHRASE: usize = 3;

/// What a negation multiplies the scores of the words in its scope by. Hutto and Gilbert (2014) found −0.74 for
/// single words; on whole reviews a smaller factor has a lower validation loss.
const NEGATED: f32 = -0.3;
/// The number of words after a negation that are in its scope, unless a mark of punctuation ends it before.
const SCOPE: usize = 4;
/// What the scores before and after *but* are multiplied by (Hutto and Gilbert 2014).
const BEFORE_CONTRAST: f32 = 0.5;
const AFTER_CONTRAST: f32 = 1.5;

/// What a word does to the scores of other words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    #[default]
    None,
    /// It negates the words after it.
    Negation,
    /// It ends the scope of a negation.
    EndOfClause,
    /// What is said before it counts less than what is said after it, within a sentence.
    Contrast,
    /// It ends a sentence, and with it the scope of a negation.
    EndOfSentence,
}

impl Role {
    const ALL: [Self; 5] = [Self::None, Self::Negation, Self::EndOfClause, Self::Contrast, Self::EndOfSentence];

    /// The role of an English word or mark of punctuation, in lower case.
    pub fn of_word(word: &str) -> Self {
        match word {
            "not" | "no" | "never" | "nothing" | "nobody" | "none" | "nowhere" | "neither" | "nor" | "without"
            | "hardly" | "barely" | "cannot" => Self::Negation,
            word if word.ends_with("n't") => Self::Negation,
            "," | ";" | ":" | "(" | ")" | "\"" | "-" => Self::EndOfClause,
            "but" => Self::Contrast,
            "." | "!" | "?" => Self::EndOfSentence,
            _ => Self::None,
        }
    }

    fn ends_scope(self) -> bool {
        matches!(self, Self::EndOfClause | Self::Contrast | Self::EndOfSentence)
    }

    /// The number that stands for it in a file of weights.
    pub fn number(self) -> f32 {
        self as u8 as f32
    }

    /// The role that a number stands for; none if it stands for no other.
    pub fn from_number(number: f32) -> Self {
        Self::ALL.into_iter().find(|role| role.number() == number).unwrap_or_default()
    }
}

/// The phrases of a lexicon and the roles of its words, to be looked up.
///
/// A phrase of a lexicon is a pair, as in byte-pair encoding: what is before its last word, which is a word or an
/// earlier pair, and this word.
#[derive(Clone, Debug)]
pub struct LexiconIndex {
    /// The row of each pair in the table of scores, by the row of what is before its last word and the id of that word.
    rows: AHashMap<[u32; 2], u32>,
    /// The number of words of the longest phrase.
    longest: usize,
    roles: Vec<Role>,
}

/// The words and phrases of a text that have a score, in four parallel lists.
#[derive(Clone, Debug, Default)]
pub struct LexiconMatches {
    /// The row of each in the table of scores.
    pub rows: Vec<i32>,
    /// What each score is multiplied by.
    pub factors: Vec<f32>,
    /// The position of the last word of each.
    pub positions: Vec<usize>,
    /// The number of words of each.
    pub words: Vec<usize>,
}

impl LexiconIndex {
    /// From the row of what is before the last word of each pair and the id of that word, `[pairs, 2]`, and the
    /// [number](Role::number) of every word's role. A pair of more than [`MOST_WORDS_OF_PHRASE`] words, or one that
    /// continues no word and no earlier pair, is in no text.
    pub fn new(pairs: &[f32], roles: &[f32]) -> Self {
        let id = |number: f32| number.max(0.0) as u32;
        let mut words_of = vec![1; roles.len()];
        let mut rows = AHashMap::with_capacity(pairs.len() / 2);
        for pair in pairs.as_chunks::<2>().0 {
            let [before, word] = pair.map(id);
            let words = words_of.get(before as usize).map_or(0, |words| words + 1);
            let is_phrase = (2..=MOST_WORDS_OF_PHRASE).contains(&words);
            if is_phrase {
                rows.insert([before, word], words_of.len() as u32);
            }
            words_of.push(if is_phrase { words } else { MOST_WORDS_OF_PHRASE });
        }
        let longest = if rows.is_empty() { 1 } else { words_of.into_iter().max().unwrap_or(1) };
        Self { rows, longest, roles: roles.iter().copied().map(Role::from_number).collect() }
    }

    fn roles(&self, text: &[u32]) -> Vec<Role> {
        text.iter().map(|&id| self.roles.get(id as usize).copied().unwrap_or_default()).collect()
    }

    /// For each position, the factor of a word or phrase that begins there.
    fn factors(&self, text: &[u32]) -> Vec<f32> {
        let roles = self.roles(text);
        let factor = |at: usize| NEGATED.powi(negations(&roles, at).count() as i32);
        let mut factors: Vec<f32> = (0..text.len()).map(factor).collect();
        let mut first = 0;
        for sentence in roles.split_inclusive(|role| *role == Role::EndOfSentence) {
            if let Some(contrast) = sentence.iter().rposition(|role| *role == Role::Contrast) {
                let (before, after) = factors[first..first + sentence.len()].split_at_mut(contrast);
                before.iter_mut().for_each(|factor| *factor *= BEFORE_CONTRAST);
                after.iter_mut().for_each(|factor| *factor *= AFTER_CONTRAST);
            }
            first += sentence.len();
        }
        factors
    }

    /// What of a text has a score. `saturation` is the number of words from which on scores are averaged rather than
    /// added: the scores of a text of *n* distinct words are multiplied by saturation / (*n* + saturation).
    pub fn find(&self, text: &[u32], saturation: f32) -> LexiconMatches {
        let of_position = self.factors(text);
        let mut found = LexiconMatches::default();
        // The rows of what ends at the position before, and of what ends at this one, and where each begins.
        let (mut before, mut here) = (Vec::new(), Vec::new());
        for (at, &id) in text.iter().enumerate() {
            if (id as usize) < self.roles.len() {
                here.push((id, at));
            }
            let longer = before.iter().filter_map(|&(row, begin)| Some((*self.rows.get(&[row, id])?, begin)));
            here.extend(longer);
            here.iter().for_each(|&(row, begin)| found.add(row, of_position[begin], at, at + 1 - begin));
            std::mem::swap(&mut before, &mut here);
            here.clear();
        }
        let mut counts: AHashMap<i32, f32> = AHashMap::with_capacity(found.rows.len());
        found.rows.iter().for_each(|&row| *counts.entry(row).or_default() += 1.0);
        let words = counts.keys().filter(|row| (**row as usize) < self.roles.len()).count();
        let scale = saturation / (words as f32 + saturation);
        found.factors.iter_mut().zip(&found.rows).for_each(|(factor, row)| *factor *= scale / counts[row]);
        found
    }

    /// For each position, the first of the negations in whose scope its word or a phrase that ends there is, or the
    /// position itself if there is none.
    pub fn scopes(&self, text: &[u32]) -> Vec<usize> {
        let roles = self.roles(text);
        let first = |at: usize| {
            let begins = (0..self.longest).filter_map(|words| at.checked_sub(words));
            begins.filter_map(|begin| negations(&roles, begin).last()).min().unwrap_or(at)
        };
        (0..text.len()).map(first).collect()
    }
}

/// The positions of the negations in whose scope the word at a position is, last first.
fn negations(roles: &[Role], at: usize) -> impl Iterator<Item = usize> {
    // What ends a scope is not in it.
    let first = if roles.get(at).is_some_and(|role| role.ends_scope()) { at } else { at.saturating_sub(SCOPE) };
    let before = (first..at).rev().map(|at| (at, roles[at]));
    let scope = before.take_while(|(_, role)| !role.ends_scope());
    scope.filter(|(_, role)| *role == Role::Negation).map(|(at, _)| at)
}

impl LexiconMatches {
    fn add(&mut self, row: u32, factor: f32, position: usize, words: usize) {
        self.rows.push(row as i32);
        self.factors.push(factor);
        self.positions.push(position);
        self.words.push(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows and numbers of words of what is found in a text.
    fn found(index: &LexiconIndex, text: &[u32]) -> Vec<(i32, usize, usize)> {
        let found = index.find(text, 1.0);
        let all = found.rows.iter().zip(&found.words).zip(&found.positions);
        all.map(|((&row, &words), &position)| (row, words, position)).collect()
    }

    #[test]
    fn phrases_of_three_words_continue_pairs() {
        // Words 0 to 3; 0 1 is row 4, 0 1 2 is row 5.
        let index = LexiconIndex::new(&[0.0, 1.0, 4.0, 2.0], &[0.0; 4]);
        let words = [(0, 1, 0), (1, 1, 1), (4, 2, 1), (2, 1, 2), (5, 3, 2)];
        assert_eq!(found(&index, &[0, 1, 2]), words);
        assert_eq!(found(&index, &[1, 2]), [(1, 1, 0), (2, 1, 1)]);
        // A word of a text that is not in the vocabulary is not the row of a pair.
        assert_eq!(found(&index, &[4, 2]), [(2, 1, 1)]);
    }

    #[test]
    fn pairs_that_continue_nothing_are_in_no_text() {
        // Row 2 continues itself, row 3 a later row; row 6 would have four words, and row 7 continues that.
        let pairs = [2.0, 0.0, 4.0, 0.0, 0.0, 1.0, 4.0, 1.0, 5.0, 1.0, 6.0, 1.0];
        let index = LexiconIndex::new(&pairs, &[0.0; 2]);
        let rows: Vec<i32> = found(&index, &[0, 1, 1, 1, 1]).into_iter().map(|(row, ..)| row).collect();
        assert_eq!(rows, [0, 1, 4, 1, 5, 1, 1]);
    }

    #[test]
    fn a_phrase_has_the_factor_of_its_first_word_and_its_scope() {
        // Word 1 negates; 0 2 2 is a phrase.
        let index = LexiconIndex::new(&[0.0, 2.0, 3.0, 2.0], &[0.0, 1.0, 0.0]);
        let text = [0, 2, 2, 1, 0, 2, 2];
        let found = index.find(&text, 1e9);
        assert_eq!(index.scopes(&text), [0, 1, 2, 3, 3, 3, 3]);
        let factors: Vec<f32> =
            (0..found.rows.len()).filter(|&at| found.words[at] == 3).map(|at| found.factors[at]).collect();
        assert_eq!(factors.len(), 2);
        assert!(factors[1] == factors[0] * NEGATED, "{factors:?}");
    }
}

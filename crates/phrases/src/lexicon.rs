//! Which words and pairs of words of a text have a score in a lexicon, and what negation and contrast do to it.

use ahash::AHashMap;

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

/// The pairs of a lexicon and the roles of its words, to be looked up.
#[derive(Clone, Debug)]
pub struct LexiconIndex {
    /// The row of each pair in the table of scores.
    rows: AHashMap<[u32; 2], u32>,
    roles: Vec<Role>,
}

/// The words and pairs of a text that have a score, in four parallel lists.
#[derive(Clone, Debug, Default)]
pub struct LexiconMatches {
    /// The row of each in the table of scores.
    pub rows: Vec<i32>,
    /// What each score is multiplied by.
    pub factors: Vec<f32>,
    /// The position of the last word of each.
    pub positions: Vec<usize>,
    /// Whether it is a pair.
    pub is_pair: Vec<bool>,
}

impl LexiconIndex {
    /// From the ids of the words of each pair, `[pairs, 2]`, and the [number](Role::number) of every word's role.
    pub fn new(pairs: &[f32], roles: &[f32]) -> Self {
        let id = |number: f32| number.max(0.0) as u32;
        let rows = pairs.as_chunks::<2>().0.iter().zip(roles.len() as u32..);
        Self {
            rows: rows.map(|(&[one, two], row)| ([id(one), id(two)], row)).collect(),
            roles: roles.iter().copied().map(Role::from_number).collect(),
        }
    }

    fn roles(&self, text: &[u32]) -> Vec<Role> {
        text.iter().map(|&id| self.roles.get(id as usize).copied().unwrap_or_default()).collect()
    }

    /// For each position, the factor of a word or pair that begins there.
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
        for (at, &id) in text.iter().enumerate() {
            if (id as usize) < self.roles.len() {
                found.add(id, of_position[at], at, false);
            }
            let pair = at.checked_sub(1).and_then(|before| self.rows.get(&[text[before], id]));
            if let Some(&row) = pair {
                found.add(row, of_position[at - 1], at, true);
            }
        }
        let mut counts: AHashMap<i32, f32> = AHashMap::with_capacity(found.rows.len());
        found.rows.iter().for_each(|&row| *counts.entry(row).or_default() += 1.0);
        let words = counts.keys().filter(|row| (**row as usize) < self.roles.len()).count();
        let scale = saturation / (words as f32 + saturation);
        found.factors.iter_mut().zip(&found.rows).for_each(|(factor, row)| *factor *= scale / counts[row]);
        found
    }

    /// For each position, the first of the negations in whose scope its word or pair is, or the position itself if
    /// there is none.
    pub fn scopes(&self, text: &[u32]) -> Vec<usize> {
        let roles = self.roles(text);
        let first = |at: usize| {
            let begins = [at, at.saturating_sub(1)].into_iter();
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
    fn add(&mut self, row: u32, factor: f32, position: usize, is_pair: bool) {
        self.rows.push(row as i32);
        self.factors.push(factor);
        self.positions.push(position);
        self.is_pair.push(is_pair);
    }
}

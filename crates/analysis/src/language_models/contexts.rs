//! What the units of a language model answer to: the contexts in which each is largest, and the tokens that it makes more
//! probable there.

use std::collections::HashSet;

use convlens_run::model::EncoderSettings;
use convlens_run::text::{Detokenizer, Tokenizer};
use convlens_run::{Run, RunError, to_host};
use serde::Serialize;

use crate::OnStage;

/// How many tokens are read at once, besides those that they depend on.
const AT_ONCE: usize = 4_096;
/// How many tokens of a context are shown.
const SHOWN: usize = 30;
/// Two contexts whose last tokens, so many, are the same count as one.
const DISTINCT: usize = 6;

/// What a unit answers to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitContexts {
    /// The number of the unit: a channel of the encoder's output, from which the head predicts.
    pub unit: usize,
    /// The mean of its values.
    pub mean: f64,
    /// The standard deviation of its values.
    pub deviation: f64,
    /// The contexts in which it is largest.
    pub most: Vec<UnitContext>,
    /// The contexts in which it is smallest.
    pub least: Vec<UnitContext>,
    /// The tokens whose logits it raises most where it is large, with their weights.
    pub raises: Vec<(String, f64)>,
    /// The tokens whose logits it lowers most.
    pub lowers: Vec<(String, f64)>,
}

/// A context, and the value of a unit after its last token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitContext {
    /// The last tokens of the context, as text.
    pub text: String,
    /// The token that follows.
    pub next: String,
    /// The value of the unit.
    pub value: f64,
}

/// Where a value was found: the index of the text, and of the token in it.
type Place = (usize, usize);

/// The largest values with distinct contexts.
struct Largest {
    count: usize,
    /// In descending order.
    found: Vec<(f32, Place)>,
    contexts: HashSet<Vec<u32>>,
}

impl Largest {
    fn add(&mut self, value: f32, place: Place, texts: &[Vec<u32>]) {
        if self.found.len() == self.count && self.found.last().is_some_and(|(smallest, _)| value <= *smallest) {
            return;
        }
        let context = last_tokens(texts, place, DISTINCT).to_vec();
        if !self.contexts.insert(context) {
            return;
        }
        let at = self.found.partition_point(|(other, _)| *other >= value);
        self.found.insert(at, (value, place));
        if self.found.len() > self.count
            && let Some((_, place)) = self.found.pop()
        {
            self.contexts.remove(last_tokens(texts, place, DISTINCT));
        }
    }
}

fn last_tokens(texts: &[Vec<u32>], (text, token): Place, count: usize) -> &[u32] {
    &texts[text][(token + 1).saturating_sub(count)..=token]
}

/// What each unit of a language model answers to in some texts, given as ids, with `count` contexts and tokens in each
/// list.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn unit_contexts<S: EncoderSettings>(
    run: &Run<S>,
    texts: &[Vec<u32>],
    count: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<UnitContexts>, RunError> {
    let width = run.config.model.encoder.hidden();
    let total = texts.iter().map(Vec::len).sum();
    let context = run.model.receptive_field().left.min(AT_ONCE);
    let empty = || Largest { count, found: Vec::new(), contexts: HashSet::new() };
    let mut most: Vec<Largest> = (0..width).map(|_| empty()).collect();
    let mut least: Vec<Largest> = (0..width).map(|_| empty()).collect();
    let (mut sums, mut squares, mut done) = (vec![0.0f64; width], vec![0.0f64; width], 0);
    for (text, ids) in texts.iter().enumerate() {
        // The last token is followed by none.
        for first in (0..ids.len().saturating_sub(1)).step_by(AT_ONCE) {
            on_stage("contexts of units", done, total);
            let (begin, end) = (first.saturating_sub(context), (first + AT_ONCE).min(ids.len() - 1));
            let states = to_host(run.model.encode(&run.batch(&[&ids[begin..end]])))?;
            for (token, state) in (begin..end).zip(states.chunks(width)).skip(first - begin) {
                for (unit, &value) in state.iter().enumerate() {
                    sums[unit] += f64::from(value);
                    squares[unit] += f64::from(value).powi(2);
                    most[unit].add(value, (text, token), texts);
                    least[unit].add(-value, (text, token), texts);
                }
            }
            done += end - first;
        }
    }
    on_stage("contexts of units", total, total);
    let weights = to_host(run.model.output_weights())?;
    let read = done.max(1) as f64;
    let contexts = |largest: Largest, sign: f64| {
        let context = |(value, place): (f32, Place)| UnitContext {
            text: text_of(&run.tokenizer, last_tokens(texts, place, SHOWN)),
            next: text_of(&run.tokenizer, &texts[place.0][place.1 + 1..=place.1 + 1]),
            value: sign * f64::from(value),
        };
        largest.found.into_iter().map(context).collect()
    };
    let units = most.into_iter().zip(least).enumerate().map(|(unit, (most, least))| {
        let mean = sums[unit] / read;
        let of_tokens = weights.iter().skip(unit).step_by(width).map(|&weight| f64::from(weight)).enumerate();
        let is_word = |(id, _): &(usize, f64)| !run.tokenizer.is_special(*id as u32);
        let mut ranked: Vec<(usize, f64)> = of_tokens.filter(is_word).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let token = |&(id, weight): &(usize, f64)| (run.tokenizer.token(id as u32).unwrap_or_default(), weight);
        UnitContexts {
            unit,
            mean,
            deviation: (squares[unit] / read - mean * mean).max(0.0).sqrt(),
            most: contexts(most, 1.0),
            least: contexts(least, -1.0),
            raises: ranked.iter().take(count).map(token).collect(),
            lowers: ranked.iter().rev().take(count).map(token).collect(),
        }
    });
    Ok(units.collect())
}

/// Some tokens as text. One that cannot be decoded is left out.
fn text_of(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::default();
    ids.iter().map(|&id| detokenizer.push(tokenizer, id).unwrap_or_default()).collect()
}

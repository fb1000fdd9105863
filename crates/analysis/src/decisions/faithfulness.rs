//! Whether the explanations are faithful: the comprehensiveness and sufficiency measures of ERASER
//! (DeYoung et al. 2020, section 4.2), for phrase scores and for other methods.

use std::time::Instant;

use convlens_run::model::{Encode, EncoderSettings};
use convlens_run::{Run, RunError, WordTable};
use serde::Serialize;

use crate::decisions::attributions::{Method, Side, attributions};
use crate::{OnStage, Texts};

/// The shares of a text's tokens that are removed or kept, the most important tokens first (ERASER,
/// section 4.2).
pub const SHARES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];
/// Longer texts, in tokens, are left out: occlusion reads a text of *n* tokens *n* times.
const LONGEST: usize = 2_500;
/// The maximum number of positions that occlusion reads over all texts, about as many as a thousand reviews of IMDB need.
const POSITIONS: u64 = 100_000_000;
/// The maximum number of weights that it multiplies by over all texts, which takes two cores half a minute.
const WEIGHTS: u64 = 1_000_000_000_000;
/// A channel of a single layer over words is looked up and not computed, which takes as long as this many weights.
const WEIGHTS_PER_LOOKUP: u64 = 25;

/// The result of a method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodResult {
    /// The method.
    pub method: Method,
    /// For each share of the tokens, how much the probability of the label falls when they are removed;
    /// the mean over the texts. Higher is better.
    pub comprehensiveness: Vec<f64>,
    /// For each share of the tokens, how much the probability falls when only they are kept; the mean over
    /// the texts. Lower is better.
    pub sufficiency: Vec<f64>,
    /// The area over the perturbation curve as ERASER defines it: the sum over the shares, divided by the
    /// number of shares plus one.
    pub aopc_comprehensiveness: f64,
    /// The same for sufficiency.
    pub aopc_sufficiency: f64,
    /// The wall time to rank the tokens of one text, in milliseconds.
    pub milliseconds_per_text: f64,
}

/// The results of all methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Faithfulness {
    /// The number of texts.
    pub texts: usize,
    /// The number of texts that were left out because they are long.
    pub left_out: usize,
    /// The shares of the tokens that were removed or kept.
    pub shares: Vec<f64>,
    /// One result per method.
    pub methods: Vec<MethodResult>,
}

impl Faithfulness {
    /// Ranks the tokens of every text with every method, then removes or keeps the first of them. Texts of
    /// more than 2,500 tokens are left out, and so are those that would bring the sum of the squares of
    /// the lengths above 100 million, or above what the model reads in about half a minute.
    ///
    /// Special tokens are neither ranked nor removed.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn new<S: EncoderSettings>(
        run: &Run<S>,
        table: Option<&WordTable>,
        texts: &Texts,
        seed: u64,
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let measured = affordable(&texts.ids, readable_positions(run));
        let left_out = texts.len() - measured.len();
        let texts = &texts.part(&measured);
        let logits = run.logits(&texts.rows())?;
        let sides: Vec<Side> = logits.iter().map(|logits| Side::from_logits(logits)).collect();
        let whole: Vec<f64> = logits.iter().zip(&sides).map(|(logits, side)| probability(logits, *side)).collect();
        let total = texts.len() * Method::fitting(table).len();
        let mut methods = Vec::new();
        for (number, method) in Method::fitting(table).into_iter().enumerate() {
            let on_done = |done| on_stage("faithfulness", number * texts.len() + done, total);
            let clock = Instant::now();
            let importance = attributions(run, table, texts, &sides, method, seed, &on_done)?;
            let seconds = clock.elapsed().as_secs_f64();
            let rankings: Vec<Vec<usize>> =
                importance.iter().zip(&texts.ids).map(|(importance, ids)| ranking(importance, ids, run)).collect();
            methods.push(measure(run, texts, &sides, &whole, method, &rankings, seconds)?);
        }
        on_stage("faithfulness", total, total);
        Ok(Self { texts: texts.len(), left_out, shares: SHARES.to_vec(), methods })
    }

    /// A sentence about the texts that were left out, if any were.
    pub fn note(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "Faithfulness is measured on {} of {} texts. The others would take too long: occlusion reads a text once \
                 per token.",
                self.texts,
                self.texts + self.left_out
            )
        })
    }
}

/// The number of positions that occlusion reads in a bounded time. It depends on the model alone, and not on the
/// machine.
fn readable_positions<S: EncoderSettings>(run: &Run<S>) -> usize {
    let model = &run.config.model;
    let is_lookup = run.model.encoder.filters().is_some_and(|filters| filters.is_last);
    let weights = match is_lookup {
        true => WEIGHTS_PER_LOOKUP.saturating_mul(model.encoder.hidden() as u64),
        false => model.encoder.parameters(model.input()),
    };
    POSITIONS.min(WEIGHTS / weights.max(1)) as usize
}

/// The texts of which occlusion reads so many positions, by position in the list.
fn affordable(texts: &[Vec<u32>], positions: usize) -> Vec<usize> {
    let mut rest = positions;
    let fits = |&at: &usize| {
        let length = texts[at].len();
        let fits = length <= LONGEST && length * length <= rest;
        rest -= if fits { length * length } else { 0 };
        fits
    };
    (0..texts.len()).filter(fits).collect()
}

/// The positions of a text's tokens, the most important first, equal ones in the order of the text.
fn ranking<S: EncoderSettings>(importance: &[f64], ids: &[u32], run: &Run<S>) -> Vec<usize> {
    let mut places: Vec<usize> = (0..ids.len()).filter(|&place| !run.tokenizer.is_special(ids[place])).collect();
    places.sort_by(|&a, &b| importance[b].total_cmp(&importance[a]));
    places
}

fn measure<S: EncoderSettings>(
    run: &Run<S>,
    texts: &Texts,
    sides: &[Side],
    whole: &[f64],
    method: Method,
    rankings: &[Vec<usize>],
    seconds: f64,
) -> Result<MethodResult, RunError> {
    let mean_fall = |is_kept: bool, share: f64| -> Result<f64, RunError> {
        let changed: Vec<Vec<u32>> =
            texts.ids.iter().zip(rankings).map(|(ids, ranking)| part(ids, ranking, share, is_kept)).collect();
        let changed: Vec<&[u32]> = changed.iter().map(Vec::as_slice).collect();
        let logits = run.logits(&changed)?;
        let falls =
            logits.iter().zip(sides).zip(whole).map(|((logits, side), whole)| whole - probability(logits, *side));
        Ok(falls.sum::<f64>() / texts.len().max(1) as f64)
    };
    let curve = |is_kept| SHARES.iter().map(|&share| mean_fall(is_kept, share)).collect::<Result<Vec<f64>, _>>();
    let (comprehensiveness, sufficiency) = (curve(false)?, curve(true)?);
    let aopc = |curve: &[f64]| curve.iter().sum::<f64>() / (curve.len() + 1) as f64;
    Ok(MethodResult {
        method,
        aopc_comprehensiveness: aopc(&comprehensiveness),
        aopc_sufficiency: aopc(&sufficiency),
        comprehensiveness,
        sufficiency,
        milliseconds_per_text: 1e3 * seconds / texts.len().max(1) as f64,
    })
}

/// A text without the first `share` of its ranked tokens or, if `is_kept`, with only those.
fn part(ids: &[u32], ranking: &[usize], share: f64, is_kept: bool) -> Vec<u32> {
    let count = (share * ranking.len() as f64).ceil() as usize;
    let mut stays = vec![true; ids.len()]; // special tokens always stay
    for (rank, &place) in ranking.iter().enumerate() {
        stays[place] = (rank < count) == is_kept;
    }
    ids.iter().zip(stays).filter_map(|(&id, stays)| stays.then_some(id)).collect()
}

/// The uncalibrated probability of the label of a side.
pub(crate) fn probability(logits: &[f32], side: Side) -> f64 {
    let label = if logits.len() == 1 { usize::from(side.sign > 0.0) } else { side.output };
    convlens_run::probabilities(logits)[label]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_removed_and_kept_by_rank() {
        let (ids, ranking) = ([1, 10, 11, 12, 13, 14], [3, 1, 5, 2, 4]); // the start token is not ranked
        assert_eq!(part(&ids, &ranking, 0.2, false), [1, 10, 11, 13, 14]);
        assert_eq!(part(&ids, &ranking, 0.2, true), [1, 12]);
        assert_eq!(
            part(&ids, &ranking, 0.5, true),
            [1, 10, 12, 14],
            "in the order of the text; 2.5 is rounded up to 3"
        );
        assert_eq!(part(&ids, &ranking, 0.01, false).len(), 5, "one token or more is removed");
        assert!(part(&[], &[], 0.5, true).is_empty());
    }

    #[test]
    fn a_probability_is_that_of_the_label_of_the_side() {
        // torch.sigmoid(torch.tensor([-1.5, 1.5]))  ->  [0.1824, 0.8176]; torch.softmax([1, 2, 3.], 0)[1] -> 0.2447
        let side = |sign, output| Side { output, sign };
        assert!((probability(&[1.5], side(1.0, 0)) - 0.817_574_5).abs() < 1e-6);
        assert!((probability(&[1.5], side(-1.0, 0)) - 0.182_425_5).abs() < 1e-6);
        assert!((probability(&[1.0, 2.0, 3.0], side(1.0, 1)) - 0.244_728_5).abs() < 1e-6);
        assert_eq!(Side::from_logits(&[-0.1]), side(-1.0, 0));
        assert_eq!(Side::from_logits(&[0.1, 0.3, 0.2]), side(1.0, 1));
    }

    #[test]
    fn long_texts_are_left_out() {
        let texts = |lengths: &[usize]| -> Vec<Vec<u32>> { lengths.iter().map(|&length| vec![3; length]).collect() };
        assert_eq!(affordable(&texts(&[3, LONGEST + 1, 0, LONGEST]), usize::MAX), [0, 2, 3]);
        assert_eq!(affordable(&texts(&[10, 7, 6, 7, 1]), 150), [0, 1, 4], "100 and 49 and 1");
    }
}

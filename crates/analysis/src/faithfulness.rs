//! Whether what is said to decide does decide: comprehensiveness and sufficiency of ERASER
//! (DeYoung et al. 2020, section 4.2), for phrase scores and for other methods.

use std::time::Instant;

use convlens_run::{Run, RunError, WordTable};
use serde::Serialize;

use crate::attributions::{Method, Side, attributions};
use crate::{OnStage, Texts};

/// The shares of a text's tokens that are taken, the most important first, as ERASER has them.
pub const SHARES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// How a method did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodResult {
    /// The method.
    pub method: Method,
    /// By share of the tokens: how much the label's probability falls where they are removed,
    /// in the mean over the texts. More is better.
    pub comprehensiveness: Vec<f64>,
    /// By share of the tokens: how much it falls where nothing but they is left. Less is better.
    pub sufficiency: Vec<f64>,
    /// The area over the perturbation curve, as ERASER takes it: the sum over the shares, divided
    /// by one more than there are.
    pub aopc_comprehensiveness: f64,
    /// As `aopc_comprehensiveness`.
    pub aopc_sufficiency: f64,
    /// The wall time that the method took to rank the tokens of one text, in milliseconds.
    pub milliseconds_a_text: f64,
}

/// How the methods did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Faithfulness {
    /// How many texts were read.
    pub texts: usize,
    /// The shares of the words that were removed or kept.
    pub shares: Vec<f64>,
    /// A result a method.
    pub methods: Vec<MethodResult>,
}

impl Faithfulness {
    /// Ranks the tokens of every text by every method, and removes or keeps the first of them.
    ///
    /// Special tokens are neither ranked nor removed.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn of(
        run: &Run,
        table: Option<&WordTable>,
        texts: &Texts<'_>,
        seed: u64,
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let logits = run.logits(&texts.rows())?;
        let sides: Vec<Side> = logits.iter().map(|logits| Side::of(logits)).collect();
        let whole: Vec<f64> = logits.iter().zip(&sides).map(|(logits, side)| probability(logits, *side)).collect();
        let total = texts.len() * Method::fitting(table).len();
        let mut methods = Vec::new();
        for (number, method) in Method::fitting(table).into_iter().enumerate() {
            let on_done = |done| on_stage("faithfulness", number * texts.len() + done, total);
            let clock = Instant::now();
            let worth = attributions(run, table, texts, &sides, method, seed, &on_done)?;
            let seconds = clock.elapsed().as_secs_f64();
            let ranked: Vec<Vec<usize>> =
                worth.iter().zip(&texts.ids).map(|(worth, ids)| ranked(worth, ids, run)).collect();
            methods.push(judge(run, texts, &sides, &whole, method, &ranked, seconds)?);
        }
        on_stage("faithfulness", total, total);
        Ok(Self { texts: texts.len(), shares: SHARES.to_vec(), methods })
    }
}

/// The places of a text's tokens, the most important first; of equals the earlier.
fn ranked(worth: &[f64], ids: &[u32], run: &Run) -> Vec<usize> {
    let mut places: Vec<usize> = (0..ids.len()).filter(|&place| !run.tokenizer.is_special(ids[place])).collect();
    places.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]));
    places
}

fn judge(
    run: &Run,
    texts: &Texts<'_>,
    sides: &[Side],
    whole: &[f64],
    method: Method,
    ranked: &[Vec<usize>],
    seconds: f64,
) -> Result<MethodResult, RunError> {
    let mean_fall = |is_kept: bool, share: f64| -> Result<f64, RunError> {
        let changed: Vec<Vec<u32>> =
            texts.ids.iter().zip(ranked).map(|(ids, ranked)| part(ids, ranked, share, is_kept)).collect();
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
        milliseconds_a_text: 1e3 * seconds / texts.len().max(1) as f64,
    })
}

/// A text without the first `share` of its ranked tokens, or with nothing else of them.
fn part(ids: &[u32], ranked: &[usize], share: f64, is_kept: bool) -> Vec<u32> {
    let count = (share * ranked.len() as f64).ceil() as usize;
    let mut stays = vec![true; ids.len()]; // special tokens
    for (rank, &place) in ranked.iter().enumerate() {
        stays[place] = (rank < count) == is_kept;
    }
    ids.iter().zip(stays).filter_map(|(&id, stays)| stays.then_some(id)).collect()
}

/// The probability of the label that a text's side speaks for.
pub(crate) fn probability(logits: &[f32], side: Side) -> f64 {
    let label = if logits.len() == 1 { usize::from(side.sign > 0.0) } else { side.output };
    convlens_run::probabilities(logits)[label]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_eraser_removes_and_keeps() {
        let (ids, ranked) = ([1, 10, 11, 12, 13, 14], [3, 1, 5, 2, 4]); // the start token is not ranked
        assert_eq!(part(&ids, &ranked, 0.2, false), [1, 10, 11, 13, 14]);
        assert_eq!(part(&ids, &ranked, 0.2, true), [1, 12]);
        assert_eq!(part(&ids, &ranked, 0.5, true), [1, 10, 12, 14], "the order of the text; 2.5 is 3");
        assert_eq!(part(&ids, &ranked, 0.01, false).len(), 5, "one at least");
        assert!(part(&[], &[], 0.5, true).is_empty());
    }

    #[test]
    fn probabilities_are_of_the_side() {
        // torch.sigmoid(torch.tensor([-1.5, 1.5]))  ->  [0.1824, 0.8176]; torch.softmax([1, 2, 3.], 0)[1] -> 0.2447
        let side = |sign, output| Side { output, sign };
        assert!((probability(&[1.5], side(1.0, 0)) - 0.817_574_5).abs() < 1e-6);
        assert!((probability(&[1.5], side(-1.0, 0)) - 0.182_425_5).abs() < 1e-6);
        assert!((probability(&[1.0, 2.0, 3.0], side(1.0, 1)) - 0.244_728_5).abs() < 1e-6);
        assert_eq!(Side::of(&[-0.1]), side(-1.0, 0));
        assert_eq!(Side::of(&[0.1, 0.3, 0.2]), side(1.0, 1));
    }
}

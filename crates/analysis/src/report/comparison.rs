//! A comparison of two runs on the same texts.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunMetrics};
use serde_json::{Value, json};

use super::coloured::coloured;
use super::run_facts::{certificate, facts, logits as logits_of_labels};
use super::{as_image, faithfulness_table, judged_table, legend, pairs_table, render};
use crate::decisions::explained::explain;
use crate::decisions::faithfulness::probability;
use crate::people::judged::rank_correlation;
use crate::{Analysis, AnalysisError, Corpus, Explained, OnStage, Side};

/// The number of texts and words that are shown.
const SHOWN: usize = 20;
/// The maximum number of tokens of the texts that are shown.
const TOKENS: usize = 1_000_000;

/// One of two runs.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The name to show.
    pub name: &'a str,
    /// The run.
    pub run: &'a Run,
    /// The metrics of the run, if known.
    pub metrics: Option<&'a RunMetrics>,
    /// The analysis of the run.
    pub analysis: &'a Analysis,
}

/// Fails if two runs have different labels, in which case they cannot be compared.
///
/// # Errors
///
/// [`AnalysisError::OtherLabels`].
pub fn check_labels<S: EncoderSettings>(ours: &Run<S>, theirs: &Run<S>) -> Result<(), AnalysisError> {
    if ours.config.labels == theirs.config.labels {
        return Ok(());
    }
    let [ours, theirs] = [ours, theirs].map(|run| run.config.labels.join(", "));
    Err(AnalysisError::OtherLabels { ours, theirs })
}

/// The comparison of two runs on the texts of a corpus, as HTML.
///
/// # Errors
///
/// [`AnalysisError::OtherLabels`] if their labels differ, [`AnalysisError::Texts`],
/// [`AnalysisError::Run`] or [`AnalysisError::Report`].
pub fn comparison(
    runs: [Compared<'_>; 2],
    corpus: &Corpus<'_>,
    on_stage: OnStage<'_>,
) -> Result<String, AnalysisError> {
    let [first, second] = runs;
    check_labels(first.run, second.run)?;
    let logits = [corpus.logits(first.run, on_stage)?, corpus.logits(second.run, on_stage)?];
    let predicted = logits.each_ref().map(|logits| logits.iter().map(|logits| label(logits)).collect::<Vec<usize>>());
    let flat =
        logits.each_ref().map(|logits| logits.iter().flatten().map(|&logit| f64::from(logit)).collect::<Vec<f64>>());
    let words = shared_words(first.analysis, second.analysis);
    let contributions = [0, 1].map(|side| words.iter().map(|word| word.1[side]).collect::<Vec<f64>>());
    let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.4}"));
    let describe = |compared: Compared<'_>| {
        let analysis = compared.analysis;
        json!({
            "name": compared.name,
            "facts": facts(compared.run, compared.metrics, analysis),
            "certificate": certificate(&analysis.certificate),
            "left_out": analysis.left_out,
            "words": analysis.pictures.iter().filter(|picture| picture.name.starts_with("words")).map(as_image).collect::<Value>(),
            "pca": analysis.picture("pca").map(as_image),
            "curves": analysis.picture("faithfulness").map(as_image),
            "faithfulness": faithfulness_table(&analysis.faithfulness),
            "judged": analysis.judged.as_ref().map(judged_table),
            "pairs": analysis.pairs.as_ref().map(pairs_table),
        })
    };
    let context = json!({
        "runs": [describe(first), describe(second)],
        "texts_read": corpus.len(),
        "logits": logits_of_labels(first.run),
        "legend": legend(first.run),
        "agreement": agreement(&predicted, corpus.labels(), runs),
        "logit_correlation": figure(rank_correlation(&flat[0], &flat[1])),
        "word_correlation": figure(rank_correlation(&contributions[0], &contributions[1])),
        "shared_words": words.len(),
        "texts": differing(runs, corpus, &logits)?,
        "words": word_table(words, runs),
    });
    render("comparison.html", &context)
}

fn label(logits: &[f32]) -> usize {
    let side = Side::from_logits(logits);
    if logits.len() == 1 { usize::from(side.sign > 0.0) } else { side.output }
}

fn agreement(predicted: &[Vec<usize>; 2], labels: &[usize], runs: [Compared<'_>; 2]) -> Value {
    let count = |fits: &dyn Fn(bool, bool, bool) -> bool| {
        let rows = predicted[0].iter().copied().zip(predicted[1].iter().copied()).zip(labels.iter().copied());
        rows.filter(|((a, b), label)| fits(*a == *label, *b == *label, a == b)).count()
    };
    let share = |count: usize| format!("{:.2} %", 100.0 * count as f64 / labels.len().max(1) as f64);
    let row = |name: String, count: usize| json!([name, count, share(count)]);
    json!({
        "head": ["texts", "count", "share"],
        "rows": [
            row("both runs are right".into(), count(&|a, b, _| a && b)),
            row(format!("only {} is right", runs[0].name), count(&|a, b, _| a && !b)),
            row(format!("only {} is right", runs[1].name), count(&|a, b, _| !a && b)),
            row("both runs are wrong".into(), count(&|a, b, _| !a && !b)),
            row("both runs predict the same label".into(), count(&|_, _, same| same)),
        ],
    })
}

/// The texts for which the probabilities of the first run's label differ most, explained by both runs.
fn differing(
    runs: [Compared<'_>; 2],
    corpus: &Corpus<'_>,
    logits: &[Vec<Vec<f32>>; 2],
) -> Result<Value, AnalysisError> {
    let difference = |index: usize| {
        let side = Side::from_logits(&logits[0][index]);
        (probability(&logits[0][index], side) - probability(&logits[1][index], side)).abs()
    };
    let mut order: Vec<usize> = (0..logits[0].len()).collect();
    order.sort_by(|&a, &b| difference(b).total_cmp(&difference(a)));
    order.truncate(SHOWN);
    let explained = |compared: Compared<'_>| -> Result<Vec<Explained>, AnalysisError> {
        let table = compared.run.word_table()?;
        let texts = corpus.encode_within(compared.run, &order, TOKENS)?;
        Ok(explain(compared.run, table.as_ref(), &[], &texts, &|_, _, _| {})?)
    };
    let [first, second] = [explained(runs[0])?, explained(runs[1])?];
    Ok(first.iter().zip(&second).map(|(a, b)| json!([coloured(a), coloured(b)])).collect())
}

/// The words that both vocabularies contain, with their contributions to the first logit in units of each
/// run's root mean square.
fn shared_words(first: &Analysis, second: &Analysis) -> Vec<(String, [f64; 2])> {
    let contributions = |analysis: &Analysis| -> Vec<(String, f64)> {
        let ids = analysis.vocabulary.ids();
        let values: Vec<f64> = ids.iter().map(|&id| analysis.contributions[id][0]).collect();
        let spread = (values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64).sqrt();
        let scaled = values.into_iter().map(|value| if spread > 0.0 { value / spread } else { 0.0 });
        ids.iter().map(|&id| analysis.vocabulary.word(id).to_owned()).zip(scaled).collect()
    };
    let theirs: std::collections::HashMap<String, f64> = contributions(second).into_iter().collect();
    let both = |(word, ours): (String, f64)| theirs.get(&word).map(|theirs| (word, [ours, *theirs]));
    contributions(first).into_iter().filter_map(both).collect()
}

fn word_table(mut words: Vec<(String, [f64; 2])>, runs: [Compared<'_>; 2]) -> Value {
    words.sort_by(|(_, a), (_, b)| (b[0] - b[1]).abs().total_cmp(&(a[0] - a[1]).abs()));
    let rows = words
        .iter()
        .take(SHOWN)
        .map(|(word, [ours, theirs])| json!([word, format!("{ours:+.2}"), format!("{theirs:+.2}")]));
    json!({
        "head": ["word", runs[0].name, runs[1].name],
        "rows": rows.collect::<Value>(),
        "caption": format!(
            "The words whose contributions to the logit of “{}” differ most, in units of the root mean square of each run.",
            runs[0].run.outputs()[0]
        ),
    })
}

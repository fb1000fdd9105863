//! Two runs side by side, on the same texts.

use convlens_run::{Run, RunMetrics};
use serde_json::{Value, json};

use super::coloured::coloured;
use super::run_facts::{certificate, facts};
use super::{as_image, faithfulness_table, judged_table, legend, render};
use crate::explained::explain;
use crate::faithfulness::probability;
use crate::judged::rank_correlation;
use crate::{Analysis, AnalysisError, Explained, Side, Texts};

/// How many texts and words are shown.
const SHOWN: usize = 20;

/// One of two runs.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Its name.
    pub name: &'a str,
    /// The run.
    pub run: &'a Run,
    /// What it reached, where that is known.
    pub metrics: Option<&'a RunMetrics>,
    /// What it has learnt.
    pub analysis: &'a Analysis,
    /// The texts, as it reads them.
    pub texts: &'a Texts<'a>,
}

/// The comparison of two runs, as HTML: both must have read the same texts.
///
/// # Errors
///
/// [`AnalysisError::OtherLabels`] where their labels differ, [`AnalysisError::Run`],
/// [`AnalysisError::Report`].
pub fn comparison(runs: [Compared<'_>; 2]) -> Result<String, AnalysisError> {
    let labels = runs.map(|compared| compared.run.config.labels.join(", "));
    if labels[0] != labels[1] {
        let [ours, theirs] = labels;
        return Err(AnalysisError::OtherLabels { ours, theirs });
    }
    let [first, second] = runs;
    let logits = [first.run.logits(&first.texts.rows())?, second.run.logits(&second.texts.rows())?];
    let found = logits.each_ref().map(|logits| logits.iter().map(|logits| label(logits)).collect::<Vec<usize>>());
    let flat =
        logits.each_ref().map(|logits| logits.iter().flatten().map(|&logit| f64::from(logit)).collect::<Vec<f64>>());
    let words = shared_words(first.analysis, second.analysis);
    let says = [0, 1].map(|side| words.iter().map(|word| word.1[side]).collect::<Vec<f64>>());
    let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.4}"));
    let of_run = |compared: Compared<'_>| {
        let analysis = compared.analysis;
        json!({
            "name": compared.name,
            "facts": facts(compared.run, compared.metrics, analysis),
            "certificate": certificate(&analysis.certificate),
            "words": analysis.pictures.iter().filter(|picture| picture.name.starts_with("words")).map(as_image).collect::<Value>(),
            "pca": analysis.picture("pca").map(as_image),
            "curves": analysis.picture("faithfulness").map(as_image),
            "faithfulness": faithfulness_table(&analysis.faithfulness),
            "judged": analysis.judged.as_ref().map(judged_table),
        })
    };
    let context = json!({
        "runs": [of_run(first), of_run(second)],
        "texts_read": first.texts.len(),
        "legend": legend(first.run),
        "agreement": agreement(&found, &first.texts.labels, runs),
        "logit_correlation": figure(rank_correlation(&flat[0], &flat[1])),
        "word_correlation": figure(rank_correlation(&says[0], &says[1])),
        "shared_words": words.len(),
        "texts": differing(runs, &logits)?,
        "words": word_table(words, runs),
    });
    render("comparison.html", &context)
}

fn label(logits: &[f32]) -> usize {
    let side = Side::of(logits);
    match logits.len() {
        1 => usize::from(side.sign > 0.0),
        _ => side.output,
    }
}

fn agreement(found: &[Vec<usize>; 2], labels: &[usize], runs: [Compared<'_>; 2]) -> Value {
    let count = |fits: &dyn Fn(bool, bool, bool) -> bool| {
        let rows = found[0].iter().copied().zip(found[1].iter().copied()).zip(labels.iter().copied());
        rows.filter(|((a, b), label)| fits(*a == *label, *b == *label, a == b)).count()
    };
    let share = |count: usize| format!("{:.2} %", 100.0 * count as f64 / labels.len().max(1) as f64);
    let row = |name: String, count: usize| json!([name, count, share(count)]);
    json!({
        "head": ["texts that", "how many", "share"],
        "rows": [
            row("both label rightly".into(), count(&|a, b, _| a && b)),
            row(format!("only {} labels rightly", runs[0].name), count(&|a, b, _| a && !b)),
            row(format!("only {} labels rightly", runs[1].name), count(&|a, b, _| !a && b)),
            row("both label wrongly".into(), count(&|a, b, _| !a && !b)),
            row("both label alike".into(), count(&|_, _, same| same)),
        ],
    })
}

/// The texts whose probabilities of the first run's label lie farthest apart, explained by both.
fn differing(runs: [Compared<'_>; 2], logits: &[Vec<Vec<f32>>; 2]) -> Result<Value, AnalysisError> {
    let apart = |index: usize| {
        let side = Side::of(&logits[0][index]);
        (probability(&logits[0][index], side) - probability(&logits[1][index], side)).abs()
    };
    let mut order: Vec<usize> = (0..logits[0].len()).collect();
    order.sort_by(|&a, &b| apart(b).total_cmp(&apart(a)));
    order.truncate(SHOWN);
    let explained = |compared: Compared<'_>| -> Result<Vec<Explained>, AnalysisError> {
        let table = compared.run.word_table()?;
        Ok(explain(compared.run, table.as_ref(), &[], compared.texts, &order, &|_, _, _| {})?)
    };
    let [first, second] = [explained(runs[0])?, explained(runs[1])?];
    Ok(first.iter().zip(&second).map(|(a, b)| json!([coloured(a), coloured(b)])).collect())
}

/// The words that both know, with what they say for the first logit, made comparable by each
/// run's own spread.
fn shared_words(first: &Analysis, second: &Analysis) -> Vec<(String, [f64; 2])> {
    let says = |analysis: &Analysis| -> Vec<(String, f64)> {
        let ids = analysis.vocabulary.ids();
        let values: Vec<f64> = ids.iter().map(|&id| analysis.contributions[id][0]).collect();
        let spread = (values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64).sqrt();
        let scaled = values.into_iter().map(|value| if spread > 0.0 { value / spread } else { 0.0 });
        ids.iter().map(|&id| analysis.vocabulary.word(id).to_owned()).zip(scaled).collect()
    };
    let theirs: std::collections::HashMap<String, f64> = says(second).into_iter().collect();
    let both = |(word, ours): (String, f64)| theirs.get(&word).map(|theirs| (word, [ours, *theirs]));
    says(first).into_iter().filter_map(both).collect()
}

fn word_table(mut words: Vec<(String, [f64; 2])>, runs: [Compared<'_>; 2]) -> Value {
    words.sort_by(|(_, a), (_, b)| (b[0] - b[1]).abs().total_cmp(&(a[0] - a[1]).abs()));
    let rows = words
        .iter()
        .take(SHOWN)
        .map(|(word, says)| json!([word, format!("{:+.2}", says[0]), format!("{:+.2}", says[1])]));
    json!({
        "head": ["word", runs[0].name, runs[1].name],
        "rows": rows.collect::<Value>(),
        "caption": format!(
            "The words that say the most different things for {}, in units of each run's standard deviation.",
            runs[0].run.outputs()[0]
        ),
    })
}

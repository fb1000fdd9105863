//! Evaluation of a model on labelled texts.

use std::sync::Arc;

use convlens_data::Examples;
use convlens_learn::{Measurement, Tally};
use convlens_run::model::{Forms, TextModel};
use convlens_run::{
    ClassReport, Metrics, PhrasesError, Run, RunConfig, RunError, Task, calibrated, calibration_error, class_reports,
    predicted_label,
};
use serde::Serialize;

use crate::corpus::encode;
use crate::{Stage, TextSize, Texts, TrainError};

/// How many texts are read at once, to be batched by length.
const TEXTS_AT_ONCE: usize = 50_000;
/// How many tokens are read at once, unless a single text has more: 256 MiB of ids.
const TOKENS_AT_ONCE: usize = 64 << 20;

/// How many tokens of a text a language model predicts at once. The windows of training are shorter; there, batches
/// of different texts matter.
const WINDOW: usize = 1 << 12;

/// The metrics of a classifier on labelled texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many texts there are.
    pub count: usize,
    /// The share of texts whose label was predicted.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The mean of the classes' F1 scores.
    pub macro_f1: f64,
    /// The expected calibration error; see [`calibration_error`].
    pub calibration_error: f64,
    /// One report per class.
    pub classes: Vec<ClassReport>,
    /// How many texts of each class (row) were predicted to be of each class (column).
    pub confusion: Vec<Vec<usize>>,
}

/// Evaluates a run on labelled texts.
///
/// # Errors
///
/// - [`TrainError::Data`] if a text cannot be read.
/// - [`TrainError::Text`] if a text cannot be encoded.
/// - [`TrainError::Cache`] if encoded texts that do not fit in memory cannot be written or read.
/// - [`TrainError::Run`] if the device cannot be read, or a logit is not a finite number.
pub fn evaluate(run: &Run, examples: &Examples, on_stage: &(dyn Fn(Stage) + Sync)) -> Result<Evaluation, TrainError> {
    let texts = encode(&run.tokenizer, examples, None, on_stage)?;
    let measured = measure(&run.model, &texts, &run.config, run.pad_id(), None, on_stage)?;
    let logits = measured.logits();
    if !logits.iter().all(|logit| logit.is_finite()) {
        return Err(RunError::from(PhrasesError::Overflow).into());
    }
    let logits = calibrated(logits, run.config.temperature);
    Ok(report(&logits, texts.targets.labels(), &run.config.labels, run.config.model.outputs))
}

/// The metrics of a language model on texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextEvaluation {
    /// How many texts there are.
    pub texts: usize,
    /// How many tokens they have.
    pub tokens: usize,
    /// The metrics.
    #[serde(flatten)]
    pub metrics: Metrics,
}

/// Evaluates a language model on texts, each of which ends, unless they are parts of a text. If the run has labels, those
/// of the texts are its.
///
/// # Errors
///
/// As [`evaluate`], [`RunError::Task`] if the run is no language model, and [`TrainError::ShortSplit`] if there is no
/// token to predict.
pub fn evaluate_texts(
    run: &Run,
    examples: &Examples,
    are_parts: bool,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<TextEvaluation, TrainError> {
    if run.config.window().is_none() {
        return Err(RunError::Task { task: run.config.task, expected: Task::LanguageModel }.into());
    }
    let end = run.tokenizer.start_id().filter(|_| !are_parts);
    let encoded = encode(&run.tokenizer, examples, end, on_stage)?;
    let measured = measure(&run.model, &encoded, &run.config, run.pad_id(), None, on_stage)?;
    let (tokens, metrics) = (measured.count(), measured.metrics(1.0));
    if tokens == 0 {
        return Err(TrainError::ShortSplit { name: "evaluation".into(), split: "given" });
    }
    if !metrics.loss.is_finite() {
        return Err(RunError::from(PhrasesError::Overflow).into());
    }
    let size = TextSize::of(&examples.texts)?;
    let keeps_all = run.tokenizer.keeps_white_space();
    let metrics = if keeps_all { metrics.with_bits(tokens, size.characters, size.bytes) } else { metrics };
    Ok(TextEvaluation { texts: examples.len(), tokens, metrics })
}

/// How well a model with these settings does on texts, some of which are read at a time.
pub(crate) fn measure(
    model: &TextModel,
    texts: &Texts,
    config: &RunConfig,
    pad_id: u32,
    forms: Option<&Arc<Forms>>,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Measurement, TrainError> {
    let windows = config.window().map(|_| texts.windows(WINDOW, WINDOW, context(model)));
    let texts = windows.as_ref().unwrap_or(texts);
    let total = texts.len();
    let tags = forms.map(|forms| Measurement::of_tags(forms.clone(), &config.labels));
    let mut measured = tags.unwrap_or_default();
    let padding = config.model.padding;
    let mut start = 0;
    while start < total {
        let indices: Vec<usize> =
            (start..start + count_at_once((start..total).map(|index| texts.length(index)))).collect();
        let rows = indices.iter().map(|&index| texts.ids(index)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
        let on_done = |done| on_stage(Stage { name: "reading texts", done: start + done, total });
        let targets = texts.targets.pick(&indices, usize::MAX);
        measured.add(model, &rows, &targets, padding, pad_id, &on_done)?;
        start += indices.len();
    }
    Ok(measured)
}

/// How many tokens a language model reads before those of a window that it predicts: as many as it sees, or, if it
/// sees all of them, as many as there are in the window.
fn context(model: &TextModel) -> usize {
    model.receptive_field().left.min(WINDOW)
}

/// How many of the texts with these lengths are read at once; at least one.
fn count_at_once(lengths: impl Iterator<Item = usize>) -> usize {
    let ends = lengths.take(TEXTS_AT_ONCE).scan(0, |tokens: &mut usize, length| {
        *tokens += length;
        Some(*tokens)
    });
    ends.take_while(|&tokens| tokens <= TOKENS_AT_ONCE).count().max(1)
}

fn report(logits: &[f64], labels: &[usize], names: &[String], outputs: usize) -> Evaluation {
    let mut tally = Tally::default();
    tally.add(logits, outputs, labels);
    let mut confusion = vec![vec![0; names.len()]; names.len()];
    for (row, &label) in logits.chunks(outputs).zip(labels) {
        confusion[label][predicted_label(row)] += 1;
    }
    let classes = class_reports(names, &confusion);
    let metrics = tally.metrics();
    Evaluation {
        count: labels.len(),
        accuracy: metrics.accuracy,
        loss: metrics.loss,
        macro_f1: classes.iter().map(|class| class.f1).sum::<f64>() / names.len() as f64,
        calibration_error: calibration_error(logits, outputs, labels),
        classes,
        confusion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // from sklearn.metrics import precision_recall_fscore_support, confusion_matrix, log_loss
    // y, p = [0, 0, 1, 1, 2], [0, 1, 1, 1, 0]
    // precision_recall_fscore_support(y, p, zero_division=0)
    //   ([.5, .6667, 0], [.5, 1, 0], [.5, .8, 0], [2, 2, 1])
    #[test]
    fn texts_are_read_in_groups() {
        let count = |lengths: &[usize]| count_at_once(lengths.iter().copied());
        assert_eq!(count(&[10; 60_000]), TEXTS_AT_ONCE);
        assert_eq!(count(&[TOKENS_AT_ONCE / 2, TOKENS_AT_ONCE / 2, 1]), 2);
        assert_eq!(count(&[TOKENS_AT_ONCE + 1, 1]), 1);
    }

    #[test]
    fn metrics_match_scikit_learn() {
        let row = |class: usize| (0..3).map(move |at| if at == class { 2.0 } else { 0.0 });
        let logits: Vec<f64> = [0, 1, 1, 1, 0].into_iter().flat_map(row).collect();
        let names = ["a", "b", "c"].map(String::from);
        let evaluation = report(&logits, &[0, 0, 1, 1, 2], &names, 3);
        let metrics: Vec<[f64; 3]> = evaluation.classes.iter().map(|c| [c.precision, c.recall, c.f1]).collect();
        let expected = [[0.5, 0.5, 0.5], [2.0 / 3.0, 1.0, 0.8], [0.0, 0.0, 0.0]];
        assert_eq!(metrics, expected);
        assert_eq!(evaluation.confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 0]]);
        assert!((evaluation.accuracy - 0.6).abs() < 1e-12);
        // All five are in one bin: confidence e²/(e² + 2) = 0.78699, accuracy 0.6.
        assert!((evaluation.calibration_error - 0.186_986_04).abs() < 1e-6, "{}", evaluation.calibration_error);
    }
}

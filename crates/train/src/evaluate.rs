//! How well a model does on labelled texts.

use burn::tensor::Device;
use convlens_data::Examples;
use convlens_learn::Tally;
use convlens_run::model::{Padding, TextModel};
use convlens_run::{ClassMetrics, Run, predicted_label, probabilities};
use serde::Serialize;

use crate::corpus::encode;
use crate::{Stage, Texts, TrainError};

/// The number of bins of equal width that the calibration error is taken over (Guo et al. 2017,
/// equation 3).
const BINS: usize = 15;

/// How many texts are read together, at most, to be batched by length.
const AT_ONCE: usize = 50_000;

/// A classifier's showing on labelled texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many texts there were.
    pub count: usize,
    /// The share of texts whose label was found.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The mean of the classes' F1.
    pub macro_f1: f64,
    /// The expected calibration error: how far confidence and accuracy lie apart.
    pub calibration_error: f64,
    /// A row a class.
    pub classes: Vec<ClassReport>,
    /// How many texts of each class (row) were given each label (column).
    pub confusion: Vec<Vec<usize>>,
}

/// A classifier's showing on one class. A ratio whose denominator is zero is zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// The class.
    pub label: String,
    /// Of the texts that were given this label, the share that have it.
    pub precision: f64,
    /// Of the texts that have this label, the share that were given it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many texts have it.
    pub support: usize,
}

/// Evaluates a run on labelled texts.
///
/// # Errors
///
/// [`TrainError::Text`] or [`TrainError::Device`].
pub fn evaluate(run: &Run, examples: &Examples, on_stage: &(dyn Fn(Stage) + Sync)) -> Result<Evaluation, TrainError> {
    let texts = encode(&run.tokenizer, examples, on_stage)?;
    let pad_id = run.tokenizer.pad_id().unwrap_or(0);
    let logits = logits(&run.model, &texts, run.config.model.padding, pad_id, &run.device, on_stage)?;
    Ok(report(&logits, &texts.labels, &run.config.labels, run.config.model.outputs))
}

/// Accuracy and loss of a model on texts.
pub(crate) fn metrics(
    model: &TextModel,
    texts: &Texts,
    padding: Padding,
    pad_id: u32,
    device: &Device,
) -> Result<ClassMetrics, TrainError> {
    let logits = logits(model, texts, padding, pad_id, device, &|_| {})?;
    let mut tally = Tally::default();
    tally.add(&logits, logits.len() / texts.len().max(1), &texts.labels);
    Ok(tally.metrics())
}

/// The logits of every text, a row after the other.
fn logits(
    model: &TextModel,
    texts: &Texts,
    padding: Padding,
    pad_id: u32,
    device: &Device,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Vec<f32>, TrainError> {
    let total = texts.len();
    let mut logits = Vec::with_capacity(total);
    for start in (0..total).step_by(AT_ONCE) {
        let rows = (start..total.min(start + AT_ONCE)).map(|index| texts.ids(index));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
        let on_done = |done| on_stage(Stage { name: "reading texts", done: start + done, total });
        logits.extend(convlens_run::logits(model, &rows, padding, pad_id, device, &on_done)?);
    }
    Ok(logits)
}

fn report(logits: &[f32], labels: &[usize], names: &[String], outputs: usize) -> Evaluation {
    let mut tally = Tally::default();
    tally.add(logits, outputs, labels);
    let mut confusion = vec![vec![0; names.len()]; names.len()];
    let mut bins = [(0.0, 0usize, 0usize); BINS]; // confidence, hits, count
    for (row, &label) in logits.chunks(outputs).zip(labels) {
        let given = predicted_label(row);
        confusion[label][given] += 1;
        let confidence = probabilities(row)[given];
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + confidence, bin.1 + usize::from(given == label), bin.2 + 1);
    }
    let gap: f64 = bins.iter().map(|(confidence, hits, _)| (confidence - *hits as f64).abs()).sum();
    let classes: Vec<ClassReport> =
        names.iter().enumerate().map(|(class, name)| class_report(class, name, &confusion)).collect();
    let metrics = tally.metrics();
    Evaluation {
        count: labels.len(),
        accuracy: metrics.accuracy,
        loss: metrics.loss,
        macro_f1: classes.iter().map(|class| class.f1).sum::<f64>() / names.len() as f64,
        calibration_error: gap / labels.len().max(1) as f64,
        classes,
        confusion,
    }
}

fn class_report(class: usize, name: &str, confusion: &[Vec<usize>]) -> ClassReport {
    let ratio = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let hits = confusion[class][class];
    let support: usize = confusion[class].iter().sum();
    let given: usize = confusion.iter().map(|row| row[class]).sum();
    ClassReport {
        label: name.into(),
        precision: ratio(hits, given),
        recall: ratio(hits, support),
        f1: ratio(2 * hits, given + support),
        support,
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
    fn figures_are_scikit_learns() {
        let row = |class: usize| (0..3).map(move |at| if at == class { 2.0f32 } else { 0.0 });
        let logits: Vec<f32> = [0, 1, 1, 1, 0].into_iter().flat_map(row).collect();
        let names = ["a", "b", "c"].map(String::from);
        let evaluation = report(&logits, &[0, 0, 1, 1, 2], &names, 3);
        let figures: Vec<[f64; 3]> = evaluation.classes.iter().map(|c| [c.precision, c.recall, c.f1]).collect();
        let expected = [[0.5, 0.5, 0.5], [2.0 / 3.0, 1.0, 0.8], [0.0, 0.0, 0.0]];
        assert_eq!(figures, expected);
        assert_eq!(evaluation.confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 0]]);
        assert!((evaluation.accuracy - 0.6).abs() < 1e-12);
        // All five lie in one bin: confidence e²/(e² + 2) = 0.78699, accuracy 0.6.
        assert!((evaluation.calibration_error - 0.186_986_04).abs() < 1e-6, "{}", evaluation.calibration_error);
    }
}

//! What a model is trained for: the loss of its predictions, and how well they do.
//!
//! This is the only file that says how predictions and [`Targets`] are compared. A task with targets of another kind
//! adds a case to each `match`.

use std::borrow::Cow;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use convlens_run::model::{Batch, Encode, Forms, Padding, TextModel};
use convlens_run::{
    Metrics, RunError, SpanTally, argmax, batches_by_length, best_labels, fit_temperature, logits, mark_spans, to_host,
    to_host_async,
};

use crate::targets::{Labels, batch_of, with_labels};
use crate::{LearnError, Tally, Targets, calibrated_metrics, cross_entropy, cross_entropy_of_probabilities};

/// What a step found out about its batch before it changed the weights. It may still be on the device.
#[derive(Debug)]
pub struct StepScores(Scores);

#[derive(Debug)]
enum Scores {
    /// The logits of every text, `[batch, outputs]`.
    OfTexts { logits: Tensor<2>, targets: Targets },
    /// The mean loss of the positions with a label, `[1]`.
    OfPositions { loss: Tensor<1>, hits: usize, count: usize },
}

impl StepScores {
    /// The loss and the correct predictions.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn tally(self) -> Result<Tally, RunError> {
        let outputs = self.outputs();
        Ok(match self.0 {
            Scores::OfTexts { logits, targets } => tally(&to_host(logits)?, outputs, &targets),
            Scores::OfPositions { loss, hits, count } => Tally::from_mean(&to_host(loss)?, hits, count),
        })
    }

    /// As [`tally`](Self::tally), for platforms that can only read from a device asynchronously.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub async fn tally_async(self) -> Result<Tally, RunError> {
        let outputs = self.outputs();
        Ok(match self.0 {
            Scores::OfTexts { logits, targets } => tally(&to_host_async(logits).await?, outputs, &targets),
            Scores::OfPositions { loss, hits, count } => Tally::from_mean(&to_host_async(loss).await?, hits, count),
        })
    }

    /// The logits of every text, `[batch, outputs]`; none if texts have labels at their positions.
    pub fn logits(&self) -> Option<&Tensor<2>> {
        match &self.0 {
            Scores::OfTexts { logits, .. } => Some(logits),
            Scores::OfPositions { .. } => None,
        }
    }

    fn outputs(&self) -> usize {
        self.logits().map_or(1, |logits| logits.dims()[1])
    }
}

/// The loss and the correct predictions of texts with one prediction each, given as rows of `outputs` logits.
fn tally(logits: &[f32], outputs: usize, targets: &Targets) -> Tally {
    let mut tally = Tally::default();
    match targets {
        Targets::Probabilities(probabilities) => tally.add_probabilities(logits, outputs, probabilities),
        targets => tally.add(logits, outputs, targets.labels()),
    }
    tally
}

/// Checks that texts with the given numbers of tokens can be compared with their targets.
pub(crate) fn check<E: Encode>(
    model: &TextModel<E>,
    padding: Padding,
    lengths: impl ExactSizeIterator<Item = usize>,
    targets: &Targets,
) -> Result<(), LearnError> {
    let outputs = model.outputs();
    if lengths.len() != targets.len() {
        return Err(LearnError::LabelCount { texts: lengths.len(), labels: targets.len() });
    }
    match targets {
        Targets::Labels(_) | Targets::Probabilities(_) => check_labels(targets, outputs.max(2)),
        Targets::Positions(texts) => {
            if padding != Padding::Masked || model.stride() > 1 || model.lexicon.is_some() {
                return Err(LearnError::NoPositions);
            }
            let needs_all = model.chain.is_some();
            for (tokens, labels) in lengths.zip(texts) {
                if tokens != labels.len() {
                    return Err(LearnError::PositionCount { tokens, labels: labels.len() });
                }
                labels.iter().flatten().try_for_each(|&label| check_label(label, outputs))?;
                if needs_all && (labels.is_empty() || labels.contains(&None)) {
                    return Err(LearnError::ChainLabels);
                }
            }
            Ok(())
        }
        Targets::Next(next) => {
            if padding != Padding::Masked || model.stride() > 1 || model.lexicon.is_some() || model.chain.is_some() {
                return Err(LearnError::NoPositions);
            }
            if model.receptive_field().right > 0 {
                return Err(LearnError::NotCausal);
            }
            if let Some(condition) = &model.condition {
                let classes = condition.weight.dims()[0];
                next.iter().try_for_each(|next| check_label(next.label, classes))?;
            }
            match lengths.zip(next).find(|(tokens, next)| *tokens <= next.count) {
                Some((tokens, next)) => Err(LearnError::PositionCount { tokens, labels: next.count + 1 }),
                None => Ok(()),
            }
        }
    }
}

/// Checks that the labels of texts, or their probabilities, are those of this many classes.
pub(crate) fn check_labels(targets: &Targets, classes: usize) -> Result<(), LearnError> {
    match targets {
        Targets::Probabilities(probabilities) => {
            let is_probability = |value: &&f32| (0.0..=1.0).contains(*value);
            let wrong = || probabilities.values.iter().find(|value| !is_probability(value)).map(f32::to_string);
            let wrong_count = || (probabilities.classes != classes).then(|| probabilities.classes.to_string());
            match wrong_count().or_else(wrong) {
                Some(found) => Err(LearnError::Probabilities { classes, found }),
                None => Ok(()),
            }
        }
        targets => targets.labels().iter().try_for_each(|&label| check_label(label, classes)),
    }
}

/// Checks that token ids are in a vocabulary of this size.
pub(crate) fn check_tokens<T: AsRef<[u32]>>(texts: &[T], vocab_size: usize) -> Result<(), LearnError> {
    match texts.iter().flat_map(|ids| ids.as_ref()).find(|&&id| id as usize >= vocab_size) {
        Some(&id) => Err(LearnError::Token { id, vocab_size }),
        None => Ok(()),
    }
}

pub(crate) fn check_label(label: usize, classes: usize) -> Result<(), LearnError> {
    if label < classes { Ok(()) } else { Err(LearnError::Label { label, classes }) }
}

/// The loss of a batch, `[1]`, whose gradient trains the model, and the scores behind it. The labels must have been
/// checked. `rows` are the embeddings of the distinct words of the batch.
///
/// # Errors
///
/// [`RunError::Device`].
pub(crate) fn loss<E: Encode>(
    model: &TextModel<E>,
    rows: Tensor<2>,
    batch: &Batch,
    labels: &Labels,
    device: &Device,
) -> Result<(Tensor<1>, StepScores), RunError> {
    Ok(match labels {
        Labels::OfTexts(targets) => {
            let cross_entropy = |logits| text_cross_entropy(logits, targets, device);
            let of_encoder = model.forward_encoder(rows, batch);
            let loss = cross_entropy(of_encoder.clone());
            // Encoder and lexicon learn as if each were alone. If they are trained together, the lexicon fits the
            // training texts at once, and the encoder has nothing left to learn.
            let (loss, logits) = match &model.lexicon {
                Some(lexicon) => {
                    let of_lexicon = lexicon.logits(batch);
                    (loss + cross_entropy(of_lexicon.clone()), model.combine(of_encoder, of_lexicon))
                }
                None => (loss, of_encoder),
            };
            (loss, StepScores(Scores::OfTexts { logits: logits.inner(), targets: (*targets).clone() }))
        }
        Labels::OfPositions(texts) => {
            let (loss, scores) = position_loss(model, model.features(rows, batch), texts)?;
            (loss, StepScores(scores))
        }
    })
}

/// The mean cross-entropy of the logits of texts, `[batch, outputs]`, and their labels or the probabilities of these, `[1]`.
fn text_cross_entropy(logits: Tensor<2>, targets: &Targets, device: &Device) -> Tensor<1> {
    match targets {
        Targets::Probabilities(probabilities) => cross_entropy_of_probabilities(logits, probabilities, device),
        targets => cross_entropy(logits, targets.labels(), device),
    }
}

/// The mean loss at the positions with a label, `[1]`, and the scores behind it. The loss is 0 if there are none.
///
/// # Shapes
///
/// - `features`: `[batch, positions, hidden]`
fn position_loss<E: Encode>(
    model: &TextModel<E>,
    features: Tensor<3>,
    texts: &[Vec<Option<usize>>],
) -> Result<(Tensor<1>, Scores), RunError> {
    let count = texts.iter().flatten().flatten().count();
    let of_positions = |loss: Tensor<1>, hits| {
        let scores = Scores::OfPositions { loss: without_gradient(loss.clone()), hits, count };
        (loss, scores)
    };
    if count == 0 {
        return Ok(of_positions(features.sum().mul_scalar(0.0), 0));
    }
    if let Some(chain) = &model.chain {
        let logits = model.predict_features(features);
        let labels: Vec<Vec<usize>> = texts.iter().map(|text| text.iter().copied().flatten().collect()).collect();
        let loss = chain.loss(logits.clone(), &labels);
        let lengths: Vec<usize> = labels.iter().map(Vec::len).collect();
        let found = best_labels(model, without_gradient(logits), &lengths)?;
        let pairs = found.iter().flatten().zip(labels.iter().flatten());
        return Ok(of_positions(loss, pairs.filter(|(found, label)| found == label).count()));
    }
    let (loss, hits) = model.position_cross_entropy(features, texts);
    Ok(of_positions(loss, hits))
}

/// The tensor without the operations that it was computed by, if these were recorded.
fn without_gradient<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}

/// How well a model does on texts that it is not trained on. They may be added in parts.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    /// The logits of the texts that have one label each, one row after the other.
    logits: Vec<f32>,
    labels: Vec<usize>,
    /// What is known of labels at positions.
    positions: Tally,
    /// The spans of these labels, if they have names that mark spans.
    spans: Option<(Vec<String>, SpanTally)>,
    /// The forms that texts consist of, if these are not ids of tokens.
    forms: Option<Arc<Forms>>,
    /// Whether the labels are the next tokens, as those of a language model are.
    is_of_next_tokens: bool,
}

impl Measurement {
    /// A measurement of texts that consist of forms, whose labels at positions have these names. It counts their spans
    /// too if the names [mark spans](mark_spans).
    pub fn of_tags(forms: Arc<Forms>, labels: &[String]) -> Self {
        let spans = mark_spans(labels).then(|| (labels.to_vec(), SpanTally::default()));
        Self { forms: Some(forms), spans, ..Self::default() }
    }

    /// Measures the model on some texts, given as ids; `on_done` is called with the number of texts done so far.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`], or [`RunError::TooLong`] for a text that the model cannot read.
    ///
    /// # Panics
    ///
    /// If the targets do not fit the texts; see [`Learner::step`](crate::Learner::step).
    pub fn add<E: Encode>(
        &mut self,
        model: &TextModel<E>,
        texts: &[&[u32]],
        targets: &Targets,
        padding: Padding,
        pad_id: u32,
        on_done: &dyn Fn(usize),
    ) -> Result<(), RunError> {
        let device = model.device();
        match targets {
            Targets::Labels(_) | Targets::Probabilities(_) => {
                self.logits.extend(logits(model, texts, padding, pad_id, &device, on_done)?);
                self.labels.extend(targets.labels());
                // Models are measured by the most probable label.
                if let Targets::Probabilities(probabilities) = targets {
                    self.labels.extend(probabilities.rows().map(argmax));
                }
            }
            Targets::Positions(_) | Targets::Next(_) => {
                self.is_of_next_tokens |= matches!(targets, Targets::Next(_));
                let mut done = 0;
                for indices in batches_by_length(texts, padding) {
                    let rows = indices.iter().map(|&index| Cow::Borrowed(texts[index])).collect();
                    let targets = targets.pick(&indices, usize::MAX);
                    let (rows, Labels::OfPositions(labels)) = with_labels(rows, &targets) else { continue };
                    let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
                    let batch = match &self.forms {
                        Some(forms) => Batch::of_forms(&rows, forms, &device),
                        None => batch_of(model, &rows, &targets, (padding, pad_id), &device),
                    };
                    let features = model.features(model.rows(&batch), &batch);
                    if let Some((names, spans)) = &mut self.spans {
                        let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
                        let found = best_labels(model, model.predict_features(features.clone()), &lengths)?;
                        for (found, labels) in found.iter().zip(labels.iter()) {
                            add_spans(spans, names, found, labels);
                        }
                    }
                    let (_, scores) = position_loss(model, features, &labels)?;
                    self.positions.merge(StepScores(scores).tally()?);
                    done += indices.len();
                    on_done(done);
                }
            }
        }
        Ok(())
    }

    /// The logits of the texts that have one label each, one row after the other, `[texts, outputs]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The number of labels.
    pub fn count(&self) -> usize {
        if self.labels.is_empty() { self.positions.count } else { self.labels.len() }
    }

    /// The temperature of the model's probabilities, fitted on these texts; 1 if the texts have labels at their
    /// positions.
    pub fn temperature(&self) -> f64 {
        if self.labels.is_empty() { 1.0 } else { fit_temperature(&self.logits, self.outputs(), &self.labels) }
    }

    /// The metrics, with probabilities at a temperature.
    pub fn metrics(&self, temperature: f64) -> Metrics {
        if self.labels.is_empty() {
            let f1 = self.spans.as_ref().map(|(_, spans)| spans.total().f1());
            let metrics = self.positions.metrics();
            let perplexity = self.is_of_next_tokens.then(|| metrics.loss.exp());
            Metrics { f1, perplexity, ..metrics }
        } else {
            calibrated_metrics(&self.logits, self.outputs(), &self.labels, temperature)
        }
    }

    /// What the best epoch of a tagger is chosen by: the F1 score of its spans, or its accuracy. None for other tasks,
    /// which choose it by the loss.
    pub fn score(&self) -> Option<f64> {
        self.forms.as_ref()?;
        let metrics = self.metrics(1.0);
        Some(metrics.f1.unwrap_or(metrics.accuracy))
    }

    fn outputs(&self) -> usize {
        (self.logits.len() / self.labels.len().max(1)).max(1)
    }
}

/// Adds the spans of a text, given by the labels that were found and those that are right.
fn add_spans(spans: &mut SpanTally, names: &[String], found: &[usize], labels: &[Option<usize>]) {
    let name = |label: usize| names.get(label).map_or("O", String::as_str);
    let expected: Vec<&str> = labels.iter().map(|label| label.map_or("O", name)).collect();
    let predicted: Vec<&str> = found.iter().map(|&label| name(label)).collect();
    spans.add(&expected, &predicted);
}

//! `metrics.json` and `metrics.jsonl`: how well a run does.

use burn::module::Module;
use convlens_model::EncoderSettings;
use serde::{Deserialize, Serialize};

use crate::Run;

/// How well a model does on a split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The share of texts, or of tokens if each has a label, that are given the right label.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The expected calibration error; see [`calibration_error`](crate::calibration_error). None where it
    /// was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<f64>,
    /// The F1 score of spans, if labels mark spans; see [`SpanCounts::f1`](crate::SpanCounts::f1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// Of a language model: the exponential of the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
    /// Of a language model whose tokens keep every character: the loss of all tokens in bits, per character of the
    /// texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_character: Option<f64>,
    /// The same per byte of the texts, as UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
}

impl Metrics {
    /// The accuracy and the loss, and nothing else.
    pub fn new(accuracy: f64, loss: f64) -> Self {
        let (calibration_error, f1, perplexity, bits_per_character, bits_per_byte) = Default::default();
        Self { accuracy, loss, calibration_error, f1, perplexity, bits_per_character, bits_per_byte }
    }

    /// The same metrics, of `tokens` tokens of texts with so many characters and bytes, with the loss in bits per
    /// character and per byte.
    pub fn with_bits(self, tokens: usize, characters: usize, bytes: usize) -> Self {
        let bits = self.loss * tokens as f64 / std::f64::consts::LN_2;
        let per = |count: usize| Some(bits / count.max(1) as f64);
        Self { bits_per_character: per(characters), bits_per_byte: per(bytes), ..self }
    }
}

/// The metrics of one epoch, a line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, from 1.
    pub epoch: usize,
    /// On the training split, summed up while the weights changed.
    pub train: Metrics,
    /// On the validation split, at the end of the epoch.
    pub validation: Metrics,
    /// What the best epoch is chosen by instead of the validation loss: of a tagger the F1 score of its spans, or its
    /// accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Seconds of training, without validation.
    pub seconds: f64,
}

impl EpochMetrics {
    /// The [best](Self::is_better_than) epoch, the first of equals; none if no loss is finite.
    pub fn best(history: &[Self]) -> Option<&Self> {
        history.iter().fold(None, |best, epoch| if epoch.is_better_than(best) { Some(epoch) } else { best })
    }

    /// Whether this epoch's validation loss is lower than that of the best epoch before it, if there
    /// is one; or its score is higher, if there are scores. A loss that is not finite is never better.
    pub fn is_better_than(&self, best: Option<&Self>) -> bool {
        let loss = self.validation.loss;
        let is_better = |best: &Self| match (self.score, best.score) {
            _ if !best.validation.loss.is_finite() => true,
            (Some(own), Some(best)) => own > best,
            _ => loss < best.validation.loss,
        };
        loss.is_finite() && best.is_none_or(is_better)
    }
}

/// The end result; see [`RunMetrics::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunMetrics {
    /// What the model does.
    pub task: crate::Task,
    /// The preset that the settings started from.
    pub preset: String,
    /// The data set's name; of a file only its name, not its path.
    pub dataset: String,
    /// The number of trained parameters.
    pub parameters: usize,
    /// How many tokens one prediction sees; none if it sees the whole text.
    pub receptive_field: Option<usize>,
    /// How many epochs were trained.
    pub epochs: usize,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Texts per second in training, forward and backward; of a language model tokens per second.
    pub examples_per_second: f64,
    /// Seconds of training, without validation, summed over interruptions.
    pub train_seconds: f64,
    /// The peak memory use of the process, in bytes; 0 if the system does not report it.
    pub peak_rss_bytes: u64,
    /// The device that it was trained on.
    pub device: String,
    /// The best epoch on the validation split, with calibrated probabilities.
    pub validation: Metrics,
    /// The best epoch on the test split, which is read once, with calibrated probabilities.
    pub test: Metrics,
}

impl RunMetrics {
    /// The metrics of a run that was trained on `examples` texts, or tokens if it is a language model, for the epochs in `history`, with those of
    /// its splits. The caller fills in the device and the memory. None if there is no epoch with a finite
    /// validation loss.
    pub fn new<S: EncoderSettings>(
        run: &Run<S>,
        history: &[EpochMetrics],
        examples: usize,
        validation: Metrics,
        test: Metrics,
    ) -> Option<Self> {
        let best = EpochMetrics::best(history)?;
        let train_seconds = history.iter().map(|epoch| epoch.seconds).sum::<f64>();
        let field = run.model.receptive_field();
        Some(Self {
            task: run.config.task,
            preset: run.config.preset.clone(),
            dataset: run.config.dataset.short_name(),
            parameters: run.model.num_params(),
            receptive_field: Some(field.size()).filter(|_| !field.is_unbounded()),
            epochs: history.len(),
            best_epoch: best.epoch,
            examples_per_second: (examples * history.len()) as f64 / train_seconds.max(f64::MIN_POSITIVE),
            train_seconds,
            peak_rss_bytes: 0,
            device: String::new(),
            validation,
            test,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> Vec<EpochMetrics> {
        let metrics = |loss| Metrics::new(0.5, loss);
        let epoch = |(index, &loss): (usize, &f64)| EpochMetrics {
            epoch: index + 1,
            train: metrics(1.0),
            validation: metrics(loss),
            score: None,
            seconds: 1.0,
        };
        losses.iter().enumerate().map(epoch).collect()
    }

    #[test]
    fn an_epoch_without_a_finite_loss_is_never_the_best() {
        let best = |losses: &[f64]| EpochMetrics::best(&history(losses)).map(|best| best.epoch);
        assert_eq!(best(&[0.5, f64::NAN, 0.4, -f64::NAN, 0.4]), Some(3));
        assert_eq!(best(&[f64::NAN, -f64::NAN, f64::INFINITY]), None);
        assert_eq!(best(&[-f64::NAN, 0.7]), Some(2));
        assert_eq!(best(&[]), None);
        let epochs = history(&[f64::NAN, 0.3, 0.3]);
        assert!(!epochs[0].is_better_than(None) && epochs[1].is_better_than(None));
        let scored = |loss, score| EpochMetrics { score: Some(score), ..history(&[loss]).remove(0) };
        assert!(scored(0.5, 0.9).is_better_than(Some(&scored(0.4, 0.8))));
        assert!(!scored(0.3, 0.8).is_better_than(Some(&scored(0.4, 0.8))));
        assert!(!scored(f64::NAN, 0.9).is_better_than(Some(&scored(0.4, 0.8))));
        assert!(!epochs[2].is_better_than(Some(&epochs[1])) && epochs[1].is_better_than(Some(&epochs[0])));
    }
}

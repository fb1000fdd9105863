//! The loss of a batch: on the device for its gradient, and on the host for reports.

use burn::nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use convlens_run::{Metrics, calibrated, calibration_error, log_probabilities, predicted_label};
use serde::{Deserialize, Serialize};

/// The mean cross-entropy of logits, in nats. With one logit per text it is the binary cross-entropy, and
/// the logit is that of label 1.
///
/// # Shapes
///
/// - `logits`: `[batch, outputs]`
/// - `labels`: `batch` of them, below `outputs`, or below 2 if there is one output
/// - output: `[1]`
pub fn cross_entropy(logits: Tensor<2>, labels: &[usize], device: &Device) -> Tensor<1> {
    let [batch, outputs] = logits.dims();
    let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), device);
    if outputs == 1 {
        BinaryCrossEntropyLossConfig::new().with_logits(true).init(device).forward(logits.reshape([batch]), targets)
    } else {
        CrossEntropyLossConfig::new().init(device).forward(logits, targets)
    }
}

/// Running sums of losses and correct predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The sum of the cross-entropies, in nats.
    pub loss: f64,
    /// The number of labels that were predicted.
    pub hits: usize,
    /// The number of texts, or of tokens if each has a label.
    pub count: usize,
}

impl Tally {
    /// Adds texts, given as rows of `outputs` logits, with one label each.
    ///
    /// # Panics
    ///
    /// If a label is not one of the classes.
    pub fn add<T: Copy + Into<f64>>(&mut self, logits: &[T], outputs: usize, labels: &[usize]) {
        for (row, &label) in logits.chunks(outputs).zip(labels) {
            self.loss -= log_probabilities(row)[label];
            self.hits += usize::from(predicted_label(row) == label);
            self.count += 1;
        }
    }

    /// The tally of texts, as [`add`](Self::add) adds them.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    pub(crate) fn of_logits(logits: &[f32], outputs: usize, labels: &[usize]) -> Self {
        let mut tally = Self::default();
        tally.add(logits, outputs, labels);
        tally
    }

    /// The tally of `count` predictions with a mean loss, of which `hits` are right.
    pub(crate) fn from_mean(loss: &[f32], hits: usize, count: usize) -> Self {
        Self { loss: loss.iter().map(|&loss| f64::from(loss)).sum::<f64>() * count as f64, hits, count }
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: Self) {
        self.loss += other.loss;
        self.hits += other.hits;
        self.count += other.count;
    }

    /// The mean loss and the accuracy; both are 0 if there are no texts.
    pub fn metrics(&self) -> Metrics {
        let count = self.count.max(1) as f64;
        Metrics::new(self.hits as f64 / count, self.loss / count)
    }
}

/// The metrics of texts, given as rows of `outputs` logits, with probabilities at a temperature.
///
/// # Panics
///
/// If a label is not one of the classes.
pub fn calibrated_metrics(logits: &[f32], outputs: usize, labels: &[usize], temperature: f64) -> Metrics {
    let logits = calibrated(logits, temperature);
    let mut tally = Tally::default();
    tally.add(&logits, outputs, labels);
    Metrics { calibration_error: Some(calibration_error(&logits, outputs, labels)), ..tally.metrics() }
}

#[cfg(test)]
mod tests {
    use super::*;

    // import torch; F = torch.nn.functional
    // z = torch.tensor([0.3, -2., 5.]); F.binary_cross_entropy_with_logits(z, torch.tensor([1., 0., 0.]))  # 1.895999
    // z = torch.tensor([[.1, 2., -1.], [0., 0., 3.]]); F.cross_entropy(z, torch.tensor([1, 0]))            # 1.638354
    #[test]
    fn losses_on_device_and_host_match_pytorch() {
        let device = Device::flex();
        let cases: [(&[f32], usize, &[usize], f64); 2] =
            [(&[0.3, -2.0, 5.0], 1, &[1, 0, 0], BINARY), (&[0.1, 2.0, -1.0, 0.0, 0.0, 3.0], 3, &[1, 0], MULTI)];
        for (logits, outputs, labels, expected) in cases {
            let shape = [labels.len(), outputs];
            let tensor = Tensor::<2>::from_data(TensorData::new(logits.to_vec(), shape), &device);
            let loss: Vec<f32> = cross_entropy(tensor, labels, &device).try_into_vec_as().expect("a value");
            let mut tally = Tally::default();
            tally.add(logits, outputs, labels);
            assert!((f64::from(loss[0]) - expected).abs() < 1e-5, "{loss:?}");
            assert!((tally.metrics().loss - expected).abs() < 1e-6, "{tally:?}");
        }
    }

    const BINARY: f64 = 1.895_999_534_7;
    const MULTI: f64 = 1.638_353_721;
}

//! The loss of a batch: on the device for its gradient, and on the host for reports.

use burn::nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use convlens_run::{Metrics, argmax, calibrated, calibration_error, log_probabilities, predicted_label};
use serde::{Deserialize, Serialize};

use crate::LabelProbabilities;

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

/// The mean cross-entropy of logits and the probabilities that another model gives each label, in nats: the loss that
/// a small model is trained with to say what a larger one says (Hinton et al. 2015, *Distilling the Knowledge in a
/// Neural Network*, equation 2). With one logit per text the logit is that of label 1. (Burn's losses take labels.)
///
/// # Shapes
///
/// - `logits`: `[batch, outputs]`
/// - `targets`: `[batch, labels]`, with two labels if there is one output, and else one per output
/// - output: `[1]`
pub fn cross_entropy_of_probabilities(logits: Tensor<2>, targets: &LabelProbabilities, device: &Device) -> Tensor<1> {
    let [batch, outputs] = logits.dims();
    let values = TensorData::new(targets.values.clone(), [batch, targets.classes]);
    let targets = Tensor::<2>::from_data(values, device);
    let log_probabilities = if outputs == 1 {
        Tensor::cat(vec![log_sigmoid(-logits.clone()), log_sigmoid(logits)], 1)
    } else {
        log_softmax(logits, 1)
    };
    -(log_probabilities * targets).sum().div_scalar(batch as f32)
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

    /// Adds texts, given as rows of `outputs` logits, with the probabilities of their labels. A prediction is right if
    /// it is the most probable label.
    pub fn add_probabilities<T: Copy + Into<f64>>(
        &mut self,
        logits: &[T],
        outputs: usize,
        targets: &LabelProbabilities,
    ) {
        for (row, targets) in logits.chunks(outputs).zip(targets.rows()) {
            let found = log_probabilities(row);
            self.loss -= found.iter().zip(targets).map(|(found, &target)| found * f64::from(target)).sum::<f64>();
            self.hits += usize::from(predicted_label(row) == argmax(targets));
            self.count += 1;
        }
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

    // z = torch.tensor([0.3, -2., 5.]); p = torch.tensor([.2, .9, 1.])
    // F.binary_cross_entropy_with_logits(z, p)                                                     # 0.909333
    // z = torch.tensor([[.1, 2., -1.], [0., 0., 3.]]); p = torch.tensor([[.2, .5, .3], [0., .6, .4]])
    // F.cross_entropy(z, p)                                                                        # 1.678354
    #[test]
    fn losses_of_probabilities_match_pytorch() {
        let device = Device::flex();
        let cases: [(&[f32], usize, &[f32], f64); 2] = [
            (&[0.3, -2.0, 5.0], 1, &[0.8, 0.2, 0.1, 0.9, 0.0, 1.0], BINARY_OF_PROBABILITIES),
            (&[0.1, 2.0, -1.0, 0.0, 0.0, 3.0], 3, &[0.2, 0.5, 0.3, 0.0, 0.6, 0.4], MULTI_OF_PROBABILITIES),
        ];
        for (logits, outputs, values, expected) in cases {
            let targets = LabelProbabilities { classes: outputs.max(2), values: values.to_vec() };
            let tensor = Tensor::<2>::from_data(TensorData::new(logits.to_vec(), [targets.len(), outputs]), &device);
            let loss = cross_entropy_of_probabilities(tensor, &targets, &device);
            let loss: Vec<f32> = loss.try_into_vec_as().expect("a value");
            let mut tally = Tally::default();
            tally.add_probabilities(logits, outputs, &targets);
            assert!((f64::from(loss[0]) - expected).abs() < 1e-5, "{loss:?}");
            assert!((tally.metrics().loss - expected).abs() < 1e-6 && tally.hits == 1, "{tally:?}");
        }
    }

    #[test]
    fn certain_probabilities_are_labels() {
        let device = Device::flex();
        for (outputs, labels) in [(1, [1, 0]), (3, [2, 0])] {
            let logits = Tensor::<2>::random([2, outputs], burn::tensor::Distribution::Default, &device);
            let probabilities = LabelProbabilities::of_labels(&labels, outputs.max(2));
            let losses = [
                cross_entropy(logits.clone(), &labels, &device),
                cross_entropy_of_probabilities(logits, &probabilities, &device),
            ];
            let [one, other] = losses.map(|loss| loss.try_into_vec_as::<f32>().expect("a value")[0]);
            assert!((one - other).abs() < 1e-6, "{one} and {other}");
        }
    }

    /// The gradient is what the model says less what it is to say, divided by the number of texts.
    #[test]
    fn the_gradient_is_the_difference_of_probabilities() {
        let device = Device::flex().autodiff();
        let logits = [0.1f32, 2.0, -1.0, 0.0, 0.0, 3.0];
        let targets = LabelProbabilities { classes: 3, values: vec![0.2, 0.5, 0.3, 0.0, 0.6, 0.4] };
        let tensor = Tensor::<2>::from_data(TensorData::new(logits.to_vec(), [2, 3]), &device).require_grad();
        let gradients = cross_entropy_of_probabilities(tensor.clone(), &targets, &device).backward();
        let gradient = tensor.grad(&gradients).expect("a gradient").into_data();
        let found = logits.chunks(3).flat_map(log_probabilities).map(f64::exp);
        for ((gradient, found), target) in gradient.iter::<f64>().zip(found).zip(&targets.values) {
            assert!((gradient - (found - f64::from(*target)) / 2.0).abs() < 1e-6, "{gradient}");
        }
    }

    const BINARY_OF_PROBABILITIES: f64 = 0.909_332_868;
    const MULTI_OF_PROBABILITIES: f64 = 1.678_353_721;
    const BINARY: f64 = 1.895_999_534_7;
    const MULTI: f64 = 1.638_353_721;
}

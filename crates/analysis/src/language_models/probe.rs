//! What a language model knows of labels that it never saw: a linear classifier on its states (Radford, Jozefowicz and
//! Sutskever 2017, "Learning to Generate Reviews and Discovering Sentiment").
//!
//! The state of a text is the mean of the encoder's outputs over its tokens, so the logit of a text is the mean of the
//! logits of its tokens.

use burn::tensor::Device;
use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, batches_by_length, to_host};
use nalgebra::{DMatrix, DVector};
use serde::Serialize;

/// The maximum number of Newton steps.
const STEPS: usize = 25;
/// Newton's method ends when no weight changes by more.
const TOLERANCE: f64 = 1e-6;

/// A logistic regression on features that are first brought to mean 0 and standard deviation 1.
///
/// It is fitted by Newton's method, of which each step solves a system as large as there are features. A crate for
/// logistic regression would bring another library of matrices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    mean: Vec<f64>,
    scale: Vec<f64>,
    weights: Vec<f64>,
    bias: f64,
}

impl Probe {
    /// Fits a probe to rows of features, and whether each row has the label. `penalty` times the squares of the weights is
    /// added to the mean loss.
    ///
    /// # Panics
    ///
    /// If there are no rows, or not one label per row.
    pub fn fit(features: &[Vec<f32>], labels: &[bool], penalty: f64) -> Self {
        assert!(!features.is_empty() && features.len() == labels.len(), "one label for each row");
        let (rows, width) = (features.len(), features[0].len());
        let count = rows as f64;
        let column_mean = |column: usize| features.iter().map(|row| f64::from(row[column])).sum::<f64>() / count;
        let mean: Vec<f64> = (0..width).map(column_mean).collect();
        let deviation = |column: usize| {
            let squares: f64 = features.iter().map(|row| (f64::from(row[column]) - mean[column]).powi(2)).sum();
            let deviation = (squares / count).sqrt();
            if deviation > 1e-9 { deviation } else { 1.0 }
        };
        let scale: Vec<f64> = (0..width).map(deviation).collect();
        // The last column is the bias.
        let x = DMatrix::from_fn(rows, width + 1, |row, column| match column < width {
            true => (f64::from(features[row][column]) - mean[column]) / scale[column],
            false => 1.0,
        });
        let penalties = DVector::from_fn(width + 1, |column, _| if column < width { 2.0 * penalty } else { 1e-9 });
        let mut weights = DVector::zeros(width + 1);
        for _ in 0..STEPS {
            let probabilities = (&x * &weights).map(|logit: f64| 1.0 / (1.0 + (-logit).exp()));
            let errors = DVector::from_fn(rows, |row, _| probabilities[row] - f64::from(u8::from(labels[row])));
            let gradient = x.transpose() * errors / count + weights.component_mul(&penalties);
            let curvature = probabilities.map(|share| (share * (1.0 - share)).max(1e-6) / count);
            let weighted = DMatrix::from_fn(rows, width + 1, |row, column| x[(row, column)] * curvature[row]);
            let hessian = x.transpose() * weighted + DMatrix::from_diagonal(&penalties);
            let Some(step) = hessian.cholesky().map(|factors| factors.solve(&gradient)) else { break };
            weights -= &step;
            if step.amax() < TOLERANCE {
                break;
            }
        }
        let bias = weights[width];
        Self { mean, scale, weights: weights.iter().take(width).copied().collect(), bias }
    }

    /// The logit of the label, from a row of features.
    pub fn logit(&self, features: &[f32]) -> f64 {
        let columns = self.mean.iter().zip(&self.scale).zip(&self.weights).zip(features);
        self.bias
            + columns.map(|(((mean, scale), weight), value)| weight * (f64::from(*value) - mean) / scale).sum::<f64>()
    }

    /// The share of rows whose label the probe finds.
    pub fn accuracy(&self, features: &[Vec<f32>], labels: &[bool]) -> f64 {
        let hits = features.iter().zip(labels).filter(|(row, label)| (self.logit(row) > 0.0) == **label).count();
        hits as f64 / labels.len().max(1) as f64
    }
}

/// A run with the same settings and random weights, on the CPU.
///
/// # Errors
///
/// [`RunError::Model`].
pub fn with_random_weights<S: EncoderSettings>(run: &Run<S>, seed: u64) -> Result<Run<S>, RunError> {
    let device = Device::flex();
    device.seed(seed);
    let model = run.config.model.init(&device)?;
    Ok(Run { config: run.config.clone(), tokenizer: run.tokenizer.clone(), model, device })
}

/// The state of each text, given as ids: the mean of the encoder's outputs over its tokens. `on_done` is called with the
/// number of texts done so far.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn text_states<S: EncoderSettings>(
    run: &Run<S>,
    texts: &[&[u32]],
    on_done: &dyn Fn(usize),
) -> Result<Vec<Vec<f32>>, RunError> {
    let width = run.config.model.encoder.hidden();
    let (mut states, mut done) = (vec![Vec::new(); texts.len()], 0);
    for indices in batches_by_length(texts, run.config.model.padding) {
        let rows: Vec<&[u32]> = indices.iter().map(|&index| texts[index]).collect();
        let batch = run.batch(&rows);
        let mask = batch.mask.clone().unsqueeze_dim::<3>(2);
        let count = mask.clone().sum_dim(1).clamp_min(1.0);
        let means = to_host((run.model.encode(&batch) * mask).sum_dim(1) / count)?;
        for (&index, state) in indices.iter().zip(means.chunks(width)) {
            states[index] = state.to_vec();
        }
        done += indices.len();
        on_done(done);
    }
    Ok(states)
}

/// The state at each token of a text, given as ids: the encoder's outputs.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn token_states<S: EncoderSettings>(run: &Run<S>, ids: &[u32]) -> Result<Vec<Vec<f32>>, RunError> {
    let states = to_host(run.model.encode(&run.batch(&[ids])))?;
    Ok(states.chunks(run.config.model.encoder.hidden()).map(<[f32]>::to_vec).collect())
}

/// How well labels are found from the states, with so many of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbePoint {
    /// How many labelled texts the probe was fitted to.
    pub labels: usize,
    /// The accuracy of a probe on all units.
    pub accuracy: f64,
    /// The unit that alone does best on the labelled texts.
    pub unit: usize,
    /// The accuracy of a probe on this unit.
    pub unit_accuracy: f64,
}

/// Labelled states.
#[derive(Clone, Copy, Debug)]
pub struct LabelledStates<'a> {
    /// The state of each text.
    pub states: &'a [Vec<f32>],
    /// Whether each text has the label.
    pub labels: &'a [bool],
}

/// Fits probes to the first `labels` states of `train`, and measures them on `test`. Also returns the probe on all units.
///
/// # Panics
///
/// If there are no states, or not one label per state.
pub fn probe(train: LabelledStates, test: LabelledStates, labels: usize, penalty: f64) -> (ProbePoint, Probe) {
    let labels = labels.min(train.labels.len());
    let (states, known) = (&train.states[..labels], &train.labels[..labels]);
    let all = Probe::fit(states, known, penalty);
    let column = |states: &[Vec<f32>], unit: usize| states.iter().map(|state| vec![state[unit]]).collect::<Vec<_>>();
    let of_unit = |unit: usize| {
        let states = column(states, unit);
        let probe = Probe::fit(&states, known, penalty);
        (unit, probe.accuracy(&states, known), probe)
    };
    let units = (0..states[0].len()).map(of_unit);
    let best = units.reduce(|best, other| if other.1 > best.1 { other } else { best });
    let (unit, _, of_best) = best.unwrap_or_else(|| unreachable!("an encoder has units"));
    let point = ProbePoint {
        labels,
        accuracy: all.accuracy(test.states, test.labels),
        unit,
        unit_accuracy: of_best.accuracy(&column(test.states, unit), test.labels),
    };
    (point, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two features, and labels that the first of them decides but for one.
    fn rows() -> (Vec<Vec<f32>>, Vec<bool>) {
        let rows = [[0.5, 1.0], [1.5, -1.0], [2.0, 0.5], [3.0, 2.0], [2.5, -2.0], [4.0, 0.0], [1.0, 3.0], [3.5, 1.5]];
        let labels = [false, false, true, true, false, true, false, true];
        (rows.map(|row| row.to_vec()).to_vec(), labels.to_vec())
    }

    // from sklearn.linear_model import LogisticRegression; import numpy as np
    // x = (x - x.mean(0)) / x.std(0)
    // LogisticRegression(C=1 / (2 * 0.1 * 8), tol=1e-10).fit(x, y)  ->  coef_, intercept_
    #[test]
    fn a_probe_matches_scikit_learn() {
        let (rows, labels) = rows();
        let probe = Probe::fit(&rows, &labels, 0.1);
        for (found, expected) in probe.weights.iter().chain([&probe.bias]).zip(EXPECTED) {
            assert!((found - expected).abs() < 1e-4, "{probe:?}");
        }
        assert_eq!(probe.accuracy(&rows, &labels), 0.875);
    }

    const EXPECTED: [f64; 3] = [0.927_118, 0.356_614, 0.013_070];

    #[test]
    fn the_best_unit_is_found() {
        let (rows, labels) = rows();
        let all = LabelledStates { states: &rows, labels: &labels };
        let (point, probe) = super::probe(all, all, 100, 0.01);
        assert_eq!((point.labels, point.unit), (8, 0));
        assert_eq!((point.accuracy, point.unit_accuracy), (0.875, 0.75));
        // The logit of a mean is the mean of the logits.
        let mean: Vec<f32> = vec![(rows[0][0] + rows[1][0]) / 2.0, (rows[0][1] + rows[1][1]) / 2.0];
        assert!((probe.logit(&mean) - (probe.logit(&rows[0]) + probe.logit(&rows[1])) / 2.0).abs() < 1e-6);
    }
}

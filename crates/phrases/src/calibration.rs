//! Calibrated probabilities by temperature scaling (Guo et al. 2017, section 4.2): logits are divided by
//! one number, the temperature, before they become probabilities. Labels do not change.

use crate::classes::of_labels;
use crate::{predicted_label, probabilities};

/// The lowest and the highest temperature.
pub const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.01..=100.0;
/// Halvings of the range of inverse temperatures; after this many it is narrower than the precision of `f64`.
const HALVINGS: usize = 60;
/// The number of bins of equal width for the calibration error.
const BINS: usize = 15;

/// Divides logits by a temperature.
pub fn calibrated<T: Copy + Into<f64>>(logits: &[T], temperature: f64) -> Vec<f64> {
    logits.iter().map(|&logit| logit.into() / temperature).collect()
}

/// Every label's calibrated probability, from the logits of a text.
pub fn calibrated_probabilities<T: Copy + Into<f64>>(logits: &[T], temperature: f64) -> Vec<f64> {
    probabilities(&calibrated(logits, temperature))
}

/// The expected calibration error (Guo et al. 2017, equation 3) of texts, given as rows of `outputs` logits,
/// with one label each: the mean difference between confidence and accuracy, over 15 bins of confidence. It
/// is 0 if there are no texts.
pub fn calibration_error<T: Copy + Into<f64>>(logits: &[T], outputs: usize, labels: &[usize]) -> f64 {
    let mut bins = [(0.0, 0usize); BINS]; // the sum of the confidences, and the hits
    for (row, &label) in logits.chunks(outputs).zip(labels) {
        let predicted = predicted_label(row);
        let confidence = probabilities(row)[predicted];
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + confidence, bin.1 + usize::from(predicted == label));
    }
    let gap: f64 = bins.iter().map(|(confidence, hits)| (confidence - *hits as f64).abs()).sum();
    gap / labels.len().max(1) as f64
}

/// The temperature from 0.01 to 100 with the lowest cross-entropy on held-out texts, given as rows of
/// `outputs` logits, with one label each. It is 1 if there are no texts.
///
/// The targets are smoothed as in Platt (1999, section 2.2): with `n` texts, a label has the probability
/// (n + 1) / (n + 2). Otherwise the temperature for texts that are all classified correctly would be 0.
///
/// # Panics
///
/// If a label is not one of the classes.
pub fn fit_temperature(logits: &[f32], outputs: usize, labels: &[usize]) -> f64 {
    if labels.is_empty() {
        return 1.0;
    }
    // The cross-entropy is convex in the inverse temperature, so its derivative is zero in one place.
    let (mut low, mut high) = (1.0 / TEMPERATURES.end(), 1.0 / TEMPERATURES.start());
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if derivative(logits, outputs, labels, middle) < 0.0 { low = middle } else { high = middle }
    }
    (1.0 / f64::midpoint(low, high)).clamp(*TEMPERATURES.start(), *TEMPERATURES.end())
}

/// The derivative of the cross-entropy with respect to the inverse temperature: the sum over texts and
/// classes of (probability − target) · logit.
fn derivative(logits: &[f32], outputs: usize, labels: &[usize], inverse: f64) -> f64 {
    let smoothing = 1.0 / (labels.len() as f64 + 2.0);
    let of_text = |(row, &label): (&[f32], &usize)| {
        let row = of_labels(row);
        let scaled: Vec<f64> = row.iter().map(|logit| logit * inverse).collect();
        let mut gaps = probabilities(&scaled);
        let others = smoothing / (row.len() - 1) as f64;
        gaps.iter_mut().for_each(|probability| *probability -= others);
        gaps[label] -= 1.0 - smoothing - others;
        gaps.iter().zip(&row).map(|(gap, logit)| gap * logit).sum::<f64>()
    };
    logits.chunks(outputs).zip(labels).map(of_text).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np; from scipy.optimize import minimize_scalar; from scipy.special import log_softmax
    // def fit(z, y):
    //     n, k = z.shape; t = np.full((n, k), 1 / (n + 2) / (k - 1)); t[range(n), y] = (n + 1) / (n + 2)
    //     loss = lambda b: -(t * log_softmax(b * z, 1)).sum()
    //     return 1 / minimize_scalar(loss, bounds=(.01, 100), method="bounded", options={"xatol": 1e-12}).x
    // fit(np.array([[0, 3.], [0, -2], [0, 4], [0, -1], [0, 2]]), [1, 0, 0, 0, 1])
    // fit(np.array([[1., 2, 3], [4, 0, 0], [0, 1, 0], [2, 0, 5]]), [2, 0, 1, 0])
    #[test]
    fn temperatures_match_scipy() {
        let one = fit_temperature(&[3.0, -2.0, 4.0, -1.0, 2.0], 1, &[1, 0, 0, 0, 1]);
        let three = fit_temperature(&[1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 5.0], 3, &[2, 0, 1, 0]);
        assert!((one - ONE).abs() < 1e-4 && (three - THREE).abs() < 1e-4, "{one} {three}");
    }

    const ONE: f64 = 5.795484;
    const THREE: f64 = 2.925136;

    #[test]
    fn the_temperature_of_perfect_or_useless_logits_is_bounded() {
        assert_eq!(fit_temperature(&[], 1, &[]), 1.0);
        let perfect = fit_temperature(&[1.0, -1.0], 1, &[1, 0]);
        assert!((perfect - 1.0 / 3f64.ln()).abs() < 1e-6, "the probability is 3 / 4: {perfect}");
        assert!((fit_temperature(&[5.0, -5.0], 1, &[0, 1]) - 100.0).abs() < 1e-6, "all labels are wrong");
        assert!(TEMPERATURES.contains(&fit_temperature(&[0.0, 0.0], 1, &[0, 1])));
    }
}

//! From logits to labels and probabilities, on the host.
//!
//! With two labels there is one logit, the second label's: the first label's is 0.

/// The index of the highest value, the first if several are equally high. NaN is never the highest;
/// 0 if there is no other value.
pub fn argmax<T: Copy + Into<f64>>(values: &[T]) -> usize {
    let mut highest = 0;
    for (index, &value) in values.iter().enumerate() {
        let best: f64 = values[highest].into();
        if value.into() > best || best.is_nan() && !value.into().is_nan() {
            highest = index;
        }
    }
    highest
}

/// The label that logits give a text: the one with the highest logit, the first of equals.
pub fn predicted_label<T: Copy + Into<f64>>(logits: &[T]) -> usize {
    match logits {
        [logit] => usize::from((*logit).into() > 0.0),
        logits => argmax(logits),
    }
}

/// Every label's probability: the softmax of the logits, the sigmoid of a single one.
pub fn probabilities<T: Copy + Into<f64>>(logits: &[T]) -> Vec<f64> {
    if let [logit] = logits {
        let second = 1.0 / (1.0 + (-(*logit).into()).exp());
        return vec![1.0 - second, second];
    }
    let highest = highest(logits.iter().map(|&logit| logit.into()));
    let weights: Vec<f64> = logits.iter().map(|&logit| (logit.into() - highest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The natural logarithm of every label's probability, exact also where the probability is 0 in
/// 64 bits.
pub fn log_probabilities<T: Copy + Into<f64>>(logits: &[T]) -> Vec<f64> {
    let logits = of_labels(logits);
    let highest = highest(logits.iter().copied());
    let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    logits.iter().map(|logit| logit - highest - sum.ln()).collect()
}

/// The number of logits for `classes` classes: one if there are two, otherwise one per class.
pub fn outputs_for(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

/// The names of the logits: with two labels and one logit, the second label's.
pub fn output_names(labels: &[String], outputs: usize) -> &[String] {
    if outputs == 1 { &labels[labels.len().saturating_sub(1)..] } else { labels }
}

/// One logit for every label.
pub(crate) fn of_labels<T: Copy + Into<f64>>(logits: &[T]) -> Vec<f64> {
    match logits {
        [logit] => vec![0.0, (*logit).into()],
        logits => logits.iter().map(|&logit| logit.into()).collect(),
    }
}

fn highest(logits: impl Iterator<Item = f64>) -> f64 {
    logits.fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_highest_and_nan_never() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(argmax(&[f32::NAN, -1.0, f32::NEG_INFINITY]), 1);
        assert_eq!(argmax(&[-1.0, -f64::NAN, f64::INFINITY]), 2);
        assert_eq!(argmax(&[f64::NAN, f64::NAN]), 0);
        assert_eq!(argmax::<f64>(&[]), 0);
        assert_eq!([predicted_label(&[0.0]), predicted_label(&[1e-30]), predicted_label(&[-1.0f32])], [0, 1, 0]);
    }

    // torch.softmax(torch.tensor([0., 1.5]), 0)  ->  [0.1824, 0.8176]
    // torch.log_softmax(torch.tensor([1., 2., 3.]), 0)  ->  [-2.4076, -1.4076, -0.4076]
    #[test]
    fn probabilities_match_pytorch() {
        let (one, two) = (probabilities(&[1.5]), probabilities(&[0.0, 1.5]));
        assert!((one[1] - 0.817_574_48).abs() < 1e-7 && (two[1] - one[1]).abs() < 1e-12);
        assert_eq!(probabilities(&[1000.0, -1000.0]), [1.0, 0.0]);
        assert_eq!(probabilities(&[-1000.0]), [1.0, 0.0]);
        for (found, expected) in log_probabilities(&[1.0f32, 2.0, 3.0]).iter().zip([-2.407_606, -1.407_606, -0.407_606])
        {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert_eq!(log_probabilities(&[-1000.0]), [0.0, -1000.0]);
    }
}

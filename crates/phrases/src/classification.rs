//! A text's label without the phrases behind it.

use crate::{PhrasesError, calibrated_probabilities, predicted_label};

/// A text's label and every label's probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The index of the label among the model's.
    pub label: usize,
    /// Every label's probability.
    pub probabilities: Vec<f64>,
}

impl Classification {
    /// The classification that the logits of a text make, calibrated by a temperature.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Overflow`] if a logit is not finite.
    pub fn from_logits(logits: &[f64], temperature: f64) -> Result<Self, PhrasesError> {
        if logits.iter().all(|logit| logit.is_finite()) {
            Ok(Self { label: predicted_label(logits), probabilities: calibrated_probabilities(logits, temperature) })
        } else {
            Err(PhrasesError::Overflow)
        }
    }
}

//! Histograms of a model's weights.

use convlens_run::model::{Encode, EncoderSettings, FilterWeights};
use convlens_run::{Run, RunError, to_host};
use serde::Serialize;

/// The number of bars of a histogram.
const BINS: usize = 60;

/// The distribution of the values of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// The name of the parameter in the weights file.
    pub name: String,
    /// The number of values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The number of values in each of the equally wide bins from `min` to `max`.
    pub bins: Vec<usize>,
}

/// Histograms of the embeddings, the first layer's filters and the head.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn histograms<S: EncoderSettings>(run: &Run<S>) -> Result<Vec<Histogram>, RunError> {
    let model = &run.model;
    // Filters over one-hot words have no weights besides the embeddings.
    let filters = match model.encoder.filters().map(|filters| filters.weights) {
        Some(FilterWeights::Vectors(weights)) => Some(to_host(weights)?),
        _ => None,
    };
    let embeddings = Histogram::new("embed.weight", &to_host(model.embed.weight.val())?);
    let head = Histogram::new("head.weight", &to_host(model.head.weight.val())?);
    let filters = filters.map(|filters| Histogram::new("filters", &filters));
    Ok([Some(embeddings), filters, Some(head)].into_iter().flatten().collect())
}

impl Histogram {
    fn new(name: &str, values: &[f32]) -> Self {
        let values = || values.iter().map(|&value| f64::from(value));
        let count = values().count();
        let mean = values().sum::<f64>() / count.max(1) as f64;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        let (min, max) = values().fold((f64::MAX, f64::MIN), |(min, max), value| (min.min(value), max.max(value)));
        let mut bins = vec![0; BINS];
        for value in values() {
            let share = if max > min { (value - min) / (max - min) } else { 0.0 };
            bins[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        Self { name: name.into(), count, mean, std: variance.sqrt(), min, max, bins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // numpy: a = np.array([0, 1, 2, 3, 6.]); a.mean(), a.std()  ->  2.4, 2.0591260
    #[test]
    fn statistics_match_numpy() {
        let histogram = Histogram::new("a", &[0.0, 1.0, 2.0, 3.0, 6.0]);
        assert!((histogram.mean - 2.4).abs() < 1e-12 && (histogram.std - 2.059_126_0).abs() < 1e-7);
        assert_eq!((histogram.bins[0], histogram.bins[10], histogram.bins[BINS - 1]), (1, 1, 1));
        assert_eq!(histogram.bins.iter().sum::<usize>(), histogram.count);
    }
}

//! Why words have their tags: what each word in the receptive field adds to the logit of a tag.
//!
//! The shares are integrated gradients (Sundararajan, Taly and Yan 2017, equation 3) from a field without words, where
//! every embedding is zero, to the words. They sum to the difference of both logits, but for the error of the sum that
//! stands for the integral, which is given with them.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use convlens_run::model::{Encode, EncoderSettings, TextModel};
use convlens_run::{RunError, Tagger, to_host};
use serde::Serialize;

/// The number of points of the sum that stands for the integral.
const STEPS: usize = 64;
/// The points are the midpoints of equal intervals to this power: most of them are close to the field without words, where
/// normalised layers change fastest.
const POWER: f64 = 4.0;
/// How many positions are computed at once, unless one field has more.
const POSITIONS: usize = 1 << 13;

/// Why a word has its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagEvidence {
    /// The logit of the tag.
    pub logit: f64,
    /// The logit of the tag where there are no words.
    pub baseline: f64,
    /// The index of the first word in the receptive field.
    pub first: usize,
    /// What each word in the receptive field adds to the baseline.
    pub shares: Vec<f64>,
    /// The logit, less the baseline and the shares: the error of the explanation.
    pub residual: f64,
}

impl TagEvidence {
    /// The words that speak most for or against the tag, strongest first: their indices and shares.
    pub fn strongest(&self, count: usize) -> Vec<(usize, f64)> {
        let mut ranked: Vec<(usize, f64)> =
            self.shares.iter().enumerate().map(|(at, &share)| (self.first + at, share)).collect();
        ranked.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        ranked.truncate(count);
        ranked
    }
}

/// Why each word of a sentence has its label, given by their indices.
///
/// # Errors
///
/// [`RunError::Device`].
///
/// # Panics
///
/// If there is not one label for each word, or a label is not one of the run's.
pub fn tag_evidence<S: EncoderSettings, T: AsRef<str>>(
    tagger: &Tagger<S>,
    words: &[T],
    labels: &[usize],
) -> Result<Vec<TagEvidence>, RunError> {
    assert_eq!(words.len(), labels.len(), "every word has a label");
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let run = tagger.run();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let embedded = run.model.embedded(&tagger.batch(&[words])); // [1, words, embedding]
    let embedded: Tensor<2> = embedded.squeeze_dim(0);
    let fields = Fields::new(&run.model, labels);
    let model = run.model.clone().freeze().train();
    let mut evidence = Vec::with_capacity(labels.len());
    let at_once = (POSITIONS / (fields.width * STEPS)).max(1);
    for first in (0..labels.len()).step_by(at_once) {
        let words: Vec<usize> = (first..labels.len().min(first + at_once)).collect();
        evidence.extend(fields.explain(&model, &embedded, &words)?);
    }
    Ok(evidence)
}

/// The receptive field of each word of a sentence.
struct Fields<'a> {
    labels: &'a [usize],
    left: usize,
    /// The number of words in a field, and of the places before and after the sentence in it.
    width: usize,
}

impl<'a> Fields<'a> {
    fn new<E: Encode>(model: &TextModel<E>, labels: &'a [usize]) -> Self {
        let (field, length) = (model.receptive_field(), labels.len());
        // A field that is wider than the sentence is cut.
        let (left, right) = (field.left.min(length - 1), field.right.min(length - 1));
        Self { labels, left, width: left + 1 + right }
    }

    /// The words in the field of a word: the first of them, and their places in the field, which come first in it,
    /// because the positions that count are first in a batch.
    fn words(&self, word: usize) -> std::ops::Range<usize> {
        word.saturating_sub(self.left)..self.labels.len().min(word + self.width - self.left)
    }

    fn explain<E: Encode>(
        &self,
        model: &TextModel<E>,
        embedded: &Tensor<2>,
        words: &[usize],
    ) -> Result<Vec<TagEvidence>, RunError> {
        let (count, width, device) = (words.len(), self.width, embedded.device());
        let (mut rows, mut mask) = (vec![0i64; count * width], vec![0.0f32; count * width]);
        for (at, &word) in words.iter().enumerate() {
            for (place, other) in self.words(word).enumerate() {
                rows[at * width + place] = other as i64;
                mask[at * width + place] = 1.0;
            }
        }
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count * width]), &device);
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [count, width]), &device);
        let dimensions = embedded.dims()[1];
        let x =
            embedded.clone().select(0, rows).reshape([count, width, dimensions]) * mask.clone().unsqueeze_dim::<3>(2);

        // Every step of the path is a batch of its own.
        let midpoint = |step: usize| (step as f64 + 0.5) / STEPS as f64;
        let along = |value: &dyn Fn(f64) -> f64| {
            let values: Vec<f32> = (0..STEPS).map(|step| value(midpoint(step)) as f32).collect();
            Tensor::<1>::from_data(TensorData::new(values, [STEPS]), &device)
        };
        let points = along(&|at| at.powf(POWER));
        let weights = along(&|at| POWER * at.powf(POWER - 1.0) / STEPS as f64);
        let path = points.reshape([STEPS, 1, 1, 1]) * x.clone().unsqueeze_dim::<4>(0);
        let path = path.reshape([STEPS * count, width, dimensions]);
        let path = Tensor::from_inner(path).require_grad();
        let masks = Tensor::from_inner(mask.clone().repeat_dim(0, STEPS));
        let logits = model.forward_positions_embedded(path.clone(), masks);
        let chosen = self.chosen(words, STEPS, logits.dims()[2]);
        let target = (logits * Tensor::from_inner(Tensor::from_data(chosen, &device))).sum();
        let gradients = target.backward();
        let gradient = path.grad(&gradients).unwrap_or_else(|| path.clone().inner().zeros_like());
        let gradient = gradient.reshape([STEPS, count * width * dimensions]) * weights.unsqueeze_dim::<2>(1);
        let mean = gradient.sum_dim(0).reshape([count, width, dimensions]);
        let shares = to_host((mean * x.clone()).sum_dim(2).reshape([count * width]))?;

        // The same layers without recorded gradients: where there are no words, and where there are.
        let ends = Tensor::cat(vec![x.zeros_like(), x], 0);
        let model = model.valid();
        let logits = model.forward_positions_embedded(ends, mask.repeat_dim(0, 2));
        let chosen = Tensor::from_data(self.chosen(words, 2, logits.dims()[2]), &device);
        let ends = to_host((logits * chosen).sum_dim(2).sum_dim(1).reshape([2 * count]))?;
        Ok((0..count).map(|at| self.evidence(words[at], &shares[at * width..], [ends[at], ends[count + at]])).collect())
    }

    /// 1 at the label of the word in each field and 0 elsewhere, `[copies · fields, width, outputs]`.
    fn chosen(&self, words: &[usize], copies: usize, outputs: usize) -> TensorData {
        let (count, width) = (words.len(), self.width);
        let mut chosen = vec![0.0f32; count * width * outputs];
        for (at, &word) in words.iter().enumerate() {
            let place = word - self.words(word).start;
            chosen[(at * width + place) * outputs + self.labels[word]] = 1.0;
        }
        TensorData::new(chosen.repeat(copies), [copies * count, width, outputs])
    }

    fn evidence(&self, word: usize, shares: &[f32], [baseline, logit]: [f32; 2]) -> TagEvidence {
        let words = self.words(word);
        let shares: Vec<f64> = shares[..words.len()].iter().map(|&share| f64::from(share)).collect();
        let (logit, baseline) = (f64::from(logit), f64::from(baseline));
        let residual = logit - baseline - shares.iter().sum::<f64>();
        TagEvidence { logit, baseline, first: words.start, shares, residual }
    }
}

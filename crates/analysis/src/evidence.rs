//! Why a position has its label: what each word in its receptive field adds to the logit of the label.
//!
//! The shares are integrated gradients (Sundararajan, Taly and Yan 2017, equation 3) from a field without words, where
//! every embedding is zero, to the words. They sum to the difference of both logits, but for the error of the sum that
//! stands for the integral, which is given with them. With a single point they are gradient × input, which is exact for
//! models that are linear.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use convlens_run::model::{Encode, ReceptiveField, TextModel};
use convlens_run::{RunError, to_host};
use serde::Serialize;

/// The number of points of the sum that stands for the integral.
const STEPS: usize = 64;
/// The points are the midpoints of equal intervals to this power: most of them are close to the field without words, where
/// normalised layers change fastest.
const POWER: f64 = 4.0;
/// How many positions are computed at once, unless one field has more.
const POSITIONS: usize = 1 << 13;

/// Why a position has its label: why a word has a tag, or why a language model writes a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The logit of the label.
    pub logit: f64,
    /// The logit of the label where there are no words.
    pub baseline: f64,
    /// The index of the first word in the receptive field.
    pub first: usize,
    /// What each word in the receptive field adds to the baseline.
    pub shares: Vec<f64>,
    /// The logit, less the baseline and the shares: the error of the explanation.
    pub residual: f64,
}

impl Evidence {
    /// The words that speak most for or against the label, strongest first: their indices and shares.
    pub fn strongest(&self, count: usize) -> Vec<(usize, f64)> {
        let mut ranked: Vec<(usize, f64)> =
            self.shares.iter().enumerate().map(|(at, &share)| (self.first + at, share)).collect();
        ranked.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        ranked.truncate(count);
        ranked
    }
}

/// Which gradients are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Those between the field without words and the words.
    Integrated,
    /// Those at the words: gradient × input.
    AtWords,
}

impl Path {
    /// The points between the field without words, 0, and the words, 1, and the weight of each.
    fn points(self) -> Vec<(f64, f64)> {
        let midpoint = |step: usize| (step as f64 + 0.5) / STEPS as f64;
        let point = |step| (midpoint(step).powf(POWER), POWER * midpoint(step).powf(POWER - 1.0) / STEPS as f64);
        match self {
            Self::Integrated => (0..STEPS).map(point).collect(),
            Self::AtWords => vec![(1.0, 1.0)],
        }
    }
}

/// The receptive field of each position of a text.
pub(crate) struct Fields<'a> {
    /// The label of each position.
    pub labels: &'a [usize],
    /// How many words before a word are in its field, and how many after it.
    pub field: ReceptiveField,
    /// Which gradients are added up.
    pub path: Path,
    /// Whether a logit is taken relative to the mean of all logits at its position, which do not matter where there are
    /// many labels.
    pub is_centred: bool,
}

impl<'a> Fields<'a> {
    /// Explains some positions of a text, whose embeddings are `[positions, embedding]`; `on_done` is called with the
    /// number of positions done so far.
    pub fn explain_all<E: Encode>(
        &self,
        model: &TextModel<E>,
        embedded: &Tensor<2>,
        positions: Range<usize>,
        on_done: &dyn Fn(usize),
    ) -> Result<Vec<Evidence>, RunError> {
        let model = model.clone().freeze().train();
        let mut evidence = Vec::with_capacity(positions.len());
        let at_once = (POSITIONS / (self.width(positions.clone()) * self.path.points().len())).max(1);
        for first in positions.clone().step_by(at_once) {
            evidence.extend(self.explain(&model, embedded, first..positions.end.min(first + at_once))?);
            on_done(evidence.len());
        }
        Ok(evidence)
    }

    /// The words in the field of a word.
    pub fn words(&self, word: usize) -> Range<usize> {
        let end = word.saturating_add(self.field.right).saturating_add(1);
        word.saturating_sub(self.field.left)..end.min(self.labels.len())
    }

    /// The largest number of words in the fields of some words.
    fn width(&self, words: Range<usize>) -> usize {
        words.map(|word| self.words(word).len()).max().unwrap_or(1)
    }

    /// Explains some words. In a batch, the words in a field come first, because the positions that count do.
    fn explain<E: Encode>(
        &self,
        model: &TextModel<E>,
        embedded: &Tensor<2>,
        words: Range<usize>,
    ) -> Result<Vec<Evidence>, RunError> {
        let (count, width, device) = (words.len(), self.width(words.clone()), embedded.device());
        let (mut rows, mut mask) = (vec![0i64; count * width], vec![0.0f32; count * width]);
        for (at, word) in words.clone().enumerate() {
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

        // Every point of the path is a batch of its own.
        let (points, weights): (Vec<f64>, Vec<f64>) = self.path.points().into_iter().unzip();
        let steps = points.len();
        let vector = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            Tensor::<1>::from_data(TensorData::new(values, [steps]), &device)
        };
        let (points, weights) = (vector(points), vector(weights));
        let path = points.reshape([steps, 1, 1, 1]) * x.clone().unsqueeze_dim::<4>(0);
        let path = path.reshape([steps * count, width, dimensions]);
        let path = Tensor::from_inner(path).require_grad();
        let masks = Tensor::from_inner(mask.clone().repeat_dim(0, steps));
        let logits = model.forward_positions_embedded(path.clone(), masks);
        let chosen = self.chosen(words.clone(), steps, logits.dims());
        let target = (logits * Tensor::from_inner(Tensor::from_data(chosen, &device))).sum();
        let gradients = target.backward();
        let gradient = path.grad(&gradients).unwrap_or_else(|| path.clone().inner().zeros_like());
        let gradient = gradient.reshape([steps, count * width * dimensions]) * weights.unsqueeze_dim::<2>(1);
        let mean = gradient.sum_dim(0).reshape([count, width, dimensions]);
        let shares = to_host((mean * x.clone()).sum_dim(2).reshape([count * width]))?;

        // The same layers without recorded gradients: where there are no words, and where there are.
        let ends = Tensor::cat(vec![x.zeros_like(), x], 0);
        let model = model.valid();
        let logits = model.forward_positions_embedded(ends, mask.repeat_dim(0, 2));
        let chosen = Tensor::from_data(self.chosen(words.clone(), 2, logits.dims()), &device);
        let ends = to_host((logits * chosen).sum_dim(2).sum_dim(1).reshape([2 * count]))?;
        let evidence = |(at, word)| self.evidence(word, &shares[at * width..], [ends[at], ends[count + at]]);
        Ok(words.enumerate().map(evidence).collect())
    }

    /// 1 at the label of the word in each field and 0 elsewhere, `[copies · fields, width, outputs]`; at this word less the
    /// mean of all labels if logits are [centred](Self::is_centred).
    fn chosen(&self, words: Range<usize>, copies: usize, [_, width, outputs]: [usize; 3]) -> TensorData {
        let count = words.len();
        let mut chosen = vec![0.0f32; count * width * outputs];
        for (at, word) in words.enumerate() {
            let place = word - self.words(word).start;
            let of_word = &mut chosen[(at * width + place) * outputs..][..outputs];
            if self.is_centred {
                of_word.fill(-1.0 / outputs as f32);
            }
            of_word[self.labels[word]] += 1.0;
        }
        TensorData::new(chosen.repeat(copies), [copies * count, width, outputs])
    }

    fn evidence(&self, word: usize, shares: &[f32], [baseline, logit]: [f32; 2]) -> Evidence {
        let words = self.words(word);
        let shares: Vec<f64> = shares[..words.len()].iter().map(|&share| f64::from(share)).collect();
        let (logit, baseline) = (f64::from(logit), f64::from(baseline));
        let residual = logit - baseline - shares.iter().sum::<f64>();
        Evidence { logit, baseline, first: words.start, shares, residual }
    }
}

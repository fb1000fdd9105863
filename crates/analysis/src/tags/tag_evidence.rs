//! Why words have their tags: what each word in the receptive field adds to the logit of a tag.
//!
//! The shares are integrated gradients (Sundararajan, Taly and Yan 2017, equation 3) from a field without words, where
//! every embedding is zero, to the words. They sum to the difference of both logits, but for the error of the sum that
//! stands for the integral, which is given with them.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use convlens_run::model::{Encode, EncoderSettings, ReceptiveField, TextModel};
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

/// The maximum number of words in a field that is explained in a sensible time: a recurrent model sees the whole
/// sentence at every word, and each word takes as long as the sentence.
pub const LONGEST_FIELD: usize = 500;

/// Whether the words of a sentence have fields of up to [`LONGEST_FIELD`] words.
pub fn can_be_explained<S: EncoderSettings>(tagger: &Tagger<S>, words: usize) -> bool {
    words.min(tagger.run().model.receptive_field().size()) <= LONGEST_FIELD
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
    let (fields, embedded) = (Fields::new(tagger, labels), embedded(tagger, words));
    let model = tagger.run().model.clone().freeze().train();
    let mut evidence = Vec::with_capacity(labels.len());
    let all = 0..labels.len();
    let at_once = (POSITIONS / (fields.width(all.clone()) * STEPS)).max(1);
    for first in all.step_by(at_once) {
        evidence.extend(fields.explain(&model, &embedded, first..labels.len().min(first + at_once))?);
    }
    Ok(evidence)
}

/// Why one word of a sentence, given by its index, has a label. Only the words in its receptive field are read.
///
/// # Errors
///
/// [`RunError::Device`].
///
/// # Panics
///
/// If there is no such word, or the label is not one of the run's.
pub fn tag_evidence_of<S: EncoderSettings, T: AsRef<str>>(
    tagger: &Tagger<S>,
    words: &[T],
    word: usize,
    label: usize,
) -> Result<TagEvidence, RunError> {
    let field = Fields::new(tagger, &vec![label; words.len()]).words(word);
    let (words, word) = (&words[field.clone()], word - field.start);
    let labels = vec![label; words.len()];
    let model = tagger.run().model.clone().freeze().train();
    let found = Fields::new(tagger, &labels).explain(&model, &embedded(tagger, words), word..word + 1)?;
    let evidence = found.into_iter().next().unwrap_or_else(|| unreachable!("one word was asked for"));
    Ok(TagEvidence { first: field.start + evidence.first, ..evidence })
}

/// The vector of each word of a sentence, `[words, embedding]`.
fn embedded<S: EncoderSettings, T: AsRef<str>>(tagger: &Tagger<S>, words: &[T]) -> Tensor<2> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    tagger.run().model.embedded(&tagger.batch(&[words])).squeeze_dim(0)
}

/// The receptive field of each word of a sentence.
struct Fields<'a> {
    labels: &'a [usize],
    /// How many words before a word are in its field, and how many after it.
    field: ReceptiveField,
}

impl<'a> Fields<'a> {
    fn new<S: EncoderSettings>(tagger: &Tagger<S>, labels: &'a [usize]) -> Self {
        Self { labels, field: tagger.run().model.receptive_field() }
    }

    /// The words in the field of a word.
    fn words(&self, word: usize) -> Range<usize> {
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
    ) -> Result<Vec<TagEvidence>, RunError> {
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
        let chosen = self.chosen(words.clone(), STEPS, logits.dims());
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
        let chosen = Tensor::from_data(self.chosen(words.clone(), 2, logits.dims()), &device);
        let ends = to_host((logits * chosen).sum_dim(2).sum_dim(1).reshape([2 * count]))?;
        let evidence = |(at, word)| self.evidence(word, &shares[at * width..], [ends[at], ends[count + at]]);
        Ok(words.enumerate().map(evidence).collect())
    }

    /// 1 at the label of the word in each field and 0 elsewhere, `[copies · fields, width, outputs]`.
    fn chosen(&self, words: Range<usize>, copies: usize, [_, width, outputs]: [usize; 3]) -> TensorData {
        let count = words.len();
        let mut chosen = vec![0.0f32; count * width * outputs];
        for (at, word) in words.enumerate() {
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

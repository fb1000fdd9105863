//! What is exact about the evidence for tags, and what is not.

use burn::tensor::{Int, Tensor, TensorData};
use convlens_run::model::EncoderSettings;
use convlens_run::{RunError, Tagger, to_host};
use serde::Serialize;

use crate::{ExplainedSentence, OnStage};

/// The number of words whose field is checked.
const CHECKED: usize = 1_000;
/// The number of positions of the copies of a sentence that are computed at once, unless the sentence is longer.
const POSITIONS: usize = 1 << 13;
/// Fields are checked in sentences of up to this number of words.
const LONGEST: usize = 200;

/// How far the explanations of tags can be trusted.
///
/// The shares of the words are integrated gradients. In exact arithmetic, and with an infinite number of points on the
/// path, they sum to the difference of the logit and that of a field without words. The residual is what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TagCertificate {
    /// The number of words whose tags are explained.
    pub words: usize,
    /// The largest absolute residual.
    pub residual_max: f64,
    /// The mean absolute residual.
    pub residual_mean: f64,
    /// The mean absolute value of what the shares add up to, to compare the residuals with.
    pub sum_mean: f64,
    /// The check of the receptive field.
    pub field: FieldCheck,
}

/// The check that words outside the receptive field of a word have no effect on its logits, and that those inside have
/// one: they are replaced by those of another sentence. The logits are compared bit by bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct FieldCheck {
    /// The number of words whose fields are smaller than their sentences, in the sentences that were checked.
    pub words: usize,
    /// For how many of them a logit changed when all words outside were replaced.
    pub changed_by_outside: usize,
    /// By how much at most.
    pub largest_change_by_outside: f64,
    /// For how many of them a logit changed when all words inside were replaced.
    pub changed_by_inside: usize,
}

impl TagCertificate {
    /// Sums up the residuals of some explanations, and checks the receptive fields of up to 1,000 of their words.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn new<S: EncoderSettings>(
        tagger: &Tagger<S>,
        sentences: &[ExplainedSentence],
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let evidence = || sentences.iter().flat_map(|sentence| &sentence.evidence);
        let words = evidence().count();
        let mean = |sum: f64| if words == 0 { 0.0 } else { sum / words as f64 };
        Ok(Self {
            words,
            residual_max: evidence().map(|evidence| evidence.residual.abs()).fold(0.0, f64::max),
            residual_mean: mean(evidence().map(|evidence| evidence.residual.abs()).sum()),
            sum_mean: mean(evidence().map(|evidence| evidence.shares.iter().sum::<f64>().abs()).sum()),
            field: FieldCheck::new(tagger, sentences, on_stage)?,
        })
    }
}

impl FieldCheck {
    fn new<S: EncoderSettings>(
        tagger: &Tagger<S>,
        sentences: &[ExplainedSentence],
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let sentences: Vec<&Vec<String>> = sentences
            .iter()
            .map(|sentence| &sentence.words)
            .filter(|words| (2..=LONGEST).contains(&words.len()))
            .collect();
        let mut check = Self::default();
        for (at, words) in sentences.iter().enumerate().take_while(|_| sentences.len() > 1) {
            if check.words >= CHECKED {
                break;
            }
            on_stage("receptive fields", check.words, CHECKED);
            let others = sentences[(at + 1) % sentences.len()];
            check.add(tagger, words, others)?;
        }
        on_stage("receptive fields", CHECKED, CHECKED);
        Ok(check)
    }

    /// Checks every word of a sentence whose field is smaller than the sentence.
    fn add<S: EncoderSettings>(
        &mut self,
        tagger: &Tagger<S>,
        sentence: &[String],
        others: &[String],
    ) -> Result<(), RunError> {
        let (model, length) = (&tagger.run().model, sentence.len());
        let field = model.receptive_field();
        let inside =
            |word: usize, at: usize| at.saturating_add(field.left) >= word && at <= word.saturating_add(field.right);
        let words: Vec<usize> = (0..length).filter(|&word| (0..length).any(|at| !inside(word, at))).collect();
        let x: Tensor<2> = model.embedded(&tagger.batch(&[sentence.to_vec()])).squeeze_dim(0); // [length, embedding]
        let device = x.device();
        let others_embedded: Tensor<2> = model.embedded(&tagger.batch(&[others.to_vec()])).squeeze_dim(0);
        let rows: Vec<i64> = (0..length).map(|at| (at % others.len()) as i64).collect();
        let y = others_embedded.select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [length]), &device));
        for words in words.chunks((POSITIONS / length).max(1)) {
            let copies = words.len();
            let is_inside: Vec<f32> = words
                .iter()
                .flat_map(|&word| (0..length).map(move |at| f32::from(u8::from(inside(word, at)))))
                .collect();
            let is_inside = Tensor::<3>::from_data(TensorData::new(is_inside, [copies, length, 1]), &device);
            let is_outside = is_inside.clone().mul_scalar(-1.0).add_scalar(1.0);
            let all = |x: &Tensor<2>| x.clone().unsqueeze_dim::<3>(0).repeat_dim(0, copies);
            // Every batch has the same shape, so that rounding is the same.
            let logits = |x: Tensor<3>| -> Result<Vec<f32>, RunError> {
                to_host(model.forward_positions_embedded(x, Tensor::ones([copies, length], &device)))
            };
            let same = logits(all(&x))?;
            let outside = logits(all(&x) * is_inside.clone() + all(&y) * is_outside.clone())?;
            let inside = logits(all(&x) * is_outside + all(&y) * is_inside)?;
            let outputs = same.len() / (copies * length);
            for (copy, &word) in words.iter().enumerate() {
                let own = (copy * length + word) * outputs..(copy * length + word + 1) * outputs;
                let change = |changed: &[f32]| largest_change(&same[own.clone()], &changed[own.clone()]);
                self.words += 1;
                self.changed_by_outside += usize::from(change(&outside) > 0.0);
                self.largest_change_by_outside = self.largest_change_by_outside.max(change(&outside));
                self.changed_by_inside += usize::from(change(&inside) > 0.0);
            }
        }
        Ok(())
    }
}

fn largest_change(before: &[f32], after: &[f32]) -> f64 {
    before.iter().zip(after).map(|(before, after)| f64::from(before - after).abs()).fold(0.0, f64::max)
}

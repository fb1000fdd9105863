//! Proof that the parts add up: on every text, the logit beside the sum of what it is explained by,
//! computed layer by layer.

use convlens_run::model::Pooling;
use convlens_run::{Run, RunError, WordTable, batches_by_length, to_host};
use serde::Serialize;

use crate::{AnalysisError, OnStage, Texts};

/// How the parts and the logit relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// The sum is the logit, but for the rounding of 32-bit numbers, and each score is its phrase's
    /// own: predictions are averaged.
    Exact,
    /// The sum is the logit, and each score its phrase's as long as the same phrases stay the largest:
    /// of each feature only the largest counts.
    ExactWhereLargest,
}

impl Exactness {
    fn of(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Exact,
            Pooling::Max => Self::ExactWhereLargest,
        }
    }
}

/// How far sums and logits lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Residual {
    /// At most.
    pub max: f64,
    /// In the mean.
    pub mean: f64,
    /// The text where it is largest, by its index.
    pub worst: usize,
}

/// What was added up, and how well it fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// How many texts were looked at.
    pub texts: usize,
    /// What the residuals must not exceed.
    pub tolerance: f64,
    /// In which sense the parts make up the logit.
    pub exactness: Exactness,
    /// Logit − bias − the sum of the phrases' scores.
    pub phrases: Residual,
    /// The logit by layers − the logit by the folded table; none for a model that does not fold.
    pub folded: Option<Residual>,
    /// The logit − the same words' logit in no order at all: the mean of what each word adds in
    /// the midst of a text. What is left is all that the order of the words can do.
    pub order: Option<Residual>,
}

impl Certificate {
    /// Adds up every text.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn of(
        run: &Run,
        table: Option<&WordTable>,
        texts: &Texts<'_>,
        tolerance: f64,
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let (bias, rows) = (run.bias()?, texts.rows());
        let outputs = bias.len();
        let [mut phrases, mut folded, mut order] = [Tally::default(), Tally::default(), Tally::default()];
        let mut done = 0;
        for batch in batches_by_length(&rows, run.config.model.padding) {
            let ids: Vec<&[u32]> = batch.iter().map(|&index| rows[index]).collect();
            let (logits, sums) = logits_and_sums(run, &ids, table.is_some())?;
            for (row, &index) in batch.iter().enumerate() {
                let of_row = row * outputs..(row + 1) * outputs;
                for (output, logit) in logits[of_row.clone()].iter().enumerate() {
                    phrases.add(index, logit - bias[output] - sums[of_row.clone()][output]);
                }
                if let Some(table) = table {
                    let by_table = table.logits(rows[index]);
                    let by_words = table.bag_logits(rows[index]);
                    for (output, logit) in logits[of_row].iter().enumerate() {
                        folded.add(index, logit - by_table[output]);
                        order.add(index, logit - by_words[output]);
                    }
                }
            }
            done += batch.len();
            on_stage("adding up the parts", done, rows.len());
        }
        let folds = table.is_some();
        Ok(Self {
            texts: rows.len(),
            tolerance,
            exactness: Exactness::of(run.model.pooling()),
            phrases: phrases.residual(),
            folded: folds.then(|| folded.residual()),
            order: folds.then(|| order.residual()),
        })
    }

    /// Fails where a residual exceeds the tolerance, or is no number.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Residual`].
    pub fn check(&self) -> Result<(), AnalysisError> {
        let exceeds = |residual: &&Residual| residual.max > self.tolerance || residual.max.is_nan();
        match [Some(&self.phrases), self.folded.as_ref()].into_iter().flatten().find(exceeds) {
            Some(residual) => Err(AnalysisError::Residual { residual: residual.max, tolerance: self.tolerance }),
            None => Ok(()),
        }
    }
}

/// The logits of texts, and the sums of their phrases' scores layer by layer, a row a text.
fn logits_and_sums(run: &Run, ids: &[&[u32]], folds: bool) -> Result<(Vec<f64>, Vec<f64>), RunError> {
    let batch = run.batch(ids);
    let scores = run.model.scores_by_layer(&batch); // [batch, positions, outputs]
    let [count, positions, outputs] = scores.dims();
    // What predicts is held to the layers: the table by `folded`, the kernels here.
    let logits = match folds {
        true => run.model.forward_embedded(run.model.embed.forward(batch.ids.clone()), batch.mask),
        false => run.model.forward(&batch),
    };
    let logits = to_host(logits)?;
    let scores = to_host(scores)?;
    let mut sums = vec![0.0; count * outputs];
    for (at, score) in scores.iter().enumerate() {
        sums[at / (positions * outputs) * outputs + at % outputs] += f64::from(*score);
    }
    Ok((logits.into_iter().map(f64::from).collect(), sums))
}

#[derive(Default)]
struct Tally {
    max: f64,
    sum: f64,
    count: usize,
    worst: usize,
}

impl Tally {
    fn add(&mut self, text: usize, difference: f64) {
        let size = difference.abs();
        if size > self.max || size.is_nan() {
            (self.max, self.worst) = (size, text);
        }
        self.sum += size;
        self.count += 1;
    }

    fn residual(&self) -> Residual {
        Residual { max: self.max, mean: self.sum / self.count.max(1) as f64, worst: self.worst }
    }
}

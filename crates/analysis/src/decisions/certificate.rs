//! A check that the explanations add up: for every text, the logit is compared with the sum of its parts. Both are
//! computed apart; a model that folds computes both layer by layer, and is also compared with its table.

use convlens_run::model::{EncoderSettings, Pooling};
use convlens_run::{LongText, PhrasesError, Run, RunError, WordTable, batches_by_length, to_host};
use serde::Serialize;

use crate::{AnalysisError, Corpus, OnStage};

/// The tolerance holds as given up to this product of the number of a text's positions and the sum of the
/// absolute values of its parts, and grows in proportion beyond it; see [`Certificate::tolerance`].
const UNSCALED: f64 = 1_000.0;
/// How many characters of a text an error quotes.
const QUOTED: usize = 40;

/// How the parts and the logit are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// The predictions are averaged. Each score belongs to its phrase alone, and the scores sum to the
    /// logit up to the rounding of 32-bit numbers.
    Exact,
    /// The largest value of each feature is taken. The scores sum to the logit, and each score belongs to
    /// its phrase as long as the same phrases have the largest values.
    ExactWhereLargest,
}

impl Exactness {
    fn new(pooling: Pooling) -> Self {
        match pooling {
            Pooling::Mean => Self::Exact,
            Pooling::Max => Self::ExactWhereLargest,
        }
    }
}

/// The differences between sums and logits, over all texts and logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Residual {
    /// The largest absolute difference.
    pub max: f64,
    /// The mean absolute difference.
    pub mean: f64,
    /// The largest absolute difference after each is divided by the scale of its text's tolerance; see
    /// [`Certificate::tolerance`].
    pub max_scaled: f64,
    /// The index of the text with the largest scaled difference.
    pub worst: usize,
    /// The scale of that text's tolerance.
    pub worst_scale: f64,
}

/// How well the parts of each text add up to its logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// The number of texts that were checked: all except those that are too long for the model.
    pub texts: usize,
    /// The largest residual that is accepted.
    ///
    /// The layers add 32-bit numbers. The rounding error of such a sum of *n* numbers is at most
    /// *n* · 2⁻²⁴ times the sum of their absolute values (Higham, *Accuracy and Stability of Numerical
    /// Algorithms*, 2nd edition, section 4.2). So the tolerance of a text is multiplied by
    /// *n* · Σ|part| / 1,000, or by 1 if that is less.
    pub tolerance: f64,
    /// In which sense the parts make up the logit.
    pub exactness: Exactness,
    /// The logit minus the bias minus the sum of the scores of the phrases.
    pub phrases: Residual,
    /// The logit computed by the layers minus the logit computed by the folded table; `None` for a model
    /// that does not fold.
    pub folded: Option<Residual>,
    /// The logit minus the logit of the same words without order, which is the mean of what each word adds
    /// away from the edges of a text. It measures everything that the order of the words can do.
    pub order: Option<Residual>,
}

impl Certificate {
    /// Compares the logits of every text with the sum of its parts. A long text is read in windows, as for
    /// a prediction; one that is too long for the model is left out.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Texts`] or [`AnalysisError::Run`].
    pub fn new<S: EncoderSettings>(
        run: &Run<S>,
        table: Option<&WordTable>,
        corpus: &Corpus<'_>,
        tolerance: f64,
        on_stage: OnStage<'_>,
    ) -> Result<Self, AnalysisError> {
        let bias = run.bias()?;
        let outputs = bias.len();
        let [mut phrases, mut folded, mut order] = [Tally::default(), Tally::default(), Tally::default()];
        let mut left_out = 0;
        let mut add = |index: usize, ids: &[u32], sums: &Sums, row: usize| {
            let positions = run.config.model.padding.visible(ids.len()).positions;
            let by_table = table.map(|table| (table.logits(ids), table.bag_logits(ids)));
            for output in 0..outputs {
                let cell = row * outputs + output;
                let logit = sums.logits[cell];
                let scale = (positions as f64 * sums.magnitudes[cell] / UNSCALED).max(1.0);
                phrases.add(index, logit - bias[output] - sums.scores[cell], scale);
                if let Some((by_table, by_words)) = &by_table {
                    folded.add(index, logit - by_table[output], scale);
                    order.add(index, logit - by_words[output], scale);
                }
            }
        };
        corpus.in_pieces(run, "adding up the parts", on_stage, |texts| {
            let (mut short, mut indices) = (Vec::new(), Vec::new());
            for (ids, &index) in texts.rows().into_iter().zip(&texts.indices) {
                match run.long_text(ids) {
                    Ok(Some(long)) => add(index, ids, &Sums::of_long_text(long), 0),
                    Ok(None) => {
                        short.push(ids);
                        indices.push(index);
                    }
                    Err(RunError::TooLong { .. }) => left_out += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            for batch in batches_by_length(&short, run.config.model.padding) {
                let ids: Vec<&[u32]> = batch.iter().map(|&at| short[at]).collect();
                let sums = Sums::new(run, &ids, table.is_some())?;
                batch.iter().enumerate().for_each(|(row, &at)| add(indices[at], short[at], &sums, row));
            }
            Ok(())
        })?;
        let folds = table.is_some();
        Ok(Self {
            texts: corpus.len() - left_out,
            tolerance,
            exactness: Exactness::new(run.model.pooling()),
            phrases: phrases.residual(),
            folded: folds.then(|| folded.residual()),
            order: folds.then(|| order.residual()),
        })
    }

    /// Fails if a residual exceeds the tolerance of its text or is not a finite number.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Residual`], which names the text, or [`PhrasesError::Overflow`], which names the weights.
    pub fn check(&self, corpus: &Corpus<'_>) -> Result<(), AnalysisError> {
        let exceeds = |residual: &&Residual| residual.max_scaled > self.tolerance || residual.max_scaled.is_nan();
        let residuals = [Some(&self.phrases), self.folded.as_ref()];
        let Some(residual) = residuals.into_iter().flatten().find(exceeds) else { return Ok(()) };
        if !residual.max_scaled.is_finite() {
            return Err(RunError::from(PhrasesError::Overflow).into());
        }
        let text = corpus.text(residual.worst)?;
        let start = match text.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.into_owned(),
        };
        Err(AnalysisError::Residual {
            index: residual.worst,
            start,
            residual: residual.max_scaled * residual.worst_scale,
            tolerance: self.tolerance * residual.worst_scale,
        })
    }
}

/// The logits of a batch and the sums of its phrases' scores, each `[batch, outputs]`.
struct Sums {
    logits: Vec<f64>,
    scores: Vec<f64>,
    /// The sums of the absolute values of the scores.
    magnitudes: Vec<f64>,
}

impl Sums {
    fn new<S: EncoderSettings>(run: &Run<S>, ids: &[&[u32]], folds: bool) -> Result<Self, RunError> {
        let batch = run.batch(ids);
        // Of a model that folds, scores and logits are those of the layers here, because `folded` compares them with
        // the table. Of any other model they are those of its predictions, which are computed apart: the scores at
        // every position, and the logits by pooling as it goes, if the encoder can do that.
        let (scores, logits) = if folds {
            let logits = run.model.forward_embedded(run.model.embedded(&batch), batch.mask.clone());
            (run.model.scores_by_layer(&batch), logits)
        } else {
            (run.model.scores(&batch), run.model.forward(&batch))
        };
        let [count, positions, outputs] = scores.dims(); // [batch, positions, outputs]
        let logits: Vec<f64> = to_host(logits)?.into_iter().map(f64::from).collect();
        let values = to_host(scores)?;
        let (mut scores, mut magnitudes) = (vec![0.0; count * outputs], vec![0.0; count * outputs]);
        for (at, value) in values.into_iter().map(f64::from).enumerate() {
            let cell = at / (positions * outputs) * outputs + at % outputs;
            scores[cell] += value;
            magnitudes[cell] += value.abs();
        }
        Ok(Self { logits, scores, magnitudes })
    }

    /// The sums of one text that was read in windows.
    fn of_long_text(text: LongText) -> Self {
        let LongText { scores: values, logits } = text;
        let outputs = logits.len();
        let (mut scores, mut magnitudes) = (vec![0.0; outputs], vec![0.0; outputs]);
        for (at, value) in values.into_iter().enumerate() {
            scores[at % outputs] += value;
            magnitudes[at % outputs] += value.abs();
        }
        Self { logits, scores, magnitudes }
    }
}

#[derive(Default)]
struct Tally {
    residual: Residual,
    sum: f64,
    count: usize,
}

impl Tally {
    fn add(&mut self, text: usize, difference: f64, scale: f64) {
        let size = difference.abs();
        let residual = &mut self.residual;
        if size > residual.max || size.is_nan() {
            residual.max = size;
        }
        let scaled = size / scale;
        if scaled > residual.max_scaled || scaled.is_nan() {
            (residual.max_scaled, residual.worst, residual.worst_scale) = (scaled, text, scale);
        }
        self.sum += size;
        self.count += 1;
    }

    fn residual(&self) -> Residual {
        Residual { mean: self.sum / self.count.max(1) as f64, ..self.residual }
    }
}

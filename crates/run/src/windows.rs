//! Long texts, read in overlapping windows.
//!
//! A position sees only its receptive field, so its prediction does not change if the text is cut
//! beyond it. A long text is therefore read window by window, in memory that does not grow with its
//! length, and the windows' sums or maxima are added up in 64 bits.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use convlens_model::{Batch, Encode, Padding, Pooling, ReceptiveField, TextModel};

use crate::device::Transfer;
use crate::{RunError, to_host};

/// Texts of more positions than this are read in windows of about as many.
pub(crate) const WINDOW: usize = 1 << 13;

/// The maximum number of tokens of a text for a model that cannot read it in windows: a recurrent one, or one whose
/// receptive field is about as large.
pub const MOST_TOKENS: usize = 1 << 18;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// The tokens that are read.
    tokens: Range<usize>,
    /// Which of the piece's positions count; the others' fields are cut off.
    kept: Range<usize>,
    /// The first of them, by its index in the text.
    first: usize,
}

/// How a model reads a long text in windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    field: ReceptiveField,
    stride: usize,
    /// How many positions count in each window.
    positions: usize,
}

/// The scores and logits of a text that was read in windows.
#[derive(Clone, Debug, PartialEq)]
pub struct LongText {
    /// The score of every position, `[positions, outputs]`, computed as a prediction is: by lookups where
    /// the model has them.
    pub scores: Vec<f64>,
    /// The logits, computed layer by layer.
    pub logits: Vec<f64>,
}

impl Windows {
    /// None for a text that is read as a whole: a short one, or one that the model cannot read in
    /// windows.
    ///
    /// # Errors
    ///
    /// [`RunError::TooLong`] if the model cannot read the text in windows and it is too long to be
    /// read as a whole.
    pub fn new<E: Encode>(model: &TextModel<E>, tokens: usize) -> Result<Option<Self>, RunError> {
        if tokens <= WINDOW {
            return Ok(None);
        }
        let (field, stride) = (model.receptive_field(), model.stride());
        // At least half of what is read counts.
        let tokens_per_window = WINDOW.max(field.size());
        if field.is_unbounded() || tokens_per_window > MOST_TOKENS / 2 {
            if tokens > MOST_TOKENS {
                return Err(RunError::TooLong { tokens, most: MOST_TOKENS });
            }
            return Ok(None);
        }
        Ok(Some(Self { field, stride, positions: tokens_per_window.div_ceil(stride) }))
    }

    fn iter(self, tokens: usize) -> impl Iterator<Item = Window> {
        let positions = tokens.div_ceil(self.stride);
        (0..positions).step_by(self.positions).map(move |first| {
            let last = positions.min(first + self.positions) - 1;
            // Layers that leave fewer positions group them from the start of what they read.
            let skipped = (first * self.stride).saturating_sub(self.field.left) / self.stride;
            let end = (last * self.stride).saturating_add(self.field.right).saturating_add(1).min(tokens);
            Window { tokens: skipped * self.stride..end, kept: first - skipped..last + 1 - skipped, first }
        })
    }

    /// The logits of a text given as ids.
    pub fn logits<E: Encode>(self, model: &TextModel<E>, ids: &[u32], device: &Device) -> Result<Vec<f64>, RunError> {
        let bias = match model.bias() {
            Some(bias) => to_host(bias)?,
            None => vec![0.0; model.head.weight.dims()[0]],
        };
        let bias: Vec<f64> = bias.into_iter().map(f64::from).collect();
        let reading = Reading { windows: self, model, ids, device, transfer: Transfer::Blocking };
        crate::device::now(async {
            let mut logits = match model.pooling() {
                Pooling::Mean => reading.mean(&bias, &|batch| model.predict_positions(batch)).await?,
                Pooling::Max => {
                    let head = reading.head().await?;
                    let largest = reading.largest(&|batch| features(model, batch)).await?;
                    largest.logits(&head, &bias, reading.evidence())
                }
            };
            if let Some(of_lexicon) = reading.lexicon().await? {
                add_sums(&mut logits, &of_lexicon);
            }
            Ok(logits)
        })
    }

    /// The scores and logits of a text given as ids.
    pub async fn explain<E: Encode>(
        self,
        model: &TextModel<E>,
        ids: &[u32],
        bias: &[f64],
        device: &Device,
        transfer: Transfer,
    ) -> Result<LongText, RunError> {
        let reading = Reading { windows: self, model, ids, device, transfer };
        let (positions, outputs, evidence) = (ids.len().div_ceil(self.stride), bias.len(), reading.evidence());
        let mut long = match model.pooling() {
            Pooling::Mean => {
                let mut scores = Vec::with_capacity(positions * outputs);
                reading
                    .each(&|batch| model.predict_positions(batch), &mut |_, kept| {
                        scores.extend(kept.iter().map(|&value| f64::from(value) / positions as f64 * evidence));
                    })
                    .await?;
                let logits = reading.mean(bias, &|batch| model.predict_positions_by_layer(batch)).await?;
                LongText { scores, logits }
            }
            Pooling::Max => {
                let head = reading.head().await?;
                let mut scores = vec![0.0; positions * outputs];
                let largest = reading.largest(&|batch| features(model, batch)).await?;
                for (channel, (&value, &position)) in largest.values.iter().zip(&largest.positions).enumerate() {
                    for (output, score) in scores[position * outputs..][..outputs].iter_mut().enumerate() {
                        *score += head[output * largest.values.len() + channel] * value * evidence;
                    }
                }
                let by_layer = reading.largest(&|batch| features_by_layer(model, batch)).await?;
                LongText { scores, logits: by_layer.logits(&head, bias, evidence) }
            }
        };
        if let Some(of_lexicon) = reading.lexicon().await? {
            long.scores.iter_mut().zip(&of_lexicon).for_each(|(score, value)| *score += value);
            add_sums(&mut long.logits, &of_lexicon);
        }
        Ok(long)
    }
}

/// A text that is being read in windows.
struct Reading<'a, E: Encode> {
    windows: Windows,
    model: &'a TextModel<E>,
    ids: &'a [u32],
    device: &'a Device,
    transfer: Transfer,
}

/// The largest value of each channel over a text, and the position where it is, the first of equals.
struct Largest {
    values: Vec<f64>,
    positions: Vec<usize>,
}

type OfBatch<'a> = &'a dyn Fn(&Batch) -> Tensor<3>;

impl<E: Encode> Reading<'_, E> {
    /// Hands on what `of_batch` gives, `[1, positions, channels]`, at the positions of each window
    /// that count, with the index of the first of them.
    async fn each(&self, of_batch: OfBatch<'_>, on_window: &mut dyn FnMut(usize, &[f32])) -> Result<(), RunError> {
        for window in self.windows.iter(self.ids.len()) {
            // Every id counts: padding that counts is among the ids already, and no other is needed.
            let batch = Batch::new(&[&self.ids[window.tokens]], Padding::Masked, 0, self.device);
            let values = of_batch(&batch);
            let [_, _, channels] = values.dims();
            let kept = values.narrow(1, window.kept.start, window.kept.len());
            let kept = self.transfer.read(kept).await?;
            debug_assert_eq!(kept.len(), window.kept.len() * channels);
            on_window(window.first, &kept);
        }
        Ok(())
    }

    /// The mean of all positions' predictions, and the bias.
    async fn mean(&self, bias: &[f64], of_batch: OfBatch<'_>) -> Result<Vec<f64>, RunError> {
        let mut sums = vec![0.0; bias.len()];
        self.each(of_batch, &mut |_, kept| {
            for position in kept.chunks_exact(bias.len()) {
                sums.iter_mut().zip(position).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        })
        .await?;
        let (positions, evidence) = (self.positions() as f64, self.evidence());
        Ok(sums.iter().zip(bias).map(|(sum, bias)| sum / positions * evidence + bias).collect())
    }

    fn positions(&self) -> usize {
        self.ids.len().div_ceil(self.windows.stride)
    }

    /// The share of its pooled features that the text keeps.
    fn evidence(&self) -> f64 {
        self.model.evidence_of(self.positions())
    }

    /// What the lexicon adds at each position, `[positions, outputs]`. It reads the text as a whole, for what it
    /// counts is not in one place.
    async fn lexicon(&self) -> Result<Option<Vec<f64>>, RunError> {
        let Some(lexicon) = &self.model.lexicon else { return Ok(None) };
        let batch = Batch::new(&[self.ids], Padding::Masked, 0, self.device);
        let scores = self.transfer.read(lexicon.scores(&batch)).await?;
        Ok(Some(scores.into_iter().map(f64::from).collect()))
    }

    async fn largest(&self, of_batch: OfBatch<'_>) -> Result<Largest, RunError> {
        let channels = self.model.head.weight.dims()[1];
        let mut largest = Largest { values: vec![f64::NEG_INFINITY; channels], positions: vec![0; channels] };
        self.each(of_batch, &mut |first, kept| {
            for (position, features) in kept.chunks_exact(channels).enumerate() {
                for (channel, &value) in features.iter().enumerate() {
                    if f64::from(value) > largest.values[channel] || value.is_nan() {
                        (largest.values[channel], largest.positions[channel]) = (value.into(), first + position);
                    }
                }
            }
        })
        .await?;
        Ok(largest)
    }

    /// `[outputs, hidden]`
    async fn head(&self) -> Result<Vec<f64>, RunError> {
        let weight = self.transfer.read(self.model.head.weight.val()).await?;
        Ok(weight.into_iter().map(f64::from).collect())
    }
}

impl Largest {
    /// The logits of these features, by a head `[outputs, hidden]`.
    fn logits(&self, head: &[f64], bias: &[f64], evidence: f64) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(&self.values).map(|(weight, value)| weight * value).sum::<f64>();
        head.chunks_exact(self.values.len()).zip(bias).map(|(row, bias)| dot(row) * evidence + bias).collect()
    }
}

/// Adds the sum over the positions, `[positions, outputs]`, to logits, `[outputs]`.
fn add_sums(logits: &mut [f64], positions: &[f64]) {
    for position in positions.chunks_exact(logits.len()) {
        logits.iter_mut().zip(position).for_each(|(logit, value)| *logit += value);
    }
}

/// `[batch, positions, hidden]`
fn features<E: Encode>(model: &TextModel<E>, batch: &Batch) -> Tensor<3> {
    model.encode(batch)
}

/// As [`features`], always layer by layer.
fn features_by_layer<E: Encode>(model: &TextModel<E>, batch: &Batch) -> Tensor<3> {
    let x = model.embedded(batch) * batch.mask.clone().unsqueeze_dim::<3>(2);
    model.encoder.forward(x, batch.mask.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logits::padded;
    use crate::testing::run;
    use convlens_model::{
        ConvConfig, Downsampling, EncoderConfig, LayerConfig, LinearConvConfig, PlainStackConfig, RecurrentConfig,
        ResidualBranch, ResidualConfig,
    };

    fn encoders() -> Vec<EncoderConfig> {
        let layer = |causal| {
            let json = serde_json::json!({ "kernel_size": 3, "causal": causal });
            serde_json::from_value::<LayerConfig>(json).expect("a layer")
        };
        let plain = |downsampling, causal| {
            EncoderConfig::Plain(PlainStackConfig { hidden: 4, layers: 2, downsampling, layer: layer(causal) })
        };
        let branch = ResidualBranch::Tcn;
        vec![
            EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 4, init_std: 0.5 }),
            EncoderConfig::Conv(ConvConfig::new(3, &[2, 5])),
            plain(Downsampling::None, true),
            plain(Downsampling::Stride { by: 2 }, false),
            plain(Downsampling::MaxPool { by: 3 }, false),
            plain(Downsampling::MaxPool { by: 2 }, true),
            EncoderConfig::Residual(ResidualConfig {
                hidden: 4,
                blocks: 3,
                dilation_base: 2,
                branch,
                layer: layer(false),
            }),
        ]
    }

    fn close(found: &[f64], expected: &[f64], encoder: &EncoderConfig) {
        assert_eq!(found.len(), expected.len(), "{encoder:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{encoder:?}: {found} is not {expected}");
        }
    }

    #[test]
    fn windows_give_what_the_whole_text_gives() {
        for encoder in encoders() {
            for (pooling, padding) in [
                (Pooling::Mean, Padding::Masked),
                (Pooling::Max, Padding::Masked),
                (Pooling::Mean, Padding::Counted { length: 150 }),
            ] {
                let mut run = run(encoder.clone(), Padding::Masked);
                (run.config.model.pooling, run.config.model.padding) = (pooling, padding);
                if run.config.model.check().is_err() {
                    continue; // strides go with masked padding
                }
                run.model = run.config.model.init(&run.device).expect("a model");
                let text: Vec<u32> = (0..131u32).map(|at| at * at % 7).collect();
                let ids = padded(&text, padding, run.pad_id());
                let (field, stride) = (run.model.receptive_field(), run.model.stride());
                let windows = Windows { field, stride, positions: 5 };
                assert!(windows.iter(ids.len()).count() > 2);
                let bias = run.bias().expect("a bias");
                let whole = run.batch(&[&text]);
                let to_f64 = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
                let logits = to_f64(to_host(run.model.forward(&whole)).expect("values"));
                let scores = to_f64(to_host(run.model.scores(&whole)).expect("values"));
                let in_windows = windows.logits(&run.model, &ids, &run.device).expect("values");
                close(&in_windows, &logits, &encoder);
                let explained = windows.explain(&run.model, &ids, &bias, &run.device, Transfer::Blocking);
                let explained = crate::device::now(explained).expect("values");
                close(&explained.logits, &logits, &encoder);
                close(&explained.scores, &scores, &encoder);
            }
        }
    }

    #[test]
    fn the_residual_does_not_grow_with_the_text() {
        for encoder in encoders() {
            let run = run(encoder.clone(), Padding::Masked);
            let prediction = run.predict(&"a good film or a bad film ".repeat(10_000)).expect("predicts");
            assert!(prediction.tokens.len() > 60_000);
            assert!(prediction.residual.iter().all(|residual| residual.abs() < 1e-6), "{encoder:?}: {prediction:?}");
            let ids: Vec<u32> = prediction.tokens.iter().map(|token| token.id).collect();
            let logits: Vec<f64> =
                run.logits(&[&ids]).expect("computes")[0].iter().map(|&logit| logit.into()).collect();
            close(&logits, &prediction.logits, &encoder);
        }
    }

    #[test]
    fn only_a_model_without_windows_has_a_longest_text() {
        let recurrent = run(EncoderConfig::Gru(RecurrentConfig { hidden: 2, bidirectional: false }), Padding::Masked);
        assert!(matches!(Windows::new(&recurrent.model, MOST_TOKENS), Ok(None)));
        let error = Windows::new(&recurrent.model, MOST_TOKENS + 1).expect_err("is too long").to_string();
        assert!(error.contains("262145 tokens") && error.contains("262144 at most"), "{error}");
        let conv = run(EncoderConfig::Conv(ConvConfig::new(3, &[3])), Padding::Masked);
        assert!(matches!(Windows::new(&conv.model, 1 << 30), Ok(Some(_))));
        assert!(matches!(Windows::new(&conv.model, WINDOW), Ok(None)));
    }
}

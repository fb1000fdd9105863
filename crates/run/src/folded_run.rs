//! Folded runs: a linear model's table as a run of its own, which computes the same function.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use convlens_model::{Encoder, EncoderConfig, LinearConvConfig, ModelConfig, Pooling};
use convlens_text::Tokenizer;
use safetensors::{SafeTensorError, SafeTensors};

use crate::folder::WEIGHTS;
use crate::packed::{self, EMBEDDINGS};
use crate::prediction::Values;
use crate::{Prediction, Run, RunConfig, RunError, RunFiles, WordTable};

/// A folded run that only looks words up in its table. It needs no tensors and no device, so its
/// module for the browser is a sixth of the size.
#[derive(Clone, Debug)]
pub struct FoldedRun {
    /// Its configuration.
    pub config: RunConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The score of each word at each place of a phrase.
    pub table: WordTable,
}

impl FoldedRun {
    /// Opens the files of [`Run::folded`].
    ///
    /// # Errors
    ///
    /// [`RunError`], naming the file that is damaged or newer; [`RunError::MisfitWeights`] if the run is
    /// not a folded one.
    pub fn from_files(files: RunFiles) -> Result<Self, RunError> {
        let damaged =
            |error: SafeTensorError| RunError::DamagedWeights { path: WEIGHTS.into(), message: error.to_string() };
        let (config, tokenizer) = files.read_texts(Path::new(""))?;
        let misfit = || RunError::MisfitWeights { path: WEIGHTS.into(), message: "it is not a folded run's".into() };
        let model = &config.model;
        let EncoderConfig::Linear(filter) = &model.encoder else { return Err(misfit()) };
        let width = filter.kernel_size * model.outputs;
        if filter.filters != model.outputs || model.embedding != width || model.pooling != Pooling::Mean {
            return Err(misfit());
        }
        let bytes = packed::unpack(files.weights).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let floats = |name: &str, shape: &[usize]| {
            let view = tensors.tensor(name).ok().filter(|view| view.shape() == shape);
            let view = view.filter(|view| view.dtype() == safetensors::Dtype::F32).ok_or_else(misfit)?;
            let values: Vec<f32> = packed::floats(view.data()).collect();
            if !values.iter().all(|value| value.is_finite()) {
                let message = format!("{name} holds a value that is not a finite number");
                return Err(RunError::DamagedWeights { path: WEIGHTS.into(), message });
            }
            Ok(values)
        };
        let (outputs, places) = (model.outputs, filter.kernel_size);
        let is_folded = floats("encoder.conv.weight", &[outputs, width, places])? == selection(outputs, places)
            && floats("head.weight", &[outputs, outputs, 1])? == identity(outputs);
        if !is_folded {
            return Err(misfit());
        }
        let values = floats(EMBEDDINGS, &[model.vocab_size, width])?;
        let bias = floats("head.bias", &[model.outputs])?.into_iter().map(f64::from).collect();
        let table = WordTable::from_values(values, bias, model, tokenizer.pad_id().unwrap_or(0));
        Ok(Self { config, tokenizer, table })
    }

    /// As [`Run::predict`].
    ///
    /// # Errors
    ///
    /// [`RunError::Text`] or [`RunError::Overflow`].
    pub fn predict(&self, text: &str) -> Result<Prediction, RunError> {
        let encoding = self.tokenizer.encode(text)?;
        let scores = self.table.scores(&encoding.ids);
        let values = Values { scores, logits: self.table.logits(&encoding.ids), bias: self.table.bias().to_vec() };
        Prediction::from_values(&self.config, &self.tokenizer, text, &encoding, values)
    }
}

impl Run {
    /// The folded run, to be published: its embeddings are the table that this run's model folds into.
    /// A word's vector holds its scores at each place of a phrase, and each output's single filter
    /// selects them. Scores and tokenizer are the same; a word has `places · outputs` numbers
    /// instead of `embedding`. None if the model does not fold.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn folded(&self) -> Result<Option<Self>, RunError> {
        let Some(table) = self.word_table()? else { return Ok(None) };
        let mut config = self.config.without_paths();
        let (outputs, places) = (table.outputs(), table.places());
        let filter = LinearConvConfig { filters: outputs, kernel_size: places, init_std: 0.0 };
        config.model = ModelConfig {
            embedding: places * outputs,
            init_std: 0.0,
            encoder: EncoderConfig::Linear(filter),
            pooling: Pooling::Mean,
            dropout: 0.0,
            shrinkage: 0.0,
            lexicon: None,
            ..config.model
        };
        let mut model = config.model.init(&self.device)?;
        model.embed.weight = self.parameter(table.values().to_vec(), [table.vocab_size(), places * outputs]);
        if let Encoder::Linear(encoder) = &mut model.encoder {
            encoder.conv.weight = self.parameter(selection(outputs, places), [outputs, places * outputs, places]);
        }
        model.head.weight = self.parameter(identity(outputs), [outputs, outputs, 1]);
        let bias = table.bias().iter().map(|&bias| bias as f32).collect();
        model.head.bias = Some(self.parameter(bias, [outputs]));
        Ok(Some(Self { config, tokenizer: self.tokenizer.clone(), model, device: self.device.clone() }))
    }

    fn parameter<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// The filters that select from a folded word's vector, `[outputs, places · outputs, places]`: 1 where
/// the dimension belongs to the output and the place.
fn selection(outputs: usize, places: usize) -> Vec<f32> {
    let dimensions = places * outputs;
    let mut kernel = vec![0.0; outputs * dimensions * places];
    for output in 0..outputs {
        for place in 0..places {
            kernel[(output * dimensions + place * outputs + output) * places + place] = 1.0;
        }
    }
    kernel
}

fn identity(size: usize) -> Vec<f32> {
    (0..size * size).map(|at| if at / size == at % size { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;
    use convlens_model::Padding;

    #[test]
    fn a_folded_run_gives_the_same_scores() {
        for padding in [Padding::Masked, Padding::Counted { length: 5 }] {
            let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 3, init_std: 0.5 });
            let run = run(encoder, padding);
            let folded = run.folded().expect("folds").expect("is linear");
            let by_table = FoldedRun::from_files(folded.files().expect("files")).expect("opens");
            assert!(FoldedRun::from_files(run.files().expect("files")).is_err());
            for text in ["a good film", "", "bad bad film, a film good a film"] {
                let one = run.predict(text).expect("predicts");
                for other in [folded.predict(text).expect("predicts"), by_table.predict(text).expect("predicts")] {
                    assert_eq!((one.phrases.len(), &one.tokens), (other.phrases.len(), &other.tokens));
                    let scores = |prediction: &Prediction| -> Vec<f64> {
                        let phrases = prediction.phrases.iter().flat_map(|phrase| phrase.score.clone());
                        prediction.logits.iter().copied().chain(phrases).collect()
                    };
                    for (a, b) in scores(&one).into_iter().zip(scores(&other)) {
                        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
                    }
                }
            }
        }
    }
}

//! Folded runs: a linear model's table as a run of its own, which computes the same function.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use convlens_model::{Encoder, EncoderConfig, LinearConvConfig, ModelConfig, Pooling};
use convlens_phrases::FoldedRun;

use crate::{Run, RunError};

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
            spelling: None,
            chain: false,
            conditions: 0,
            adaptive: None,
            ..config.model
        };
        let mut model = config.model.init(&self.device)?;
        model.embed.weight = self.parameter(table.values().to_vec(), [table.vocab_size(), places * outputs]);
        if let Encoder::Linear(encoder) = &mut model.encoder {
            encoder.conv.weight =
                self.parameter(FoldedRun::filters(outputs, places), [outputs, places * outputs, places]);
        }
        model.head.weight = self.parameter(FoldedRun::head(outputs), [outputs, outputs, 1]);
        let bias = table.bias().iter().map(|&bias| bias as f32).collect();
        model.head.bias = Some(self.parameter(bias, [outputs]));
        Ok(Some(Self { config, tokenizer: self.tokenizer.clone(), model, device: self.device.clone() }))
    }

    fn parameter<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prediction;
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

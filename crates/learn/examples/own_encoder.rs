//! An encoder of one's own, trained, explained and analysed. Each position adds a projection of its word and one of the
//! mean of the words beside it.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation::relu};
use convlens_analysis::{Analysis, Corpus, Options};
use convlens_learn::Fit;
use convlens_run::model::{Encode, EncoderSettings, ReceptiveField};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NeighboursConfig {
    hidden: usize,
}

#[derive(Module, Debug)]
struct Neighbours {
    word: Linear,
    beside: Linear,
}

impl EncoderSettings for NeighboursConfig {
    type Encoder = Neighbours;

    fn init(&self, embedding: usize, device: &Device) -> Neighbours {
        let linear = || LinearConfig::new(embedding, self.hidden).init(device);
        Neighbours { word: linear(), beside: linear() }
    }

    fn hidden(&self) -> usize {
        self.hidden
    }

    fn receptive_field(&self) -> ReceptiveField {
        ReceptiveField { left: 1, right: 1 }
    }
}

impl Encode for Neighbours {
    fn forward(&self, x: Tensor<3>, _mask: Tensor<2>) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let edge = Tensor::zeros([batch, 1, width], &x.device());
        let padded = Tensor::cat(vec![edge.clone(), x.clone(), edge], 1);
        let beside = (padded.clone().narrow(1, 0, length) + padded.narrow(1, 2, length)) / 2.0;
        relu(self.word.forward(x) + self.beside.forward(beside))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kinds = [("good", "praise"), ("not good", "blame"), ("bad", "blame"), ("not bad", "praise")];
    let texts: Vec<String> = (0..400).map(|at| format!("it is {} and film {}", kinds[at % 4].0, at % 7)).collect();
    let labels: Vec<&str> = (0..400).map(|at| kinds[at % 4].1).collect();
    let fit = Fit::preset("relu")?.training(|training| (training.learning_rate, training.weight_decay) = (1e-2, 0.0));
    let run = fit.encoder(NeighboursConfig { hidden: 16 }).run(&texts, &labels)?;
    for text in ["it is not good", "it is not bad"] {
        let prediction = run.predict(text)?;
        let scores: Vec<f64> = prediction.phrases.iter().map(|phrase| phrase.score[0]).collect();
        println!("{text}: {}, as the sum of {scores:.2?}", prediction.label_name());
    }
    let labels: Vec<usize> = labels.iter().map(|&label| usize::from(label == "praise")).collect();
    let (corpus, options) = (Corpus::new(&texts, &labels), Options { explained: 20, ..Options::default() });
    let analysis = Analysis::new(&run, &corpus, None, &options, &|_, _, _| {})?;
    println!("the parts add up to {:.1e} in {} texts", analysis.certificate.phrases.max, analysis.certificate.texts);
    Ok(())
}

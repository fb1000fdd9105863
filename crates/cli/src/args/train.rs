//! What `train` takes.

use std::path::PathBuf;

use clap::Args;
use convlens_run::DeviceChoice;

use super::SourceArgs;

#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  convlens train
  convlens train --preset seed --dataset imdb --out runs/seed
  convlens train --data reviews.csv --text-column review --label-column stars --epochs 5
  convlens train --preset plain --set encoder.layers=8 --set encoder.layer.weight_norm=true
  convlens train --resume                          continue the newest run where it was stopped or killed
  convlens train --config run.toml                 the same keys as the flags: epochs = 5"
)]
pub struct TrainArgs {
    /// The settings to begin from: default, seed (document A's model to the letter), best, and those
    /// of every encoder; a wrong name lists them
    #[arg(long, value_name = "P")]
    pub preset: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// A setting of the model by its path in config.json, as often as wanted: encoder.layer.causal=true
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// words, punctuated, characters, bytes, bpe, or a tokenizer.json [default: the preset's]
    #[arg(long, value_name = "T")]
    pub tokenizer: Option<String>,
    /// The most tokens that a trained tokenizer may know [default: the preset's]
    #[arg(long, value_name = "N")]
    pub vocab_size: Option<usize>,
    /// The most passes over the training data [default: the preset's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Texts a step [default: the preset's]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// The maximum number of tokens that training reads of a text, from its beginning [default: 65536]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Adam's step size [default: the preset's]
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// The chance that a word of a training text is read as unknown [default: the preset's]
    #[arg(long, value_name = "X")]
    pub word_dropout: Option<f64>,
    /// Decoupled weight decay [default: the preset's]
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f32>,
    /// Stop after that many epochs without a better validation loss [default: the preset's]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// The seed of every random draw: same seed, same result [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Seconds between two checkpoints within an epoch; at the end of each there is one anyway
    #[arg(long, value_name = "X", default_value_t = 30.0)]
    pub checkpoint_every: f64,
    /// A TOML file with the same keys as these flags; the flags win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The run folder to write [default: runs/DATASET-PRESET]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Continue a run that was stopped or killed: --out, or the newest
    #[arg(long)]
    pub resume: bool,
    /// Then analyse the run, as `convlens analyze` does
    #[arg(long)]
    pub analyze: bool,
    /// Print the end result as JSON
    #[arg(long)]
    pub json: bool,
}

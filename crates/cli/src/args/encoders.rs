//! The arguments of `receptive-field`, `gradients` and `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use convlens_run::{DeviceChoice, Task};

use super::SourceArgs;

/// The encoders that `receptive-field` and `gradients` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EncoderName {
    Linear,
    Conv,
    Plain,
    Residual,
    Dense,
    Dilated,
    #[value(name = "bytenet")]
    ByteNet,
    Gated,
    OneHot,
    Lstm,
    Bilstm,
    Gru,
}

impl EncoderName {
    /// The name as it is typed.
    pub fn title(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens receptive-field --encoder dilated --layers 8
  convlens receptive-field --encoder plain --layers 4 --kernel-size 5 --stride 2
  convlens receptive-field --encoder gated --layers 10 --causal --plot gated.svg")]
pub struct ReceptiveFieldArgs {
    /// The encoder
    #[arg(long, value_name = "E", value_enum)]
    pub encoder: EncoderName,
    /// The number of layers, blocks (residual, dilated, bytenet) or units (gated) of a stack [default: 4]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// The width of the filters of a convolution, in positions [default: 3]
    #[arg(long, value_name = "N")]
    pub kernel_size: Option<usize>,
    /// The number of channels
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub hidden: usize,
    /// The factor by which the dilation grows from layer to layer (dilated, bytenet, gated) [default: 2]
    #[arg(long, value_name = "N")]
    pub dilation_base: Option<usize>,
    /// See no position after the current one (conv and stacks)
    #[arg(long)]
    pub causal: bool,
    /// Convolve at every N-th position only (plain)
    #[arg(long, value_name = "N", conflicts_with = "max_pool")]
    pub stride: Option<usize>,
    /// Keep the largest of every N positions (plain)
    #[arg(long, value_name = "N")]
    pub max_pool: Option<usize>,
    /// Draw how much of the gradient reaches each position, in a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// The seed of the random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens gradients
  convlens gradients --encoders plain,residual --layers 8,32 --steps 500 --plot gradients.svg

Trains each encoder at each depth on the bundled sample, and shows the norm of the gradient of the
filters in its first layer and in its last layer, before and after training. The picture shows the
first layer by depth, and for the deepest stack during training.")]
pub struct GradientsArgs {
    /// The stacks: plain, residual, dense, dilated, bytenet, gated; a block of residual or dilated has two
    /// layers
    #[arg(long, value_name = "E,…", value_enum, value_delimiter = ',', default_values = ["plain", "residual", "dense", "dilated"])]
    pub encoders: Vec<EncoderName>,
    /// The depths
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [2, 4, 8, 16, 32])]
    pub layers: Vec<usize>,
    /// The number of channels of the embeddings and of each layer; for dense, the number that each layer adds
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub hidden: usize,
    /// The number of training steps
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub steps: usize,
    /// Draw the figures in a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// The seed of the random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object per encoder
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens compare --presets default,conv,dilated,lstm --dataset imdb
  convlens compare --presets plain,residual,dense --dataset sample --epochs 2 --out runs/stacks
  convlens compare --presets conv,gru --data reviews.csv --label-column stars --out runs/reviews
  convlens compare --task tag --presets tagger,bilstm --data train.conllu --test-data test.conllu
  convlens compare --task lm --presets gated,lstm --data shakespeare.txt --epochs 2

Each preset is trained in a process of its own. After an interruption, the same command continues
where it stopped. The result is one table, which is also written to OUT as comparison.md,
comparison.json and comparison.svg.")]
pub struct CompareArgs {
    /// The presets to compare
    #[arg(long, value_name = "P,…", value_delimiter = ',', required = true)]
    pub presets: Vec<String>,
    /// What the models do: classify, tag or lm [default: that of the first preset]
    #[arg(long, value_name = "TASK", value_parser = super::train::task)]
    pub task: Option<Task>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// The maximum number of passes over the training data, for every preset [default: each preset's own]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// The seed of every random choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder for the runs and the table
    #[arg(long, value_name = "OUT", default_value = "runs/compare")]
    pub out: PathBuf,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
}

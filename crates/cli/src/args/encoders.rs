//! What `receptive-field`, `gradients` and `compare` take.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use convlens_run::DeviceChoice;

use super::SourceArgs;

/// The encoders that can be asked about.
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
    /// As it is typed.
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
    /// Of stacks: how many layers, blocks (residual, dilated, bytenet) or units (gated) [default: 4]
    #[arg(long, value_name = "N")]
    pub layers: Option<usize>,
    /// Of convolutions: how many positions a filter is wide [default: 3]
    #[arg(long, value_name = "N")]
    pub kernel_size: Option<usize>,
    /// How many channels there are
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub hidden: usize,
    /// Of dilated, bytenet and gated: what dilation is multiplied with from layer to layer [default: 2]
    #[arg(long, value_name = "N")]
    pub dilation_base: Option<usize>,
    /// Of conv and stacks: see nothing after the position itself
    #[arg(long)]
    pub causal: bool,
    /// Of plain: convolve at every N-th position
    #[arg(long, value_name = "N", conflicts_with = "max_pool")]
    pub stride: Option<usize>,
    /// Of plain: keep the largest of N positions
    #[arg(long, value_name = "N")]
    pub max_pool: Option<usize>,
    /// Draw how much of the gradient reaches each position: a .svg or .png file
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

Trains each encoder at each depth on the bundled sample, and tells the norm of the gradient of its
first layer's filters and its last layer's, before training and after it; the picture shows the first
layer's by depth and, of the deepest, through training.")]
pub struct GradientsArgs {
    /// The stacks: plain, residual, dense, dilated, bytenet, gated; a block of residual and dilated has two
    /// layers
    #[arg(long, value_name = "E,…", value_enum, value_delimiter = ',', default_values = ["plain", "residual", "dense", "dilated"])]
    pub encoders: Vec<EncoderName>,
    /// The depths
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [2, 4, 8, 16, 32])]
    pub layers: Vec<usize>,
    /// How many channels there are, of embeddings and layers; of dense, how many each layer adds
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub hidden: usize,
    /// How many steps each is trained for
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub steps: usize,
    /// Draw the figures: a .svg or .png file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// The seed of the random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON, an object an encoder
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens compare --presets default,conv,dilated,lstm --dataset imdb
  convlens compare --presets plain,residual,dense --dataset sample --epochs 2 --out runs/stacks
  convlens compare --presets conv,gru --data reviews.csv --label-column stars --out runs/reviews

Each preset is trained in a process of its own. Interrupted, the same command goes on where it
stopped. The last lines are one table; OUT has it as comparison.md, comparison.json and
comparison.svg.")]
pub struct CompareArgs {
    /// The presets to compare
    #[arg(long, value_name = "P,…", value_delimiter = ',', required = true)]
    pub presets: Vec<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// The most passes over the training data, for all of them [default: each preset's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// The seed of every random draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// The folder of the runs and the table
    #[arg(long, value_name = "OUT", default_value = "runs/compare")]
    pub out: PathBuf,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
}

//! The arguments of `probe`.

use std::path::PathBuf;

use clap::Args;
use convlens_run::DeviceChoice;

use super::FileArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens probe --dataset imdb                    does the newest language model know sentiment?
  convlens probe --run runs/lm --data reviews.csv --texts 2000
  convlens probe --text \"A great film. I hated it.\" --plot sentiment.svg

Fits a linear classifier to the states of a language model, which never saw the labels, for 100, 1,000, …
labelled texts, and to those of the same model with random weights.")]
pub struct ProbeArgs {
    /// The run folder of a language model [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A known data set with two labels (see `convlens data`) [default: auto]
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A separate file for testing [default: a fifth of --data, chosen by the seed]
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    pub test_data: Option<PathBuf>,
    /// How many texts to read for fitting, and how many for testing
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub texts: usize,
    /// How many tokens of a text to read, from its beginning
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub max_tokens: usize,
    /// What is added to the mean loss for each squared weight
    #[arg(long, value_name = "X", default_value_t = 0.001)]
    pub penalty: f64,
    /// A text to show token by token; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// Draw the scores of the tokens of --text into this file, .svg or .png
    #[arg(long, value_name = "FILE", requires = "text")]
    pub plot: Option<PathBuf>,
    /// The seed of the choice of texts, and of the random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

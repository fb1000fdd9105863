//! The arguments of `analyze` and `export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use convlens_run::DeviceChoice;

use super::FileArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens analyze                                 the newest run on its own test split
  convlens analyze --run runs/seed --text \"Not a good film.\" --sst sst/trees
  convlens analyze --run runs/seed --against runs/default

Writes into RUN/analysis/: report.html, which contains everything, and every figure and picture as a
file of its own, in JSON, SVG and PNG.")]
pub struct AnalyzeArgs {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A second run to compare with on the same texts
    #[arg(long, value_name = "RUN2")]
    pub against: Option<PathBuf>,
    /// A known data set [default: the one that the run was trained on]
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A text of your own to explain before the others; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// How many texts of the test split to explain [default: 1000, or 80 sentences for a run that tags]
    #[arg(long, value_name = "N")]
    pub texts: Option<usize>,
    /// How many words and phrases to show in each list, at most 1000
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub words: usize,
    /// The folder of the Stanford Sentiment Treebank (train.txt, dev.txt, test.txt), to compare the scores of
    /// phrases with human labels
    #[arg(long, value_name = "DIR")]
    pub sst: Option<PathBuf>,
    /// The largest residual allowed: the difference between a logit and the sum of its parts [default: 0.0001]
    #[arg(long, value_name = "X")]
    pub tolerance: Option<f64>,
    /// The seed of the choice of texts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").args(["folded"]).required(true), after_help = "\
Examples:
  convlens export --folded                         the newest run's table, one row per word
  convlens export --folded --run runs/seed --out seed.safetensors
  convlens export --folded --out folded            a run folder, which convlens-phrases reads

The logit of a text is the bias plus the mean, over its positions, of what the words there add: the
word itself from column 0, the word before it from column -1, and so on.")]
pub struct ExportArgs {
    /// The table of words and places that a linear model folds into
    #[arg(long)]
    pub folded: bool,
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The file to write, .csv or .safetensors, or a new run folder [default: RUN/folded.csv]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
}

//! What `evaluate` and `predict` take.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use convlens_run::DeviceChoice;

use super::FileArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens evaluate                                the newest run on its own test split
  convlens evaluate --run runs/seed --dataset imdb --split test --json
  convlens evaluate --data reviews.csv --label-map Positive=pos --label-map Negative=neg")]
pub struct EvaluateArgs {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A known data set [default: what the run was trained on]
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    /// test or train
    #[arg(long, value_name = "S", default_value = "test", value_parser = ["test", "train"])]
    pub split: String,
    #[command(flatten)]
    pub file: FileArgs,
    /// auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").args(["text", "file"]), after_help = "\
Examples:
  convlens predict \"A good film.\" \"Not a good film.\"
  convlens predict --run runs/seed --file reviews.csv --text-column review --json
  convlens predict --file reviews.parquet --brief --json > labels.jsonl
  cat reviews.txt | convlens predict")]
pub struct PredictArgs {
    /// Texts to classify [default: a text per line of standard input]
    pub text: Vec<String>,
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A text per line; or a column of a .csv, .tsv, .parquet or .jsonl file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The column of the texts, where the file has columns
    #[arg(long, value_name = "T", default_value = "text")]
    pub text_column: String,
    /// Read quotation marks in a CSV or TSV file as part of the text, not as the enclosure of a field
    #[arg(long, requires = "file")]
    pub no_quotes: bool,
    /// How many of the strongest phrases to list
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub phrases: usize,
    /// Only the label and its probability: the fast way, for many texts
    #[arg(long)]
    pub brief: bool,
    /// auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print one JSON object a line: tokens with offsets, every phrase with its score, the logit that they sum to
    #[arg(long)]
    pub json: bool,
}

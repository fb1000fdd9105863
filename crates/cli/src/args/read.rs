//! The arguments of `evaluate` and `predict`.

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
    /// A known data set [default: the one that the run was trained on]
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    /// The split of the data set: test or train; a file given with --data has no splits
    #[arg(long, value_name = "S", default_value = "test", value_parser = ["test", "train"], conflicts_with = "data")]
    pub split: String,
    #[command(flatten)]
    pub file: FileArgs,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
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
  cat reviews.txt | convlens predict
  convlens predict --file new.conllu > tagged.conllu    with a run that tags

A file without columns is read line by line, and so is a pipe such as /dev/stdin or <(COMMAND).
A blank text gets the prediction of an empty one.")]
pub struct PredictArgs {
    /// The texts to classify or tag [default: the lines of standard input]
    pub text: Vec<String>,
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A file with one text per line, or a .csv, .tsv, .parquet or .jsonl file with a column of texts; a run that tags
    /// also reads words in columns (.conllu, .conll or .iob), and prints the file with its tags
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The column of --file that holds the texts, if the file has columns [default: text]
    #[arg(long, value_name = "T", requires = "file", conflicts_with = "text")]
    pub text_column: Option<String>,
    /// Read quotation marks in a CSV or TSV file as part of the text, not as enclosing a field
    #[arg(long, requires = "file", conflicts_with = "text")]
    pub no_quotes: bool,
    /// How many of the strongest phrases to show, or of the words that speak for a tag
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with_all = ["json", "brief"])]
    pub phrases: usize,
    /// Print only labels and probabilities, or words with their tags, which is much faster for many texts
    #[arg(long)]
    pub brief: bool,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print one JSON object per text, with tokens, their offsets, the score of every phrase and the logits; or per
    /// sentence, with words, tags and evidence
    #[arg(long)]
    pub json: bool,
}

//! What can be typed: the verbs, and what several of them take; the rest is beside this.

mod encoders;
mod look;
mod read;
mod train;
mod web;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use encoders::{CompareArgs, EncoderName, GradientsArgs, ReceptiveFieldArgs};
pub use look::{AnalyzeArgs, ExportArgs};
pub use read::{EvaluateArgs, PredictArgs};
pub use train::TrainArgs;
pub use web::WebArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Convolutional models for text that one can look inside.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, after_help = "\
Examples:
  convlens train                                   IMDB, or the bundled sample where IMDB cannot be had
  convlens predict \"A good film, not a boring one.\"
  convlens analyze                                 the newest run, as pictures and one report
  convlens evaluate --dataset imdb
  convlens data imdb")]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train a model and write a run folder.
    Train(TrainArgs),
    /// Measure a trained model on labelled texts.
    Evaluate(EvaluateArgs),
    /// Classify texts, and show which phrases decide.
    Predict(PredictArgs),
    /// Look inside a trained model: filters, words, principal components, faithfulness, one report.
    Analyze(AnalyzeArgs),
    /// Write a trained model in another form.
    Export(ExportArgs),
    /// Tell what an encoder sees of a text, by formula and by measurement, without training it.
    ReceptiveField(ReceptiveFieldArgs),
    /// Follow the gradient down through stacks of growing depth.
    Gradients(GradientsArgs),
    /// Train presets on the same data and set them side by side.
    Compare(CompareArgs),
    /// Write a run as a page that reads and trains in the browser, and serve it.
    Web(WebArgs),
    /// List the known data sets, or describe one.
    Data(DataArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// A file of the user's, and how to read it.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Your own labelled texts: CSV, TSV, Parquet or JSON Lines
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The column of the texts [default: text]
    #[arg(long, value_name = "T")]
    pub text_column: Option<String>,
    /// The column of the labels [default: label]
    #[arg(long, value_name = "L")]
    pub label_column: Option<String>,
    /// Read the label A of the file as B; may be given several times
    #[arg(long, value_name = "A=B")]
    pub label_map: Vec<String>,
    /// Read quotation marks in CSV and TSV files as part of the text, not as the enclosure of a field
    #[arg(long)]
    pub no_quotes: bool,
}

/// The data that models are trained and tested on.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A known data set (see `convlens data`); auto is IMDB where it can be had, else the bundled sample
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A file of its own for the test split [default: a fifth of --data, cut by the seed]
    #[arg(long, value_name = "FILE", requires = "data")]
    pub test_data: Option<PathBuf>,
}

impl SourceArgs {
    /// The flags as they were typed, for another process.
    pub fn words(&self) -> Vec<OsString> {
        let Self { dataset, file, test_data } = self;
        let mut words = given("--dataset", dataset.as_ref());
        words.extend(given("--data", file.data.as_ref()));
        words.extend(given("--text-column", file.text_column.as_ref()));
        words.extend(given("--label-column", file.label_column.as_ref()));
        words.extend(file.label_map.iter().flat_map(|map| given("--label-map", Some(map))));
        words.extend(file.no_quotes.then(|| "--no-quotes".into()));
        words.extend(given("--test-data", test_data.as_ref()));
        words
    }
}

/// A flag as it was typed, if it was.
fn given(flag: &str, value: Option<impl AsRef<OsStr>>) -> Vec<OsString> {
    value.map_or_else(Vec::new, |value| vec![flag.into(), value.as_ref().into()])
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens data
  convlens data imdb
  convlens data --data reviews.csv --text-column review --label-column stars")]
pub struct DataArgs {
    /// A known data set to describe
    #[arg(value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens completions bash > ~/.local/share/bash-completion/completions/convlens
  convlens completions zsh > ~/.zfunc/_convlens")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

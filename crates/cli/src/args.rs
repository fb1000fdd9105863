//! What can be typed.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use convlens_run::DeviceChoice;

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
    /// List the known data sets, or describe one.
    Data(DataArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Examples:
  convlens train
  convlens train --preset seed --dataset imdb --out runs/seed
  convlens train --data reviews.csv --text-column review --label-column stars --epochs 5
  convlens train --resume                          continue the newest run where it was stopped or killed
  convlens train --config run.toml                 the same keys as the flags: epochs = 5"
)]
pub struct TrainArgs {
    /// The settings to begin from: default, or seed (document A's model to the letter)
    #[arg(long, value_name = "P")]
    pub preset: Option<String>,
    /// A known data set (see `convlens data`); auto is IMDB where it can be had, else the bundled sample
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A file of its own for the test split [default: a fifth of --data, cut by the seed]
    #[arg(long, value_name = "FILE", requires = "data")]
    pub test_data: Option<PathBuf>,
    /// words, characters, bpe, or a tokenizer.json [default: the preset's]
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
}

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

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens analyze                                 the newest run on its own test split
  convlens analyze --run runs/seed --text \"Not a good film.\" --sst sst/trees
  convlens analyze --run runs/seed --against runs/default

Writes into RUN/analysis/: report.html, which holds everything, and every figure and picture by
itself, as JSON, SVG and PNG.")]
pub struct AnalyzeArgs {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// A second run, to be compared on the same texts
    #[arg(long, value_name = "RUN2")]
    pub against: Option<PathBuf>,
    /// A known data set [default: what the run was trained on]
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A text of your own to explain before all others; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// How many texts of the test split are explained
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub texts: usize,
    /// How many words and phrases each list has
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub words: usize,
    /// The folder of the Stanford Sentiment Treebank (train.txt, dev.txt, test.txt): how far phrase scores agree with people
    #[arg(long, value_name = "DIR")]
    pub sst: Option<PathBuf>,
    /// The most that may be left of a logit when its parts are taken off
    #[arg(long, value_name = "X", default_value_t = 1e-4)]
    pub tolerance: f64,
    /// What texts are chosen by
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").args(["folded"]).required(true), after_help = "\
Examples:
  convlens export --folded                         the newest run's table: a row a word, a column a place
  convlens export --folded --run runs/seed --out seed.safetensors

A text's logit is the bias plus the mean, over its positions, of what the words there add: the word
itself from column 0, the word before from column -1, and so on.")]
pub struct ExportArgs {
    /// The table of word × place that a linear model folds into
    #[arg(long)]
    pub folded: bool,
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The file to write: .csv or .safetensors [default: RUN/folded.csv]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The encoders that can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EncoderName {
    Linear,
    Conv,
    Plain,
    Residual,
    Dense,
    Dilated,
    Gated,
    Lstm,
    Bilstm,
    Gru,
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
    /// How many layers, blocks (residual, dilated) or units (gated)
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub layers: usize,
    /// How many positions a filter is wide
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub kernel_size: usize,
    /// How many channels there are
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub hidden: usize,
    /// What dilation is multiplied with from layer to layer, where the encoder dilates
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub dilation_base: usize,
    /// See nothing after the position itself
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
first layer's filters and its last layer's, before training and after it.")]
pub struct GradientsArgs {
    /// The encoders; of residual and dilated a block has two layers
    #[arg(long, value_name = "E,…", value_enum, value_delimiter = ',', default_values = ["plain", "residual", "dense", "dilated"])]
    pub encoders: Vec<EncoderName>,
    /// The depths
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [2, 4, 8, 16, 32])]
    pub layers: Vec<usize>,
    /// How many channels there are
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

Each preset is trained in a process of its own. Interrupted, the same command goes on where it
stopped. The last lines are one table; OUT has it as comparison.md, comparison.json and
comparison.svg.")]
pub struct CompareArgs {
    /// The presets to compare
    #[arg(long, value_name = "P,…", value_delimiter = ',', required = true)]
    pub presets: Vec<String>,
    /// A known data set
    #[arg(long, value_name = "D", default_value = "auto")]
    pub dataset: String,
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

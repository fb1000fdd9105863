//! The command line: the verbs, and the arguments that several of them share. The others are in the
//! other files of this folder.

mod cache;
mod encoders;
mod generate;
mod look;
mod probe;
mod read;
mod train;
mod web;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use cache::CacheArgs;
pub use encoders::{CompareArgs, EncoderName, GradientsArgs, ReceptiveFieldArgs};
pub use generate::GenerateArgs;
pub use look::{AnalyzeArgs, ExportArgs};
pub use probe::ProbeArgs;
pub use read::{EvaluateArgs, PredictArgs};
pub use train::TrainArgs;
pub use web::WebArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Interpretable convolutional models for text.
#[derive(Debug, Parser)]
#[command(version, styles = STYLES, after_help = "\
Examples:
  convlens train                                   on IMDB, or on a sample if IMDB is not available
  convlens train --task tag --data train.conllu    a tagger: a label for every word
  convlens predict \"A good film, not a boring one.\"
  convlens train --task lm --data shakespeare.txt  a language model
  convlens generate \"ROMEO:\"
  convlens analyze                                 pictures and a report of the newest run
  convlens evaluate --dataset imdb
  convlens data imdb

Exit codes:
  0    success
  2    bad input; one line on standard error says what is wrong and how to fix it
  101  internal error; please report it
  130  interrupted with Ctrl-C; a training first writes a checkpoint

Environment:
  RUST_LOG             what is logged, such as debug or convlens=info [default: warnings]
  NO_COLOR             leave out colours; CLICOLOR_FORCE=1 keeps them where there is no terminal
  CONVLENS_CACHE       the folder of the cache [default: convlens in the user's cache folder]
  CONVLENS_CACHE_GIB   the size limit of the cache in GiB [default: 10]
  HF_HOME, HF_TOKEN    the folder of the Hugging Face Hub's cache, and the token for the Hub")]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train a model and write a run folder.
    Train(Box<TrainArgs>),
    /// Evaluate a trained model on labelled texts.
    Evaluate(EvaluateArgs),
    /// Classify or tag texts and show what decides.
    Predict(PredictArgs),
    /// Write texts with a language model, and show why it chooses each token.
    Generate(GenerateArgs),
    /// Find out what a language model knows of labels that it never saw.
    Probe(ProbeArgs),
    /// Look inside a trained model: filters, words, principal components and faithfulness, in one report.
    Analyze(AnalyzeArgs),
    /// Write a trained model in another format.
    Export(ExportArgs),
    /// Compute and measure how much of a text an encoder sees, without training it.
    ReceptiveField(ReceptiveFieldArgs),
    /// Measure how much of the gradient reaches the first layer of deep stacks.
    Gradients(GradientsArgs),
    /// Train presets on the same data and compare them.
    Compare(CompareArgs),
    /// Write a run as a web page that predicts and trains in the browser, and serve it.
    Web(WebArgs),
    /// List the known data sets, or describe one.
    Data(DataArgs),
    /// List or empty the cache of tokenizers and encoded texts.
    Cache(CacheArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// A file of the user's own, and how to read it.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Your own labelled texts: a CSV, TSV, Parquet or JSON Lines file; for tagging, a CoNLL-U file, or one with a word
    /// and its tags per line; for a language model a text file, or a table with a column of texts. Any file of a data set
    /// on the Hugging Face Hub is named as hf://datasets/OWNER/NAME/FILE
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The column of --data that holds the texts [default: text]
    #[arg(long, value_name = "T", conflicts_with = "dataset")]
    pub text_column: Option<String>,
    /// The column of --data that holds the labels [default: label]; for tagging its name or number, such as xpos or 5
    /// [default: upos in CoNLL-U, otherwise the last]
    #[arg(long, value_name = "L", conflicts_with = "dataset")]
    pub label_column: Option<String>,
    /// Read label A of --data as label B; may be repeated
    #[arg(long, value_name = "A=B", conflicts_with = "dataset")]
    pub label_map: Vec<String>,
    /// Read quotation marks in CSV and TSV files as part of the text, not as enclosing a field
    #[arg(long, conflicts_with = "dataset")]
    pub no_quotes: bool,
}

/// The data that models are trained and tested on.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A known data set (see `convlens data`); auto is IMDB, or the bundled sample if IMDB is not available
    #[arg(long, value_name = "D", conflicts_with = "data")]
    pub dataset: Option<String>,
    #[command(flatten)]
    pub file: FileArgs,
    /// A separate file for the validation split, for tagging and language models [default: a part of --data, chosen by the seed]
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    pub validation_data: Option<PathBuf>,
    /// A separate file for the test split [default: a fifth of --data, chosen by the seed; of a text file, its last tenth]
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    pub test_data: Option<PathBuf>,
}

impl SourceArgs {
    /// Returns the flags as they were typed, for another process.
    pub fn words(&self) -> Vec<OsString> {
        let Self { dataset, file, validation_data, test_data } = self;
        let mut words = Vec::from_iter(flag("--dataset", dataset.as_ref()));
        words.extend(flag("--data", file.data.as_ref()));
        words.extend(flag("--text-column", file.text_column.as_ref()));
        words.extend(flag("--label-column", file.label_column.as_ref()));
        words.extend(file.label_map.iter().flat_map(|map| flag("--label-map", Some(map))));
        words.extend(file.no_quotes.then(|| "--no-quotes".into()));
        words.extend(flag("--validation-data", validation_data.as_ref()));
        words.extend(flag("--test-data", test_data.as_ref()));
        words
    }
}

/// A flag and its value as one word, so that a value may begin with a hyphen.
fn flag(name: &str, value: Option<impl AsRef<OsStr>>) -> Option<OsString> {
    value.map(|value| {
        let mut word = OsString::from(format!("{name}="));
        word.push(value);
        word
    })
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(shlex::split(line).expect("a command line"))
    }

    /// The command lines of a help text: each without the program that feeds it, the file that takes
    /// its output, and the explanation, which follows after two spaces or more.
    fn examples(help: &str) -> Vec<String> {
        let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
        let command = |line: &str| {
            let line = line.trim().replace("cargo xtask ", "convlens ");
            let line = line.split("  ").next().unwrap_or_default();
            let line = line.rsplit(" | ").next().unwrap_or_default();
            line.split(" > ").next().unwrap_or_default().to_owned()
        };
        lines.map(command).collect()
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples_that_parse() {
        let command = Cli::command();
        let verbs: Vec<_> = command.get_subcommands().collect();
        assert!(verbs.len() >= 11, "{verbs:?}");
        let help = |command: &clap::Command| command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(!examples(&help(&command)).is_empty());
        for verb in verbs.iter().copied().chain([&command]) {
            let name = if verb.get_name() == "convlens" { String::new() } else { format!(" {}", verb.get_name()) };
            let examples = examples(&help(verb));
            assert!(!examples.is_empty(), "{name} has no examples");
            let is_long = |line: &&str| line.starts_with(' ') && line.chars().count() > 100;
            assert_eq!(help(verb).lines().find(is_long), None, "{name}: clap would break this line");
            for line in examples {
                assert!(line.starts_with(&format!("convlens{name}")), "{name}: {line}");
                parse(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn every_flag_is_described_in_the_same_style() {
        let command = Cli::command();
        for verb in command.get_subcommands() {
            for argument in verb.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                let name = format!("{} {}", verb.get_name(), argument.get_id());
                assert!(!help.is_empty(), "{name} has no description");
                assert!(!help.ends_with('.'), "{name}: {help}");
            }
        }
    }

    /// A flag that would have no effect together with another is refused.
    #[test]
    fn no_flag_is_silently_ignored() {
        let refused = [
            "train --dataset imdb --data a.csv",
            "train --dataset imdb --test-data a.csv",
            "train --dataset imdb --text-column t",
            "train --dataset imdb --label-column t",
            "train --dataset imdb --label-map a=b",
            "train --dataset imdb --no-quotes",
            "train --epochs 1 --epochs 2",
            "train --config a.toml --config b.toml",
            "compare --presets conv --dataset imdb --test-data a.csv",
            "evaluate --dataset imdb --data a.csv",
            "evaluate --dataset imdb --label-map a=b",
            "evaluate --data a.csv --split train",
            "analyze --dataset imdb --text-column t",
            "data imdb --data a.csv",
            "data imdb --label-column l",
            "predict text --file a.csv",
            "predict text --text-column t",
            "predict --text-column t",
            "predict text --no-quotes",
            "predict --no-quotes",
            "predict --json --phrases 3 text",
            "predict --brief --phrases 3 text",
            "receptive-field --encoder plain --stride 2 --max-pool 2",
            "export",
        ];
        for line in refused {
            let kind = parse(&format!("convlens {line}")).map(|_| ()).map_err(|error| error.kind());
            let expected = [ErrorKind::ArgumentConflict, ErrorKind::MissingRequiredArgument];
            assert!(kind.is_err_and(|kind| expected.contains(&kind)), "{line}");
        }
        // Defaults conflict with nothing.
        for line in ["evaluate --data a.csv", "predict --json text", "predict --brief text", "predict --file a.csv"] {
            assert!(parse(&format!("convlens {line}")).is_ok(), "{line}");
        }
    }

    #[test]
    fn values_may_begin_with_a_hyphen() {
        let line = "convlens compare --presets conv --data=-a.csv --text-column=-t --label-map=-a=-b --no-quotes --test-data=--b.csv";
        let Ok(Cli { verb: Verb::Compare(args) }) = parse(line) else { panic!("{line}") };
        let words = ["convlens", "train"].map(OsString::from).into_iter().chain(args.source.words());
        let Ok(Cli { verb: Verb::Train(train) }) = Cli::try_parse_from(words) else { panic!("{line}") };
        assert_eq!(train.source.words(), args.source.words());
    }
}

//! `cargo xtask bench`: what training and inference cost, compared with the peers in `xtask/peers`, and how the
//! cost grows.

mod growth;
mod measure;
mod peers;
mod stacks;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run_binary;

const USAGE: &str = "\
cargo xtask bench [--peers PYTHON]
cargo xtask bench growth [--out FOLDER]
cargo xtask bench stacks [--peers PYTHON [--tools LIST]] [--only PART] [--json]
cargo xtask bench kernels
cargo xtask bench lstm
cargo xtask bench memory|adding [tcn|lstm [STEPS [SEED]]]

Without a verb: measures an epoch of training on IMDB, two epochs from Parquet to the test accuracy,
inference by batch size, tokenization, a training step with ReLU, and the prediction of one sentence
from the start of the process. Prints one table.
  --peers PYTHON   a Python in which xtask/peers/requirements.txt is installed: Keras, PyTorch,
                   onnxruntime and fastText do the same work in turn, and the table has the ratios
growth: trains on larger and larger corpora, on longer and longer texts, and with larger and larger
vocabularies.
  --out FOLDER     the folder for growth.json and growth.svg [default: docs/performance]
stacks: measures a training step and inference of every encoder on batches of IMDB, and single layers,
on one thread and on two.
  --peers PYTHON   PyTorch (eager and compiled) and onnxruntime do the same work in turn
  --tools LIST     only some of these: eager,compiled,onnx
  --only PART      only works whose name contains PART, such as lstm or train/imdb
  --json           prints a line of JSON per measurement instead of a table: work, tool, threads,
                   wall_seconds, cpu_seconds and peak_bytes, per step, per review or per pass
kernels: measures the inner loops.
lstm: compares convolutions with an LSTM of the same width, on one thread and on all.
memory, adding: the stress tests of Bai, Kolter and Koltun (2018).";

/// Measures and prints tables.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let result = match words.as_slice() {
        words if words.iter().any(|word| ["--help", "-h"].contains(word)) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] => peers::compare(None),
        ["--peers", python] => peers::compare(Some(Path::new(python))),
        ["growth"] => growth::measure(Path::new("docs/performance")),
        ["growth", "--out", folder] => growth::measure(Path::new(folder)),
        ["stacks", options @ ..] => stacks_settings(options).and_then(|settings| stacks::compare(&settings)),
        ["kernels"] => cargo(&["bench", "--workspace", "--bench", "kernels"]),
        ["lstm"] => lstm(),
        [task @ ("memory" | "adding")] => stress(&[task, "tcn", "5000"]),
        [task @ ("memory" | "adding"), kind @ ("tcn" | "lstm")] => stress(&[task, kind, "5000"]),
        ["memory" | "adding", "tcn" | "lstm", _] | ["memory" | "adding", "tcn" | "lstm", _, _] => stress(&words),
        words => Err(format!("unknown arguments `{}`; see `cargo xtask bench --help`", words.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

fn stacks_settings<'a>(options: &[&'a str]) -> Result<stacks::Settings<'a>, String> {
    let mut settings = stacks::Settings::default();
    let mut options = options.iter();
    while let Some(&option) = options.next() {
        let mut value = || options.next().copied().ok_or_else(|| format!("{option} needs a value"));
        match option {
            "--peers" => settings.peers = Some(Path::new(value()?)),
            "--only" => settings.only = Some(value()?),
            "--tools" => settings.tools = value()?,
            "--json" => settings.json = true,
            other => return Err(format!("unknown argument `{other}`; see `cargo xtask bench --help`")),
        }
    }
    Ok(settings)
}

/// Compares convolutions with an LSTM, on one thread and on all.
fn lstm() -> Result<(), String> {
    let arguments = ["bench", "--workspace", "--bench", "conv_vs_lstm"];
    let mut on_one_thread = command(&arguments);
    match on_one_thread.env("RAYON_NUM_THREADS", "1").status() {
        Ok(status) if status.success() => cargo(&arguments),
        Ok(_) => Err(format!("cargo {} failed", arguments.join(" "))),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

fn stress(words: &[&str]) -> Result<(), String> {
    cargo(&[&["bench", "--workspace", "--bench", "stress", "--"], words].concat())
}

/// Runs Cargo on this workspace and waits for it.
fn cargo(arguments: &[&str]) -> Result<(), String> {
    match command(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("cargo {} failed", arguments.join(" "))),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(run_binary::cargo());
    command.args(arguments).current_dir(run_binary::root());
    command
}

/// A temporary folder, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("convlens-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! The convlens binary: one file per verb, a thin layer over the library crates.

// `output.rs` and `message.rs` write everything: they make it printable and never panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod config_file;
mod failure;
mod hint;
mod interruption;
mod message;
mod output;
mod plain;
mod printable;
mod progress;
mod source;
mod tagged;
mod verb;

use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::failure::Failure;

/// Training allocates and frees megabytes at every step. The system's allocator returns them to the
/// system each time, which took longer than the arithmetic (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let panicked = remember_panics();
    message::start_log();
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => Failure::Defect(panicked()).report(),
    }
}

fn run() -> Result<(), Failure> {
    let arguments = config_file::spliced_into(std::env::args_os().collect())?;
    match Cli::try_parse_from(arguments).map_err(Failure::Usage)?.verb {
        Verb::Train(args) => verb::train::run(&args),
        Verb::Evaluate(args) => verb::evaluate::run(&args),
        Verb::Predict(args) => verb::predict::run(&args),
        Verb::Generate(args) => verb::generate::run(&args),
        Verb::Probe(args) => verb::probe::run(&args),
        Verb::Analyze(args) => verb::analyze::run(&args),
        Verb::Export(args) => verb::export::run(&args),
        Verb::ReceptiveField(args) => verb::receptive_field::run(&args),
        Verb::Gradients(args) => verb::gradients::run(&args),
        Verb::Compare(args) => verb::compare::run(&args),
        Verb::Web(args) => verb::web::run(&args),
        Verb::Data(args) => verb::data::run(&args),
        Verb::Cache(args) => verb::cache::run(&args),
        Verb::Completions(args) => verb::completions::run(&args),
    }
}

/// Hides panics and remembers the message of the last one. Some panics come from a library and are
/// caught; any other is a bug, and is reported on one line. With `RUST_BACKTRACE` set, all are shown.
fn remember_panics() -> impl Fn() -> String {
    static LAST: Mutex<String> = Mutex::new(String::new());
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            default_hook(info);
        }
        if let Ok(mut last) = LAST.lock() {
            *last = info.to_string();
        }
    }));
    || LAST.lock().map(|last| last.clone()).unwrap_or_default()
}

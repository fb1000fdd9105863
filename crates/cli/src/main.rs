//! The convlens binary: a file per verb, thin over the crates.

mod args;
mod config_file;
mod failure;
mod hint;
mod interruption;
mod output;
mod progress;
mod source;
mod verb;

use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser;

use crate::args::{Cli, Verb};
use crate::failure::Failure;

/// Training frees and takes megabytes at every step; the system's allocator gives them back to the
/// system each time, which took longer than the arithmetic (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let panicked = remember_panics();
    log_where_asked();
    match std::panic::catch_unwind(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => Failure::Defect(panicked()).report(),
    }
}

fn run() -> Result<(), Failure> {
    let arguments = config_file::spliced_into(std::env::args_os().collect())?;
    match Cli::parse_from(arguments).verb {
        Verb::Train(args) => verb::train::run(&args),
        Verb::Evaluate(args) => verb::evaluate::run(&args),
        Verb::Predict(args) => verb::predict::run(&args),
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

/// Keeps panics from standard error, and their last message for a line of ours: some are a
/// library's, and caught; any other is a defect. `RUST_BACKTRACE` shows them all.
fn remember_panics() -> impl Fn() -> String {
    static LAST: Mutex<String> = Mutex::new(String::new());
    let standard = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            standard(info);
        }
        if let Ok(mut last) = LAST.lock() {
            *last = info.to_string();
        }
    }));
    || LAST.lock().map(|last| last.clone()).unwrap_or_default()
}

/// Warnings of ours, or what `RUST_LOG` asks for, to standard error.
fn log_where_asked() {
    let ours = "off,convlens=warn,convlens_analysis=warn,convlens_data=warn,convlens_run=warn,convlens_train=warn";
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| ours.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}

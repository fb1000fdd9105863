//! How the program ends when it cannot do what it was asked to: one line and an exit code.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;
use convlens_train::UnknownPreset;

use crate::args::Cli;
use crate::message::{message, styled_message};
use crate::output;

/// The exit code of a program that was interrupted with Ctrl-C, as shells define it.
pub const INTERRUPTED: u8 = 130;
/// The exit code for bad input.
pub const BAD_INPUT: u8 = 2;
/// The exit code for an internal error.
pub const DEFECT: u8 = 101;

/// Why the program ends early.
#[derive(Debug)]
pub enum Failure {
    /// The request cannot be carried out. The line says why and how to fix it.
    Input(String),
    /// The arguments are invalid, or ask for help or the version.
    Usage(clap::Error),
    /// Ctrl-C. The line says how to continue.
    Interrupted(String),
    /// The reader of standard output has closed it.
    OutputClosed,
    /// A panic, which is a bug in the program.
    Defect(String),
    /// A child process failed with this exit code, and has reported why.
    Reported(u8),
}

impl Failure {
    /// Writes the reason to standard error and returns the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Input(line) => {
                message(format!("convlens: {line}"));
                ExitCode::from(BAD_INPUT)
            }
            Self::Usage(error) => report_usage(&error),
            Self::Interrupted(line) => {
                message(line);
                ExitCode::from(INTERRUPTED)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Defect(panic) => {
                message(format!("convlens: internal error; please report this bug: {panic}"));
                ExitCode::from(DEFECT)
            }
            Self::Reported(code) => ExitCode::from(code),
        }
    }

    /// A failure to write to standard output.
    pub fn from_output_error(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Input(format!("standard output: {error}")),
        }
    }
}

/// Prints help to standard output, and an error as one line to standard error.
fn report_usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if !error.use_stderr() {
        return output::verbatim(&text.ansi().to_string()).map_or_else(Failure::report, |()| ExitCode::SUCCESS);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        text.ansi().to_string().lines().for_each(styled_message);
    } else {
        message(format!("convlens: {}; see `convlens{} --help`", on_one_line(&text.to_string()), typed_verb()));
    }
    ExitCode::from(BAD_INPUT)
}

/// An error of clap without its usage, on one line.
fn on_one_line(text: &str) -> String {
    let lines = |paragraph: &str| paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned();
    let is_usage =
        |paragraph: &str| ["Usage:", "For more information"].iter().any(|start| paragraph.starts_with(start));
    let paragraphs = text.split("\n\n").map(lines).filter(|paragraph| !paragraph.is_empty() && !is_usage(paragraph));
    paragraphs.collect::<Vec<_>>().join("; ").trim_start_matches("error: ").to_owned()
}

/// The verb on the command line, after a space; empty if there is none.
fn typed_verb() -> String {
    let word = std::env::args_os().nth(1).and_then(|word| word.into_string().ok());
    let verb = word.filter(|word| Cli::command().find_subcommand(word).is_some());
    verb.map_or_else(String::new, |verb| format!(" {verb}"))
}

impl From<UnknownPreset> for Failure {
    fn from(error: UnknownPreset) -> Self {
        Self::Input(error.to_string())
    }
}

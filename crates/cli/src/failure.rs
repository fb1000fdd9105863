//! How the program ends when it cannot do what it was asked: one line, and an exit code.

use std::io;
use std::process::ExitCode;

use convlens_train::UnknownPreset;

/// The exit code of a program that Ctrl-C ended, as shells have it.
pub const INTERRUPTED: u8 = 130;
/// The exit code for bad input.
pub const BAD_INPUT: u8 = 2;

/// The exit code for a defect of the program.
pub const DEFECT: u8 = 101;

/// Why the program ends early.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be done; the line says why and what to do.
    Input(String),
    /// Ctrl-C; the line says how to go on.
    Interrupted(String),
    /// Whoever read our output has had enough.
    OutputClosed,
    /// A panic: a defect of the program.
    Defect(String),
}

impl Failure {
    /// Says why on standard error, and turns into an exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Input(line) => {
                anstream::eprintln!("convlens: {}", line.replace('\n', " "));
                ExitCode::from(BAD_INPUT)
            }
            Self::Interrupted(line) => {
                anstream::eprintln!("{line}");
                ExitCode::from(INTERRUPTED)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::Defect(message) => {
                let line = message.replace('\n', " ");
                anstream::eprintln!("convlens: a defect of the program, please report it: {line}");
                ExitCode::from(DEFECT)
            }
        }
    }

    /// A failure to write to standard output.
    pub fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Input(format!("standard output: {error}")),
        }
    }
}

impl From<UnknownPreset> for Failure {
    fn from(error: UnknownPreset) -> Self {
        Self::Input(error.to_string())
    }
}

//! Standard error: messages, warnings and the log.
//!
//! If standard error cannot be written to, there is nobody left to tell, and the work goes on. This
//! is why nothing in this program uses `eprintln!`, which panics.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use tracing_subscriber::EnvFilter;

use crate::printable::{printable, printable_styled};

/// What is logged unless `RUST_LOG` says otherwise: the warnings of this program's crates.
const WARNINGS: &str =
    "off,convlens=warn,convlens_analysis=warn,convlens_data=warn,convlens_run=warn,convlens_train=warn";

/// Writes a line to standard error.
pub fn message(text: impl AsRef<str>) {
    write(&printable(text.as_ref()));
}

/// Writes a line with colours to standard error; the colours are left out where they are turned off.
/// Anything that comes from data must have been made [`printable`] before.
pub fn styled_message(text: impl AsRef<str>) {
    write(&printable_styled(text.as_ref()));
}

fn write(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Sends the log to standard error: warnings, or what `RUST_LOG` asks for.
pub fn start_log() {
    let requested = EnvFilter::try_from_default_env().ok();
    // The name of the module is shown only to users who set `RUST_LOG`.
    let has_target = requested.is_some();
    let is_coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(requested.unwrap_or_else(|| WARNINGS.into()))
        .with_target(has_target)
        .with_ansi(is_coloured)
        .with_writer(move || LogWriter { is_coloured })
        .log_internal_errors(false) // these go through `eprintln!`
        .without_time()
        .init();
}

/// Writes the log line by line, and never fails.
struct LogWriter {
    is_coloured: bool,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches('\n');
        // The formatter escapes escape sequences in what it is given, so these are its own.
        if self.is_coloured {
            styled_message(text)
        } else {
            message(text)
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

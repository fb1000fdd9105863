//! `cargo xtask VERB …`: builds the binary in release and runs the verb; and the chores.

mod run_binary;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    run_binary::run(&arguments)
}

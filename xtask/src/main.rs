//! `cargo xtask VERB …`: builds the binary in release and runs the verb; and the chores.

mod bench;
mod run_binary;
mod web;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((verb, rest)) if verb == "bench" => bench::run(rest),
        Some((verb, rest)) if verb == "web" => web::run(rest),
        _ => run_binary::run(&arguments),
    }
}

//! `cargo xtask VERB …` builds `convlens` in release and runs the verb. `cargo xtask web` builds the page
//! first, and `cargo xtask bench` measures.

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

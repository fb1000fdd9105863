//! The examples of the crates, which show how each is used alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::binary;

/// Runs an example of a crate and returns what it prints. `cargo test --workspace` builds the examples.
fn run(name: &str, arguments: &[&str]) -> String {
    let folder = binary().parent().map(|folder| folder.join("examples")).expect("is in a folder");
    let example = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(example.exists(), "{} is not built; run: cargo build --release --workspace --examples", example.display());
    let output = Command::new(example).args(arguments).output().expect("starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("is text")
}

fn source(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of code between two marks, without blank lines.
fn lines_between(source: &str, from: &str, to: &str) -> usize {
    let start = source.find(from).expect("the first mark");
    let end = source[start..].rfind(to).expect("the second mark") + start;
    source[start..end].lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn texts_in_memory_are_trained_on_in_a_few_lines_and_the_run_is_read_by_others() {
    let printed = run("train_in_memory", &[]);
    assert!(printed.starts_with("praise, ") && printed.contains("A good film"), "{printed}");
    let folder = printed.lines().last().and_then(|line| line.strip_prefix("saved in ")).expect("a folder");

    let explained = run("explain", &[folder, "A dull film."]);
    assert!(explained.starts_with("blame, ") && explained.contains("A dull film"), "{explained}");
    let words = run("plane", &[folder, "good", "nonsense"]);
    assert!(words.contains("good at [") && words.contains("nonsense: not in the vocabulary"), "{words}");
    std::fs::remove_dir_all(Path::new(folder)).expect("is a folder of its own");

    let source = source("crates/learn/examples/train_in_memory.rs");
    assert!(lines_between(&source, "let run = fit", "Ok(())") <= 15);
}

#[test]
fn a_sound_is_continued_in_its_notes() {
    let printed = run("waveform", &[]);
    let lines: Vec<&str> = printed.lines().collect();
    let number = |line: &str| line.split(' ').next().and_then(|word| word.parse::<f64>().ok()).expect("a number");
    assert!(number(lines[0]) < 2.0, "nats per sample: {printed}");
    assert!(number(lines[1]) > 50.0, "per cent of the power: {printed}");
    let path = lines[2].strip_prefix("written to ").expect("a path");
    let wav = std::fs::read(path).expect("a file");
    assert_eq!((&wav[..4], wav.len()), (b"RIFF".as_slice(), 44 + 2 * 6_000));
    std::fs::remove_file(path).expect("is removed");
}

#[test]
fn an_encoder_of_ones_own_is_trained_explained_and_analysed() {
    let printed = run("own_encoder", &[]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("it is not good: blame"), "{printed}");
    assert!(lines[1].starts_with("it is not bad: praise"), "{printed}");
    let residual = lines[2].strip_prefix("the parts add up to ").and_then(|rest| rest.strip_suffix(" in 400 texts"));
    let residual: f64 = residual.and_then(|number| number.parse().ok()).expect("a number");
    assert!((0.0..1e-5).contains(&residual), "{printed}");
    let source = source("crates/learn/examples/own_encoder.rs");
    assert!(lines_between(&source, "use burn", "}\n") <= 60);
}

//! The recipes of `docs/architecture.md`: encoders and tasks are told apart only in the files that they name.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            rust_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The files of `crates/*/src` whose code outside of unit tests contains one of the patterns.
fn files_with(patterns: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates").map(|entry| entry.expect("an entry").path())
    {
        rust_files(&entry.join("src"), &mut files);
    }
    let mut found: Vec<String> = files
        .into_iter()
        .filter(|path| {
            let source = std::fs::read_to_string(path).expect("a file");
            let code = source.split("#[cfg(test)]\n").next().unwrap_or_default();
            let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            lines.any(|line| patterns.iter().any(|pattern| line.contains(pattern)))
        })
        .map(|path| path.strip_prefix(root()).expect("is in it").to_string_lossy().replace('\\', "/"))
        .collect();
    found.sort();
    found
}

#[test]
fn encoders_are_told_apart_only_where_the_recipe_says() {
    let files = files_with(&["EncoderConfig::", "Encoder::Linear", "EncoderName::"]);
    assert_eq!(
        files,
        [
            "crates/cli/src/verb/gradients.rs",
            "crates/cli/src/verb/receptive_field.rs", // from names to settings, for commands without a trained model
            "crates/learn/src/preset.rs",
            "crates/model/src/encoder/mod.rs",
            "crates/run/src/folded_run.rs", // writes a linear model
        ]
    );
}

#[test]
fn tasks_are_told_apart_only_where_the_recipe_says() {
    let of_tasks = files_with(&["Self::Classify", "Task::Classify", "Self::Tag,", "Task::Tag", "Task::LanguageModel"]);
    assert_eq!(
        of_tasks,
        [
            "crates/cli/src/source.rs", // how a file is read
            "crates/cli/src/verb/analyze/mod.rs",
            "crates/cli/src/verb/compare.rs",
            "crates/cli/src/verb/evaluate.rs",
            "crates/cli/src/verb/predict/mod.rs",
            "crates/cli/src/verb/probe.rs",
            "crates/cli/src/verb/train/mod.rs",
            "crates/cli/src/verb/train/plan.rs", // where a training begins
            "crates/cli/src/verb/web/bundle.rs",
            "crates/cli/src/verb/web/mod.rs",
            "crates/learn/src/fit.rs",
            "crates/learn/src/preset.rs",
            "crates/run/src/card.rs",
            "crates/run/src/config.rs",
            "crates/run/src/generator.rs",
            "crates/run/src/tagger.rs",
            "crates/run/src/testing.rs",
            "crates/train/src/evaluate.rs",
            "crates/web/src/training.rs",
        ]
    );
    let of_targets = files_with(&["Targets::Positions", "Self::Positions"]);
    let expected = ["crates/learn/src/objective.rs", "crates/learn/src/targets.rs", "crates/train/src/corpus.rs"];
    assert_eq!(of_targets, expected);
}

//! The first command of the README: train with no network, and phrase scores for two texts.

use crate::common::{Place, text};

/// The percentage that follows `accuracy ` in the program's output.
fn accuracy(output: &str) -> f64 {
    let after = output.split_once("accuracy ").unwrap_or_else(|| panic!("no accuracy in {output}")).1;
    let number = after.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or_else(|error| panic!("{number}: {error}"))
}

#[test]
fn training_without_network_falls_back_to_the_sample_and_explains_two_texts() {
    let place = Place::new();
    let output = place.run("train --analyze");
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{error}");
    assert!(error.contains("bundled SAMPLE") && error.contains("no connection to http://127.0.0.1:9"), "{error}");
    assert_eq!(out.lines().filter(|line| line.contains("bias (residual")).count(), 2, "{out}");
    let phrases = out.lines().filter(|line| line.starts_with("  +") || line.starts_with("  -")).count();
    assert!(phrases >= 4, "{out}");
    let last = out.lines().last().unwrap_or_default();
    assert!(last.starts_with("runs/sample-default: test accuracy ") && accuracy(last) > 80.0, "{out}");
    assert!(out.ends_with("; open runs/sample-default/analysis/report.html\n"), "{out}");
    assert!(!out.contains('\u{1b}'), "colours are for terminals only");

    let metrics = place.read_json("runs/sample-default/metrics.json");
    let keys = [
        "task",
        "preset",
        "dataset",
        "parameters",
        "receptive_field",
        "epochs",
        "best_epoch",
        "examples_per_second",
        "train_seconds",
        "peak_rss_bytes",
        "validation",
        "test",
    ];
    assert!(keys.iter().all(|key| !metrics[key].is_null()), "{metrics}");
    assert!(metrics["test"]["accuracy"].as_f64().expect("is a number") > 0.8, "{metrics}");
    assert!(text(&place.read("runs/sample-default/README.md")).starts_with("---\nlibrary_name: convlens"));
    let lines = text(&place.read("runs/sample-default/metrics.jsonl")).lines().count() as u64;
    assert_eq!(metrics["epochs"].as_u64(), Some(lines));

    let config = place.read_json("runs/sample-default/config.json");
    let burn = format!("name = \"burn\"\nversion = {}\n", config["burn"]);
    assert!(
        include_str!("../Cargo.lock").contains(&burn),
        "config.json names the version of Burn that the program was built with"
    );

    assert!(place.succeed("predict 'a good film'").starts_with("pos "));
    assert!(accuracy(&place.succeed("evaluate")) > 80.0);
}

#[test]
fn the_same_seed_trains_the_same_weights() {
    let place = Place::new();
    for (run, seed) in [("a", 7), ("b", 7), ("c", 8)] {
        place.succeed(&format!("train --dataset sample --epochs 1 --seed {seed} --out {run}"));
    }
    let [a, b, c] = ["a", "b", "c"].map(|run| place.read(&format!("{run}/model.safetensors")));
    assert!(a == b && a != c);
}

#[test]
fn data_lists_the_known_data_sets_and_describes_one() {
    let place = Place::new();
    let list = place.succeed("data");
    assert!(list.contains("imdb") && list.contains("for research"), "{list}");
    let sample = &place.json("data sample --json")[0];
    assert_eq!(sample["train"]["labels"]["neg"], 1500);
    assert_eq!(sample["test"]["unknown_words"], 0.0);
    assert!(sample["train"]["words"]["median"].as_u64() > Some(5));
}

#[test]
fn flags_override_the_configuration_file() {
    let place = Place::new();
    let config = place.file("run.toml", "dataset = \"sample\"\nepochs = 3\nseed = 4\nout = \"r\"\n");
    place.succeed(&format!("train --config {config} --epochs 1"));
    let written = place.read_json("r/config.json");
    assert_eq!((&written["training"]["epochs"], &written["training"]["seed"]), (&1.into(), &4.into()));
}

//! Runs that are killed, interrupted and resumed end with the same weights.

use std::process::Stdio;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::common::{Place, text};

const TRAIN: &str =
    "train --dataset sample --epochs 12 --patience 12 --batch-size 4 --ema-decay 0.95 --checkpoint-every 0.05";

/// The metrics of every epoch, except its time.
fn history(place: &Place, run: &str) -> Vec<Value> {
    let lines = text(&place.read(&format!("{run}/metrics.jsonl")));
    let without_time = |line: &str| {
        let mut epoch: Value = serde_json::from_str(line).expect("JSON");
        epoch["seconds"] = Value::Null;
        epoch
    };
    lines.lines().map(without_time).collect()
}

/// The weights and the optimiser's state in the last checkpoint.
fn checkpoint(place: &Place, run: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = place.read(&format!("{run}/checkpoints/latest.safetensors"));
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("SafeTensors");
    let mut tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    tensors.sort();
    tensors
}

fn assert_same(place: &Place, one: &str, other: &str) {
    let weights = |run: &str| place.read(&format!("{run}/model.safetensors"));
    assert!(weights(one) == weights(other), "the weights are the same, bit for bit");
    assert!(checkpoint(place, one) == checkpoint(place, other), "the optimiser's state is the same");
    assert_eq!(history(place, one), history(place, other));
}

#[test]
fn a_run_killed_at_twenty_random_moments() {
    let place = Place::new();
    place.succeed(&format!("{TRAIN} --out alone"));
    // A run is resumed once it has a configuration; before that it is begun.
    let begin_or_resume = || {
        let has_begun = place.path().join("killed/config.json").exists();
        format!("{TRAIN} --out killed{}", if has_begun { " --resume" } else { "" })
    };
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut killed = 0;
    while killed < 20 {
        let line = begin_or_resume();
        let mut child = place.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
        match child.try_wait().expect("a state") {
            None => {
                child.kill().expect("SIGKILL");
                child.wait().expect("ends");
                killed += 1;
            }
            // The run is finished, so another one takes the remaining kills.
            Some(status) => {
                assert!(status.success());
                assert_same(&place, "alone", "killed");
                std::fs::remove_dir_all(place.path().join("killed")).expect("removes");
            }
        }
    }
    place.succeed(&begin_or_resume());
    assert_same(&place, "alone", "killed");
}

#[test]
#[cfg(unix)]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_continue() {
    let place = Place::new();
    place.succeed(&format!("{TRAIN} --out alone"));
    // There are checkpoints only at the end of an epoch and at Ctrl-C.
    let begin = format!("{} --out stopped", TRAIN.replace("--checkpoint-every 0.05", "--checkpoint-every 1000"));
    let error = place.interrupt(&begin, "stopped/metrics.jsonl");
    let last = error.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("stopped at epoch ") && last.ends_with("convlens train --resume --out stopped"),
        "{error}"
    );
    place.succeed("train --resume --out stopped");
    assert_same(&place, "alone", "stopped");
}

#[test]
fn a_finished_run_stays_as_it_is_and_other_flags_are_refused() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    let weights = place.read("runs/r/model.safetensors");
    place.succeed("train --resume --out runs/r --seed 0");
    assert!(weights == place.read("runs/r/model.safetensors"));
    assert!(place.fail("train --resume --seed 1").contains("--seed: runs/r was begun with another"));
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let place = Place::new();
    let output = place.run("train --dataset sample --learning-rate 1e38 --out r");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.contains("no longer a finite number") && last.contains("smaller --learning-rate"), "{error}");
    for file in ["model.safetensors", "checkpoints/latest.safetensors", "metrics.jsonl"] {
        assert!(!place.path().join("r").join(file).exists(), "{file}");
    }
}

#[test]
fn the_weights_and_checkpoint_of_the_last_good_epoch_are_kept() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out r");
    let kept = ["model.safetensors", "checkpoints/latest.safetensors", "metrics.jsonl"]
        .map(|file| (format!("r/{file}"), place.read(&format!("r/{file}"))));
    // A second epoch at a learning rate that no model survives.
    let mut config = place.read_json("r/config.json");
    config["training"]["epochs"] = 2.into();
    config["training"]["learning_rate"] = 1e38.into();
    place.file("r/config.json", config.to_string());
    let error = place.fail_last("train --resume --out r");
    assert!(error.contains("no longer a finite number (epoch 2"), "{error}");
    for (file, content) in kept {
        assert!(place.read(&file) == content, "{file} is unchanged");
    }
    place.succeed("predict --run r x");
}

#[test]
fn a_run_killed_before_its_tokenizer_was_written_is_resumed() {
    let place = Place::new();
    for run in ["alone", "killed"] {
        place.succeed(&format!("train --dataset sample --epochs 1 --out {run}"));
    }
    for file in ["tokenizer.json", "model.safetensors", "checkpoints/latest.safetensors", "metrics.jsonl"] {
        std::fs::remove_file(place.path().join("killed").join(file)).expect("removes");
    }
    place.file("killed/.writing-abc", "half");
    place.succeed("train --resume --out killed");
    assert_same(&place, "alone", "killed");
    assert!(!place.path().join("killed/.writing-abc").exists());
    // A folder with files of the user's is not a run, with or without --resume.
    std::fs::create_dir(place.path().join("mine")).expect("makes");
    place.file("mine/tokenizer.json", "mine");
    assert!(place.fail("train --dataset sample --out mine").contains("mine: already exists"));
    assert!(place.fail("train --dataset sample --out mine --resume").contains("mine: not a run folder"));
}

#[test]
fn only_a_run_that_exists_is_resumed() {
    let place = Place::new();
    assert!(place.fail("train --resume --out nowhere").contains("nowhere: not a run folder"));
    let error = place.fail("train --resume");
    assert!(error.contains("runs: ") && error.contains("no run"), "{error}");
    std::fs::create_dir(place.path().join("empty")).expect("makes");
    assert!(place.fail("train --resume --out empty").contains("empty: not a run folder"));
}

#[test]
fn resume_prefers_an_interrupted_run() {
    let place = Place::new();
    for run in ["interrupted", "finished"] {
        place.succeed(&format!("train --dataset sample --epochs 1 --out runs/{run}"));
        // Files of the same second would be ambiguous on some file systems.
        std::thread::sleep(Duration::from_millis(1_100));
    }
    for file in ["metrics.json", "README.md", "model.safetensors", "checkpoints/latest.safetensors"] {
        std::fs::remove_file(place.path().join("runs/interrupted").join(file)).expect("removes");
    }
    place.succeed("train --resume");
    place.read("runs/interrupted/metrics.json");
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out r");
    let [config, checkpoint] = ["r/config.json", "r/checkpoints/latest.safetensors"].map(|file| place.read(file));
    let with_state = |from: &str, to: &str| {
        let tensors = safetensors::SafeTensors::deserialize(&checkpoint).expect("tensors");
        let (_, header) = safetensors::SafeTensors::read_metadata(&checkpoint).expect("a header");
        let state = header.metadata().as_ref().and_then(|metadata| metadata.get("state")).expect("a state");
        assert!(state.contains(from), "{state}");
        let state = state.replace(from, to);
        let bytes = safetensors::serialize(tensors.iter(), Some([("state".into(), state)].into())).expect("bytes");
        place.file("r/checkpoints/latest.safetensors", bytes);
        let error = place.fail_last("train --resume --out r");
        assert!(error.contains("r/checkpoints/latest.safetensors: damaged ("), "{error}");
        assert!(error.ends_with("train again with another --out"), "{error}");
        place.file("r/checkpoints/latest.safetensors", &checkpoint);
    };
    with_state("\"epoch\":2", "\"epoch\":1000000000000000000");
    with_state("\"step\":0", "\"step\":18446744073709551615");
    with_state("\"step\":0", "\"step\":1000");
    with_state("\"count\":0", "\"count\":18446744073709551615");
    with_state("\"epoch\":1,", "\"epoch\":7,");
    with_state("\"history\":[{", "\"history\":[null,{");

    // A sparse file of a terabyte is not read.
    let path = place.path().join("r/checkpoints/latest.safetensors");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    let error = place.fail_last("train --resume --out r");
    assert!(error.contains("latest.safetensors: damaged (it has 1099511627776 bytes"), "{error}");
    place.file("r/checkpoints/latest.safetensors", &checkpoint);

    for (setting, value) in [("batch_size", 0.into()), ("word_dropout", 7.into()), ("max_tokens", Value::from(0))] {
        let mut config: Value = serde_json::from_slice(&config).expect("JSON");
        config["training"][setting] = value;
        place.file("r/config.json", config.to_string());
        let error = place.fail_last("train --resume --out r");
        assert!(error.contains("r/config.json: ") && error.contains(setting), "{error}");
    }
    place.file("r/config.json", &config);
    let tokenizer = place.read("r/tokenizer.json");
    place.succeed("train --dataset sample --tokenizer characters --epochs 1 --out other");
    place.file("r/tokenizer.json", place.read("other/tokenizer.json"));
    assert!(place.fail_last("train --resume --out r").contains("r/tokenizer.json: "));
    // A tokenizer of the same size is another one too.
    let mut swapped: Value = serde_json::from_slice(&tokenizer).expect("JSON");
    let vocabulary = swapped["model"]["vocab"].as_object_mut().expect("a vocabulary");
    for id in vocabulary.values_mut() {
        *id = match id.as_u64() {
            Some(3) => 4.into(),
            Some(4) => 3.into(),
            _ => continue,
        };
    }
    place.file("r/tokenizer.json", swapped.to_string());
    let weights = place.read("r/model.safetensors");
    let error = place.fail_last("train --resume --out r");
    assert!(error.contains("r/tokenizer.json: not the tokenizer that this run was trained with"), "{error}");
    assert!(place.read("r/model.safetensors") == weights, "the weights have changed");
    place.file("r/tokenizer.json", tokenizer);

    let mut renamed: Value = serde_json::from_slice(&config).expect("JSON");
    renamed["labels"] = serde_json::json!(["pos", "neg"]);
    place.file("r/config.json", renamed.to_string());
    let error = place.fail_last("train --resume --out r");
    assert!(error.contains("config.json: its labels (pos, neg) are not those of sample (neg, pos)"), "{error}");
    assert!(place.fail("evaluate --run r").contains("config.json: its labels (pos, neg)"));
}

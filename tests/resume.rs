//! Killed, interrupted, resumed: the same weights in the end.

use std::process::{Command, Stdio};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::common::{Place, text};

const TRAIN: &str = "train --dataset sample --epochs 12 --patience 12 --batch-size 4 --checkpoint-every 0.05";

/// The metrics of every epoch, but for how long it took.
fn history(place: &Place, run: &str) -> Vec<Value> {
    let lines = text(&place.read(&format!("{run}/metrics.jsonl")));
    let without_time = |line: &str| {
        let mut epoch: Value = serde_json::from_str(line).expect("JSON");
        epoch["seconds"] = Value::Null;
        epoch
    };
    lines.lines().map(without_time).collect()
}

/// The weights and the optimiser's state as the last checkpoint has them.
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
    assert!(checkpoint(place, one) == checkpoint(place, other), "and so is the optimiser's state");
    assert_eq!(history(place, one), history(place, other));
}

#[test]
fn killed_at_twenty_random_moments() {
    let place = Place::new();
    place.succeed(&format!("{TRAIN} --out alone"));
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let mut killed = 0;
    while killed < 20 {
        let resume = format!("{TRAIN} --out killed --resume");
        let mut child = place.command(&resume).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(rng.random_range(0..150)));
        match child.try_wait().expect("a state") {
            None => {
                child.kill().expect("SIGKILL");
                child.wait().expect("ends");
                killed += 1;
            }
            // Finished already: begin again, for the kills that are left.
            Some(status) => {
                assert!(status.success());
                assert_same(&place, "alone", "killed");
                std::fs::remove_dir_all(place.path().join("killed")).expect("removes");
            }
        }
    }
    place.succeed(&format!("{TRAIN} --out killed --resume"));
    assert_same(&place, "alone", "killed");
}

#[test]
#[cfg(unix)]
fn ctrl_c_writes_a_checkpoint_and_says_how_to_go_on() {
    let place = Place::new();
    place.succeed(&format!("{TRAIN} --out alone"));
    // Only at the end of an epoch and at Ctrl-C is there a checkpoint.
    let begin = format!("{} --out stopped", TRAIN.replace("--checkpoint-every 0.05", "--checkpoint-every 1000"));
    let mut child = place.command(&begin).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    place.wait_for("stopped/metrics.jsonl", &mut child);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("sends");
    let output = child.wait_with_output().expect("ends");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("stopped at epoch ") && last.ends_with("convlens train --resume --out stopped"),
        "{error}"
    );
    place.succeed("train --resume --out stopped");
    assert_same(&place, "alone", "stopped");
}

#[test]
fn a_finished_run_is_finished_and_other_flags_are_refused() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    let weights = place.read("runs/r/model.safetensors");
    place.succeed("train --resume --out runs/r --seed 0");
    assert!(weights == place.read("runs/r/model.safetensors"));
    assert!(place.fail("train --resume --seed 1").contains("--seed: runs/r was begun with another"));
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let place = Place::new();
    let output = place.run("train --dataset sample --learning-rate 1e38 --out r");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.contains("no longer a number") && last.contains("smaller --learning-rate"), "{error}");
}

#[test]
fn a_run_killed_before_its_tokenizer_was_written_is_taken_up() {
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
    // A folder with something of the user's in it is no run's, with or without --resume.
    std::fs::create_dir(place.path().join("mine")).expect("makes");
    place.file("mine/tokenizer.json", "mine");
    assert!(place.fail("train --dataset sample --out mine").contains("mine: exists already"));
    assert!(place.fail("train --dataset sample --out mine --resume").contains("mine: no run folder"));
}

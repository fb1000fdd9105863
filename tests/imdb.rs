//! The accuracy that the presets reach on the real IMDB. Skipped if `../shared` does not have it.

use crate::common::{Place, shared, skip};

fn train(place: &Place, preset: &str) -> f64 {
    let Some(home) = shared("hf-home") else { unreachable!("the test has checked that it exists") };
    let line = format!("train --preset {preset} --dataset imdb --out runs/{preset} --json");
    let output = place.command(&line).env("HF_HOME", home).output().expect("starts");
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    place.read_json(&format!("runs/{preset}/metrics.json"))["test"]["accuracy"].as_f64().expect("is a number")
}

// The bounds are those of docs/imdb.md. PyTorch and Keras reach 0.878 to 0.887 with the model of `seed`.
#[test]
fn the_presets_reach_the_accuracy_that_the_documentation_states() {
    if shared("hf-home").is_none() {
        return skip("imdb", "no Hub cache in ../shared/hf-home");
    }
    let place = Place::new();
    let seed = train(&place, "seed");
    let linear = train(&place, "linear");
    let default = train(&place, "default");
    assert!(seed >= 0.875, "seed: {seed}");
    assert!(linear > seed, "linear: {linear}, seed: {seed}");
    assert!(default >= 0.92, "default: {default}");
    let label = |text: &str| place.succeed(&format!("predict --run runs/default '{text}'"))[..3].to_owned();
    for (text, expected) in [
        ("A good film, and not a boring one.", "pos"),
        ("A bad film, and not an interesting one.", "neg"),
        ("It is not a bad film.", "pos"),
        ("It is not a good film.", "neg"),
    ] {
        assert_eq!(label(text), expected, "{text}");
    }
    assert_eq!(place.read_json("runs/seed/metrics.json")["parameters"], 652_417);
}

//! `convlens-phrases`: the example reads what `export --folded` writes, and the crate does not need Burn.

use std::path::Path;
use std::process::Command;

use crate::common::{Place, binary, text};

const TEXTS: [&str; 2] = ["a good film, and not a boring one", "a bad film"];

/// `cargo test --workspace` builds the examples next to the binary.
fn read_folded(place: &Place, arguments: &[&str]) -> std::process::Output {
    let example = Path::new("examples").join(format!("read_folded{}", std::env::consts::EXE_SUFFIX));
    let program = binary().with_file_name("").join(example);
    assert!(program.exists(), "{} is not built; run: cargo test --release --workspace", program.display());
    Command::new(program).args(arguments).current_dir(place.path()).output().expect("starts")
}

/// With a temperature that is not 1, and with padding that counts.
#[test]
fn the_example_gives_the_predictions_of_the_program() {
    let place = Place::new();
    for preset in ["linear", "seed"] {
        place.succeed(&format!("train --preset {preset} --dataset sample --epochs 1 --out {preset}"));
        let folded = format!("folded-{preset}");
        let line = place.succeed(&format!("export --folded --run {preset} --out {folded}"));
        assert!(line.starts_with(&format!("{folded}: ")) && line.contains("3 places × 1 logits"), "{line}");
        let output = read_folded(&place, &[&folded, TEXTS[0], TEXTS[1]]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        let mut lines = printed.lines();
        for words in TEXTS {
            let of_layers = &place.json(&format!("predict --run {preset} --json '{words}'"))[0];
            let prediction = &place.json(&format!("predict --run {folded} --json '{words}'"))[0];
            assert_eq!(prediction["phrases"].as_array().map(Vec::len), of_layers["phrases"].as_array().map(Vec::len));
            let probability = |prediction: &serde_json::Value| prediction["probability"].as_f64().expect("a number");
            assert!((probability(prediction) - probability(of_layers)).abs() < 1e-5, "{prediction} {of_layers}");
            let line = lines.next().expect("a line with the label");
            let (label, printed) = line.split_once(' ').expect("two values");
            assert_eq!(Some(label), prediction["label"].as_str());
            assert!((printed.parse::<f64>().expect("a number") - probability(prediction)).abs() < 1e-4, "{line}");
            let mut strongest: Vec<(f64, &str)> = prediction["phrases"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|phrase| {
                    (phrase["score"]["pos"].as_f64().expect("a number"), phrase["text"].as_str().expect("text"))
                })
                .collect();
            strongest.sort_by(|(one, _), (other, _)| other.abs().total_cmp(&one.abs()));
            for (score, _) in strongest.into_iter().take(5) {
                let line = lines.next().expect("a line with a phrase");
                let printed: f64 = line.split(' ').next().and_then(|score| score.parse().ok()).expect("a score");
                assert!((printed - score).abs() < 2e-4, "{line} is not {score}");
            }
        }
        assert_eq!(lines.next(), None);
    }
    let output = read_folded(&place, &["linear", "a film"]);
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("NotFolded"), "{error}");
    assert!(
        place
            .fail("export --folded --run linear --out folded-linear")
            .contains("folded-linear: this folder is not empty")
    );
}

#[test]
fn it_does_not_depend_on_burn() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let arguments =
        ["tree", "--package", "convlens-phrases", "--edges", "normal", "--prefix", "none", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().expect("starts");
    let tree = text(&output.stdout);
    assert!(output.status.success() && tree.contains("convlens-text"), "{}", text(&output.stderr));
    let heavy = |line: &&str| {
        ["burn", "convlens-model", "convlens-run", "tokenizers"].iter().any(|name| line.starts_with(name))
    };
    assert_eq!(tree.lines().find(heavy), None, "{tree}");
}

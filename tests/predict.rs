//! `predict` and `evaluate`: JSON that adds up.

use std::io::Write;
use std::process::Stdio;

use crate::common::{Place, text};

fn trained(preset: &str) -> Place {
    let place = Place::new();
    place.succeed(&format!("train --dataset sample --preset {preset} --epochs 2 --out runs/r"));
    place
}

#[test]
fn phrases_bias_and_residual_sum_to_the_logit() {
    for preset in ["default", "seed", "relu"] {
        let place = trained(preset);
        let texts = ["A good film, and not a boring one!", "", "ünïcödé ☃ is a good 🎬 film", "good"];
        for expected in texts {
            let prediction = &place.json(&format!("predict --json '{expected}'"))[0];
            assert_eq!(prediction["text"], expected);
            let number = |value: &serde_json::Value| value["pos"].as_f64().expect("a number");
            let phrases = prediction["phrases"].as_array().expect("phrases");
            let sum: f64 = phrases.iter().map(|phrase| number(&phrase["score"])).sum();
            let residual = number(&prediction["residual"]);
            let logit = number(&prediction["logits"]);
            assert!((number(&prediction["bias"]) + sum + residual - logit).abs() < 1e-9, "{prediction}");
            assert!(residual.abs() < 1e-4, "{prediction}");
            let probability = prediction["probabilities"]["pos"].as_f64().expect("a number");
            assert!((probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-9);

            // Offsets count code points, as Python does.
            let characters: Vec<char> = expected.chars().collect();
            for token in prediction["tokens"].as_array().expect("tokens") {
                let at = |key: &str| token[key].as_u64().expect("an offset") as usize;
                let word: String = characters[at("start")..at("end")].iter().collect();
                let name = token["token"].as_str().expect("a token");
                assert!(name == word.to_lowercase() || name.starts_with('['), "{token} is not {word:?}");
            }
        }
    }
}

#[test]
fn a_phrases_score_does_not_depend_on_what_stands_beside_it_in_a_batch() {
    let place = trained("default");
    let short = "a good film";
    let alone = place.json(&format!("predict --json '{short}'"));
    let long = "dull ".repeat(500);
    let beside = place.json(&format!("predict --json '{long}' '{short}'"));
    assert_eq!(alone[0], beside[1]);
}

#[test]
fn lines_columns_and_standard_input_give_the_same() {
    let place = trained("default");
    let lines = place.file("texts.txt", "a good film\nnot a good film\n");
    let table = place.file("texts.csv", "id,review\n1,a good film\n2,not a good film\n");
    let from_lines = place.succeed(&format!("predict --json --file {lines}"));
    let from_table = place.succeed(&format!("predict --json --file {table} --text-column review"));
    let mut child =
        place.command("predict --json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("a pipe").write_all(b"a good film\r\nnot a good film").expect("writes");
    let from_stdin = text(&child.wait_with_output().expect("ends").stdout);
    assert!(from_lines == from_table && from_lines == from_stdin && from_lines.lines().count() == 2);
}

#[test]
fn the_brief_way_gives_the_same_labels_and_probabilities() {
    for preset in ["default", "seed", "relu"] {
        let place = trained(preset);
        let texts = ["a good film", "not a good film", "good", "dull", "ünïcödé ☃", &"a dull film ".repeat(300)];
        let lines = place.file("texts.txt", texts.join("\n"));
        let rows: String = texts.iter().map(|text| format!("{}\n", serde_json::json!({ "text": text }))).collect();
        let table = place.file("texts.jsonl", rows);
        let explained = place.json(&format!("predict --json --file {lines}"));
        let brief = place.json(&format!("predict --json --brief --file {lines}"));
        assert_eq!(brief, place.json(&format!("predict --json --brief --file {table}")));
        assert_eq!(brief.len(), texts.len());
        for (explained, brief) in explained.iter().zip(&brief) {
            assert_eq!(explained["label"], brief["label"]);
            let [a, b] = [explained, brief].map(|object| object["probability"].as_f64().expect("a number"));
            assert!((a - b).abs() < 1e-5, "{preset}: {a} and {b}");
        }
        let shown = place.succeed("predict --brief 'a good film'");
        assert!(shown.ends_with(" %\n") && shown.lines().count() == 1, "{shown}");
    }
}

#[test]
fn a_review_of_ten_megabytes_is_read() {
    let place = trained("default");
    let file = place.file("long.txt", "a good film ".repeat(900_000));
    let shown = place.succeed(&format!("predict --file {file}"));
    assert!(shown.starts_with("pos "));
}

#[test]
fn evaluation_agrees_with_training() {
    let place = trained("default");
    let metrics = place.read_json("runs/r/metrics.json");
    let evaluation = &place.json("evaluate --json")[0]["evaluation"];
    for key in ["accuracy", "loss"] {
        let [a, b] = [&metrics["test"][key], &evaluation[key]].map(|value| value.as_f64().expect("a number"));
        assert!((a - b).abs() < 1e-6, "{key}: {a} and {b}");
    }
    assert_eq!(evaluation["confusion"].as_array().map(Vec::len), Some(2));
    assert!(evaluation["calibration_error"].as_f64() < Some(0.3));
}

// import torch, safetensors.torch
// model = torch.nn.ModuleDict(dict(embed=torch.nn.Embedding(…), head=torch.nn.Conv1d(128, 1, 1)))  # docs/pytorch.md
#[test]
fn weights_have_pytorchs_names_and_layout() {
    let place = trained("default");
    let bytes = place.read("runs/r/model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("SafeTensors");
    let vocabulary = place.read_json("runs/r/config.json")["model"]["vocab_size"].as_u64().expect("a size") as usize;
    let mut shapes: Vec<(String, Vec<usize>)> =
        tensors.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect();
    shapes.sort();
    let expected = [
        ("embed.weight", vec![vocabulary, 32]),
        ("encoder.conv.weight", vec![128, 32, 3]),
        ("head.bias", vec![1]),
        ("head.weight", vec![1, 128, 1]),
    ];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_owned(), shape)));
}

#[test]
fn logs_are_shown_where_they_are_asked_for() {
    let place = trained("default");
    let error = |log: &str| text(&place.command("predict x").env("RUST_LOG", log).output().expect("starts").stderr);
    assert!(error("info").contains("run folder: runs/r"));
    assert!(error("warn").is_empty());
}

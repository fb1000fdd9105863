//! `predict` and `evaluate`: scores that sum to logits, and every way to give texts.

use std::io::Write;
use std::process::Stdio;

use crate::common::{Place, text};

fn trained(preset: &str) -> Place {
    let place = Place::new();
    place.succeed(&format!("train --dataset sample --preset {preset} --epochs 2 --out runs/r"));
    place
}

fn temperature(place: &Place) -> f64 {
    place.read_json("runs/r/config.json")["temperature"].as_f64().expect("a number")
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
            let sigmoid = 1.0 / (1.0 + (-logit / temperature(&place)).exp());
            assert!((probability - sigmoid).abs() < 1e-9, "{probability} and {sigmoid}");

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
fn a_score_does_not_depend_on_the_rest_of_the_batch() {
    let place = trained("default");
    let short = "a good film";
    let alone = place.json(&format!("predict --json '{short}'"));
    let long = "dull ".repeat(500);
    let together = place.json(&format!("predict --json '{long}' '{short}'"));
    assert_eq!(alone[0], together[1]);
}

#[test]
fn lines_columns_and_standard_input_give_the_same_output() {
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
fn brief_output_has_the_same_labels_and_probabilities() {
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
fn texts_that_the_model_cuts_are_counted() {
    let place = trained("seed");
    let lines = place.file("texts.txt", format!("{0}\na good film\n{0}\n", "good ".repeat(500)));
    for flags in ["", "--brief", "--json"] {
        let output = place.run(&format!("predict {flags} --file {lines}"));
        let error = text(&output.stderr);
        assert!(output.status.success() && error.lines().count() == 1, "{error}");
        let expected = "2 texts have more tokens than this model reads; only the last 400 tokens of each count";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn evaluation_of_many_labels_is_short() {
    let place = Place::new();
    let rows: String = (0..620).map(|row| format!("word{0} text,label{0}\n", row % 31)).collect();
    place.file("many.csv", format!("text,label\n{rows}"));
    place.succeed("train --data many.csv --epochs 1 --out runs/r");
    let shown = place.succeed("evaluate");
    assert!(shown.contains("has more than 30 columns; --json prints it"), "{shown}");
    assert!(shown.lines().count() < 40, "{shown}");
    let confusion = &place.json("evaluate --json")[0]["evaluation"]["confusion"];
    assert_eq!(confusion.as_array().map(Vec::len), Some(31));
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
    for key in ["accuracy", "loss", "calibration_error"] {
        let [a, b] = [&metrics["test"][key], &evaluation[key]].map(|value| value.as_f64().expect("a number"));
        assert!((a - b).abs() < 1e-6, "{key}: {a} and {b}");
    }
    assert_eq!(evaluation["confusion"].as_array().map(Vec::len), Some(2));
    assert!(evaluation["calibration_error"].as_f64() < Some(0.3));
}

/// A temperature is fitted on the validation split: it lowers the loss there, and `predict` divides logits by
/// it.
#[test]
fn probabilities_are_calibrated() {
    let place = trained("default");
    let temperature = temperature(&place);
    assert!(temperature.is_finite() && (temperature - 1.0).abs() > 1e-6, "{temperature}");
    let metrics = place.read_json("runs/r/metrics.json");
    let best = metrics["best_epoch"].as_u64().expect("a number") as usize;
    let epochs = text(&place.read("runs/r/metrics.jsonl"));
    let epoch: serde_json::Value = serde_json::from_str(epochs.lines().nth(best - 1).expect("an epoch")).expect("JSON");
    let loss = |metrics: &serde_json::Value| metrics["validation"]["loss"].as_f64().expect("a number");
    assert!(loss(&metrics) < loss(&epoch), "{metrics} {epoch}");
    let prediction = &place.json("predict --json 'a good film'")[0];
    let [logit, probability] = [&prediction["logits"]["pos"], &prediction["probabilities"]["pos"]]
        .map(|value| value.as_f64().expect("a number"));
    let expected = 1.0 / (1.0 + (-logit / temperature).exp());
    assert!((probability - expected).abs() < 1e-9, "{probability} and {expected}");
    let brief = place.json("predict --brief --json 'a good film'")[0]["probability"].as_f64().expect("a number");
    assert!((brief - expected.max(1.0 - expected)).abs() < 1e-6, "{brief} and {expected}");
}

// import torch, safetensors.torch
// model = torch.nn.ModuleDict(dict(embed=torch.nn.Embedding(…), head=torch.nn.Conv1d(128, 1, 1)))  # docs/pytorch.md
#[test]
fn weights_have_pytorchs_names_and_layout() {
    let place = trained("linear");
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
fn the_log_is_shown_on_request() {
    let place = trained("default");
    let error = |log: &str| text(&place.command("predict x").env("RUST_LOG", log).output().expect("starts").stderr);
    assert!(error("info").contains("run folder: runs/r"));
    assert!(error("warn").is_empty());
}

#[test]
fn each_phrase_is_shown_with_the_label_that_it_supports() {
    let place = trained("default");
    let shown = place.succeed("predict 'a good film. A dull plot.'");
    let lines: Vec<&str> = shown.lines().collect();
    let [_, phrases @ .., logit] = lines.as_slice() else { panic!("{shown}") };
    assert!(phrases.iter().any(|line| line.starts_with("  +")), "{shown}");
    assert!(phrases.iter().any(|line| line.starts_with("  -")), "{shown}");
    for line in phrases {
        let expected = if line.starts_with("  -") { " for neg  " } else { " for pos  " };
        assert!(line.contains(expected), "{line}");
    }
    assert!(logit.starts_with("  logit of pos: ") && logit.contains(" phrases "), "{shown}");

    place.file("stars.csv", format!("text,label\n{}", "awful,bad\nfine,fair\nsplendid,good\n".repeat(60)));
    place.succeed("train --data stars.csv --epochs 2 --learning-rate 0.01 --batch-size 8 --out runs/stars");
    let shown = place.succeed("predict --run runs/stars 'splendid'");
    assert!(shown.contains("for good  ") && shown.contains("logit of good: "), "{shown}");
}

#[test]
fn blank_texts_are_predicted_without_evidence_and_counted() {
    let place = trained("default");
    place.file("texts.txt", "\u{feff}good\n\n  \ndull\n");
    for flags in ["--json", "--json --brief"] {
        let output = place.run(&format!("predict --file texts.txt {flags}"));
        let error = text(&output.stderr);
        assert!(output.status.success() && text(&output.stdout).lines().count() == 4, "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("texts.txt: 2 lines are blank (the first is line 2)"), "{error}");
    }
    let with_mark = &place.json("predict --json --file texts.txt")[0];
    assert_eq!(with_mark, &place.json("predict --json good")[0], "a byte-order mark is not part of the text");
    let blank = &place.json("predict --json '  '")[0];
    assert_eq!(blank["text"], "  ");
    assert!(text(&place.run("predict good ''").stderr).contains("text 2 is blank"));
}

#[test]
#[cfg(unix)]
fn a_pipe_is_read_like_a_file_of_lines() {
    let place = trained("default");
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", "exec \"$0\" predict --brief --file <(printf 'good\\ndull\\n')"]).arg(crate::common::binary());
    let output = shell.current_dir(place.path()).stdin(Stdio::null()).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 2);
}

#[test]
fn columns_belong_to_files_that_have_them() {
    let place = trained("default");
    place.file("texts.txt", "good\n");
    let error = place.fail("predict --file texts.txt --text-column review");
    assert!(error.contains("--text-column review: texts.txt is read line by line"), "{error}");
}

/// Whether a terminal would show the bytes as they are: no control characters but line breaks and this
/// program's colours, which end in `m`.
fn is_harmless(bytes: &[u8]) -> bool {
    let text = text(bytes);
    let mut rest = text.as_str();
    while let Some(start) = rest.find('\u{1b}') {
        let Some(sequence) = rest[start..].strip_prefix("\u{1b}[") else { return false };
        let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';');
        let Some(end) = end.filter(|&end| sequence[end..].starts_with('m')) else { return false };
        rest = &sequence[end..];
    }
    !text.contains(|c: char| c.is_control() && c != '\n' && c != '\u{1b}' || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn nothing_from_data_steers_the_terminal() {
    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1A\u{202e}\u{7f}\rx";
    assert!(!is_harmless(HOSTILE.as_bytes()) && is_harmless("\u{1b}[1mneg\u{1b}[0m\n".as_bytes()));
    let place = Place::new();
    let rows = format!("good one,p{HOSTILE}\nbad one,n{HOSTILE}\n").replace('\r', "");
    place.file("data.csv", format!("text,label\n{}", rows.repeat(40)));
    let train = place.run("train --data data.csv --epochs 1 --out runs/r");
    assert!(train.status.success(), "{}", text(&train.stderr));
    let lines = place.file("texts.txt", format!("good {HOSTILE}\n").repeat(2));
    let commands = [
        format!("predict --file {lines}"),
        format!("predict --json --file {lines}"),
        format!("predict --brief --file {lines}"),
        format!("predict --brief --json --file {lines}"),
        "evaluate".into(),
        "evaluate --json".into(),
        "evaluate --dataset sample".into(),
        "data --data data.csv".into(),
        format!("data --data data.csv --label-column 'x{HOSTILE}'"),
        format!("predict --device '{HOSTILE}' x"),
        format!("predict --file 'x{HOSTILE}'"),
        format!("predict --run 'x{HOSTILE}' x"),
    ];
    for colour in [false, true] {
        for line in &commands {
            let mut command = place.command(line);
            if colour {
                command.env("CLICOLOR_FORCE", "1");
            }
            let output = command.env("RUST_LOG", "debug").output().expect("starts");
            assert!(is_harmless(&output.stdout), "{line}: {:?}", text(&output.stdout));
            assert!(is_harmless(&output.stderr), "{line}: {:?}", text(&output.stderr));
        }
    }
    assert!(is_harmless(&train.stdout) && is_harmless(&train.stderr));
    let read = &place.json(&format!("predict --json --file {lines}"))[0]["text"];
    assert_eq!(read, &format!("good {HOSTILE}"), "JSON keeps the text");
}

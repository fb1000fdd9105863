//! Every encoder: training, explanations, analysis, comparison, receptive fields and gradients.

use serde_json::Value;

use crate::common::Place;

/// The presets that no other test trains.
const PRESETS: [&str; 11] =
    ["conv", "best", "plain", "residual", "dense", "dilated", "bytenet", "gated", "lstm", "bilstm", "gru"];

#[test]
fn every_preset_is_trained_explained_and_analysed() {
    for preset in PRESETS {
        let place = Place::new();
        let small = "--dataset sample --epochs 1 --vocab-size 200 --word-dropout 0 --out runs/r";
        place.succeed(&format!("train --preset {preset} {small}"));
        for text in ["A good film, and not a boring one!", "", "good"] {
            let prediction = &place.json(&format!("predict --json '{text}'"))[0];
            let number = |value: &Value| value["pos"].as_f64().expect("a number");
            let sum: f64 = prediction["phrases"].as_array().expect("phrases").iter().map(|p| number(&p["score"])).sum();
            let parts = number(&prediction["bias"]) + sum;
            // The empty text has one token, the start token.
            assert!((parts - number(&prediction["logits"])).abs() < 1e-4, "{preset}: {prediction}");
        }
        let found = &place.json("analyze --texts 20 --json")[0];
        assert!(found["certificate"]["phrases"]["max"].as_f64().expect("a residual") < 1e-4, "{preset}: {found}");
        assert!(place.path().join("runs/r/analysis/report.html").exists());
    }
}

#[test]
fn model_settings_are_changed_by_their_path() {
    let place = Place::new();
    let small = "--dataset sample --epochs 1 --vocab-size 200 --out runs/r";
    let set = "--set encoder.layer.causal=true --set encoder.layer.layer_norm=true --set encoder.layer.weight_norm=true \
        --set 'encoder.downsampling={\"stride\":{\"by\":2}}' --set encoder.layers=2 --set pooling=max";
    place.succeed(&format!("train --preset plain {small} {set}"));
    assert_eq!(place.read_json("runs/r/metrics.json")["receptive_field"], 7);
    let found = &place.json("analyze --texts 20 --json")[0];
    assert!(found["certificate"]["phrases"]["max"].as_f64().expect("a residual") < 1e-4, "{found}");
    assert_eq!(found["certificate"]["exactness"], "exact-where-largest");
    assert!(place.fail("train --preset conv --set encoder.width=3").contains("there is no width (known: type"));
    assert!(place.fail(&format!("train --resume {small} --set pooling=mean")).contains("--set: runs/r"));
    assert!(place.fail(&format!("train --resume {small} --set poling=mean")).contains("there is no poling"));
    for (huge, expected) in [
        ("hidden=100000000000", "16384 or less"),
        ("hidden=1000000", "16384 or less"),
        ("layers=9999999", "4096 or less"),
    ] {
        let error = place.fail(&format!("train --preset plain --dataset sample --set encoder.{huge}"));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn presets_are_compared_and_an_interrupted_comparison_goes_on() {
    let place = Place::new();
    let line = "compare --presets default,relu --dataset sample --epochs 1 --out runs/c";
    place.succeed("train --preset default --dataset sample --epochs 1 --out runs/c/default");
    let before = place.read("runs/c/default/metrics.json");
    let table = place.succeed(line);
    assert!(table.contains("default") && table.contains("relu") && table.lines().count() == 4, "{table}");
    assert_eq!(before, place.read("runs/c/default/metrics.json"), "a finished run is not trained again");
    let rows = place.read_json("runs/c/comparison.json");
    assert!(rows[1]["examples_per_second"].as_f64() > Some(0.0) && rows[1]["metrics"]["receptive_field"] == 3);
    let pairs = &rows[0]["pairs"]["all"];
    assert!(pairs["count"] == 100 && table.contains("minimal pairs"), "{table}");
    assert!(table.contains(&format!("{} of 100", pairs["passed"])), "{table}");
    assert!(place.read("runs/c/comparison.svg").starts_with(b"<svg"));
    assert!(place.fail("compare --presets default,worst").contains("no preset is called"));
    place.file("data.csv", format!("what,how\n{}", "good,plus\nbad,minus\n".repeat(30)));
    let columns = "--text-column what --label-column how";
    place.succeed(&format!("compare --presets relu --data data.csv {columns} --epochs 1 --out runs/own"));
    assert_eq!(place.read_json("runs/own/comparison.json")[0]["metrics"]["dataset"], "data.csv");
    assert!(place.read_json("runs/own/comparison.json")[0]["pairs"].is_null(), "plus and minus are not sentiments");
    assert!(place.fail("compare --presets relu --text-column what").contains("--data"));
    assert!(place.fail("compare --presets relu --dataset sample --out runs/own").contains("--data: runs/own"));
    assert!(place.fail(&format!("{line} --seed 1")).contains("--seed: runs/c"));
    assert!(place.fail(&line.replace(" --epochs 1", "")).contains("--epochs: runs/c"));
    place.succeed("train --preset relu --dataset sample --epochs 1 --set encoder.filters=2 --out runs/set/relu");
    let set = place.fail("compare --presets relu --dataset sample --epochs 1 --out runs/set");
    assert!(set.contains("--presets: runs/set/relu was trained with another value"), "{set}");
    place.succeed("train --preset relu --dataset sample --epochs 1 --out runs/mixed/relu");
    let mixed = place.fail(&format!("compare --presets relu --epochs 1 --data data.csv {columns} --out runs/mixed"));
    assert!(mixed.contains("--data: runs/mixed/relu"), "{mixed}");
}

#[test]
fn presets_of_every_task_are_compared() {
    let place = Place::new();
    let line = "compare --task tag --presets tagger,relu --dataset sample --epochs 1 --out runs/tag";
    let table = place.succeed(line);
    assert!(table.contains("training, sentences/s") && !table.contains("perplexity"), "{table}");
    let before = place.read("runs/tag/relu/metrics.json");
    place.succeed(line);
    assert_eq!(before, place.read("runs/tag/relu/metrics.json"), "a finished run is not trained again");
    let text = place.file("story.txt", "the cat sees me.\nthe dog hears me.\n".repeat(200));
    let table =
        place.succeed(&format!("compare --task lm --presets lstm,six-words --data {text} --epochs 1 --out runs/lm"));
    assert!(table.contains("test perplexity") && table.contains("bits per character"), "{table}");
    let rows = place.read_json("runs/lm/comparison.json");
    let speed = rows[1]["examples_per_second"].as_f64();
    assert!(speed > Some(0.0) && rows[1]["metrics"]["task"] == "lm" && rows[0]["pairs"].is_null(), "{rows}");
    assert!(place.read("runs/lm/comparison.svg").starts_with(b"<svg"));
    for (line, expected) in [
        ("compare --presets tagger,six-words --dataset sample", "--presets six-words: this preset is for --task lm"),
        (
            "compare --task classify --presets tagger --dataset sample",
            "--presets tagger: this preset is for --task tag",
        ),
        ("compare --task lm --presets lstm --data data.txt --label-map a=b", "--label-map: plain texts have no such"),
    ] {
        let error = place.fail(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

// A signal to the comparison alone, as a supervisor sends it, is passed on to the training. A terminal
// sends its signal to both processes, and the training counts it once.
#[test]
#[cfg(unix)]
fn an_interrupted_comparison_loses_nothing() {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    let place = Place::new();
    for (signal, to_all) in [("-INT", false), ("-TERM", false), ("-INT", true)] {
        let out = format!("runs/of{signal}-{to_all}");
        let line = format!("compare --presets dilated,default --dataset sample --epochs 3 --out {out}");
        let mut command = place.command(&line);
        let child = command.process_group(0).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("starts");
        place.wait_for(&format!("{out}/dilated/metrics.jsonl"), &mut child);
        let to = format!("{}{}", if to_all { "-" } else { "" }, child.id());
        Command::new("kill").args([signal, "--", &to]).status().expect("sends");
        let output = child.wait_with_output().expect("ends");
        let error = crate::common::text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{signal} to {to}: {error}");
        assert!(error.contains("nothing is lost"), "{signal} to {to}: {error}");
        assert_eq!(error.lines().last(), Some("stopped at dilated; run the same command again to continue"));
        place.succeed(&line);
    }
}

#[test]
fn receptive_fields_are_measured_without_training() {
    let place = Place::new();
    let shown = place.succeed("receptive-field --encoder dilated --layers 3 --hidden 4 --plot field.svg");
    assert!(shown.contains("29 tokens") && shown.contains("they agree"), "{shown}");
    assert!(place.read("field.svg").starts_with(b"<svg"));
    let field = &place.json("receptive-field --encoder plain --layers 2 --stride 2 --causal --hidden 4 --json")[0];
    assert_eq!((&field["formula"], &field["stride"]), (&field["measured"], &Value::from(4)));
    assert!(place.fail("receptive-field --encoder conv --plot field.txt").contains("--plot field.txt: name a .svg"));
    assert!(place.fail("receptive-field --encoder plain --layers 0").contains("1 or more"));
    assert!(
        place.fail("receptive-field --encoder lstm --layers 2").contains("--layers: lstm does not have this setting")
    );
    assert!(
        place.fail("receptive-field --encoder conv --stride 2").contains("--stride: conv does not have this setting")
    );
    let wide = place.succeed("receptive-field --encoder dilated --layers 20 --hidden 2");
    assert!(wide.contains("4194301 tokens") && wide.contains("not measured"), "{wide}");
    assert!(place.fail("receptive-field --encoder dilated --layers 70").contains("further than any text is long"));
    assert!(
        place.fail("receptive-field --encoder conv --hidden 10000000000").contains("--hidden 10000000000: it must")
    );
    assert!(place.succeed("receptive-field --encoder one-hot --kernel-size 4 --hidden 3").contains("they agree"));
}

#[test]
fn gradients_are_measured_by_depth() {
    let place = Place::new();
    let found = place.json("gradients --encoders plain,residual --layers 4 --hidden 4 --steps 2 --json");
    assert!(found.iter().all(|encoder| encoder["depths"][0]["at_start"].as_array().map(Vec::len) == Some(4)));
    assert!(place.fail("gradients --layers 0").contains("--layers 0: it must be 1 or more"));
    assert!(place.fail("gradients --encoders lstm").contains("lstm has no depth"));
    assert!(place.fail("gradients --encoders residual --layers 3").contains("--layers 3: a block of residual"));
}

use crate::common::{Place, text};

/// A file of unlabelled texts, from the sample.
fn unlabelled(place: &Place) -> &'static str {
    let lines = (0..600).map(|number| {
        let (film, opinion) = (["film", "movie", "story"][number % 3], ["great", "good", "bad", "awful"][number / 3 % 4]);
        format!("a {opinion} {film} with {opinion} actors and, all in all, a {opinion} way to spend an evening number {number}\n")
    });
    place.file(
        "texts.csv",
        std::iter::once("text\n".to_owned())
            .chain(lines.map(|line| format!("\"{}\"\n", line.trim())))
            .collect::<String>(),
    );
    "texts.csv"
}

const TRAIN: &str = "train --preset best --set encoder.filters=8 --set embedding=72 --dataset sample --epochs 1";

#[test]
fn vectors_are_learned_first_and_used_by_another_run() {
    let place = Place::new();
    let file = unlabelled(&place);
    let train = format!("{TRAIN} --unlabelled {file}");
    place.succeed(&format!("{train} --out one"));
    place.succeed(&format!("{train} --out other"));
    for name in ["vectors.safetensors", "model.safetensors"] {
        assert!(
            place.read(&format!("one/{name}")) == place.read(&format!("other/{name}")),
            "{name}: same seed, same result"
        );
    }
    assert!(!place.path().join("one/checkpoints/vectors.safetensors").exists());
    let config = text(&place.read("one/config.json"));
    assert!(config.contains("\"texts.csv\"") && !config.contains(&place.path().display().to_string()), "{config}");

    // The texts are not needed any more.
    std::fs::remove_file(place.path().join(file)).expect("removes");
    place.succeed(&format!("{TRAIN} --init one --out next"));
    assert!(place.read("one/vectors.safetensors") == place.read("next/vectors.safetensors"));
    assert!(place.read("one/model.safetensors") == place.read("next/model.safetensors"));
    place.succeed("train --resume --out next");
    place.succeed("predict --run next good");
    place.succeed("analyze --run next --texts 20");
    assert!(text(&place.read("next/analysis/report.html")).contains("id=\"vectors\""));
    let features = place.read("next/analysis/vectors.json");
    let features: serde_json::Value = serde_json::from_slice(&features).expect("JSON");
    assert_eq!(features.as_array().map(Vec::len), Some(300));
}

#[test]
#[cfg(unix)]
fn ctrl_c_while_vectors_are_learned_loses_nothing() {
    let place = Place::new();
    let train = format!("{TRAIN} --unlabelled {} --checkpoint-every 0.01", unlabelled(&place));
    place.succeed(&format!("{train} --out alone"));
    let error = place.interrupt(&format!("{train} --out stopped"), "stopped/checkpoints/vectors.safetensors");
    assert!(error.contains("for the word vectors; nothing is lost"), "{error}");
    place.succeed("train --resume --out stopped");
    for name in ["vectors.safetensors", "model.safetensors"] {
        assert!(place.read(&format!("alone/{name}")) == place.read(&format!("stopped/{name}")), "{name}");
    }
}

#[test]
fn vectors_of_a_lexicon_are_learned_first() {
    let place = Place::new();
    let file = unlabelled(&place);
    let train = format!("{TRAIN} --unlabelled {file} --lexicon-vectors");
    place.succeed(&format!("{train} --out one"));
    place.succeed(&format!("{train} --out other"));
    assert!(place.read("one/model.safetensors") == place.read("other/model.safetensors"), "same seed, same result");
    // They are not a part of the run, which has a lexicon as any other, but other scores.
    assert!(!place.path().join("one/vectors.safetensors").exists());
    let config = place.read_json("one/config.json");
    assert_eq!(config["lexicon_vectors"]["source"]["file"]["path"], "texts.csv", "{config}");
    assert!(text(&place.read("one/README.md")).contains("| vectors of the lexicon | 100 dimensions, learned from "));
    place.succeed(&format!("{TRAIN} --lexicon-vectors --out alone"));
    place.succeed(&format!("{TRAIN} --out plain"));
    assert!(place.read_json("plain/config.json")["lexicon_vectors"].is_null());
    let models = ["one", "alone", "plain"].map(|run| place.read(&format!("{run}/model.safetensors")));
    assert!(models[0] != models[1] && models[1] != models[2]);
    place.succeed("predict --run one good");

    // Word vectors of another run go with them.
    place.succeed(&format!("{TRAIN} --unlabelled {file} --out words"));
    place.succeed(&format!("{train} --init words --out both"));
    assert!(place.read("words/vectors.safetensors") == place.read("both/vectors.safetensors"));
    assert!(place.read("both/model.safetensors") != place.read("words/model.safetensors"));
}

#[test]
#[cfg(unix)]
fn ctrl_c_while_vectors_of_a_lexicon_are_learned_loses_nothing() {
    let place = Place::new();
    let train = format!("{TRAIN} --unlabelled {} --lexicon-vectors --checkpoint-every 0.01", unlabelled(&place));
    place.succeed(&format!("{train} --out alone"));
    let error = place.interrupt(&format!("{train} --out stopped"), "stopped/checkpoints/lexicon_vectors.safetensors");
    assert!(error.contains("nothing is lost"), "{error}");
    place.succeed("train --resume --out stopped");
    assert!(place.read("alone/model.safetensors") == place.read("stopped/model.safetensors"));
}

#[test]
fn bad_input_is_one_line() {
    let place = Place::new();
    place.file("empty.csv", "text\n\"\"\n");
    place.file("labels.csv", "review,label\ngood,pos\n");
    place.succeed("train --dataset sample --epochs 1 --out plain");
    let cases = [
        ("--unlabelled imbd", "--unlabelled imbd: neither a known data set"),
        ("--unlabelled missing.csv", "missing.csv: No such file"),
        ("--unlabelled sample", "sample: this data set has no texts without labels"),
        ("--unlabelled empty.csv", "empty.csv: has no texts"),
        (
            "--unlabelled labels.csv",
            "labels.csv: no column \"text\" (it has: review, label); name it with --unlabelled-column",
        ),
        ("--unlabelled sample --unlabelled-column text", "--unlabelled-column: sample is not a file"),
        ("--init plain", "--init plain: this run has no word vectors"),
        ("--init missing", "missing: not a run folder"),
        ("--init plain --unlabelled empty.csv", "cannot be used with"),
        ("--preset linear --lexicon-vectors", "--lexicon-vectors: the preset linear has no lexicon"),
        ("--resume --out plain --lexicon-vectors", "--lexicon-vectors: plain was begun with another value"),
        ("--init plain --tokenizer bytes", "cannot be used with"),
        ("--resume --out plain --unlabelled imdb", "--unlabelled: plain was begun with another value"),
        ("--resume --out plain --init plain", "--init: plain was begun with another value"),
    ];
    for (flags, expected) in cases {
        let out = if flags.contains("--out") { "" } else { " --dataset sample --out r" };
        let error = place.fail(&format!("train {flags}{out}"));
        assert!(error.contains(expected), "{flags}: {error}");
        assert!(!place.path().join("r").exists(), "{flags}");
    }
}

//! Files of the user's: formats, columns, labels, three classes.

use crate::common::Place;

/// A file of three classes that one word tells apart.
fn stars(place: &Place, name: &str, separator: char) -> String {
    let opinions = [("awful", "bad"), ("passable", "fair"), ("splendid", "good")];
    let things = ["film", "plot", "cast", "score", "scene"];
    let row = |index: usize| {
        let (word, label) = opinions[index % 3];
        format!("{index}{separator}{label}{separator}an {word} {} number {}\n", things[index % 5], index % 7)
    };
    let rows: String = (0..900).map(row).collect();
    place.file(name, format!("id{separator}stars{separator}review\n{rows}"))
}

const COLUMNS: &str = "--text-column review --label-column stars";

#[test]
fn three_classes_from_csv_and_tsv() {
    let place = Place::new();
    for (name, separator) in [("stars.csv", ','), ("stars.tsv", '\t')] {
        let file = stars(&place, name, separator);
        let run = format!("runs/{name}");
        place.succeed(&format!("train --data {file} {COLUMNS} --epochs 4 --out {run}"));
        let config = place.read_json(&format!("{run}/config.json"));
        assert_eq!(config["labels"], serde_json::json!(["bad", "fair", "good"]));
        assert_eq!(config["model"]["outputs"], 3);
        let metrics = place.read_json(&format!("{run}/metrics.json"));
        assert!(metrics["test"]["accuracy"].as_f64() > Some(0.95), "{metrics}");

        let prediction = &place.json(&format!("predict --run {run} --json 'a splendid scene'"))[0];
        assert_eq!(prediction["label"], "good");
        for class in ["bad", "fair", "good"] {
            let scores = prediction["phrases"].as_array().expect("phrases").iter();
            let sum: f64 = scores.map(|phrase| phrase["score"][class].as_f64().expect("a number")).sum();
            let rest = |key: &str| prediction[key][class].as_f64().expect("a number");
            assert!((sum + rest("bias") + rest("residual") - rest("logits")).abs() < 1e-9);
        }
    }
}

#[test]
fn labels_are_mapped_and_a_test_file_is_kept_apart() {
    let place = Place::new();
    let train = place.file(
        "train.jsonl",
        "{\"text\": \"good\", \"label\": \"pos\"}\n{\"text\": \"bad\", \"label\": \"neg\"}\n".repeat(30),
    );
    let test = place
        .file("test.jsonl", "{\"text\": \"good\", \"label\": \"Positive\"}\n{\"text\": \"bad\", \"label\": \"neg\"}\n");
    place.succeed(&format!(
        "train --data {train} --test-data {test} --label-map Positive=pos --epochs 3 --batch-size 4 --learning-rate 0.01 --out runs/r"
    ));
    let config = place.read_json("runs/r/config.json");
    assert_eq!(config["dataset"]["test"], 2);
    let evaluation = &place.json(&format!("evaluate --data {test} --label-map Positive=pos --json"))[0]["evaluation"];
    assert_eq!(evaluation["accuracy"], 1.0, "{evaluation}");
    assert_eq!(&place.json("evaluate --json")[0]["evaluation"], evaluation, "the run remembers its test file");
    // The file changes under a run that is to be resumed.
    place.file(
        "train.jsonl",
        "{\"text\": \"good\", \"label\": \"pos\"}\n{\"text\": \"bad\", \"label\": \"neg\"}\n".repeat(31),
    );
    assert!(place.fail("train --resume --out runs/r").contains("has changed since the run began"));
}

#[test]
fn parquet_columns_are_read() {
    use polars::prelude::{DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series};
    let place = Place::new();
    let texts: Vec<String> =
        (0..40).map(|index| format!("{} film", if index % 2 == 0 { "good" } else { "bad" })).collect();
    let labels: Vec<i64> = (0..40).map(|index| (index + 1) % 2).collect();
    let columns =
        vec![Series::new("text".into(), texts).into_column(), Series::new("label".into(), labels).into_column()];
    let mut frame = DataFrame::new_infer_height(columns).expect("a frame");
    let file = std::fs::File::create(place.path().join("a.parquet")).expect("creates");
    ParquetWriter::new(file).finish(&mut frame).expect("writes");
    place.succeed("train --data a.parquet --epochs 2 --out runs/r");
    assert_eq!(place.read_json("runs/r/config.json")["labels"], serde_json::json!(["0", "1"]));
}

#[test]
fn every_tokenizer_trains_and_one_of_the_users_own() {
    let place = Place::new();
    for tokenizer in ["characters", "bytes", "bpe", "runs/bpe/tokenizer.json"] {
        let name = if tokenizer.contains('/') { "own" } else { tokenizer };
        // Bytes, and a tokenizer that is trained already, have a vocabulary of their own.
        let size = if ["characters", "bpe"].contains(&tokenizer) { "--vocab-size 400" } else { "" };
        place.succeed(&format!("train --dataset sample --tokenizer {tokenizer} {size} --epochs 1 --out runs/{name}"));
        let prediction = &place.json(&format!("predict --run runs/{name} --json 'A good film'"))[0];
        let last = prediction["tokens"].as_array().and_then(|tokens| tokens.last()).expect("tokens");
        assert_eq!(last["end"], 11, "{name}: {prediction}");
    }
    let [bpe, own] = ["bpe", "own"].map(|run| place.read(&format!("runs/{run}/model.safetensors")));
    assert_eq!(bpe.len(), own.len(), "the same tokenizer, the same model");
}

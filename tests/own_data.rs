//! A user's own files: formats, columns, labels, three classes.

use crate::common::{Place, text};

/// A file with three classes that differ in one word.
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
fn labels_are_mapped_and_a_test_file_is_used() {
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
    // The file changes before the run is resumed.
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

#[test]
fn blank_texts_are_predicted_with_a_warning() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    place.file("a.csv", "id,text\n1,a good film\n2,\n3, \n4,a bad film\n");
    place.file(
        "a.jsonl",
        "\u{feff}{\"text\": \"a good film\"}\n{\"text\": null}\n{\"text\": \"\"}\n{\"text\": \"a bad film\"}\n",
    );
    place.file("a.txt", "\u{feff}a good film\n\n \na bad film\n");
    let empty = &place.json("predict --json ''")[0];
    for (file, unit) in [("a.csv", "row"), ("a.jsonl", "row"), ("a.txt", "line")] {
        for flags in ["", "--brief", "--json", "--json --brief"] {
            let output = place.run(&format!("predict {flags} --file {file}"));
            let error = text(&output.stderr);
            assert!(output.status.success(), "{file} {flags}: {error}");
            let expected =
                format!("{file}: 2 {unit}s are blank (the first is {unit} 2) and get the prediction of an empty text");
            assert!(error.contains(&expected) && error.lines().count() == 1, "{file} {flags}: {error}");
            if !flags.is_empty() {
                assert_eq!(text(&output.stdout).lines().count(), 4, "{file} {flags}");
            }
        }
        let predictions = place.json(&format!("predict --json --file {file}"));
        assert_eq!(predictions[0]["text"], "a good film", "{file}: without a byte-order mark");
        assert_eq!(predictions[1]["logits"], empty["logits"], "{file}: the prediction of an empty text");
    }
    // A text to learn from must not be blank.
    place.file("b.csv", "text,label\nfine,a\n,b\n");
    assert!(place.fail("train --data b.csv").contains("b.csv: row 2 has no text"));
}

#[test]
#[cfg(unix)]
fn a_named_pipe_is_refused_and_a_descriptor_is_read() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    for pipe in ["pipe", "pipe.csv"] {
        let path = place.path().join(pipe);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        let output = place.run(&format!("predict --file {pipe}"));
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(&format!("{pipe}: this is a named pipe, not a regular file")), "{error}");
    }
    let expected = place.succeed("predict --brief 'a good film'");
    let mut command = place.command("predict --brief --file /dev/stdin");
    let file = place.path().join(place.file("a.txt", "a good film\n"));
    command.stdin(std::fs::File::open(file).expect("opens"));
    assert_eq!(text(&command.output().expect("starts").stdout), expected);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, b"a good film\n").expect("writes");
    drop(writer);
    let mut command = place.command("predict --brief --file /dev/fd/0");
    command.stdin(reader);
    assert_eq!(text(&command.output().expect("starts").stdout), expected);
}

#[test]
fn quotation_marks_may_be_text() {
    let place = Place::new();
    let rows = "\"Great\" film\tpos\n\"Great\tpos\nbad film\tneg\n5\" of rain\tneg\n";
    place.file("a.tsv", format!("text\tlabel\n{}", rows.repeat(20)));
    let train = "train --data a.tsv --no-quotes --epochs 1 --out runs/r";
    place.succeed(train);
    let config = place.read_json("runs/r/config.json");
    assert_eq!(config["dataset"]["no_quotes"], serde_json::Value::Null);
    assert_eq!(config["dataset"]["file"]["no_quotes"], true);
    let count = |split: &str| config["dataset"][split].as_u64().expect("a count");
    assert_eq!(count("train") + count("validation") + count("test"), 80);
    assert_eq!(place.json("evaluate --data a.tsv --no-quotes --json")[0]["evaluation"]["count"], 80);
    assert_eq!(place.succeed("predict --brief --no-quotes --file a.tsv").lines().count(), 80);
    place.file("b.csv", "text,label\nfine,a\n\"bad,b\n");
    let error = place.fail("train --data b.csv");
    assert!(error.contains("b.csv: the quotation mark that opens in row 2 is never closed"), "{error}");
    assert!(error.contains("--no-quotes"), "{error}");
    place.file("c.jsonl", "{}");
    for line in ["train --data c.jsonl --no-quotes", "predict --no-quotes --file c.jsonl"] {
        assert!(place.fail(line).contains("--no-quotes: c.jsonl is neither a CSV nor a TSV file"));
    }
}

#[test]
fn error_lines_are_short_whatever_the_file_holds() {
    let place = Place::new();
    let header: Vec<String> = (0..200_000).map(|index| format!("column {index}")).collect();
    place.file("wide.csv", header.join(",") + "\n");
    place.file("cr.jsonl", "{\"text\": \"a\", \"label\": 1}\r".repeat(50_000));
    let rows: String = (0..300_000).map(|index| format!("text,{index}\n")).collect();
    place.file("labels.csv", format!("text,label\n{rows}"));
    let cases = [
        ("wide.csv", "and 199990 more); name it with --text-column"),
        ("cr.jsonl", "the lines end in a carriage return (CR) alone"),
        (
            "labels.csv",
            "300000 different values in 300000 rows, so it does not look like a column of labels; name another",
        ),
    ];
    for (file, expected) in cases {
        let error = place.fail(&format!("data --data {file}"));
        assert!(error.contains(expected) && error.len() < 600, "{file}: {} bytes: {error}", error.len());
    }
}

//! Tagging: training on sentences in columns, evaluation, prediction from files and raw text, and bad input.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{Place, text};

/// A model that is small enough to be trained in seconds.
const SMALL: &str = "--learning-rate 0.005 --set encoder.hidden=32 --set spelling.filters=16";

/// Trains a small tagger on the bundled sample.
fn trained(place: &Place, flags: &str) -> String {
    place.succeed(&format!("train --task tag --dataset sample --epochs 15 {SMALL} --out runs/t {flags}"))
}

/// Sentences in CoNLL-U, in which every word but *the* decides its own tag, with all that such files have.
fn conllu(place: &Place, name: &str, sentences: usize) -> String {
    let words = [("Films", "NOUN"), ("the", "DET"), ("runs", "VERB"), ("don't", "X"), ("quickly", "ADV")];
    let mut content = String::new();
    for sentence in 0..sentences {
        content.push_str(&format!("# sent_id = {sentence}\n"));
        for at in 0..4 {
            let (form, tag) = words[(sentence + at * (1 + sentence % 2)) % words.len()];
            if at == 1 {
                content.push_str("2-3\tab\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n");
            }
            content.push_str(&format!("{}\t{form}\tlemma\t{tag}\tx{tag}\tA=B\t0\troot\t_\t_\n", at + 1));
        }
        content.push_str("4.1\tempty\t_\t_\t_\t_\t_\t_\t_\t_\n\n");
    }
    place.file(name, content)
}

fn accuracy(metrics: &Value) -> f64 {
    metrics["accuracy"].as_f64().expect("a number")
}

#[test]
fn the_sample_is_learned_with_words_that_are_new() {
    let place = Place::new();
    let output = trained(&place, "");
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("runs/t: test accuracy ") && last.contains("sentences per second"), "{last}");
    let metrics = place.read_json("runs/t/metrics.json");
    assert_eq!(metrics["task"], "tag");
    assert!(accuracy(&metrics["test"]) > 0.95, "{metrics}");
    let evaluation = &place.json("evaluate --json")[0]["evaluation"];
    assert!((accuracy(&evaluation["words"]) - accuracy(&metrics["test"])).abs() < 1e-9, "{evaluation}");
    let unknown = &evaluation["unknown_words"];
    assert!(accuracy(unknown) > 0.9 && unknown["count"].as_u64() > Some(50), "{evaluation}");
    let count = |key: &str| evaluation[key]["count"].as_u64().expect("a count");
    assert_eq!(count("known_words") + count("unknown_words"), count("words"));
    let table = place.succeed("evaluate");
    assert!(table.contains("PROPN") && table.contains("unknown words"), "{table}");
}

#[test]
fn raw_text_is_split_into_sentences_and_words_and_explained() {
    let place = Place::new();
    trained(&place, "");
    let text = "The plot is very good. They don’t know Gamofu!";
    let sentences = place.json(&format!("predict --json '{text}'"));
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    let words = |sentence: &Value| sentence["words"].as_array().expect("words").clone();
    let forms: Vec<Value> = sentences.iter().flat_map(words).map(|word| word["word"].clone()).collect();
    assert_eq!(forms, ["The", "plot", "is", "very", "good", ".", "They", "do", "n’t", "know", "Gamofu", "!"]);
    for word in sentences.iter().flat_map(words) {
        let (start, end) = (word["range"]["start"].as_u64(), word["range"]["end"].as_u64());
        let range = start.expect("a start") as usize..end.expect("an end") as usize;
        assert_eq!(word["word"], text[range]);
        // The shares, the baseline and the residual are the logit.
        let evidence = &word["evidence"];
        let number = |key: &str| evidence[key].as_f64().expect("a number");
        let shares: f64 =
            evidence["shares"].as_array().expect("shares").iter().map(|share| share.as_f64().expect("a number")).sum();
        assert!((number("logit") - number("baseline") - shares - number("residual")).abs() < 1e-6, "{word}");
        assert!(number("residual").abs() < 0.05 * number("logit").abs().max(1.0), "{word}");
    }
    assert_eq!(words(&sentences[0])[1]["tag"], "NOUN");
    let brief = place.succeed(&format!("predict --brief '{text}'"));
    assert!(brief.starts_with("The/DET plot/NOUN is/AUX very/ADV good/ADJ ./PUNCT\nThey/PRON"), "{brief}");
    assert!(place.succeed(&format!("predict '{text}'")).contains("DET"));
    assert_eq!(place.succeed("predict ''"), "");
}

#[test]
fn files_keep_everything_but_the_tags() {
    let place = Place::new();
    let train = conllu(&place, "train.conllu", 300);
    let (dev, test) = (conllu(&place, "dev.conllu", 30), conllu(&place, "test.conllu", 40));
    let data = format!("--data {train} --validation-data {dev} --test-data {test}");
    place.succeed(&format!("train --task tag {data} --epochs 3 {SMALL} --out runs/r"));
    let config = place.read_json("runs/r/config.json");
    assert_eq!(config["labels"], serde_json::json!(["ADV", "DET", "NOUN", "VERB", "X"]));
    assert_eq!(config["dataset"]["file"]["validation"], "dev.conllu", "no folder is published");
    assert!(accuracy(&place.read_json("runs/r/metrics.json")["test"]) > 0.99);
    // The tags of the file are removed, and predicted again.
    let original = text(&place.read("test.conllu"));
    let untagged = ["NOUN", "DET", "VERB", "X", "ADV"]
        .iter()
        .fold(original.clone(), |content, tag| content.replace(&format!("\t{tag}\t"), "\t_\t"));
    assert_ne!(original, untagged);
    let untagged = place.file("untagged.conllu", untagged);
    assert_eq!(place.succeed(&format!("predict --run runs/r --file {untagged}")), original);
    // Lines may end as in Windows, after a byte-order mark.
    let windows = place.file("windows.conllu", format!("\u{feff}{}", original.replace('\n', "\r\n")));
    let same = format!("evaluate --run runs/r --json --data {windows}");
    assert_eq!(place.json(&same)[0]["evaluation"]["words"]["accuracy"], 1.0);
    assert_eq!(place.succeed(&format!("predict --run runs/r --file {windows}")).as_bytes(), place.read(&windows));
    let tagged = place.json(&format!("predict --run runs/r --file {windows} --json --brief"));
    assert_eq!((tagged.len(), tagged[0]["words"][0]["word"].as_str()), (40, Some("Films")));

    // Another column, by name and by number.
    for column in ["xpos", "5"] {
        let line = format!("train --task tag {data} --label-column {column} --epochs 1 {SMALL} --out runs/{column}");
        place.succeed(&line);
        let labels = &place.read_json(&format!("runs/{column}/config.json"))["labels"];
        assert_eq!(labels[1], "xDET");
        place.json(&format!("evaluate --run runs/{column} --json --data {test}"));
    }
}

#[test]
fn spans_are_counted_and_a_chain_finds_them() {
    let place = Place::new();
    let mut content = String::new();
    for sentence in 0..200 {
        let (first, last) = ([("Ann", "Lee"), ("Bob", "Day"), ("Cy", "Fox")])[sentence % 3];
        content.push_str(&format!("we\tO\nsaw\tO\n{first}\tB-PER\n{last}\tI-PER\nin\tO\nRome\tB-LOC\n\n"));
    }
    let file = place.file("entities.txt", &content);
    let output =
        place.succeed(&format!("train --task tag --data {file} --preset iterated --epochs 15 {SMALL} --out runs/e"));
    assert!(output.contains("F1 of spans 100.00 %"), "{output}");
    assert_eq!(place.read_json("runs/e/config.json")["model"]["chain"], true);
    let line = text(&place.read("runs/e/metrics.jsonl"));
    let epoch: Value = serde_json::from_str(line.lines().last().expect("an epoch")).expect("JSON");
    assert_eq!(epoch["score"], epoch["validation"]["f1"]);
    let evaluation = &place.json("evaluate --json")[0]["evaluation"];
    let spans = &evaluation["spans"];
    assert_eq!((spans["total"]["f1"].as_f64(), spans["by_type"]["PER"]["recall"].as_f64()), (Some(1.0), Some(1.0)));
    assert!(place.succeed("evaluate").contains("predicted  correct"));
    // A span that begins without B is read too, and a warning says so.
    let odd = place.file("odd.txt", "we\tO\nAnn\tI-PER\n\n");
    let output = place.run(&format!("evaluate --data {odd}"));
    assert!(output.status.success() && text(&output.stderr).contains("odd.txt: 1 span begins with I or E"));
}

#[test]
fn an_interrupted_tagger_ends_with_the_same_weights() {
    let place = Place::new();
    let train = format!("train --task tag --dataset sample --epochs 3 --checkpoint-every 0.01 --seed 7 {SMALL}");
    place.succeed(&format!("{train} --out whole"));
    let mut child = place
        .command(&format!("{train} --out parts"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    place.wait_for("parts/checkpoints/latest.safetensors", &mut child);
    child.kill().expect("SIGKILL");
    child.wait().expect("ends");
    place.succeed("train --resume --out parts");
    assert!(place.read("whole/model.safetensors") == place.read("parts/model.safetensors"));
}

#[test]
fn word_vectors_of_a_file_make_new_words_known() {
    let place = Place::new();
    let rows = |words: &[&str], tag: &str| {
        (0..60).map(|at| format!("a\tDET\n{}\t{tag}\n\n", words[at % words.len()])).collect::<String>()
    };
    // The spelling says nothing here: only the vectors tell that "q" is like "x" and "y".
    let train = place.file("train.txt", format!("{}{}", rows(&["x", "y"], "N"), rows(&["u", "v"], "V")));
    let test = place.file("test.txt", "a\tDET\nq\tN\n\na\tDET\nw\tV\n");
    let vectors = place.file("v.txt", "a 0 0 1\nx 1 0 0\ny 0.9 0 0\nQ 1 0 0\nu 0 1 0\nv 0 0.9 0\nw 0 1 0\n");
    let run = |flags: &str, out: &str| {
        place.succeed(&format!(
            "train --task tag --data {train} --test-data {test} {flags} --epochs 25 {SMALL} --out {out}"
        ));
        place.read_json(&format!("{out}/metrics.json"))["test"]["accuracy"].as_f64()
    };
    assert_eq!(run(&format!("--vectors {vectors} --word-dropout 0"), "with"), Some(1.0));
    let config = place.read_json("with/config.json");
    assert_eq!(config["vectors"]["source"]["vectors"], "v.txt");
    let evaluation = &place.json("evaluate --run with --json")[0]["evaluation"];
    assert_eq!(evaluation["unknown_words"]["count"], 0, "{evaluation}");
    let bad = place.file("bad.txt", "a 0 0 1\nx 1 0\n");
    let error = place.fail(&format!("train --task tag --data {train} --vectors {bad}"));
    assert!(error.contains("bad.txt: ") && error.contains("line 2 is not a word and 3 numbers"), "{error}");
}

#[test]
fn bad_sentences_are_refused_in_one_line() {
    let place = Place::new();
    let good = place.file("good.txt", "a\tX\nb\tY\n\n".repeat(20));
    let fail = |flags: &str| place.fail(&format!("train --task tag {flags} --out runs/bad"));
    let short = place.file("short.txt", "a\tX\nb\n\n");
    assert!(fail(&format!("--data {short}")).contains("short.txt: line 2 has 1 column where 2 are expected"));
    let other = place.file("other.txt", "a\tX\nb\tQ\n\n");
    let error = fail(&format!("--data {good} --test-data {other}"));
    assert!(error.contains("other.txt: line 2 has the unknown tag \"Q\" (known: X, Y)"), "{error}");
    let empty = place.file("empty.txt", "\n\n");
    assert!(fail(&format!("--data {empty}")).contains("empty.txt: the file holds no rows"));
    assert!(fail(&format!("--data {good} --label-column upos")).contains("no column \"upos\" (it has: 1, 2)"));
    let one = place.file("one.txt", "a\tX\nb\tX\n\n".repeat(3));
    assert!(fail(&format!("--data {one}")).contains("only one label"));
    for (flags, expected) in [
        ("--text-column t", "--text-column"),
        ("--label-map a=b", "--label-map"),
        ("--tokenizer bpe", "--tokenizer"),
        ("--unlabelled imdb", "--unlabelled"),
        ("--preset best", "embedding must be"),
    ] {
        let error = fail(&format!("--data {good} {flags}"));
        assert!(error.contains(expected), "{flags}: {error}");
    }
    assert!(fail("--dataset imdb").contains("no tagged data set is called \"imdb\""));
    assert!(place.fail(&format!("train --data {good} --validation-data {good}")).contains("--validation-data"));
    assert!(
        place.fail("train --preset tagger --task classify").contains("--preset tagger: this preset is for --task tag")
    );
}

#[test]
fn a_bi_lstm_sees_the_whole_sentence() {
    let place = Place::new();
    let small = "--set encoder.hidden=8 --set spelling.filters=8";
    place.succeed(&format!("train --task tag --dataset sample --preset bilstm --epochs 1 {small} --out runs/l"));
    let sentence = &place.json("predict --json 'The plot is very good.'")[0];
    let shares = |word: usize| sentence["words"][word]["evidence"]["shares"].as_array().expect("shares").len();
    assert_eq!((shares(0), shares(5)), (6, 6));
    // A sentence that would take too long to explain is tagged.
    let long = place.run(&format!("predict '{}'", "plot ".repeat(600)));
    assert!(long.status.success() && text(&long.stderr).contains("600 words is too long"), "{}", text(&long.stderr));
    assert_eq!(text(&long.stdout).lines().count(), 600);
}

#[test]
fn a_tagger_does_not_fold_into_a_table() {
    let place = Place::new();
    trained(&place, "");
    let error = place.fail("export --folded --out folded");
    assert!(error.contains("does not fold into a table"), "{error}");
}

#[test]
fn a_very_long_sentence_is_tagged() {
    let place = Place::new();
    trained(&place, "");
    let file = place.file("long.conll", "plot\tX\n".repeat(100_000));
    let tagged = place.succeed(&format!("predict --file {file}"));
    assert_eq!(tagged.lines().count(), 100_000);
    // Every word but those at both ends has the same words around it.
    let tags: BTreeSet<&str> = tagged.lines().skip(10).take(99_980).collect();
    assert_eq!(tags.len(), 1, "{tags:?}");
}

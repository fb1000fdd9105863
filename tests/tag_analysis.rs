//! `analyze` with a run that tags: the files it writes, what they say, and bad input.

use serde_json::Value;

use crate::common::{Place, text};

/// A model that is small enough to be trained in seconds.
const SMALL: &str = "--learning-rate 0.005 --set encoder.hidden=32 --set spelling.filters=16";

const FILES: [&str; 8] =
    ["evaluation", "confusions", "places", "words", "certificate", "spelling", "excitations", "left_out"];

fn train(place: &Place, flags: &str) -> String {
    place.succeed(&format!("train --task tag --dataset sample {SMALL} {flags}"))
}

fn lines(place: &Place, file: &str) -> Vec<Value> {
    text(&place.read(file)).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

#[test]
fn a_tagger_is_analysed_after_training_and_again_with_the_same_files() {
    let place = Place::new();
    let output = train(&place, "--epochs 4 --out r --analyze");
    assert!(output.lines().last().is_some_and(|line| line.ends_with("open r/analysis/report.html")), "{output}");
    let read = |name: &str| place.read(&format!("r/analysis/{name}"));
    let before: Vec<Vec<u8>> = FILES.iter().map(|file| read(&format!("{file}.json"))).collect();
    let output = place.succeed("analyze --run r");
    assert!(output.contains(" words of sample (test): accuracy ") && output.ends_with("open r/analysis/report.html\n"));
    assert!(before == FILES.map(|file| read(&format!("{file}.json"))), "the same files");
    for picture in ["confusion", "places"] {
        assert!(text(&read(&format!("{picture}.svg"))).starts_with("<svg"));
        assert!(read(&format!("{picture}.png")).starts_with(b"\x89PNG"));
    }

    // The numbers are those of `evaluate`, and the confusions add up to the errors.
    let evaluation = &place.json("evaluate --run r --json")[0]["evaluation"];
    assert_eq!(&place.read_json("r/analysis/evaluation.json"), evaluation);
    let count = |value: &Value| value.as_u64().expect("a count");
    let confusions = place.read_json("r/analysis/confusions.json");
    let mistakes: u64 = list(&confusions).iter().map(|confusion| count(&confusion["count"])).sum();
    assert!(mistakes <= count(&evaluation["words"]["count"]) - count(&evaluation["words"]["correct"]));
    for confusion in list(&confusions) {
        for example in list(&confusion["examples"]) {
            assert!(example["probability"].as_f64() >= example["true_probability"].as_f64(), "{example}");
        }
    }

    // Every word has its evidence, which adds up to the logit with the residual.
    let sentences = lines(&place, "r/analysis/sentences.jsonl");
    assert_eq!(sentences.len(), 80);
    for word in sentences.iter().take(20).flat_map(|sentence| list(&sentence["words"])) {
        let number = |key: &str| word["evidence"][key].as_f64().expect("a number");
        let shares: f64 = list(&word["evidence"]["shares"]).iter().filter_map(Value::as_f64).sum();
        assert!((number("logit") - number("baseline") - shares - number("residual")).abs() < 1e-6, "{word}");
    }
    let certificate = place.read_json("r/analysis/certificate.json");
    let field = &certificate["field"];
    assert!(certificate["residual_max"].as_f64() < Some(1.0), "{certificate}");
    assert!(count(&field["words"]) > 0, "{certificate}");
    assert_eq!((&field["changed_by_outside"], &field["changed_by_inside"]), (&0.into(), &field["words"]));
    assert_eq!(list(&place.read_json("r/analysis/spelling.json")).len(), 32);
    assert_eq!(place.read_json("r/analysis/left_out.json"), serde_json::json!([]));

    let report = text(&read("report.html"));
    for section in ["results", "confusions", "places", "words", "sentences", "certificate", "spelling", "filters"] {
        assert!(report.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    assert!(report.contains("default-src 'none'") && !report.contains("http:") && !report.contains("https:"));
    assert!(!report.contains("<h3>Spans</h3>"));
}

#[test]
fn words_are_never_markup_and_spans_are_counted() {
    let place = Place::new();
    let mut content = String::new();
    for sentence in 0..120 {
        let name = ["Ann", "<u>Bob</u>", "<script>alert(1)</script>"][sentence % 3];
        content.push_str(&format!("we\tO\nsaw\tO\n{name}\tB-<i>PER\nin\tO\n\"Rome\"\tB-LOC\n\n"));
    }
    let file = place.file("names.txt", content);
    let test = place.file("test.txt", "we\tO\nsaw\tO\n<u>Eve</u>\tB-LOC\nin\tO\nRome\tO\n\n".repeat(3));
    let train = format!("train --task tag --preset iterated --data {file} {SMALL} --epochs 4 --out r");
    place.succeed(&train);
    let own = "<script>window.hacked = 1</script> is here. So is Ann.";
    let line = format!("analyze --run r --data {test} --texts 2 --words 3 --text '{own}' --json");
    let figures = &place.json(&line)[0];
    assert_eq!(
        (figures["sentences"].as_str(), figures["page"].as_str()),
        (Some("test.txt"), Some("r/analysis/report.html"))
    );
    assert!(figures["evaluation"]["spans"]["total"]["expected"] == 3, "{figures}");
    let explained = lines(&place, "r/analysis/sentences.jsonl");
    assert_eq!(explained.len(), 4, "two sentences of one's own come first");
    assert!(explained[1]["sentence"].is_null() && explained[3]["sentence"].is_u64(), "{explained:?}");
    for tag in list(&place.read_json("r/analysis/words.json")) {
        assert!(["itself", "neighbours", "against"].iter().all(|key| list(&tag[*key]).len() <= 3), "{tag}");
    }
    let report = text(&place.read("r/analysis/report.html"));
    assert!(report.contains("<h3>Spans</h3>") && report.contains("The model has a chain"));
    for markup in ["<u>", "<i>PER", "<script>alert", "<script>window"] {
        assert!(!report.contains(markup), "{markup}");
    }
    assert!(report.contains("&lt;u&gt;Eve"));
    let picture = text(&place.read("r/analysis/confusion.svg"));
    assert!(picture.contains("B-&lt;i&gt;") && !picture.contains("<i>"));
}

#[test]
fn flags_without_a_meaning_and_empty_data_are_refused() {
    let place = Place::new();
    train(&place, "--epochs 1 --out r");
    place.succeed("train --dataset sample --preset linear --epochs 1 --out classifier");
    let empty = place.file("empty.conll", "\n\n");
    for (line, part) in [
        ("analyze --run r --against classifier", "--against: runs that tag cannot be compared; leave the flag out"),
        ("analyze --run classifier --against r", "--against r: this run tags words"),
        ("analyze --run r --sst trees", "--sst: "),
        ("analyze --run r --tolerance 1", "--tolerance: "),
        ("analyze --run r --text-column text --data none", "--text-column: "),
        ("analyze --run r --texts 0", "--texts 0"),
        ("analyze --run r --dataset imdb", "no tagged data set is called \"imdb\""),
        ("analyze --run r --data none.conll", "none.conll"),
        (&format!("analyze --run r --data {empty}"), "empty.conll"),
    ] {
        let error = place.fail(line);
        assert!(error.contains(part), "{line}: {error}");
    }
}

/// A sentence of 30,000 words is tagged, but not explained.
#[test]
fn a_long_sentence_is_left_out() {
    let place = Place::new();
    train(&place, "--epochs 1 --out r");
    let words = "the\tDET\nplot\tNOUN\n".repeat(15_000);
    let file = place.file("long.conll", format!("{words}\nthe\tDET\nplot\tNOUN\n\na\tDET\nfilm\tNOUN\n\n"));
    let output = place.run(&format!("analyze --run r --data {file} --json"));
    let warning = text(&output.stderr);
    assert!(output.status.success() && warning.contains("2 of 3 sentences are explained"), "{warning}");
    let figures: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&figures["evaluation"]["words"]["count"], &figures["certificate"]["words"]),
        (&30_004.into(), &4.into())
    );
}

//! `analyze` and `export`: what is written, that it adds up, and bad input.

use serde_json::Value;

use crate::common::{Place, shared, skip, text};

#[test]
fn a_trained_run_is_analysed_and_the_last_line_names_the_report() {
    let place = Place::new();
    let output = place.succeed("train --dataset sample --out r --analyze");
    assert!(output.lines().last().is_some_and(|line| line.ends_with("open r/analysis/report.html")), "{output}");
    for picture in ["pca", "weights", "words", "faithfulness"] {
        assert!(text(&place.read(&format!("r/analysis/{picture}.svg"))).starts_with("<svg"));
        assert!(place.read(&format!("r/analysis/{picture}.png")).starts_with(b"\x89PNG"));
    }
    let certificate = place.read_json("r/analysis/certificate.json");
    assert_eq!(certificate["exactness"], "exact");
    assert!(certificate["phrases"]["max"].as_f64().expect("a number") < 1e-4, "{certificate}");

    // The sample's strongest words are words of its two opinions, and its filters two groups.
    let words = place.read_json("r/analysis/words.json");
    assert_eq!(words.as_array().expect("a list").len(), 4, "all places together, and each");
    let plane = place.read_json("r/analysis/pca.json");
    assert!(plane["explained_variance_ratio"][0].as_f64() > Some(0.5));
    assert!(plane["filters_on_their_side"].as_f64() > Some(0.9), "{}", plane["filters_on_their_side"]);
    let faithfulness = place.read_json("r/analysis/faithfulness.json");
    let aopc = |method: &str| {
        let methods = faithfulness["methods"].as_array().expect("a list");
        let result = methods.iter().find(|result| result["method"] == method).expect("there");
        result["aopc_comprehensiveness"].as_f64().expect("a number")
    };
    assert!(aopc("words") > 2.0 * aopc("random") && aopc("phrases") > aopc("random"), "{faithfulness}");

    let lines = text(&place.read("r/analysis/phrases.jsonl"));
    for line in lines.lines().take(50) {
        let explained: Value = serde_json::from_str(line).expect("JSON");
        let sum: f64 = explained["phrases"].as_array().expect("a list").iter().filter_map(|p| p[2].as_f64()).sum();
        let of = |what: &str| explained[what]["pos"].as_f64().expect("a number");
        assert!((of("logits") - of("bias") - sum).abs() < 1e-4, "{explained}");
    }
}

#[test]
fn the_newest_run_is_taken_and_the_same_run_gives_the_same_files() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/a");
    place.succeed("analyze --texts 20 --text 'not a good film'");
    let first = ["report.html", "pca.svg", "pca.png", "phrases.jsonl"]
        .map(|file| place.read(&format!("runs/a/analysis/{file}")));
    assert!(text(&first[3]).starts_with(r#"{"text":"not a good film""#));
    assert_eq!(text(&first[3]).lines().count(), 21);
    let figures = &place.json("analyze --run runs/a --texts 20 --text 'not a good film' --json")[0];
    assert_eq!(figures["certificate"]["texts"], 1_000);
    let again = ["pca.svg", "pca.png", "phrases.jsonl"].map(|file| place.read(&format!("runs/a/analysis/{file}")));
    assert!(first[1..] == again);
}

#[test]
fn parts_that_do_not_add_up_fail_and_write_nothing() {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out r");
    let error = place.fail("analyze --run r --tolerance 0");
    assert!(error.contains("do not add up") && error.contains("--tolerance"), "{error}");
    for (line, said) in [
        ("analyze --run r --texts 0", "--texts 0"),
        ("analyze --run r --words 0", "--words 0"),
        ("analyze --run r --tolerance nan", "--tolerance"),
        ("analyze --run r --sst none", "none: "),
        ("analyze --run r --against none", "none: no run folder"),
        ("analyze --run none", "none: no run folder"),
        ("export --folded --run r --out table.txt", "table.txt: name a .csv"),
        ("export --folded --run r --out none/table.csv", "none/table.csv"),
    ] {
        let error = place.fail(line);
        assert!(error.contains(said), "{line}: {error}");
    }
    std::fs::create_dir(place.path().join("trees")).expect("makes");
    place.file("trees/train.txt", "(3 (2 a) (4 joy))\n(7 (2 a) (4 joy))\n");
    let error = place.fail("analyze --run r --sst trees");
    assert!(error.contains("trees/train.txt") && error.contains("line 2"), "{error}");
}

#[test]
fn phrases_that_people_judged_are_scored() {
    let place = Place::new();
    place.succeed("train --dataset sample --out r");
    std::fs::create_dir(place.path().join("trees")).expect("makes");
    place.file("trees/dev.txt", "(3 (2 very) (4 great))\n(1 (2 so) (0 awful))\n(2 (2 not) (1 dull))\n");
    let judged = &place.json("analyze --run r --sst trees --json")[0]["sst"];
    assert_eq!((&judged["all"]["count"], &judged["all"]["judged"]), (&9.into(), &5.into()));
    assert!(judged["all"]["rank_correlation"].as_f64() > Some(0.3), "{judged}");
    assert_eq!(judged["by_negation"][0]["count"], 1);
}

#[test]
fn three_classes_have_a_report_and_nobodys_judgement() {
    let place = Place::new();
    let mut reviews = String::from("text,label\n");
    for index in 0..120 {
        let (label, word) = [("bad", "dull"), ("fair", "decent"), ("good", "great")][index % 3];
        reviews.push_str(&format!("the film number {index} was {word} and long,{label}\n"));
    }
    place.file("reviews.csv", reviews);
    place.succeed("train --data reviews.csv --epochs 3 --out r");
    place.succeed("analyze --run r");
    for label in ["bad", "fair", "good"] {
        assert!(place.path().join(format!("r/analysis/words-{label}.svg")).exists());
    }
    std::fs::create_dir(place.path().join("trees")).expect("makes");
    place.file("trees/dev.txt", "(3 (2 very) (4 great))\n");
    assert!(place.fail("analyze --run r --sst trees").contains("two labels"));
    place.succeed("train --dataset sample --epochs 1 --out s");
    let error = place.fail("analyze --run r --against s");
    assert!(error.contains("its labels are neg, pos") && error.contains("bad, fair, good"), "{error}");
}

#[test]
fn two_runs_are_compared_on_the_same_texts() {
    let place = Place::new();
    place.succeed("train --dataset sample --out a");
    place.succeed("train --dataset sample --preset seed --epochs 1 --out b");
    let output = place.succeed("analyze --run a --against b --texts 50");
    assert!(output.ends_with("open a/analysis/comparison.html\n"), "{output}");
    let page = text(&place.read("a/analysis/comparison.html"));
    assert!(
        page.contains("a beside b")
            && page.contains("both label rightly")
            && !page.contains("http:")
            && !page.contains("https:")
    );
    assert!(place.path().join("b/analysis/report.html").exists());
}

/// The exported table and the tokens of `predict` are all that the logit needs.
#[test]
fn the_exported_table_is_the_model() {
    let place = Place::new();
    place.succeed("train --dataset sample --out r");
    let said = place.succeed("export --folded --run r");
    assert!(said.starts_with("r/folded.csv: ") && said.contains("3 places × 1 logits"), "{said}");
    let csv = text(&place.read("r/folded.csv"));
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,token,-1,0,1"));
    let rows: Vec<(&str, Vec<f64>)> = lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[1], cells[2..].iter().map(|cell| cell.parse().unwrap_or(0.0)).collect())
        })
        .collect();
    let of = |token: &str| &rows.iter().find(|(name, _)| *name == token).expect("a row").1;
    let prediction = &place.json("predict --run r --json 'not a good film, but great music'")[0];
    let tokens: Vec<&str> =
        prediction["tokens"].as_array().expect("a list").iter().filter_map(|token| token["token"].as_str()).collect();
    let adds = |at: usize, column: usize| match (at + column).checked_sub(1).filter(|word| *word < tokens.len()) {
        Some(word) => of(tokens[word])[column],
        None => 0.0,
    };
    let sum: f64 = (0..tokens.len())
        .flat_map(|at| (0..3).map(move |column| (at, column)))
        .map(|(at, column)| adds(at, column))
        .sum();
    let logit = of("(bias)")[1] + sum / tokens.len() as f64;
    let expected = prediction["logits"]["pos"].as_f64().expect("a number");
    assert!((logit - expected).abs() < 1e-5, "{logit} and {expected}");

    place.succeed("export --folded --run r --out t.safetensors");
    let bytes = place.read("t.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("SafeTensors");
    assert_eq!(tensors.tensor("table").expect("there").shape(), [rows.len() - 1, 3, 1]);
}

/// The filters' two groups and their words, on the real IMDB.
#[test]
fn the_seed_run_of_imdb_shows_what_document_a_shows() {
    let (Some(home), Some(trees)) = (shared("hf-home"), shared("datasets/sst")) else {
        return skip("analyze", "no IMDB or no treebank in ../shared");
    };
    let place = Place::new();
    let run = |line: &str| {
        let output = place.command(line).env("HF_HOME", &home).output().expect("starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run("train --preset seed --dataset imdb --epochs 1 --out r");
    let figures: Value =
        serde_json::from_str(&run(&format!("analyze --run r --json --sst {}", trees.display()))).expect("JSON");
    let certificate = &figures["certificate"];
    assert_eq!(certificate["texts"], 25_000);
    assert!(certificate["phrases"]["max"].as_f64() < Some(1e-4), "{certificate}");
    assert!(certificate["folded"]["max"].as_f64() < Some(1e-4), "{certificate}");
    assert!(figures["filters_on_their_side"].as_f64() > Some(0.99), "{}", figures["filters_on_their_side"]);
    assert!(figures["sst"]["all"]["rank_correlation"].as_f64() > Some(0.4), "{}", figures["sst"]);
    assert!(figures["sst"]["all"]["accuracy"].as_f64() > Some(0.7));

    let filters = place.read_json("r/analysis/receptive_fields.json");
    let plain = [["excellent", "great", "perfect"], ["worst", "awful", "waste"]];
    for filter in filters.as_array().expect("a list") {
        let [for_it, against] = if filter["head"][0].as_f64() > Some(0.0) { plain } else { [plain[1], plain[0]] };
        for position in filter["positions"].as_array().expect("a list") {
            let is_among = |list: &str, words: [&str; 3]| {
                position[list]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .any(|word| words.contains(&word["word"].as_str().unwrap_or("")))
            };
            assert!(is_among("excite", for_it) && is_among("inhibit", against), "{filter}");
        }
    }
}

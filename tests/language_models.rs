//! Language models: training on a text and on the texts of a table, generation, evaluation, and bad input.

use serde_json::Value;

use crate::common::{Place, text};

/// A model that is small enough to be trained in a second.
const SMALL: &str = "--preset dilated --set encoder.hidden=24 --set encoder.blocks=2 --set encoder.layer.dropout=0 \
                     --set embedding=16 --window 32 --learning-rate 0.01";

/// Sentences of which every character but the first of some words follows from those before.
fn story(sentences: usize) -> String {
    let (animals, verbs) = (["cat", "dog", "Bird"], ["sees", "hears"]);
    let sentence = |at: usize| format!("the {} {} me.\n", animals[at * 5 / 2 % 3], verbs[at % 7 % 2]);
    (0..sentences).map(sentence).collect()
}

/// Trains on a story.
fn trained(place: &Place, flags: &str) -> String {
    let file = place.file("story.txt", story(600));
    place.succeed(&format!("train --task lm --data {file} --epochs 6 {SMALL} --out runs/lm {flags}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_text_is_learned_and_continued() {
    let place = Place::new();
    let last = trained(&place, "");
    let last = last.lines().last().unwrap_or_default();
    assert!(last.starts_with("runs/lm: test loss ") && last.contains("bits per character"), "{last}");
    let metrics = place.read_json("runs/lm/metrics.json");
    let test = &metrics["test"];
    assert_eq!((&metrics["task"], &metrics["receptive_field"]), (&"lm".into(), &13.into()));
    // A sentence has fewer than three bits that cannot be known, and 17 characters or more.
    assert!(number(&test["bits_per_character"]) < 0.4, "{metrics}");
    assert!((number(&test["perplexity"]) - number(&test["loss"]).exp()).abs() < 1e-9, "{metrics}");
    // Every character is ASCII.
    assert_eq!(test["bits_per_character"], test["bits_per_byte"]);
    let evaluation = &place.json("evaluate --json")[0]["evaluation"];
    assert!((number(&evaluation["loss"]) - number(&test["loss"])).abs() < 1e-6, "{evaluation}");
    assert!(place.succeed("evaluate").contains("bits per character"));

    let written = place.succeed("generate --length 60 --temperature 0.5 'the cat s'");
    assert!(written.starts_with("the cat s") && written.contains(" me.\nthe "), "{written}");
    assert!(story(600).contains(written.trim_end().lines().nth(1).expect("a whole line")), "{written}");
    assert_eq!(written, place.succeed("generate --length 60 --temperature 0.5 'the cat s'"), "the same seed");
    let greedy = |seed: usize| place.succeed(&format!("generate --length 40 --temperature 0 --seed {seed} the"));
    assert_eq!(greedy(1), greedy(2));
    assert_eq!(place.succeed("generate --stop '.\\n' --temperature 0 'the dog hears '"), "the dog hears me\n");
    assert_eq!(
        place.succeed("generate --samples 2 --length 3 the").lines().filter(|l| l.starts_with("---")).count(),
        2
    );
    let explained = place.succeed("generate --explain --length 5 --temperature 0 'the Bir'");
    assert!(explained.contains("the Bird ") && explained.contains("what a token before adds"), "{explained}");
}

#[test]
fn json_has_every_token_and_what_it_beat() {
    let place = Place::new();
    trained(&place, "");
    let texts = place.json("generate --json --explain --length 8 --samples 3 --seed 5 'the dog '");
    assert_eq!(texts.len(), 3);
    for (text, seed) in texts.iter().zip(5..) {
        let tokens = text["tokens"].as_array().expect("tokens");
        let written: String = tokens.iter().map(|token| token["token"].as_str().expect("a token")).collect();
        assert_eq!((&text["seed"], &text["text"]), (&seed.into(), &format!("the dog {written}").into()));
        assert_eq!((tokens.len(), &text["is_complete"]), (8, &false.into()));
        for (at, token) in tokens.iter().enumerate() {
            let alternatives = token["alternatives"].as_array().expect("alternatives");
            let sum: f64 = alternatives.iter().map(|other| number(&other["probability"])).sum();
            assert!(alternatives.len() == 5 && sum <= 1.0 + 1e-6, "{token}");
            let (evidence, seen) = (&token["evidence"], &token["evidence"]["tokens"]);
            let seen = seen.as_array().expect("tokens");
            assert_eq!(seen.len(), 13.min(9 + at), "the receptive field, and [START]");
            let shares: f64 = evidence["shares"].as_array().expect("shares").iter().map(number).sum();
            let parts = number(&evidence["baseline"]) + shares + number(&evidence["residual"]);
            assert!((number(&evidence["logit"]) - parts).abs() < 1e-5, "{token}");
        }
    }
    let brief = place.json("generate --json --brief --length 8 --samples 3 --seed 5 'the dog '");
    assert_eq!((brief[0].get("tokens"), &brief[2]["text"]), (None, &texts[2]["text"]));
}

#[test]
fn a_linear_model_is_explained_exactly() {
    let place = Place::new();
    let file = place.file("story.txt", story(200));
    place.succeed(&format!(
        "train --task lm --preset six-words --set encoder.hidden=32 --window 32 --epochs 2 \
         --tokenizer cased-characters --data {file} --out runs/linear"
    ));
    let texts = place.json("generate --json --explain --length 8 the");
    for token in texts[0]["tokens"].as_array().expect("tokens") {
        assert!(number(&token["evidence"]["residual"]).abs() < 1e-4, "{token}");
        assert!(token["evidence"]["shares"].as_array().expect("shares").len() <= 6, "{token}");
    }
}

#[test]
fn texts_of_a_table_end_and_may_be_written_for_a_label() {
    let place = Place::new();
    let rows: String = (0..300).map(|row| ["good film,pos\n", "dull plot,neg\n"][row % 2]).collect();
    let file = place.file("rows.csv", format!("text,label\n{rows}"));
    place.succeed(&format!(
        "train --task lm --data {file} --condition-on-label --tokenizer words --epochs 25 {SMALL} --out runs/c"
    ));
    assert_eq!(place.read_json("runs/c/config.json")["labels"], serde_json::json!(["neg", "pos"]));
    assert!(place.read_json("runs/c/metrics.json")["test"].get("bits_per_character").is_none(), "words have no spaces");
    assert_eq!(place.succeed("generate --label pos --temperature 0"), "good film\n");
    assert_eq!(place.succeed("generate --label neg --temperature 0"), "dull plot\n");
    assert_eq!(place.json("generate --label neg --temperature 0 --json")[0]["is_complete"], true);
    assert_eq!(place.succeed("generate --label neg --temperature 0 --guidance 2"), "dull plot\n");
    assert!(place.fail("generate --label pos --guidance 999").contains("--guidance 999"));
    assert!(place.fail("generate --label other").contains("known: neg, pos"));
    assert!(place.fail("generate").contains("--label"));
    let loss = |data: &str| number(&place.json(&format!("evaluate --json {data}"))[0]["evaluation"]["loss"]);
    assert!(loss(&format!("--data {file}")) < 0.1, "the labels are read");
    assert!((loss("") - number(&place.read_json("runs/c/metrics.json")["test"]["loss"])).abs() < 1e-6);
    let exchanged = place.file(
        "exchanged.csv",
        format!("text,label\n{}", rows.replace("pos", "x").replace("neg", "pos").replace('x', "neg")),
    );
    assert!(loss(&format!("--data {exchanged}")) > 1.0, "the labels are read");
}

#[test]
fn every_kind_of_token_and_encoder_is_trained() {
    let place = Place::new();
    let file = place.file("story.txt", story(60));
    for tokenizer in ["words", "punctuated", "characters", "bytes", "cased-bpe"] {
        let size = if tokenizer == "cased-bpe" { "--vocab-size 280" } else { "" };
        let flags = format!("--tokenizer {tokenizer} {size} --epochs 1 {SMALL}");
        place.succeed(&format!("train --task lm --data {file} {flags} --out runs/{tokenizer}"));
        let again = format!("generate --run runs/{tokenizer} --length 9 'the dog'");
        assert!(place.succeed(&again).starts_with("the dog"), "{tokenizer}");
    }
    for preset in ["gated", "bytenet", "lstm"] {
        let flags = "--set encoder.hidden=8 --window 32 --epochs 1";
        place.succeed(&format!("train --task lm --preset {preset} --data {file} {flags} --out runs/{preset}"));
        place.succeed(&format!("generate --run runs/{preset} --length 9"));
    }
}

#[test]
fn rare_tokens_are_predicted_in_clusters() {
    let place = Place::new();
    let file = place.file("story.txt", story(600));
    // Before these are special tokens and the most frequent words.
    let flags = format!("--tokenizer words --epochs 6 {SMALL} --set adaptive={{\"cutoffs\":[6,9]}}");
    place.succeed(&format!("train --task lm --data {file} {flags} --out runs/a --analyze"));
    place.succeed(&format!("train --task lm --data {file} --tokenizer words --epochs 6 {SMALL} --out runs/w"));
    let loss = |run: &str| number(&place.read_json(&format!("runs/{run}/metrics.json"))["test"]["loss"]);
    assert!((loss("a") - loss("w")).abs() < 0.1, "{} and {}", loss("a"), loss("w"));
    let evaluation = &place.json("evaluate --run runs/a --json")[0]["evaluation"];
    assert!((number(&evaluation["loss"]) - loss("a")).abs() < 1e-6, "{evaluation}");

    let texts = place.json("generate --run runs/a --json --explain --length 12 'the cat'");
    for token in texts[0]["tokens"].as_array().expect("tokens") {
        let beaten: f64 =
            token["alternatives"].as_array().expect("tokens").iter().map(|a| number(&a["probability"])).sum();
        assert!(number(&token["probability"]) <= 1.0 && beaten <= 1.0 + 1e-6, "{token}");
        assert!(number(&token["evidence"]["residual"]).is_finite(), "{token}");
    }
    for (cutoffs, expected) in [("[]", "must be 1 to 16 numbers"), ("[9,6]", "must ascend"), ("[99999]", "must ascend")]
    {
        let line = format!("train --task lm --data {file} {SMALL} --set adaptive={{\"cutoffs\":{cutoffs}}}");
        let error = place.fail(&line);
        assert!(error.contains(&format!("adaptive.cutoffs {expected}")), "{error}");
    }
    let error = place.fail("train --dataset sample --set adaptive={\"cutoffs\":[1]}");
    assert!(error.contains("adaptive"), "{error}");
}

#[test]
fn a_resumed_run_ends_with_the_same_weights() {
    let place = Place::new();
    let file = place.file("story.txt", story(300));
    let flags = format!("--task lm --data {file} --epochs 3 {SMALL} --batch-size 4");
    place.succeed(&format!("train {flags} --out runs/whole"));
    let line = format!("train {flags} --out runs/parts --checkpoint-every 0");
    let mut child = place.command(&line).spawn().expect("starts");
    place.wait_for("runs/parts/checkpoints/latest.safetensors", &mut child);
    child.kill().expect("is killed");
    child.wait().expect("ends");
    place.succeed("train --resume --out runs/parts");
    assert_eq!(place.read("runs/whole/model.safetensors"), place.read("runs/parts/model.safetensors"));
    assert!(place.fail("train --resume --out runs/parts --window 16").contains("--window"));
}

#[test]
fn bad_input_is_explained() {
    let place = Place::new();
    trained(&place, "");
    let long = place.file("long.txt", story(600));
    let short = place.file("short.txt", "the end");
    let latin = place.file("latin.txt", b"caf\xe9");
    let empty = place.file("empty.txt", "");
    for (line, expected) in [
        (format!("train --task lm --data {short}"), "short.txt: its training split has"),
        (format!("train --task lm --data {latin}"), "latin.txt: line 1 is not valid UTF-8"),
        (format!("train --task lm --data {empty}"), "empty.txt: the text is too short"),
        (format!("train --task lm --data {long} --set encoder.layer.causal=false"), "encoder.layer.causal=true"),
        (
            format!("train --task lm --preset lstm --data {long} --set encoder.bidirectional=true"),
            "encoder.bidirectional=false",
        ),
        (format!("train --task lm --preset best --data {long}"), "--preset best: this preset is for --task classify"),
        (format!("train --task lm --data {long} --condition-on-label"), "--condition-on-label"),
        (format!("train --task lm --data {long} --label-column x"), "--label-column"),
        (format!("train --task lm --data {long} --window 0"), "--window 0"),
        (format!("train --task lm --data {long} --vocab-size 3"), "--vocab-size 3"),
        ("train --dataset sample --window 9".into(), "--window: classifiers do not support it"),
        ("train --task tag --dataset sample --condition-on-label".into(), "--condition-on-label: taggers do not"),
        ("generate 'the é'".into(), "\"é\""),
        ("generate --temperature=-1".into(), "--temperature"),
        ("generate --top-p 0".into(), "--top-p 0"),
        ("generate --top-k 0".into(), "--top-k 0"),
        ("generate --length 0".into(), "--length 0"),
        ("generate --label pos".into(), "--condition-on-label"),
        ("predict text".into(), "generates texts; use convlens generate"),
        ("analyze --texts 3".into(), "--texts: give the beginnings of texts with --text"),
        ("export --folded".into(), "generates texts; use convlens generate"),
        ("evaluate --data nowhere.txt".into(), "nowhere.txt"),
    ] {
        let error = place.fail(&line);
        assert!(error.contains(expected) && error.trim_end().lines().count() == 1, "{line}: {error}");
    }
    // An empty prompt begins a text.
    assert!(!place.succeed("generate --length 20 ''").trim().is_empty());
    place.succeed("train --dataset sample --epochs 1 --out runs/z");
    assert!(place.fail("generate --run runs/z").contains("classifies texts, and does not generate"));
}

#[test]
fn an_analysis_shows_why_and_which_contexts_excite_each_unit() {
    let place = Place::new();
    trained(&place, "--analyze");
    let (texts, units) =
        (place.read_json("runs/lm/analysis/texts.json"), place.read_json("runs/lm/analysis/units.json"));
    let (texts, units) = (texts.as_array().expect("texts"), units.as_array().expect("units"));
    assert_eq!((texts.len(), units.len()), (3, 24));
    for token in texts.iter().flat_map(|text| text["written"].as_array().expect("tokens")) {
        let shares: f64 = token["evidence"]["shares"].as_array().expect("shares").iter().map(number).sum();
        let parts = number(&token["evidence"]["baseline"]) + shares + number(&token["evidence"]["residual"]);
        assert!((number(&token["evidence"]["logit"]) - parts).abs() < 1e-5, "{token}");
    }
    let story = story(600);
    for unit in units {
        let most = unit["most"].as_array().expect("contexts");
        let values: Vec<f64> = most.iter().map(|context| number(&context["value"])).collect();
        assert!(values.len() == 10 && values.windows(2).all(|pair| pair[0] >= pair[1]), "{unit}");
        for context in most {
            let whole =
                format!("{}{}", context["text"].as_str().expect("a text"), context["next"].as_str().expect("a text"));
            assert!(story.contains(&whole), "{context}");
        }
        assert!(values[0] >= number(&unit["mean"]), "{unit}");
    }
    let report = text(&place.read("runs/lm/analysis/report.html"));
    assert!(report.contains("Texts that it wrote") && report.contains("Unit 23"), "the report is incomplete");
    let own = place.succeed("analyze --text 'the cat '");
    assert!(own.contains("24 units") && place.read_json("runs/lm/analysis/texts.json")[0]["prompt"] == "the cat ");
    assert!(place.json("analyze --json")[0]["residual_mean"].is_number());
}

#[test]
fn a_probe_finds_what_the_model_knows_without_labels() {
    let place = Place::new();
    // The ends of the lines depend on their beginnings, which no label says.
    let lines = ["a good day and sun", "a bad day and rain", "one good day with sun", "one bad day with rain"];
    let rows: String = (0..400).map(|at| format!("{},{}\n", lines[at % 4], ["pos", "neg"][at % 2])).collect();
    let file = place.file("days.csv", format!("text,label\n{rows}"));
    place.succeed(&format!("train --task lm --data {file} --epochs 4 {SMALL} --out runs/lm"));
    let found =
        &place.json(&format!("probe --data {file} --json --text 'a good day and sun' --text 'a bad day and rain'"))[0];
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.iter().map(|row| row["labels"].as_u64()).collect::<Vec<_>>(), [Some(100), Some(320)]);
    for row in rows {
        assert!(number(&row["accuracy"]) > 0.99 && number(&row["unit_accuracy"]) > 0.7, "{row}");
        assert!(row["random"]["accuracy"].is_number(), "{row}");
    }
    for (text, sign) in found["texts"].as_array().expect("texts").iter().zip([1.0, -1.0]) {
        let scores: Vec<f64> = text["scores"].as_array().expect("scores").iter().map(number).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        assert!((mean - number(&text["logit"])).abs() < 1e-9 && sign * mean > 0.0, "{text}");
    }
    let printed = place.succeed(&format!("probe --data {file} --text 'a good day' --plot day.svg"));
    assert!(printed.contains("for pos") && printed.contains("drawn in day.svg"), "{printed}");
    assert!(text(&place.read("day.svg")).contains("score for pos"));
    for (line, expected) in [
        (format!("probe --data {file} --texts 1"), "--texts 1"),
        (format!("probe --data {file} --penalty 0"), "--penalty 0"),
        (format!("probe --data {file} --text x --plot day.txt"), "--plot day.txt"),
    ] {
        assert!(place.fail(&line).contains(expected), "{line}");
    }
    place.succeed("train --dataset sample --epochs 1 --out runs/z");
    assert!(place.fail("probe --run runs/z --dataset sample").contains("this run classifies texts"));
}

/// The README of a run says what it is.
#[test]
fn the_model_card_names_the_verb() {
    let place = Place::new();
    trained(&place, "");
    let card = text(&place.read("runs/lm/README.md"));
    assert!(card.contains("text-generation") && card.contains("convlens generate --run ."), "{card}");
}

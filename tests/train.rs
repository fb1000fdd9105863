//! `train`, `evaluate` and the cache: changed data, flags without effect, long texts, two at a time.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Place, text};

const OPINIONS: &str = "text,label\na good film,pos\na bad film,neg\na good plot,pos\na bad plot,neg\n";

/// A file of 120 short reviews.
fn reviews(place: &Place, name: &str) -> String {
    place.file(
        name,
        format!(
            "text,label\n{}",
            OPINIONS.lines().skip(1).map(|row| format!("{row}\n")).collect::<String>().repeat(30)
        ),
    )
}

#[test]
fn a_changed_file_has_no_test_split() {
    let place = Place::new();
    let file = reviews(&place, "reviews.csv");
    place.succeed(&format!("train --data {file} --epochs 1 --out runs/r"));
    let evaluation = place.json("evaluate --json");

    // The path of the file does not depend on the working directory.
    std::fs::create_dir(place.path().join("elsewhere")).expect("makes");
    let mut command = place.command("evaluate --run ../runs/r --json");
    let output = command.current_dir(place.path().join("elsewhere")).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let elsewhere: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(elsewhere["evaluation"], evaluation[0]["evaluation"]);

    let content = place.read(&file);
    place.file(&file, [content.as_slice(), b"a new film,pos\n"].concat());
    for verb in ["evaluate", "analyze"] {
        let error = place.fail(verb);
        assert!(error.contains("reviews.csv: has changed since the run began") && error.contains("--data"), "{error}");
    }
    assert!(place.fail("train --resume --out runs/r").contains("reviews.csv: has changed since the run began"));
    place.succeed(&format!("evaluate --data {file}"));
    std::fs::remove_file(place.path().join(&file)).expect("removes");
    let error = place.fail("evaluate");
    assert!(error.contains("reviews.csv: No such file") && error.contains("--data"), "{error}");
    place.file(&file, content);
    assert_eq!(place.json("evaluate --json")[0]["evaluation"], evaluation[0]["evaluation"]);
}

#[test]
fn no_flag_is_ignored() {
    let place = Place::new();
    let file = reviews(&place, "reviews.csv");
    place.succeed(&format!("train --data {file} --label-map pos=good --epochs 1 --out runs/r"));
    place.succeed("train --dataset sample --epochs 1 --tokenizer bytes --out sample");
    let cases = [
        (
            "train --data reviews.csv --label-map Positive=good",
            "reviews.csv: no row has the label \"Positive\", which the label map maps to \"good\" (the file has: neg, pos); correct --label-map Positive=good",
        ),
        ("train --data reviews.csv --label-map pos=a --label-map pos=b", "the label \"pos\" is mapped twice"),
        (
            "train --dataset sample --tokenizer bytes --vocab-size 300",
            "--vocab-size: this tokenizer has a vocabulary of its own",
        ),
        ("train --dataset sample --tokenizer runs/r/tokenizer.json --vocab-size 300", "--vocab-size: this tokenizer"),
        (
            "train --dataset sample --preset seed --max-tokens 300",
            "--max-tokens: this model cuts every text to 400 tokens",
        ),
        ("train --dataset sample --max-tokens 0", "--max-tokens 0"),
        ("train --resume --out runs/r --label-map pos=better", "--label-map: runs/r was begun with another"),
        ("train --resume --out runs/r --data other.csv", "--data: runs/r was begun with another"),
        ("train --resume --out runs/r --dataset auto", "--dataset: runs/r was begun with another"),
        ("train --resume --out runs/r --max-tokens 9", "--max-tokens: runs/r was begun with another"),
        ("train --resume --out sample --text-column text", "--text-column: sample was begun with another"),
        ("train --resume --out sample --label-map a=b", "--label-map: sample was begun with another"),
        ("train --resume --out runs/r --data reviews.csv --test-data other.csv", "--test-data: runs/r was begun"),
        ("evaluate --run runs/r --label-map pos=good", "--label-map needs --data"),
        (
            "evaluate --run runs/r --data reviews.csv --label-map pos=better",
            "--label-map pos=better: there is no label \"better\" (known: good, neg)",
        ),
    ];
    for (line, expected) in cases {
        let error = place.fail(line);
        assert!(error.contains(expected), "convlens {line}: {error}");
    }
    // clap refuses these.
    for line in [
        "train --dataset sample --test-data reviews.csv",
        "compare --presets seed --dataset sample --test-data reviews.csv",
        "evaluate --run runs/r --data reviews.csv --split train",
    ] {
        let error = place.fail(line);
        assert!(error.contains("cannot be used with"), "convlens {line}: {error}");
    }
    // The same flags are accepted, however the file is named.
    let path = place.path().join(&file);
    place.succeed(&format!("train --resume --out runs/r --data {} --label-map pos=good", path.display()));
    place.succeed("train --resume --out sample --dataset auto");
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let place = Place::new();
    let train = "train --dataset sample --epochs 500 --patience 500 --batch-size 4 --out runs/r";
    let mut first = place.command(train).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    place.wait_for("runs/r/metrics.jsonl", &mut first);
    let second = |line: &str| {
        let output = place.run(line);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "convlens {line}: {error}");
        error
    };
    let errors = ["train --resume --out runs/r", "train --resume"].map(second);
    assert!(errors.iter().all(|error| error.contains("runs/r: is being trained by another process")), "{errors:?}");
    assert!(second("train --dataset sample --out runs/r").contains("runs/r: already exists"));
    first.kill().expect("SIGKILL");
    first.wait().expect("ends");
    // The lock of a killed process locks nothing.
    let mut child = place.command("train --resume --out runs/r").stderr(Stdio::null()).spawn().expect("starts");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("a state").is_none(), "training continues");
    child.kill().and_then(|()| child.wait()).expect("ends");
}

#[test]
fn trainings_started_together_get_folders_of_their_own() {
    let place = Place::new();
    let start = |line: &str| place.command(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let children: Vec<_> = (0..4).map(|_| start("train --dataset sample --epochs 1")).collect();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let runs = std::fs::read_dir(place.path().join("runs")).expect("lists").flatten();
    let finished = runs.filter(|run| run.path().join("metrics.json").exists()).count();
    assert_eq!(finished, 4);

    // Into one folder: one of them trains, the others fail because it exists.
    let children: Vec<_> = (0..4).map(|_| start("train --dataset sample --epochs 1 --out one")).collect();
    let mut codes = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        let error = text(&output.stderr);
        assert!(output.status.success() || error.contains("one: already exists"), "{error}");
        codes.push(output.status.code());
    }
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2), Some(2), Some(2)]);
}

#[test]
fn long_texts_are_cut_in_training() {
    let place = Place::new();
    let short = text(&place.read(&reviews(&place, "reviews.csv")));
    // At least one of them is not in the validation split.
    let long = format!("{},pos\n", "good film ".repeat(50_000)).repeat(3);
    place.file("long.csv", short + &long);
    let output = place.run("train --data long.csv --test-data reviews.csv --preset dilated --epochs 1 --out r");
    let error = text(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert!(error.contains("more than 65,536 tokens; training reads only the beginning"), "{error}");
    let peak = place.read_json("r/metrics.json")["peak_rss_bytes"].as_u64().expect("a size");
    assert!(peak > 0 && peak < 3 << 30, "{peak}");
    let cut = place.run("train --data reviews.csv --max-tokens 2 --epochs 1 --out cut");
    let error = text(&cut.stderr);
    assert!(error.contains("have more than 2 tokens"), "{error}");
    assert_eq!(place.read_json("cut/config.json")["training"]["max_tokens"], 2);
}

#[test]
fn the_cache_is_listed_emptied_and_limited() {
    let place = Place::new();
    assert!(place.succeed("cache").contains("0 entries"));
    place.succeed("train --dataset sample --epochs 1 --out a");
    let listed = &place.json("cache --json")[0];
    let entries = listed["entries"].as_array().expect("entries").len();
    assert_eq!((entries, listed["limit_bytes"].as_u64()), (2, Some(10 << 30)), "{listed}");
    assert!(listed["bytes"].as_u64() > Some(10_000), "{listed}");
    let table = place.succeed("cache");
    assert!(
        table.contains("tokenizer") && table.contains("encoded texts") && table.contains("of at most 10.00 GiB"),
        "{table}"
    );
    place.file("cache/mine.txt", "mine");
    assert!(place.succeed("cache --clear").contains("removed 2 entries"));
    assert_eq!(place.json("cache --json")[0]["entries"], serde_json::json!([]));
    assert_eq!(place.read("cache/mine.txt"), b"mine");

    let mut nothing = place.command("train --dataset sample --epochs 1 --out b");
    assert!(nothing.env("CONVLENS_CACHE_GIB", "0").output().expect("starts").status.success());
    assert_eq!(place.json("cache --json")[0]["entries"], serde_json::json!([]));
    assert!(place.read("a/model.safetensors") == place.read("b/model.safetensors"));
    for line in ["cache", "train --dataset sample"] {
        let mut command = place.command(line);
        command.env("CONVLENS_CACHE_GIB", "much");
        assert!(place.fail_with(line, command).contains("CONVLENS_CACHE_GIB=much: not a size"));
    }
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("sends");
}

/// The exit code of a program, as a shell has it.
#[cfg(unix)]
fn code(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| 128 + signal))
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_an_analysis_at_once() {
    let place = Place::new();
    let train = "train --dataset sample --epochs 1 --analyze --out runs/r";
    let mut child = place.command(train).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    place.wait_for("runs/r/metrics.json", &mut child);
    let clock = Instant::now();
    interrupt(&child);
    let output = child.wait_with_output().expect("ends");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.ends_with("analyse it with: convlens analyze --run runs/r\n"), "{error}");
    assert!(clock.elapsed() < Duration::from_secs(20), "{:?}", clock.elapsed());
    assert!(!place.path().join("runs/r/analysis/report.html").exists());

    // Work that takes a hundred times as long as the wait before the signal.
    place.succeed("train --dataset sample --preset lstm --epochs 1 --out runs/lstm");
    let row = format!("{},pos\n", "a good film and a bad plot ".repeat(100));
    place.file("many.csv", format!("text,label\n{}", row.repeat(5_000)));
    for line in ["evaluate --run runs/lstm --data many.csv", "analyze --run runs/lstm --data many.csv"] {
        let mut child = place.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().expect("a state").is_none(), "{line} still runs");
        interrupt(&child);
        let status = child.wait().expect("ends");
        assert_eq!(code(status), Some(130), "{line}");
    }
    assert!(!place.path().join("runs/lstm/analysis/report.html").exists());
    place.succeed("analyze --run runs/r");
}

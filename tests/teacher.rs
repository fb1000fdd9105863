//! Students that learn what their teachers say of texts without labels.

use crate::common::{Place, text};

/// The rows of the sample's splits.
const TRAIN: &str = include_str!("../data/sample/train.csv");
const TEST: &str = include_str!("../data/sample/test.csv");

/// Writes forty reviews with labels, the sample's test split, and 1,200 other reviews, and trains a teacher on all of the
/// sample.
fn place() -> Place {
    let place = Place::new();
    let rows: Vec<&str> = TRAIN.lines().collect();
    let few: String = rows[..41].iter().map(|row| format!("{row}\n")).collect();
    let column = rows[0].split(',').position(|name| name == "text").expect("a column of texts");
    assert_eq!(column, 0, "the texts come first");
    place.file("few.csv", few);
    place.file("test.csv", TEST);
    let texts = rows[100..1300].iter().map(|row| format!("{}\n", row.rsplit_once(',').expect("a label").0));
    place.file("texts.csv", std::iter::once("text\n".to_owned()).chain(texts).collect::<String>());
    place.succeed("train --dataset sample --out teacher");
    place
}

const STUDENT: &str = "train --data few.csv --test-data test.csv --epochs 3 --batch-size 20";

#[test]
fn a_student_learns_from_its_teacher() {
    let place = place();
    place.succeed(&format!("{STUDENT} --out alone"));
    let taught = format!("{STUDENT} --unlabelled texts.csv --teacher teacher");
    place.succeed(&format!("{taught} --out student"));
    place.succeed(&format!("{taught} --out again"));
    assert!(place.read("student/model.safetensors") == place.read("again/model.safetensors"), "same seed, same result");
    let accuracy = |run: &str| place.read_json(&format!("{run}/metrics.json"))["test"]["accuracy"].as_f64();
    let [alone, student] = ["alone", "student"].map(|run| accuracy(run).expect("an accuracy"));
    assert!(student > alone + 0.05, "{student} with a teacher, {alone} without");

    let config = place.read_json("student/config.json");
    assert_eq!(config["teacher"]["runs"], serde_json::json!(["teacher"]));
    assert_eq!(config["teacher"]["texts"], 1_200);
    assert_eq!(config["dataset"]["train"].as_u64().zip(config["dataset"]["validation"].as_u64()), Some((38, 2)));
    assert!(!config.to_string().contains(&place.path().display().to_string()), "{config}");

    let card = text(&place.read("student/README.md"));
    assert!(card.contains("| also trained on | 1200 texts, labelled by teacher |"), "{card}");

    // A teacher that says the same twice says the same on average.
    place.succeed(&format!("{taught} --teacher teacher --out twice"));
    assert!(place.read("student/teacher.safetensors") == place.read("twice/teacher.safetensors"));
    place.succeed("predict --run student good");
    place.succeed("analyze --run student --texts 20");
    assert!(text(&place.read("student/analysis/report.html")).contains("1200 texts, labelled by teacher"));
}

#[test]
#[cfg(unix)]
fn a_student_is_resumed_without_its_teacher() {
    let place = place();
    let taught = "train --preset best --set encoder.filters=8 --set embedding=72 --data few.csv --test-data test.csv --epochs 40 \
         --unlabelled texts.csv --teacher teacher --checkpoint-every 0.01";
    place.succeed(&format!("{taught} --out alone"));
    let error = place.interrupt(&format!("{taught} --out stopped"), "stopped/checkpoints/latest.safetensors");
    assert!(error.contains("nothing is lost"), "{error}");

    let error = place.fail("train --resume --out stopped --teacher alone");
    assert!(error.contains("--teacher: stopped was begun with another value"), "{error}");
    std::fs::remove_dir_all(place.path().join("teacher")).expect("removes");
    let texts = place.read("texts.csv");
    place.file("texts.csv", "text\na good film\n");
    let error = place.fail("train --resume --out stopped");
    assert!(error.contains("texts.csv: has changed since the run began"), "{error}");
    place.file("texts.csv", texts);
    place.succeed("train --resume --out stopped");
    assert!(place.read("alone/model.safetensors") == place.read("stopped/model.safetensors"));
}

#[test]
fn bad_input_is_one_line() {
    let place = place();
    place.file("stars.csv", "text,label\ngood,5\nbad,1\nfine,4\n");
    place.succeed("train --task lm --dataset sample --preset six-words --set encoder.hidden=4 --epochs 1 --out lm");
    let cases = [
        ("--teacher teacher", "--teacher: name the texts that it is to label with --unlabelled"),
        ("--teacher missing --unlabelled texts.csv", "missing: not a run folder"),
        (
            "--teacher lm --unlabelled texts.csv",
            "--teacher lm: this run generates texts, and does not classify texts; name another run",
        ),
        ("--vectors v.txt --unlabelled texts.csv", "--unlabelled: cannot be used with --vectors"),
        ("--teacher teacher --unlabelled none.csv", "none.csv: No such file"),
        ("--teacher teacher --unlabelled texts.csv --task tag", "--unlabelled: taggers do not support it"),
    ];
    for (flags, expected) in cases {
        let error = place.fail(&format!("train --data few.csv --out r {flags}"));
        assert!(error.contains(expected), "{flags}: {error}");
        assert!(!place.path().join("r").exists(), "{flags}");
    }
    let error = place.fail("train --data stars.csv --out r --teacher teacher --unlabelled texts.csv");
    assert!(error.contains("its labels (neg, pos) are not those of the data (1, 4, 5)"), "{error}");
    place.succeed("train --data few.csv --out r --teacher teacher --unlabelled texts.csv --epochs 1");
    place.file("r/teacher.safetensors", "damaged");
    std::fs::remove_file(place.path().join("r/metrics.json")).expect("removes");
    let error = place.fail("train --resume --out r");
    assert!(error.contains("teacher.safetensors: not the run's labels of its teachers"), "{error}");
    std::fs::remove_file(place.path().join("r/teacher.safetensors")).expect("removes");
    let error = place.fail("train --resume --out r");
    assert!(error.contains("r: has no teacher.safetensors"), "{error}");
}

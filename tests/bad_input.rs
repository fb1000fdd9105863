//! Bad input: one clear line, exit code 2, and nothing that was there is touched.

use std::process::Stdio;

use crate::common::{Place, binary, text};

fn trained() -> Place {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    place
}

#[test]
fn of_files() {
    let place = Place::new();
    place.file("empty.csv", "");
    place.file("header.csv", "text,label\n");
    place.file("gap.csv", "text,label\nfine,a\n,b\n");
    place.file("latin.csv", b"text,label\ncaf\xe9,a\n");
    place.file("one.csv", "text,label\nx,a\ny,a\nz,a\n");
    place.file("good.csv", "text,label\nx,a\ny,b\nz,a\nw,b\nv,a\n");
    place.file("other.csv", "text,label\nx,a\ny,c\n");
    place.file("cut.parquet", b"PAR1\x15\x04\x15\x10\x15\x14");
    place.file("text.pdf", "x");
    place.file("bad.json", "{}");
    let cases = [
        (
            "train --data good.csv --text-column review",
            "no column \"review\" (it has: text, label); name it with --text-column",
        ),
        ("train --data good.csv --label-column stars", "no column \"stars\""),
        ("train --data good.csv --test-data other.csv", "other.csv: row 2 has the unknown label \"c\" (known: a, b)"),
        ("train --data empty.csv", "empty.csv: the file is empty"),
        ("train --data header.csv", "header.csv: the file holds no rows"),
        ("train --data gap.csv", "gap.csv: row 2 has no text"),
        ("train --data latin.csv", "latin.csv: line 2 is not valid UTF-8"),
        ("train --data one.csv", "only one label, \"a\""),
        ("train --data cut.parquet", "cut.parquet: not readable as Parquet"),
        ("train --data text.pdf", "text.pdf: unknown file type"),
        ("train --data missing.csv", "missing.csv: No such file"),
        (
            "train --data good.csv --label-map ab",
            "\"ab\" does not have the form FILE_LABEL=MODEL_LABEL; write --label-map FILE_LABEL=MODEL_LABEL",
        ),
        ("train --text-column review", "--text-column goes with --data"),
        ("train --data good.csv --tokenizer bad.json", "bad.json: not a tokenizer.json"),
        ("train --data good.csv --tokenizer missing.json", "missing.json: No such file"),
    ];
    for (line, expected) in cases {
        let error = place.fail(line);
        assert!(error.contains(expected), "convlens {line}: {error}");
    }
}

#[test]
fn of_flags() {
    let place = trained();
    let cases = [
        ("train --batch-size 0", "--batch-size 0: a step needs at least 1 text"),
        ("train --epochs 0", "--epochs 0"),
        ("train --learning-rate=-1", "--learning-rate -1"),
        ("train --vocab-size 3", "--vocab-size 3"),
        ("train --preset worst", "no preset is called \"worst\" (known: default, seed, relu, conv, best, plain,"),
        ("train --dataset imbd", "no data set is called \"imbd\" (known: imdb, sample)"),
        ("train --dataset sample --out runs/r", "runs/r: exists already"),
        ("train --resume --out nothing/here.txt --dataset imbd", "no data set is called"),
        ("train --device wgpu --dataset sample", "--device wgpu: "),
        ("train --config missing.toml", "missing.toml: No such file"),
        ("predict --run nowhere x", "nowhere: no run folder"),
        ("evaluate --run runs/r --dataset imdb", "not cached, and the download failed"),
        ("predict --file missing.txt", "missing.txt: No such file"),
    ];
    for (line, expected) in cases {
        let error = place.fail(line);
        assert!(error.contains(expected), "convlens {line}: {error}");
    }
    // clap's own: a usage hint follows, the exit code is the same.
    let output = place.run("train --device gpu");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("auto, cpu, wgpu"));
}

#[test]
fn of_labels_that_the_model_does_not_know() {
    let place = trained();
    place.file("a.csv", "text,label\ngood,Positive\n");
    assert!(place.fail("evaluate --data a.csv").contains("row 1 has the unknown label \"Positive\" (known: neg, pos)"));
    assert!(place.succeed("evaluate --data a.csv --label-map Positive=pos").contains("1 texts of a.csv"));
}

#[test]
fn of_run_folders() {
    let place = trained();
    place.succeed("train --dataset sample --epochs 1 --tokenizer characters --out runs/other");
    let [weights, config, tokenizer] =
        ["model.safetensors", "config.json", "tokenizer.json"].map(|file| place.read(&format!("runs/r/{file}")));
    let broken = |file: &str, content: &[u8], expected: &str| {
        place.file(&format!("runs/r/{file}"), content);
        let error = place.fail("predict --run runs/r x");
        assert!(error.contains(&format!("runs/r/{file}: ")) && error.contains(expected), "{error}");
        for (file, content) in
            [("model.safetensors", &weights), ("config.json", &config), ("tokenizer.json", &tokenizer)]
        {
            place.file(&format!("runs/r/{file}"), content);
        }
    };
    broken("model.safetensors", &weights[..weights.len() / 2], "truncated or damaged");
    broken("model.safetensors", b"", "truncated or damaged");
    broken("model.safetensors", &place.read("runs/other/model.safetensors"), "does not fit config.json");
    broken("tokenizer.json", &place.read("runs/other/tokenizer.json"), "put back the run's own tokenizer.json");
    broken("tokenizer.json", b"{}", "not a tokenizer.json");
    broken("config.json", b"{\"format\": 2}", "written by a newer convlens");
    broken("config.json", b"{", "not a configuration");
    place.succeed("predict --run runs/r x");

    // The same shapes, but another run's words.
    place.succeed("train --dataset sample --epochs 1 --seed 5 --out runs/alike");
    place.file("runs/alike/model.safetensors", &weights);
    place.succeed("predict --run runs/alike x"); // same tokenizer: a copy of one's own
    std::fs::remove_file(place.path().join("runs/alike/model.safetensors")).expect("removes");
    assert!(place.fail("predict --run runs/alike x").contains("no trained weights yet"));
    place.file("runs/r/checkpoints/latest.safetensors", b"x");
    assert!(place.fail_last("train --resume --out runs/r").contains("latest.safetensors: damaged"));
}

#[test]
#[cfg(target_os = "linux")]
fn of_full_disks() {
    let place = trained();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = place.command("predict x");
    command.stdout(Stdio::from(full));
    assert!(place.fail_with("predict x > /dev/full", command).contains("standard output: No space left"));

    // Files may not grow past 64 KiB, and the signal that says so is ignored: writes fail.
    let before = place.read("runs/r/model.safetensors");
    let script = "ulimit -f 64; trap '' XFSZ; exec \"$0\" train --dataset sample --epochs 1 --out runs/full";
    let mut limited = std::process::Command::new("bash");
    let environment = place
        .command("")
        .get_envs()
        .map(|(key, value)| (key.to_owned(), value.map(|value| value.to_owned())))
        .collect::<Vec<_>>();
    limited.args(["-c", script]).arg(binary()).current_dir(place.path()).stdin(Stdio::null());
    for (key, value) in environment {
        match value {
            Some(value) => _ = limited.env(key, value),
            None => _ = limited.env_remove(key),
        }
    }
    let output = limited.output().expect("starts");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let last = error.lines().last().unwrap_or_default();
    assert!(last.contains("runs/full/") && last.contains("File too large"), "{error}");
    assert!(before == place.read("runs/r/model.safetensors"));
    let left: Vec<_> = std::fs::read_dir(place.path().join("runs/full")).expect("lists").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".writing")), "{left:?}");
    // With room again, the run goes on.
    place.succeed("train --resume --out runs/full");
}

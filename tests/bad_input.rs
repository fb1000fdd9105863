//! Bad input: one clear line, exit code 2, and no existing file is changed.

use std::process::Stdio;

use crate::common::{Place, binary, text};

fn trained() -> Place {
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    place
}

#[test]
fn bad_files_are_refused() {
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
    place.file("twice.csv", "text,text,label\nx,y,a\ny,x,b\n");
    place.file("marks.csv", format!("text,label\n{}", "!!!,a\n???,b\n".repeat(5)));
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
        (
            "train --data good.csv --label-map nirvana=a",
            "good.csv: no row has the label \"nirvana\", which the label map maps to \"a\" (the file has: a, b); correct --label-map nirvana=a, or leave it out",
        ),
        ("train --data twice.csv", "twice.csv: two or more columns are called \"text\""),
        ("train --preset linear --data marks.csv", "marks.csv: the training texts contain no words"),
        ("data --data marks.csv", "marks.csv: the training texts contain no words"),
        ("train --text-column review", "--text-column needs --data"),
        ("train --test-data good.csv", "--test-data needs --data"),
        ("compare --presets relu --test-data good.csv", "--test-data needs --data"),
        ("train --data good.csv --tokenizer bad.json", "bad.json: not a tokenizer.json"),
        ("train --data good.csv --tokenizer missing.json", "missing.json: No such file"),
    ];
    for (line, expected) in cases {
        let error = place.fail(line);
        assert!(error.contains(expected), "convlens {line}: {error}");
    }
}

#[test]
#[cfg(unix)]
fn special_files_and_paths_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.file("good.csv", "text,label\nx,a\ny,b\nz,a\nw,b\nv,a\n");
    let error = place.fail("train --data good.csv --tokenizer /dev/zero");
    assert!(error.contains("/dev/zero: this is a device"), "{error}");
    let mut command = place.command("train --out runs/r");
    command.arg("--data").arg(std::ffi::OsStr::from_bytes(b"caf\xe9.csv"));
    let error = place.fail_with("train --data", command);
    assert!(error.contains("caf\u{fffd}.csv: this path is not valid UTF-8"), "{error}");
    assert!(!place.path().join("runs").exists());
}

#[test]
fn bad_flags_are_refused() {
    let place = trained();
    let cases = [
        ("train --batch-size 0", "--batch-size 0: a step needs at least 1 text"),
        ("train --epochs 0", "--epochs 0"),
        ("train --batch-size 18446744073709551615", "--batch-size 18446744073709551615: it must be from 1 to 2^31 - 1"),
        ("train --vocab-size 18446744073709551615", "--vocab-size 18446744073709551615: use at most"),
        ("train --set =1", "--set =1: the key, or a part of it, is empty"),
        ("train --learning-rate=-1", "--learning-rate -1"),
        ("train --vocab-size 3", "--vocab-size 3"),
        (
            "train --preset worst",
            "no preset is called \"worst\" (known: default, linear, seed, relu, conv, best, plain,",
        ),
        ("train --dataset imbd", "no data set is called \"imbd\" (known: imdb, sample)"),
        ("train --dataset sample --out runs/r", "runs/r: already exists"),
        ("train --resume --out nothing/here.txt --dataset imbd", "nothing/here.txt: not a run folder"),
        ("train --device wgpu --dataset sample", "device wgpu: "),
        ("train --config missing.toml", "missing.toml: No such file"),
        ("predict --run nowhere x", "nowhere: not a run folder"),
        ("evaluate --run runs/r --dataset imdb", "not cached, and the download failed"),
        ("predict --file missing.txt", "missing.txt: No such file"),
    ];
    for (line, expected) in cases {
        let error = place.fail(line);
        assert!(error.contains(expected), "convlens {line}: {error}");
    }
    // clap's own errors look the same, and name the help.
    for (line, expected) in [
        ("train --device gpu", "auto, cpu, wgpu"),
        ("train --epoch 3", "unexpected argument '--epoch' found; tip: a similar argument exists: '--epochs'"),
        ("export", "the following required arguments were not provided: "),
    ] {
        let (error, verb) = (place.fail(line), line.split(' ').next().unwrap_or_default());
        assert!(error.contains(expected), "convlens {line}: {error}");
        assert!(error.ends_with(&format!("; see `convlens {verb} --help`\n")), "convlens {line}: {error}");
    }
    assert!(place.fail("tran").ends_with("; see `convlens --help`\n"));
}

#[test]
fn labels_that_the_model_does_not_know_are_named() {
    let place = trained();
    place.file("a.csv", "text,label\ngood,Positive\n");
    assert!(place.fail("evaluate --data a.csv").contains("row 1 has the unknown label \"Positive\" (known: neg, pos)"));
    assert!(place.succeed("evaluate --data a.csv --label-map Positive=pos").contains("1 texts of a.csv"));
}

#[test]
fn damaged_run_folders_are_refused() {
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

    // The same shapes, but another run's weights.
    place.succeed("train --dataset sample --epochs 1 --learning-rate 0.1 --out runs/alike");
    place.file("runs/alike/model.safetensors", &weights);
    place.succeed("predict --run runs/alike x"); // the tokenizer is the same, so the weights fit
    std::fs::remove_file(place.path().join("runs/alike/model.safetensors")).expect("removes");
    assert!(place.fail("predict --run runs/alike x").contains("no trained weights yet"));
    place.file("runs/r/checkpoints/latest.safetensors", b"x");
    assert!(place.fail_last("train --resume --out runs/r").contains("latest.safetensors: damaged"));
}

#[test]
#[cfg(target_os = "linux")]
fn full_disks_are_reported() {
    let place = trained();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = place.command("predict x");
    command.stdout(Stdio::from(full));
    assert!(place.fail_with("predict x > /dev/full", command).contains("standard output: No space left"));

    // Files may not grow past 64 KiB. The signal for this is ignored, so that writes fail.
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
    // With enough room, the run continues.
    place.succeed("train --resume --out runs/full");
}

#[test]
#[cfg(target_os = "linux")]
fn a_standard_error_that_cannot_be_written_changes_nothing() {
    let place = Place::new();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full"));
    let code = |line: &str| {
        let status = place.command(line).stderr(full()).stdout(Stdio::null()).env("RUST_LOG", "debug").status();
        status.expect("starts").code()
    };
    assert_eq!(code("train --epochs 1 --out runs/r"), Some(0)); // with the warning about the sample
    assert_eq!(code("predict x ''"), Some(0));
    assert_eq!(code("compare --presets relu --dataset sample --epochs 1 --out runs/c"), Some(0));
    assert_eq!(code("predict --run nowhere x"), Some(2));
    assert_eq!(code("predict --device gpu x"), Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn a_standard_output_that_cannot_be_written_is_reported() {
    let place = trained();
    for line in ["--help", "--version", "predict --help", "completions bash", "data", "predict --brief x", "evaluate"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = place.command(line);
        command.stdout(Stdio::from(full));
        assert!(place.fail_with(line, command).contains("standard output: No space left"), "{line}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_the_program_silently() {
    let place = trained();
    let texts = place.file("texts.txt", "a good film\n".repeat(50_000));
    for line in [format!("predict --brief --file {texts}"), "predict --json 'a good film' 'a dull film'".into()] {
        let mut command = place.command(&line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", text(&output.stderr));
    }
}

/// JSON has no other characters than Unicode's, and a folder's name may have any bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_not_unicode_is_a_folder() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let folder = std::ffi::OsStr::from_bytes(b"run\xff");
    for line in ["train --dataset sample --preset seed --epochs 1 --json --out", "analyze --json --run"] {
        let output = place.command(line).arg(folder).output().expect("starts");
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON");
    }
}

#[test]
fn colours_are_for_terminals() {
    let place = trained();
    let escapes = |line: &str, variables: &[(&str, &str)]| {
        let output = place.command(line).envs(variables.iter().copied()).output().expect("starts");
        [output.stdout, output.stderr].map(|bytes| bytes.contains(&0x1b))
    };
    let log = ("RUST_LOG", "info");
    assert_eq!(escapes("predict x", &[log]), [false, false]);
    assert_eq!(escapes("train --epochs 1 --out runs/s", &[]), [false, false]);
    assert_eq!(escapes("predict x", &[log, ("CLICOLOR_FORCE", "1")]), [true, true]);
    assert_eq!(escapes("predict x", &[log, ("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), [false, false]);
}

#[test]
fn bad_configuration_files_are_refused() {
    let place = Place::new();
    place.file("bad.toml", "dataset = \"sample\"\nepochs = [1, 2]\n");
    place.file("good.toml", "dataset = \"sample\"\nepochs = 1\nout = \"runs/r\"\n");
    assert!(place.fail("train --config bad.toml").contains("bad.toml: epochs: expected an integer"));
    assert!(place.fail("train --config /dev/zero").contains("/dev/zero: "));
    let output = place.run("train --config good.toml --config bad.toml");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'--config <FILE>' cannot be used multiple times"));
    // A file of the user's replaces the data set of the configuration.
    place.file("data.csv", format!("text,label\n{}", "good,p\nbad,n\n".repeat(30)));
    place.succeed("train --config good.toml --data data.csv");
    assert_eq!(place.read_json("runs/r/config.json")["dataset"]["name"], "data.csv");
}

#[test]
fn a_failed_comparison_prints_one_error() {
    let place = Place::new();
    place.file("data.csv", "text,label\n");
    let output = place.run("compare --presets relu --data data.csv --out runs/c");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.lines().filter(|line| line.starts_with("convlens: ")).count(), 1, "{error}");
    assert!(error.lines().last().is_some_and(|line| line.contains("data.csv: ")), "{error}");

    place.succeed("compare --presets relu --dataset sample --epochs 1 --out runs/d");
    place.file("runs/d/relu/model.safetensors", b"x");
    let error = place.fail("compare --presets relu --dataset sample --epochs 1 --out runs/d");
    assert!(error.contains("runs/d/relu/model.safetensors: "), "{error}");
}

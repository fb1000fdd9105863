//! `--config FILE`: a TOML file with the same keys as the flags.
//!
//! Its entries become flags in front of the user's own, which therefore win; clap checks both
//! alike.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;
use toml::{Table, Value};

use crate::args::Cli;
use crate::failure::Failure;

/// The arguments with those of the configuration file among them, if they name one.
pub fn spliced_into(arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let Some(path) = path_in(&arguments) else { return Ok(arguments) };
    let Some(place) = arguments.iter().skip(1).position(|argument| argument == "train").map(|place| place + 2) else {
        return Ok(arguments);
    };
    let flags = read(Path::new(&path))?;
    let (verb, rest) = arguments.split_at(place);
    Ok(verb.iter().cloned().chain(flags.into_iter().map(OsString::from)).chain(rest.iter().cloned()).collect())
}

fn path_in(arguments: &[OsString]) -> Option<OsString> {
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().cloned();
        }
        if let Some(path) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    None
}

fn read(path: &Path) -> Result<Vec<String>, Failure> {
    let wrong = |message: String| Failure::Input(format!("{}: {message}", path.display()));
    let content = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let table: Table = content.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + content[..span.start].matches('\n').count());
        wrong(format!("line {line}: {}", error.message()))
    })?;
    let known = flags_of_train();
    let mut flags = Vec::new();
    for (key, value) in &table {
        if !known.contains(key) {
            return Err(wrong(format!("unknown key {key:?} (known: {})", known.join(", "))));
        }
        flags.extend(flags_for(key, value).ok_or_else(|| wrong(format!("{key}: not a value that a flag takes")))?);
    }
    Ok(flags)
}

fn flags_of_train() -> Vec<String> {
    let command = Cli::command();
    let train = command.find_subcommand("train");
    let longs = train.into_iter().flat_map(|train| train.get_arguments()).filter_map(|argument| argument.get_long());
    longs.filter(|long| !matches!(*long, "config" | "help")).map(String::from).collect()
}

fn flags_for(key: &str, value: &Value) -> Option<Vec<String>> {
    let flag = |value: String| vec![format!("--{key}={value}")];
    match value {
        Value::Boolean(true) => Some(vec![format!("--{key}")]),
        Value::Boolean(false) => Some(Vec::new()),
        Value::String(value) => Some(flag(value.clone())),
        Value::Integer(value) => Some(flag(value.to_string())),
        Value::Float(value) => Some(flag(value.to_string())),
        Value::Array(values) => {
            Some(values.iter().map(|value| flags_for(key, value)).collect::<Option<Vec<_>>>()?.concat())
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_flags_before_the_users_own() {
        let folder = std::env::temp_dir().join(format!("convlens-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("run.toml");
        std::fs::write(&path, "epochs = 5\nlabel-map = [\"a=b\", \"c=d\"]\nresume = false\n").expect("writes");
        let arguments = ["convlens", "train", "--epochs", "2", "--config"].map(OsString::from).to_vec();
        let with = |path: &Path| spliced_into([arguments.clone(), vec![path.into()]].concat());
        let spliced = with(&path).expect("reads");
        let words: Vec<&str> = spliced.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(
            words[..7],
            ["convlens", "train", "--epochs=5", "--label-map=a=b", "--label-map=c=d", "--epochs", "2"]
        );

        std::fs::write(&path, "epoch = 5\n").expect("writes");
        assert!(matches!(with(&path), Err(Failure::Input(line)) if line.contains("unknown key \"epoch\"")));
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}

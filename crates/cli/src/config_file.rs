//! `--config FILE`: a TOML file with the same keys as the flags of `train`.
//!
//! Its entries become flags, which clap checks like the user's own. An entry is left out if the
//! command line has the same flag, or one that conflicts with it. A flag that may be repeated replaces
//! the whole list of the file.

use std::any::TypeId;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};
use convlens_data::open_file;
use toml::{Table, Value};

use crate::args::Cli;
use crate::failure::Failure;

const VERB: &str = "train";

/// Returns the arguments with the entries of the configuration file that they name, if any, after
/// the verb.
pub fn spliced_into(arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    // Errors in the arguments are reported when they are parsed with the entries.
    let Ok(matches) = Cli::command().ignore_errors(true).try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some(given) = matches.subcommand_matches(VERB) else { return Ok(arguments) };
    let Some(path) = given.get_one::<PathBuf>("config") else { return Ok(arguments) };
    let flags = read(path, given)?;
    let after_verb = arguments.iter().position(|argument| argument == VERB).map_or(arguments.len(), |verb| verb + 1);
    let (verb, rest) = arguments.split_at(after_verb);
    Ok(verb.iter().cloned().chain(flags.into_iter().map(OsString::from)).chain(rest.iter().cloned()).collect())
}

/// The entries of the file as flags, without those that the given arguments override.
fn read(path: &Path, given: &ArgMatches) -> Result<Vec<String>, Failure> {
    let error = |message: String| Failure::Input(format!("{}: {message}", path.display()));
    let mut content = String::new();
    open_file(path)?.read_to_string(&mut content).map_err(|source| error(source.to_string()))?;
    let table: Table = content.parse().map_err(|source: toml::de::Error| {
        let line = source.span().map_or(1, |span| 1 + content[..span.start].matches('\n').count());
        error(format!("line {line}: {}", source.message()))
    })?;
    let command = Cli::command();
    let Some(train) = command.find_subcommand(VERB) else { return Ok(Vec::new()) };
    let mut flags = Vec::new();
    for (key, value) in &table {
        let argument = keys(train).find(|argument| argument.get_long() == Some(key)).ok_or_else(|| {
            let known = keys(train).filter_map(Arg::get_long).collect::<Vec<_>>().join(", ");
            error(format!("unknown key {key:?} (known: {known})"))
        })?;
        let own = flags_for(argument, key, value).map_err(error)?;
        check(&own, &[ErrorKind::MissingRequiredArgument]).map_err(|message| error(format!("{key}: {message}")))?;
        if !is_overridden(argument, train, given) {
            flags.extend(own);
        }
    }
    // An entry may require a flag on the command line, and the whole is checked later.
    check(&flags, &[ErrorKind::MissingRequiredArgument]).map_err(error)?;
    Ok(flags)
}

/// The flags that a file may give.
fn keys(train: &Command) -> impl Iterator<Item = &Arg> {
    train.get_arguments().filter(|argument| argument.get_id() != "config" && argument.get_id() != "help")
}

/// Whether the command line has the flag, or one that conflicts with it.
fn is_overridden(argument: &Arg, train: &Command, given: &ArgMatches) -> bool {
    let is_given = |other: &Arg| given.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine);
    let conflicts = |a: &Arg, b: &Arg| train.get_arg_conflicts_with(a).iter().any(|other| other.get_id() == b.get_id());
    is_given(argument)
        || keys(train).any(|other| is_given(other) && (conflicts(argument, other) || conflicts(other, argument)))
}

/// Parses flags on their own, and returns the error as one line.
fn check(flags: &[String], ignored: &[ErrorKind]) -> Result<(), String> {
    let arguments = ["convlens", VERB].into_iter().chain(flags.iter().map(String::as_str));
    match Cli::try_parse_from(arguments) {
        Err(error) if !ignored.contains(&error.kind()) => {
            let text = error.to_string();
            let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            Err(lines.join(" ").trim_start_matches("error: ").to_owned())
        }
        _ => Ok(()),
    }
}

/// What a flag takes, in TOML.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Integer,
    Number,
    Text,
}

impl Kind {
    fn new(argument: &Arg) -> Self {
        let parsed = argument.get_value_parser().type_id();
        let is_any = |types: &[TypeId]| types.iter().any(|own| parsed == *own);
        if matches!(argument.get_action(), ArgAction::SetTrue) {
            Self::Switch
        } else if is_any(&[TypeId::of::<usize>(), TypeId::of::<u64>()]) {
            Self::Integer
        } else if is_any(&[TypeId::of::<f64>(), TypeId::of::<f32>()]) {
            Self::Number
        } else {
            Self::Text
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Text => "a string",
        }
    }
}

fn flags_for(argument: &Arg, key: &str, value: &Value) -> Result<Vec<String>, String> {
    let kind = Kind::new(argument);
    let flag = |value: &dyn std::fmt::Display| Ok(vec![format!("--{key}={value}")]);
    match (kind, value) {
        (Kind::Switch, Value::Boolean(true)) => Ok(vec![format!("--{key}")]),
        (Kind::Switch, Value::Boolean(false)) => Ok(Vec::new()),
        (Kind::Text, Value::String(text)) => flag(text),
        (Kind::Integer | Kind::Number, Value::Integer(number)) => flag(number),
        (Kind::Number, Value::Float(number)) => flag(number),
        (_, Value::Array(values)) if matches!(argument.get_action(), ArgAction::Append) => {
            let flags: Result<Vec<_>, _> = values.iter().map(|value| flags_for(argument, key, value)).collect();
            Ok(flags?.concat())
        }
        _ => Err(format!("{key}: expected {}, found {}", kind.name(), described(value))),
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".into(),
        Value::Table(_) => "a table".into(),
        Value::Datetime(_) => "a date".into(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a configuration file makes of arguments of `train`, as the words after the verb.
    fn spliced(content: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.toml");
        std::fs::write(&path, content).expect("writes");
        let config = ["convlens".into(), VERB.into(), "--config".into(), path.into_os_string()];
        let words = spliced_into(config.into_iter().chain(arguments.iter().map(OsString::from)).collect());
        match words {
            Ok(words) => {
                let words = words.into_iter().skip(2).filter_map(|word| word.into_string().ok());
                Ok(words.filter(|word| word != "--config" && !word.ends_with("run.toml")).collect())
            }
            Err(Failure::Input(line)) => {
                assert!(line.starts_with(&folder.path().display().to_string()), "{line} names the file");
                Err(line)
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }

    #[test]
    fn flags_override_entries() {
        let cases: [(&str, &[&str], &[&str]); 9] = [
            ("epochs = 5\nresume = false\njson = true\n", &[], &["--epochs=5", "--json"]),
            ("epochs = 5\nseed = 3\n", &["--epochs", "2"], &["--seed=3", "--epochs", "2"]),
            ("learning-rate = 0.5\nweight-decay = 1\n", &[], &["--learning-rate=0.5", "--weight-decay=1"]),
            ("label-map = [\"a=b\", \"c=d\"]\n", &["--label-map=c=e"], &["--label-map=c=e"]),
            ("label-map = [\"a=b\", \"c=d\"]\n", &[], &["--label-map=a=b", "--label-map=c=d"]),
            ("set = \"pooling=max\"\n", &[], &["--set=pooling=max"]),
            ("dataset = \"imdb\"\n", &["--data", "a.csv"], &["--data", "a.csv"]),
            (
                "data = \"a.csv\"\ntest-data = \"b.csv\"\ntext-column = \"t\"\nlabel-column = \"l\"\nlabel-map = \"a=b\"\nseed = 1\n",
                &["--dataset", "imdb"],
                &["--seed=1", "--dataset", "imdb"],
            ),
            ("data = \"a.csv\"\n", &["--test-data", "b.csv"], &["--data=a.csv", "--test-data", "b.csv"]),
        ];
        for (content, arguments, expected) in cases {
            assert_eq!(spliced(content, arguments).expect(content), expected, "{content}");
        }
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        let cases = [
            ("epoch = 5\n", "unknown key \"epoch\" (known: task, preset, dataset, data,"),
            ("config = \"other.toml\"\n", "unknown key \"config\""),
            ("epochs = [1, 2]\n", "epochs: expected an integer, found an array"),
            ("epochs = 1.5\n", "epochs: expected an integer, found 1.5"),
            ("epochs = \"5\"\n", "epochs: expected an integer, found \"5\""),
            ("epochs = -1\n", "epochs: invalid value '-1'"),
            ("epochs = true\n", "epochs: expected an integer, found true"),
            ("resume = 1\n", "resume: expected true or false, found 1"),
            ("dataset = 3\n", "dataset: expected a string, found 3"),
            ("device = \"gpu\"\n", "device: invalid value 'gpu'"),
            ("learning-rate = 2026-01-01\n", "learning-rate: expected a number, found a date"),
            ("set = [[\"a=b\"], 3]\n", "set: expected a string, found 3"),
            ("[train]\nepochs = 3\n", "unknown key \"train\""),
            ("seed = 1\nseed = 2\n", "line 2: duplicate key"),
            ("dataset = \"imdb\"\ndata = \"a.csv\"\n", "cannot be used with"),
        ];
        for (content, expected) in cases {
            let line = spliced(content, &[]).expect_err(content);
            assert!(line.contains(expected) && !line.contains('\n'), "{content:?}: {line}");
        }
        // An overridden entry is checked as well.
        assert!(spliced("epochs = \"x\"\n", &["--epochs", "2"]).is_err());
    }

    #[test]
    fn only_one_file_is_taken() {
        let arguments = ["convlens", VERB, "--config", "a.toml", "--config", "b.toml"];
        assert!(Cli::try_parse_from(arguments).is_err());
    }
}

//! The commands of `crates/cli/README.md`, run in order on small data.

use std::process::Command;

use crate::common::{Place, binary, text};

const README: &str = include_str!("../crates/cli/README.md");

/// The commands of the first block, without their comments.
fn commands() -> Vec<&'static str> {
    let block = README.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of commands");
    block.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim()).collect()
}

#[test]
fn the_commands_run_in_order() {
    let place = Place::new();
    let reviews = ["an awful film,1", "a passable film,3", "a splendid film,5"].join("\n");
    place.file("reviews.csv", format!("review,stars\n{}", format!("{reviews}\n").repeat(40)));
    place.file("other.csv", "text,label\na good film,Positive\na dull film,Negative\n");
    let commands = commands();
    assert!(commands.len() >= 5, "{commands:?}");
    let folder = binary().parent().expect("a folder").to_owned();
    let mut path = folder.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    for command in commands {
        assert!(command.starts_with("convlens "), "{command}");
        let mut shell = Command::new("bash");
        shell.args(["-c", command]).current_dir(place.path()).stdin(std::process::Stdio::null()).env("PATH", &path);
        for (key, value) in place.command("").get_envs() {
            match value {
                Some(value) => _ = shell.env(key, value),
                None => _ = shell.env_remove(key),
            }
        }
        let output = shell.output().expect("starts");
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    }
}

#[test]
fn the_configuration_file_is_read() {
    let place = Place::new();
    let toml = README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a configuration");
    let small = toml.replace("\"imdb\"", "\"sample\"").replace("epochs = 5", "epochs = 1");
    place.file("run.toml", small);
    place.succeed("train --config run.toml --out runs/r");
    let config = place.read_json("runs/r/config.json");
    assert_eq!(config["model"]["encoder"]["filters"], 64);
    assert_eq!((&config["model"]["pooling"], &config["training"]["epochs"]), (&"max".into(), &1.into()));
}

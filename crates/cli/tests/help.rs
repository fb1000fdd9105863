//! What the program says of itself. (That this test names the binary makes cargo build it for
//! the end-to-end tests in `tests/`.)

use std::process::Command;

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_convlens")).args(arguments).output().expect("starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_verb_explains_itself_with_examples() {
    for verb in ["train", "evaluate", "predict", "data", "completions"] {
        let help = output(&[verb, "--help"]);
        assert!(help.contains("Examples:") && help.contains(&format!("convlens {verb}")), "{help}");
    }
    assert!(output(&["--help"]).contains("Examples:"));
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(output(&["completions", shell]).contains("evaluate"));
    }
}

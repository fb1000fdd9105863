//! The help of the built program. Because this test names the binary, cargo builds it for the
//! end-to-end tests in `tests/`.

use std::process::Command;

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_convlens")).args(arguments).output().expect("starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The verbs that the program's help lists.
fn verbs() -> Vec<String> {
    let help = output(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help").map(String::from).collect()
}

// A test in `src/args/mod.rs` checks that the examples parse.
#[test]
fn every_verb_has_help_with_examples() {
    let verbs = verbs();
    assert!(verbs.len() >= 11, "{verbs:?}");
    for verb in verbs {
        let help = output(&[&verb, "--help"]);
        let names_itself =
            ["convlens", "cargo xtask"].iter().any(|program| help.contains(&format!("{program} {verb}")));
        assert!(help.contains("Examples:") && names_itself, "{help}");
    }
}

#[test]
fn help_documents_the_exit_codes() {
    let help = output(&["--help"]);
    assert!(help.contains("Examples:"), "{help}");
    for code in ["0", "2", "101", "130"] {
        let is_code = |line: &str| line.split_whitespace().next() == Some(code);
        assert!(help.lines().skip_while(|line| *line != "Exit codes:").any(is_code), "{code}: {help}");
    }
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(output(&["completions", shell]).contains("evaluate"));
    }
}

//! How time and memory grow with the corpus, the length of its texts, and the vocabulary.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Scratch;
use super::measure::{Cost, number, timed};
use crate::run_binary;

/// One of the three: what grows, its unit, and how far.
struct Growth {
    title: &'static str,
    axis: &'static str,
    steps: &'static [usize],
    /// The file that grows with a step, as the bench `corpora` names it; none where it does not.
    corpus: fn(usize) -> String,
    test: &'static str,
    flags: fn(usize) -> Vec<String>,
}

const GROWTHS: [Growth; 3] = [
    Growth {
        title: "IMDB, repeated",
        axis: "times the corpus",
        steps: &[1, 4, 16],
        corpus: |times| format!("imdb-{times}.csv"),
        test: "imdb-test.csv",
        flags: |_| vec!["--preset=seed".into()],
    },
    Growth {
        title: "Longer texts, 3.2 million words in all",
        axis: "words in a text",
        steps: &[100, 1_000, 10_000, 100_000],
        corpus: |length| format!("length-{length}.csv"),
        test: "length-test.csv",
        flags: |_| vec!["--preset=default".into()],
    },
    Growth {
        title: "Larger vocabularies, 25,000 texts of 230 words",
        axis: "words in the vocabulary",
        steps: &[5_000, 20_000, 50_000, 100_000, 200_000],
        corpus: |_| "vocabulary.csv".into(),
        test: "length-test.csv",
        flags: |size| vec!["--preset=default".into(), format!("--vocab-size={size}")],
    },
];

/// A step's figures.
struct Measured {
    step: usize,
    cost: Cost,
    train_seconds: f64,
}

/// Measures, prints a table, and writes `growth.json` and `growth.svg`.
pub fn measure(folder: &Path) -> Result<(), String> {
    let binary = run_binary::build(&["--device=cpu".into()])?;
    let scratch = Scratch::new()?;
    let corpora = scratch.path("corpora");
    super::cargo(&["bench", "--workspace", "--bench", "corpora", "--", &corpora.to_string_lossy()])?;
    super::cargo(&["build", "--release", "--workspace", "--example", "charts"])?;

    println!("| what grows | | wall s | CPU s | one epoch s | peak MiB |\n|---|---|---|---|---|---|");
    let mut charts = Vec::new();
    for growth in &GROWTHS {
        let mut rows = Vec::new();
        for &step in growth.steps {
            let row = growth.measure(step, &binary, &corpora, &scratch)?;
            println!(
                "| {} | {step} {} | {:.1} | {:.1} | {:.2} | {:.0} |",
                growth.title,
                growth.axis,
                row.cost.seconds,
                row.cost.cpu_seconds,
                row.train_seconds,
                row.cost.peak_bytes.unwrap_or(0.0) / f64::from(1 << 20)
            );
            rows.push(row);
        }
        charts.push(growth.chart(&rows));
    }
    let json = format!("[{}]\n", charts.join(",\n"));
    write(folder, &json, &binary)
}

impl Growth {
    fn measure(&self, step: usize, binary: &Path, corpora: &Path, scratch: &Scratch) -> Result<Measured, String> {
        let _ = std::fs::remove_dir_all(scratch.path("cache"));
        let _ = std::fs::remove_dir_all(scratch.path("run"));
        let mut command = Command::new(binary);
        command.args(["train", "--device=cpu", "--epochs=1", "--json"]).args((self.flags)(step));
        command.arg("--data").arg(corpora.join((self.corpus)(step))).arg("--test-data").arg(corpora.join(self.test));
        command.arg("--out").arg(scratch.path("run")).env("CONVLENS_CACHE", scratch.path("cache"));
        let (cost, said) = timed(command)?;
        let train_seconds = number(&said, "train_seconds").ok_or("no train_seconds in what convlens printed")?;
        Ok(Measured { step, cost, train_seconds })
    }

    fn chart(&self, rows: &[Measured]) -> String {
        let line = |name: &str, value: fn(&Measured) -> f64| {
            let mut points = String::new();
            for row in rows {
                let comma = if points.is_empty() { "" } else { ", " };
                let _ = write!(points, "{comma}[{}, {:.3}]", row.step, value(row));
            }
            format!("[\"{name}\", [{points}]]")
        };
        let lines = [
            line("all, CPU s", |row| row.cost.cpu_seconds),
            line("training, s", |row| row.train_seconds),
            line("peak memory, 100 MiB", |row| row.cost.peak_bytes.unwrap_or(0.0) / f64::from(100 << 20)),
        ];
        format!(
            "{{\"title\": \"{}\", \"axes\": [\"{}\", \"seconds, 100 MiB\"], \"scale\": \"log-log\", \"lines\": [\n{}]}}",
            self.title,
            self.axis,
            lines.join(",\n")
        )
    }
}

fn write(folder: &Path, json: &str, binary: &Path) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(wrong)?;
    std::fs::write(folder.join("growth.json"), json).map_err(wrong)?;
    let file = std::fs::File::open(folder.join("growth.json")).map_err(wrong)?;
    let charts = binary.with_file_name("examples").join(format!("charts{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&charts).arg(folder.join("growth.svg")).stdin(Stdio::from(file)).status();
    match status {
        Ok(status) if status.success() => {
            println!("wrote {} and growth.svg beside it", folder.join("growth.json").display());
            Ok(())
        }
        _ => Err(format!("{}: it failed", charts.display())),
    }
}

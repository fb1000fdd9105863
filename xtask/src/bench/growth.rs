//! How time and memory grow with the size of the corpus, the length of its texts, and the vocabulary.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Scratch;
use super::measure::{Cost, number, timed};
use crate::run_binary;

/// One series of measurements: what grows, its unit, and its values.
struct Growth {
    title: &'static str,
    axis: &'static str,
    steps: &'static [usize],
    /// The training file for a step, by the name that the bench `corpora` gives it.
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

/// The figures of one step.
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
    write(folder, &Value::Array(charts), &binary)
}

impl Growth {
    fn measure(&self, step: usize, binary: &Path, corpora: &Path, scratch: &Scratch) -> Result<Measured, String> {
        let _ = std::fs::remove_dir_all(scratch.path("cache"));
        let _ = std::fs::remove_dir_all(scratch.path("run"));
        let mut command = Command::new(binary);
        command.args(["train", "--device=cpu", "--epochs=1", "--json"]).args((self.flags)(step));
        command.arg("--data").arg(corpora.join((self.corpus)(step))).arg("--test-data").arg(corpora.join(self.test));
        command.arg("--out").arg(scratch.path("run")).env("CONVLENS_CACHE", scratch.path("cache"));
        let (cost, printed) = timed(command)?;
        let train_seconds =
            number(&printed, "train_seconds").ok_or("convlens train --json printed no train_seconds")?;
        Ok(Measured { step, cost, train_seconds })
    }

    /// A chart as the example `charts` reads it.
    fn chart(&self, rows: &[Measured]) -> Value {
        let line = |name: &str, value: fn(&Measured) -> f64| {
            let point = |row: &Measured| json!([row.step, (1e3 * value(row)).round() / 1e3]);
            json!([name, rows.iter().map(point).collect::<Value>()])
        };
        json!({
            "title": self.title,
            "axes": [self.axis, "seconds, 100 MiB"],
            "scale": "log-log",
            "lines": [
                line("all, CPU s", |row| row.cost.cpu_seconds),
                line("training, s", |row| row.train_seconds),
                line("peak memory, 100 MiB", |row| row.cost.peak_bytes.unwrap_or(0.0) / f64::from(100 << 20)),
            ],
        })
    }
}

fn write(folder: &Path, charts: &Value, binary: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("growth.json"), format!("{charts:#}\n")).map_err(failed)?;
    let file = std::fs::File::open(folder.join("growth.json")).map_err(failed)?;
    let program = binary.with_file_name("examples").join(format!("charts{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&program).arg(folder.join("growth.svg")).stdin(Stdio::from(file)).status();
    match status {
        Ok(status) if status.success() => {
            println!("wrote growth.json and growth.svg to {}", folder.display());
            Ok(())
        }
        Ok(status) => Err(format!("{}: {status}", program.display())),
        Err(error) => Err(format!("{}: {error}", program.display())),
    }
}

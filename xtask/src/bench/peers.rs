//! The same tasks here and in the peers. They take turns, so that all of them run under the same conditions.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Scratch;
use super::measure::{Cost, figure, median, timed};
use crate::run_binary;

/// How many times each task is measured. The table has the medians.
const ROUNDS: usize = 3;
const SENTENCE: &str = "A good film, and not a boring one.";

/// A row of the table: the task, the tool, and its costs.
type Row = (String, &'static str, Vec<Cost>);

/// Measures and prints the table.
pub fn compare(python: Option<&Path>) -> Result<(), String> {
    let scratch = Scratch::new()?;
    let bench = Bench { binary: run_binary::build(&["--device=cpu".into()])?, python, scratch };
    let mut table = Table::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        bench.training(&mut table)?;
        bench.inference(&mut table)?;
    }
    table.print();
    Ok(())
}

struct Bench<'a> {
    binary: PathBuf,
    python: Option<&'a Path>,
    scratch: Scratch,
}

impl Bench<'_> {
    /// The cost of one more epoch is half the difference between three epochs and one. It includes validation and
    /// a checkpoint.
    fn training(&self, table: &mut Table) -> Result<(), String> {
        let ours = |epochs| self.train(epochs, true);
        table.add("train: one epoch more", "convlens", one_more(ours)?);
        table.add("IMDB from Parquet to the test accuracy, 2 epochs", "convlens", self.train(2, false)?);
        for (tool, script) in [("Keras", "seed_keras.py"), ("PyTorch", "seed_torch.py")] {
            let theirs = |epochs: usize| Ok(timed(self.script(script, &[&epochs.to_string()])?)?.0);
            if self.python.is_some() {
                table.add("train: one epoch more", tool, one_more(theirs)?);
                table.add("IMDB from Parquet to the test accuracy, 2 epochs", tool, theirs(2)?);
            }
        }
        Ok(())
    }

    fn train(&self, epochs: usize, keeps_cache: bool) -> Result<Cost, String> {
        let (cache, run) = (self.scratch.path("cache"), self.scratch.path("run"));
        let _ = std::fs::remove_dir_all(&run);
        if !keeps_cache {
            let _ = std::fs::remove_dir_all(&cache);
        }
        let mut command = Command::new(&self.binary);
        command.args(["train", "--preset", "seed", "--dataset", "imdb", "--device", "cpu", "--json"]);
        command.args(["--epochs", &epochs.to_string()]).arg("--out").arg(run).env("CONVLENS_CACHE", cache);
        Ok(timed(command)?.0)
    }

    fn inference(&self, table: &mut Table) -> Result<(), String> {
        let run = self.scratch.path("run");
        let run = run.to_string_lossy();
        let ours = timed(super::command(&["bench", "--workspace", "--bench", "throughput", "--", &run]))?.1;
        table.add_figures("convlens", &ours);
        let mut one = Command::new(&self.binary);
        one.args(["predict", "--run", &run, "--device", "cpu", SENTENCE]);
        table.add("one sentence, process start to output", "convlens", timed(one)?.0);
        if self.python.is_some() {
            table.add_figures("onnxruntime", &timed(self.script("infer_onnx.py", &[&run])?)?.1);
            let one = timed(self.script("infer_onnx.py", &[&run, SENTENCE])?)?.0;
            table.add("one sentence, process start to output", "onnxruntime", one);
            table.add_figures("PyTorch", &timed(self.script("relu_torch.py", &[])?)?.1);
            table.add_figures("fastText", &timed(self.script("fasttext_imdb.py", &[])?)?.1);
        }
        Ok(())
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Result<Command, String> {
        let python = self.python.ok_or("no --peers PYTHON")?;
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)).args(arguments);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

fn one_more(run: impl Fn(usize) -> Result<Cost, String>) -> Result<Cost, String> {
    let (one, three) = (run(1)?, run(3)?);
    Ok(Cost {
        seconds: (three.seconds - one.seconds) / 2.0,
        cpu_seconds: (three.cpu_seconds - one.cpu_seconds) / 2.0,
        peak_bytes: three.peak_bytes,
    })
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, work: &str, tool: &'static str, cost: Cost) {
        match self.0.iter_mut().find(|row| row.0 == work && row.1 == tool) {
            Some(row) => row.2.push(cost),
            None => self.0.push((work.to_owned(), tool, vec![cost])),
        }
    }

    fn add_figures(&mut self, tool: &'static str, printed: &str) {
        for (what, cost) in printed.lines().filter_map(figure) {
            // onnxruntime reads ids, which come from the tokenizers library.
            let tool = if what == "text to ids" && tool == "onnxruntime" { "tokenizers" } else { tool };
            self.add(&what, tool, cost);
        }
    }

    /// Prints the rows task by task, in the order in which they were added.
    fn print(&self) {
        println!("| task | tool | wall | CPU | peak memory | wall, ours = 1 | CPU, ours = 1 | least and most CPU |");
        println!("|---|---|---|---|---|---|---|---|");
        let mut works: Vec<&str> = Vec::new();
        for (work, _, _) in &self.0 {
            if !works.contains(&work.as_str()) {
                works.push(work);
            }
        }
        for work in works {
            let rows: Vec<&Row> = self.0.iter().filter(|row| row.0 == work).collect();
            let ours = rows.iter().find(|row| row.1 == "convlens").map(|row| median(&row.2));
            for (_, tool, costs) in rows {
                let cost = median(costs);
                let cpu = |pick: fn(f64, f64) -> f64| costs.iter().map(|cost| cost.cpu_seconds).reduce(pick);
                let ratio = |value: fn(&Cost) -> f64| {
                    ours.as_ref().map_or("–".into(), |ours| format!("{:.2}", value(&cost) / value(ours)))
                };
                println!(
                    "| {work} | {tool} | {} | {} | {} | {} | {} | {} – {} |",
                    time(cost.seconds),
                    time(cost.cpu_seconds),
                    cost.peak_bytes.map_or("–".into(), |bytes| format!("{:.0} MiB", bytes / f64::from(1 << 20))),
                    ratio(|cost| cost.seconds),
                    ratio(|cost| cost.cpu_seconds),
                    time(cpu(f64::min).unwrap_or(0.0)),
                    time(cpu(f64::max).unwrap_or(0.0)),
                );
            }
        }
    }
}

/// A time in a suitable unit.
fn time(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.2} µs", seconds * 1e6),
        1e-3..0.5 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

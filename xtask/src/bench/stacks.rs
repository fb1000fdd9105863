//! Training and inference of every encoder, and single layers, here and in PyTorch and onnxruntime.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Scratch;
use super::measure::timed;

const THREADS: [usize; 2] = [1, 2];

/// What to measure.
pub struct Settings<'a> {
    /// A Python with PyTorch and onnxruntime.
    pub peers: Option<&'a Path>,
    /// Whether to print only lines of JSON.
    pub json: bool,
    /// Only works whose name contains this.
    pub only: Option<&'a str>,
    /// Only these peers, separated by commas.
    pub tools: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { peers: None, json: false, only: None, tools: "eager,compiled,onnx" }
    }
}

/// The figures of one tool for one work.
struct Figures {
    tool: String,
    wall: f64,
    cpu: f64,
    peak: f64,
    /// Floating-point operations of the direct algorithm; zero for peers.
    flop: f64,
}

/// Measures, and prints a line of JSON per measurement as it goes, or a table.
///
/// Every measurement is a process of its own, for its peak memory. The tools take turns work by work, so that
/// they run in the same minutes.
pub fn compare(settings: &Settings) -> Result<(), String> {
    let scratch = Scratch::new()?;
    let folder = scratch.path("stacks");
    let folder = folder.to_string_lossy();
    timed(ours(&["prepare", &folder]))?;
    let (_, works) = timed(ours(&["list"]))?;
    let mut table = Table::default();
    let chosen = works.lines().filter(|work| settings.only.is_none_or(|part| work.contains(part)));
    for work in chosen {
        for threads in THREADS {
            let mut command = ours(&["measure", &folder, work]);
            command.env("RAYON_NUM_THREADS", threads.to_string());
            let mut lines = vec![line(command)?];
            for peer in settings.tools.split(',').filter(|_| settings.peers.is_some()) {
                if has(peer, work) {
                    lines.extend(peer_line(settings.peers, &[peer, &threads.to_string(), &folder, work])?);
                }
            }
            for line in lines {
                if settings.json {
                    println!("{line}");
                } else {
                    table.add(&line)?;
                }
            }
        }
        if !settings.json {
            eprintln!("measured {work}");
        }
    }
    if !settings.json {
        table.print();
    }
    Ok(())
}

/// Whether a peer can do a work: onnxruntime does not train, and compiling changes nothing about a product.
fn has(peer: &str, work: &str) -> bool {
    let trains = work.contains("/train/") || work.ends_with("/backward");
    match peer {
        "onnx" => !trains && !work.starts_with("product"),
        "compiled" => !work.starts_with("product"),
        _ => true,
    }
}

fn ours(arguments: &[&str]) -> Command {
    super::command(&[&["bench", "--quiet", "--workspace", "--bench", "stacks", "--"], arguments].concat())
}

fn line(command: Command) -> Result<Value, String> {
    let name = format!("{command:?}");
    let (_, printed) = timed(command)?;
    let line = printed.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    line.ok_or_else(|| format!("{name} printed no line of JSON"))
}

/// The line of a peer; none, with a message, if it cannot run the network.
fn peer_line(python: Option<&Path>, arguments: &[&str]) -> Result<Option<Value>, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join("stacks.py");
    let mut command = Command::new(python.ok_or("no --peers PYTHON")?);
    command.arg(script).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    match line(command) {
        Ok(line) => Ok(Some(line)),
        Err(message) => {
            eprintln!("xtask: left out: {message}");
            Ok(None)
        }
    }
}

#[derive(Default)]
struct Table {
    /// By work and number of threads, in the order in which they were added.
    rows: Vec<((String, u64), Vec<Figures>)>,
}

impl Table {
    fn add(&mut self, line: &Value) -> Result<(), String> {
        let text = |key: &str| line[key].as_str().map(str::to_owned).ok_or_else(|| format!("no {key} in {line}"));
        let number = |key: &str| line[key].as_f64().ok_or_else(|| format!("no {key} in {line}"));
        let key = (text("work")?, line["threads"].as_u64().unwrap_or(0));
        let figures = Figures {
            tool: text("tool")?,
            wall: number("wall_seconds")?,
            cpu: number("cpu_seconds")?,
            peak: number("peak_bytes")?,
            flop: line["flop"].as_f64().unwrap_or(0.0),
        };
        match self.rows.iter_mut().find(|row| row.0 == key) {
            Some(row) => row.1.push(figures),
            None => self.rows.push((key, vec![figures])),
        }
        Ok(())
    }

    /// One row per work and number of threads: this program, the peer that takes the least CPU time, and the
    /// ratios.
    fn print(&self) {
        println!(
            "| work | threads | wall | CPU | peak MiB | of a matrix product | fastest peer | wall | CPU | peak MiB |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        // What the machine reaches in a plain matrix product.
        let product: BTreeMap<u64, f64> = self
            .rows
            .iter()
            .filter(|((work, _), _)| work == "product/forward")
            .filter_map(|((_, threads), figures)| Some((*threads, figures.first()?.flop / figures.first()?.wall)))
            .collect();
        for ((work, threads), figures) in &self.rows {
            let Some((ours, peers)) = figures.split_first() else { continue };
            let speed = ours.flop / ours.wall;
            let roofline =
                product.get(threads).map_or("–".into(), |product| format!("{:.0} %", 100.0 * speed / product));
            let mebibytes = |bytes: f64| format!("{:.0}", bytes / f64::from(1 << 20));
            let fastest = peers.iter().min_by(|a, b| a.cpu.total_cmp(&b.cpu));
            let peer = fastest.map_or("– | – | – | –".into(), |peer| {
                format!(
                    "{} | {} × | {} × | {}",
                    peer.tool,
                    ratio(peer.wall / ours.wall),
                    ratio(peer.cpu / ours.cpu),
                    mebibytes(peer.peak)
                )
            });
            println!(
                "| {work} | {threads} | {} | {} | {} | {roofline} | {peer} |",
                milliseconds(ours.wall),
                milliseconds(ours.cpu),
                mebibytes(ours.peak)
            );
        }
    }
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", 1e3 * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_of_one_work_become_one_row() {
        let mut table = Table::default();
        let line = |tool: &str, wall: f64| {
            json!({"work": "a/train/imdb", "tool": tool, "threads": 1, "wall_seconds": wall, "cpu_seconds": wall,
                   "peak_bytes": 1e6})
        };
        table.add(&line("convlens", 1.0)).expect("a line");
        table.add(&line("PyTorch", 2.0)).expect("a line");
        assert_eq!((table.rows.len(), table.rows[0].1.len()), (1, 2));
        assert!(table.add(&json!({"work": "a"})).expect_err("no tool").contains("no tool"));
    }

    #[test]
    fn peers_are_asked_for_what_they_can_do() {
        assert!(has("onnx", "plain/infer/imdb") && !has("onnx", "plain/train/imdb"));
        assert!(has("eager", "product/forward") && !has("compiled", "product/forward"));
    }
}

//! `cargo xtask bench [--peers PYTHON]`: what training costs, beside the peers in `xtask/peers`.
//!
//! Whole processes, in turn, so that all of them meet the same machine; CPU seconds are those of
//! all threads. IMDB must be in the Hub's cache.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::run_binary;

const USAGE: &str = "\
cargo xtask bench [--peers PYTHON]

The seed model on IMDB: an epoch of training, and two epochs from Parquet to metrics.json.
  --peers PYTHON   a Python with xtask/peers/requirements.txt installed: Keras and PyTorch do the same";
/// How often each is measured; the median is told.
const ROUNDS: usize = 3;

/// What a measurement took.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: f64,
}

/// Measures, and prints a table.
pub fn run(arguments: &[std::ffi::OsString]) -> ExitCode {
    let peers = match arguments {
        [] => None,
        [flag, python] if flag == "--peers" => Some(PathBuf::from(python)),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(if arguments.iter().any(|flag| flag == "--help") { 0 } else { 2 });
        }
    };
    match measure(peers.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::from(2)
        }
    }
}

fn measure(peers: Option<&Path>) -> Result<(), String> {
    let binary = run_binary::build(&["--device=cpu".into()])?;
    let folder = std::env::temp_dir().join(format!("convlens-bench-{}", std::process::id()));
    let ours = |epochs: usize, is_cached: bool| {
        let cache = folder.join("cache");
        if !is_cached {
            let _ = std::fs::remove_dir_all(&cache);
        }
        let _ = std::fs::remove_dir_all(folder.join("run"));
        let epochs = epochs.to_string();
        let mut command = Command::new(&binary);
        command.args([
            "train",
            "--preset",
            "seed",
            "--dataset",
            "imdb",
            "--device",
            "cpu",
            "--json",
            "--epochs",
            &epochs,
        ]);
        command.arg("--out").arg(folder.join("run")).env("CONVLENS_CACHE", &cache);
        timed(command)
    };
    let theirs = |script: &str, epochs: usize| {
        let mut command = Command::new(peers.unwrap_or(Path::new("python3")));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script)).arg(epochs.to_string());
        timed(command)
    };

    let mut rows: Vec<(&str, Vec<Cost>, Vec<Cost>)> = vec![("convlens", vec![], vec![])];
    if peers.is_some() {
        rows.push(("Keras", vec![], vec![]));
        rows.push(("PyTorch", vec![], vec![]));
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (name, epoch, whole) in &mut rows {
            let run = |epochs| match *name {
                "convlens" => ours(epochs, true),
                "Keras" => theirs("seed_keras.py", epochs),
                _ => theirs("seed_torch.py", epochs),
            };
            let two = if *name == "convlens" { ours(2, false)? } else { run(2)? };
            // What one epoch adds to the whole: validation and a checkpoint with it.
            let (base, more) = (run(1)?, run(3)?);
            epoch.push(Cost {
                seconds: (more.seconds - base.seconds) / 2.0,
                cpu_seconds: (more.cpu_seconds - base.cpu_seconds) / 2.0,
                peak_bytes: more.peak_bytes,
            });
            whole.push(two);
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    print_table("one epoch more (training, validation, checkpoint)", rows.iter().map(|row| (row.0, &row.1)));
    print_table("IMDB from Parquet to the test accuracy, two epochs", rows.iter().map(|row| (row.0, &row.2)));
    Ok(())
}

fn print_table<'a>(title: &str, rows: impl Iterator<Item = (&'a str, &'a Vec<Cost>)>) {
    let rows: Vec<(&str, Cost)> = rows.map(|(name, costs)| (name, median(costs))).collect();
    println!("\n| {title} | wall s | CPU s | ratio of wall | ratio of CPU | peak MiB |\n|---|---|---|---|---|---|");
    for (name, cost) in &rows {
        let base = rows[0].1;
        println!(
            "| {name} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
            cost.seconds,
            cost.cpu_seconds,
            cost.seconds / base.seconds,
            cost.cpu_seconds / base.cpu_seconds,
            cost.peak_bytes / f64::from(1 << 20)
        );
    }
}

fn median(costs: &[Cost]) -> Cost {
    let of = |value: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost {
        seconds: of(|cost| cost.seconds),
        cpu_seconds: of(|cost| cost.cpu_seconds),
        peak_bytes: of(|cost| cost.peak_bytes),
    }
}

/// Runs a command to its end; its last line is JSON that names its peak memory.
fn timed(mut command: Command) -> Result<Cost, String> {
    let name = format!("{command:?}");
    let (clock, cpu) = (Instant::now(), cpu_seconds_of_children());
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds_of_children() - cpu);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.lines().last().unwrap_or("it failed")));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = said.rsplit_once("\"peak_rss_bytes\":").map_or("", |(_, after)| after);
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    let peak_bytes = digits.parse().map_err(|_| format!("{name}: no peak_rss_bytes in what it printed"))?;
    Ok(Cost { seconds, cpu_seconds, peak_bytes })
}

/// User and system time of all children that have ended, from Linux's `/proc/self/stat`, at 100
/// ticks a second (what `sysconf` would say asks for `unsafe` or a crate).
fn cpu_seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [13, 14].iter().filter_map(|&field| fields.get(field)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

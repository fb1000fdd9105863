//! Processes timed as wholes, and the figures that they print.

use std::process::{Command, Stdio};
use std::time::Instant;

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub seconds: f64,
    /// Of all threads together.
    pub cpu_seconds: f64,
    /// The most memory at once, where it was measured.
    pub peak_bytes: Option<f64>,
}

/// Runs a command to its end: its cost, and what it printed. The last `peak_rss_bytes` in it is its
/// peak memory.
pub fn timed(mut command: Command) -> Result<(Cost, String), String> {
    let name = format!("{command:?}");
    let (clock, cpu) = (Instant::now(), cpu_seconds_of_children());
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds_of_children() - cpu);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.lines().last().unwrap_or("it failed")));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let peak_bytes = number(&said, "peak_rss_bytes");
    Ok((Cost { seconds, cpu_seconds, peak_bytes }, said))
}

/// The number after the last `"key":`. Two keys of lines of our own: no parser is needed for them.
pub fn number(json: &str, key: &str) -> Option<f64> {
    let after = json.rsplit_once(&format!("\"{key}\":"))?.1.trim_start();
    let end = after.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(after.len());
    after[..end].parse().ok()
}

/// What a line of a measuring program says: `{"what": NAME, "wall_us": …, "cpu_us": …}`.
pub fn figure(line: &str) -> Option<(String, Cost)> {
    let after = line.split_once("\"what\":")?.1;
    let what = after.split('"').nth(1)?.to_owned();
    let micros = |key| number(line, key).map(|micros| micros / 1e6);
    Some((what, Cost { seconds: micros("wall_us")?, cpu_seconds: micros("cpu_us")?, peak_bytes: None }))
}

/// Of each figure by itself.
pub fn median(costs: &[Cost]) -> Cost {
    let of = |value: fn(&Cost) -> Option<f64>| {
        let mut values: Vec<f64> = costs.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Cost {
        seconds: of(|cost| Some(cost.seconds)).unwrap_or(0.0),
        cpu_seconds: of(|cost| Some(cost.cpu_seconds)).unwrap_or(0.0),
        peak_bytes: of(|cost| cost.peak_bytes),
    }
}

/// User and system time of all children that have ended, from Linux's `/proc/self/stat`, at 100
/// ticks a second (what `sysconf` would say asks for `unsafe` or a crate).
fn cpu_seconds_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [13, 14].iter().filter_map(|&field| fields.get(field)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let line = "{\"what\":\"ids, batch 1\",\"wall_us\":2.5,\"cpu_us\":1e1}";
        let (what, cost) = figure(line).expect("a figure");
        assert_eq!((what.as_str(), cost.seconds, cost.cpu_seconds), ("ids, batch 1", 2.5e-6, 1e-5));
        assert!(figure("warning").is_none() && number("{\"a\": -3.5}", "a") == Some(-3.5));
    }
}

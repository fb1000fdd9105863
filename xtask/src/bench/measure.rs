//! Runs commands, measures them, and reads the figures that they print.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// What something took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Wall-clock time.
    pub seconds: f64,
    /// CPU time of all threads.
    pub cpu_seconds: f64,
    /// Peak memory, if it was measured.
    pub peak_bytes: Option<f64>,
}

/// Runs a command to its end. Returns its cost and its standard output; the last `peak_rss_bytes` in the output
/// is the peak memory.
pub fn timed(mut command: Command) -> Result<(Cost, String), String> {
    let name = format!("{command:?}");
    let (clock, cpu) = (Instant::now(), cpu_seconds_of_children());
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds_of_children() - cpu);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", errors.lines().last().unwrap_or("it failed without a message")));
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let peak_bytes = number(&printed, "peak_rss_bytes");
    Ok((Cost { seconds, cpu_seconds, peak_bytes }, printed))
}

/// The number under `key` in the last line of JSON that has one, at any depth.
pub fn number(printed: &str, key: &str) -> Option<f64> {
    fn find(value: &Value, key: &str) -> Option<f64> {
        match value {
            Value::Object(fields) => {
                let own = fields.get(key).and_then(Value::as_f64);
                own.or_else(|| fields.values().find_map(|value| find(value, key)))
            }
            Value::Array(values) => values.iter().find_map(|value| find(value, key)),
            _ => None,
        }
    }
    printed.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).find_map(|line| find(&line, key))
}

/// Reads a line of a measuring program: `{"what": NAME, "wall_us": …, "cpu_us": …}`.
pub fn figure(line: &str) -> Option<(String, Cost)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let seconds = |key: &str| Some(line[key].as_f64()? / 1e6);
    let cost = Cost { seconds: seconds("wall_us")?, cpu_seconds: seconds("cpu_us")?, peak_bytes: None };
    Some((line["what"].as_str()?.to_owned(), cost))
}

/// The median of each figure.
pub fn median(costs: &[Cost]) -> Cost {
    let median_of = |value: fn(&Cost) -> Option<f64>| {
        let mut values: Vec<f64> = costs.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Cost {
        seconds: median_of(|cost| Some(cost.seconds)).unwrap_or(0.0),
        cpu_seconds: median_of(|cost| Some(cost.cpu_seconds)).unwrap_or(0.0),
        peak_bytes: median_of(|cost| cost.peak_bytes),
    }
}

/// User and system time of all children that have ended, from Linux's `/proc/self/stat`, in hundredths of a
/// second.
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
        assert!(figure("warning").is_none() && figure("{\"what\":\"accuracy\"}").is_none());
    }

    #[test]
    fn a_number_is_found_in_the_last_line_that_has_it() {
        let printed = "epoch 1\n{\"a\": 1}\n{\"metrics\": {\"a\": -3.5}, \"note\": \"a: 7\"}\n{\"b\": 2}\nend";
        assert_eq!((number(printed, "a"), number(printed, "b"), number(printed, "c")), (Some(-3.5), Some(2.0), None));
    }
}

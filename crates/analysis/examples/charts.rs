//! Line charts from JSON on standard input, as SVG: `charts FILE.svg < charts.json`.

use convlens_analysis::{Chart, draw_charts};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: charts FILE.svg < charts.json")?;
    let charts: Vec<Chart> = serde_json::from_reader(std::io::stdin())?;
    std::fs::write(path, draw_charts("charts", "", &charts)?.svg)?;
    Ok(())
}

//! Standard output: lines, and tables of aligned columns.

use std::io::Write;
use std::path::Path;

use convlens_analysis::{Chart, draw_charts};
use convlens_run::write_file;

use crate::failure::Failure;

/// Prints a line; colours are left out where they are not wanted.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).map_err(Failure::of_output)
}

/// Prints rows with their columns aligned: the first to the left, numbers to the right.
///
/// A few lines, where a crate for tables would bring frames and wrapping that nobody asked for.
pub fn table(rows: &[Vec<String>]) -> Result<(), Failure> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> =
        (0..columns).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let is_number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit());
    let right: Vec<bool> = (0..columns).map(|column| cells(column).skip(1).all(|cell| is_number(cell))).collect();
    for row in rows {
        let padded = row.iter().enumerate().map(|(column, cell)| match right[column] {
            true => format!("{cell:>width$}", width = widths[column]),
            false => format!("{cell:<width$}", width = widths[column]),
        });
        line(padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Whether `--plot` names a picture that can be drawn.
pub fn check_picture(path: &Path) -> Result<(), Failure> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "png") => Ok(()),
        _ => Err(Failure::Input(format!("--plot {}: name a .svg or a .png file", path.display()))),
    }
}

/// Draws charts side by side, in the format that the file's extension names.
pub fn write_picture(path: &Path, charts: &[Chart]) -> Result<(), Failure> {
    check_picture(path)?;
    let picture = draw_charts("charts", "", charts)?;
    let is_svg = path.extension().is_some_and(|extension| extension == "svg");
    Ok(write_file(path, if is_svg { picture.svg.as_bytes() } else { &picture.png })?)
}

/// A count with its thousands apart.
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_apart() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        assert!(cases.iter().all(|&(count, text)| super::thousands(count) == text));
    }
}

//! Standard output: lines, and tables with aligned columns.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use convlens_analysis::{Chart, draw_charts};
use convlens_run::write_file;
use indicatif::HumanCount;
use serde::Serialize;
use serde_json::ser::Formatter;
use unicode_width::UnicodeWidthStr;

use crate::failure::Failure;
use crate::printable::{printable, printable_styled, printable_text};

/// How many bytes of JSON are written at once.
const JSON_BUFFER: usize = 64 << 10;

/// Prints a line, of text or of JSON.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    verbatim(&format!("{}\n", printable(text.as_ref())))
}

/// Prints a value as a line of JSON, without holding the line in memory.
pub fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(JSON_BUFFER, io::stdout().lock());
    write_json(&mut out, value)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .map_err(Failure::from_output_error)
}

/// Writes JSON that is [`printable`].
fn write_json(out: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, PrintableJson);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Compact JSON whose strings are [`printable`].
struct PrintableJson;

impl Formatter for PrintableJson {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        writer.write_all(printable(fragment).as_bytes())
    }
}

/// Prints lines with a single write.
pub fn lines(texts: &[String]) -> Result<(), Failure> {
    verbatim(&texts.iter().map(|text| format!("{}\n", printable(text))).collect::<String>())
}

/// Prints a line with colours; the colours are left out where they are turned off. Anything that comes
/// from data must have been made [`printable`] before.
pub fn styled_line(text: impl AsRef<str>) -> Result<(), Failure> {
    verbatim(&format!("{}\n", printable_styled(text.as_ref())))
}

/// Prints a part of a text that a model writes. Line ends and tabs are kept.
pub fn written(part: &str) -> Result<(), Failure> {
    verbatim(&printable_text(part))
}

/// Prints text that does not come from data, such as help.
pub fn verbatim(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::from_output_error)
}

/// Prints rows with aligned columns: the first row is the header, numbers are aligned to the right.
///
/// These few lines with `unicode-width` are simpler than a table crate with its frames and wrapping
/// switched off.
pub fn table(rows: &[Vec<String>]) -> Result<(), Failure> {
    lines(&aligned(rows))
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> =
        (0..columns).map(|column| cells(column).map(|cell| cell.width()).max().unwrap_or(0)).collect();
    let is_number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit());
    let is_right: Vec<bool> = (0..columns).map(|column| cells(column).skip(1).all(|cell| is_number(cell))).collect();
    let padded = |row: &Vec<std::borrow::Cow<str>>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let padding = " ".repeat(widths[column] - cell.width());
            if is_right[column] { format!("{padding}{cell}") } else { format!("{cell}{padding}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
}

/// Checks that the path given with `--plot` names a picture that can be drawn.
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

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A count with thousands separators.
pub fn thousands(count: usize) -> String {
    HumanCount(count as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_written_at_once_is_printable_too() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{1b}\n\"\\\u{7f}\u{202e}", "é☃", 0.1, null] });
        let mut written = Vec::new();
        write_json(&mut written, &value).expect("writes");
        assert_eq!(String::from_utf8(written).expect("UTF-8"), printable(&value.to_string()));
    }

    #[test]
    fn counts_have_thousands_separators() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (count, text) in cases {
            assert_eq!(thousands(count), text);
        }
    }

    #[test]
    fn columns_align_by_their_width_on_a_terminal() {
        let rows =
            [["label", "texts"], ["映画", "1,000"], ["\u{1b}[2J", "5"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(aligned(&rows), ["label      texts", "映画       1,000", "\\u001b[2J      5"]);
    }
}

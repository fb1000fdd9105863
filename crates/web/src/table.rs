//! Reads texts and labels from a visitor's CSV.

use std::collections::BTreeSet;

use serde_json::json;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;

/// The maximum number of distinct labels that a column may hold.
const MOST_LABELS: usize = 50;
/// The maximum number of columns that a file may have.
const MOST_COLUMNS: usize = 1_000;
/// The fewest rows that a file may have.
const FEWEST_ROWS: usize = 10;
/// How many values of a column are returned as examples.
const EXAMPLES: usize = 3;
/// How many columns an error message lists.
const LISTED: usize = 10;

/// Texts with labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub texts: Vec<String>,
    /// The label of each text, as an index into `names`.
    pub labels: Vec<usize>,
    pub names: Vec<String>,
    /// The line of the file in which each row begins, from 1.
    pub lines: Vec<u64>,
}

/// Describes a CSV as JSON: `rows`, and `columns`, each with its `name`, some `examples` and the number of
/// `distinct` values.
///
/// # Errors
///
/// One line that names the row.
#[wasm_bindgen]
pub fn columns(csv: &[u8]) -> Result<String, JsError> {
    let Table { head, rows, .. } = read(csv).map_err(js_error)?;
    let columns = head.iter().enumerate().map(|(at, name)| {
        let examples: Vec<String> = rows.iter().take(EXAMPLES).map(|row| row[at].chars().take(40).collect()).collect();
        let distinct = rows.iter().map(|row| &row[at]).collect::<BTreeSet<_>>().len();
        json!({ "name": name, "examples": examples, "distinct": distinct })
    });
    Ok(json!({ "rows": rows.len(), "columns": columns.collect::<Vec<_>>() }).to_string())
}

/// Reads the texts and labels of a CSV.
pub(crate) fn labelled(csv: &[u8], text_column: &str, label_column: &str) -> Result<Labelled, String> {
    let Table { head, rows, lines } = read(csv)?;
    let column = |name: &str| {
        let found = head.iter().position(|column| column == name);
        found.ok_or_else(|| format!("there is no column {name:?}; the file has {}", listed(&head)))
    };
    let (text, label) = (column(text_column)?, column(label_column)?);
    if text == label {
        return Err(format!(
            "column {text_column:?} cannot hold both texts and labels; choose another column for one of them"
        ));
    }
    for (line, row) in lines.iter().zip(&rows) {
        for (at, column) in [(text, text_column), (label, label_column)] {
            if row[at].trim().is_empty() {
                return Err(format!("line {line}: column {column:?} is empty; fill it or remove the line"));
            }
        }
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row[label].trim()).collect();
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    match names.len() {
        0 | 1 => Err(format!("column {label_column:?} holds one label; a classifier needs two or more")),
        count if count > MOST_LABELS => Err(format!(
            "column {label_column:?} holds {count} distinct labels, more than {MOST_LABELS}; choose another column"
        )),
        _ => {
            let index = |row: &Vec<String>| names.binary_search_by(|name| name.as_str().cmp(row[label].trim()));
            let labels = rows.iter().map(|row| index(row).unwrap_or_default()).collect();
            let texts = rows.iter().map(|row| row[text].clone()).collect();
            Ok(Labelled { texts, labels, names, lines })
        }
    }
}

/// The first names of a long list, and how many more there are.
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED { format!("{first} and {} more", names.len() - LISTED) } else { first }
}

/// A head, and rows of the same length.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The line of the file in which each row begins, from 1.
    lines: Vec<u64>,
}

fn read(csv: &[u8]) -> Result<Table, String> {
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(csv)).from_reader(csv);
    let head = reader.headers().map_err(|error| csv_message(csv, &error))?;
    if head.len() > MOST_COLUMNS {
        return Err(format!("the file has {} columns; a page takes up to {MOST_COLUMNS}", head.len()));
    }
    let head: Vec<String> = head.iter().map(String::from).collect();
    let mut names = BTreeSet::new();
    if let Some(name) = head.iter().find(|name| !names.insert(*name)) {
        return Err(format!("two columns are called {name:?}; rename one of them"));
    }
    let (mut rows, mut lines, mut counter) = (Vec::new(), Vec::new(), LineCounter::new(csv));
    for row in reader.records() {
        let row = row.map_err(|error| csv_message(csv, &error))?;
        lines.push(counter.line_of(row.position()));
        rows.push(row.iter().map(String::from).collect());
    }
    if head.len() < 2 {
        Err("the file has fewer than two columns; it needs one of texts and one of labels".into())
    } else if rows.len() < FEWEST_ROWS {
        Err(format!("the number of rows is {}; training needs {FEWEST_ROWS} or more", rows.len()))
    } else {
        Ok(Table { head, rows, lines })
    }
}

/// A tab if the first line has one, else a semicolon if it has one and no comma, else a comma. Quoted parts do
/// not count.
fn delimiter(csv: &[u8]) -> u8 {
    let head = csv.split(|&byte| is_line_end(byte)).next().unwrap_or_default();
    let head: Vec<u8> = head.split(|&byte| byte == b'"').step_by(2).collect::<Vec<_>>().concat();
    if head.contains(&b'\t') {
        b'\t'
    } else if head.contains(&b';') && !head.contains(&b',') {
        b';'
    } else {
        b','
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Counts lines up to rows that follow one another. The reader's own count is too small after blank lines and
/// Windows line ends, because it lets a row begin with the line ends before it.
struct LineCounter<'a> {
    csv: &'a [u8],
    byte: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    fn new(csv: &'a [u8]) -> Self {
        Self { csv, byte: 0, line: 1 }
    }

    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.map_or(0, |position| position.byte() as usize).min(self.csv.len());
        let ends = self.csv[begin..].iter().take_while(|byte| is_line_end(**byte)).count();
        let begin = (begin + ends).max(self.byte);
        // A carriage return ends a line unless a line feed follows, which then ends it.
        let ends_line = |&at: &usize| match self.csv[at] {
            b'\n' => true,
            b'\r' => self.csv.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += (self.byte..begin).filter(ends_line).count() as u64;
        self.byte = begin;
        self.line
    }
}

fn csv_message(csv: &[u8], error: &csv::Error) -> String {
    let line = LineCounter::new(csv).line_of(error.position());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line} has {len} columns, not {expected_len}; put texts that contain a comma in quotes")
        }
        csv::ErrorKind::Utf8 { .. } => format!("line {line} is not UTF-8; save the file as UTF-8"),
        _ => format!("line {line}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: &str) -> Vec<u8> {
        format!("text,label\n{rows}{}", "x,a\ny,b\n".repeat(5)).into_bytes()
    }

    #[test]
    fn texts_and_labels_are_read() {
        let labelled = labelled(&file("\"one, two\nthree\",b\n"), "text", "label").expect("reads");
        assert_eq!((labelled.texts.len(), labelled.labels[0], &labelled.texts[0]), (11, 1, &"one, two\nthree".into()));
        assert_eq!(labelled.names, ["a", "b"]);
        let quoted = format!("text;\"label, or so\"\n{}", "x;a\ny;b\n".repeat(5));
        assert_eq!(super::labelled(quoted.as_bytes(), "text", "label, or so").expect("reads").names, ["a", "b"]);
        let tabs = file("").iter().map(|&byte| if byte == b',' { b'\t' } else { byte }).collect::<Vec<_>>();
        assert_eq!(super::labelled(&tabs, "text", "label").expect("reads").texts.len(), 10);
    }

    #[test]
    fn errors_name_the_line() {
        let message = |csv: &[u8], label: &str| labelled(csv, "text", label).expect_err("an error");
        assert_eq!(
            message(&file("one,two,a\n"), "label"),
            "line 2 has 3 columns, not 2; put texts that contain a comma in quotes"
        );
        assert!(message(&file(""), "stars").contains("there is no column \"stars\"; the file has text, label"));
        assert!(message(b"text,label\na,b\n", "label").contains("the number of rows is 1;"));
        assert!(
            message(&b"text,label\n".iter().copied().chain(b"a,b\n".repeat(20)).collect::<Vec<_>>(), "label")
                .contains("one label")
        );
        assert!(message(b"text,label\na,\xff\n", "label").contains("line 2 is not UTF-8"));
        assert!(message(&file("one,\n"), "label").contains("line 2: column \"label\" is empty"));
        assert!(message(&file("\"a\nb\",b\n ,b\n"), "label").contains("line 4: column \"text\" is empty"));
        let windows =
            b"text,label\r\none,a\r\n\r\ntwo,\r\n".iter().copied().chain(b"x,b\r\n".repeat(9)).collect::<Vec<_>>();
        assert!(message(&windows, "label").contains("line 4: column \"label\" is empty"));
        assert!(message(&file(""), "text").contains("both texts and labels"));
        assert!(message(b"text,text\na,b\n", "text").contains("two columns are called \"text\""));
        assert!(message(b"", "label").contains("fewer than two columns"));
    }
    #[test]
    fn lines_may_end_as_on_old_macs() {
        let csv = file("one,\n").iter().map(|&byte| if byte == b'\n' { b'\r' } else { byte }).collect::<Vec<_>>();
        let message = labelled(&csv, "text", "label").expect_err("an error");
        assert!(message.contains("line 2: column \"label\" is empty"), "{message}");
        let csv = String::from_utf8_lossy(&csv).replace("one,\r", "").replace("text,label", "text;label, or so");
        let csv = csv.replace("x,a", "x;a").replace("y,b", "y;b").replace("label, or so", "label");
        assert_eq!(labelled(csv.as_bytes(), "text", "label").expect("reads").texts.len(), 10);
    }

    #[test]
    fn wide_files_are_refused_in_one_short_line() {
        let names = |count: usize| (0..count).map(|at| format!("column{at}")).collect::<Vec<_>>().join(",");
        let wide = |count: usize| format!("{0}\n{1}", names(count), (names(count) + "\n").repeat(10)).into_bytes();
        let message = labelled(&wide(200_000), "text", "label").expect_err("an error");
        assert_eq!(message, "the file has 200000 columns; a page takes up to 1000");
        let message = labelled(&wide(999), "text", "label").expect_err("an error");
        assert!(message.ends_with("column9 and 989 more") && message.len() < 200, "{message}");
    }
}

//! A visitor's CSV as texts and labels.

use std::collections::BTreeSet;

use serde_json::json;
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::said;

/// More labels than this are no labels.
const MOST_LABELS: usize = 50;
/// How many distinct values tell a column of labels from one of texts.
const EXAMPLES: usize = 3;

/// Texts with labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub texts: Vec<String>,
    /// Each text's label, by its index among the names.
    pub labels: Vec<usize>,
    pub names: Vec<String>,
}

/// What columns a CSV has, as JSON: `rows`, and `columns`, each with its `name` and some `examples`.
///
/// # Errors
///
/// One line that names the row.
#[wasm_bindgen]
pub fn columns(csv: &[u8]) -> Result<String, JsError> {
    let Table { head, rows, .. } = read(csv).map_err(said)?;
    let columns = head.iter().enumerate().map(|(at, name)| {
        let examples: Vec<String> = rows.iter().take(EXAMPLES).map(|row| row[at].chars().take(40).collect()).collect();
        let distinct = rows.iter().map(|row| &row[at]).collect::<BTreeSet<_>>().len();
        json!({ "name": name, "examples": examples, "distinct": distinct })
    });
    Ok(json!({ "rows": rows.len(), "columns": columns.collect::<Vec<_>>() }).to_string())
}

/// The texts and labels of a CSV.
pub(crate) fn labelled(csv: &[u8], text_column: &str, label_column: &str) -> Result<Labelled, String> {
    let Table { head, rows, lines } = read(csv)?;
    let column = |name: &str| {
        let found = head.iter().position(|column| column == name);
        found.ok_or_else(|| format!("there is no column {name:?}; there are {}", head.join(", ")))
    };
    let (text, label) = (column(text_column)?, column(label_column)?);
    if text == label {
        return Err(format!(
            "column {text_column:?} cannot hold both texts and labels; choose another for one of them"
        ));
    }
    if let Some((line, column)) = lines.iter().zip(&rows).find_map(|(line, row)| {
        [(text, text_column), (label, label_column)]
            .into_iter()
            .find(|(at, _)| row[*at].trim().is_empty())
            .map(|(_, name)| (line, name))
    }) {
        return Err(format!("line {line}: column {column:?} is empty; fill it or take the line out"));
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row[label].trim()).collect();
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    match names.len() {
        0 | 1 => Err(format!("column {label_column:?} holds one label; a classifier needs two or more")),
        count if count > MOST_LABELS => Err(format!(
            "column {label_column:?} holds {count} different labels, more than {MOST_LABELS}; choose another"
        )),
        _ => {
            let index = |row: &Vec<String>| names.binary_search_by(|name| name.as_str().cmp(row[label].trim()));
            let labels = rows.iter().map(|row| index(row).unwrap_or_default()).collect();
            let texts = rows.iter().map(|row| row[text].clone()).collect();
            Ok(Labelled { texts, labels, names })
        }
    }
}

/// A head, and rows that are each as long.
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Where in the file each row begins.
    lines: Vec<u64>,
}

fn read(csv: &[u8]) -> Result<Table, String> {
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(csv)).from_reader(csv);
    let head: Vec<String> = reader.headers().map_err(|error| wrong(csv, &error))?.iter().map(String::from).collect();
    if let Some(twice) = head.iter().enumerate().find_map(|(at, name)| head[..at].contains(name).then_some(name)) {
        return Err(format!("two columns are called {twice:?}; give one another name"));
    }
    let (mut rows, mut lines, mut lines_to) = (Vec::new(), Vec::new(), LinesTo { csv, byte: 0, line: 1 });
    for row in reader.records() {
        let row = row.map_err(|error| wrong(csv, &error))?;
        lines.push(lines_to.row(row.position()));
        rows.push(row.iter().map(String::from).collect());
    }
    match (head.len(), rows.len()) {
        (0 | 1, _) => Err("the file has fewer than two columns; it needs one of texts and one of labels".into()),
        (_, 0..10) => Err(format!("the file has {} rows; it needs ten or more", rows.len())),
        _ => Ok(Table { head, rows, lines }),
    }
}

/// A tab where the first line has one, else a semicolon where it has one and no comma.
fn delimiter(csv: &[u8]) -> u8 {
    let head = csv.split(|&byte| byte == b'\n').next().unwrap_or_default();
    // What stands between quotes separates nothing.
    let head: Vec<u8> = head.split(|&byte| byte == b'"').step_by(2).collect::<Vec<_>>().concat();
    match (head.contains(&b'\t'), head.contains(&b';') && !head.contains(&b',')) {
        (true, _) => b'\t',
        (_, true) => b';',
        _ => b',',
    }
}

/// Counts lines up to rows that come one after the other. The reader's own count takes a row to begin
/// with the line end before it, where lines end as Windows ends them or are blank.
struct LinesTo<'a> {
    csv: &'a [u8],
    byte: usize,
    line: u64,
}

impl LinesTo<'_> {
    fn row(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.map_or(0, |position| position.byte() as usize).min(self.csv.len());
        let ends = self.csv[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = (begin + ends).max(self.byte);
        self.line += self.csv[self.byte..begin].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.byte = begin;
        self.line
    }
}

fn wrong(csv: &[u8], error: &csv::Error) -> String {
    let line = LinesTo { csv, byte: 0, line: 1 }.row(error.position());
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line} has {len} columns, not {expected_len}; quote texts that hold a comma")
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
    fn what_is_wrong_is_said_with_its_line() {
        let said = |csv: &[u8], label: &str| labelled(csv, "text", label).expect_err("wrong");
        assert_eq!(said(&file("one,two,a\n"), "label"), "line 2 has 3 columns, not 2; quote texts that hold a comma");
        assert!(said(&file(""), "stars").contains("there is no column \"stars\"; there are text, label"));
        assert!(said(b"text,label\na,b\n", "label").contains("1 rows"));
        assert!(
            said(&b"text,label\n".iter().copied().chain(b"a,b\n".repeat(20)).collect::<Vec<_>>(), "label")
                .contains("one label")
        );
        assert!(said(b"text,label\na,\xff\n", "label").contains("line 2 is not UTF-8"));
        assert!(said(&file("one,\n"), "label").contains("line 2: column \"label\" is empty"));
        assert!(said(&file("\"a\nb\",b\n ,b\n"), "label").contains("line 4: column \"text\" is empty"));
        let windows =
            b"text,label\r\none,a\r\n\r\ntwo,\r\n".iter().copied().chain(b"x,b\r\n".repeat(9)).collect::<Vec<_>>();
        assert!(said(&windows, "label").contains("line 4: column \"label\" is empty"));
        assert!(said(&file(""), "text").contains("both texts and labels"));
        assert!(said(b"text,text\na,b\n", "text").contains("two columns are called \"text\""));
        assert!(said(b"", "label").contains("fewer than two columns"));
    }
}

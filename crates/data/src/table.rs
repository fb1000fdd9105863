//! A user's file as rows of text and label: CSV, TSV, Parquet or JSON Lines.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::DataError;
use crate::records::Records;
use crate::source::{Columns, Source};

/// The kinds of file that are read, told by their extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header, `.csv`.
    Csv,
    /// Tab-separated values with a header, `.tsv`.
    Tsv,
    /// Apache Parquet, `.parquet`.
    Parquet,
    /// One JSON object a line, `.jsonl` or `.ndjson`.
    JsonLines,
}

impl Format {
    /// The format that a path's extension names.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Parquet => "Parquet",
            Self::JsonLines => "JSON Lines",
        }
    }
}

/// The two columns of interest, one entry a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The texts; none is empty.
    pub texts: Vec<String>,
    /// The labels, where a label column was asked for.
    pub labels: Option<Vec<String>>,
}

/// Reads the columns `text` and `label` of a file, piece by piece: no more of the file is in memory
/// than a piece.
///
/// # Errors
///
/// Each names the file, and the row (the first after a header is 1) where there is one: a
/// missing file or column, no rows, a row without text or label, invalid UTF-8, a damaged file.
pub fn read_pieces(path: &Path, text: &str, label: Option<&str>) -> Result<Pieces, DataError> {
    let format = Format::of(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
    Pieces::open(format, path, text, label)
}

/// As [`read_pieces`], the whole file.
///
/// # Errors
///
/// As [`read_pieces`].
pub fn read_table(path: &Path, text: &str, label: Option<&str>) -> Result<Table, DataError> {
    let mut all = Table { texts: Vec::new(), labels: label.map(|_| Vec::new()) };
    for piece in read_pieces(path, text, label)? {
        let piece = piece?;
        all.texts.extend(piece.texts);
        if let (Some(all), Some(labels)) = (&mut all.labels, piece.labels) {
            all.extend(labels);
        }
    }
    Ok(all)
}

/// A file's rows, some thousands at a time; see [`read_pieces`].
pub struct Pieces {
    source: Source,
    reader: Reader,
    /// How many rows were handed out.
    rows: usize,
    /// How many lines were read.
    lines: usize,
    is_over: bool,
}

enum Reader {
    Separated {
        records: Records<File>,
        head: String,
        separator: u8,
        is_begun: bool,
    },
    /// Where each group of rows begins and how many there are.
    Parquet {
        groups: std::vec::IntoIter<(usize, usize)>,
    },
    JsonLines {
        lines: BufReader<File>,
    },
}

impl Iterator for Pieces {
    type Item = Result<Table, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let piece = match self.read() {
            Ok(Some(columns)) => self.source.table(columns, self.rows),
            Ok(None) if self.rows == 0 => Err(DataError::NoRows { path: self.source.path.clone() }),
            Ok(None) => {
                self.is_over = true;
                return None;
            }
            Err(error) => Err(error),
        };
        match &piece {
            Ok(table) => self.rows += table.texts.len(),
            Err(_) => self.is_over = true,
        }
        Some(piece)
    }
}

impl Pieces {
    /// As [`read_pieces`], whatever the file's extension.
    pub(crate) fn open(format: Format, path: &Path, text: &str, label: Option<&str>) -> Result<Self, DataError> {
        let metadata = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.into(), source })?;
        if !metadata.is_file() {
            return Err(DataError::NotAFile { path: path.into() });
        }
        if metadata.len() == 0 {
            return Err(DataError::Empty { path: path.into() });
        }
        let source = Source { path: path.into(), format, text: text.into(), label: label.map(String::from) };
        let file = File::open(path).map_err(|error| source.io(error))?;
        let mut lines = 0;
        let reader = match format {
            Format::Csv | Format::Tsv => {
                let separator = if format == Format::Csv { b',' } else { b'\t' };
                let mut records = Records::new(file, separator);
                let head = source.utf8(records.head().map_err(|error| source.io(error))?, &mut lines)?;
                let head = head.strip_prefix('\u{feff}').unwrap_or(&head).to_owned();
                Reader::Separated { records, head, separator, is_begun: false }
            }
            Format::Parquet => Reader::Parquet { groups: source.row_groups(file)?.into_iter() },
            Format::JsonLines => Reader::JsonLines { lines: BufReader::new(file) },
        };
        Ok(Self { source, reader, rows: 0, lines, is_over: false })
    }

    /// The next rows, if there are more.
    fn read(&mut self) -> Result<Option<Columns>, DataError> {
        let Self { source, reader, lines, .. } = self;
        match reader {
            Reader::Separated { records, head, separator, is_begun } => loop {
                let piece = records.next().map_err(|error| source.io(error))?;
                // A header alone is read too, so that a column that it lacks is named.
                if piece.is_none() && std::mem::replace(is_begun, true) {
                    return Ok(None);
                }
                *is_begun = true;
                let content = [head.as_str(), &source.utf8(piece.unwrap_or_default(), lines)?].concat();
                let columns = source.columns_of(source.parse(content, *separator)?)?;
                if !columns.0.is_empty() {
                    return Ok(Some(columns));
                }
            },
            Reader::Parquet { groups } => match groups.find(|(_, count)| *count > 0) {
                Some(group) => source.columns_of(source.read_rows(group)?).map(Some),
                None => Ok(None),
            },
            Reader::JsonLines { lines: file } => source.read_json_lines(file, lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<Table, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writes");
        let place = format!("{}/", folder.path().display());
        read_table(&path, "text", Some("label")).map_err(|error| error.to_string().replace(&place, ""))
    }

    fn table(rows: &[(&str, &str)]) -> Result<Table, String> {
        Ok(Table {
            texts: rows.iter().map(|row| row.0.into()).collect(),
            labels: Some(rows.iter().map(|row| row.1.into()).collect()),
        })
    }

    #[test]
    fn the_same_rows_from_every_text_format() {
        let rows = table(&[("good, very \"good\"", "1"), ("two\nlines", "0")]);
        let csv = "label,text\n1,\"good, very \"\"good\"\"\"\n0,\"two\nlines\"\n";
        let tsv = "text\tlabel\n\"good, very \"\"good\"\"\"\t1\n\"two\nlines\"\t0\n";
        let json =
            "{\"text\": \"good, very \\\"good\\\"\", \"label\": 1}\n\n{\"label\": \"0\", \"text\": \"two\\nlines\"}";
        assert_eq!(read("a.csv", csv.as_bytes()), rows);
        assert_eq!(read("a.csv", format!("\u{feff}{csv}").as_bytes()), rows);
        assert_eq!(read("a.tsv", tsv.as_bytes()), rows);
        assert_eq!(read("a.jsonl", json.as_bytes()), rows);
    }

    #[test]
    fn errors_name_the_place_and_the_mend() {
        let message = |name, content: &[u8]| read(name, content).expect_err("is wrong");
        assert_eq!(
            message("a.csv", b"review,label\nfine,1\n"),
            "a.csv: no column \"text\" (it has: review, label); name it with --text-column"
        );
        assert_eq!(
            message("a.csv", b"text,stars\nfine,1\n"),
            "a.csv: no column \"label\" (it has: text, stars); name it with --label-column"
        );
        assert_eq!(message("a.csv", b""), "a.csv: the file is empty");
        assert_eq!(message("a.csv", b"text,label\n"), "a.csv: the file holds no rows");
        assert!(message("a.csv", b"text,label\nfine,1\n  ,0\n").starts_with("a.csv: row 2 has no text"));
        assert!(message("a.csv", b"text,label\nfine,1\n,0\n").starts_with("a.csv: row 2 has no text"));
        assert!(message("a.csv", b"text,label\nfine,\n").starts_with("a.csv: row 1 has no label"));
        assert_eq!(
            message("a.csv", b"text,label\nfine,1\n\xff,0\n"),
            "a.csv: line 3 is not valid UTF-8; save the file as UTF-8"
        );
        assert!(message("a.parquet", b"PAR1 and no more").starts_with("a.parquet: not readable as Parquet"));
        assert!(message("a.jsonl", b"{\"text\": \"x\", \"label\": 1}\n{").contains("line 2"));
        assert!(message("a.doc", b"x").contains("unknown file type"));
    }
}

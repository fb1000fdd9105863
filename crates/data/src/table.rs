//! A user's file as rows of text and label: CSV, TSV, Parquet or JSON Lines.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use polars::prelude::{CsvParseOptions, CsvReadOptions, DataFrame, DataType, ParquetReader, PolarsError, SerReader};

use crate::DataError;

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

    fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Parquet => "Parquet",
            Self::JsonLines => "JSON Lines",
        }
    }
}

/// The two columns of interest, one entry a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The texts; none is empty.
    pub texts: Vec<String>,
    /// The labels, where a label column was asked for.
    pub labels: Option<Vec<String>>,
}

/// Reads the columns `text` and `label` of a file.
///
/// # Errors
///
/// Each names the file, and the row (the first after a header is 1) where there is one: a
/// missing file or column, no rows, a row without text or label, invalid UTF-8, a damaged file.
pub fn read_table(path: &Path, text: &str, label: Option<&str>) -> Result<Table, DataError> {
    let format = Format::of(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
    read_table_as(format, path, text, label)
}

/// As [`read_table`], whatever the file's extension.
pub(crate) fn read_table_as(format: Format, path: &Path, text: &str, label: Option<&str>) -> Result<Table, DataError> {
    let metadata = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { path: path.into() });
    }
    if metadata.len() == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let source = Source { path, format };
    let (texts, labels) = match format {
        Format::Csv => source.columns_of(source.read_csv(b',')?, text, label)?,
        Format::Tsv => source.columns_of(source.read_csv(b'\t')?, text, label)?,
        Format::Parquet => source.columns_of(source.read_parquet()?, text, label)?,
        Format::JsonLines => source.read_json_lines(text, label)?,
    };
    if texts.is_empty() {
        return Err(DataError::NoRows { path: path.into() });
    }
    let texts = complete(texts, |row| DataError::NoText { path: path.into(), row, column: text.into() })?;
    let labels = match (labels, label) {
        (Some(labels), Some(column)) => {
            let no_label = |row| DataError::NoLabel { path: path.into(), row, column: column.into() };
            Some(complete(labels, no_label)?.into_iter().map(|label| label.trim().to_owned()).collect())
        }
        _ => None,
    };
    Ok(Table { texts, labels })
}

/// A column whose every row must hold something.
fn complete(column: Column, missing: impl Fn(usize) -> DataError) -> Result<Vec<String>, DataError> {
    column
        .into_iter()
        .enumerate()
        .map(|(index, value)| value.filter(|value| !value.trim().is_empty()).ok_or_else(|| missing(index + 1)))
        .collect()
}

type Column = Vec<Option<String>>;

struct Source<'a> {
    path: &'a Path,
    format: Format,
}

impl Source<'_> {
    fn malformed(&self, message: impl ToString) -> DataError {
        // Polars explains itself over many lines; the first says what is wrong.
        let message = message.to_string().lines().next().unwrap_or_default().to_owned();
        DataError::Malformed { path: self.path.into(), format: self.format.name(), message }
    }

    fn io(&self, source: std::io::Error) -> DataError {
        DataError::Io { path: self.path.into(), source }
    }

    fn no_column(&self, column: &str, columns: &[&str], flag: &'static str) -> DataError {
        let columns = columns.join(", ");
        DataError::NoColumn { path: self.path.into(), column: column.into(), columns, flag }
    }

    fn read_utf8(&self) -> Result<String, DataError> {
        let bytes = std::fs::read(self.path).map_err(|source| self.io(source))?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            DataError::NotUtf8 { path: self.path.into(), line }
        })
    }

    fn read_csv(&self, separator: u8) -> Result<DataFrame, DataError> {
        let content = self.read_utf8()?;
        let content = content.strip_prefix('\u{feff}').unwrap_or(&content).to_owned();
        CsvReadOptions::default()
            .with_infer_schema_length(Some(0)) // every column is text
            .with_parse_options(CsvParseOptions::default().with_separator(separator))
            .into_reader_with_file_handle(Cursor::new(content))
            .finish()
            .map_err(|error| self.malformed(error))
    }

    fn read_parquet(&self) -> Result<DataFrame, DataError> {
        let file = File::open(self.path).map_err(|source| self.io(source))?;
        // Polars panics on some damaged files; a damaged file is the user's news, not a crash.
        std::panic::catch_unwind(|| ParquetReader::new(file).finish())
            .map_err(|_| self.malformed("the file is damaged"))?
            .map_err(|error| self.malformed(error))
    }

    fn columns_of(
        &self,
        frame: DataFrame,
        text: &str,
        label: Option<&str>,
    ) -> Result<(Column, Option<Column>), DataError> {
        let names: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
        let read = |column: &str, flag| {
            let series = frame.column(column).map_err(|_| self.no_column(column, &names, flag))?;
            strings(series).map_err(|error| self.malformed(error))
        };
        let texts = read(text, "--text-column")?;
        let labels = label.map(|label| read(label, "--label-column")).transpose()?;
        Ok((texts, labels))
    }

    // Polars reads JSON Lines too, but takes minutes more to build with it and names no line.
    fn read_json_lines(&self, text: &str, label: Option<&str>) -> Result<(Column, Option<Column>), DataError> {
        let content = self.read_utf8()?;
        let mut texts = Column::new();
        let mut labels = label.map(|_| Column::new());
        let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (index, line) in lines {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(line).map_err(|error| self.malformed(format!("line {}: {error}", index + 1)))?;
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            let read = |column: &str, flag| match object.get(column) {
                None => Err(self.no_column(column, &names, flag)),
                Some(serde_json::Value::Null) => Ok(None),
                Some(serde_json::Value::String(value)) => Ok(Some(value.clone())),
                Some(value) => Ok(Some(value.to_string())),
            };
            texts.push(read(text, "--text-column")?);
            if let (Some(labels), Some(label)) = (&mut labels, label) {
                labels.push(read(label, "--label-column")?);
            }
        }
        Ok((texts, labels))
    }
}

fn strings(column: &polars::prelude::Column) -> Result<Column, PolarsError> {
    let column = column.cast(&DataType::String)?;
    Ok(column.str()?.iter().map(|value| value.map(str::to_owned)).collect())
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

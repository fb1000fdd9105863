//! The two columns of interest, read from each kind of file.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor};
use std::path::PathBuf;

use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, DataType, ParquetReader, PolarsError, PolarsResult, SerReader,
};

use crate::DataError;
use crate::table::{Format, Table};

/// What of the file is read.
pub(crate) struct Source {
    pub path: PathBuf,
    pub format: Format,
    pub text: String,
    pub label: Option<String>,
}

/// How many rows a piece has at most, where rows can be counted before they are read.
const ROWS: usize = 20_000;

pub(crate) type Column = Vec<Option<String>>;
/// Texts, and labels where they were asked for.
pub(crate) type Columns = (Column, Option<Column>);

impl Source {
    /// Columns whose every row must hold something; the first is that after `before` others.
    pub fn table(&self, (texts, labels): Columns, before: usize) -> Result<Table, DataError> {
        let path = || self.path.clone();
        let texts =
            complete(texts, |row| DataError::NoText { path: path(), row: before + row, column: self.text.clone() })?;
        let labels = match (labels, &self.label) {
            (Some(labels), Some(column)) => {
                let missing = |row| DataError::NoLabel { path: path(), row: before + row, column: column.clone() };
                Some(complete(labels, missing)?.into_iter().map(|label| label.trim().to_owned()).collect())
            }
            _ => None,
        };
        Ok(Table { texts, labels })
    }

    fn malformed(&self, message: impl ToString) -> DataError {
        // Polars explains itself over many lines; the first says what is wrong.
        let message = message.to_string().lines().next().unwrap_or_default().to_owned();
        DataError::Malformed { path: self.path.clone(), format: self.format.name(), message }
    }

    pub fn io(&self, source: std::io::Error) -> DataError {
        DataError::Io { path: self.path.clone(), source }
    }

    fn no_column(&self, column: &str, columns: &[&str], flag: &'static str) -> DataError {
        let columns = columns.join(", ");
        DataError::NoColumn { path: self.path.clone(), column: column.into(), columns, flag }
    }

    /// Bytes as text; counts the lines.
    pub fn utf8(&self, bytes: Vec<u8>, lines: &mut usize) -> Result<String, DataError> {
        let count = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            DataError::NotUtf8 { path: self.path.clone(), line: *lines + 1 + count(valid) }
        })?;
        *lines += count(text.as_bytes());
        Ok(text)
    }

    pub fn parse(&self, content: String, separator: u8) -> Result<DataFrame, DataError> {
        CsvReadOptions::default()
            .with_infer_schema_length(Some(0)) // every column is text
            .with_parse_options(CsvParseOptions::default().with_separator(separator))
            .into_reader_with_file_handle(Cursor::new(content))
            .finish()
            .map_err(|error| self.malformed(error))
    }

    /// Groups of rows that are read together: Parquet's own where they are small.
    pub fn row_groups(&self, file: File) -> Result<Vec<(usize, usize)>, DataError> {
        let counts = self.parquet(|| {
            let mut reader = ParquetReader::new(file);
            let metadata = reader.get_metadata()?;
            Ok(metadata.row_groups.iter().map(|group| group.num_rows()).collect::<Vec<_>>())
        })?;
        let mut groups: Vec<(usize, usize)> = vec![(0, 0)];
        for count in counts {
            match groups.last_mut() {
                Some((_, rows)) if *rows + count <= ROWS => *rows += count,
                Some(&mut (start, rows)) => groups.push((start + rows, count)),
                None => {}
            }
        }
        Ok(groups)
    }

    pub fn read_rows(&self, (start, count): (usize, usize)) -> Result<DataFrame, DataError> {
        let file = File::open(&self.path).map_err(|source| self.io(source))?;
        self.parquet(|| {
            let mut reader = ParquetReader::new(file);
            let schema = reader.schema()?;
            // Columns that are not there are found missing by whoever looks for them.
            let wanted = [Some(&self.text), self.label.as_ref()];
            let known: Vec<String> =
                wanted.into_iter().flatten().filter(|name| schema.contains(name)).cloned().collect();
            let columns = (known.len() == wanted.into_iter().flatten().count()).then_some(known);
            reader.with_columns(columns).with_slice(Some((start, count))).finish()
        })
    }

    fn parquet<T>(&self, read: impl FnOnce() -> PolarsResult<T>) -> Result<T, DataError> {
        // Polars panics on some damaged files; a damaged file is the user's news, not a crash.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
            .map_err(|_| self.malformed("the file is damaged"))?
            .map_err(|error| self.malformed(error))
    }

    pub fn columns_of(&self, frame: DataFrame) -> Result<Columns, DataError> {
        let names: Vec<&str> = frame.get_column_names().into_iter().map(|name| name.as_str()).collect();
        let read = |column: &str, flag| {
            let series = frame.column(column).map_err(|_| self.no_column(column, &names, flag))?;
            strings(series).map_err(|error| self.malformed(error))
        };
        let texts = read(&self.text, TEXT_FLAG)?;
        let labels = self.label.as_ref().map(|label| read(label, LABEL_FLAG)).transpose()?;
        Ok((texts, labels))
    }

    // Polars reads JSON Lines too, but takes minutes more to build with it and names no line.
    pub fn read_json_lines(&self, file: &mut BufReader<File>, lines: &mut usize) -> Result<Option<Columns>, DataError> {
        let mut texts = Column::new();
        let mut labels = self.label.as_ref().map(|_| Column::new());
        let mut bytes = Vec::new();
        while texts.len() < ROWS && file.read_until(b'\n', &mut bytes).map_err(|error| self.io(error))? > 0 {
            let number = *lines + 1;
            let line = self.utf8(std::mem::take(&mut bytes), lines)?;
            *lines = number;
            if line.trim().is_empty() {
                continue;
            }
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&line).map_err(|error| self.malformed(format!("line {number}: {error}")))?;
            let names: Vec<&str> = object.keys().map(String::as_str).collect();
            let read = |column: &str, flag| match object.get(column) {
                None => Err(self.no_column(column, &names, flag)),
                Some(serde_json::Value::Null) => Ok(None),
                Some(serde_json::Value::String(value)) => Ok(Some(value.clone())),
                Some(value) => Ok(Some(value.to_string())),
            };
            texts.push(read(&self.text, TEXT_FLAG)?);
            if let (Some(labels), Some(label)) = (&mut labels, &self.label) {
                labels.push(read(label, LABEL_FLAG)?);
            }
        }
        Ok((!texts.is_empty()).then_some((texts, labels)))
    }
}

const TEXT_FLAG: &str = "--text-column";
const LABEL_FLAG: &str = "--label-column";

/// A column whose every row must hold something.
fn complete(column: Column, missing: impl Fn(usize) -> DataError) -> Result<Vec<String>, DataError> {
    column
        .into_iter()
        .enumerate()
        .map(|(index, value)| value.filter(|value| !value.trim().is_empty()).ok_or_else(|| missing(index + 1)))
        .collect()
}

fn strings(column: &polars::prelude::Column) -> Result<Column, PolarsError> {
    let column = column.cast(&DataType::String)?;
    Ok(column.str()?.iter().map(|value| value.map(str::to_owned)).collect())
}

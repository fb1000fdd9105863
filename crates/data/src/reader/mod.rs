//! Rows from each format, some at a time.

mod json_lines;
mod parquet;
mod separated;
mod utf8_file;

use std::path::PathBuf;

use crate::{DataError, Format, ReadOptions, open_file};
use json_lines::JsonLinesReader;
use parquet::RowGroupReader;
use separated::SeparatedReader;
pub use utf8_file::LONGEST_ROW;
use utf8_file::{LongRow, NotUtf8};

/// A batch ends after this many rows,
const BATCH_ROWS: usize = 20_000;
/// or after the row with which it reaches this many bytes.
const BATCH_BYTES: usize = 16 << 20;

/// One column of a batch; `None` where a row has no value.
pub(crate) type Column = Vec<Option<String>>;

/// Rows as they are in the file, one entry per row in each column.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub texts: Column,
    /// One per text if labels are read, otherwise none.
    pub labels: Column,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, text: Option<String>, label: Option<Option<String>>) {
        self.bytes += text.as_ref().map_or(0, String::len);
        self.texts.push(text);
        self.labels.extend(label);
    }

    fn is_full(&self) -> bool {
        self.texts.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

/// The file that is read, and what is read from it.
pub(crate) struct Source {
    pub path: PathBuf,
    pub format: Format,
    pub options: ReadOptions,
}

impl Source {
    fn io(&self, source: std::io::Error) -> DataError {
        let path = self.path.clone();
        match source.get_ref().and_then(|error| error.downcast_ref::<NotUtf8>()) {
            Some(&NotUtf8 { line }) => DataError::NotUtf8 { path, line },
            None => DataError::Io { path, source },
        }
    }

    /// As [`io`](Self::io), for an error while reading a row.
    fn row_io(&self, source: std::io::Error, row: usize) -> DataError {
        if source.get_ref().is_some_and(|error| error.is::<LongRow>()) {
            DataError::LongRow { path: self.path.clone(), row }
        } else {
            self.io(source)
        }
    }

    fn malformed(&self, message: impl ToString) -> DataError {
        // Polars explains an error over many lines; the first says what is wrong.
        let message = message.to_string().lines().next().unwrap_or_default().to_owned();
        DataError::Malformed { path: self.path.clone(), format: self.format.name(), message }
    }
}

/// The reader of a file's format.
pub(crate) enum Reader {
    Separated(Box<SeparatedReader>),
    Parquet(RowGroupReader),
    JsonLines(JsonLinesReader),
}

impl Reader {
    pub fn open(source: &Source) -> Result<Self, DataError> {
        let file = open_file(&source.path)?;
        let metadata = file.metadata().map_err(|error| source.io(error))?;
        if metadata.is_file() && metadata.len() == 0 {
            return Err(DataError::Empty { path: source.path.clone() });
        }
        match source.format {
            Format::Csv => SeparatedReader::new(file, b',', source).map(|reader| Self::Separated(Box::new(reader))),
            Format::Tsv => SeparatedReader::new(file, b'\t', source).map(|reader| Self::Separated(Box::new(reader))),
            Format::Parquet => RowGroupReader::new(file, source).map(Self::Parquet),
            Format::JsonLines => JsonLinesReader::new(file, source).map(Self::JsonLines),
        }
    }

    /// The next rows; an empty batch at the end of the file.
    pub fn read(&mut self, source: &Source) -> Result<Batch, DataError> {
        match self {
            Self::Separated(reader) => reader.read(source),
            Self::Parquet(reader) => reader.read(source),
            Self::JsonLines(reader) => reader.read(source),
        }
    }
}

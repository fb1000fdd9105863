//! JSON Lines: one object per line.
//!
//! Polars reads them too, but its `json` feature takes minutes to build and its errors name no line.

use std::fs::File;
use std::io::{BufRead, BufReader};

use serde_json::{Map, Value};

use super::utf8_file::Utf8File;
use super::{Batch, Source};
use crate::DataError;
use crate::error::ColumnRole;

pub(crate) struct JsonLinesReader {
    lines: BufReader<Utf8File<File>>,
    line: String,
    /// The number of the line.
    number: usize,
    /// How many rows were read.
    rows: usize,
}

impl JsonLinesReader {
    pub fn new(file: File, source: &Source) -> Result<Self, DataError> {
        let mut lines = BufReader::with_capacity(64 << 10, Utf8File::new(file, b""));
        let start = lines.fill_buf().map_err(|error| source.io(error))?;
        if start.trim_ascii_start().first() == Some(&b'[') {
            return Err(DataError::JsonArray { path: source.path.clone() });
        }
        Ok(Self { lines, line: String::new(), number: 0, rows: 0 })
    }

    pub fn read(&mut self, source: &Source) -> Result<Batch, DataError> {
        let mut batch = Batch::default();
        while !batch.is_full() {
            self.line.clear();
            self.lines.get_mut().begin_row();
            if self.lines.read_line(&mut self.line).map_err(|error| source.row_io(error, self.rows + 1))? == 0 {
                break;
            }
            self.number += 1;
            if self.line.trim().is_empty() {
                continue;
            }
            self.rows += 1;
            let object: Map<String, Value> =
                serde_json::from_str(&self.line).map_err(|error| self.malformed(&error, source))?;
            let text = self.value(&object, &source.options.text_column, ColumnRole::Text, source)?;
            let label = source.options.label_column.as_ref();
            let label = label.map(|column| self.value(&object, column, ColumnRole::Label, source)).transpose()?;
            batch.push(text, label);
        }
        Ok(batch)
    }

    fn value(
        &self,
        object: &Map<String, Value>,
        column: &str,
        role: ColumnRole,
        source: &Source,
    ) -> Result<Option<String>, DataError> {
        let path = || source.path.clone();
        let not_text = |kind: &str| DataError::NotText {
            path: path(),
            row: Some(self.rows),
            column: column.into(),
            kind: kind.into(),
        };
        match object.get(column) {
            None => {
                let keys = object.keys().cloned().collect();
                Err(DataError::NoKey { path: path(), line: self.number, column: column.into(), keys, role })
            }
            Some(Value::Null) => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.clone())),
            Some(Value::Object(_)) => Err(not_text("a JSON object")),
            Some(Value::Array(_)) => Err(not_text("a JSON array")),
            Some(value) => Ok(Some(value.to_string())),
        }
    }

    fn malformed(&self, error: &serde_json::Error, source: &Source) -> DataError {
        let path = source.path.clone();
        if self.line.trim_end().contains('\r') {
            return DataError::CarriageReturns { path };
        }
        if error.is_eof() {
            return DataError::PartialJson { path, line: self.number };
        }
        // The message ends with a position within the line.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        source.malformed(format!("line {}, column {}: {message}", self.number, error.column()))
    }
}

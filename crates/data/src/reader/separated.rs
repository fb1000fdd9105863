//! CSV and TSV, read as Python's `csv` module reads them: quotation marks enclose a field only where
//! they are its first character, and anywhere else they are part of the text.

use std::fs::File;

use csv::StringRecord;

use super::utf8_file::Utf8File;
use super::{Batch, Source};
use crate::DataError;
use crate::error::ColumnRole;

/// A record that is appended to the file. If it does not arrive as a record of its own, it is part of
/// a quoted field that was never closed.
const END_RECORD: &str = "\u{3}end\u{3}";
const TAIL: &[u8] = "\n\u{3}end\u{3}\n".as_bytes();

pub(crate) struct SeparatedReader {
    records: csv::Reader<Utf8File<File>>,
    record: StringRecord,
    header: usize,
    text: usize,
    label: Option<usize>,
    /// How many rows were read, the header aside.
    rows: usize,
    /// Whether lines end in CR and LF.
    has_crlf: bool,
    is_over: bool,
}

impl SeparatedReader {
    pub fn new(file: File, separator: u8, source: &Source) -> Result<Self, DataError> {
        let records = csv::ReaderBuilder::new()
            .delimiter(separator)
            .quoting(source.options.quotes)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(64 << 10)
            .from_reader(Utf8File::new(file, TAIL));
        let record = StringRecord::new();
        let mut reader =
            Self { records, record, header: 0, text: 0, label: None, rows: 0, has_crlf: false, is_over: false };
        if !reader.advance(source)? {
            return Err(DataError::Empty { path: source.path.clone() });
        }
        let find = |column: &String, role| {
            let (path, column_name) = (source.path.clone(), column.clone());
            let mut found = (0..reader.record.len()).filter(|&index| reader.record.get(index) == Some(column.as_str()));
            match (found.next(), found.next()) {
                (Some(index), None) => Ok(index),
                (Some(_), Some(_)) => Err(DataError::AmbiguousColumn { path, column: column_name }),
                (None, _) => {
                    let columns = reader.record.iter().map(String::from).collect();
                    Err(DataError::NoColumn { path, column: column_name, columns, role })
                }
            }
        };
        let text = find(&source.options.text_column, ColumnRole::Text)?;
        let label = source.options.label_column.as_ref().map(|column| find(column, ColumnRole::Label)).transpose()?;
        let has_crlf = reader.line_feeds() == line_feeds(&reader.record);
        Ok(Self { header: reader.record.len(), text, label, has_crlf, ..reader })
    }

    pub fn read(&mut self, source: &Source) -> Result<Batch, DataError> {
        let mut batch = Batch::default();
        while !batch.is_full() && self.advance(source)? {
            self.rows += 1;
            if self.header == 1 {
                // The csv crate skips blank lines. In a file of one column they are rows.
                for _ in 0..self.blank_lines_skipped() {
                    self.rows += 1;
                    batch.push(None, self.label.map(|_| None));
                }
            }
            let found = self.record.len();
            if found > self.header || self.text.max(self.label.unwrap_or(0)) >= found {
                let separator = if source.format == crate::Format::Csv { "comma" } else { "tab" };
                let (path, row, header) = (source.path.clone(), self.rows, self.header);
                return Err(DataError::Ragged { path, row, found, header, separator });
            }
            let field = |index: usize| self.record.get(index).map(String::from);
            batch.push(field(self.text), self.label.map(field));
        }
        Ok(batch)
    }

    /// Reads the next record; false at the end.
    fn advance(&mut self, source: &Source) -> Result<bool, DataError> {
        if self.is_over {
            return Ok(false);
        }
        self.records.get_mut().begin_row();
        let row = if self.header == 0 { 0 } else { self.rows + 1 };
        let is_read = self.records.read_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => source.row_io(error, row),
            kind => source.malformed(format!("{kind:?}")),
        })?;
        self.is_over = !is_read || self.records.get_ref().end() == Some(self.records.position().byte());
        if self.is_over && self.record != [END_RECORD][..] {
            return Err(DataError::UnclosedQuote { path: source.path.clone(), row });
        }
        Ok(!self.is_over)
    }

    /// How many line feeds reading the record passed.
    fn line_feeds(&self) -> usize {
        let start = self.record.position().map_or(0, csv::Position::line);
        self.records.position().line().saturating_sub(start) as usize
    }

    /// How many blank lines are before the record.
    fn blank_lines_skipped(&self) -> usize {
        // With CRLF a record ends before its LF, which then belongs to the next record.
        let length = self.records.get_ref().length();
        let is_ended_by_tail = length.is_some_and(|length| self.records.position().byte() == length + 1);
        let ends = if self.has_crlf && is_ended_by_tail { 2 } else { 1 };
        self.line_feeds().saturating_sub(line_feeds(&self.record) + ends)
    }
}

fn line_feeds(record: &StringRecord) -> usize {
    record.as_slice().bytes().filter(|&byte| byte == b'\n').count()
}

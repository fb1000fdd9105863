//! Parquet, a bounded number of rows at a time, whatever the size of its row groups.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::{ArrowDataType, ArrowField, DataFrame, DataType, ParquetReader, PolarsResult, SerReader};

use super::{BATCH_BYTES, BATCH_ROWS, Batch, Column, Source};
use crate::DataError;
use crate::error::ColumnRole;

/// Rows of similar size that are next to each other.
struct RowGroup {
    rows: usize,
    /// How many of its rows are read at once.
    step: usize,
}

pub(crate) struct RowGroupReader {
    file: File,
    groups: std::iter::Peekable<std::vec::IntoIter<RowGroup>>,
    /// The next row of the file to read.
    start: usize,
    /// How many rows of the current group were read.
    read: usize,
}

impl RowGroupReader {
    pub fn new(file: File, source: &Source) -> Result<Self, DataError> {
        let (text, label) = (&source.options.text_column, source.options.label_column.as_ref());
        let (schema, groups) = guarded(source, || {
            let mut reader = ParquetReader::new(clone(&file)?);
            let schema = reader.schema()?;
            let groups = reader.get_metadata()?.row_groups.iter().map(|group| {
                let rows = group.num_rows();
                let text = group.columns_under_root_iter(text).into_iter().flatten();
                let bytes: u64 = text.map(|column| column.uncompressed_size().max(0) as u64).sum();
                let per_row = (bytes / (rows as u64).max(1)).max(1) as usize;
                RowGroup { rows, step: (BATCH_BYTES / per_row).clamp(1, BATCH_ROWS) }
            });
            Ok((schema, groups.collect::<Vec<_>>()))
        })?;
        for (column, role) in
            std::iter::once((text, ColumnRole::Text)).chain(label.map(|name| (name, ColumnRole::Label)))
        {
            let path = source.path.clone();
            let Some(field) = schema.get(column) else {
                let columns = schema.iter_names().map(|name| name.to_string()).collect();
                return Err(DataError::NoColumn { path, column: column.clone(), columns, role });
            };
            if let Some(kind) = unreadable(field) {
                return Err(DataError::NotText { path, row: None, column: column.clone(), kind: kind.into() });
            }
        }
        Ok(Self { file, groups: merged(groups).into_iter().peekable(), start: 0, read: 0 })
    }

    pub fn read(&mut self, source: &Source) -> Result<Batch, DataError> {
        while let Some(group) = self.groups.peek() {
            let count = group.step.min(group.rows - self.read);
            if count == 0 {
                self.groups.next();
                self.read = 0;
                continue;
            }
            let frame = self.rows(self.start, count, source)?;
            self.read += count;
            self.start += count;
            let texts = strings(&frame, &source.options.text_column, source)?;
            let labels = source.options.label_column.as_ref();
            let labels = labels.map(|column| strings(&frame, column, source)).transpose()?.unwrap_or_default();
            if texts.is_empty() {
                return Err(source.malformed("the file has fewer rows than it says"));
            }
            return Ok(Batch { texts, labels, bytes: 0 });
        }
        Ok(Batch::default())
    }

    fn rows(&self, start: usize, count: usize, source: &Source) -> Result<DataFrame, DataError> {
        let options = &source.options;
        let mut columns = vec![options.text_column.clone()];
        columns.extend(options.label_column.clone().filter(|label| *label != options.text_column));
        guarded(source, || {
            ParquetReader::new(clone(&self.file)?).with_columns(Some(columns)).with_slice(Some((start, count))).finish()
        })
    }
}

/// Small row groups that follow each other are read together.
fn merged(groups: Vec<RowGroup>) -> Vec<RowGroup> {
    let mut all: Vec<RowGroup> = Vec::new();
    for group in groups {
        match all.last_mut() {
            Some(last) if last.rows.saturating_add(group.rows) <= last.step.min(group.step) => {
                last.rows += group.rows;
                last.step = last.step.min(group.step);
            }
            _ => all.push(group),
        }
    }
    all
}

/// What a column holds, if it cannot be read as text: this build of Polars has no dates and times.
fn unreadable(field: &ArrowField) -> Option<&'static str> {
    let kind = match field.dtype() {
        ArrowDataType::Date32 | ArrowDataType::Date64 => "dates",
        ArrowDataType::Timestamp(..) => "timestamps",
        ArrowDataType::Time32(_) | ArrowDataType::Time64(_) => "times of day",
        ArrowDataType::Duration(_) | ArrowDataType::Interval(_) => "durations",
        ArrowDataType::Struct(_) => "structs",
        ArrowDataType::Map(..) => "maps",
        dtype => {
            let is_readable = catch_unwind(AssertUnwindSafe(|| DataType::from_arrow_field(field))).is_ok();
            return (!is_readable).then_some(match dtype {
                ArrowDataType::Dictionary(..) => "categories",
                _ => "values of another type",
            });
        }
    };
    Some(kind)
}

fn clone(file: &File) -> PolarsResult<File> {
    Ok(file.try_clone()?)
}

/// Polars panics on some damaged files, which for the user is an error like any other.
fn guarded<T>(source: &Source, read: impl FnOnce() -> PolarsResult<T>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| source.malformed("the file is damaged"))?
        .map_err(|error| source.malformed(error))
}

fn strings(frame: &DataFrame, column: &str, source: &Source) -> Result<Column, DataError> {
    let values = frame.column(column).map_err(|error| source.malformed(error))?;
    if values.dtype().is_nested() {
        let kind = format!("values of the type {}", values.dtype());
        return Err(DataError::NotText { path: source.path.clone(), row: None, column: column.into(), kind });
    }
    // In a column of floating-point numbers, NaN often stands for a missing value.
    let is_float = values.dtype().is_float();
    let is_missing = |value: &str| is_float && value.eq_ignore_ascii_case("nan");
    guarded(source, || {
        let values = values.cast(&DataType::String)?;
        let values = values.str()?.iter().map(|value| value.filter(|&value| !is_missing(value)));
        Ok(values.map(|value| value.map(str::to_owned)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_polars_cannot_read_are_named() {
        let field = |dtype: ArrowDataType| ArrowField::new("label".into(), dtype, true);
        let date = field(ArrowDataType::Date32);
        assert_eq!(unreadable(&date), Some("dates"));
        assert_eq!(unreadable(&field(ArrowDataType::Struct(vec![date]))), Some("structs"));
        assert_eq!(unreadable(&field(ArrowDataType::Int64)), None);
        assert_eq!(unreadable(&field(ArrowDataType::Utf8)), None);
    }
}

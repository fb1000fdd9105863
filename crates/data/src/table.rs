//! A user's file as rows of text and label, read in batches.

use std::path::Path;

use crate::reader::{Batch, Column, Reader, Source};
use crate::text_list::TextListBuilder;
use crate::{DataError, Format, ReadOptions, TextList};

/// Rows of a file: the column of the texts, and that of the labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The texts, one per row.
    pub texts: Vec<String>,
    /// The labels, one per row, if a label column is read.
    pub labels: Option<Vec<String>>,
    /// The rows of the file (the first after a header is 1) whose text is blank: empty, missing or
    /// nothing but white space. There are none where labels are read.
    pub blank_rows: Vec<usize>,
}

/// Reads columns of a file, some thousands of rows at a time. Only one such batch is in memory.
///
/// With labels, every row must have a text and a label. Without, a text may be blank: see
/// [`Table::blank_rows`].
///
/// # Errors
///
/// Each error names the file, and the row where there is one (the first after a header is 1): a
/// missing file or column, two columns of the same name, a column that holds neither text nor numbers,
/// no rows, a row with too many or too few fields, a row without a text or label, invalid UTF-8, a
/// damaged file.
pub fn read_pieces(path: &Path, options: &ReadOptions) -> Result<Pieces, DataError> {
    let format = Format::from_path(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
    Pieces::open(format, path, options.clone())
}

/// As [`read_pieces`], but reads the whole file into memory.
///
/// # Errors
///
/// As [`read_pieces`].
pub fn read_table(path: &Path, options: &ReadOptions) -> Result<Table, DataError> {
    let mut all = Table { labels: options.label_column.as_ref().map(|_| Vec::new()), ..Table::default() };
    for piece in read_pieces(path, options)? {
        let piece = piece?;
        all.texts.extend(piece.texts);
        all.blank_rows.extend(piece.blank_rows);
        if let (Some(all), Some(labels)) = (&mut all.labels, piece.labels) {
            all.extend(labels);
        }
    }
    Ok(all)
}

/// The texts of a column, without those that are blank.
///
/// # Errors
///
/// As [`read_pieces`].
pub fn read_texts(path: &Path, column: &str) -> Result<TextList, DataError> {
    collect_texts(read_pieces(path, &ReadOptions::texts(column))?)
}

/// The texts of rows, without those that are blank.
pub(crate) fn collect_texts(pieces: Pieces) -> Result<TextList, DataError> {
    let mut texts = TextListBuilder::new();
    for piece in pieces {
        let rows = piece?.texts;
        rows.iter().filter(|text| !text.trim().is_empty()).try_for_each(|text| texts.push(text))?;
    }
    texts.finish()
}

/// A file's rows in batches; see [`read_pieces`].
pub struct Pieces {
    source: Source,
    reader: Reader,
    /// How many rows were handed out.
    rows: usize,
    is_over: bool,
}

impl Iterator for Pieces {
    type Item = Result<Table, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let table = match self.reader.read(&self.source) {
            Ok(batch) if batch.texts.is_empty() => {
                self.is_over = true;
                return (self.rows == 0).then(|| Err(DataError::NoRows { path: self.source.path.clone() }));
            }
            Ok(batch) => self.table(batch),
            Err(error) => Err(error),
        };
        match &table {
            Ok(table) => self.rows += table.texts.len(),
            Err(_) => self.is_over = true,
        }
        Some(table)
    }
}

impl Pieces {
    /// As [`read_pieces`], whatever the file's extension.
    pub(crate) fn open(format: Format, path: &Path, options: ReadOptions) -> Result<Self, DataError> {
        let source = Source { path: path.into(), format, options };
        let reader = Reader::open(&source)?;
        Ok(Self { source, reader, rows: 0, is_over: false })
    }

    fn table(&self, Batch { texts, labels, .. }: Batch) -> Result<Table, DataError> {
        let path = || self.source.path.clone();
        let options = &self.source.options;
        let Some(label_column) = &options.label_column else {
            let is_blank = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
            let blank = texts.iter().enumerate().filter(|(_, text)| is_blank(text));
            let blank_rows = blank.map(|(index, _)| self.rows + index + 1).collect();
            return Ok(Table {
                texts: texts.into_iter().map(Option::unwrap_or_default).collect(),
                labels: None,
                blank_rows,
            });
        };
        let texts = complete(texts, |index| DataError::NoText {
            path: path(),
            row: self.rows + index + 1,
            column: options.text_column.clone(),
        })?;
        let labels = complete(labels, |index| DataError::NoLabel {
            path: path(),
            row: self.rows + index + 1,
            column: label_column.clone(),
        })?;
        let labels = labels.into_iter().map(|label| label.trim().to_owned()).collect();
        Ok(Table { texts, labels: Some(labels), blank_rows: Vec::new() })
    }
}

/// A column in which every row must have a value that is not blank.
fn complete(column: Column, missing: impl Fn(usize) -> DataError) -> Result<Vec<String>, DataError> {
    let values = column.into_iter().enumerate();
    values.map(|(index, value)| value.filter(|value| !value.trim().is_empty()).ok_or_else(|| missing(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, ParquetWriter, Series};

    /// Reads a file in a folder of its own; the folder is left out of an error.
    fn read_with(name: &str, content: &[u8], options: &ReadOptions) -> Result<Table, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writes");
        let place = format!("{}/", folder.path().display());
        read_table(&path, options).map_err(|error| error.to_string().replace(&place, ""))
    }

    fn read(name: &str, content: &[u8]) -> Result<Table, String> {
        read_with(name, content, &ReadOptions::labelled("text", "label"))
    }

    fn message(name: &str, content: &[u8]) -> String {
        read(name, content).expect_err("is refused")
    }

    fn table(rows: &[(&str, &str)]) -> Result<Table, String> {
        Ok(Table {
            texts: rows.iter().map(|row| row.0.into()).collect(),
            labels: Some(rows.iter().map(|row| row.1.into()).collect()),
            blank_rows: Vec::new(),
        })
    }

    fn parquet(columns: Vec<Series>, row_group: Option<usize>) -> Vec<u8> {
        let columns = columns.into_iter().map(IntoColumn::into_column).collect();
        let mut frame = DataFrame::new_infer_height(columns).expect("a frame");
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).with_row_group_size(row_group).finish(&mut frame).expect("writes");
        bytes
    }

    #[test]
    fn the_same_rows_from_every_text_format() {
        let rows = table(&[("good, very \"good\"", "1"), ("two\nlines", "0")]);
        let csv = "label,text\n1,\"good, very \"\"good\"\"\"\n0,\"two\nlines\"\n";
        let tsv = "text\tlabel\n\"good, very \"\"good\"\"\"\t1\n\"two\nlines\"\t0\n";
        let json =
            "{\"text\": \"good, very \\\"good\\\"\", \"label\": 1}\n\n{\"label\": \"0\", \"text\": \"two\\nlines\"}";
        for (name, content) in [("a.csv", csv), ("a.tsv", tsv), ("a.jsonl", json)] {
            assert_eq!(read(name, content.as_bytes()), rows);
            assert_eq!(read(name, format!("\u{feff}{content}").as_bytes()), rows, "{name} with a byte-order mark");
        }
    }

    #[test]
    fn errors_name_the_place_and_the_fix() {
        assert_eq!(message("a.csv", b"review,label\nfine,1\n"), "a.csv: no column \"text\" (it has: review, label)");
        assert_eq!(message("a.csv", b"text,stars\nfine,1\n"), "a.csv: no column \"label\" (it has: text, stars)");
        assert_eq!(
            message("a.csv", b"text,text,label\nfine,bad,1\n"),
            "a.csv: two or more columns are called \"text\"; rename all but one of them"
        );
        assert_eq!(read("a.csv", b"text,note,note,label\nfine,,,1\n"), table(&[("fine", "1")]));
        assert_eq!(message("a.csv", b""), "a.csv: the file is empty");
        assert_eq!(message("a.csv", b"\xef\xbb\xbf\n\n"), "a.csv: the file is empty");
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

    #[test]
    fn quotation_marks_within_a_field_are_text() {
        // import csv, io; list(csv.reader(io.StringIO('text,label\n5" of rain,pos\n"a "b" c",neg\n')))
        // [['text', 'label'], ['5" of rain', 'pos'], ['a b" c"', 'neg']]
        let rows = table(&[("5\" of rain", "pos"), ("a b\" c\"", "neg")]);
        assert_eq!(read("a.csv", b"text,label\n5\" of rain,pos\n\"a \"b\" c\",neg\n"), rows);
    }

    #[test]
    fn quotation_marks_can_be_text_everywhere() {
        let options = ReadOptions { quotes: false, ..ReadOptions::labelled("text", "label") };
        let rows = table(&[("\"Great", "pos"), ("\"so\" he said", "neg")]);
        assert_eq!(read_with("a.tsv", b"text\tlabel\n\"Great\tpos\n\"so\" he said\tneg\n", &options), rows);
    }

    #[test]
    fn an_unclosed_quotation_mark_is_named() {
        let unclosed = "a.csv: the quotation mark that opens in row 2 is never closed";
        for end in ["", "\n", "\n\n", "\r\n", ",neg", "\"\",neg\n"] {
            let content = format!("text,label\nfine,pos\n\"not fine,neg\nmore,pos{end}");
            assert!(message("a.csv", content.as_bytes()).starts_with(unclosed), "{end:?}");
        }
        assert!(message("a.csv", b"\"text,label\nfine,pos\n").contains("opens in the header is never closed"));
        // A quoted field that ends with the file is closed.
        let rows = table(&[("a", "pos"), ("b\n", "neg")]);
        assert_eq!(read("a.csv", b"label,text\npos,a\nneg,\"b\n\""), rows);
    }

    #[test]
    fn a_row_of_another_length_is_named() {
        assert_eq!(
            message("a.csv", b"text,label\nfine,1\nbad, very bad,0\n"),
            "a.csv: row 2 has 3 fields where the header has 2; quote every field that contains a comma or a line break"
        );
        assert!(message("a.tsv", b"id\ttext\tlabel\n1\tfine\n").contains("row 1 has 2 fields where the header has 3"));
        assert!(message("a.csv", b"text,label\nfine\n").contains("row 1 has 1 field where the header has 2"));
        // A field of a column that is not read may be missing.
        assert_eq!(read("a.csv", b"text,label,note\nfine,1\n"), table(&[("fine", "1")]));
    }

    #[test]
    fn every_kind_of_line_end_is_read() {
        let rows = table(&[("a", "1"), ("b", "2"), ("c", "1")]);
        for end in ["\n", "\r\n", "\r"] {
            let lines = ["text,label", "a,1", "b,2", "c,1"];
            assert_eq!(read("a.csv", lines.join(end).as_bytes()), rows, "{end:?}");
            assert_eq!(read("a.csv", format!("{}{end}", lines.join(end)).as_bytes()), rows, "{end:?} at the end");
            assert_eq!(
                read("a.csv", format!("{}{end}{end}", lines.join(&end.repeat(2))).as_bytes()),
                rows,
                "{end:?} twice"
            );
        }
        let json = "{\"text\": \"a\", \"label\": 1}\r{\"text\": \"b\", \"label\": 2}\r";
        assert_eq!(
            message("a.jsonl", json.as_bytes()),
            "a.jsonl: the lines end in a carriage return (CR) alone; save the file with the line ends LF or CRLF"
        );
    }

    #[test]
    fn error_messages_have_a_bounded_length() {
        let header = (0..200_000).map(|index| format!("column {index}")).collect::<Vec<_>>().join(",");
        let error = message("a.csv", format!("{header}\n").as_bytes());
        assert!(error.contains("column 9 and 199990 more") && error.len() < 500, "{} bytes", error.len());
        let key = "k".repeat(1 << 20);
        for content in
            [format!("{{\"{key}\": 1}}"), format!("\"{key}\""), format!("{key}\r{key}"), format!("{{\"text\": {key}}}")]
        {
            let error = message("a.jsonl", content.as_bytes());
            assert!(error.len() < 500, "{} bytes", error.len());
        }
        assert!(message("a.csv", key.as_bytes()).len() < 500);
    }

    #[test]
    fn json_that_is_not_one_object_per_line_is_explained() {
        let pretty = "{\n  \"text\": \"x\",\n  \"label\": 1\n}\n";
        assert!(message("a.jsonl", pretty.as_bytes()).starts_with("a.jsonl: line 1 holds only part of a JSON value"));
        assert!(
            message("a.jsonl", b" [{\"text\": \"x\", \"label\": 1}]")
                .starts_with("a.jsonl: the file is one JSON array")
        );
        assert_eq!(
            message("a.jsonl", b"{\"text\": \"x\" \"label\": 1}"),
            "a.jsonl: not readable as JSON Lines: line 1, column 14: expected `,` or `}`"
        );
        assert_eq!(message("a.jsonl", b"\n{\"label\": 1}"), "a.jsonl: line 2 has no key \"text\" (it has: label)");
        assert_eq!(
            message("a.jsonl", b"\n{\"text\": {\"a\": 1}, \"label\": 1}"),
            "a.jsonl: row 1: column \"text\" holds a JSON object, not text or a number; convert it to text"
        );
        assert!(message("a.jsonl", b"{\"text\": \"a\", \"label\": [1]}").contains("\"label\" holds a JSON array"));
    }

    #[test]
    fn without_labels_a_blank_text_is_a_text() {
        let texts = |name, content: &[u8]| read_with(name, content, &ReadOptions::texts("text")).expect("reads");
        let expected =
            Table { texts: ["good", "", " ", "bad"].map(String::from).to_vec(), labels: None, blank_rows: vec![2, 3] };
        assert_eq!(texts("a.csv", b"id,text\n1,good\n2,\n3, \n4,bad\n"), expected);
        let json = b"{\"text\": \"good\"}\n{\"text\": null}\n{\"text\": \" \"}\n{\"text\": \"bad\"}\n";
        assert_eq!(texts("a.jsonl", json), expected);
        let column = Series::new("text".into(), [Some("good"), None, Some(" "), Some("bad")]);
        assert_eq!(texts("a.parquet", &parquet(vec![column], None)), expected);
    }

    #[test]
    fn a_blank_line_is_a_blank_text_in_a_file_of_one_column() {
        for end in ["\n", "\r\n"] {
            for last in ["", end, &end.repeat(3)] {
                for first in ["", end] {
                    let content = ["text", first, "good", "", "", "\"two\n\nlines\"", "", "bad"].join(end);
                    let content = if first.is_empty() { content.replacen(end, "", 1) } else { content };
                    let options = ReadOptions::texts("text");
                    let read = read_with("a.csv", format!("{content}{last}").as_bytes(), &options).expect("reads");
                    let blank = if first.is_empty() { 0 } else { 2 };
                    let expected = [&["", ""][..blank], &["good", "", "", "two\n\nlines", "", "bad"]].concat();
                    assert_eq!(read.texts, expected, "{content:?} {last:?}");
                }
            }
        }
    }

    #[test]
    fn a_large_row_group_is_read_in_pieces() {
        let texts: Vec<String> = (0..50_000).map(|index| format!("text {index}")).collect();
        let labels: Vec<u32> = (0..50_000).collect();
        let columns = vec![Series::new("text".into(), &texts), Series::new("label".into(), labels)];
        let folder = tempfile::tempdir().expect("a folder");
        for row_group in [None, Some(17), Some(15_000)] {
            let path = folder.path().join("a.parquet");
            std::fs::write(&path, parquet(columns.clone(), row_group)).expect("writes");
            let pieces = read_pieces(&path, &ReadOptions::labelled("text", "label")).expect("opens");
            let pieces: Vec<Table> = pieces.collect::<Result<_, _>>().expect("reads");
            assert!((3..10).contains(&pieces.len()), "{} pieces", pieces.len());
            assert!(pieces.iter().all(|piece| piece.texts.len() <= 20_000));
            assert_eq!(pieces.iter().flat_map(|piece| piece.texts.clone()).collect::<Vec<_>>(), texts);
            let labels = pieces.into_iter().flat_map(|piece| piece.labels.expect("labels"));
            assert!(labels.eq((0..50_000).map(|index| index.to_string())));
        }
        // Long texts are read in smaller pieces.
        let texts: Vec<String> = (0..40).map(|index| format!("{index} ").repeat(1 << 19)).collect();
        let path = folder.path().join("long.parquet");
        std::fs::write(&path, parquet(vec![Series::new("text".into(), &texts)], None)).expect("writes");
        let pieces = read_pieces(&path, &ReadOptions::texts("text")).expect("opens");
        let sizes: Vec<usize> = pieces.map(|piece| piece.expect("reads").texts.len()).collect();
        assert!(sizes.iter().sum::<usize>() == 40 && sizes.len() > 1, "{sizes:?}");
    }

    #[test]
    fn numbers_of_every_type_are_labels() {
        let decimals = Series::new("label".into(), [1i64, 2]).cast(&DataType::Decimal(10, 1)).expect("decimals");
        let text = || Series::new("text".into(), ["a", "b"]);
        assert_eq!(read("a.parquet", &parquet(vec![text(), decimals], None)), table(&[("a", "1.0"), ("b", "2.0")]));
        let flags = Series::new("label".into(), [true, false]);
        assert_eq!(read("a.parquet", &parquet(vec![text(), flags], None)), table(&[("a", "true"), ("b", "false")]));
        let floats = Series::new("label".into(), [1.0, f64::NAN]);
        assert!(
            message("a.parquet", &parquet(vec![text(), floats], None)).starts_with("a.parquet: row 2 has no label")
        );
        let lists = Series::new("label".into(), [Series::new("".into(), [1i64]), Series::new("".into(), [2i64])]);
        let error = message("a.parquet", &parquet(vec![text(), lists], None));
        assert!(error.contains("column \"label\" holds values of the type list[i64], not text or a number"), "{error}");
    }
}

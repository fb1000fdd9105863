//! The errors of this crate. Each message names the file, and the row where there is one, and says
//! how to fix the problem.

use std::path::PathBuf;

use crate::brief::{listed, shortened, shortened_to};

/// How many characters of another library's message are shown.
const MESSAGE: usize = 200;

/// Which of the two columns an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// The column of the texts.
    Text,
    /// The column of the labels.
    Label,
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum DataError {
    #[error("no data set is called {:?} (known: {known})", shortened(name))]
    UnknownDataset { name: String, known: String },
    #[error("{name}: this data set has no texts without labels")]
    NoUnlabelled { name: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}; texts that do not fit in memory are written there: free some space, or set TMPDIR to another folder", folder.display())]
    Spill { folder: PathBuf, source: std::io::Error },
    #[error("{}: this is {kind}, not a regular file; {}", path.display(), if *kind == "a folder" { "name a file in it" } else { "copy its contents to a file first" })]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error("{}: unknown file type; name it .csv, .tsv, .parquet or .jsonl", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("{}: the file is empty", path.display())]
    Empty { path: PathBuf },
    #[error("{}: the file holds no rows", path.display())]
    NoRows { path: PathBuf },
    #[error("{}: line {line} is not valid UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("{}: the file is larger than 1 GiB, too large for one text; write its parts as the rows of a table, such as JSON Lines", path.display())]
    LargeText { path: PathBuf },
    #[error("{name}: the text is too short to be split for {purpose}")]
    ShortText { name: String, purpose: &'static str },
    #[error("{}: not readable as {format}: {}", path.display(), shortened_to(message, MESSAGE))]
    Malformed { path: PathBuf, format: &'static str, message: String },
    #[error("{}: line {line} holds only part of a JSON value; write each object on a line of its own (this file may be pretty-printed JSON)", path.display())]
    PartialJson { path: PathBuf, line: usize },
    #[error("{}: the file is one JSON array; write each object on a line of its own, with no brackets or commas around them", path.display())]
    JsonArray { path: PathBuf },
    #[error("{}: the lines end in a carriage return (CR) alone; save the file with the line ends LF or CRLF", path.display())]
    CarriageReturns { path: PathBuf },
    #[error("{}: the quotation mark that opens in {} is never closed; close it, or double it if it is part of the text", path.display(), place(*row))]
    UnclosedQuote { path: PathBuf, row: usize },
    #[error("{}: {} is longer than 256 MiB; check whether a quotation mark or line end is missing in it", path.display(), place(*row))]
    LongRow { path: PathBuf, row: usize },
    #[error("{}: row {row} has {} where the header has {header}; quote every field that contains a {separator} or a line break", path.display(), fields(*found))]
    Ragged { path: PathBuf, row: usize, found: usize, header: usize, separator: &'static str },
    #[error("{}: line {line} has {} where {expected} are expected; separate columns by tabs, and sentences by blank lines", path.display(), columns(*found))]
    Columns { path: PathBuf, line: usize, found: usize, expected: usize },
    #[error("{}: no column {:?} (it has: {})", path.display(), shortened(column), listed(columns))]
    NoColumn { path: PathBuf, column: String, columns: Vec<String>, role: ColumnRole },
    #[error("{}: two or more columns are called {:?}; rename all but one of them", path.display(), shortened(column))]
    AmbiguousColumn { path: PathBuf, column: String },
    #[error("{}: line {line} has no key {:?} (it has: {})", path.display(), shortened(column), listed(keys))]
    NoKey { path: PathBuf, line: usize, column: String, keys: Vec<String>, role: ColumnRole },
    #[error("{}: {}column {:?} holds {kind}, not text or a number; convert it to text", path.display(), row.map(|row| format!("row {row}: ")).unwrap_or_default(), shortened(column))]
    NotText { path: PathBuf, row: Option<usize>, column: String, kind: String },
    #[error("{}: row {row} has no text in column {:?}; fill it in or remove the row", path.display(), shortened(column))]
    NoText { path: PathBuf, row: usize, column: String },
    #[error("{}: row {row} has no label in column {:?}; fill it in or remove the row", path.display(), shortened(column))]
    NoLabel { path: PathBuf, row: usize, column: String },
    #[error("{}: row {row} has the unknown label {:?} (known: {})", path.display(), shortened(label), listed(known))]
    UnknownLabel { path: PathBuf, row: usize, label: String, known: Vec<String> },
    #[error("{}: line {line} has the unknown tag {:?} (known: {})", path.display(), shortened(tag), listed(known))]
    UnknownTag { path: PathBuf, line: usize, tag: String, known: Vec<String> },
    #[error("{}: only one label, {:?}; a model needs two or more", path.display(), shortened(label))]
    OneLabel { path: PathBuf, label: String },
    #[error("{}: column {:?} has {labels} different values in {rows} rows, so it does not look like a column of labels", path.display(), shortened(column))]
    TooManyLabels { path: PathBuf, column: String, labels: usize, rows: usize },
    #[error("{:?} does not have the form FILE_LABEL=MODEL_LABEL", shortened(entry))]
    LabelMap { entry: String },
    #[error("{}: no row has the label {:?}, which the label map maps to {:?} (the file has: {})", path.display(), shortened(from), shortened(to), listed(labels))]
    UnusedLabelMap { path: PathBuf, from: String, to: String, labels: Vec<String> },
    #[error("{name}: {count} labelled {} not enough to set some aside for {purpose}; add rows", if *count == 1 { "text is" } else { "texts are" })]
    TooFew { name: String, count: usize, purpose: &'static str },
    #[error("{name}: {} not enough to set some aside for {purpose}; add sentences", if *count == 1 { "1 sentence is".into() } else { format!("{count} sentences are") })]
    TooFewSentences { name: String, count: usize, purpose: &'static str },
    #[error(
        "{}: not the address of a file on the Hub; write hf://datasets/OWNER/NAME/FILE, or NAME@REVISION for a revision", path.display()
    )]
    HubAddress { path: PathBuf },
    #[error("{file}: the Hub refused access ({status}); set HF_TOKEN to a token that may read it")]
    HubDenied { file: String, status: u16 },
    #[error("{file}: not on the Hub at {endpoint} (404); check HF_ENDPOINT")]
    HubNotFound { file: String, endpoint: String },
    #[error("{file}: the Hub answered {status} (too busy); try again in a few minutes")]
    HubBusy { file: String, status: u16 },
    #[error(
        "{file}: not cached, and the download failed: {message}; connect to the network, or set HF_HOME to a cache that holds the file"
    )]
    HubUnreachable { file: String, message: String },
    #[error("{file}: not cached, and HF_HUB_OFFLINE is set; unset it, or set HF_HOME to a cache that holds the file")]
    HubOffline { file: String },
    #[error("{file}: the download was interrupted: {}; run the command again", shortened_to(message, MESSAGE))]
    HubBroken { file: String, message: String },
    #[error("{file}: downloaded {got} bytes, expected {expected}; the file was removed, run the command again")]
    HubWrongSize { file: String, expected: u64, got: u64 },
    #[error(
        "{file}: the downloaded file has the SHA-256 {got}, expected {expected}; the file was removed, run the command again"
    )]
    HubWrongDigest { file: String, expected: String, got: String },
    #[error("{}: this cached file is damaged (its SHA-256 is {got}); delete it and run the command again", path.display())]
    HubDamaged { path: PathBuf, got: String },
}

/// Row 0 is the header.
fn place(row: usize) -> String {
    if row == 0 { "the header".into() } else { format!("row {row}") }
}

fn columns(count: usize) -> String {
    if count == 1 { "1 column".into() } else { format!("{count} columns") }
}

fn fields(count: usize) -> String {
    if count == 1 { "1 field".into() } else { format!("{count} fields") }
}

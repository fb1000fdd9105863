//! What can go wrong with data; every message names the place and the mend.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DataError {
    #[error("no data set is called {name:?} (known: {known}); a file of your own goes with --data")]
    UnknownDataset { name: String, known: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}; texts that do not fit in memory go there: make room, or set TMPDIR to another folder", folder.display())]
    Spill { folder: PathBuf, source: std::io::Error },
    #[error("{}: not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{}: unknown file type; name it .csv, .tsv, .parquet or .jsonl", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("{}: the file is empty", path.display())]
    Empty { path: PathBuf },
    #[error("{}: the file holds no rows", path.display())]
    NoRows { path: PathBuf },
    #[error("{}: line {line} is not valid UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("{}: not readable as {format}: {message}", path.display())]
    Malformed { path: PathBuf, format: &'static str, message: String },
    #[error("{}: no column {column:?} (it has: {columns}); name it with {flag}", path.display())]
    NoColumn { path: PathBuf, column: String, columns: String, flag: &'static str },
    #[error("{}: row {row} has no text in column {column:?}; fill it in or remove the row", path.display())]
    NoText { path: PathBuf, row: usize, column: String },
    #[error("{}: row {row} has no label in column {column:?}; fill it in or remove the row", path.display())]
    NoLabel { path: PathBuf, row: usize, column: String },
    #[error("{}: row {row} has the unknown label {label:?} (known: {known}); map it with --label-map {label}=LABEL", path.display())]
    UnknownLabel { path: PathBuf, row: usize, label: String, known: String },
    #[error("{}: only one label, {label:?}; a classifier needs two or more", path.display())]
    OneLabel { path: PathBuf, label: String },
    #[error("--label-map {entry:?} is not of the form FILE_LABEL=MODEL_LABEL")]
    LabelMap { entry: String },
    #[error("{0}: too few examples to cut a split from")]
    TooFew(String),
    #[error("{file}: the Hub refused access ({status}); set HF_TOKEN to a token that may read it")]
    HubDenied { file: String, status: u16 },
    #[error("{file}: not on the Hub at {endpoint} (404); check HF_ENDPOINT")]
    HubNotFound { file: String, endpoint: String },
    #[error("{file}: the Hub answers {status} (too busy); try again in a few minutes")]
    HubBusy { file: String, status: u16 },
    #[error(
        "{file}: neither in the cache nor to be fetched: {message}; connect to the network, or set HF_HOME to a filled cache"
    )]
    HubUnreachable { file: String, message: String },
    #[error("{file}: the download broke off: {message}; run the command again")]
    HubBroken { file: String, message: String },
    #[error(
        "{file}: {got} bytes came where the Hub announced {announced}; the file was removed, run the command again"
    )]
    HubWrongSize { file: String, announced: u64, got: u64 },
}

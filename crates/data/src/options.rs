//! Which file formats there are, and what to read from a file.

use std::path::Path;

/// A file format. The file's extension decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Comma-separated values with a header, `.csv`.
    Csv,
    /// Tab-separated values with a header, `.tsv`.
    Tsv,
    /// Apache Parquet, `.parquet`.
    Parquet,
    /// One JSON object per line, `.jsonl` or `.ndjson`.
    JsonLines,
}

impl Format {
    /// The format for a path's extension.
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// Whether quotation marks may enclose a field, so that [`ReadOptions::quotes`] matters.
    pub fn has_quotes(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
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

/// What to read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The column of the texts.
    pub text_column: String,
    /// The column of the labels, if labels are read.
    pub label_column: Option<String>,
    /// Whether quotation marks enclose fields in CSV and TSV files. If not, they are part of the
    /// text, and a field can contain neither a separator nor a line break.
    pub quotes: bool,
}

impl ReadOptions {
    /// The texts of a column, without labels.
    pub fn texts(column: &str) -> Self {
        Self { text_column: column.into(), label_column: None, quotes: true }
    }

    /// The texts of one column with the labels of another.
    pub fn labelled(text_column: &str, label_column: &str) -> Self {
        Self { label_column: Some(label_column.into()), ..Self::texts(text_column) }
    }
}

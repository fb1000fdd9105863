//! What the user can type to avoid an error of `convlens-data`.

use convlens_data::{ColumnRole, DataError};

use super::Hint;

impl Hint for DataError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownDataset { .. } => Some("give a file of your own with --data".into()),
            Self::NoColumn { role, .. } | Self::NoKey { role, .. } => {
                let flag = if *role == ColumnRole::Text { "--text-column" } else { "--label-column" };
                Some(format!("name it with {flag}"))
            }
            Self::UnclosedQuote { .. } => {
                Some("or add --no-quotes if all quotation marks are part of the texts".into())
            }
            Self::UnknownLabel { label, .. } if is_short(label) => {
                Some(format!("map it with --label-map {}=LABEL", label.escape_debug()))
            }
            Self::UnknownLabel { .. } => Some("map it with --label-map".into()),
            Self::OneLabel { .. } | Self::TooManyLabels { .. } => {
                Some("name another column with --label-column".into())
            }
            Self::UnusedLabelMap { from, to, .. } if [from, to].iter().all(|label| is_short(label)) => {
                Some(format!("correct --label-map {}={}, or leave it out", from.escape_debug(), to.escape_debug()))
            }
            Self::UnusedLabelMap { .. } => Some("correct this --label-map, or leave it out".into()),
            Self::LabelMap { .. } => Some("write --label-map FILE_LABEL=MODEL_LABEL".into()),
            Self::TooFew { purpose: "testing", .. } => Some("or give a test file with --test-data".into()),
            _ => None,
        }
    }
}

/// A label with more characters than this is not repeated.
const LONGEST_LABEL: usize = 40;

fn is_short(label: &str) -> bool {
    label.chars().count() <= LONGEST_LABEL
}

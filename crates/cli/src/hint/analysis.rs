//! What the user can type to avoid an error of `convlens-analysis`.

use convlens_analysis::AnalysisError;

use super::Hint;

impl Hint for AnalysisError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Run(error) => return error.hint(),
            Self::Treebank { .. } => "name the folder of the treebank with --sst",
            Self::Residual { .. } => "raise the tolerance with --tolerance",
            Self::NotBinary { .. } => "leave out --sst",
            Self::OtherLabels { .. } => "name a run with the same labels with --against",
            _ => return None,
        };
        Some(hint.into())
    }
}

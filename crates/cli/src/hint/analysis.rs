//! What the user can type to avoid an error of `convlens-analysis`.

use convlens_analysis::AnalysisError;

use super::Hint;

impl Hint for AnalysisError {
    fn hint(&self) -> Option<String> {
        None
    }
}

//! What the user can type to avoid an error of `convlens-run`.

use convlens_run::RunError;

use super::Hint;

impl Hint for RunError {
    fn hint(&self) -> Option<String> {
        None
    }
}

//! What the user can type to avoid an error of `convlens-train`.

use convlens_train::TrainError;

use super::Hint;

impl Hint for TrainError {
    fn hint(&self) -> Option<String> {
        None
    }
}

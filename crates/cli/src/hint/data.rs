//! What the user can type to avoid an error of `convlens-data`.

use convlens_data::DataError;

use super::Hint;

impl Hint for DataError {
    fn hint(&self) -> Option<String> {
        None
    }
}

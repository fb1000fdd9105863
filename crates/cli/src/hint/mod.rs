//! Hints that follow an error message.
//!
//! The library crates know nothing of this program's flags, so their errors only say what went
//! wrong. The binary adds which flag or command helps, in one file per crate.

mod analysis;
mod data;
mod run;
mod train;

use std::fmt::Display;

use crate::failure::Failure;

/// An error of a library crate for which this program may know a remedy.
pub trait Hint: Display {
    /// The flag or command that helps, as the end of a sentence, such as
    /// `name it with --text-column`.
    fn hint(&self) -> Option<String>;
}

impl<E: Hint> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Input(error.hint().map_or_else(|| error.to_string(), |hint| format!("{error}; {hint}")))
    }
}

//! Agreement with what people say: labelled phrases, and pairs of sentences that mean the opposite.

pub(crate) mod judged;
mod pairs;
mod treebank;

pub use judged::{Agreement, Judged};
pub use pairs::{FailedPair, MinimalPairs, PassRate};
pub use treebank::{JudgedPhrase, read_treebank};

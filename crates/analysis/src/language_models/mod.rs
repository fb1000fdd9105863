//! Analyses of language models.

mod token_evidence;

pub use token_evidence::token_evidence;

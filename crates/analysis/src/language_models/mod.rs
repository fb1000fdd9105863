//! Analyses of language models.

#[cfg(feature = "report")]
mod analysis;
mod contexts;
mod probe;
mod token_evidence;

#[cfg(feature = "report")]
pub use analysis::{LanguageModelAnalysis, LanguageModelOptions, WrittenText, WrittenToken};
pub use contexts::{UnitContext, UnitContexts, unit_contexts};
pub use probe::{LabelledStates, Probe, ProbePoint, probe, text_states, token_states, with_random_weights};
pub use token_evidence::token_evidence;

/// A token in which white space is visible.
pub fn visible_token(token: &str) -> String {
    token.replace(['\n', 'Ċ'], "⏎").replace([' ', 'Ġ'], "␣")
}

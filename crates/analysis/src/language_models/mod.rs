//! Analyses of language models.

mod probe;
mod token_evidence;

pub use probe::{LabelledStates, Probe, ProbePoint, probe, text_states, token_states, with_random_weights};
pub use token_evidence::token_evidence;

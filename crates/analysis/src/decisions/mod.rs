//! Why a text gets its label, and whether the explanation is true.

pub(crate) mod attributions;
mod certificate;
#[cfg(feature = "report")]
pub(crate) mod explained;
pub(crate) mod faithfulness;
mod gradient;
mod parts;
pub(crate) mod phrases;
mod tag_evidence;

pub use attributions::{Method, Side, attributions};
pub use certificate::{Certificate, Exactness, Residual};
#[cfg(feature = "report")]
pub use explained::{Explained, explain};
pub use faithfulness::{Faithfulness, MethodResult};
pub use parts::{FilterShare, Parts, filters_behind, phrase_parts};
pub use phrases::{explained_output, strongest_phrases};
pub use tag_evidence::{TagEvidence, tag_evidence, tag_evidence_of};

//! Why words have their tags: the analyses of a model that tags.

#[cfg(feature = "report")]
mod analysis;
mod certificate;
mod confusions;
mod excitations;
mod places;
mod sentences;
mod spelling;
mod strongest;
mod tag_evidence;

#[cfg(feature = "report")]
pub use analysis::{TagAnalysis, TagOptions};
pub use certificate::{FieldCheck, TagCertificate};
pub use confusions::{Confusion, ConfusionExample, confusions};
pub use excitations::tag_excitations;
pub use places::{PlaceShare, TagPlaces, tag_places};
pub use sentences::{ExplainedSentence, TaggedSentences};
pub use spelling::{Fragment, MarkedWord, SpellingFilter, TagValue, spelling_filters};
pub use strongest::{PlacedWord, TagWords, tag_words};
pub use tag_evidence::{LONGEST_FIELD, can_be_explained, tag_evidence, tag_evidence_of};

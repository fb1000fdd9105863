//! What the model makes of words on their own.

pub(crate) mod contributions;
pub(crate) mod learnt;
pub(crate) mod lexicon_words;
mod nearest;
pub(crate) mod strongest;
pub(crate) mod vector_features;
pub(crate) mod vocabulary;

pub use contributions::contributions;
pub use learnt::learnt;
pub use lexicon_words::{LexiconWords, lexicon_words};
pub use nearest::nearest_words;
pub use strongest::{PlaceWords, strongest_words};
pub use vector_features::{VectorFeature, vector_features};
pub use vocabulary::{Vocabulary, WordScore};

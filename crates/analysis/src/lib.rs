#![doc = include_str!("../README.md")]

#[cfg(feature = "report")]
mod analysis;
mod attributions;
mod certificate;
mod contributions;
mod error;
mod excitations;
#[cfg(feature = "report")]
mod explained;
mod export;
mod faithfulness;
mod gradient;
mod judged;
mod learnt;
mod lexicon_words;
mod measured_field;
#[cfg(feature = "report")]
mod output;
mod pairs;
mod parts;
mod pca;
mod phrases;
#[cfg(feature = "report")]
mod pictures;
#[cfg(feature = "report")]
mod plot;
mod receptive_fields;
#[cfg(feature = "report")]
mod report;
mod terminal;
mod texts;
mod treebank;
mod vector_features;
mod vocabulary;
mod weights;
mod words;

#[cfg(feature = "report")]
pub use analysis::{Analysis, Options};
pub use attributions::{Method, Side, attributions};
pub use certificate::{Certificate, Exactness, Residual};
pub use contributions::contributions;
pub use error::AnalysisError;
pub use excitations::{Excitation, Excitations, excitations};
#[cfg(feature = "report")]
pub use explained::{Explained, explain};
pub use export::{FoldedFormat, folded};
pub use faithfulness::{Faithfulness, MethodResult};
pub use judged::{Agreement, Judged};
pub use learnt::learnt;
pub use lexicon_words::{LexiconWords, lexicon_words};
pub use measured_field::MeasuredField;
#[cfg(feature = "report")]
pub use output::{NamedFile, analysis_file, check_writable, write_analyses};
pub use pairs::{FailedPair, MinimalPairs, PassRate};
pub use parts::{FilterShare, Parts, filters_behind, phrase_parts};
pub use pca::{FilterPoint, Pca, Plane};
pub use phrases::{explained_output, strongest_phrases};
#[cfg(feature = "report")]
pub use plot::{Chart, Picture, Scale, draw_charts};
pub use receptive_fields::{Filter, FilterPosition, FilterVectors, receptive_fields};
#[cfg(feature = "report")]
pub use report::{Compared, check_labels, comparison, report};
pub use terminal::paint;
pub use texts::{Corpus, OnStage, TextSource, Texts};
pub use treebank::{JudgedPhrase, read_treebank};
pub use vector_features::{VectorFeature, vector_features};
pub use vocabulary::{Vocabulary, WordScore};
pub use weights::{Histogram, histograms};
pub use words::{PlaceWords, strongest_words};

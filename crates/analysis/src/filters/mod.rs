//! What the filters and the other weights have learnt.

pub(crate) mod excitations;
mod measured_field;
mod pca;
pub(crate) mod receptive_fields;
pub(crate) mod weights;

pub use excitations::{Excitation, Excitations, excitations};
pub use measured_field::MeasuredField;
pub use pca::{FilterPoint, Pca, Plane};
pub use receptive_fields::{Filter, FilterPosition, FilterVectors, receptive_fields};
pub use weights::{Histogram, histograms};

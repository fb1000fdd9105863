//! The table of known data sets; a new one is a file beside this and a row here.

use crate::{DataError, Dataset, OnDownload, imdb, sample};

/// A data set that has a name.
pub struct Known {
    /// What `--dataset` takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// How much there is of it.
    pub size: &'static str,
    /// Under what terms it may be used.
    pub licence: &'static str,
    is_cached: fn() -> bool,
    load: fn(&OnDownload) -> Result<Dataset, DataError>,
}

/// Every known data set.
pub const KNOWN: [Known; 2] = [
    Known {
        name: "imdb",
        summary: "movie reviews, negative or positive (Maas et al. 2011; stanfordnlp/imdb on the Hub)",
        size: "25,000 + 25,000 texts, 42 MB to fetch",
        licence: "for research",
        is_cached: imdb::is_cached,
        load: imdb::load,
    },
    Known {
        name: "sample",
        summary: "made-up short reviews of films, negative or positive, that come with the program",
        size: "3,000 + 1,000 texts",
        licence: "MIT OR Apache-2.0",
        is_cached: || true,
        load: |_| Ok(sample::generate(sample::SAMPLE_SEED)),
    },
];

/// The known data set of that name.
///
/// # Errors
///
/// [`DataError::UnknownDataset`] where there is none.
pub fn known(name: &str) -> Result<&'static Known, DataError> {
    KNOWN
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| DataError::UnknownDataset { name: name.into(), known: KNOWN.map(|known| known.name).join(", ") })
}

impl Known {
    /// Whether it can be loaded with no network.
    pub fn is_cached(&self) -> bool {
        (self.is_cached)()
    }

    /// Loads it, from the Hub where it must.
    ///
    /// # Errors
    ///
    /// The `Hub…` variants of [`DataError`], or what [`read_table`](crate::read_table) finds in
    /// what came.
    pub fn load(&self, on_download: &OnDownload) -> Result<Dataset, DataError> {
        (self.load)(on_download)
    }
}

/// IMDB where the Hub or its cache has it; else the sample, and why.
pub fn auto(on_download: &OnDownload) -> (Dataset, Option<DataError>) {
    match imdb::load(on_download) {
        Ok(dataset) => (dataset, None),
        Err(error) => (sample::generate(sample::SAMPLE_SEED), Some(error)),
    }
}

//! The table of known data sets. A new data set is a file next to this one and an entry here.

use crate::{DataError, Dataset, OnDownload, TextList, imdb, sample};

type LoadTexts = fn(&OnDownload) -> Result<TextList, DataError>;

/// A data set that can be loaded by name.
pub struct Known {
    /// The name by which it is loaded.
    pub name: &'static str,
    /// A one-line description.
    pub summary: &'static str,
    /// How many texts it has, and how many bytes are downloaded.
    pub size: &'static str,
    /// The terms of use.
    pub licence: &'static str,
    is_cached: fn() -> bool,
    load: fn(&OnDownload) -> Result<Dataset, DataError>,
    load_unlabelled: Option<LoadTexts>,
}

/// Every known data set.
pub const KNOWN: [Known; 2] = [
    Known {
        name: "imdb",
        summary: "movie reviews, negative or positive (Maas et al. 2011; stanfordnlp/imdb on the Hub)",
        size: "25,000 + 25,000 texts, 42 MB to download; 50,000 texts without labels, 21 MB",
        licence: "for research",
        is_cached: imdb::is_cached,
        load: imdb::load,
        load_unlabelled: Some(imdb::load_unlabelled),
    },
    Known {
        name: "sample",
        summary: "short, made-up film reviews, negative or positive, included in the program",
        size: "3,000 + 1,000 texts",
        licence: "MIT OR Apache-2.0",
        is_cached: || true,
        load: |_| Ok(sample::generate(sample::SAMPLE_SEED)),
        load_unlabelled: None,
    },
];

/// Finds a known data set by name.
///
/// # Errors
///
/// [`DataError::UnknownDataset`] if there is none of that name.
pub fn known(name: &str) -> Result<&'static Known, DataError> {
    KNOWN
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| DataError::UnknownDataset { name: name.into(), known: KNOWN.map(|known| known.name).join(", ") })
}

impl Known {
    /// Whether it can be loaded without a network connection.
    pub fn is_cached(&self) -> bool {
        (self.is_cached)()
    }

    /// Loads the data set, and downloads it first if it is not cached.
    ///
    /// # Errors
    ///
    /// The `Hub…` variants of [`DataError`], and those of [`read_table`](crate::read_table) if a
    /// downloaded file cannot be read.
    pub fn load(&self, on_download: &OnDownload) -> Result<Dataset, DataError> {
        (self.load)(on_download)
    }

    /// Loads the texts without labels that belong to the data set, and downloads them first if they are not cached.
    ///
    /// # Errors
    ///
    /// [`DataError::NoUnlabelled`] if it has none, and those of [`load`](Self::load).
    pub fn load_unlabelled(&self, on_download: &OnDownload) -> Result<TextList, DataError> {
        match self.load_unlabelled {
            Some(load) => load(on_download),
            None => Err(DataError::NoUnlabelled { name: self.name.into() }),
        }
    }
}

/// Loads IMDB. If it can neither be read from the cache nor downloaded, returns the bundled sample and
/// the error.
pub fn auto(on_download: &OnDownload) -> (Dataset, Option<DataError>) {
    match imdb::load(on_download) {
        Ok(dataset) => (dataset, None),
        Err(error) => (sample::generate(sample::SAMPLE_SEED), Some(error)),
    }
}

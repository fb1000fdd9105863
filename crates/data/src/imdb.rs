//! IMDB (Maas et al. 2011, *Learning Word Vectors for Sentiment Analysis*): 25,000 labelled movie
//! reviews for training and 25,000 for testing, from `stanfordnlp/imdb` on the Hub.

use crate::dataset::collect;
use crate::hub::HubDataset;
use crate::table::{Pieces, collect_texts};
use crate::{DataError, Dataset, Examples, Format, OnDownload, ReadOptions, TextList};

const REPOSITORY: HubDataset<'static> = HubDataset { owner: "stanfordnlp", name: "imdb" };
const TRAIN: &str = "plain_text/train-00000-of-00001.parquet";
const TEST: &str = "plain_text/test-00000-of-00001.parquet";
const UNLABELLED: &str = "plain_text/unsupervised-00000-of-00001.parquet";
/// What 0 and 1 stand for in the column `label`.
const LABELS: [&str; 2] = ["neg", "pos"];

pub(crate) fn is_cached() -> bool {
    [TRAIN, TEST].iter().all(|file| REPOSITORY.cached(file, None).is_some())
}

pub(crate) fn load(on_download: &OnDownload) -> Result<Dataset, DataError> {
    let train = REPOSITORY.fetch(TRAIN, None, on_download)?;
    // Both files are of one revision, even if a new one appears in between.
    let test = REPOSITORY.fetch(TEST, train.revision.as_deref(), on_download)?;
    Ok(Dataset {
        name: "imdb".into(),
        revision: train.revision,
        labels: LABELS.map(String::from).to_vec(),
        train: read_split(&train.path)?,
        test: read_split(&test.path)?,
    })
}

/// The 50,000 reviews without labels.
pub(crate) fn load_unlabelled(on_download: &OnDownload) -> Result<TextList, DataError> {
    let file = REPOSITORY.fetch(UNLABELLED, None, on_download)?;
    collect_texts(Pieces::open(Format::Parquet, &file.path, ReadOptions::texts("text"))?)
}

fn read_split(path: &std::path::Path) -> Result<Examples, DataError> {
    let pieces = Pieces::open(Format::Parquet, path, ReadOptions::labelled("text", "label"))?;
    collect(pieces, |label, row| match label {
        "0" => Ok(0),
        "1" => Ok(1),
        label => {
            let known = ["0", "1"].map(String::from).to_vec();
            Err(DataError::UnknownLabel { path: path.into(), row, label: label.into(), known })
        }
    })
}

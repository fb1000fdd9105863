//! IMDB: 25,000 labelled movie reviews to train on and 25,000 to test on (Maas et al. 2011,
//! *Learning Word Vectors for Sentiment Analysis*), as `stanfordnlp/imdb` on the Hub.

use crate::dataset::collect;
use crate::hub::HubDataset;
use crate::table::{Format, Pieces};
use crate::{DataError, Dataset, Examples, OnDownload};

const REPOSITORY: HubDataset = HubDataset { owner: "stanfordnlp", name: "imdb" };
const TRAIN: &str = "plain_text/train-00000-of-00001.parquet";
const TEST: &str = "plain_text/test-00000-of-00001.parquet";
/// What the column `label` says as 0 and 1.
const LABELS: [&str; 2] = ["neg", "pos"];

pub(crate) fn is_cached() -> bool {
    [TRAIN, TEST].iter().all(|file| REPOSITORY.cached(file).is_some())
}

pub(crate) fn load(on_download: &OnDownload) -> Result<Dataset, DataError> {
    Ok(Dataset {
        name: "imdb".into(),
        labels: LABELS.map(String::from).to_vec(),
        train: load_split(TRAIN, on_download)?,
        test: load_split(TEST, on_download)?,
    })
}

fn load_split(file: &str, on_download: &OnDownload) -> Result<Examples, DataError> {
    let path = REPOSITORY.fetch(file, on_download)?;
    let pieces = Pieces::open(Format::Parquet, &path, "text", Some("label"))?;
    collect(pieces, |label, row| match label {
        "0" => Ok(0),
        "1" => Ok(1),
        label => {
            let label = label.to_owned();
            Err(DataError::UnknownLabel { path: path.clone(), row, label, known: "0, 1".into() })
        }
    })
}

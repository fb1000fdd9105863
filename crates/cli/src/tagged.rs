//! The sources of tagged sentences: files, or the bundled sample.

use convlens_data::{SAMPLE_SEED, TaggedDataset, TaggedFiles, TaggedSentences, generate_tagged_sample};
use convlens_run::{FileConfig, RunConfig, TrainingConfig};

use crate::args::FileArgs;
use crate::failure::Failure;
use crate::source::{check_files, check_same_labels, warn_of_the_sample};

/// The name of the bundled sample.
const SAMPLE: &str = "sample";

/// The files that a run is trained on, as the data crate reads them.
fn tagged_files(config: &FileConfig) -> TaggedFiles {
    let FileConfig { path, validation, test, .. } = config.clone();
    TaggedFiles { train: path, validation, test, column: column(config) }
}

/// The column of the tags, if it is not the default one.
pub fn column(config: &FileConfig) -> Option<String> {
    Some(config.label_column.clone()).filter(|column| !column.is_empty())
}

/// A data set from files, or by name.
pub fn tagged_dataset(
    name: Option<&str>,
    file: Option<&FileConfig>,
    training: &TrainingConfig,
) -> Result<TaggedDataset, Failure> {
    if let Some(config) = file {
        return Ok(tagged_files(config).dataset(training.validation_fraction, training.seed)?);
    }
    match name.unwrap_or("auto") {
        "auto" => {
            warn_of_the_sample(
                "No tagged sentences are named",
                "name a CoNLL-U file, or one with a word and its tag per line, with --data",
            );
            Ok(generate_tagged_sample(SAMPLE_SEED))
        }
        SAMPLE => Ok(generate_tagged_sample(SAMPLE_SEED)),
        name => Err(Failure::Input(format!(
            "no tagged data set is called {name:?} (known: {SAMPLE}); give a file of your own with --data"
        ))),
    }
}

/// The data set that a run was trained on.
///
/// # Errors
///
/// If it cannot be read or has changed since; `consequence` says what follows from it.
pub fn tagged_dataset_again(config: &RunConfig, consequence: &str) -> Result<TaggedDataset, Failure> {
    let own = &config.dataset;
    check_files(own, consequence)?;
    let found = tagged_dataset(Some(&own.name), own.file.as_ref(), &config.training)?;
    if found.fingerprint() != own.fingerprint {
        return Err(Failure::Input(format!("{}: has changed since the run began, {consequence}", own.name)));
    }
    check_same_labels(config, &found.labels, &found.name)?;
    Ok(found)
}

/// Tagged sentences for a run, and their name: those of a file, or else of a split of the data set that the run was
/// trained on.
pub fn sentences_for(
    config: &RunConfig,
    name: Option<&str>,
    file: &FileArgs,
    split: &str,
) -> Result<(String, TaggedSentences), Failure> {
    if let Some(file) = file.tagged(None, None)? {
        let column = column(&file).or_else(|| config.dataset.file.as_ref().and_then(column));
        let sentences = TaggedFiles::sentences(&file.path, column.as_deref(), &config.labels)?;
        return Ok((file.path.display().to_string(), sentences));
    }
    let dataset = match name {
        Some(name) => {
            let found = tagged_dataset(Some(name), None, &config.training)?;
            check_same_labels(config, &found.labels, &found.name)?;
            found
        }
        None => tagged_dataset_again(
            config,
            "so the run's test split is lost; restore it, or name tagged sentences with --data",
        )?,
    };
    let name = format!("{} ({split})", dataset.name);
    Ok((name, if split == "train" { dataset.train } else { dataset.test }))
}

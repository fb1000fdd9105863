//! The sources of plain texts, for language models.

use convlens_data::{Examples, Format, TextDataset, TextFiles};
use convlens_run::{FileConfig, RunConfig, TrainingConfig};

use crate::args::FileArgs;
use crate::failure::Failure;
use crate::source::{check_files, check_same_labels, dataset, labelled_file};

/// A data set from a file, or by name; without its labels, unless they are wanted.
pub fn text_dataset(
    name: Option<&str>,
    file: Option<&FileConfig>,
    training: &TrainingConfig,
    with_labels: bool,
) -> Result<TextDataset, Failure> {
    let TrainingConfig { validation_fraction, seed, .. } = *training;
    let mut found = match file {
        Some(file) if with_labels && Format::from_path(&file.path).is_none() => {
            return Err(Failure::Input("--condition-on-label: a text file has no labels; leave the flag out".into()));
        }
        Some(file) => {
            let labels = Some(file.label_column.clone()).filter(|_| with_labels);
            text_files(file, labels).dataset(validation_fraction, seed)?
        }
        None => TextDataset::from_dataset(dataset(name, None, seed)?, validation_fraction, seed)?,
    };
    if !with_labels {
        found.labels.clear();
    }
    Ok(found)
}

/// The data set that a run was trained on.
///
/// # Errors
///
/// If it cannot be read or has changed since.
pub fn text_dataset_again(config: &RunConfig) -> Result<TextDataset, Failure> {
    let own = &config.dataset;
    let consequence = "so the run cannot go on with it; restore it, or name other texts with --data";
    check_files(own, consequence)?;
    let found = text_dataset(Some(&own.name), own.file.as_ref(), &config.training, !config.labels.is_empty())?;
    if found.fingerprint()? != own.fingerprint {
        return Err(Failure::Input(format!("{}: has changed since the run began, {consequence}", own.name)));
    }
    check_same_labels(config, &found.labels, &found.name)?;
    Ok(found)
}

/// Texts to evaluate a language model on.
pub struct PlainTexts {
    pub name: String,
    /// The texts, with their labels if the run has some.
    pub texts: Examples,
    /// Whether each is a part of a text, which does not end with it.
    pub are_parts: bool,
}

/// Texts for a run: those of a file, of a split of a known data set, or else of the data set that the run was trained
/// on.
pub fn plain_texts_for(
    config: &RunConfig,
    name: Option<&str>,
    file: &FileArgs,
    split: &str,
) -> Result<PlainTexts, Failure> {
    if let Some(file) = file.plain(None, None)? {
        let are_parts = Format::from_path(&file.path).is_none();
        let texts = if config.labels.is_empty() {
            text_files(&file, None).read(&file.path)?
        } else {
            labelled_file(&file)?.examples(&config.labels)?
        };
        return Ok(PlainTexts { name: file.path.display().to_string(), texts, are_parts });
    }
    let dataset = match name {
        Some(_) => {
            let found = text_dataset(name, None, &config.training, !config.labels.is_empty())?;
            check_same_labels(config, &found.labels, &found.name)?;
            found
        }
        None => text_dataset_again(config)?,
    };
    let name = format!("{} ({split})", dataset.name);
    let texts = if split == "train" { dataset.train } else { dataset.test };
    Ok(PlainTexts { name, texts, are_parts: dataset.is_one_text })
}

/// Files as the data crate reads them.
fn text_files(config: &FileConfig, label_column: Option<String>) -> TextFiles {
    TextFiles {
        path: config.path.clone(),
        validation: config.validation.clone(),
        test: config.test.clone(),
        text_column: config.text_column.clone(),
        label_column,
        quotes: !config.no_quotes,
    }
}

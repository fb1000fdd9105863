//! Where texts and runs come from: a known data set or a file, a named run or the newest.

use std::borrow::Cow;
use std::path::Path;

use convlens_data::{Dataset, Examples, Format, LabelMap, LabelledFile, auto, known};
use convlens_run::{DatasetConfig, FileConfig, RunConfig, RunFolder};

use crate::args::FileArgs;
use crate::failure::Failure;
use crate::progress::downloads;

/// Where runs are written and looked for.
pub const RUNS: &str = "runs";

impl FileArgs {
    /// The file that the flags describe, if they name one.
    pub fn config(&self, test: Option<&Path>) -> Result<Option<FileConfig>, Failure> {
        let Some(path) = &self.data else {
            let stray = [("text-column", self.text_column.is_some()), ("label-column", self.label_column.is_some())];
            let stray =
                stray.into_iter().chain([("label-map", !self.label_map.is_empty()), ("no-quotes", self.no_quotes)]);
            return match stray.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Failure::Input(format!("--{flag} goes with --data FILE"))),
                None => Ok(None),
            };
        };
        if self.no_quotes && Format::of(path).is_some_and(|format| !format.has_quotes()) {
            return Err(Failure::Input(format!("--no-quotes: {} is neither a CSV nor a TSV file", path.display())));
        }
        Ok(Some(FileConfig {
            path: path.clone(),
            test: test.map(Path::to_owned),
            text_column: self.text_column.clone().unwrap_or_else(|| "text".into()),
            label_column: self.label_column.clone().unwrap_or_else(|| "label".into()),
            no_quotes: self.no_quotes,
            label_map: self.label_map.clone(),
        }))
    }
}

/// A file as the data crate reads it.
pub fn labelled_file(config: &FileConfig) -> Result<LabelledFile, Failure> {
    Ok(LabelledFile {
        path: config.path.clone(),
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        label_map: LabelMap::parse(config.label_map.iter().map(String::as_str))?,
        quotes: !config.no_quotes,
    })
}

/// A data set by name, with `auto` for IMDB or else the sample, or from a file.
pub fn dataset(name: Option<&str>, file: Option<&FileConfig>, seed: u64) -> Result<Dataset, Failure> {
    if let Some(config) = file {
        return Ok(labelled_file(config)?.dataset(config.test.as_deref(), seed)?);
    }
    match name.unwrap_or("auto") {
        "auto" => {
            let (dataset, why) = auto(&downloads());
            if let Some(why) = why {
                warn_of_the_sample(&why.to_string());
            }
            Ok(dataset)
        }
        name => Ok(known(name)?.load(&downloads())?),
    }
}

/// The data set that a run was trained on.
pub fn dataset_of(config: &DatasetConfig, seed: u64) -> Result<Dataset, Failure> {
    dataset(Some(&config.name), config.file.as_ref(), seed)
}

/// The shortest test text, and the shortest with another label.
pub fn short_texts(dataset: &Dataset) -> Result<Vec<Cow<'_, str>>, Failure> {
    let test = &dataset.test;
    let shortest = |other_than: Option<usize>| {
        let fits = |index: &usize| Some(test.labels[*index]) != other_than;
        (0..test.len()).filter(fits).min_by_key(|&index| test.texts.bytes(index))
    };
    let first = shortest(None);
    let second = first.and_then(|first| shortest(Some(test.labels[first])));
    first.into_iter().chain(second).map(|index| Ok(test.texts.get(index)?)).collect()
}

/// Labelled texts for a run, and what to call them: a file's, a split of a known data set's, or
/// else of what the run was trained on.
pub fn texts_for(
    config: &RunConfig,
    name: Option<&str>,
    file: &FileArgs,
    split: &str,
) -> Result<(String, Examples), Failure> {
    if let Some(file) = file.config(None)? {
        return Ok((file.path.display().to_string(), labelled_file(&file)?.examples(&config.labels)?));
    }
    let dataset = match name {
        Some(name) => dataset(Some(name), None, config.training.seed)?,
        None => dataset_of(&config.dataset, config.training.seed)?,
    };
    let unknown = dataset.labels.iter().find(|label| !config.labels.contains(label));
    if let Some(label) = unknown {
        let known = config.labels.join(", ");
        return Err(Failure::Input(format!(
            "--dataset {}: its label {label:?} is unknown to the model (which knows: {known}); give the texts with --data and --label-map",
            dataset.name
        )));
    }
    let place = |label: &usize| config.labels.iter().position(|name| *name == dataset.labels[*label]).unwrap_or(*label);
    let mut texts = if split == "train" { dataset.train } else { dataset.test };
    texts.labels = texts.labels.iter().map(place).collect();
    Ok((format!("{} ({split})", dataset.name), texts))
}

/// The run folder named, or the newest.
pub fn run_folder(path: Option<&Path>) -> Result<RunFolder, Failure> {
    let folder = match path {
        Some(path) => RunFolder::open(path)?,
        None => RunFolder::newest(Path::new(RUNS))?,
    };
    log::info!("run folder: {}", folder.path().display());
    Ok(folder)
}

fn warn_of_the_sample(why: &str) {
    let warning = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    let rule = "!".repeat(72);
    anstream::eprintln!(
        "{warning}{rule}\nIMDB cannot be had, so this trains on the bundled SAMPLE of made-up reviews:\n\
         a demonstration, not a model of real language.\n{rule}{warning:#}\n({why})"
    );
}

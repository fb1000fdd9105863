//! The sources of texts and runs: a known data set or a file, a named run or the newest one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use convlens_data::{
    Dataset, Examples, Format, LabelMap, LabelledFile, auto, fetch, is_on_hub, known, listed, shortened,
};
use convlens_run::{DatasetConfig, FileConfig, RunConfig, RunFolder, Task};

use crate::args::{FileArgs, SourceArgs};
use crate::failure::Failure;
use crate::message::{message, styled_message};
use crate::progress::downloads;

/// The folder in which runs are written and looked up.
pub const RUNS: &str = "runs";

impl FileArgs {
    /// The file that the flags describe, if they name one. Its paths are those that were typed; see
    /// [`absolute`].
    ///
    /// # Errors
    ///
    /// If a flag has no effect without `--data`, or a label is mapped twice.
    pub fn config(&self, test: Option<&Path>) -> Result<Option<FileConfig>, Failure> {
        let Some(path) = self.path(&[("test-data", test)])? else { return Ok(None) };
        let mut sources = HashSet::new();
        if let Some((source, _)) = mapped_labels(&self.label_map).find(|(source, _)| !sources.insert(*source)) {
            return Err(Failure::Input(format!(
                "--label-map: the label {:?} is mapped twice; keep one of them",
                shortened(source)
            )));
        }
        if self.no_quotes && Format::from_path(path).is_some_and(|format| !format.has_quotes()) {
            return Err(Failure::Input(format!("--no-quotes: {} is neither a CSV nor a TSV file", path.display())));
        }
        Ok(Some(FileConfig {
            path: path.clone(),
            validation: None,
            test: test.map(Path::to_owned),
            text_column: self.text_column.clone().unwrap_or_else(|| "text".into()),
            label_column: self.label_column.clone().unwrap_or_else(|| "label".into()),
            no_quotes: self.no_quotes,
            label_map: self.label_map.clone(),
        }))
    }

    /// The file of tagged sentences that the flags describe, if they name one.
    ///
    /// # Errors
    ///
    /// If a flag has no effect without `--data`, or on such a file.
    pub fn tagged(&self, validation: Option<&Path>, test: Option<&Path>) -> Result<Option<FileConfig>, Failure> {
        let path = self.path(&[("validation-data", validation), ("test-data", test)])?;
        let flags = [
            ("text-column", self.text_column.is_some()),
            ("label-map", !self.label_map.is_empty()),
            ("no-quotes", self.no_quotes),
        ];
        if let Some((flag, _)) = flags.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Failure::Input(format!("--{flag}: tagged sentences have no such setting; leave the flag out")));
        }
        Ok(path.map(|path| FileConfig {
            path: path.clone(),
            validation: validation.map(Path::to_owned),
            test: test.map(Path::to_owned),
            text_column: String::new(),
            label_column: self.label_column.clone().unwrap_or_default(),
            no_quotes: false,
            label_map: Vec::new(),
        }))
    }

    /// The file of plain texts that the flags describe, if they name one.
    ///
    /// # Errors
    ///
    /// If a flag has no effect without `--data`, or on such a file.
    pub fn plain(&self, validation: Option<&Path>, test: Option<&Path>) -> Result<Option<FileConfig>, Failure> {
        let others = [("validation-data", validation), ("test-data", test)];
        let Some(path) = self.path(&others)? else { return Ok(None) };
        let is_table = Format::from_path(path).is_some();
        let flags = [
            ("text-column", self.text_column.is_some() && !is_table),
            ("label-column", self.label_column.is_some() && !is_table),
            ("no-quotes", self.no_quotes && !is_table),
            ("label-map", !self.label_map.is_empty()),
        ];
        if let Some((flag, _)) = flags.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Failure::Input(format!("--{flag}: plain texts have no such setting; leave the flag out")));
        }
        Ok(Some(FileConfig {
            path: path.clone(),
            validation: validation.map(Path::to_owned),
            test: test.map(Path::to_owned),
            text_column: self.text_column.clone().unwrap_or_else(|| "text".into()),
            label_column: self.label_column.clone().unwrap_or_else(|| "label".into()),
            no_quotes: self.no_quotes,
            label_map: Vec::new(),
        }))
    }

    /// The path of the file, if there is one. It and the `others`, files that belong to it, are downloaded if they are on
    /// the Hub.
    ///
    /// # Errors
    ///
    /// If there is none, and a flag of this struct or one of `others` is given that has no effect without it; if a
    /// download fails.
    fn path(&self, others: &[(&str, Option<&Path>)]) -> Result<Option<&PathBuf>, Failure> {
        let flags = [
            ("text-column", self.text_column.is_some()),
            ("label-column", self.label_column.is_some()),
            ("label-map", !self.label_map.is_empty()),
            ("no-quotes", self.no_quotes),
        ];
        let of_others = others.iter().map(|(flag, path)| (*flag, path.is_some()));
        let given = flags.into_iter().chain(of_others).find(|(_, is_given)| *is_given);
        if let (Some((flag, _)), None) = (given, &self.data) {
            return Err(Failure::Input(format!("--{flag} needs --data FILE")));
        }
        let paths = self.data.as_deref().into_iter().chain(others.iter().filter_map(|(_, path)| *path));
        for path in paths {
            fetch(path, &downloads())?;
        }
        Ok(self.data.as_ref())
    }
}

impl SourceArgs {
    /// The file that the flags describe to train for a task, if they name one.
    ///
    /// # Errors
    ///
    /// As [`FileArgs::config`], [`FileArgs::tagged`] and [`FileArgs::plain`].
    pub fn file_for(&self, task: Task) -> Result<Option<FileConfig>, Failure> {
        let (validation, test) = (self.validation_data.as_deref(), self.test_data.as_deref());
        match task {
            Task::Tag => self.file.tagged(validation, test),
            Task::LanguageModel => self.file.plain(validation, test),
            _ => self.file.config(test),
        }
    }
}

/// The pairs of a label map. Entries of another form are left to [`LabelMap::parse`].
fn mapped_labels(entries: &[String]) -> impl Iterator<Item = (&str, &str)> {
    entries.iter().filter_map(|entry| entry.split_once('=')).map(|(from, to)| (from.trim(), to.trim()))
}

/// Refuses a label map that maps to a label which is not among `labels`.
pub fn check_label_map(entries: &[String], labels: &[String]) -> Result<(), Failure> {
    match mapped_labels(entries).find(|(_, to)| !labels.iter().any(|label| label == to)) {
        Some((from, to)) => Err(Failure::Input(format!(
            "--label-map {}={}: there is no label {:?} (known: {})",
            shortened(from),
            shortened(to),
            shortened(to),
            listed(labels)
        ))),
        None => Ok(()),
    }
}

/// The same file with paths that do not depend on the working directory.
pub fn absolute(file: FileConfig) -> FileConfig {
    let absolute = |path: Option<PathBuf>| path.as_deref().map(absolute_path);
    FileConfig {
        path: absolute_path(&file.path),
        validation: absolute(file.validation),
        test: absolute(file.test),
        ..file
    }
}

/// A path that does not depend on the working directory, as an address on the Hub never does.
pub fn absolute_path(path: &Path) -> PathBuf {
    if is_on_hub(path) {
        return path.into();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.into())
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

/// A data set from a file, or by name; `auto` is IMDB if it is available, and else the sample.
pub fn dataset(name: Option<&str>, file: Option<&FileConfig>, seed: u64) -> Result<Dataset, Failure> {
    if let Some(config) = file {
        return Ok(labelled_file(config)?.dataset(config.test.as_deref(), seed)?);
    }
    match name.unwrap_or("auto") {
        "auto" => {
            let (dataset, why) = auto(&downloads());
            if let Some(why) = why {
                warn_of_the_sample("IMDB is not available", &why.to_string());
            }
            Ok(dataset)
        }
        name => Ok(known(name)?.load(&downloads())?),
    }
}

/// The data set that a run was trained on.
///
/// # Errors
///
/// If it cannot be read or has changed since, for then its test split is another one.
pub fn dataset_of(config: &DatasetConfig, seed: u64) -> Result<Dataset, Failure> {
    read_again(config, seed, "so the run's test split is lost; restore it, or name labelled texts with --data")
}

/// The data set of a run that is to be resumed.
///
/// # Errors
///
/// If it cannot be read or has changed since.
pub fn dataset_to_resume(config: &DatasetConfig, seed: u64) -> Result<Dataset, Failure> {
    read_again(config, seed, "so the run cannot be resumed; restore it, or begin a new run with another --out")
}

/// Checks that the files of a run's data are there, and downloads those on the Hub; `consequence` says what follows if one
/// is not there.
pub fn check_files(config: &DatasetConfig, consequence: &str) -> Result<(), Failure> {
    let files = config.file.iter();
    let paths = files.flat_map(|file| std::iter::once(&file.path).chain(&file.validation).chain(&file.test));
    for path in paths {
        if is_on_hub(path) {
            fetch(path, &downloads())?;
            continue;
        }
        path.metadata().map_err(|error| Failure::Input(format!("{}: {error}, {consequence}", path.display())))?;
    }
    Ok(())
}

fn read_again(config: &DatasetConfig, seed: u64, consequence: &str) -> Result<Dataset, Failure> {
    check_files(config, consequence)?;
    let found = dataset(Some(&config.name), config.file.as_ref(), seed)?;
    if found.fingerprint()? != config.fingerprint {
        let source = config.file.as_ref().map_or_else(|| config.name.clone(), |file| file.path.display().to_string());
        return Err(Failure::Input(format!("{source}: has changed since the run began, {consequence}")));
    }
    Ok(Dataset { name: config.name.clone(), ..found })
}

/// Refuses a configuration whose labels are not those of the data that the run was trained on.
pub fn check_labels(config: &RunConfig, dataset: &Dataset) -> Result<(), Failure> {
    check_same_labels(config, &dataset.labels, &dataset.name)
}

/// Refuses a configuration whose labels are not those of a data set.
pub fn check_same_labels(config: &RunConfig, labels: &[String], name: &str) -> Result<(), Failure> {
    if config.labels == labels {
        return Ok(());
    }
    let [own, found] = [&config.labels, labels].map(listed);
    Err(Failure::Input(format!(
        "config.json: its labels ({own}) are not those of {name} ({found}); restore config.json"
    )))
}

/// The shortest test text, and the shortest one with another label.
pub fn short_texts(dataset: &Dataset) -> Result<Vec<Cow<'_, str>>, Failure> {
    let test = &dataset.test;
    let shortest = |other_than: Option<usize>| {
        let is_other = |index: &usize| Some(test.labels[*index]) != other_than;
        (0..test.len()).filter(is_other).min_by_key(|&index| test.texts.bytes(index))
    };
    let first = shortest(None);
    let second = first.and_then(|first| shortest(Some(test.labels[first])));
    first.into_iter().chain(second).map(|index| Ok(test.texts.get(index)?)).collect()
}

/// Labelled texts for a run, and their name: those of a file, of a split of a known data set, or else
/// of the data set that the run was trained on.
pub fn texts_for(
    config: &RunConfig,
    name: Option<&str>,
    file: &FileArgs,
    split: &str,
) -> Result<(String, Examples), Failure> {
    if let Some(file) = file.config(None)? {
        check_label_map(&file.label_map, &config.labels)?;
        return Ok((file.path.display().to_string(), labelled_file(&file)?.examples(&config.labels)?));
    }
    let dataset = match name {
        Some(name) => dataset(Some(name), None, config.training.seed)?,
        None => {
            let dataset = dataset_of(&config.dataset, config.training.seed)?;
            check_labels(config, &dataset)?;
            dataset
        }
    };
    if let Some(label) = dataset.labels.iter().find(|label| !config.labels.contains(label)) {
        return Err(Failure::Input(format!(
            "--dataset {}: the model does not know its label {:?} (known: {}); give the texts with --data and --label-map",
            dataset.name,
            shortened(label),
            listed(&config.labels)
        )));
    }
    let index_of =
        |label: &usize| config.labels.iter().position(|name| *name == dataset.labels[*label]).unwrap_or(*label);
    let mut texts = if split == "train" { dataset.train } else { dataset.test };
    texts.labels = texts.labels.iter().map(index_of).collect();
    Ok((format!("{} ({split})", dataset.name), texts))
}

/// The run folder at `path`, or else the newest one.
pub fn run_folder(path: Option<&Path>) -> Result<RunFolder, Failure> {
    let folder = match path {
        Some(path) => RunFolder::open(path)?,
        None => RunFolder::newest(Path::new(RUNS))?,
    };
    log::info!("run folder: {}", folder.path().display());
    Ok(folder)
}

/// Refuses a run that generates texts, for a verb that needs another.
pub fn refuse_language_model(run: &RunConfig, folder: &RunFolder) -> Result<(), Failure> {
    match run.window() {
        Some(_) => Err(Failure::Input(format!(
            "{}: this run {}; use convlens generate or convlens evaluate, or name another run",
            folder.path().display(),
            run.task
        ))),
        None => Ok(()),
    }
}

/// Says that a model is trained on made-up texts, and why.
pub fn warn_of_the_sample(reason: &str, why: &str) {
    let warning = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    let rule = "!".repeat(72);
    let lines = [
        rule.as_str(),
        &format!("{reason}, so this trains on the bundled SAMPLE of made-up texts:"),
        "a demonstration, not a model of real language.",
        &rule,
    ];
    lines.iter().for_each(|line| styled_message(format!("{warning}{line}{warning:#}")));
    message(format!("({why})"));
}

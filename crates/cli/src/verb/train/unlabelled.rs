//! `--unlabelled`: texts without labels.

use std::path::Path;

use convlens_data::{DataError, Format, KNOWN, TextList, fetch, known, read_texts};
use convlens_run::{RunConfig, TextsSource, VectorsSource};
use convlens_train::{Corpus, Stage};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::progress::downloads;
use crate::source::absolute_path;

/// The texts that the flags name, if they name some.
pub fn source(args: &TrainArgs) -> Result<Option<TextsSource>, Failure> {
    let Some(name) = &args.unlabelled else { return Ok(None) };
    if KNOWN.iter().any(|known| known.name == name) {
        return match args.unlabelled_column {
            Some(_) => Err(Failure::Input(format!("--unlabelled-column: {name} is not a file; leave the flag out"))),
            None => Ok(Some(TextsSource::Dataset(name.into()))),
        };
    }
    if Format::from_path(Path::new(name)).is_none() {
        return Err(Failure::Input(format!(
            "--unlabelled {name}: neither a known data set (see: convlens data) nor a CSV, TSV, Parquet or JSON Lines file"
        )));
    }
    let path = absolute_path(Path::new(name));
    if path.to_str().is_none() {
        return Err(Failure::Input(format!("--unlabelled {name}: this path is not valid UTF-8; rename the file")));
    }
    let text_column = args.unlabelled_column.as_deref().unwrap_or("text").into();
    Ok(Some(TextsSource::File { path, text_column }))
}

/// Whether `--unlabelled` names the unlabelled texts of a run, as far as it is given: those that its teachers label, or
/// those that vectors are learned from.
pub fn is_source(args: &TrainArgs, config: &RunConfig) -> bool {
    let of_vectors = config.vectors.as_ref().and_then(|vectors| match &vectors.source {
        VectorsSource::Texts(source) => Some(source),
        VectorsSource::Vectors(_) | VectorsSource::Run(_) => None,
    });
    let of_lexicon = config.lexicon_vectors.as_ref().and_then(|vectors| vectors.source.as_ref());
    let own = config.teacher.as_ref().map(|teacher| &teacher.source).or(of_lexicon).or(of_vectors);
    args.unlabelled.is_none() || source(args).is_ok_and(|source| source.as_ref() == own)
}

/// Reads the texts.
pub fn load(source: &TextsSource) -> Result<TextList, Failure> {
    let texts = match source {
        TextsSource::Dataset(name) => known(name)?.load_unlabelled(&downloads())?,
        TextsSource::File { path, text_column } => {
            fetch(path, &downloads())?;
            read_texts(path, text_column).map_err(naming_the_flag)?
        }
    };
    if texts.is_empty() {
        return Err(Failure::Input(format!("{}: has no texts; leave --unlabelled out", name(source))));
    }
    Ok(texts)
}

/// Reads the texts of a run that is resumed into its corpus; `count` of them are expected.
pub fn load_again(
    source: &TextsSource,
    count: usize,
    corpus: &mut Corpus,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<(), Failure> {
    corpus.add_unlabelled(load(source)?, show)?;
    if corpus.unlabelled.len() == count {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{}: has changed since the run began, so the run cannot be resumed; restore it, or begin a new run with another --out",
        name(source)
    )))
}

/// The error of a file of `--unlabelled`, with the flag that names its column.
fn naming_the_flag(error: DataError) -> Failure {
    match error {
        DataError::NoColumn { .. } | DataError::NoKey { .. } => {
            Failure::Input(format!("{error}; name it with --unlabelled-column"))
        }
        error => error.into(),
    }
}

fn name(source: &TextsSource) -> String {
    match source {
        TextsSource::Dataset(name) => name.clone(),
        TextsSource::File { path, .. } => path.display().to_string(),
    }
}

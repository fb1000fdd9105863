//! `--unlabelled` and `--init`: the word vectors that training starts from.

use std::path::Path;

use convlens_data::{DataError, Format, KNOWN, TextList, known, read_texts};
use convlens_run::{RunConfig, RunFolder, TokenizerSource, VectorsConfig, VectorsSource, WordVectors};
use convlens_train::{Corpus, Stage};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::progress::downloads;
use crate::source::absolute_path;

/// Where the word vectors of a new run come from.
pub struct Origin {
    source: VectorsSource,
    /// The vectors of another run, and what its settings say of them.
    learned: Option<(VectorsConfig, WordVectors)>,
}

impl Origin {
    /// The origin that the flags name, if they name one. Whatever can be checked before data are read is checked.
    pub fn new(args: &TrainArgs) -> Result<Option<Self>, Failure> {
        if let Some(path) = &args.init {
            let (vectors, values) = of_run(path)?;
            let source = VectorsSource::Run(absolute_path(path));
            return Ok(Some(Self { source, learned: Some((vectors, values)) }));
        }
        match &args.unlabelled {
            Some(name) => Ok(Some(Self { source: source(name, args.unlabelled_column.as_deref())?, learned: None })),
            None => Ok(None),
        }
    }

    /// The tokenizer that the vectors belong to, if they are those of another run.
    pub fn tokenizer(&self) -> Option<TokenizerSource> {
        match &self.source {
            VectorsSource::Run(path) => RunFolder::open(path).ok()?.tokenizer().map(TokenizerSource::File),
            VectorsSource::Dataset(_) | VectorsSource::File { .. } => None,
        }
    }

    /// The settings of the run that begins; reads the texts that its vectors will be learned from.
    pub fn config(&self, corpus: &mut Corpus, show: &(dyn Fn(Stage) + Sync)) -> Result<VectorsConfig, Failure> {
        if let Some((vectors, _)) = &self.learned {
            return Ok(VectorsConfig { source: self.source.clone(), ..vectors.clone() });
        }
        corpus.add_unlabelled(load(&self.source)?, show)?;
        let texts = corpus.unlabelled.len() + corpus.train.len();
        let (dimensions, epochs) = (VectorsConfig::DIMENSIONS, VectorsConfig::EPOCHS);
        Ok(VectorsConfig { source: self.source.clone(), texts, dimensions, epochs })
    }

    /// Writes vectors of another run into the folder of the run that begins.
    pub fn copy_into(&self, folder: &RunFolder) -> Result<(), Failure> {
        match &self.learned {
            Some((_, vectors)) => Ok(vectors.write(folder)?),
            None => Ok(()),
        }
    }
}

/// Reads what a run that is resumed needs to learn its vectors, if it has not learned them yet.
pub fn resume(
    folder: &RunFolder,
    config: &RunConfig,
    corpus: &mut Corpus,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<(), Failure> {
    let Some(vectors) = config.vectors.as_ref().filter(|_| !WordVectors::are_in(folder)) else { return Ok(()) };
    if let VectorsSource::Run(path) = &vectors.source {
        return Ok(of_run(path)?.1.write(folder)?);
    }
    corpus.add_unlabelled(load(&vectors.source)?, show)?;
    if corpus.unlabelled.len() + corpus.train.len() != vectors.texts {
        return Err(Failure::Input(format!(
            "{}: has changed since the run began, so the run cannot be resumed; restore it, or begin a new run with another --out",
            name(&vectors.source)
        )));
    }
    Ok(())
}

/// Whether `--unlabelled` and `--init` name the source of a run's vectors, as far as they are given.
pub fn is_source(args: &TrainArgs, config: &RunConfig) -> bool {
    let own = config.vectors.as_ref().map(|vectors| &vectors.source);
    let init = args.init.as_ref().map(|path| VectorsSource::Run(absolute_path(path)));
    let unlabelled = args.unlabelled.as_ref().map(|name| source(name, args.unlabelled_column.as_deref()));
    init.is_none_or(|source| own == Some(&source))
        && unlabelled.is_none_or(|source| source.is_ok_and(|source| own == Some(&source)))
}

fn source(name: &str, column: Option<&str>) -> Result<VectorsSource, Failure> {
    if KNOWN.iter().any(|known| known.name == name) {
        return match column {
            Some(_) => Err(Failure::Input(format!("--unlabelled-column: {name} is not a file; leave the flag out"))),
            None => Ok(VectorsSource::Dataset(name.into())),
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
    Ok(VectorsSource::File { path, text_column: column.unwrap_or("text").into() })
}

fn load(source: &VectorsSource) -> Result<TextList, Failure> {
    let texts = match source {
        VectorsSource::Dataset(name) => known(name)?.load_unlabelled(&downloads())?,
        VectorsSource::File { path, text_column } => read_texts(path, text_column).map_err(naming_the_flag)?,
        VectorsSource::Run(_) => TextList::default(),
    };
    if texts.is_empty() {
        return Err(Failure::Input(format!("{}: has no texts; leave --unlabelled out", name(source))));
    }
    Ok(texts)
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

fn of_run(path: &Path) -> Result<(VectorsConfig, WordVectors), Failure> {
    let folder = RunFolder::open(path)?;
    let config = folder.config()?;
    match config.vectors {
        Some(vectors) if WordVectors::are_in(&folder) => {
            let values = WordVectors::read(&folder, config.model.vocab_size, vectors.dimensions)?;
            Ok((vectors, values))
        }
        _ => Err(Failure::Input(format!(
            "--init {}: this run has no word vectors; name one that was trained with --unlabelled",
            path.display()
        ))),
    }
}

fn name(source: &VectorsSource) -> String {
    match source {
        VectorsSource::Dataset(name) => name.clone(),
        VectorsSource::File { path, .. } | VectorsSource::Run(path) => path.display().to_string(),
    }
}

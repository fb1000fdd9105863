//! `--unlabelled`, `--vectors` and `--init`: the word vectors that training starts from.

use std::path::Path;

use convlens_data::{DataError, Format, KNOWN, TextList, VectorFile, fetch, known, read_texts};
use convlens_run::text::Tokenizer;
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
        if let Some(path) = &args.vectors {
            let source = VectorsSource::Vectors(absolute_path(path));
            return Ok(Some(Self { source, learned: None }));
        }
        match &args.unlabelled {
            Some(name) => Ok(Some(Self { source: source(name, args.unlabelled_column.as_deref())?, learned: None })),
            None => Ok(None),
        }
    }

    /// Where the vectors come from.
    pub fn source(&self) -> &VectorsSource {
        &self.source
    }

    /// The tokenizer that the vectors belong to, if they are those of another run.
    pub fn tokenizer(&self) -> Option<TokenizerSource> {
        match &self.source {
            VectorsSource::Run(path) => RunFolder::open(path).ok()?.tokenizer().map(TokenizerSource::File),
            VectorsSource::Dataset(_) | VectorsSource::File { .. } | VectorsSource::Vectors(_) => None,
        }
    }

    /// The settings of the run that begins; reads the texts that its vectors will be learned from.
    pub fn config(&mut self, corpus: &mut Corpus, show: &(dyn Fn(Stage) + Sync)) -> Result<VectorsConfig, Failure> {
        if let VectorsSource::Vectors(path) = &self.source {
            let vectors = of_file(path, &corpus.tokenizer)?;
            let (source, dimensions) = (self.source.clone(), vectors.dimensions);
            let config = VectorsConfig { source, texts: 0, dimensions, epochs: 1 };
            self.learned = Some((config, vectors));
        }
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
    match &vectors.source {
        VectorsSource::Run(path) => return Ok(of_run(path)?.1.write(folder)?),
        VectorsSource::Vectors(path) => return Ok(of_file(path, &corpus.tokenizer)?.write(folder)?),
        VectorsSource::Dataset(_) | VectorsSource::File { .. } => {}
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

/// Words that a vocabulary may have besides those of the training texts: the first of a file of vectors.
pub fn further_words(vectors: Option<&VectorsSource>, vocab_size: usize) -> Result<Vec<String>, Failure> {
    match vectors {
        Some(VectorsSource::Vectors(path)) => Ok(VectorFile::read(path, vocab_size, |_| false)?.words),
        _ => Ok(Vec::new()),
    }
}

/// The flag that names a source of vectors; `unlabelled` if there is none.
pub fn flag(args: &TrainArgs) -> &'static str {
    match (&args.init, &args.vectors) {
        (Some(_), _) => "init",
        (None, Some(_)) => "vectors",
        (None, None) => "unlabelled",
    }
}

/// Whether `--unlabelled`, `--vectors` and `--init` name the source of a run's vectors, as far as they are given.
pub fn is_source(args: &TrainArgs, config: &RunConfig) -> bool {
    let own = config.vectors.as_ref().map(|vectors| &vectors.source);
    let init = args.init.as_ref().map(|path| VectorsSource::Run(absolute_path(path)));
    let unlabelled = args.unlabelled.as_ref().map(|name| source(name, args.unlabelled_column.as_deref()));
    let file = args.vectors.as_ref().map(|path| VectorsSource::Vectors(absolute_path(path)));
    init.or(file).is_none_or(|source| own == Some(&source))
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
        VectorsSource::File { path, text_column } => {
            fetch(path, &downloads())?;
            read_texts(path, text_column).map_err(naming_the_flag)?
        }
        VectorsSource::Run(_) | VectorsSource::Vectors(_) => TextList::default(),
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

/// The vectors of a file for the words of a vocabulary, in lower case if the file has the word only with capital
/// letters. A word that the file does not have gets a vector of zeros.
fn of_file(path: &Path, tokenizer: &Tokenizer) -> Result<WordVectors, Failure> {
    let id = |word: &str| tokenizer.id(word).or_else(|| tokenizer.id(&word.to_lowercase()));
    let VectorFile { dimensions, words, values: found } = VectorFile::read(path, 0, |word| id(word).is_some())?;
    if words.is_empty() {
        return Err(Failure::Input(format!(
            "--vectors {}: no word of the training texts has a vector; name another file",
            path.display()
        )));
    }
    let mut values = vec![0.0; tokenizer.vocab_size() * dimensions];
    let mut is_exact = vec![None; tokenizer.vocab_size()];
    for (word, vector) in words.iter().zip(found.chunks(dimensions)) {
        let Some(id) = id(word).map(|id| id as usize) else { continue };
        let exact = tokenizer.id(word).is_some();
        // The first of several spellings is the most frequent one.
        if is_exact[id].is_none_or(|before: bool| exact && !before) {
            is_exact[id] = Some(exact);
            values[id * dimensions..][..dimensions].copy_from_slice(vector);
        }
    }
    log::info!("{}: {} of {} words have a vector", path.display(), is_exact.iter().flatten().count(), is_exact.len());
    Ok(WordVectors { dimensions, values })
}

fn name(source: &VectorsSource) -> String {
    match source {
        VectorsSource::Dataset(name) => name.clone(),
        VectorsSource::File { path, .. } | VectorsSource::Vectors(path) | VectorsSource::Run(path) => {
            path.display().to_string()
        }
    }
}

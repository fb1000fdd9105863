//! `--unlabelled`, `--vectors` and `--init`: the word vectors that training starts from.

use std::path::Path;

use convlens_data::VectorFile;
use convlens_run::text::Tokenizer;
use convlens_run::{RunConfig, RunFolder, TokenizerSource, VectorsConfig, VectorsSource, WordVectors};
use convlens_train::{Corpus, Stage};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::source::absolute_path;
use crate::verb::train::unlabelled;

/// Where the word vectors of a new run come from.
pub struct Origin {
    source: VectorsSource,
    /// The vectors of another run, and what its settings say of them.
    learned: Option<(VectorsConfig, WordVectors)>,
}

impl Origin {
    /// The origin that the flags name, if they name one. Whatever can be checked before data are read is checked.
    pub fn new(args: &TrainArgs) -> Result<Option<Self>, Failure> {
        let is_given = args.init.is_some() || args.vectors.is_some();
        if is_given && args.unlabelled.is_some() && args.teacher.is_empty() && !args.lexicon_vectors {
            return Err(Failure::Input(format!(
                "--unlabelled: cannot be used with --{}, except for --lexicon-vectors and texts that a --teacher labels; leave one of them out",
                flag(args)
            )));
        }
        if let Some(path) = &args.init {
            let (vectors, values) = of_run(path)?;
            let source = VectorsSource::Run(absolute_path(path));
            return Ok(Some(Self { source, learned: Some((vectors, values)) }));
        }
        if let Some(path) = &args.vectors {
            let source = VectorsSource::Vectors(absolute_path(path));
            return Ok(Some(Self { source, learned: None }));
        }
        let texts = unlabelled::source(args)?.filter(|_| args.teacher.is_empty() && !args.lexicon_vectors);
        Ok(texts.map(|texts| Self { source: VectorsSource::Texts(texts), learned: None }))
    }

    /// Where the vectors come from.
    pub fn source(&self) -> &VectorsSource {
        &self.source
    }

    /// The tokenizer that the vectors belong to, if they are those of another run.
    pub fn tokenizer(&self) -> Option<TokenizerSource> {
        match &self.source {
            VectorsSource::Run(path) => RunFolder::open(path).ok()?.tokenizer().map(TokenizerSource::File),
            VectorsSource::Texts(_) | VectorsSource::Vectors(_) => None,
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
        if let VectorsSource::Texts(source) = &self.source {
            corpus.add_unlabelled(unlabelled::load(source)?, show)?;
        }
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
        VectorsSource::Run(path) => Ok(of_run(path)?.1.write(folder)?),
        VectorsSource::Vectors(path) => Ok(of_file(path, &corpus.tokenizer)?.write(folder)?),
        VectorsSource::Texts(source) => {
            let count = vectors.texts.saturating_sub(corpus.train.len());
            unlabelled::load_again(source, count, corpus, show)
        }
    }
}

/// Words that a vocabulary may have besides those of the training texts: the first of a file of vectors.
pub fn further_words(vectors: Option<&VectorsSource>, vocab_size: usize) -> Result<Vec<String>, Failure> {
    match vectors {
        Some(VectorsSource::Vectors(path)) => Ok(VectorFile::read(path, vocab_size, |_| false)?.words),
        _ => Ok(Vec::new()),
    }
}

/// The flag that names a source of vectors.
pub fn flag(args: &TrainArgs) -> &'static str {
    if args.init.is_some() { "init" } else { "vectors" }
}

/// Whether `--vectors` and `--init` name the source of a run's vectors, as far as they are given.
pub fn is_source(args: &TrainArgs, config: &RunConfig) -> bool {
    let own = config.vectors.as_ref().map(|vectors| &vectors.source);
    let init = args.init.as_ref().map(|path| VectorsSource::Run(absolute_path(path)));
    let file = args.vectors.as_ref().map(|path| VectorsSource::Vectors(absolute_path(path)));
    init.or(file).is_none_or(|source| own == Some(&source))
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

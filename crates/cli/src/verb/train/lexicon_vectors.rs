//! `--lexicon-vectors`: vectors of the words and phrases of a lexicon.

use convlens_run::model::ModelConfig;
use convlens_run::{LexiconVectorsConfig, RunConfig};
use convlens_train::{Corpus, Stage};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::verb::train::unlabelled;

/// Refuses the flag for a model that has no lexicon.
pub fn check(args: &TrainArgs, preset: &str, model: &ModelConfig) -> Result<(), Failure> {
    if args.lexicon_vectors && model.lexicon.is_none() {
        return Err(Failure::Input(format!(
            "--lexicon-vectors: the preset {preset} has no lexicon; leave the flag out, or choose default or best"
        )));
    }
    Ok(())
}

/// The settings of the run that begins, if it has such vectors; reads the texts that they will be learned from, unless
/// teachers have labelled these.
pub fn config(
    args: &TrainArgs,
    corpus: &mut Corpus,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<Option<LexiconVectorsConfig>, Failure> {
    if !args.lexicon_vectors {
        return Ok(None);
    }
    let source = unlabelled::source(args)?.filter(|_| args.teacher.is_empty());
    if let Some(source) = &source {
        corpus.add_unlabelled(unlabelled::load(source)?, show)?;
    }
    let texts = corpus.unlabelled.len() + corpus.train.len();
    let (dimensions, epochs) = (LexiconVectorsConfig::DIMENSIONS, LexiconVectorsConfig::EPOCHS);
    Ok(Some(LexiconVectorsConfig { source, texts, dimensions, epochs }))
}

/// Reads the texts that the vectors of a run that is resumed are learned from.
pub fn resume(config: &RunConfig, corpus: &mut Corpus, show: &(dyn Fn(Stage) + Sync)) -> Result<(), Failure> {
    let Some(LexiconVectorsConfig { source: Some(source), texts, .. }) = &config.lexicon_vectors else { return Ok(()) };
    unlabelled::load_again(source, texts.saturating_sub(corpus.train.len()), corpus, show)
}

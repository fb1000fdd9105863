//! From flags to what is to be trained: a new run begun, or an old one taken up.

use std::path::{Path, PathBuf};

use convlens_data::Dataset;
use convlens_run::model::ModelConfig;
use convlens_run::text::TokenizerKind;
use convlens_run::{DatasetConfig, FORMAT, FileConfig, RunConfig, RunError, RunFolder, Task, TokenizerSource};
use convlens_train::{Cache, Corpus, PRESETS, preset};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::progress::Stages;
use crate::source::{RUNS, dataset, dataset_of};
use crate::verb::train::settings::with_settings;

/// The version of Burn that this is built with.
const BURN: &str = "0.22.1";

/// What is to be trained, on what, and where it goes.
pub struct Plan {
    pub folder: RunFolder,
    pub config: RunConfig,
    pub corpus: Corpus,
    pub dataset: Dataset,
}

impl Plan {
    /// A new run, or the one to go on with.
    pub fn new(args: &TrainArgs) -> Result<Self, Failure> {
        match resumed_folder(args)? {
            Some(folder) => resume(args, folder),
            None => begin(args),
        }
    }
}

/// The folder of the run to go on with, if it was begun.
fn resumed_folder(args: &TrainArgs) -> Result<Option<RunFolder>, Failure> {
    match (&args.out, args.resume) {
        (_, false) => Ok(None),
        (None, true) => Ok(Some(RunFolder::newest_begun(Path::new(RUNS))?)),
        // A run that was killed before it wrote its configuration begins anew.
        (Some(path), true) if RunFolder::is_vacant(path) => Ok(None),
        (Some(path), true) => Ok(Some(RunFolder::open(path)?)),
    }
}

fn begin(args: &TrainArgs) -> Result<Plan, Failure> {
    if let Some(path) = args.out.as_ref().filter(|path| !RunFolder::is_vacant(path)) {
        return Err(RunError::Exists { path: path.clone() }.into());
    }
    let preset = preset(args.preset.as_deref().unwrap_or(PRESETS[0].name))?;
    // What is wrong with them is said before any data is read.
    with_settings((preset.model)(args.vocab_size.unwrap_or(4), 1), &args.settings)?;
    let mut text = (preset.text)();
    text.vocab_size = args.vocab_size.unwrap_or(text.vocab_size);
    if let Some(tokenizer) = &args.tokenizer {
        text.tokenizer = tokenizer_source(tokenizer);
    }
    let mut training = (preset.training)();
    training.seed = args.seed.unwrap_or(training.seed);
    training.batch_size = args.batch_size.unwrap_or(training.batch_size);
    training.learning_rate = args.learning_rate.unwrap_or(training.learning_rate);
    training.word_dropout = args.word_dropout.unwrap_or(training.word_dropout);
    training.weight_decay = args.weight_decay.unwrap_or(training.weight_decay);
    training.patience = args.patience.or(training.patience);

    let file = args.source.file.config(args.source.test_data.as_deref())?;
    let dataset = dataset(args.source.dataset.as_deref(), file.as_ref(), training.seed)?;
    let stages = Stages::default();
    let show = |stage| stages.show(stage);
    let corpus =
        Corpus::prepare(&dataset, &text, training.validation_fraction, training.seed, &Cache::of_user(), &show)?;

    let batch_size = training.batch_size;
    training.epochs = args.epochs.unwrap_or_else(|| preset.epochs(corpus.train.len(), batch_size));
    let outputs = ModelConfig::outputs_for(dataset.labels.len());
    let config = RunConfig {
        format: FORMAT,
        convlens: env!("CARGO_PKG_VERSION").into(),
        burn: BURN.into(),
        task: Task::Classify,
        preset: preset.name.into(),
        labels: dataset.labels.clone(),
        dataset: dataset_config(&dataset, &corpus, file),
        text,
        model: with_settings((preset.model)(corpus.tokenizer.vocab_size(), outputs), &args.settings)?,
        training,
    };
    let folder = begun_folder(args, &config)?;
    folder.tidy();
    folder.write_config(&config)?;
    folder.write_tokenizer(&corpus.tokenizer_json)?;
    Ok(Plan { folder, config, corpus, dataset })
}

fn begun_folder(args: &TrainArgs, config: &RunConfig) -> Result<RunFolder, Failure> {
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = || format!("{}-{}", stem(&config.dataset.name).unwrap_or_default(), config.preset);
    let path: PathBuf = match &args.out {
        Some(path) => path.clone(),
        None => RunFolder::unused_name(Path::new(RUNS), &name()),
    };
    Ok(RunFolder::create(&path)?)
}

fn dataset_config(dataset: &Dataset, corpus: &Corpus, file: Option<FileConfig>) -> DatasetConfig {
    DatasetConfig {
        name: dataset.name.clone(),
        file,
        revision: dataset.revision.clone(),
        fingerprint: corpus.fingerprint.clone(),
        train: corpus.train.len(),
        validation: corpus.validation.len(),
        test: corpus.test.len(),
    }
}

fn tokenizer_source(name: &str) -> TokenizerSource {
    match name {
        "words" => TokenizerSource::Trained(TokenizerKind::Words),
        "punctuated" => TokenizerSource::Trained(TokenizerKind::Punctuated),
        "characters" => TokenizerSource::Trained(TokenizerKind::Characters),
        "bytes" => TokenizerSource::Trained(TokenizerKind::Bytes),
        "bpe" => TokenizerSource::Trained(TokenizerKind::Bpe),
        path => TokenizerSource::File(path.into()),
    }
}

fn resume(args: &TrainArgs, folder: RunFolder) -> Result<Plan, Failure> {
    let config = folder.config()?;
    let asked = with_settings(config.model.clone(), &args.settings)?;
    if let Some(flag) = disagreement(args, &config, &asked) {
        let path = folder.path().display();
        return Err(Failure::Input(format!(
            "--{flag}: {path} was begun with another; leave the flag out, or begin a new --out"
        )));
    }
    let dataset = dataset_of(&config.dataset, config.training.seed)?;
    let stages = Stages::default();
    let show = |stage| stages.show(stage);
    let training = &config.training;
    let cache = Cache::of_user();
    // The run's own tokenizer, unless it was killed before it wrote one.
    let mut text = config.text.clone();
    text.tokenizer = folder.tokenizer().map_or(text.tokenizer, TokenizerSource::File);
    let corpus = Corpus::prepare(&dataset, &text, training.validation_fraction, training.seed, &cache, &show)?;
    if corpus.fingerprint != config.dataset.fingerprint {
        let name = &config.dataset.name;
        return Err(Failure::Input(format!(
            "{name}: has changed since the run began; put it back, or begin a new --out"
        )));
    }
    folder.tidy();
    if folder.tokenizer().is_none() {
        folder.write_tokenizer(&corpus.tokenizer_json)?;
    }
    Ok(Plan { folder, config, corpus, dataset })
}

/// The first flag that asks for something else than the run was begun with.
fn disagreement(args: &TrainArgs, config: &RunConfig, asked: &ModelConfig) -> Option<&'static str> {
    fn differs<T: PartialEq>(flag: &Option<T>, own: &T) -> bool {
        flag.as_ref().is_some_and(|flag| flag != own)
    }
    let training = &config.training;
    let file = config.dataset.file.as_ref();
    let path = file.map(|file| &file.path);
    let known = args.source.dataset.as_ref().filter(|name| *name != "auto");
    let tokenizer = args.tokenizer.as_deref().map(tokenizer_source);
    let flags = [
        ("set", *asked != config.model),
        ("preset", differs(&args.preset, &config.preset)),
        ("dataset", known.is_some_and(|name| *name != config.dataset.name)),
        ("data", args.source.file.data.as_ref().is_some_and(|data| Some(data) != path)),
        (
            "text-column",
            differs(&args.source.file.text_column, &file.map_or("text".into(), |file| file.text_column.clone())),
        ),
        (
            "label-column",
            differs(&args.source.file.label_column, &file.map_or("label".into(), |file| file.label_column.clone())),
        ),
        ("no-quotes", args.source.file.no_quotes && !file.is_some_and(|file| file.no_quotes)),
        (
            "test-data",
            args.source.test_data.is_some()
                && args.source.test_data.as_ref() != file.and_then(|file| file.test.as_ref()),
        ),
        ("tokenizer", differs(&tokenizer, &config.text.tokenizer)),
        ("vocab-size", differs(&args.vocab_size, &config.text.vocab_size)),
        ("epochs", differs(&args.epochs, &training.epochs)),
        ("batch-size", differs(&args.batch_size, &training.batch_size)),
        ("learning-rate", differs(&args.learning_rate, &training.learning_rate)),
        ("word-dropout", differs(&args.word_dropout, &training.word_dropout)),
        ("weight-decay", differs(&args.weight_decay, &training.weight_decay)),
        ("patience", args.patience.is_some() && args.patience != training.patience),
        ("seed", differs(&args.seed, &training.seed)),
    ];
    flags.into_iter().find(|(_, differs)| *differs).map(|(flag, _)| flag)
}

//! Turns the flags of `train` into a plan: a new run, or an old one to resume.

use std::path::Path;

use convlens_data::{Dataset, TaggedDataset, TextDataset};
use convlens_run::model::{EncoderSettings, LexiconConfig, ModelConfig, Padding};
use convlens_run::text::TokenizerKind;
use convlens_run::{
    DatasetConfig, FileConfig, PhrasesError, RunConfig, RunError, RunFolder, RunLock, Task, TextConfig,
    TokenizerSource, TrainingConfig, VectorsSource,
};
use convlens_train::{Cache, Corpus, Preset, preset, preset_for, write_label_probabilities};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::plain::{text_dataset, text_dataset_again};
use crate::progress::Stages;
use crate::source::{RUNS, absolute, absolute_path, check_labels, dataset, dataset_to_resume};
use crate::tagged::{tagged_dataset, tagged_dataset_again};
use crate::verb::train::settings::with_settings;
use crate::verb::train::vectors::{self, Origin};
use crate::verb::train::{lexicon_vectors, teacher, unlabelled};

/// A run to train, and its data.
pub struct Plan {
    pub folder: RunFolder,
    pub config: RunConfig,
    pub corpus: Corpus,
    pub data: Data,
    /// Keeps other processes from training into the folder.
    pub lock: RunLock,
}

/// The data set of a task.
pub enum Data {
    Texts(Dataset),
    Sentences(TaggedDataset),
    Plain(TextDataset),
}

impl Data {
    /// The data that the flags of a new run name.
    fn named(
        args: &TrainArgs,
        task: Task,
        file: Option<&FileConfig>,
        training: &TrainingConfig,
    ) -> Result<Self, Failure> {
        let name = args.source.dataset.as_deref();
        Ok(match task {
            Task::Tag => Self::Sentences(tagged_dataset(name, file, training)?),
            Task::LanguageModel => Self::Plain(text_dataset(name, file, training, args.condition_on_label)?),
            _ => Self::Texts(dataset(name, file, training.seed)?),
        })
    }

    /// The data of a run that is resumed.
    fn again(config: &RunConfig) -> Result<Self, Failure> {
        if config.task == Task::Tag {
            let consequence = "so the run cannot be resumed; restore it, or begin a new run with another --out";
            return Ok(Self::Sentences(tagged_dataset_again(config, consequence)?));
        }
        if config.task == Task::LanguageModel {
            return Ok(Self::Plain(text_dataset_again(config)?));
        }
        let dataset = dataset_to_resume(&config.dataset, config.training.seed)?;
        check_labels(config, &dataset)?;
        Ok(Self::Texts(dataset))
    }

    fn corpus(
        &self,
        text: &TextConfig,
        training: &TrainingConfig,
        vectors: Option<&VectorsSource>,
        stages: &Stages,
    ) -> Result<Corpus, Failure> {
        let show = |stage| stages.show(stage);
        let TrainingConfig { validation_fraction, seed, .. } = *training;
        Ok(match self {
            Self::Texts(dataset) => {
                Corpus::prepare(dataset, text, validation_fraction, seed, &Cache::for_user(), &show)?
            }
            Self::Sentences(dataset) => {
                Corpus::prepare_tagged(dataset, text, &vectors::further_words(vectors, text.vocab_size)?)?
            }
            Self::Plain(dataset) => Corpus::prepare_texts(dataset, text, &Cache::for_user(), &show)?,
        })
    }

    fn labels(&self) -> &[String] {
        match self {
            Self::Texts(dataset) => &dataset.labels,
            Self::Sentences(dataset) => &dataset.labels,
            Self::Plain(dataset) => &dataset.labels,
        }
    }

    fn config(&self, corpus: &Corpus, file: Option<FileConfig>) -> DatasetConfig {
        let (name, revision) = match self {
            Self::Texts(dataset) => (dataset.name.clone(), dataset.revision.clone()),
            Self::Sentences(dataset) => (dataset.name.clone(), None),
            Self::Plain(dataset) => (dataset.name.clone(), dataset.revision.clone()),
        };
        DatasetConfig {
            name,
            file: file.map(absolute),
            revision,
            fingerprint: corpus.fingerprint.clone(),
            train: corpus.train.len(),
            validation: corpus.validation.len(),
            test: corpus.test.len(),
        }
    }
}

impl Plan {
    /// A new run, or the one to resume.
    pub fn new(args: &TrainArgs) -> Result<Self, Failure> {
        if args.resume { resume(args) } else { begin(args) }
    }
}

fn begin(args: &TrainArgs) -> Result<Plan, Failure> {
    if let Some(path) = args.out.as_ref().filter(|path| !RunFolder::is_vacant(path)) {
        return Err(RunError::Exists { path: path.clone() }.into());
    }
    let (preset, task) = preset_and_task(args)?;
    let Some(settings) = preset.for_task(task) else {
        let (name, own) = (preset.name, preset.task.name());
        return Err(Failure::Input(format!("--preset {name}: this preset is for --task {own}; choose another")));
    };
    // Wrong settings are reported before any data is read. What is wrong with some vocabularies only is reported later.
    let assumed = if task == Task::LanguageModel { settings.text.vocab_size } else { 4 };
    let vocab_size = args.vocab_size.unwrap_or(assumed);
    let model = with_settings((settings.model)(vocab_size, task.outputs(2, vocab_size)), &args.settings)?;
    let mut text = settings.text.clone();
    text.vocab_size = args.vocab_size.unwrap_or(text.vocab_size);
    if let Some(tokenizer) = &args.tokenizer {
        text.tokenizer = tokenizer_source(tokenizer);
    }
    check_task(args, task, &model)?;
    let mut origin = Origin::new(args)?;
    if let Some(tokenizer) = origin.as_ref().and_then(Origin::tokenizer) {
        text.tokenizer = tokenizer;
    }
    lexicon_vectors::check(args, preset.name, &model)?;
    let mut teacher = teacher::config(args)?;
    check_effects(args, &text, model.padding)?;
    let mut training = settings.training.clone();
    training.seed = args.seed.unwrap_or(training.seed);
    training.batch_size = args.batch_size.unwrap_or(training.batch_size);
    training.learning_rate = args.learning_rate.unwrap_or(training.learning_rate);
    training.window = args.window.or(training.window);
    training.warmup = args.warmup.unwrap_or(training.warmup);
    training.word_dropout = args.word_dropout.unwrap_or(training.word_dropout);
    training.weight_decay = args.weight_decay.unwrap_or(training.weight_decay);
    training.ema_decay = args.ema_decay.unwrap_or(training.ema_decay);
    training.patience = args.patience.or(training.patience);
    training.max_tokens = args.max_tokens.unwrap_or(training.max_tokens);
    training.epochs = args.epochs.unwrap_or(training.epochs);
    training.check().map_err(|error| naming_the_flag(args, error))?;

    let file = args.source.file_for(task)?;
    file.iter().try_for_each(check_paths)?;
    let data = Data::named(args, task, file.as_ref(), &training)?;
    let stages = Stages::default();
    let show = |stage| stages.show(stage);
    let mut corpus = data.corpus(&text, &training, origin.as_ref().map(Origin::source), &stages)?;
    let vectors = origin.as_mut().map(|origin| origin.config(&mut corpus, &show)).transpose()?;
    if args.word_dropout.is_some_and(|chance| chance > 0.0) && corpus.tokenizer.unk_id().is_none() {
        return Err(no_effect("word-dropout", "the tokenizer has no unknown token"));
    }

    if task == Task::LanguageModel {
        check_window(&corpus, &data, training.window.unwrap_or(TrainingConfig::WINDOW))?;
    }
    let dataset = data.config(&corpus, file);
    let taught =
        teacher.as_mut().map(|teacher| teacher::label(teacher, data.labels(), &mut corpus, &show)).transpose()?;
    let lexicon_vectors = lexicon_vectors::config(args, &mut corpus, &show)?;
    let batch_size = training.batch_size;
    training.epochs = args.epochs.unwrap_or_else(|| settings.epochs(corpus.train.len(), batch_size));
    let vocab_size = corpus.tokenizer.vocab_size();
    let outputs = task.outputs(data.labels().len(), vocab_size);
    let mut model = with_settings((settings.model)(vocab_size, outputs), &args.settings)?;
    if args.condition_on_label {
        model.conditions = data.labels().len();
    }
    if let Some(LexiconConfig { words, .. }) = model.lexicon {
        corpus.lexicon(outputs, words, training.max_tokens)?.size(&mut model);
    }
    let text = TextConfig { tokenizer: absolute_source(text.tokenizer), ..text };
    let config = RunConfig {
        task,
        dataset,
        vectors,
        lexicon_vectors,
        teacher,
        ..RunConfig::new(preset.name, data.labels().to_vec(), text, model, training)
    };
    config.check()?;
    let folder = new_folder(args, &config)?;
    let lock = folder.lock()?;
    folder.tidy();
    if let Some(origin) = &origin {
        origin.copy_into(&folder)?;
    }
    if let Some(labels) = &taught {
        write_label_probabilities(&folder, labels)?;
    }
    folder.write_config(&config)?;
    folder.write_tokenizer(&corpus.tokenizer_json)?;
    Ok(Plan { folder, config, corpus, data, lock })
}

/// The preset that the flags name, or that of the task, and the task.
fn preset_and_task(args: &TrainArgs) -> Result<(&'static Preset, Task), Failure> {
    let task = args.task.unwrap_or(Task::ALL[0]);
    let preset = match &args.preset {
        Some(name) => args.task.map_or_else(|| preset(name), |task| preset_for(name, task))?,
        None => Preset::default_for(task),
    };
    Ok((preset, args.task.unwrap_or(preset.task)))
}

/// Refuses flags that the task does not know.
fn check_task(args: &TrainArgs, task: Task, model: &ModelConfig) -> Result<(), Failure> {
    let unlabelled = ("unlabelled", args.unlabelled.is_some());
    let window = ("window", args.window.is_some());
    let conditions = ("condition-on-label", args.condition_on_label);
    let (flags, models): (&[_], _) = match task {
        Task::Tag => (&[unlabelled, ("tokenizer", args.tokenizer.is_some()), window, conditions], "taggers"),
        Task::LanguageModel => {
            let vectors = [("vectors", args.vectors.is_some()), ("init", args.init.is_some())];
            let others = [unlabelled, ("max-tokens", args.max_tokens.is_some())];
            (&[vectors.as_slice(), &others].concat(), "language models")
        }
        _ => {
            let validation = args.source.validation_data.is_some();
            (&[("validation-data", validation), window, conditions], "classifiers")
        }
    };
    if let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) {
        return Err(no_effect(flag, &format!("{models} do not support it")));
    }
    let ahead = model.encoder.receptive_field().right;
    if task == Task::LanguageModel && ahead > 0 {
        return Err(Failure::Input(
            "--set: this encoder sees the tokens that it is to predict; make it causal with --set encoder.layer.causal=true, \
             or --set encoder.bidirectional=false"
                .into(),
        ));
    }
    Ok(())
}

/// Refuses a text that is shorter than one window.
fn check_window(corpus: &Corpus, data: &Data, window: usize) -> Result<(), Failure> {
    let Data::Plain(TextDataset { name, is_one_text: true, .. }) = data else { return Ok(()) };
    let tokens = corpus.train.lengths().into_iter().max().unwrap_or(0);
    if tokens > window {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{name}: its training split has {tokens} tokens, too few for a window of {window}; give a longer text, or a smaller --window"
    )))
}

/// Refuses paths that `config.json` cannot hold.
fn check_paths(file: &FileConfig) -> Result<(), Failure> {
    let mut paths =
        std::iter::once(&file.path).chain(&file.validation).chain(&file.test).map(|path| absolute_path(path));
    match paths.find(|path| path.to_str().is_none()) {
        Some(path) => Err(Failure::Input(format!(
            "{}: this path is not valid UTF-8, so a run cannot record it; rename the file or its folder",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses flags that would have no effect.
fn check_effects(args: &TrainArgs, text: &TextConfig, padding: Padding) -> Result<(), Failure> {
    let has_own_vocabulary =
        matches!(text.tokenizer, TokenizerSource::File(_) | TokenizerSource::Trained(TokenizerKind::Bytes));
    if args.vocab_size.is_some() && has_own_vocabulary {
        return Err(no_effect("vocab-size", "this tokenizer has a vocabulary of its own"));
    }
    if let (Some(_), Padding::Counted { length }) = (args.max_tokens, padding) {
        return Err(no_effect("max-tokens", &format!("this model cuts every text to {length} tokens")));
    }
    Ok(())
}

fn no_effect(flag: &str, reason: &str) -> Failure {
    Failure::Input(format!("--{flag}: {reason}; leave the flag out"))
}

fn new_folder(args: &TrainArgs, config: &RunConfig) -> Result<RunFolder, Failure> {
    if let Some(path) = &args.out {
        return Ok(RunFolder::create(path)?);
    }
    let dataset = Path::new(&config.dataset.name).file_stem().unwrap_or_default().to_string_lossy();
    Ok(RunFolder::create_unused(Path::new(RUNS), &format!("{}-{}", folder_name(&dataset), config.preset))?)
}

/// A name without characters that shells and terminals treat specially: any character but letters,
/// digits, `-`, `_` and `.` becomes `-`.
fn folder_name(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect()
}

/// Replaces the name of a setting by the flag that gave its value, if one did.
fn naming_the_flag(args: &TrainArgs, error: RunError) -> Failure {
    let RunError::Phrases(PhrasesError::Setting { name, value, expected }) = &error else { return error.into() };
    let flags = [
        ("epochs", args.epochs.is_some()),
        ("batch-size", args.batch_size.is_some()),
        ("learning-rate", args.learning_rate.is_some()),
        ("window", args.window.is_some()),
        ("warmup", args.warmup.is_some()),
        ("word-dropout", args.word_dropout.is_some()),
        ("weight-decay", args.weight_decay.is_some()),
        ("ema-decay", args.ema_decay.is_some()),
        ("patience", args.patience.is_some()),
        ("max-tokens", args.max_tokens.is_some()),
    ];
    let names = |flag: &str| name.strip_prefix("training.") == Some(flag.replace('-', "_").as_str());
    match flags.into_iter().find(|(flag, is_given)| *is_given && names(flag)) {
        Some((flag, _)) => Failure::Input(format!("--{flag} {value}: it must be {expected}")),
        None => error.into(),
    }
}

fn tokenizer_source(name: &str) -> TokenizerSource {
    match name {
        "words" => TokenizerSource::Trained(TokenizerKind::Words),
        "punctuated" => TokenizerSource::Trained(TokenizerKind::Punctuated),
        "contractions" => TokenizerSource::Trained(TokenizerKind::Contractions),
        "characters" => TokenizerSource::Trained(TokenizerKind::Characters),
        "cased-characters" => TokenizerSource::Trained(TokenizerKind::CasedCharacters),
        "bytes" => TokenizerSource::Trained(TokenizerKind::Bytes),
        "bpe" => TokenizerSource::Trained(TokenizerKind::Bpe),
        "cased-bpe" => TokenizerSource::Trained(TokenizerKind::CasedBpe),
        path => TokenizerSource::File(path.into()),
    }
}

/// The same source with a path that does not depend on the working directory.
fn absolute_source(source: TokenizerSource) -> TokenizerSource {
    match source {
        TokenizerSource::File(path) => TokenizerSource::File(absolute_path(&path)),
        trained => trained,
    }
}

fn resume(args: &TrainArgs) -> Result<Plan, Failure> {
    let folder = match &args.out {
        Some(path) => RunFolder::open(path)?,
        None => RunFolder::newest_begun(Path::new(RUNS))?,
    };
    let lock = folder.lock()?;
    let config = folder.config()?;
    let model = with_settings(config.model.clone(), &args.settings)?;
    if let Some(flag) = disagreement(args, &config, &model) {
        let path = folder.path().display();
        return Err(Failure::Input(format!(
            "--{flag}: {path} was begun with another value; leave the flag out, or begin a new run with another --out"
        )));
    }
    let training = &config.training;
    let data = Data::again(&config)?;
    let stages = Stages::default();
    let show = |stage| stages.show(stage);
    // The run's own tokenizer, unless the run was killed before it wrote one.
    let mut text = config.text.clone();
    if let Some(path) = folder.tokenizer() {
        folder.read_tokenizer(&config)?; // a file that is too large is refused before it is parsed
        text.tokenizer = TokenizerSource::File(path);
    }
    let mut corpus = data.corpus(&text, training, config.vectors.as_ref().map(|vectors| &vectors.source), &stages)?;
    let (tokenizer, model) = (corpus.tokenizer.vocab_size(), config.model.vocab_size);
    if tokenizer != model {
        return Err(RunError::from(PhrasesError::TokenizerSize {
            path: folder.file("tokenizer.json"),
            tokenizer,
            model,
        })
        .into());
    }
    folder.tidy();
    if folder.tokenizer().is_none() {
        folder.write_tokenizer(&corpus.tokenizer_json)?;
    }
    vectors::resume(&folder, &config, &mut corpus, &show)?;
    teacher::resume(&folder, &config, &mut corpus, &show)?;
    lexicon_vectors::resume(&config, &mut corpus, &show)?;
    Ok(Plan { folder, config, corpus, data, lock })
}

/// The first flag whose value is not the one that the run was begun with. `model` is the run's model
/// with the settings of the flags.
fn disagreement(args: &TrainArgs, config: &RunConfig, model: &ModelConfig) -> Option<&'static str> {
    fn differs<T: PartialEq>(flag: &Option<T>, own: &T) -> bool {
        flag.as_ref().is_some_and(|flag| flag != own)
    }
    /// As `differs`, where the run may have no such setting.
    fn differs_from<T: PartialEq>(flag: Option<T>, own: Option<T>) -> bool {
        flag.is_some() && flag != own
    }
    let training = &config.training;
    let source = &args.source;
    let file = config.dataset.file.clone().map(absolute);
    let file = file.as_ref();
    let path = |path: &Option<std::path::PathBuf>| path.as_deref().map(absolute_path);
    let tokenizer = args.tokenizer.as_deref().map(tokenizer_source).map(absolute_source);
    let own_map = file.map_or(&[][..], |file| &file.label_map);
    let flags = [
        ("set", *model != config.model),
        (vectors::flag(args), !vectors::is_source(args, config)),
        ("unlabelled", !unlabelled::is_source(args, config)),
        ("lexicon-vectors", args.lexicon_vectors && config.lexicon_vectors.is_none()),
        ("teacher", !teacher::is_teacher(args, config)),
        ("task", differs(&args.task, &config.task)),
        ("preset", differs(&args.preset, &config.preset)),
        ("dataset", source.dataset.as_ref().is_some_and(|name| !is_dataset(name, &config.dataset))),
        ("data", differs_from(path(&source.file.data), file.map(|file| file.path.clone()))),
        ("text-column", differs_from(source.file.text_column.as_ref(), file.map(|file| &file.text_column))),
        ("validation-data", differs_from(path(&source.validation_data), file.and_then(|file| file.validation.clone()))),
        ("label-column", differs_from(source.file.label_column.as_ref(), file.map(|file| &file.label_column))),
        ("no-quotes", source.file.no_quotes && !file.is_some_and(|file| file.no_quotes)),
        ("label-map", !source.file.label_map.is_empty() && sorted(&source.file.label_map) != sorted(own_map)),
        ("test-data", differs_from(path(&source.test_data), file.and_then(|file| file.test.clone()))),
        ("tokenizer", differs(&tokenizer, &absolute_source(config.text.tokenizer.clone()))),
        ("vocab-size", differs(&args.vocab_size, &config.text.vocab_size)),
        ("epochs", differs(&args.epochs, &training.epochs)),
        ("batch-size", differs(&args.batch_size, &training.batch_size)),
        ("learning-rate", differs(&args.learning_rate, &training.learning_rate)),
        ("window", args.window.is_some() && args.window != training.window),
        ("condition-on-label", args.condition_on_label && config.labels.is_empty()),
        ("warmup", differs(&args.warmup, &training.warmup)),
        ("word-dropout", differs(&args.word_dropout, &training.word_dropout)),
        ("weight-decay", differs(&args.weight_decay, &training.weight_decay)),
        ("ema-decay", differs(&args.ema_decay, &training.ema_decay)),
        ("max-tokens", differs(&args.max_tokens, &training.max_tokens)),
        ("patience", args.patience.is_some() && args.patience != training.patience),
        ("seed", differs(&args.seed, &training.seed)),
    ];
    flags.into_iter().find(|(_, differs)| *differs).map(|(flag, _)| flag)
}

/// Whether `--dataset NAME` names the data set of a run.
fn is_dataset(name: &str, config: &DatasetConfig) -> bool {
    let is_automatic = name == "auto" && ["imdb", "sample"].contains(&config.name.as_str());
    config.file.is_none() && (name == config.name || is_automatic)
}

/// The entries of a label map in an order that does not matter.
fn sorted(entries: &[String]) -> Vec<String> {
    let mut entries: Vec<String> =
        entries.iter().map(|entry| entry.split('=').map(str::trim).collect::<Vec<_>>().join("=")).collect();
    entries.sort_unstable();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_have_no_special_characters() {
        let cases = [
            ("reviews_2.0-x", "reviews_2.0-x"),
            ("n\u{1b}[31mame", "n--31mame"),
            ("my reviews\n", "my-reviews-"),
            ("映画é", "映画é"),
        ];
        for (name, expected) in cases {
            assert_eq!(folder_name(name), expected);
        }
    }
}

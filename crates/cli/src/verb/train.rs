//! `convlens train`: a data set in, a run folder out.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convlens_data::Dataset;
use convlens_run::model::ModelConfig;
use convlens_run::text::TokenizerKind;
use convlens_run::{
    ChosenDevice, DatasetConfig, FORMAT, FileConfig, RunConfig, RunFolder, RunMetrics, Task, TokenizerSource,
};
use convlens_train::{Cache, Corpus, Event, Outcome, PRESETS, TrainError, Trainer, preset};
use indicatif::ProgressBar;

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::progress::{Stages, bar};
use crate::source::{RUNS, dataset, dataset_of};
use crate::verb::predict::explain_with;

/// The version of Burn that this is built with.
const BURN: &str = "0.22.1";

pub fn run(args: &TrainArgs) -> Result<(), Failure> {
    check(args)?;
    let device = args.device.open()?;
    let (folder, config, corpus, dataset) = match resumed_folder(args)? {
        Some(folder) => resume(args, folder)?,
        None => begin(args)?,
    };
    announce(&config, &corpus, &device, &folder);
    let stop = stop_on_ctrl_c();
    let checkpoint_every = Duration::from_secs_f64(args.checkpoint_every);
    let trainer = Trainer { folder: &folder, config: &config, corpus: &corpus, device: &device, checkpoint_every };
    let mut display = Display::default();
    let outcome = trainer.train(&stop, &mut |event| display.show(event));
    display.end();
    match outcome? {
        Outcome::Finished(metrics) if args.json => {
            line(serde_json::json!({ "run": folder.path(), "metrics": metrics }).to_string())
        }
        Outcome::Finished(metrics) => conclude(&folder, &metrics, &dataset),
        Outcome::Interrupted { epoch, step } => Err(Failure::Interrupted(format!(
            "stopped at epoch {epoch}, step {step}; nothing is lost. Go on with: convlens train --resume --out {}",
            folder.path().display()
        ))),
    }
}

fn check(args: &TrainArgs) -> Result<(), Failure> {
    let wrong = |flag, value: String, mend| Err(Failure::from(TrainError::Setting { flag, value, mend }));
    match args {
        TrainArgs { batch_size: Some(0), .. } => wrong("batch-size", "0".into(), "a step needs at least 1 text"),
        TrainArgs { epochs: Some(0), .. } => wrong("epochs", "0".into(), "train for at least 1"),
        TrainArgs { learning_rate: Some(rate), .. } if !(rate.is_finite() && *rate > 0.0) => {
            wrong("learning-rate", rate.to_string(), "a number above 0, such as 0.001")
        }
        TrainArgs { word_dropout: Some(chance), .. } if !(0.0..1.0).contains(chance) => {
            wrong("word-dropout", chance.to_string(), "a chance from 0 to below 1")
        }
        TrainArgs { weight_decay: Some(decay), .. } if !(decay.is_finite() && *decay >= 0.0) => {
            wrong("weight-decay", decay.to_string(), "a number, 0 or more")
        }
        TrainArgs { checkpoint_every, .. } if !(0.0..1e9).contains(checkpoint_every) => {
            wrong("checkpoint-every", checkpoint_every.to_string(), "a number of seconds, 0 or more")
        }
        TrainArgs { patience: Some(0), .. } => wrong("patience", "0".into(), "at least 1 epoch"),
        TrainArgs { vocab_size: Some(size @ 0..4), .. } => {
            wrong("vocab-size", size.to_string(), "at least 4: three special tokens and a word")
        }
        _ => Ok(()),
    }
}

/// The folder of the run to go on with, if it was begun.
fn resumed_folder(args: &TrainArgs) -> Result<Option<RunFolder>, Failure> {
    match (&args.out, args.resume) {
        (_, false) => Ok(None),
        (None, true) => Ok(Some(RunFolder::newest_begun(Path::new(RUNS))?)),
        // A run that was killed before it wrote its configuration begins anew.
        (Some(path), true) if holds_nothing_of_a_run(path) => Ok(None),
        (Some(path), true) => Ok(Some(RunFolder::open(path)?)),
    }
}

/// Whether there is no folder, or one with no more in it than a run leaves that was killed
/// before its configuration was written.
fn holds_nothing_of_a_run(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Err(_) => !path.exists(),
        Ok(entries) => entries.flatten().all(|entry| {
            let name = entry.file_name();
            name == "tokenizer.json" || name.to_string_lossy().starts_with(".writing-")
        }),
    }
}

type Begun = (RunFolder, RunConfig, Corpus, Dataset);

fn begin(args: &TrainArgs) -> Result<Begun, Failure> {
    if let Some(path) = &args.out
        && !holds_nothing_of_a_run(path)
    {
        RunFolder::create(path)?; // says that it exists
    }
    let preset = preset(args.preset.as_deref().unwrap_or(PRESETS[0].name))?;
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

    let file = args.file.config(args.test_data.as_deref())?;
    let dataset = dataset(args.dataset.as_deref(), file.as_ref(), training.seed)?;
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
        model: (preset.model)(corpus.tokenizer.vocab_size(), outputs),
        training,
    };
    let folder = begun_folder(args, &config)?;
    folder.write_tokenizer(&corpus.tokenizer_json)?;
    folder.write_config(&config)?;
    Ok((folder, config, corpus, dataset))
}

fn begun_folder(args: &TrainArgs, config: &RunConfig) -> Result<RunFolder, Failure> {
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = || format!("{}-{}", stem(&config.dataset.name).unwrap_or_default(), config.preset);
    let path: PathBuf = match &args.out {
        Some(path) => path.clone(),
        None => RunFolder::unused_name(Path::new(RUNS), &name()),
    };
    if args.out.is_some() && path.exists() && holds_nothing_of_a_run(&path) {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path()); // what stays is found by `create`
        }
    }
    Ok(RunFolder::create(&path)?)
}

fn dataset_config(dataset: &Dataset, corpus: &Corpus, file: Option<FileConfig>) -> DatasetConfig {
    DatasetConfig {
        name: dataset.name.clone(),
        file,
        fingerprint: corpus.fingerprint.clone(),
        train: corpus.train.len(),
        validation: corpus.validation.len(),
        test: corpus.test.len(),
    }
}

fn tokenizer_source(name: &str) -> TokenizerSource {
    match name {
        "words" => TokenizerSource::Trained(TokenizerKind::Words),
        "characters" => TokenizerSource::Trained(TokenizerKind::Characters),
        "bpe" => TokenizerSource::Trained(TokenizerKind::Bpe),
        path => TokenizerSource::File(path.into()),
    }
}

fn resume(args: &TrainArgs, folder: RunFolder) -> Result<Begun, Failure> {
    let config = folder.config()?;
    if let Some(flag) = disagreement(args, &config) {
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
    let corpus = Corpus::prepare(&dataset, &config.text, training.validation_fraction, training.seed, &cache, &show)?;
    if corpus.fingerprint != config.dataset.fingerprint {
        let name = &config.dataset.name;
        return Err(Failure::Input(format!(
            "{name}: has changed since the run began; put it back, or begin a new --out"
        )));
    }
    Ok((folder, config, corpus, dataset))
}

/// The first flag that asks for something else than the run was begun with.
fn disagreement(args: &TrainArgs, config: &RunConfig) -> Option<&'static str> {
    fn differs<T: PartialEq>(flag: &Option<T>, own: &T) -> bool {
        flag.as_ref().is_some_and(|flag| flag != own)
    }
    let training = &config.training;
    let path = config.dataset.file.as_ref().map(|file| &file.path);
    let known = args.dataset.as_ref().filter(|name| *name != "auto");
    let tokenizer = args.tokenizer.as_deref().map(tokenizer_source);
    let flags = [
        ("preset", differs(&args.preset, &config.preset)),
        ("dataset", known.is_some_and(|name| *name != config.dataset.name)),
        ("data", args.file.data.as_ref().is_some_and(|data| Some(data) != path)),
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

fn announce(config: &RunConfig, corpus: &Corpus, device: &ChosenDevice, folder: &RunFolder) {
    anstream::eprintln!(
        "training {} on {} ({} texts, {} for validation, {} tokens in the vocabulary) on {}, into {}",
        config.preset,
        config.dataset.name,
        thousands(corpus.train.len()),
        thousands(corpus.validation.len()),
        thousands(corpus.tokenizer.vocab_size()),
        device.name,
        folder.path().display()
    );
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will not write a checkpoint: {error}");
    }
    stop
}

/// Training as it goes: a bar an epoch on a terminal, a line an epoch anywhere.
#[derive(Default)]
struct Display {
    bar: Option<ProgressBar>,
}

impl Display {
    fn show(&mut self, event: Event) {
        match event {
            Event::Resumed { epoch, step } => anstream::eprintln!("going on at epoch {epoch}, after step {step}"),
            Event::Step { epoch, step, steps, loss, accuracy } => {
                if !std::io::stderr().is_terminal() {
                    return;
                }
                let new = || bar(steps, "epoch {prefix} {wide_bar} {pos}/{len} {msg} {per_sec} {eta}");
                let bar = self.bar.get_or_insert_with(new);
                bar.set_prefix(epoch.to_string());
                bar.set_message(format!("loss {loss:.4} accuracy {accuracy:.4}"));
                bar.set_position(step as u64);
            }
            Event::Epoch { metrics, is_best } => {
                self.end();
                let (train, validation) = (metrics.train, metrics.validation);
                anstream::eprintln!(
                    "epoch {}: loss {:.4}, accuracy {:.4}; validation loss {:.4}, accuracy {:.4}{} ({:.1} s)",
                    metrics.epoch,
                    train.loss,
                    train.accuracy,
                    validation.loss,
                    validation.accuracy,
                    if is_best { ", the best so far" } else { "" },
                    metrics.seconds
                );
            }
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Two test texts explained, and what was written where.
fn conclude(folder: &RunFolder, metrics: &RunMetrics, dataset: &Dataset) -> Result<(), Failure> {
    explain_with(folder.path(), &short_texts(dataset))?;
    line(format!(
        "{}: test accuracy {:.2} %, loss {:.4} (epoch {} of {}, {} texts a second); try: convlens predict --run {} \"…\"",
        folder.path().display(),
        100.0 * metrics.test.accuracy,
        metrics.test.loss,
        metrics.best_epoch,
        metrics.epochs,
        thousands(metrics.examples_per_second as usize),
        folder.path().display()
    ))
}

/// The shortest test text, and the shortest with another label.
fn short_texts(dataset: &Dataset) -> Vec<&str> {
    let test = &dataset.test;
    let shortest = |other_than: Option<usize>| {
        let fits = |index: &usize| Some(test.labels[*index]) != other_than;
        (0..test.len()).filter(fits).min_by_key(|&index| test.texts[index].len())
    };
    let first = shortest(None);
    let second = first.and_then(|first| shortest(Some(test.labels[first])));
    first.into_iter().chain(second).map(|index| test.texts[index].as_str()).collect()
}

//! `convlens train`: trains a model on a data set and writes a run folder.

mod display;
mod lexicon_vectors;
mod plan;
mod settings;
mod teacher;
mod unlabelled;
mod vectors;

use std::path::Path;
use std::time::Duration;

use convlens_run::{ChosenDevice, RunConfig, RunFolder, RunMetrics, Task};
use convlens_train::{Corpus, Outcome, Trainer};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::interruption::Interruption;
use crate::message::message;
use crate::output::{line, thousands};
use crate::source::short_texts;
use crate::verb::analyze::{analyze_trained, analyze_trained_language_model, analyze_trained_tagger};
use crate::verb::generate::write_with;
use crate::verb::predict::{explain_with, tag_with};
use display::Display;
use plan::{Data, Plan};

/// The maximum size of a vocabulary, as in `config.json`.
const MOST_TOKENS: usize = i32::MAX as usize;

pub fn run(args: &TrainArgs) -> Result<(), Failure> {
    check(args)?;
    let device = args.device.open()?;
    let Plan { folder, config, corpus, data, lock } = Plan::new(args)?;
    announce(&config, &corpus, &device, &folder);
    log::info!("configuration: {config:?}");
    let interruption = Interruption::new();
    let checkpoint_every = Duration::from_secs_f64(args.checkpoint_every);
    let trainer = Trainer { folder: &folder, config: &config, corpus: &corpus, device: &device, checkpoint_every };
    let mut display = Display::default();
    let outcome = trainer.train(interruption.is_requested(), &mut |event| display.show(event));
    display.end();
    drop(lock);
    let path = folder.path().display();
    let metrics = match outcome? {
        Outcome::Finished(metrics) => metrics,
        Outcome::InterruptedVectors { of, done, total } => {
            let (done, total) = (thousands(done), thousands(total));
            return Err(Failure::Interrupted(format!(
                "stopped after reading {done} of {total} texts for the {}; nothing is lost. Continue with: convlens train --resume --out {path}",
                of.name()
            )));
        }
        Outcome::Interrupted { epoch, step } => {
            return Err(Failure::Interrupted(format!(
                "stopped at epoch {epoch}, step {step}; nothing is lost. Continue with: convlens train --resume --out {path}"
            )));
        }
    };
    let report = if args.analyze {
        interruption.end_at_once(format!("{path} is trained; analyse it with: convlens analyze --run {path}"))?;
        Some(match &data {
            Data::Texts(dataset) => analyze_trained(&folder, &dataset.test)?,
            Data::Sentences(dataset) => analyze_trained_tagger(&folder, &dataset.test)?,
            Data::Plain(dataset) => analyze_trained_language_model(&folder, &dataset.test.texts)?,
        })
    } else {
        None
    };
    if args.json {
        let (run, report) = (path.to_string(), report.map(|report| report.display().to_string()));
        line(serde_json::json!({ "run": run, "metrics": metrics, "report": report }).to_string())
    } else {
        conclude(&folder, &metrics, &data, report.as_deref())
    }
}

/// Refuses values that no training can use.
fn check(args: &TrainArgs) -> Result<(), Failure> {
    let refuse =
        |flag: &str, value: String, expected: &str| Err(Failure::Input(format!("--{flag} {value}: {expected}")));
    match args {
        TrainArgs { batch_size: Some(0), .. } => refuse("batch-size", "0".into(), "a step needs at least 1 text"),
        TrainArgs { epochs: Some(0), .. } => refuse("epochs", "0".into(), "train for at least 1 epoch"),
        TrainArgs { window: Some(0), .. } => refuse("window", "0".into(), "use at least 1 token"),
        TrainArgs { max_tokens: Some(0), .. } => refuse("max-tokens", "0".into(), "read at least 1 token"),
        TrainArgs { learning_rate: Some(rate), .. } if !(rate.is_finite() && *rate > 0.0) => {
            refuse("learning-rate", rate.to_string(), "use a number above 0, such as 0.001")
        }
        TrainArgs { warmup: Some(share), .. } if !(0.0..1.0).contains(share) => {
            refuse("warmup", share.to_string(), "use a share from 0 to below 1")
        }
        TrainArgs { word_dropout: Some(chance), .. } if !(0.0..1.0).contains(chance) => {
            refuse("word-dropout", chance.to_string(), "use a probability from 0 to below 1")
        }
        TrainArgs { weight_decay: Some(decay), .. } if !(decay.is_finite() && *decay >= 0.0) => {
            refuse("weight-decay", decay.to_string(), "use a number, 0 or more")
        }
        TrainArgs { checkpoint_every, .. } if !(0.0..1e9).contains(checkpoint_every) => {
            refuse("checkpoint-every", checkpoint_every.to_string(), "use a number of seconds, 0 or more")
        }
        TrainArgs { patience: Some(0), .. } => refuse("patience", "0".into(), "wait for at least 1 epoch"),
        TrainArgs { vocab_size: Some(size @ 0..4), .. } => {
            refuse("vocab-size", size.to_string(), "use at least 4: three special tokens and a word")
        }
        TrainArgs { vocab_size: Some(size), .. } if *size > MOST_TOKENS => {
            refuse("vocab-size", size.to_string(), "use at most 2147483647")
        }
        _ => Ok(()),
    }
}

fn announce(config: &RunConfig, corpus: &Corpus, device: &ChosenDevice, folder: &RunFolder) {
    let unit = if config.task == Task::Tag { "sentences" } else { "texts" };
    message(format!(
        "training {} on {} ({} {unit}, {} for validation, {} tokens in the vocabulary) on {}, into {}",
        config.preset,
        config.dataset.name,
        thousands(corpus.train.len()),
        thousands(corpus.validation.len()),
        thousands(corpus.tokenizer.vocab_size()),
        device.name,
        folder.path().display()
    ));
}

/// Prints two explained test texts and the result.
fn conclude(folder: &RunFolder, metrics: &RunMetrics, data: &Data, report: Option<&Path>) -> Result<(), Failure> {
    match data {
        Data::Texts(dataset) => explain_with(folder.path(), &short_texts(dataset)?)?,
        Data::Sentences(dataset) => tag_with(folder.path(), &dataset.test)?,
        Data::Plain(_) => write_with(folder.path())?,
    }
    let run = folder.path().display();
    let next = match report {
        Some(report) => format!("open {}", report.display()),
        None if matches!(data, Data::Plain(_)) => format!("try: convlens generate --run {run} \"…\""),
        None => format!("try: convlens predict --run {run} \"…\", or convlens analyze"),
    };
    let units = match data {
        Data::Texts(_) => "texts",
        Data::Sentences(_) => "sentences",
        Data::Plain(_) => "tokens",
    };
    if let Some(perplexity) = metrics.test.perplexity {
        let bits = metrics.test.bits_per_character.map(|bits| format!(", {bits:.3} bits per character"));
        return line(format!(
            "{run}: test loss {:.4}, perplexity {perplexity:.3}{} (epoch {} of {}, {} {units} per second); {next}",
            metrics.test.loss,
            bits.unwrap_or_default(),
            metrics.best_epoch,
            metrics.epochs,
            thousands(metrics.examples_per_second as usize)
        ));
    }
    let f1 = metrics.test.f1.map(|f1| format!(", F1 of spans {:.2} %", 100.0 * f1)).unwrap_or_default();
    line(format!(
        "{run}: test accuracy {:.2} %{f1}, loss {:.4} (epoch {} of {}, {} {units} per second); {next}",
        100.0 * metrics.test.accuracy,
        metrics.test.loss,
        metrics.best_epoch,
        metrics.epochs,
        thousands(metrics.examples_per_second as usize)
    ))
}

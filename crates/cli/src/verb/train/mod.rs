//! `convlens train`: a data set in, a run folder out.

mod display;
mod plan;
mod settings;

use std::path::Path;
use std::time::Duration;

use convlens_data::Dataset;
use convlens_run::{ChosenDevice, RunConfig, RunFolder, RunMetrics};
use convlens_train::{Corpus, Outcome, TrainError, Trainer};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::interruption::stop_on_interruption;
use crate::message::message;
use crate::output::{line, thousands};
use crate::source::short_texts;
use crate::verb::analyze::analyze_trained;
use crate::verb::predict::explain_with;
use display::Display;
use plan::Plan;

pub fn run(args: &TrainArgs) -> Result<(), Failure> {
    check(args)?;
    let device = args.device.open()?;
    let Plan { folder, config, corpus, dataset } = Plan::new(args)?;
    announce(&config, &corpus, &device, &folder);
    log::info!("configuration: {config:?}");
    let stop = stop_on_interruption();
    let checkpoint_every = Duration::from_secs_f64(args.checkpoint_every);
    let trainer = Trainer { folder: &folder, config: &config, corpus: &corpus, device: &device, checkpoint_every };
    let mut display = Display::default();
    let outcome = trainer.train(&stop, &mut |event| display.show(event));
    display.end();
    match outcome? {
        Outcome::Finished(metrics) => {
            let report = args.analyze.then(|| analyze_trained(&folder, &dataset.test)).transpose()?;
            match args.json {
                true => {
                    let result = serde_json::json!({ "run": folder.path(), "metrics": metrics, "report": report });
                    line(result.to_string())
                }
                false => conclude(&folder, &metrics, &dataset, report.as_deref()),
            }
        }
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

fn announce(config: &RunConfig, corpus: &Corpus, device: &ChosenDevice, folder: &RunFolder) {
    message(format!(
        "training {} on {} ({} texts, {} for validation, {} tokens in the vocabulary) on {}, into {}",
        config.preset,
        config.dataset.name,
        thousands(corpus.train.len()),
        thousands(corpus.validation.len()),
        thousands(corpus.tokenizer.vocab_size()),
        device.name,
        folder.path().display()
    ));
}

/// Two test texts explained, and what was written where.
fn conclude(folder: &RunFolder, metrics: &RunMetrics, dataset: &Dataset, report: Option<&Path>) -> Result<(), Failure> {
    explain_with(folder.path(), &short_texts(dataset)?)?;
    let run = folder.path().display();
    let next = match report {
        Some(report) => format!("open {}", report.display()),
        None => format!("try: convlens predict --run {run} \"…\", or convlens analyze"),
    };
    line(format!(
        "{run}: test accuracy {:.2} %, loss {:.4} (epoch {} of {}, {} texts a second); {next}",
        100.0 * metrics.test.accuracy,
        metrics.test.loss,
        metrics.best_epoch,
        metrics.epochs,
        thousands(metrics.examples_per_second as usize)
    ))
}

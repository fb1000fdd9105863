//! The parts of a run that the page gets: its files, what it has learnt, examples.

use std::path::Path;

use convlens_analysis::learnt;
use convlens_data::known;
use convlens_run::{ConvRunConfig, METRICS, Precision, Run, RunConfig, RunFiles, RunFolder, Task};
use indicatif::HumanCount;
use serde_json::json;

use super::{Files, SITE, SMALL, WEBGPU};
use crate::args::WebArgs;
use crate::failure::Failure;
use crate::source::{dataset_of, short_texts};
use crate::tagged::tagged_dataset_again;

/// The folder of the run that computes the scores.
const RUN: &str = "run/";
/// The folder of the layers of a run that is sent folded.
const LAYERS: &str = "layers/";
/// What a classifier that is not folded has learnt.
const LEARNT: &str = "learnt.json";
/// How many words each filter is shown with.
const WORDS: usize = 10;
/// The maximum number of bytes of weights that a visitor should have to fetch.
const MOST_BYTES: usize = 32 << 20;
/// How many texts of the bundled sample are sent, for visitors without a file of their own.
const SAMPLE_TEXTS: usize = 1_500;

/// Example texts for runs that were trained on one of the known data sets, all of which are film reviews.
const FILM_EXAMPLES: [&str; 3] = [
    "A good film, and not a boring one: the plot is clever, the acting superb.",
    "I wanted to like it, but the story is dull and the ending a waste of two hours.",
    "Not bad at all. The first half drags, and then it becomes wonderful!",
];

/// Example sentences for runs that tag: with names, and with words whose tags depend on their neighbours.
const TAG_EXAMPLES: [&str; 3] = [
    "They play well in this play, and every show ends with a good end.",
    "Mary Brown flew from Paris to New York with Acme Airlines on Monday.",
    "Dr. Lee isn't here. Can you call her back at 10:30?",
];

/// The files of a run as the page gets them.
pub struct Parts {
    /// What computes the scores: the run, or the table that it folds into.
    run: RunFiles,
    /// The layers of a run that is sent folded.
    layers: Option<RunFiles>,
}

impl Parts {
    /// Folds and packs a run. Refuses one that is too large for a page.
    pub fn new(folder: &RunFolder, run: &Run, args: &WebArgs) -> Result<Self, Failure> {
        let own = run.files()?;
        let (parts, precision) = match folded(run)? {
            Some(folded) => {
                let precision = args.precision.unwrap_or(Precision::Int6);
                let layers = Some(own.packed(precision)?);
                // Both parts must name the same tokenizer.
                (Self { run: RunFiles { tokenizer: own.tokenizer, ..folded.files()? }, layers }, precision)
            }
            None => {
                // The encoder beside a lexicon has a small share of the logits.
                let own_choice = if run.model.lexicon.is_some() { Precision::Int6 } else { Precision::default() };
                let precision = args.precision.unwrap_or(own_choice);
                (Self { run: own.packed(precision)?, layers: None }, precision)
            }
        };
        let size = parts.run.weights.len() + parts.layers.as_ref().map_or(0, |layers| layers.weights.len());
        if size > MOST_BYTES { Err(too_large(folder, size, precision)) } else { Ok(parts) }
    }

    /// Whether the table computes the scores.
    fn is_folded(&self) -> bool {
        self.layers.is_some()
    }

    /// Whether the scores can be computed without tensors.
    pub fn need_no_tensors(&self) -> bool {
        self.is_folded() || ConvRunConfig::from_json(&self.run.config, Path::new("")).is_ok()
    }
}

/// The table that a classifier folds into, if it is smaller than the run. With many classes it is not.
fn folded(run: &Run) -> Result<Option<Run>, Failure> {
    if run.config.task != Task::Classify {
        return Ok(None);
    }
    let folded = run.folded()?;
    Ok(folded.filter(|folded| folded.config.model.embedding <= run.config.model.embedding))
}

/// Adds the run's files, what it has learnt, the sample, and `site.json`, which describes them to the page.
pub fn add(folder: &RunFolder, run: &Run, parts: Parts, examples: &[String], files: &mut Files) -> Result<(), Failure> {
    let is_folded = parts.is_folded();
    files.insert(format!("{RUN}config.json"), parts.run.config);
    files.insert(format!("{RUN}tokenizer.json"), parts.run.tokenizer);
    files.insert(format!("{RUN}model.safetensors"), parts.run.weights);
    let classifies = run.config.task == Task::Classify;
    match parts.layers {
        Some(layers) => {
            files.insert(format!("{LAYERS}config.json"), layers.config);
            files.insert(format!("{LAYERS}model.safetensors"), layers.weights);
        }
        None if !classifies => {}
        // The page would need seconds to compute it.
        None => {
            let learnt = learnt(run, run.word_table()?.as_ref(), WORDS, usize::MAX)?;
            files.insert(LEARNT.into(), learnt.to_string().into_bytes());
        }
    }
    let metrics = folder.metrics()?;
    if let Some(metrics) = &metrics {
        let mut metrics = metrics.clone();
        metrics.dataset.clone_from(&run.config.dataset.name);
        let json =
            serde_json::to_vec_pretty(&metrics).unwrap_or_else(|error| unreachable!("numbers are JSON: {error}"));
        files.insert(format!("{RUN}{METRICS}"), json);
    }
    files.insert("sample.csv".into(), sample()?);
    let name = folder.path().canonicalize().unwrap_or_else(|_| folder.path().into());
    let site = json!({
        "name": name.file_name().map(|name| name.to_string_lossy()),
        "task": run.config.task,
        "accuracy": metrics.as_ref().map(|metrics| metrics.test.accuracy),
        "f1": metrics.as_ref().and_then(|metrics| metrics.test.f1),
        "perplexity": metrics.and_then(|metrics| metrics.test.perplexity),
        "layers": is_folded,
        "learnt": files.contains_key(LEARNT),
        "small": files.keys().any(|name| name.starts_with(SMALL)),
        "webgpu": files.keys().any(|name| name.starts_with(WEBGPU)),
        "examples": examples,
    });
    files.insert(SITE.into(), site.to_string().into_bytes());
    Ok(())
}

/// The texts to start from: those given; texts of the test split only if the user asked for them to be
/// published; else our own if the run tags or was trained on a known data set, and none otherwise.
pub fn examples(config: &RunConfig, args: &WebArgs) -> Result<Vec<String>, Failure> {
    if !args.example.is_empty() {
        Ok(args.example.clone())
    } else if config.window().is_some() {
        // A text begins with nothing.
        Ok(Vec::new())
    } else if config.task == Task::Tag {
        if args.publish_texts { short_sentences(config) } else { Ok(TAG_EXAMPLES.map(String::from).to_vec()) }
    } else if args.publish_texts {
        let dataset = dataset_of(&config.dataset, config.training.seed)?;
        Ok(short_texts(&dataset)?.into_iter().map(|text| text.into_owned()).collect())
    } else if config.dataset.file.is_none() && known(&config.dataset.name).is_ok() {
        Ok(FILM_EXAMPLES.map(String::from).to_vec())
    } else {
        Ok(Vec::new())
    }
}

/// The two shortest test sentences of several words.
fn short_sentences(config: &RunConfig) -> Result<Vec<String>, Failure> {
    let dataset = tagged_dataset_again(config, "so its sentences cannot be published; restore it, or use --example")?;
    Ok(dataset.test.shortest(2).into_iter().map(|words| words.join(" ")).collect())
}

fn too_large(folder: &RunFolder, size: usize, precision: Precision) -> Failure {
    let advice = match precision {
        Precision::Int8 | Precision::Int6 => "train a smaller model",
        _ => "try --precision int8, or train a smaller model",
    };
    Failure::Input(format!(
        "{}: {} MB of weights as {precision}, and a page takes up to {}; {advice}",
        folder.path().display(),
        HumanCount(size.div_ceil(1 << 20) as u64),
        MOST_BYTES >> 20,
    ))
}

/// The bundled sample as a CSV, in the form in which a visitor's file would come.
fn sample() -> Result<Vec<u8>, Failure> {
    let sample = convlens_data::generate_sample(convlens_data::SAMPLE_SEED);
    let mut csv = Vec::new();
    let written = sample.train.first(SAMPLE_TEXTS).write_csv(&sample.labels, &mut csv);
    written.map_err(|error| Failure::Input(format!("the bundled sample: {error}")))?;
    Ok(csv)
}

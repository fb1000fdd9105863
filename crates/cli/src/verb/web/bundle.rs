//! What a page is sent of a run.

use convlens_analysis::learnt;
use convlens_run::{METRICS, Precision, Run, RunConfig, RunFiles, RunFolder};
use serde_json::json;

use super::{Files, SITE, TABLE, WEBGPU};
use crate::args::WebArgs;
use crate::failure::Failure;
use crate::output::thousands;
use crate::source::{dataset_of, short_texts};

/// The folder of the run that scores.
pub const RUN: &str = "run/";
/// The folder of the layers of a run that is sent folded.
pub const LAYERS: &str = "layers/";
/// How many words a filter is shown with.
const WORDS: usize = 10;
/// The most bytes of weights that a page should ask of its visitors.
const MOST_BYTES: usize = 32 << 20;
/// The bundled sample, for visitors without a file of their own.
const SAMPLE_TEXTS: usize = 1_500;

/// Texts to start from, where the run has read about films.
const ABOUT_FILMS: [&str; 3] = [
    "A good film, and not a boring one: the plot is clever, the acting superb.",
    "I wanted to like it, but the story is dull and the ending a waste of two hours.",
    "Not bad at all. The first half drags, and then it becomes wonderful!",
];

/// The table that a run folds into, where it is the smaller: of many classes it is not.
fn folded(run: &Run) -> Result<Option<Run>, Failure> {
    let folded = run.folded()?;
    Ok(folded.filter(|folded| folded.config.model.embedding <= run.config.model.embedding))
}

/// A run as a page gets it.
pub struct Sent {
    /// What scores: the run, or the table that it folds into.
    run: RunFiles,
    /// The layers of a run that is sent folded.
    layers: Option<RunFiles>,
}

impl Sent {
    /// Whether what scores is the table.
    pub fn is_folded(&self) -> bool {
        self.layers.is_some()
    }
}

/// A run as a page gets it; refused where it is too large for one.
pub fn sent(folder: &RunFolder, run: &Run, args: &WebArgs) -> Result<Sent, Failure> {
    let own = run.files()?;
    let (sent, precision) = match folded(run)? {
        Some(folded) => {
            let precision = args.precision.unwrap_or(Precision::Int6);
            let layers = Some(own.packed(precision)?);
            // The very tokenizer that the layers name.
            (Sent { run: RunFiles { tokenizer: own.tokenizer, ..folded.files()? }, layers }, precision)
        }
        None => {
            let precision = args.precision.unwrap_or_default();
            (Sent { run: own.packed(precision)?, layers: None }, precision)
        }
    };
    let size = sent.run.weights.len() + sent.layers.as_ref().map_or(0, |layers| layers.weights.len());
    match size > MOST_BYTES {
        true => Err(too_large(folder, size, precision)),
        false => Ok(sent),
    }
}

/// Adds the run's files, what it has learnt, the sample, and `site.json`, which tells the page of them.
pub fn add(folder: &RunFolder, run: &Run, sent: Sent, args: &WebArgs, files: &mut Files) -> Result<(), Failure> {
    let is_folded = sent.is_folded();
    files.insert(format!("{RUN}config.json"), sent.run.config);
    files.insert(format!("{RUN}tokenizer.json"), sent.run.tokenizer);
    files.insert(format!("{RUN}model.safetensors"), sent.run.weights);
    match sent.layers {
        Some(layers) => {
            files.insert(format!("{LAYERS}config.json"), layers.config);
            files.insert(format!("{LAYERS}model.safetensors"), layers.weights);
        }
        // What the page would take seconds to find out is sent along.
        None => {
            let learnt = learnt(run, run.word_table()?.as_ref(), WORDS, usize::MAX)?;
            files.insert("learnt.json".into(), learnt.to_string().into_bytes());
        }
    }
    let metrics = folder.metrics()?;
    if metrics.is_some() {
        files.insert(format!("{RUN}{METRICS}"), folder.read(METRICS)?);
    }
    files.insert("sample.csv".into(), sample()?);
    let name = folder.path().canonicalize().unwrap_or_else(|_| folder.path().into());
    let site = json!({
        "name": name.file_name().map(|name| name.to_string_lossy()),
        "accuracy": metrics.map(|metrics| metrics.test.accuracy),
        "layers": is_folded,
        "learnt": !is_folded,
        "table": files.keys().any(|name| name.starts_with(TABLE)),
        "webgpu": files.keys().any(|name| name.starts_with(WEBGPU)),
        "examples": examples(&run.config, &args.example),
    });
    files.insert(SITE.into(), site.to_string().into_bytes());
    Ok(())
}

/// Texts to start from: the user's, else some of the kind that the run has read; none where its data can
/// no longer be read.
fn examples(config: &RunConfig, given: &[String]) -> Vec<String> {
    if !given.is_empty() {
        return given.to_vec();
    }
    if config.dataset.file.is_none() {
        return ABOUT_FILMS.map(String::from).to_vec();
    }
    let texts = dataset_of(&config.dataset, config.training.seed)
        .and_then(|dataset| Ok(short_texts(&dataset)?.into_iter().map(|text| text.into_owned()).collect()));
    texts.unwrap_or_else(|error| {
        log::warn!("no examples from {}: {error:?}", config.dataset.name);
        Vec::new()
    })
}

fn too_large(folder: &RunFolder, size: usize, precision: Precision) -> Failure {
    let mend = match precision {
        Precision::Int8 | Precision::Int6 => "train a smaller model",
        _ => "try --precision int8, or a smaller model",
    };
    Failure::Input(format!(
        "{}: {} MB of weights as {precision}, and a page takes up to {}; {mend}",
        folder.path().display(),
        thousands(size.div_ceil(1 << 20)),
        MOST_BYTES >> 20,
    ))
}

/// The bundled sample as a CSV, as a visitor's file would be.
fn sample() -> Result<Vec<u8>, Failure> {
    let sample = convlens_data::generate_sample(convlens_data::SAMPLE_SEED);
    let mut csv = Vec::new();
    let written = sample.train.first(SAMPLE_TEXTS).write_csv(&sample.labels, &mut csv);
    written.map_err(|error| Failure::Input(format!("the bundled sample: {error}")))?;
    Ok(csv)
}

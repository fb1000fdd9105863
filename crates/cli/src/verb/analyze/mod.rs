//! `convlens analyze`: shows what a trained model has learnt, as JSON, pictures and one report.

mod language_model;
mod tags;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use convlens_analysis::{
    Analysis, Compared, Corpus, Judged, JudgedPhrase, NamedFile, Options, TextSource, analysis_file, check_labels,
    check_writable, comparison, read_treebank, report, write_analyses,
};
use convlens_data::{Examples, TextList};
use convlens_run::{ChosenDevice, DeviceChoice, Run, RunFolder, RunMetrics, Task, WordVectors};
use convlens_train::Stage;

use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::progress::Stages;
use crate::source::{run_folder, texts_for};
pub use language_model::analyze_trained_language_model;
pub use tags::analyze_trained_tagger;

/// The names of the pages.
const REPORT: &str = "report.html";
const COMPARISON: &str = "comparison.html";
/// The maximum number of words and phrases in a list. Every filter has lists of its own.
const MOST_WORDS: usize = 1_000;

pub fn run(args: &AnalyzeArgs) -> Result<(), Failure> {
    check(args)?;
    let device = args.device.open()?;
    // Whatever can fail without reading the texts fails before they are read.
    let first = Subject::open(run_folder(args.run.as_deref())?, &device)?;
    if first.run.config.task == Task::Tag {
        return tags::run(args, first);
    }
    if first.run.config.window().is_some() {
        return language_model::run(args, first);
    }
    let second = match &args.against {
        Some(path) => Some(Subject::open(RunFolder::open(path)?, &device)?),
        None => None,
    };
    if let Some(second) = &second {
        let (own, other) = (first.run.config.task, second.run.config.task);
        if own != other {
            return Err(Failure::Input(format!(
                "--against {}: this run {other}, and the other {own}; name a run with the same task",
                second.name
            )));
        }
        check_labels(&first.run, &second.run)?;
    }
    if args.sst.is_some() {
        Judged::check(&first.run)?;
    }
    let treebank = args.sst.as_deref().map(read_treebank).transpose()?;
    let (name, examples) = texts_for(&first.run.config, args.dataset.as_deref(), &args.file, "test")?;
    if examples.is_empty() {
        return Err(Failure::Input(format!("{name}: there are no texts to analyse the model with")));
    }
    let source = Source(&examples.texts);
    let corpus = Corpus::new(&source, &examples.labels);
    let default = Options::default();
    let options = Options {
        own: args.text.clone(),
        explained: args.texts.unwrap_or(default.explained),
        words: args.words,
        tolerance: args.tolerance.unwrap_or(default.tolerance),
        seed: args.seed,
        ..default
    };
    let first = first.analyze(&corpus, treebank.as_deref(), &options)?;
    let second = second.map(|second| second.analyze(&corpus, treebank.as_deref(), &options)).transpose()?;
    // Everything is computed before the first file is written.
    let page = match &second {
        None => {
            write_analyses(&[(&first.subject.folder, first.files()?)])?;
            analysis_file(&first.subject.folder, REPORT)
        }
        Some(second) => {
            let stages = Stages::default();
            let on_stage = |name, done, total| stages.show(Stage { name, done, total });
            let page = comparison([first.compared(), second.compared()], &corpus, &on_stage)?;
            let mut files = first.files()?;
            files.push((COMPARISON.into(), page.into_bytes()));
            write_analyses(&[(&first.subject.folder, files), (&second.subject.folder, second.files()?)])?;
            analysis_file(&first.subject.folder, COMPARISON)
        }
    };
    if args.json { line(first.json(&name, &page).to_string()) } else { first.conclude(&name, &page) }
}

/// Analyses a run that was just trained, as `convlens analyze` does; returns the path of the report.
pub fn analyze_trained(folder: &RunFolder, test: &Examples) -> Result<PathBuf, Failure> {
    let subject = Subject::open(RunFolder::open(folder.path())?, &DeviceChoice::Cpu.open()?)?;
    let source = Source(&test.texts);
    let analyzed = subject.analyze(&Corpus::new(&source, &test.labels), None, &Options::default())?;
    write_analyses(&[(folder, analyzed.files()?)])?;
    Ok(analysis_file(folder, REPORT))
}

fn check(args: &AnalyzeArgs) -> Result<(), Failure> {
    let error = |message: &str| Err(Failure::Input(message.into()));
    match args {
        AnalyzeArgs { texts: Some(0), .. } => error("--texts 0: at least 1 text is needed"),
        AnalyzeArgs { words: 0, .. } => error("--words 0: a list needs at least 1 word"),
        AnalyzeArgs { words, .. } if *words > MOST_WORDS => {
            error(&format!("--words {words}: a list has at most {} words; ask for fewer", thousands(MOST_WORDS)))
        }
        AnalyzeArgs { tolerance: Some(tolerance), .. } if !(tolerance.is_finite() && *tolerance >= 0.0) => {
            error(&format!("--tolerance {tolerance}: it must be a finite number, 0 or more"))
        }
        _ => Ok(()),
    }
}

/// Texts of a data set, which may be on disk.
struct Source<'a>(&'a TextList);

impl TextSource for Source<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self, index: usize) -> usize {
        self.0.bytes(index)
    }

    fn text(&self, index: usize) -> Result<Cow<'_, str>, String> {
        self.0.get(index).map_err(|error| error.to_string())
    }
}

/// Refuses the first of some flags that is given, each with the reason why it has no meaning for a run.
fn refuse_given(flags: &[(&str, bool, &str)]) -> Result<(), Failure> {
    match flags.iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, reason)) => Err(Failure::Input(format!("--{flag}: {reason}; leave the flag out"))),
        None => Ok(()),
    }
}

/// A run to analyse.
struct Subject {
    folder: RunFolder,
    name: String,
    run: Run,
    metrics: Option<RunMetrics>,
}

impl Subject {
    /// Opens a run, and makes sure that its analysis can be written.
    fn open(folder: RunFolder, device: &ChosenDevice) -> Result<Self, Failure> {
        let run = Run::open_on(&folder, &device.device)?;
        let metrics = folder.metrics()?;
        check_writable(&folder)?;
        Ok(Self { name: folder.path().display().to_string(), folder, run, metrics })
    }

    fn analyze(
        self,
        corpus: &Corpus<'_>,
        treebank: Option<&[JudgedPhrase]>,
        options: &Options,
    ) -> Result<Analyzed, Failure> {
        let stages = Stages::default();
        let on_stage = |name, done, total| stages.show(Stage { name, done, total });
        let vectors = match &self.run.config.vectors {
            Some(vectors) if WordVectors::are_in(&self.folder) => {
                Some(WordVectors::read(&self.folder, self.run.config.model.vocab_size, vectors.dimensions)?)
            }
            _ => None,
        };
        let options = Options { vectors, ..options.clone() };
        let analysis = Analysis::new(&self.run, corpus, treebank, &options, &on_stage)?;
        analysis.left_out.iter().for_each(|note| log::warn!("{}: {note}", self.name));
        Ok(Analyzed { subject: self, analysis })
    }
}

/// A run and its analysis.
struct Analyzed {
    subject: Subject,
    analysis: Analysis,
}

impl Analyzed {
    fn compared(&self) -> Compared<'_> {
        let Subject { name, run, metrics, .. } = &self.subject;
        Compared { name, run, metrics: metrics.as_ref(), analysis: &self.analysis }
    }

    /// The names and contents of all files, the report last.
    fn files(&self) -> Result<Vec<NamedFile>, Failure> {
        let Subject { name, run, metrics, .. } = &self.subject;
        let mut files = self.analysis.files()?;
        files.push((REPORT.into(), report(run, &self.analysis, metrics.as_ref(), name)?.into_bytes()));
        Ok(files)
    }

    fn json(&self, texts: &str, page: &Path) -> serde_json::Value {
        serde_json::json!({
            "run": self.subject.folder.path().display().to_string(),
            "texts": texts,
            "page": page.display().to_string(),
            "certificate": self.analysis.certificate,
            "explained_variance_ratio": self.analysis.plane.pca.explained_variance_ratio,
            "effective_rank": self.analysis.plane.pca.effective_rank,
            "filters_on_their_side": self.analysis.plane.agreement(),
            "faithfulness": self.analysis.faithfulness,
            "sst": self.analysis.judged,
            "pairs": self.analysis.pairs,
            "left_out": self.analysis.left_out,
        })
    }

    fn conclude(&self, texts: &str, page: &Path) -> Result<(), Failure> {
        let certificate = &self.analysis.certificate;
        let folded = certificate
            .folded
            .map_or_else(String::new, |folded| format!(", and {:.0e} for the folded table", folded.max));
        line(format!(
            "{} texts of {texts}: the parts add up to the logits; the largest residual is {:.0e}{folded}",
            thousands(certificate.texts),
            certificate.phrases.max
        ))?;
        if let Some(pairs) = &self.analysis.pairs {
            line(format!("{} of {} minimal pairs have both labels right", pairs.all.passed, pairs.all.count))?;
        }
        if let Some(judged) = &self.analysis.judged {
            let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.3}"));
            line(format!(
                "{} phrases with human labels: rank correlation {}, accuracy of the sign {}",
                thousands(judged.all.count),
                figure(judged.all.rank_correlation),
                figure(judged.all.accuracy)
            ))?;
        }
        line(format!("open {}", page.display()))
    }
}

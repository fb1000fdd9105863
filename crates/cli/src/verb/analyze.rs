//! `convlens analyze`: what a trained model has learnt, as figures, pictures and one report.

use std::path::{Path, PathBuf};

use convlens_analysis::{
    Analysis, Compared, JudgedPhrase, Options, Texts, comparison, read_treebank, report, write_analysis,
};
use convlens_data::Examples;
use convlens_run::{Run, RunFolder, RunMetrics};
use convlens_train::Stage;

use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::progress::Stages;
use crate::source::{run_folder, texts_for};

pub fn run(args: &AnalyzeArgs) -> Result<(), Failure> {
    check(args)?;
    let device = args.device.open()?.device;
    let folder = run_folder(args.run.as_deref())?;
    let run = Run::open_on(&folder, &device)?;
    let treebank = args.sst.as_deref().map(read_treebank).transpose()?;
    let (name, examples) = texts_for(&run.config, args.dataset.as_deref(), &args.file, "test")?;
    if examples.is_empty() {
        return Err(Failure::Input(format!("{name}: no texts to look at the model with")));
    }
    let texts = examples.texts.to_vec()?;
    let examples = (texts.as_slice(), examples.labels.as_slice());
    let first = Analyzed::of(folder, run, examples, treebank.as_deref(), args)?;
    let page = match &args.against {
        None => first.write()?,
        Some(against) => {
            let folder = RunFolder::open(against)?;
            let run = Run::open_on(&folder, &device)?;
            let second = Analyzed::of(folder, run, examples, treebank.as_deref(), args)?;
            let page = ("comparison.html".to_owned(), comparison([first.compared(), second.compared()])?.into_bytes());
            first.write()?;
            second.write()?;
            write_analysis(&first.folder, &[page])?
        }
    };
    match args.json {
        true => line(first.json(&name, &page).to_string()),
        false => first.conclude(&name, &page),
    }
}

/// Analyses a run that was just trained, as `convlens analyze` does; returns the report's path.
pub fn analyze_trained(folder: &RunFolder, test: &Examples) -> Result<PathBuf, Failure> {
    let run = Run::open(folder.path())?;
    let stages = Stages::default();
    let on_stage = |name, done, total| stages.show(Stage { name, done, total });
    let all = test.texts.to_vec()?;
    let texts = Texts::encode(&run, &all, &test.labels, &on_stage)?;
    let analysis = Analysis::of(&run, &texts, None, &Options::default(), &on_stage)?;
    write(folder, &run, &analysis, folder.metrics()?.as_ref())
}

fn check(args: &AnalyzeArgs) -> Result<(), Failure> {
    let wrong = |message: &str| Err(Failure::Input(message.into()));
    match args {
        AnalyzeArgs { texts: 0, .. } => wrong("--texts 0: at least 1 text is needed"),
        AnalyzeArgs { words: 0, .. } => wrong("--words 0: a list needs at least 1 word"),
        AnalyzeArgs { tolerance, .. } if !(tolerance.is_finite() && *tolerance >= 0.0) => {
            wrong(&format!("--tolerance {tolerance}: a number, 0 or more"))
        }
        _ => Ok(()),
    }
}

/// A run and what was found in it.
struct Analyzed<'a> {
    folder: RunFolder,
    name: String,
    run: Run,
    metrics: Option<RunMetrics>,
    texts: Texts<'a>,
    analysis: Analysis,
}

impl<'a> Analyzed<'a> {
    fn of(
        folder: RunFolder,
        run: Run,
        (texts, labels): (&'a [String], &[usize]),
        treebank: Option<&[JudgedPhrase]>,
        args: &AnalyzeArgs,
    ) -> Result<Self, Failure> {
        let options = Options {
            own: args.text.clone(),
            explained: args.texts,
            words: args.words,
            tolerance: args.tolerance,
            seed: args.seed,
            ..Options::default()
        };
        let stages = Stages::default();
        let on_stage = |name, done, total| stages.show(Stage { name, done, total });
        let texts = Texts::encode(&run, texts, labels, &on_stage)?;
        let analysis = Analysis::of(&run, &texts, treebank, &options, &on_stage)?;
        let metrics = folder.metrics()?;
        Ok(Self { name: folder.path().display().to_string(), folder, run, metrics, texts, analysis })
    }

    fn compared(&self) -> Compared<'_> {
        let (run, metrics, analysis) = (&self.run, self.metrics.as_ref(), &self.analysis);
        Compared { name: &self.name, run, metrics, analysis, texts: &self.texts }
    }

    fn write(&self) -> Result<PathBuf, Failure> {
        write(&self.folder, &self.run, &self.analysis, self.metrics.as_ref())
    }

    fn json(&self, texts: &str, page: &Path) -> serde_json::Value {
        serde_json::json!({
            "run": self.folder.path(),
            "texts": texts,
            "page": page,
            "certificate": self.analysis.certificate,
            "explained_variance_ratio": self.analysis.plane.pca.explained_variance_ratio,
            "filters_on_their_side": self.analysis.plane.agreement(),
            "faithfulness": self.analysis.faithfulness,
            "sst": self.analysis.judged,
        })
    }

    fn conclude(&self, texts: &str, page: &Path) -> Result<(), Failure> {
        let certificate = &self.analysis.certificate;
        let folded = certificate.folded.map_or_else(String::new, |folded| format!(", folded table {:.0e}", folded.max));
        line(format!(
            "{} texts of {texts}: what is left of a logit when its parts are taken off is at most {:.0e}{folded}",
            thousands(certificate.texts),
            certificate.phrases.max
        ))?;
        if let Some(judged) = &self.analysis.judged {
            let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.3}"));
            line(format!(
                "{} phrases that people judged: rank correlation {}, accuracy of the sign {}",
                thousands(judged.all.count),
                figure(judged.all.rank_correlation),
                figure(judged.all.accuracy)
            ))?;
        }
        line(format!("open {}", page.display()))
    }
}

fn write(folder: &RunFolder, run: &Run, analysis: &Analysis, metrics: Option<&RunMetrics>) -> Result<PathBuf, Failure> {
    let mut files = analysis.files()?;
    let page = report(run, analysis, metrics, &folder.path().display().to_string())?;
    files.push(("report.html".into(), page.into_bytes()));
    Ok(write_analysis(folder, &files)?)
}

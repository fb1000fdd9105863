//! `convlens analyze` with a run that tags.

use std::path::{Path, PathBuf};

use convlens_analysis::{TagAnalysis, TagOptions, TaggedSentences, analysis_file, tag_report, write_analyses};
use convlens_data::TaggedSentences as Sentences;
use convlens_run::text::sentences;
use convlens_run::{DeviceChoice, RunFolder, Tagger};
use convlens_train::Stage;

use super::{REPORT, Subject, refuse_given};
use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::progress::Stages;
use crate::tagged::sentences_for;

pub(super) fn run(args: &AnalyzeArgs, subject: Subject) -> Result<(), Failure> {
    check(args)?;
    let config = &subject.run.config;
    let (name, data) = sentences_for(config, args.dataset.as_deref(), &args.file, "test")?;
    if data.words() == 0 {
        return Err(Failure::Input(format!("{name}: there are no sentences to analyse the model with")));
    }
    let default = TagOptions::default();
    let options = TagOptions {
        own: args.text.iter().flat_map(|text| words_of(text)).collect(),
        explained: args.texts.unwrap_or(default.explained),
        words: args.words,
        seed: args.seed,
    };
    let analyzed = analyze(subject, &data, &options)?;
    if args.json { line(analyzed.json(&name).to_string()) } else { analyzed.conclude(&name) }
}

/// Analyses a run that was just trained to tag, as `convlens analyze` does; returns the path of the report.
pub fn analyze_trained_tagger(folder: &RunFolder, test: &Sentences) -> Result<PathBuf, Failure> {
    let subject = Subject::open(RunFolder::open(folder.path())?, &DeviceChoice::Cpu.open()?)?;
    Ok(analyze(subject, test, &TagOptions::default())?.page)
}

/// Refuses flags that have no meaning for a tagger.
fn check(args: &AnalyzeArgs) -> Result<(), Failure> {
    let flags = [
        ("against", args.against.is_some(), "runs that tag cannot be compared"),
        ("sst", args.sst.is_some(), "the treebank has labels of phrases, and this run tags words"),
        ("tolerance", args.tolerance.is_some(), "the evidence for tags is approximate, so no residual is refused"),
    ];
    refuse_given(&flags)
}

/// The words of each sentence of a text.
fn words_of(text: &str) -> Vec<Vec<String>> {
    sentences(text).into_iter().map(|words| words.into_iter().map(|word| text[word].to_owned()).collect()).collect()
}

/// A run that tags, and its analysis, which is written.
struct Analyzed {
    folder: PathBuf,
    page: PathBuf,
    analysis: TagAnalysis,
}

/// Analyses a run on tagged sentences and writes the files.
fn analyze(subject: Subject, data: &Sentences, options: &TagOptions) -> Result<Analyzed, Failure> {
    let Subject { folder, name, run, metrics } = subject;
    let tagger = Tagger::new(run)?;
    let data = TaggedSentences { sentences: &data.sentences, tags: &data.tags };
    let stages = Stages::default();
    let on_stage = |name, done, total| stages.show(Stage { name, done, total });
    let analysis = TagAnalysis::new(&tagger, &data, options, &on_stage)?;
    analysis.left_out.iter().for_each(|note| log::warn!("{name}: {note}"));
    let mut files = analysis.files(&tagger.run().config.labels)?;
    files.push((REPORT.into(), tag_report(tagger.run(), &analysis, metrics.as_ref(), &name)?.into_bytes()));
    write_analyses(&[(&folder, files)])?;
    Ok(Analyzed { page: analysis_file(&folder, REPORT), folder: folder.path().to_owned(), analysis })
}

impl Analyzed {
    fn json(&self, sentences: &str) -> serde_json::Value {
        let path = |path: &Path| path.display().to_string();
        serde_json::json!({
            "run": path(&self.folder),
            "sentences": sentences,
            "page": path(&self.page),
            "evaluation": self.analysis.evaluation,
            "certificate": self.analysis.certificate,
            "left_out": self.analysis.left_out,
        })
    }

    fn conclude(&self, sentences: &str) -> Result<(), Failure> {
        let TagAnalysis { evaluation, certificate, .. } = &self.analysis;
        let f1 = evaluation.spans.as_ref().map(|spans| format!(", F1 of spans {:.2} %", 100.0 * spans.total.f1));
        line(format!(
            "{} words of {sentences}: accuracy {:.2} %{}; the evidence for the tags of {} words adds up to their \
             logits but for {:.0e} at most, {:.0e} on average",
            thousands(evaluation.words.count),
            100.0 * evaluation.words.accuracy,
            f1.unwrap_or_default(),
            thousands(certificate.words),
            certificate.residual_max,
            certificate.residual_mean,
        ))?;
        let field = certificate.field;
        if field.words > 0 {
            line(format!(
                "words outside the receptive field change the logits of {} of {} words",
                thousands(field.changed_by_outside),
                thousands(field.words)
            ))?;
        }
        line(format!("open {}", self.page.display()))
    }
}

//! `convlens analyze` with a language model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use convlens_analysis::{
    LanguageModelAnalysis, LanguageModelOptions, analysis_file, language_model_report, write_analyses,
};
use convlens_data::TextList;
use convlens_run::text::Tokenizer;
use convlens_run::{DeviceChoice, RunError, RunFolder};
use convlens_train::Stage;

use super::{REPORT, Subject, refuse_given};
use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::plain::plain_texts_for;
use crate::progress::Stages;

/// How many tokens the contexts of units are taken from.
const TOKENS: usize = 50_000;

pub(super) fn run(args: &AnalyzeArgs, subject: Subject) -> Result<(), Failure> {
    check(args)?;
    let texts = plain_texts_for(&subject.run.config, args.dataset.as_deref(), &args.file, "test")?;
    let default = LanguageModelOptions::default();
    let prompts = if args.text.is_empty() { default.prompts.clone() } else { args.text.clone() };
    let options = LanguageModelOptions { prompts, words: args.words, seed: args.seed, ..default };
    let analyzed = analyze(subject, &texts.texts.texts, &options)?;
    if args.json { line(analyzed.json(&texts.name).to_string()) } else { analyzed.conclude(&texts.name) }
}

/// Analyses a language model that was just trained, as `convlens analyze` does; returns the path of the report.
pub fn analyze_trained_language_model(folder: &RunFolder, test: &TextList) -> Result<PathBuf, Failure> {
    let subject = Subject::open(RunFolder::open(folder.path())?, &DeviceChoice::Cpu.open()?)?;
    Ok(analyze(subject, test, &LanguageModelOptions::default())?.page)
}

/// Refuses flags that have no meaning for a language model.
fn check(args: &AnalyzeArgs) -> Result<(), Failure> {
    let flags = [
        ("against", args.against.is_some(), "language models cannot be compared"),
        ("sst", args.sst.is_some(), "the treebank has labels of phrases, and this run generates texts"),
        ("texts", args.texts.is_some(), "give the beginnings of texts with --text"),
        ("tolerance", args.tolerance.is_some(), "the evidence for tokens is approximate, so no residual is refused"),
    ];
    refuse_given(&flags)
}

/// A language model, and its analysis, which is written.
struct Analyzed {
    folder: PathBuf,
    page: PathBuf,
    /// How many tokens were read.
    tokens: usize,
    analysis: LanguageModelAnalysis,
}

fn analyze(subject: Subject, texts: &TextList, options: &LanguageModelOptions) -> Result<Analyzed, Failure> {
    let Subject { folder, name, run, metrics } = subject;
    let run = Arc::new(run);
    let texts = first_tokens(&run.tokenizer, texts)?;
    let stages = Stages::default();
    let on_stage = |name, done, total| stages.show(Stage { name, done, total });
    let analysis = LanguageModelAnalysis::new(&run, &texts, options, &on_stage)?;
    let mut files = analysis.files()?;
    files.push((REPORT.into(), language_model_report(&run, &analysis, metrics.as_ref(), &name)?.into_bytes()));
    write_analyses(&[(&folder, files)])?;
    let tokens = texts.iter().map(Vec::len).sum();
    Ok(Analyzed { page: analysis_file(&folder, REPORT), folder: folder.path().to_owned(), tokens, analysis })
}

/// The first texts as ids, up to [`TOKENS`] tokens.
fn first_tokens(tokenizer: &Tokenizer, texts: &TextList) -> Result<Vec<Vec<u32>>, Failure> {
    let (mut found, mut rest) = (Vec::new(), TOKENS);
    for text in texts.iter() {
        let mut ids = tokenizer.ids(&text?).map_err(RunError::from)?;
        ids.truncate(rest);
        rest -= ids.len();
        found.push(ids);
        if rest == 0 {
            break;
        }
    }
    Ok(found)
}

impl Analyzed {
    fn json(&self, texts: &str) -> serde_json::Value {
        let path = |path: &Path| path.display().to_string();
        let LanguageModelAnalysis { residual_max, residual_mean, sum_mean, .. } = self.analysis;
        serde_json::json!({
            "run": path(&self.folder), "texts": texts, "page": path(&self.page), "tokens": self.tokens,
            "residual_max": residual_max, "residual_mean": residual_mean, "sum_mean": sum_mean,
        })
    }

    fn conclude(&self, texts: &str) -> Result<(), Failure> {
        let LanguageModelAnalysis { texts: written, units, residual_mean, sum_mean, .. } = &self.analysis;
        let explained = written.iter().map(|text| text.written.len()).sum();
        line(format!(
            "{} units, and the contexts among {} tokens of {texts} that excite them; of the logits of {} tokens that were \
             written, {sum_mean:.2} on average is explained, but for {residual_mean:.0e}",
            units.len(),
            thousands(self.tokens),
            thousands(explained),
        ))?;
        line(format!("open {}", self.page.display()))
    }
}

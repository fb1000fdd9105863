//! A complete analysis of a language model.

use std::sync::Arc;

use convlens_run::model::{EncoderSettings, Stream};
use convlens_run::{Generator, NextToken, Run, Sampling};
use serde::Serialize;

use crate::analysis::json_file;
use crate::{AnalysisError, Evidence, NamedFile, OnStage, UnitContexts, token_evidence, unit_contexts};

/// What to analyse.
#[derive(Clone, Debug)]
pub struct LanguageModelOptions {
    /// The texts that are continued and explained.
    pub prompts: Vec<String>,
    /// How many tokens are written after each.
    pub length: usize,
    /// The number of contexts and tokens in each list.
    pub words: usize,
    /// The seed of the first text; each further text has the next one.
    pub seed: u64,
}

impl Default for LanguageModelOptions {
    fn default() -> Self {
        Self { prompts: vec![String::new(); 3], length: 60, words: 10, seed: 0 }
    }
}

/// A text that the model wrote, with what speaks for each token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenText {
    /// What it began with.
    pub prompt: String,
    /// The label that it was written for, if the run has labels.
    pub label: Option<String>,
    /// All tokens: those of the prompt, then those that were written.
    pub tokens: Vec<String>,
    /// The first token that was written, as an index of `tokens`.
    pub first: usize,
    /// The tokens that were written.
    pub written: Vec<WrittenToken>,
}

/// A token that the model wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenToken {
    /// Its probability.
    pub probability: f64,
    /// The most probable tokens, with their probabilities.
    pub alternatives: Vec<(String, f64)>,
    /// What each token before it adds to its logit; see [`token_evidence`].
    pub evidence: Evidence,
}

/// What a language model has learnt.
#[derive(Clone, Debug)]
pub struct LanguageModelAnalysis {
    /// Texts that it wrote, explained.
    pub texts: Vec<WrittenText>,
    /// What its units answer to.
    pub units: Vec<UnitContexts>,
    /// The largest residual of the explained tokens: what the shares of their logits do not explain.
    pub residual_max: f64,
    /// The mean of the residuals' absolute values.
    pub residual_mean: f64,
    /// The mean of the absolute values of what is explained: the logit, relative to the mean of all, less the baseline.
    pub sum_mean: f64,
}

impl LanguageModelAnalysis {
    /// Analyses a run, on texts that it was not trained on, given as ids.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Run`].
    pub fn new<S: EncoderSettings>(
        run: &Arc<Run<S>>,
        texts: &[Vec<u32>],
        options: &LanguageModelOptions,
        on_stage: OnStage<'_>,
    ) -> Result<Self, AnalysisError>
    where
        S::Encoder: Stream,
    {
        let labels = &run.config.labels;
        let mut written = Vec::new();
        for (number, prompt) in options.prompts.iter().enumerate() {
            let label = (!labels.is_empty()).then(|| number % labels.len().max(1));
            written.push(write(run, prompt, label, options, options.seed.wrapping_add(number as u64), on_stage)?);
        }
        let units = unit_contexts(run, texts, options.words, on_stage)?;
        let evidence: Vec<&Evidence> =
            written.iter().flat_map(|text| &text.written).map(|token| &token.evidence).collect();
        let count = evidence.len().max(1) as f64;
        let residuals = evidence.iter().map(|evidence| evidence.residual.abs());
        Ok(Self {
            residual_max: residuals.clone().fold(0.0, f64::max),
            residual_mean: residuals.sum::<f64>() / count,
            sum_mean: evidence.iter().map(|evidence| (evidence.logit - evidence.baseline).abs()).sum::<f64>() / count,
            texts: written,
            units,
        })
    }

    /// The names and contents of all files of the analysis except its report.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Report`] if a number cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<NamedFile>, AnalysisError> {
        let certificate = serde_json::json!({
            "tokens": self.texts.iter().map(|text| text.written.len()).sum::<usize>(),
            "residual_max": self.residual_max, "residual_mean": self.residual_mean, "sum_mean": self.sum_mean,
        });
        Ok(vec![
            json_file("texts", &self.texts)?,
            json_file("units", &self.units)?,
            json_file("certificate", &certificate)?,
        ])
    }
}

/// Continues a prompt, and explains what is written.
fn write<S: EncoderSettings>(
    run: &Arc<Run<S>>,
    prompt: &str,
    label: Option<usize>,
    options: &LanguageModelOptions,
    seed: u64,
    on_stage: OnStage<'_>,
) -> Result<WrittenText, AnalysisError>
where
    S::Encoder: Stream,
{
    let mut generator = Generator::new(run.clone(), prompt, label, seed)?;
    let mut tokens: Vec<NextToken> = Vec::new();
    while tokens.len() < options.length && !tokens.last().is_some_and(|token| token.is_end) {
        tokens.push(generator.choose(&Sampling::default())?);
    }
    let mut ids = run.tokenizer.ids(prompt).map_err(convlens_run::RunError::from)?;
    let first = ids.len();
    ids.extend(tokens.iter().map(|token| token.id));
    let total = tokens.len();
    let show = |done| on_stage("evidence for tokens", done, total);
    let evidence = token_evidence(run, &ids, label, first..ids.len(), &show)?;
    let name = |id: u32| run.tokenizer.token(id).unwrap_or_default();
    let written = |(token, evidence): (NextToken, Evidence)| WrittenToken {
        probability: token.probability,
        alternatives: token.alternatives.into_iter().map(|(id, probability)| (name(id), probability)).collect(),
        evidence,
    };
    Ok(WrittenText {
        prompt: prompt.into(),
        label: label.map(|label| run.config.labels[label].clone()),
        tokens: ids.iter().map(|&id| name(id)).collect(),
        first,
        written: tokens.into_iter().zip(evidence).map(written).collect(),
    })
}

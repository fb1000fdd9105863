//! The report of a language model.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunMetrics};
use serde_json::{Value, json};

use super::render;
use super::tags::segments;
use crate::{AnalysisError, LanguageModelAnalysis, UnitContext, UnitContexts, WrittenText, visible_token};

/// The number of tokens before a token whose shares are shown.
const BEFORE: usize = 40;
/// The number of alternatives to a token.
const ALTERNATIVES: usize = 3;

/// The report of a language model, as HTML.
///
/// # Errors
///
/// [`AnalysisError::Report`].
pub fn language_model_report<S: EncoderSettings>(
    run: &Run<S>,
    analysis: &LanguageModelAnalysis,
    metrics: Option<&RunMetrics>,
    name: &str,
) -> Result<String, AnalysisError> {
    let explained: usize = analysis.texts.iter().map(|text| text.written.len()).sum();
    let certificate = format!(
        "The shares are gradient × input. They would add up to the logit of the token, relative to the mean of all \
         logits, less that without tokens, if the model were linear. Over {explained} tokens this sum is {:.2} on average \
         in absolute value, and the residual, which the shares do not explain, is {:.1e} on average and {:.1e} at most.",
        analysis.sum_mean, analysis.residual_mean, analysis.residual_max
    );
    let context = json!({
        "name": name,
        "version": run.config.convlens,
        "facts": facts(run, metrics),
        "texts": analysis.texts.iter().map(text).collect::<Value>(),
        "certificate": certificate,
        "units": analysis.units.iter().map(unit).collect::<Value>(),
    });
    render("language_model.html", &context)
}

fn facts<S: EncoderSettings>(run: &Run<S>, metrics: Option<&RunMetrics>) -> Value {
    let config = &run.config;
    let field = run.model.receptive_field();
    let width = if field.is_unbounded() { "the whole text".into() } else { format!("{} tokens", field.size()) };
    let mut facts = vec![
        ("preset", config.preset.clone()),
        ("trained on", format!("{} ({} texts)", config.dataset.name, config.dataset.train)),
        ("receptive field", width),
        ("vocabulary", format!("{} tokens", config.model.vocab_size)),
    ];
    if !config.labels.is_empty() {
        facts.push(("writes for the labels", config.labels.join(", ")));
    }
    if let Some(metrics) = metrics {
        let test = &metrics.test;
        facts.extend([
            ("parameters", metrics.parameters.to_string()),
            ("test loss", format!("{:.4} nats per token", test.loss)),
            ("test perplexity", format!("{:.3}", test.loss.exp())),
        ]);
        facts.extend(test.bits_per_character.map(|bits| ("test, bits per character", format!("{bits:.4}"))));
        facts.extend([
            ("epochs", format!("{}; the weights are those of epoch {}", metrics.epochs, metrics.best_epoch)),
            ("training time", format!("{:.1} s on {}", metrics.train_seconds, metrics.device)),
        ]);
    }
    facts.into_iter().map(|(name, value)| json!([name, value])).collect()
}

fn text(text: &WrittenText) -> Value {
    let tokens: Vec<String> = text.tokens.iter().map(|token| visible_token(token)).collect();
    let row = |(number, token): (usize, &crate::WrittenToken)| {
        let at = text.first + number;
        let name = &tokens[at];
        let others = token.alternatives.iter().filter(|(other, _)| *other != text.tokens[at]).take(ALTERNATIVES);
        let others: Vec<String> =
            others.map(|(other, share)| format!("{} {:.0} %", visible_token(other), 100.0 * share)).collect();
        let shown = at.saturating_sub(BEFORE).max(token.evidence.first)..at;
        json!({
            "token": name,
            "percent": format!("{:.1}", 100.0 * token.probability),
            "others": others.join(", "),
            "segments": segments(&token.evidence, &tokens, at, shown, name),
        })
    };
    json!({
        "prompt": text.prompt,
        "label": text.label,
        "rows": text.written.iter().enumerate().map(row).collect::<Value>(),
    })
}

fn unit(unit: &UnitContexts) -> Value {
    let contexts = |contexts: &[UnitContext]| -> Value {
        let context = |context: &UnitContext| json!({ "text": visible_token(&context.text), "next": visible_token(&context.next), "value": format!("{:+.2}", context.value) });
        contexts.iter().map(context).collect()
    };
    let tokens = |tokens: &[(String, f64)]| -> Value {
        let token =
            |(token, weight): &(String, f64)| json!({ "word": visible_token(token), "score": format!("{weight:+.2}") });
        tokens.iter().map(token).collect()
    };
    json!({
        "number": unit.unit,
        "mean": format!("{:+.2}", unit.mean),
        "deviation": format!("{:.2}", unit.deviation),
        "most": contexts(&unit.most),
        "least": contexts(&unit.least),
        "raises": tokens(&unit.raises),
        "lowers": tokens(&unit.lowers),
    })
}

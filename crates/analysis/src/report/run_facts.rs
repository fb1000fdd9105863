//! What a run is and how it did, in words.

use convlens_run::{Run, RunMetrics};
use serde_json::{Value, json};

use crate::{Analysis, Certificate};

/// Rows of a name and a value.
pub(super) fn facts(run: &Run, metrics: Option<&RunMetrics>, analysis: &Analysis) -> Value {
    let config = &run.config;
    let mut facts = vec![
        ("preset", config.preset.clone()),
        ("trained on", format!("{} ({} texts)", config.dataset.name, config.dataset.train)),
        ("labels", config.labels.join(", ")),
        ("phrase", run.model.receptive_field().to_string()),
        ("vocabulary", format!("{} tokens", config.model.vocab_size)),
        ("filters", analysis.filters.len().to_string()),
        ("bias", analysis_bias(run)),
    ];
    if let Some(metrics) = metrics {
        facts.extend([
            ("parameters", metrics.parameters.to_string()),
            ("test accuracy", format!("{:.2} %", 100.0 * metrics.test.accuracy)),
            ("test loss", format!("{:.4}", metrics.test.loss)),
            ("epochs", format!("{}, of which {} was kept", metrics.epochs, metrics.best_epoch)),
            ("training", format!("{:.1} s on {}", metrics.train_seconds, metrics.device)),
        ]);
    }
    facts.into_iter().map(|(name, value)| json!([name, value])).collect()
}

fn analysis_bias(run: &Run) -> String {
    let bias = run.bias().unwrap_or_default();
    run.outputs().iter().zip(bias).map(|(name, bias)| format!("{bias:+.4} for {name}")).collect::<Vec<_>>().join(", ")
}

/// What was added up and what was left.
pub(super) fn certificate(certificate: &Certificate) -> String {
    let mut said = format!(
        "Certificate: on each of {} texts, bias and phrase scores add up to the logit that the model computes layer by \
         layer; what is left is at most {:.1e} ({:.1e} in the mean), the rounding of 32-bit numbers. ",
        certificate.texts, certificate.phrases.max, certificate.phrases.mean
    );
    if let Some(folded) = &certificate.folded {
        said.push_str(&format!(
            "The folded table gives the same logits, but for {:.1e} at most ({:.1e} in the mean).",
            folded.max, folded.mean
        ));
    }
    said
}

/// What follows from folding.
pub(super) fn folded(certificate: &Certificate) -> String {
    let order = certificate.order.unwrap_or_default();
    format!(
        "No activation stands between the layers, so the model is a table: a word adds the same at its place in a phrase \
         whatever stands around it. Over a whole text each word takes every place in turn, so the text's score is the \
         mean of what its words add over all places, and cannot tell “not good” from “good not” but for the edges, \
         where a word misses some of its places. All that the order of the words moves a logit by on {} texts is {:.1e} \
         in the mean and {:.2} at most. The table: convlens export --folded.",
        certificate.texts, order.mean, order.max
    )
}

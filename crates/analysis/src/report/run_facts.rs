//! The facts about a run, in words.

use convlens_run::model::{EncoderSettings, Padding};
use convlens_run::{Run, RunMetrics};
use serde_json::{Value, json};

use crate::{Analysis, Certificate, Exactness};

/// Rows of a name and a value.
pub(super) fn facts<S: EncoderSettings>(run: &Run<S>, metrics: Option<&RunMetrics>, analysis: &Analysis) -> Value {
    let config = &run.config;
    let mut facts = vec![
        ("preset", config.preset.clone()),
        ("trained on", format!("{} ({} texts)", config.dataset.name, config.dataset.train)),
        ("labels", config.labels.join(", ")),
        ("width of a phrase", run.model.receptive_field().to_string()),
        ("vocabulary", format!("{} tokens", config.model.vocab_size)),
        ("filters in the first layer", analysis.filters.len().to_string()),
        ("bias", bias(run)),
    ];
    facts.extend(config.lexicon_vectors.as_ref().map(|vectors| ("vectors of the lexicon", vectors.in_words())));
    facts.extend(config.teacher.as_ref().map(|teacher| ("also trained on", teacher.in_words())));
    if let Some(metrics) = metrics {
        facts.extend([
            ("parameters", metrics.parameters.to_string()),
            ("test accuracy", format!("{:.2} %", 100.0 * metrics.test.accuracy)),
            ("test loss", format!("{:.4} nats", metrics.test.loss)),
            ("epochs", format!("{}; the weights are those of epoch {}", metrics.epochs, metrics.best_epoch)),
            ("training time", format!("{:.1} s on {}", metrics.train_seconds, metrics.device)),
        ]);
    }
    facts.into_iter().map(|(name, value)| json!([name, value])).collect()
}

fn bias<S: EncoderSettings>(run: &Run<S>) -> String {
    let bias = run.bias().unwrap_or_default();
    let bias = run.outputs().iter().zip(bias).map(|(name, bias)| format!("{bias:+.4} for the logit of “{name}”"));
    bias.collect::<Vec<_>>().join(", ")
}

/// What the scores add to.
pub(super) fn logits<S: EncoderSettings>(run: &Run<S>) -> String {
    let labels = &run.config.labels;
    let mut text = match run.outputs() {
        [only] => format!(
            "The model has one logit, that of “{only}”. A positive score is evidence for “{only}”, a negative score is \
             evidence for “{}”, whichever of them the model predicts.",
            labels[0]
        ),
        _ => {
            "The model has one logit per label. The scores are those for the logit of the predicted label: a positive \
              score is evidence for this label, a negative score is evidence against it."
                .into()
        }
    };
    text.push_str(" The bias and the scores of all phrases of a text add up to its logit.");
    if run.config.model.padding != Padding::Masked {
        text.push_str(
            " This model counts padding, so the score of the padding, which is not shown, is part of the sum.",
        );
    }
    text
}

/// What was added up, and the residuals.
pub(super) fn certificate(certificate: &Certificate) -> String {
    let mut text = format!(
        "Certificate: for each of {} texts, the bias and the scores of the phrases were added up and compared with the \
         logit, which is computed apart. The residual, which is the difference, is at most {:.1e} \
         ({:.1e} on average): it comes from rounding in 32-bit arithmetic. The analysis fails if a residual exceeds \
         {:.0e}, or more for long texts, in proportion to the bound on their rounding error (Higham 2002, section 4.2).",
        certificate.texts, certificate.phrases.max, certificate.phrases.mean, certificate.tolerance
    );
    if certificate.exactness == Exactness::ExactWhereLargest {
        text.push_str(
            " The model takes the largest value of each feature, so a score belongs to its phrase as long as the same \
             phrases have the largest values.",
        );
    }
    if let Some(folded) = &certificate.folded {
        text.push_str(&format!(
            " The logits computed from the folded table differ by at most {:.1e} ({:.1e} on average).",
            folded.max, folded.mean
        ));
    }
    text
}

/// What follows from folding.
pub(super) fn folded(certificate: &Certificate) -> String {
    let order = certificate.order.unwrap_or_default();
    format!(
        "There is no activation between the layers, so the model is equivalent to a table: what a word adds at a place of \
         a phrase does not depend on the words around it. In a text, each word takes every place of a phrase once, so \
         the logit of the text is the mean of what its words add over all places. The model cannot distinguish “not \
         good” from “good not”, except at the edges of the text, where a word misses some places. On {} texts, the \
         order of the words changes the logit by {:.1e} on average and by at most {:.1e}. The command “convlens export \
         --folded” writes the table.",
        certificate.texts, order.mean, order.max
    )
}

//! The report: one HTML page that fetches nothing. The templates escape all texts, pictures are images, in
//! which no script runs, and the page's policy allows only its own script and style sheet.

mod coloured;
mod comparison;
mod language_model;
mod run_facts;
mod tags;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunMetrics};
use minijinja::Environment;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::pictures::{color, strongest};
use crate::plot::{AGAINST, FOR, NEITHER, without_control_characters};
use crate::{
    Agreement, Analysis, AnalysisError, FailedPair, Faithfulness, Filter, Judged, LexiconWords, MinimalPairs, PassRate,
    Picture, VectorFeature, WordScore,
};

use coloured::coloured;
pub use comparison::{Compared, check_labels, comparison};
pub use language_model::language_model_report;
use run_facts::{certificate, facts, folded, logits};
pub use tags::tag_report;

/// The number of explained texts in the page.
const TEXTS: usize = 40;
/// The number of features of word vectors in the page.
const VECTOR_FEATURES: usize = 30;

/// The report of a run, as HTML.
///
/// # Errors
///
/// [`AnalysisError::Report`].
pub fn report<S: EncoderSettings>(
    run: &Run<S>,
    analysis: &Analysis,
    metrics: Option<&RunMetrics>,
    name: &str,
) -> Result<String, AnalysisError> {
    let pictures_of = |prefix: &str| -> Vec<Value> {
        analysis.pictures.iter().filter(|picture| picture.name.starts_with(prefix)).map(as_image).collect()
    };
    let context = json!({
        "name": name,
        "version": run.config.convlens,
        "facts": facts(run, metrics, analysis),
        "certificate": certificate(&analysis.certificate),
        "left_out": analysis.left_out,
        "logits": logits(run),
        "legend": legend(run),
        "texts": analysis.explained.iter().take(TEXTS).map(coloured).collect::<Value>(),
        "agreement": agreement(analysis),
        "points": points(run, analysis),
        "words": analysis.words.is_some(),
        "lexicon": analysis.lexicon.iter().flatten().map(lexicon_part).collect::<Value>(),
        "vector_features": analysis.vector_features.iter().flatten().take(VECTOR_FEATURES).map(vector_feature).collect::<Value>(),
        "effective_rank": format!("{:.1}", analysis.plane.pca.effective_rank),
        "dimensions": analysis.plane.pca.mean.len(),
        "folded": folded(&analysis.certificate),
        "excitation_texts": analysis.explained.iter().filter(|explained| explained.label.is_some()).count(),
        "output": run.outputs()[0],
        "one_output": run.outputs().len() == 1,
        "filters": analysis.filters.iter().map(|filter| filter_page(filter, analysis, run)).collect::<Value>(),
        "faithfulness": faithfulness_table(&analysis.faithfulness),
        "judged": analysis.judged.as_ref().map(judged_table),
        "pairs": analysis.pairs.as_ref().map(pairs_table),
        "failed_pairs": analysis.pairs.as_ref().map(failed_pairs_table),
        "pictures": {
            "pca": analysis.picture("pca").map(as_image),
            "words": pictures_of("words"),
            "faithfulness": analysis.picture("faithfulness").map(as_image),
            "weights": analysis.picture("weights").map(as_image),
            "sst": analysis.picture("sst").map(as_image),
        },
    });
    render("report.html", &context)
}

fn render(template: &str, context: &Value) -> Result<String, AnalysisError> {
    let templates = [
        ("page.html", include_str!("page.html")),
        ("parts.html", include_str!("parts.html")),
        ("report.html", include_str!("report.html")),
        ("comparison.html", include_str!("comparison.html")),
        ("tags.html", include_str!("tags.html")),
        ("language_model.html", include_str!("language_model.html")),
    ];
    // Browsers compute the hashes after they have normalised line ends.
    let [style, script] =
        [include_str!("style.css"), include_str!("script.js")].map(|source| source.replace("\r\n", "\n"));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(&style),
        hash(&script)
    );
    let error = |source: minijinja::Error| AnalysisError::Report(source.to_string());
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    for (name, source) in templates {
        environment.add_template(name, source).map_err(error)?;
    }
    environment.add_global("policy", policy);
    environment.add_global("style", style);
    environment.add_global("script", script);
    let template = environment.get_template(template).map_err(error)?;
    let page = template.render(minijinja::value::Serde(context)).map_err(error)?;
    Ok(without_control_characters(&page))
}

/// The hash of an inline script or style sheet, as a source in a content security policy.
fn hash(source: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(source)))
}

/// A picture as an image embedded in the page.
fn as_image(picture: &Picture) -> Value {
    // A scatter plot of thousands of points is smaller as PNG.
    let url = if picture.name == "pca" {
        format!("data:image/png;base64,{}", BASE64_STANDARD.encode(&picture.png))
    } else {
        format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(&picture.svg))
    };
    json!({ "url": url, "caption": picture.caption })
}

/// The meanings of the colours of words in texts.
fn legend<S: EncoderSettings>(run: &Run<S>) -> Value {
    match run.outputs() {
        [_] => json!([
            { "class": "for", "name": format!("evidence for “{}”", run.config.labels[1]) },
            { "class": "against", "name": format!("evidence for “{}”", run.config.labels[0]) },
        ]),
        _ => json!([
            { "class": "for", "name": "evidence for the predicted label" },
            { "class": "against", "name": "evidence against it" },
        ]),
    }
}

fn agreement(analysis: &Analysis) -> String {
    analysis.plane.agreement().map_or_else(String::new, |share| {
        format!(
            "For {:.0} % of the positions of the filters, the coordinate along the first component has the sign of the \
             filter's weight in the logit. If this is close to 100 %, the filters form two groups, one for each label.",
            100.0 * share
        )
    })
}

/// What the script draws: one row per word and one row per position of a filter.
fn points<S: EncoderSettings>(run: &Run<S>, analysis: &Analysis) -> Value {
    let strongest = strongest(analysis);
    let kind = |contribution: &[f64]| match color(contribution, strongest) {
        FOR if contribution.len() == 1 => json!("for"),
        AGAINST if contribution.len() == 1 => json!("against"),
        NEITHER => json!(""),
        other => json!(format!("{} {} {}", other.0, other.1, other.2)),
    };
    let description = |contribution: &[f64]| {
        let to_logit = |(name, value): (&String, &f64)| format!("{value:+.2} for {name}");
        run.outputs().iter().zip(contribution).map(to_logit).collect::<Vec<_>>().join(", ")
    };
    let round = |value: f64| (value * 1e4).round() / 1e4;
    let word = |&id: &usize| {
        let (at, contribution) = (&analysis.plane.words[id], &analysis.contributions[id]);
        let y = at.get(1).copied().unwrap_or(0.0);
        json!([analysis.vocabulary.word(id), round(at[0]), round(y), kind(contribution), description(contribution)])
    };
    let filter = |point: &crate::FilterPoint| {
        let side = match point.head.as_slice() {
            [weight] if *weight > 0.0 => "for",
            [_] => "against",
            _ => "",
        };
        let y = point.at.get(1).copied().unwrap_or(0.0);
        json!([format!("filter {}, {}", point.filter, place_name(point.place)), round(point.at[0]), round(y), side])
    };
    let share =
        |component: usize| 100.0 * analysis.plane.pca.explained_variance_ratio.get(component).copied().unwrap_or(0.0);
    let axes = [0, 1].map(|component| format!("component {} ({:.1} %)", component + 1, share(component)));
    json!({
        "axes": axes,
        "words": analysis.vocabulary.ids().iter().map(word).collect::<Value>(),
        "filters": analysis.plane.filters.iter().map(filter).collect::<Value>(),
    })
}

fn place_name(place: isize) -> String {
    match place {
        0 => "at the centre".into(),
        ..0 => format!("{} before the centre", -place),
        _ => format!("{place} after the centre"),
    }
}

fn filter_page<S: EncoderSettings>(filter: &Filter, analysis: &Analysis, run: &Run<S>) -> Value {
    let positions = filter.positions.iter().map(|position| {
        json!({
            "name": place_name(position.place),
            "norm": format!("{:.3}", position.norm),
            "excite": word_list(&position.excite),
            "inhibit": word_list(&position.inhibit),
            "excite_by_cosine": word_list(&position.excite_by_cosine),
            "inhibit_by_cosine": word_list(&position.inhibit_by_cosine),
        })
    });
    let phrases = |phrases: &[crate::Excitation]| -> Value {
        phrases
            .iter()
            .map(|phrase| json!({ "word": phrase.phrase, "score": format!("{:+.3}", phrase.output) }))
            .collect()
    };
    let of_texts = &analysis.excitations[filter.filter];
    let head = filter.head.iter().zip(run.outputs()).map(|(weight, output)| format!("{weight:+.3} for {output}"));
    json!({
        "number": filter.filter,
        "class": match filter.head.as_slice() { [weight] if *weight > 0.0 => "for", [_] => "against", _ => "" },
        "head": head.collect::<Vec<_>>().join(", "),
        "positions": positions.collect::<Value>(),
        "most": phrases(&of_texts.most),
        "least": phrases(&of_texts.least),
    })
}

fn lexicon_part(words: &LexiconWords) -> Value {
    json!({
        "output": words.output,
        "lists": [
            ["Words for it", word_list(&words.raise)],
            ["Words against it", word_list(&words.lower)],
            ["Phrases for it", word_list(&words.pairs_raise)],
            ["Phrases against it", word_list(&words.pairs_lower)],
        ],
    })
}

fn vector_feature(feature: &VectorFeature) -> Value {
    json!({ "dimension": feature.dimension, "words": word_list(&feature.words) })
}

fn word_list(words: &[WordScore]) -> Value {
    words.iter().map(|word| json!({ "word": word.word, "score": format!("{:+.2}", word.score) })).collect()
}

fn faithfulness_table(faithfulness: &Faithfulness) -> Value {
    let head = ["ranked by", "comprehensiveness (higher is better)", "sufficiency (lower is better)", "ms per text"];
    let rows = faithfulness.methods.iter().map(|result| {
        json!([
            result.method.name(),
            format!("{:.4}", result.aopc_comprehensiveness),
            format!("{:.4}", result.aopc_sufficiency),
            format!("{:.3}", result.milliseconds_per_text),
        ])
    });
    let shares: Vec<String> = faithfulness.shares.iter().map(|share| format!("{} %", 100.0 * share)).collect();
    let caption = format!(
        "Areas over the perturbation curves at {} of the words; the mean over {} texts.{}",
        shares.join(", "),
        faithfulness.texts,
        faithfulness.note().map_or_else(String::new, |note| format!(" {note}"))
    );
    json!({ "head": head, "rows": rows.collect::<Value>(), "caption": caption })
}

fn pairs_table(pairs: &MinimalPairs) -> Value {
    let row =
        |rate: &PassRate| json!([rate.capability, rate.count, rate.passed, format!("{:.0} %", 100.0 * rate.share())]);
    json!({
        "head": ["what the pairs test", "pairs", "passed", "share"],
        "rows": pairs.by_capability.iter().chain([&pairs.all]).map(row).collect::<Value>(),
    })
}

fn failed_pairs_table(pairs: &MinimalPairs) -> Value {
    let percent = |probability: f64| format!("{:.0} %", 100.0 * probability);
    let row = |pair: &FailedPair| {
        let ([negative, positive], [of_negative, of_positive]) = (&pair.texts, pair.positive.map(percent));
        json!([negative, of_negative, positive, of_positive])
    };
    json!({
        "head": ["negative text", "is positive with", "positive text", "is positive with"],
        "rows": pairs.failed.iter().map(row).collect::<Value>(),
    })
}

fn judged_table(judged: &Judged) -> Value {
    let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.3}"));
    let row = |row: &Agreement| {
        json!([row.phrases, row.count, figure(row.rank_correlation), row.judged, figure(row.accuracy)])
    };
    let rows = std::iter::once(&judged.all).chain(&judged.by_length).chain(&judged.by_negation).map(row);
    json!({
        "head": ["phrases", "count", "rank correlation", "not neutral", "accuracy of the sign"],
        "rows": rows.collect::<Value>(),
        "caption": "Spearman's rank correlation of score and label, and how often the score has the sign of the label if the label is not neutral. The rows about negation contain phrases of two words or more.",
    })
}

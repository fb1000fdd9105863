//! The report of a run that tags.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunMetrics, SpanReport, WordAccuracy};
use serde_json::{Value, json};

use super::{as_image, render};
use crate::{
    AnalysisError, Confusion, ConfusionExample, Evidence, Excitations, ExplainedSentence, Fragment, PlacedWord,
    SpellingFilter, TagAnalysis, TagCertificate, TagWords,
};

/// The number of explained sentences in the page, and of words of each.
const SENTENCES: usize = 40;
const WORDS: usize = 80;
/// The number of filters of the spelling in the page.
const SPELLINGS: usize = 40;
/// The number of words around an example.
const AROUND: usize = 12;
/// A word is not coloured below this share of the strongest one in the field.
const PLAIN_BELOW: f64 = 0.05;
/// The number of strengths of the colours, which are classes of the style sheet: `s1` to `s20`.
const STRENGTHS: f64 = 20.0;

/// The report of a run that tags, as HTML.
///
/// # Errors
///
/// [`AnalysisError::Report`].
pub fn tag_report<S: EncoderSettings>(
    run: &Run<S>,
    analysis: &TagAnalysis,
    metrics: Option<&RunMetrics>,
    name: &str,
) -> Result<String, AnalysisError> {
    let labels = &run.config.labels;
    let evaluation = &analysis.evaluation;
    let context = json!({
        "name": name,
        "version": run.config.convlens,
        "facts": facts(run, metrics, analysis),
        "left_out": analysis.left_out,
        "sentences_read": evaluation.sentences,
        "words_read": evaluation.words.count,
        "accuracy": accuracy_table(analysis),
        "spans": evaluation.spans.as_ref().map(|spans| {
            let all = ("all".to_owned(), spans.total);
            span_table(spans.by_type.iter().map(|(kind, &report)| (kind.clone(), report)).chain([all]))
        }),
        "tags": tag_table(analysis),
        "confusions": analysis.confusions.iter().map(confusion).collect::<Value>(),
        "explained": analysis.sentences.iter().filter(|sentence| sentence.index.is_some()).count(),
        "tag_words": analysis.words.iter().filter(|words| words.words > 0).map(words).collect::<Value>(),
        "sentences": analysis.sentences.iter().take(SENTENCES).map(|text| sentence(text, labels)).collect::<Value>(),
        "certificate": certificate(&analysis.certificate),
        "has_chain": run.config.model.chain,
        "spelling_filters": analysis.spelling.len(),
        "spelling": analysis.spelling.iter().take(SPELLINGS).map(spelling).collect::<Value>(),
        "filters": analysis.excitations.iter().map(filter).collect::<Value>(),
        "pictures": {
            "confusion": analysis.picture("confusion").map(as_image),
            "places": analysis.picture("places").map(as_image),
        },
    });
    render("tags.html", &context)
}

fn facts<S: EncoderSettings>(run: &Run<S>, metrics: Option<&RunMetrics>, analysis: &TagAnalysis) -> Value {
    let config = &run.config;
    let field = run.model.receptive_field();
    let width = if field.is_unbounded() { "the whole sentence".into() } else { format!("{} words", field.size()) };
    let mut facts = vec![
        ("preset", config.preset.clone()),
        ("trained on", format!("{} ({} sentences)", config.dataset.name, config.dataset.train)),
        ("tags", config.labels.join(", ")),
        ("receptive field", width),
        ("vocabulary", format!("{} words", config.model.vocab_size)),
        ("filters in the first layer", analysis.excitations.len().to_string()),
        ("filters of the spelling", analysis.spelling.len().to_string()),
    ];
    if let Some(metrics) = metrics {
        facts.extend([
            ("parameters", metrics.parameters.to_string()),
            ("test accuracy after training", percent(metrics.test.accuracy)),
            ("epochs", format!("{}; the weights are those of epoch {}", metrics.epochs, metrics.best_epoch)),
            ("training time", format!("{:.1} s on {}", metrics.train_seconds, metrics.device)),
        ]);
    }
    facts.into_iter().map(|(name, value)| json!([name, value])).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn accuracy_table(analysis: &TagAnalysis) -> Value {
    let evaluation = &analysis.evaluation;
    let row = |name: &str, words: WordAccuracy| json!([name, words.count, words.correct, percent(words.accuracy)]);
    json!({
        "head": ["words", "count", "right", "accuracy"],
        "rows": [
            row("all", evaluation.words),
            row("known from training", evaluation.known_words),
            row("unknown", evaluation.unknown_words),
        ],
    })
}

fn span_table(spans: impl Iterator<Item = (String, SpanReport)>) -> Value {
    let row = |(kind, span): (String, SpanReport)| {
        let [precision, recall, f1] = [span.precision, span.recall, span.f1].map(percent);
        json!([kind, precision, recall, f1, span.counts.expected, span.counts.predicted, span.counts.correct])
    };
    json!({
        "head": ["spans", "precision", "recall", "F1", "count", "predicted", "right"],
        "rows": spans.map(row).collect::<Value>(),
    })
}

fn tag_table(analysis: &TagAnalysis) -> Value {
    let evaluation = &analysis.evaluation;
    let rows = evaluation.tags.iter().zip(&evaluation.confusion).enumerate().map(|(index, (tag, row))| {
        let others = row.iter().enumerate().filter(|(other, count)| *other != index && **count > 0);
        let mistaken = others
            .max_by_key(|(_, count)| **count)
            .map_or_else(String::new, |(other, count)| format!("{} ({count})", evaluation.tags[other].label));
        let [precision, recall, f1] = [tag.precision, tag.recall, tag.f1].map(percent);
        json!([tag.label, precision, recall, f1, tag.support, mistaken])
    });
    json!({
        "head": ["tag", "precision", "recall", "F1", "words", "most often mistaken for"],
        "rows": rows.collect::<Value>(),
    })
}

fn confusion(confusion: &Confusion) -> Value {
    let counted = |(word, count): &(String, usize)| json!({ "word": word, "score": format!("× {count}") });
    json!({
        "tag": confusion.tag,
        "found": confusion.found,
        "count": confusion.count,
        "share": format!("{:.1}", 100.0 * confusion.share),
        "words": confusion.words.iter().map(counted).collect::<Value>(),
        "examples": confusion.examples.iter().map(|text| example(text, confusion)).collect::<Value>(),
    })
}

fn example(example: &ConfusionExample, confusion: &Confusion) -> Value {
    let ConfusionExample { word, words, evidence, .. } = example;
    let around = word.saturating_sub(AROUND)..words.len().min(word + AROUND + 1);
    json!({
        "found": confusion.found,
        "percent": percent(example.probability),
        "tag": confusion.tag,
        "true_percent": percent(example.true_probability),
        "cut_before": around.start > 0,
        "cut_after": around.end < words.len(),
        "segments": segments(evidence, words, *word, around, &confusion.found),
    })
}

/// The words in a range, those of the receptive field coloured by their shares.
pub(super) fn segments(
    evidence: &Evidence,
    words: &[String],
    word: usize,
    range: std::ops::Range<usize>,
    tag: &str,
) -> Value {
    let strongest = evidence.shares.iter().map(|share| share.abs()).fold(0.0, f64::max);
    let share = |at: usize| at.checked_sub(evidence.first).and_then(|place| evidence.shares.get(place)).copied();
    let segment = |at: usize| match share(at) {
        None => json!({ "text": words[at], "tip": "", "class": "", "is_word": at == word }),
        Some(share) => json!({
            "text": words[at],
            "tip": format!("{share:+.3} to the logit of “{tag}”"),
            "class": class(share, strongest),
            "is_word": at == word,
        }),
    };
    range.map(segment).collect()
}

fn class(share: f64, strongest: f64) -> String {
    let part = if strongest > 0.0 { share.abs() / strongest } else { 0.0 };
    if part < PLAIN_BELOW {
        return String::new();
    }
    let side = if share > 0.0 { "for" } else { "against" };
    format!("{side} s{}", (part * STRENGTHS).round().clamp(1.0, STRENGTHS))
}

fn sentence(sentence: &ExplainedSentence, labels: &[String]) -> Value {
    let row = |at: usize| {
        let (tag, evidence) = (sentence.tags[at], &sentence.evidence[at]);
        let expected = sentence.expected[at].filter(|&expected| expected != tag);
        let around = at.saturating_sub(AROUND)..sentence.words.len().min(at + AROUND + 1);
        let field = evidence.first..evidence.first + evidence.shares.len();
        let shown = field.start.max(around.start)..field.end.min(around.end);
        json!({
            "word": sentence.words[at],
            "tag": labels[tag],
            "percent": format!("{:.1}", 100.0 * sentence.probabilities[at][tag]),
            "true_tag": expected.map(|expected| labels[expected].as_str()),
            "true_percent": expected.map(|expected| format!("{:.1}", 100.0 * sentence.probabilities[at][expected])),
            "segments": segments(evidence, &sentence.words, at, shown, &labels[tag]),
        })
    };
    let shown = sentence.words.len().min(WORDS);
    json!({
        "is_own": sentence.index.is_none(),
        "rows": (0..shown).map(row).collect::<Value>(),
        "not_shown": sentence.words.len() - shown,
    })
}

fn words(words: &TagWords) -> Value {
    let placed = |word: &PlacedWord| {
        let place = if word.place == 0 { String::new() } else { format!("{:+} ", word.place) };
        json!({ "word": format!("{place}{}", word.word), "score": format!("{:+.2} × {}", word.mean, word.count) })
    };
    let list = |words: &[PlacedWord]| words.iter().map(placed).collect::<Value>();
    json!({
        "tag": words.tag,
        "words": words.words,
        "lists": [
            ["The word itself", list(&words.itself)],
            ["Words around it, for it", list(&words.neighbours)],
            ["Words around it, against it", list(&words.against)],
        ],
    })
}

fn certificate(certificate: &TagCertificate) -> Vec<String> {
    let TagCertificate { words, residual_max, residual_mean, sum_mean, field } = certificate;
    let evidence = format!(
        "Approximate: the shares of the words are integrated gradients (Sundararajan, Taly and Yan 2017), the mean of \
         the gradient along a straight path from no words to the words, times the words. Only with infinitely many \
         points on the path would the shares add up to the logit less that of a field without words. Over the {words} \
         explained words the sum of the shares is {sum_mean:.2} on average in absolute value, and what is missing from \
         it, the residual, is at most {residual_max:.2e} and {residual_mean:.2e} on average."
    );
    if field.words == 0 {
        let exact = "Not checked: that words outside the receptive field have no effect. The receptive field of every \
                     word that was looked at is the whole sentence.";
        return vec![exact.into(), evidence];
    }
    let outside = if field.changed_by_outside == 0 {
        "not one bit of their logits changed".to_owned()
    } else {
        format!(
            "the logits of {} of them changed, by {:.1e} at most, so this does not hold here",
            field.changed_by_outside, field.largest_change_by_outside
        )
    };
    let exact = format!(
        "Exact: words outside the receptive field have no effect on the logits of a word. For {} words all words \
         outside were replaced by those of another sentence, and {outside}. As a cross-check the words inside were replaced \
         instead: this changed the logits of {} of them.",
        field.words, field.changed_by_inside
    );
    vec![exact, evidence]
}

fn spelling(filter: &SpellingFilter) -> Value {
    let tags = filter.tags.iter().map(|tag| json!({ "word": tag.tag, "score": format!("{:.2}", tag.mean) }));
    json!({
        "number": filter.filter,
        "width": filter.width,
        "mean": format!("{:.2}", filter.mean),
        "described": format!("{:.0}", 100.0 * filter.described),
        "explained": format!("{:.0}", 100.0 * filter.explained_by_tags),
        "tags": tags.collect::<Value>(),
        "fragments": filter.fragments.iter().map(fragment).collect::<Value>(),
    })
}

fn fragment(fragment: &Fragment) -> Value {
    let example = |marked: &crate::MarkedWord| {
        let bytes = marked.word.as_bytes();
        // A filter may end within a character.
        let [before, part, after] = [&bytes[..marked.start], &bytes[marked.start..marked.end], &bytes[marked.end..]]
            .map(String::from_utf8_lossy);
        json!([before, part, after])
    };
    json!({
        "text": fragment.text,
        "value": format!("{:.2}", fragment.value),
        "words": fragment.words,
        "examples": fragment.examples.iter().map(example).collect::<Value>(),
    })
}

fn filter(excitations: &Excitations) -> Value {
    let phrases = |phrases: &[crate::Excitation]| -> Value {
        phrases
            .iter()
            .map(|phrase| json!({ "word": phrase.phrase, "score": format!("{:+.3}", phrase.output) }))
            .collect()
    };
    json!({
        "number": excitations.filter,
        "most": phrases(&excitations.most),
        "least": phrases(&excitations.least),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_field_are_coloured_by_their_shares() {
        let evidence = Evidence { logit: 1.0, baseline: 0.0, first: 1, shares: vec![-1.0, 2.0, 0.01], residual: 0.0 };
        let words = ["a", "b", "c", "d", "e"].map(String::from);
        let found = segments(&evidence, &words, 2, 0..5, "X");
        let of = |what: &str| -> Vec<Value> {
            found.as_array().expect("a list").iter().map(|segment| segment[what].clone()).collect()
        };
        assert_eq!(of("class"), ["", "against s10", "for s20", "", ""]);
        assert_eq!(of("is_word"), [false, false, true, false, false]);
        assert_eq!(found[1]["tip"], "-1.000 to the logit of “X”");
        assert_eq!(found[4]["tip"], "");
    }

    #[test]
    fn the_certificate_says_what_was_checked() {
        let field = crate::FieldCheck { words: 5, changed_by_inside: 5, ..Default::default() };
        let certificate_of = |field| {
            let residuals = TagCertificate { words: 9, residual_max: 0.25, residual_mean: 0.125, sum_mean: 8.0, field };
            certificate(&residuals).join(" ")
        };
        assert!(certificate_of(field).contains("not one bit of their logits changed"));
        assert!(certificate_of(crate::FieldCheck::default()).starts_with("Not checked"));
        let changed = crate::FieldCheck { changed_by_outside: 2, largest_change_by_outside: 0.5, ..field };
        assert!(certificate_of(changed).contains("logits of 2 of them changed, by 5.0e-1 at most"));
    }
}

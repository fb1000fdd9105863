//! A text as coloured segments, each with an explanation to show on demand.

use serde_json::{Value, json};

use crate::decisions::explained::PHRASES_WITH_PARTS;
use crate::decisions::phrases::near;
use crate::{Explained, explained_output};

/// A word is not coloured below this share of the strongest score.
const PLAIN_BELOW: f64 = 0.1;
/// The number of strengths of the colours, which are classes of the style sheet: `s1` to `s20`.
const STRENGTHS: f64 = 20.0;
/// A text is shown up to this number of phrases, those that have parts.
const SHOWN: usize = PHRASES_WITH_PARTS;

/// The context of the macro `coloured`: the label of a text, and its words, each with the phrase centred on
/// it. With one logit the first colour means the second label, otherwise the predicted label.
pub(super) fn coloured(explained: &Explained) -> Value {
    let prediction = &explained.prediction;
    let output = explained_output(prediction);
    let strongest = prediction
        .phrases
        .iter()
        .filter(|phrase| phrase.center.is_some())
        .map(|phrase| phrase.score[output].abs())
        .fold(0.0, f64::max);
    let mut segments: Vec<Value> = Vec::new();
    let mut end = 0;
    for (index, phrase) in prediction.phrases.iter().enumerate().take(SHOWN) {
        let Some(center) = phrase.center else { continue };
        let range = prediction.tokens[center].range.clone();
        if range.start < end || range.is_empty() {
            continue;
        }
        if range.start > end {
            segments.push(json!({ "text": prediction.text[end..range.start], "tip": "" }));
        }
        let share = if strongest > 0.0 { phrase.score[output].abs() / strongest } else { 0.0 };
        let class = if share < PLAIN_BELOW {
            String::new()
        } else {
            let side = if phrase.score[output] > 0.0 { "for" } else { "against" };
            format!("{side} s{}", (share * STRENGTHS).round().clamp(1.0, STRENGTHS))
        };
        segments.push(json!({
            "text": prediction.text[range.clone()],
            "tip": tip(explained, index, output),
            "class": class,
            "tabindex": if end == 0 { 0 } else { -1 },
        }));
        end = range.end;
    }
    let not_shown = prediction.phrases.len().saturating_sub(SHOWN);
    let rest = if not_shown > 0 { "…" } else { &prediction.text[end..] };
    segments.push(json!({ "text": rest, "tip": "" }));
    let true_label = explained.label.map(|label| prediction.labels[label].as_str());
    json!({
        "label": prediction.label_name(),
        "percent": format!("{:.1}", 100.0 * prediction.probabilities[prediction.label]),
        "true_label": true_label,
        "is_wrong": explained.label.is_some_and(|label| label != prediction.label),
        "segments": segments,
        "not_shown": not_shown,
    })
}

/// A phrase, its score, and one line per part. Of a wide phrase only the middle is quoted.
fn tip(explained: &Explained, index: usize, output: usize) -> String {
    let prediction = &explained.prediction;
    let phrase = &prediction.phrases[index];
    let quoted = near(phrase);
    let before = if quoted.start > phrase.tokens.start { "… " } else { "" };
    let after = if quoted.end < phrase.tokens.end { " …" } else { "" };
    let quoted = convlens_run::Phrase { tokens: quoted, ..phrase.clone() };
    let text = prediction.phrase_text(&quoted);
    let mut tip = format!(
        "“{before}{text}{after}”\n{:+.4} to the logit of “{}”",
        phrase.score[output], prediction.outputs[output]
    );
    for part in explained.parts.get(index).into_iter().flatten() {
        let word = part.token.map_or("(padding)", |token| prediction.tokens[token].token.as_str());
        tip.push_str(&format!("\n{:+.4}  {word}", part.score[output]));
    }
    tip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::phrases::tests::prediction;

    #[test]
    fn the_page_is_linear_in_the_length_of_a_text() {
        let length = |words: usize| {
            let mut prediction = prediction(&vec![1.0; words]);
            prediction.phrases.iter_mut().for_each(|phrase| phrase.tokens = 0..words); // an LSTM in both directions
            coloured(&Explained { prediction, label: None, parts: Vec::new() }).to_string().len()
        };
        assert!(length(SHOWN) < 5 * length(SHOWN / 4));
        assert!(length(50 * SHOWN) < length(SHOWN) + 100);
    }

    #[test]
    fn a_wide_phrase_is_quoted_around_its_centre() {
        let mut prediction = prediction(&[1.0; 40]);
        prediction.phrases.iter_mut().for_each(|phrase| phrase.tokens = 0..40);
        let explained = Explained { prediction, label: None, parts: Vec::new() };
        let tip = tip(&explained, 20, 0);
        assert_eq!(tip, "“… a a a a a a a a a a a …”\n+1.0000 to the logit of “pos”");
    }
}

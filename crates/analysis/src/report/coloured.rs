//! A text as segments with colours and what to say of each.

use serde_json::{Value, json};

use crate::{Explained, explained_output};

/// Shares of the strongest phrase below which a word stays plain.
const PLAIN_BELOW: f64 = 0.1;

/// A text for the macro `coloured`: its label, and its words each with the phrase that it is the
/// centre of. With one logit the first colour speaks for the second label, else for the text's own.
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
    for (index, phrase) in prediction.phrases.iter().enumerate() {
        let Some(center) = phrase.center else { continue };
        let range = prediction.tokens[center].range.clone();
        if range.start < end || range.is_empty() {
            continue;
        }
        if range.start > end {
            segments.push(json!({ "text": prediction.text[end..range.start], "tip": "" }));
        }
        let share = if strongest > 0.0 { phrase.score[output].abs() / strongest } else { 0.0 };
        let class = match share < PLAIN_BELOW {
            true => "",
            false if phrase.score[output] > 0.0 => "for",
            false => "against",
        };
        segments.push(json!({
            "text": prediction.text[range.clone()],
            "tip": tip(explained, index, output),
            "class": class,
            "strength": format!("{share:.2}"),
            "tabindex": if end == 0 { 0 } else { -1 },
        }));
        end = range.end;
    }
    segments.push(json!({ "text": prediction.text[end..], "tip": "" }));
    let true_label = explained.label.map(|label| prediction.labels[label].as_str());
    json!({
        "label": prediction.label_name(),
        "percent": format!("{:.1}", 100.0 * prediction.probabilities[prediction.label]),
        "true_label": true_label,
        "is_wrong": explained.label.is_some_and(|label| label != prediction.label),
        "segments": segments,
    })
}

/// A phrase, its score, and a line a part.
fn tip(explained: &Explained, phrase: usize, output: usize) -> String {
    let prediction = &explained.prediction;
    let (of, score) = (&prediction.phrases[phrase], prediction.phrases[phrase].score[output]);
    let mut tip = format!("“{}”\n{score:+.4} for {}", prediction.phrase_text(of), prediction.outputs[output]);
    for part in explained.parts.get(phrase).into_iter().flatten() {
        let word = part.token.map_or("(padding)", |token| prediction.tokens[token].token.as_str());
        tip.push_str(&format!("\n{:+.4}  {word}", part.score[output]));
    }
    tip
}

//! A text coloured by the scores of its phrases, for a terminal.

use std::fmt::Write;
use std::ops::Range;

use anstyle::{Color, RgbColor, Style};
use convlens_run::Prediction;

use crate::explained_output;

/// Colours for words that raise and lower the explained logit. People with any colour vision can distinguish
/// them.
const FOR: RgbColor = RgbColor(0, 114, 220);
const AGAINST: RgbColor = RgbColor(222, 110, 0);
/// A word is not coloured below this share of the strongest score.
const PLAIN_BELOW: f64 = 0.15;
/// A word is bold from this share of the strongest score.
const BOLD_FROM: f64 = 0.6;

/// Returns the text with ANSI escape codes that colour each word by the phrase centred on it: blue if the
/// phrase raises the explained logit, orange if it lowers it, and bold if it does so strongly. Control
/// characters in the text, except line breaks and tabs, become U+FFFD.
pub fn paint(prediction: &Prediction) -> String {
    let output = explained_output(prediction);
    let words = prediction.phrases.iter().filter_map(|phrase| Some((phrase.center?, phrase.score[output])));
    let parts = words.map(|(center, score)| (prediction.tokens[center].range.clone(), score));
    paint_scores(&prediction.text, parts)
}

/// As [`paint`], for any parts of a text with their scores, in order.
pub fn paint_scores(text: &str, parts: impl Iterator<Item = (Range<usize>, f64)> + Clone) -> String {
    let strongest = parts.clone().map(|(_, score)| score.abs()).fold(0.0, f64::max);
    let mut painted = String::new();
    let mut end = 0;
    for (range, score) in parts {
        if range.start < end || range.is_empty() {
            continue;
        }
        painted.push_str(&without_control_characters(&text[end..range.start]));
        let style = style(score, strongest);
        let part = without_control_characters(&text[range.clone()]);
        let _ = write!(painted, "{style}{part}{style:#}"); // writing to a String cannot fail
        end = range.end;
    }
    painted.push_str(&without_control_characters(&text[end..]));
    painted
}

fn style(score: f64, strongest: f64) -> Style {
    let share = if strongest > 0.0 { score.abs() / strongest } else { 0.0 };
    if share < PLAIN_BELOW {
        return Style::new();
    }
    let color = if score > 0.0 { FOR } else { AGAINST };
    let style = Style::new().fg_color(Some(Color::Rgb(color)));
    if share >= BOLD_FROM { style.bold() } else { style }
}

fn without_control_characters(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::phrases::tests::prediction;

    #[test]
    fn strong_words_are_coloured_and_control_characters_are_replaced() {
        let mut prediction = prediction(&[1.0, 0.01, -0.5]);
        prediction.text = "a a a\u{1b}".into();
        let painted = paint(&prediction);
        let blue = format!("{}", style(1.0, 1.0));
        assert!(painted.starts_with(&format!("{blue}a\u{1b}[0m a ")), "{painted:?}");
        assert!(painted.ends_with("a\u{1b}[0m\u{fffd}"), "{painted:?}");
    }
}

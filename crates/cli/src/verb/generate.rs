//! `convlens generate`: texts that a language model writes.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use convlens_analysis::{Evidence, token_evidence, visible_token};
use convlens_data::listed;
use convlens_run::text::Tokenizer;
use convlens_run::{Generator, NextToken, Run, Sampling};
use convlens_train::Stage;
use rayon::prelude::*;
use serde::Serialize;

use crate::args::GenerateArgs;
use crate::failure::Failure;
use crate::output::{json_line, line, styled_line, written};
use crate::printable::printable;
use crate::progress::Stages;
use crate::source::run_folder;

/// How many texts are written at once, if nobody waits for each token.
const AT_ONCE: usize = 16;
/// How many tokens are written after a training.
const SHOWN: usize = 150;
/// How many unknown pieces of a prompt are named.
const NAMED: usize = 3;

pub fn run(args: &GenerateArgs) -> Result<(), Failure> {
    check(args)?;
    let folder = run_folder(args.run.as_deref())?;
    let run = Arc::new(Run::open_on(&folder, &args.device.open()?.device)?);
    if run.config.window().is_none() {
        return Err(Failure::Input(format!(
            "{}: this run {}, and does not generate texts; name a run that was trained with --task lm, or use: convlens predict",
            folder.path().display(),
            run.config.task
        )));
    }
    check_prompt(&run, &args.prompt)?;
    let label = label(&run, args)?;
    let streams = !args.json && args.samples == 1;
    if streams {
        let text = write_text(&run, args, label, args.seed, &mut |part| written(part))?;
        written("\n")?;
        return if args.explain { explain(&run, args, label, &text) } else { Ok(()) };
    }
    let seeds: Vec<u64> = (0..args.samples as u64).map(|number| args.seed.wrapping_add(number)).collect();
    let stages = Stages::default();
    for (done, seeds) in seeds.chunks(AT_ONCE).enumerate() {
        if std::io::stderr().is_terminal() && !std::io::stdout().is_terminal() {
            stages.show(Stage { name: "writing texts", done: done * AT_ONCE, total: args.samples });
        }
        let texts = seeds.par_iter().map(|&seed| write_text(&run, args, label, seed, &mut |_| Ok(())));
        for (text, seed) in texts.collect::<Result<Vec<_>, _>>()?.iter().zip(seeds) {
            if args.json {
                json_line(&text.to_json(&run, args, label, *seed)?)?;
            } else {
                line(format!("--- seed {seed}"))?;
                written(&text.text)?;
                written("\n")?;
                if args.explain {
                    explain(&run, args, label, text)?;
                }
            }
        }
    }
    Ok(())
}

/// Writes a short text with a run that was just trained, for each of its labels if there are some.
pub fn write_with(folder: &Path) -> Result<(), Failure> {
    let run = Arc::new(Run::open(folder)?);
    let labels = run.config.labels.iter().enumerate().map(|(label, name)| (Some(label), format!("{name}: ")));
    let labels: Vec<(Option<usize>, String)> = labels.collect();
    let labels = if labels.is_empty() { vec![(None, String::new())] } else { labels };
    for (label, name) in labels {
        let mut generator = Generator::new(run.clone(), "", label, 0)?;
        let mut text = String::new();
        for _ in 0..SHOWN {
            let next = generator.choose(&Sampling::default())?;
            text.push_str(&next.text);
            if next.is_end {
                break;
            }
        }
        written(&format!("{name}{}\n", text.trim_end()))?;
    }
    Ok(())
}

fn check(args: &GenerateArgs) -> Result<(), Failure> {
    let refuse = |flag: &str, value: &dyn ToString, expected: &str| {
        Err(Failure::Input(format!("--{flag} {}: {expected}", value.to_string())))
    };
    match args {
        GenerateArgs { length: 0, .. } => refuse("length", &0, "write at least 1 token"),
        GenerateArgs { samples: 0, .. } => refuse("samples", &0, "write at least 1 text"),
        GenerateArgs { temperature, .. } if !(0.0..=100.0).contains(temperature) => {
            refuse("temperature", temperature, "use a number from 0 to 100, such as 0.8")
        }
        GenerateArgs { guidance, .. } if !(0.0..=100.0).contains(guidance) => {
            refuse("guidance", guidance, "use a number from 0 to 100, such as 1")
        }
        GenerateArgs { top_k: Some(0), .. } => refuse("top-k", &0, "choose among at least 1 token"),
        GenerateArgs { top_p: Some(share), .. } if !(*share > 0.0 && *share <= 1.0) => {
            refuse("top-p", share, "use a probability above 0, up to 1")
        }
        GenerateArgs { stop: Some(stop), .. } if stop.is_empty() => {
            refuse("stop", &"\"\"", "name a text that is not empty, or leave the flag out")
        }
        _ => Ok(()),
    }
}

/// The index of the label that texts are written for, if the run has labels.
fn label(run: &Run, args: &GenerateArgs) -> Result<Option<usize>, Failure> {
    let labels = &run.config.labels;
    match &args.label {
        Some(name) if labels.is_empty() => Err(Failure::Input(format!(
            "--label {name}: this run was not trained with --condition-on-label; leave the flag out, or name another run"
        ))),
        Some(name) => match labels.iter().position(|label| label == name) {
            Some(label) => Ok(Some(label)),
            None => Err(Failure::Input(format!("--label {name}: there is no such label (known: {})", listed(labels)))),
        },
        None if labels.is_empty() => Ok(None),
        None => Err(Failure::Input(format!(
            "--label is missing: this run writes texts for a label; name one of them ({})",
            listed(labels)
        ))),
    }
}

/// Refuses characters of a prompt that the run does not know, and warns of words.
fn check_prompt(run: &Run, prompt: &str) -> Result<(), Failure> {
    let Some(unknown) = run.tokenizer.unk_id() else { return Ok(()) };
    let encoding = run.tokenizer.encode(prompt).map_err(convlens_run::RunError::from)?;
    let pieces = encoding.ids.iter().zip(&encoding.offsets).filter(|(id, _)| **id == unknown);
    let mut pieces: Vec<String> = pieces.map(|(_, &(start, end))| format!("{:?}", &prompt[start..end])).collect();
    pieces.dedup();
    if pieces.is_empty() {
        return Ok(());
    }
    pieces.truncate(NAMED);
    let pieces = pieces.join(", ");
    if run.tokenizer.keeps_white_space() {
        return Err(Failure::Input(format!(
            "the prompt has characters that this run does not know: {pieces}; leave them out"
        )));
    }
    log::warn!("the prompt has words that this run does not know, and reads as unknown: {pieces}");
    Ok(())
}

/// A text that was written.
struct Written {
    /// The prompt, and what follows it.
    text: String,
    tokens: Vec<NextToken>,
}

/// Writes a text; `on_part` is called with each part of it, and first with the prompt.
fn write_text(
    run: &Arc<Run>,
    args: &GenerateArgs,
    label: Option<usize>,
    seed: u64,
    on_part: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<Written, Failure> {
    let sampling = Sampling { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p };
    let stop = args.stop.as_deref().map(|stop| stop.replace("\\n", "\n"));
    let mut generator = Generator::guided(run.clone(), &args.prompt, label, args.guidance, seed)?;
    let (mut text, mut tokens) = (args.prompt.clone(), Vec::new());
    on_part(&text)?;
    let mut shown = text.len();
    while tokens.len() < args.length {
        let next = generator.choose(&sampling)?;
        let has_space = args.prompt.ends_with(char::is_whitespace) && tokens.is_empty();
        text.push_str(if has_space && !run.tokenizer.keeps_white_space() {
            next.text.trim_start()
        } else {
            &next.text
        });
        let is_end = next.is_end;
        tokens.push(next);
        if let Some(stop) = &stop {
            // The stop text begins at most where it would end with the first byte that was not shown.
            let first = text.floor_char_boundary(shown.saturating_sub(stop.len()).max(args.prompt.len()));
            if let Some(at) = text[first..].find(stop.as_str()) {
                text.truncate(first + at);
                break;
            }
        }
        if is_end {
            break;
        }
        // What may become the stop text is held back.
        let held = stop.as_deref().map_or(0, |stop| held_back(&text[args.prompt.len()..], stop));
        let end = text.len() - held;
        if end > shown {
            on_part(&text[shown..end])?;
            shown = end;
        }
    }
    if text.len() > shown {
        on_part(&text[shown..])?;
    }
    Ok(Written { text, tokens })
}

/// How many bytes at the end of a text are the beginning of another.
fn held_back(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.into_iter().find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}

#[derive(Serialize)]
struct JsonText<'a> {
    prompt: &'a str,
    /// The label that it was written for.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    /// The prompt, and what follows it.
    text: &'a str,
    seed: u64,
    /// Whether the model ended the text.
    is_complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<JsonToken>>,
}

#[derive(Serialize)]
struct JsonToken {
    token: String,
    probability: f64,
    /// The most probable tokens.
    alternatives: Vec<JsonAlternative>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<JsonEvidence>,
}

#[derive(Serialize)]
struct JsonAlternative {
    token: String,
    probability: f64,
}

/// What the tokens before a token add to its logit, from the first that the model sees.
#[derive(Serialize)]
struct JsonEvidence {
    tokens: Vec<String>,
    #[serde(flatten)]
    evidence: Evidence,
}

impl Written {
    fn to_json<'a>(
        &'a self,
        run: &Run,
        args: &'a GenerateArgs,
        label: Option<usize>,
        seed: u64,
    ) -> Result<JsonText<'a>, Failure> {
        let mut evidence =
            if args.explain { self.evidence(run, args, label)?.into_iter() } else { Vec::new().into_iter() };
        let ids = self.ids(run, args)?;
        let name = |id: u32| run.tokenizer.token(id).unwrap_or_default();
        let token = |next: &NextToken| JsonToken {
            token: name(next.id),
            probability: next.probability,
            alternatives: next
                .alternatives
                .iter()
                .map(|&(id, probability)| JsonAlternative { token: name(id), probability })
                .collect(),
            evidence: evidence.next().map(|evidence| {
                let seen = ids.iter().skip(evidence.first).take(evidence.shares.len());
                JsonEvidence { tokens: seen.map(|&id| name(id)).collect(), evidence }
            }),
        };
        let tokens = (!args.brief).then(|| self.tokens.iter().map(token).collect());
        let is_complete = self.tokens.last().is_some_and(|token| token.is_end);
        Ok(JsonText { prompt: &args.prompt, label: args.label.as_deref(), text: &self.text, seed, is_complete, tokens })
    }

    /// The ids of the prompt and of all tokens after it.
    fn ids(&self, run: &Run, args: &GenerateArgs) -> Result<Vec<u32>, Failure> {
        let mut ids = run.tokenizer.ids(&args.prompt).map_err(convlens_run::RunError::from)?;
        ids.extend(self.tokens.iter().map(|token| token.id));
        Ok(ids)
    }

    fn evidence(&self, run: &Run, args: &GenerateArgs, label: Option<usize>) -> Result<Vec<Evidence>, Failure> {
        let ids = self.ids(run, args)?;
        let (stages, total) = (Stages::default(), self.tokens.len());
        let first = ids.len() - total;
        let show = |done| stages.show(Stage { name: "explaining", done, total });
        Ok(token_evidence(run, &ids, label, first..ids.len(), &show)?)
    }
}

/// Prints each token that was written, the tokens that it was chosen among, and those that speak most for or against it.
fn explain(run: &Run, args: &GenerateArgs, label: Option<usize>, text: &Written) -> Result<(), Failure> {
    let (ids, evidence) = (text.ids(run, args)?, text.evidence(run, args, label)?);
    let shown = |id: u32| shown_token(&run.tokenizer, id);
    let (bold, faint) = (Style::new().bold(), Style::new().fg_color(Some(AnsiColor::BrightBlack.into())));
    line("")?;
    for (next, evidence) in text.tokens.iter().zip(&evidence) {
        let others = next.alternatives.iter().filter(|(id, _)| *id != next.id).take(3);
        let others: Vec<String> =
            others.map(|&(id, probability)| format!("{} {:.0} %", shown(id), 100.0 * probability)).collect();
        let because = evidence.strongest(args.words);
        let because = because.into_iter().map(|(at, share)| {
            let before = ids.len() - text.tokens.len();
            let place = if at < before { "" } else { "·" };
            format!("{share:+.2} {place}{}", shown(ids[at]))
        });
        styled_line(format!(
            "{bold}{:12}{bold:#} {:5.1} %  {faint}over {:32}{faint:#}  {}",
            shown(next.id),
            100.0 * next.probability,
            others.join(", "),
            because.collect::<Vec<_>>().join("  "),
        ))?;
    }
    let largest = evidence.iter().map(|evidence| evidence.residual.abs()).fold(0.0, f64::max);
    line(format!(
        "  (each number is what a token before adds to the logit of this one; · marks those that were written; largest residual {largest:.0e})"
    ))
}

/// A token as it is shown in a list: white space is visible.
fn shown_token(tokenizer: &Tokenizer, id: u32) -> String {
    printable(&visible_token(&tokenizer.token(id).unwrap_or_default())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_become_the_stop_text_is_held_back() {
        assert_eq!(held_back("a\n", "\n\n"), 1);
        assert_eq!(held_back("a\n\n", "\n\n"), 1);
        assert_eq!(held_back("abé", "béz"), 3);
        assert_eq!(held_back("ab", "c"), 0);
    }
}

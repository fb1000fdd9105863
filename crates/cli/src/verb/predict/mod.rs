//! `convlens predict`: the labels of texts, and the phrases that decide them.

mod tags;

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use anstyle::Style;
use convlens_analysis::{explained_output, paint, strongest_phrases};
use convlens_data::{Format, LONGEST_ROW, ReadOptions, fetch, open_file, read_pieces};
use convlens_run::model::Padding;
use convlens_run::{Prediction, Predictor, Run, RunError, Task};

use crate::args::PredictArgs;
use crate::failure::Failure;
use crate::message::message;
use crate::output::{self, json_line, line, styled_line};
use crate::printable::printable;
use crate::progress::downloads;
use crate::source::{refuse_language_model, run_folder};

pub use tags::tag_with;

/// How many lines are read before they are classified, if nobody waits for the answer to each.
const LINES: usize = 5_000;
/// They are classified sooner if they reach this many bytes.
const BYTES: usize = 16 << 20;
/// The column of the texts, unless `--text-column` names another.
const TEXT_COLUMN: &str = "text";
/// How many phrases are shown after a training.
const PHRASES: usize = 3;
/// Some programs write it at the start of a file; it is not part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

pub fn run(args: &PredictArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let run = Run::open_on(&folder, &args.device.open()?.device)?;
    refuse_language_model(&run.config, &folder)?;
    if let Some(path) = &args.file {
        fetch(path, &downloads())?;
    }
    if run.config.task == Task::Tag {
        return tags::run(args, run);
    }
    let mut cut = Cut::new(&run);
    if args.brief {
        let predictor = Predictor::new(run)?;
        each_part(args, &mut |texts| {
            cut.count(predictor.run(), texts)?;
            classify(&predictor, texts, args.json)
        })?;
    } else {
        each_part(args, &mut |texts| {
            cut.count(&run, texts)?;
            texts.iter().try_for_each(|text| {
                let prediction = run.predict(text)?;
                if args.json { json_line(&prediction) } else { explain(&prediction, args.phrases) }
            })
        })?;
    }
    cut.warn();
    Ok(())
}

type OnTexts<'a> = &'a mut dyn FnMut(&[String]) -> Result<(), Failure>;

/// Passes the texts on, a few at a time, so that no file is held in memory as a whole.
fn each_part(args: &PredictArgs, on_texts: OnTexts) -> Result<(), Failure> {
    match &args.file {
        _ if !args.text.is_empty() => {
            on_texts(&args.text)?;
            let mut blank = Blank::default();
            let numbered = args.text.iter().zip(1..);
            numbered.filter(|(text, _)| text.trim().is_empty()).for_each(|(_, number)| blank.add(number));
            blank.warn("command line", "text");
            Ok(())
        }
        Some(path) if args.no_quotes && Format::from_path(path).is_none_or(|format| !format.has_quotes()) => {
            Err(Failure::Input(format!("--no-quotes: {} is neither a CSV nor a TSV file", path.display())))
        }
        Some(path) if Format::from_path(path).is_some() => {
            let column = args.text_column.as_deref().unwrap_or(TEXT_COLUMN);
            let options = ReadOptions { quotes: !args.no_quotes, ..ReadOptions::texts(column) };
            let mut blank = Blank::default();
            read_pieces(path, &options)?.try_for_each(|piece| {
                let piece = piece?;
                piece.blank_rows.iter().for_each(|&row| blank.add(row));
                on_texts(&piece.texts)
            })?;
            blank.warn(&path.display().to_string(), "row");
            Ok(())
        }
        Some(path) => {
            if let Some(column) = &args.text_column {
                return Err(Failure::Input(format!(
                    "--text-column {column}: {} is read line by line and has no columns; leave the flag out, or name a \
                     .csv, .tsv, .parquet or .jsonl file",
                    path.display()
                )));
            }
            each_line(BufReader::new(open_file(path)?), &path.display().to_string(), &Limits::new(LINES), on_texts)
        }
        None => {
            // A person or program that sends lines one by one may wait for the answer to each.
            let together = if args.brief && !std::io::stdin().is_terminal() { LINES } else { 1 };
            if std::io::stdin().is_terminal() {
                message("(type one text per line; Ctrl-D ends the input)");
            }
            each_line(std::io::stdin().lock(), "standard input", &Limits::new(together), on_texts)
        }
    }
}

/// How much is read before it is passed on.
struct Limits {
    /// How many lines are passed on together,
    lines: usize,
    /// unless they reach this many bytes before.
    bytes: usize,
    /// How many bytes a line may have.
    line: u64,
}

impl Limits {
    fn new(lines: usize) -> Self {
        Self { lines, bytes: BYTES, line: LONGEST_ROW }
    }
}

/// Passes the lines on, several at a time.
fn each_line(mut source: impl BufRead, name: &str, limits: &Limits, on_texts: OnTexts) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let mut texts = Vec::new();
    let mut waiting = 0; // bytes
    let mut blank = Blank::default();
    for number in 1.. {
        bytes.clear();
        let error = |message: String| Failure::Input(format!("{name}: {message}"));
        let mut limited = source.by_ref().take(limits.line + 1);
        if limited.read_until(b'\n', &mut bytes).map_err(|source| error(source.to_string()))? == 0 {
            break;
        }
        if bytes.len() as u64 > limits.line {
            on_texts(&texts)?;
            return Err(error(format!(
                "line {number} is longer than {} MiB; check whether a line end is missing in it",
                LONGEST_ROW >> 20
            )));
        }
        let Ok(text) = str::from_utf8(&bytes) else {
            on_texts(&texts)?;
            return Err(error(format!("line {number} is not valid UTF-8; convert the text to UTF-8")));
        };
        let text = if number == 1 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
        if text.trim().is_empty() {
            blank.add(number);
        }
        texts.push(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned());
        waiting += bytes.len();
        if texts.len() == limits.lines || waiting >= limits.bytes {
            on_texts(&std::mem::take(&mut texts))?;
            waiting = 0;
        }
    }
    on_texts(&texts)?;
    blank.warn(name, "line");
    Ok(())
}

/// Counts blank texts. They get the prediction of an empty text, which the user may not expect.
#[derive(Default)]
struct Blank {
    count: usize,
    first: usize,
}

impl Blank {
    fn add(&mut self, number: usize) {
        if self.count == 0 {
            self.first = number;
        }
        self.count += 1;
    }

    fn warn(&self, name: &str, unit: &str) {
        let Self { count, first } = self;
        match count {
            0 => {}
            1 => log::warn!("{name}: {unit} {first} is blank and gets the prediction of an empty text"),
            _ => log::warn!(
                "{name}: {count} {unit}s are blank (the first is {unit} {first}) and get the prediction of an empty text"
            ),
        }
    }
}

/// Counts the texts that a model with a fixed length cuts, which the user may not expect.
struct Cut {
    /// How many tokens the model reads; `None` if it reads whole texts.
    length: Option<usize>,
    count: usize,
}

impl Cut {
    fn new(run: &Run) -> Self {
        let length = match run.config.model.padding {
            Padding::Counted { length } => Some(length),
            Padding::Masked => None,
        };
        Self { length, count: 0 }
    }

    fn count(&mut self, run: &Run, texts: &[String]) -> Result<(), Failure> {
        let Some(length) = self.length else { return Ok(()) };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ids = run.tokenizer.encode_ids(&texts).map_err(RunError::from)?;
        self.count += ids.iter().filter(|ids| ids.len() > length).count();
        Ok(())
    }

    fn warn(&self) {
        let Some(length) = self.length else { return };
        match self.count {
            0 => {}
            1 => log::warn!("1 text has more tokens than this model reads; only its last {length} tokens count"),
            count => log::warn!(
                "{count} texts have more tokens than this model reads; only the last {length} tokens of each count"
            ),
        }
    }
}

/// Prints one line per text: its label and the label's probability.
fn classify(predictor: &Predictor, texts: &[String], as_json: bool) -> Result<(), Failure> {
    let labels = &predictor.run().config.labels;
    let lines = predictor.classify(texts)?.into_iter().map(|found| {
        let (label, probability) = (&labels[found.label], found.probabilities[found.label]);
        if as_json {
            serde_json::json!({ "label": label, "probability": probability }).to_string()
        } else {
            format!("{label} {:.1} %", 100.0 * probability)
        }
    });
    // With a single write: one system call per line would take longer than the classification.
    output::lines(&lines.collect::<Vec<_>>())
}

/// Prints a prediction for people: the label, the coloured text, and the strongest phrases, each with
/// the label that it is evidence for or against.
pub fn explain(prediction: &Prediction, phrases: usize) -> Result<(), Failure> {
    let bold = Style::new().bold();
    let percent = 100.0 * prediction.probabilities[prediction.label];
    let label = printable(prediction.label_name());
    styled_line(format!("{bold}{label}{bold:#} {percent:.1} %  {}", paint(prediction)))?;
    let output = explained_output(prediction);
    for phrase in strongest_phrases(prediction, phrases) {
        let score = phrase.score[output];
        line(format!("  {score:+.4} {}  {}", direction(prediction, output, score), prediction.phrase_text(phrase)))?;
    }
    let sum: f64 = prediction.phrases.iter().map(|phrase| phrase.score[output]).sum();
    let count = prediction.phrases.len();
    line(format!(
        "  logit of {}: {:+.4} = {sum:+.4} from {count} {} {:+.4} bias (residual {:.0e})",
        prediction.outputs[output],
        prediction.logits[output],
        if count == 1 { "phrase" } else { "phrases" },
        prediction.bias[output],
        prediction.residual[output].abs()
    ))
}

/// The label that a score is evidence for or against. With two labels there is one logit, the second
/// label's, and evidence against the second label is evidence for the first.
fn direction(prediction: &Prediction, output: usize, score: f64) -> String {
    match (prediction.outputs.as_slice(), prediction.labels.as_slice()) {
        ([_], [first, second]) => format!("for {}", if score < 0.0 { first } else { second }),
        (outputs, _) => format!("{} {}", if score < 0.0 { "against" } else { "for" }, outputs[output]),
    }
}

/// Opens a run folder and explains texts with it.
pub fn explain_with(folder: &Path, texts: &[impl AsRef<str>]) -> Result<(), Failure> {
    let run = Run::open(folder)?;
    texts.iter().try_for_each(|text| explain(&run.predict(text.as_ref())?, PHRASES))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of lines that are passed on together, and the error if there is one.
    fn parts(content: &str, limits: &Limits) -> (Vec<usize>, Option<String>) {
        let mut parts = Vec::new();
        let result = each_line(content.as_bytes(), "input", limits, &mut |texts| {
            parts.push(texts.len());
            Ok(())
        });
        let error = result.err().map(|failure| match failure {
            Failure::Input(line) => line,
            failure => panic!("{failure:?}"),
        });
        (parts, error)
    }

    #[test]
    fn lines_are_passed_on_in_bounded_parts() {
        let limits = Limits { lines: 3, bytes: 10, line: 20 };
        assert_eq!(parts("a\nb\nc\nd\n", &limits), (vec![3, 1], None));
        assert_eq!(parts("12345678\n1\n2\n3\n4\n", &limits), (vec![2, 3, 0], None));
    }

    #[test]
    fn a_line_has_a_bounded_length() {
        let limits = Limits { lines: 3, bytes: 100, line: 20 };
        let (parts, error) = parts(&format!("a\n{}", "b".repeat(1_000)), &limits);
        assert_eq!(parts, [1], "the lines before are answered");
        assert!(error.is_some_and(|line| line.starts_with("input: line 2 is longer than 256 MiB; ")));
    }
}

//! `convlens predict`: texts in, labels and the phrases that decide them out.

use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;

use anstyle::Style;
use convlens_analysis::{explained_output, paint, strongest_phrases};
use convlens_data::{Format, ReadOptions, open_file, read_pieces};
use convlens_run::{Prediction, Predictor, Run};

use crate::args::PredictArgs;
use crate::failure::Failure;
use crate::output::line;
use crate::source::run_folder;

/// How many lines are read before any of them is classified, where nobody waits for each.
const LINES: usize = 5_000;

pub fn run(args: &PredictArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let run = Run::open_on(&folder, &args.device.open()?.device)?;
    match args.brief {
        true => {
            let predictor = Predictor::new(run)?;
            each_part(args, &mut |texts| classify(&predictor, texts, args.json))
        }
        false => each_part(args, &mut |texts| {
            texts.iter().try_for_each(|text| {
                let prediction = run.predict(text)?;
                match args.json {
                    true => line(prediction.to_json().to_string()),
                    false => explain(&prediction, args.phrases),
                }
            })
        }),
    }
}

type OnTexts<'a> = &'a mut dyn FnMut(&[String]) -> Result<(), Failure>;

/// Hands on the texts, some at a time: no file is in memory as a whole.
fn each_part(args: &PredictArgs, on_texts: OnTexts) -> Result<(), Failure> {
    match &args.file {
        _ if !args.text.is_empty() => on_texts(&args.text),
        Some(path) if args.no_quotes && Format::of(path).is_none_or(|format| !format.has_quotes()) => {
            Err(Failure::Input(format!("--no-quotes: {} is neither a CSV nor a TSV file", path.display())))
        }
        Some(path) if Format::of(path).is_some() => {
            let options = ReadOptions { quotes: !args.no_quotes, ..ReadOptions::texts(&args.text_column) };
            let mut blank = Blank::default();
            read_pieces(path, &options)?.try_for_each(|piece| {
                let piece = piece?;
                piece.blank_rows.iter().for_each(|&row| blank.add(row));
                on_texts(&piece.texts)
            })?;
            blank.warn(&path.display().to_string(), "row");
            Ok(())
        }
        Some(path) => each_line(BufReader::new(open_file(path)?), &path.display().to_string(), LINES, on_texts),
        None => {
            // Whoever types or pipes a line at a time may wait for its answer.
            let together = if args.brief && !std::io::stdin().is_terminal() { LINES } else { 1 };
            if std::io::stdin().is_terminal() {
                anstream::eprintln!("(a text per line; Ctrl-D ends)");
            }
            each_line(std::io::stdin().lock(), "standard input", together, on_texts)
        }
    }
}

/// Hands on the lines, `together` at a time.
fn each_line(mut source: impl BufRead, name: &str, together: usize, on_texts: OnTexts) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let mut texts = Vec::new();
    let mut blank = Blank::default();
    for number in 1.. {
        bytes.clear();
        let wrong = |message: String| Failure::Input(format!("{name}: {message}"));
        if source.read_until(b'\n', &mut bytes).map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        let Ok(text) = str::from_utf8(&bytes) else {
            on_texts(&texts)?;
            return Err(wrong(format!("line {number} is not valid UTF-8")));
        };
        let text = if number == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        if text.trim().is_empty() {
            blank.add(number);
        }
        texts.push(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned());
        if texts.len() == together {
            on_texts(&std::mem::take(&mut texts))?;
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

/// A line a text: its label and how sure the model is.
fn classify(predictor: &Predictor, texts: &[String], as_json: bool) -> Result<(), Failure> {
    let labels = &predictor.run().config.labels;
    let lines = predictor.classify(texts)?.into_iter().map(|found| {
        let (label, probability) = (&labels[found.label], found.probabilities[found.label]);
        match as_json {
            true => serde_json::json!({ "label": label, "probability": probability }).to_string(),
            false => format!("{label} {:.1} %", 100.0 * probability),
        }
    });
    // All at once: a call of the system for each would take longer than the texts.
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { Ok(()) } else { line(lines.join("\n")) }
}

/// A prediction for people: the label, the coloured text, the strongest phrases.
pub fn explain(prediction: &Prediction, phrases: usize) -> Result<(), Failure> {
    let bold = Style::new().bold();
    let percent = 100.0 * prediction.probabilities[prediction.label];
    line(format!("{bold}{}{bold:#} {percent:.1} %  {}", prediction.label_name(), paint(prediction)))?;
    let output = explained_output(prediction);
    for phrase in strongest_phrases(prediction, phrases) {
        let text = prediction.phrase_text(phrase).replace(['\n', '\r', '\t'], " ");
        line(format!("  {:+.4} {}  {text}", phrase.score[output], prediction.outputs[output]))?;
    }
    let sum: f64 = prediction.phrases.iter().map(|phrase| phrase.score[output]).sum();
    let count = prediction.phrases.len();
    line(format!(
        "  {:+.4} = {:+.4} of {count} phrases {:+.4} bias (residual {:.0e})",
        prediction.logits[output],
        sum,
        prediction.bias[output],
        prediction.residual[output].abs()
    ))
}

/// Reads a run's folder and explains texts with it.
pub fn explain_with(folder: &Path, texts: &[impl AsRef<str>]) -> Result<(), Failure> {
    let run = Run::open(folder)?;
    texts.iter().try_for_each(|text| explain(&run.predict(text.as_ref())?, 3))
}

//! `convlens predict`: texts in, labels and the phrases that decide them out.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::Path;

use anstyle::Style;
use convlens_analysis::{explained_output, paint, strongest_phrases};
use convlens_data::{Format, read_table};
use convlens_run::{Prediction, Run};

use crate::args::PredictArgs;
use crate::failure::Failure;
use crate::output::line;
use crate::source::run_folder;

pub fn run(args: &PredictArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let run = Run::open_on(&folder, &args.device.open()?.device)?;
    let mut show = |text: &str| {
        let prediction = run.predict(text)?;
        match args.json {
            true => line(prediction.to_json().to_string()),
            false => explain(&prediction, args.phrases),
        }
    };
    match &args.file {
        _ if !args.text.is_empty() => args.text.iter().try_for_each(|text| show(text)),
        Some(path) if Format::of(path).is_some() => {
            let table = read_table(path, &args.text_column, None)?;
            table.texts.iter().try_for_each(|text| show(text))
        }
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
            each_line(BufReader::new(file), &path.display().to_string(), &mut show)
        }
        None => {
            if std::io::stdin().is_terminal() {
                anstream::eprintln!("(a text per line; Ctrl-D ends)");
            }
            each_line(std::io::stdin().lock(), "standard input", &mut show)
        }
    }
}

/// Hands on line after line, as they come.
fn each_line(
    mut source: impl BufRead,
    name: &str,
    show: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let wrong = |message: String| Failure::Input(format!("{name}: {message}"));
        if source.read_until(b'\n', &mut bytes).map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        let text = str::from_utf8(&bytes).map_err(|_| wrong(format!("line {number} is not valid UTF-8")))?;
        show(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)))?;
    }
    Ok(())
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
pub fn explain_with(folder: &Path, texts: &[&str]) -> Result<(), Failure> {
    let run = Run::open(folder)?;
    texts.iter().try_for_each(|text| explain(&run.predict(text)?, 3))
}

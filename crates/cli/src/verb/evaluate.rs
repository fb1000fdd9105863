//! `convlens evaluate`: measures a trained model on labelled texts, or a language model on any.

use convlens_run::{Run, Task};
use convlens_train::{Evaluation, TagEvaluation, evaluate, evaluate_tags, evaluate_texts};

use crate::args::EvaluateArgs;
use crate::failure::Failure;
use crate::output::{line, percent, table, thousands};
use crate::plain::{PlainTexts, plain_texts_for};
use crate::progress::Stages;
use crate::source::{run_folder, texts_for};
use crate::tagged::sentences_for;

/// The table of actual and predicted labels is left out if there are more labels than this.
const MOST_COLUMNS: usize = 30;

pub fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let device = args.device.open()?;
    let run = Run::open_on(&folder, &device.device)?;
    if run.config.task == Task::Tag {
        return evaluate_tagger(args, run, &folder.path().display().to_string(), &device.name);
    }
    if run.config.window().is_some() {
        return evaluate_language_model(args, &run, &folder.path().display().to_string(), &device.name);
    }
    let (name, texts) = texts_for(&run.config, args.dataset.as_deref(), &args.file, &args.split)?;
    let stages = Stages::default();
    let clock = std::time::Instant::now();
    let evaluation = evaluate(&run, &texts, &|stage| stages.show(stage))?;
    let texts_per_second = evaluation.count as f64 / clock.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    if args.json {
        let json = serde_json::json!({
            "run": folder.path(), "dataset": name, "evaluation": evaluation, "texts_per_second": texts_per_second,
        });
        line(json.to_string())
    } else {
        show(&evaluation, &name, &folder.path().display().to_string(), &device.name)
    }
}

fn evaluate_language_model(args: &EvaluateArgs, run: &Run, folder: &str, device: &str) -> Result<(), Failure> {
    let PlainTexts { name, texts, are_parts } =
        plain_texts_for(&run.config, args.dataset.as_deref(), &args.file, &args.split)?;
    let stages = Stages::default();
    let clock = std::time::Instant::now();
    let evaluation = evaluate_texts(run, &texts, are_parts, &|stage| stages.show(stage))?;
    let tokens_per_second = evaluation.tokens as f64 / clock.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    if args.json {
        let json = serde_json::json!({
            "run": folder, "dataset": name, "evaluation": evaluation, "tokens_per_second": tokens_per_second,
        });
        return line(json.to_string());
    }
    let metrics = evaluation.metrics;
    let per =
        |value: Option<f64>, unit: &str| value.map(|bits| format!(", {bits:.4} bits per {unit}")).unwrap_or_default();
    line(format!(
        "{folder} on {} tokens in {} texts of {name}: loss {:.4} nats per token, perplexity {:.3}{}{}, accuracy {}, \
         {} tokens per second on {device}",
        thousands(evaluation.tokens),
        thousands(evaluation.texts),
        metrics.loss,
        metrics.loss.exp(),
        per(metrics.bits_per_character, "character"),
        per(metrics.bits_per_byte, "byte"),
        percent(metrics.accuracy),
        thousands(tokens_per_second as usize),
    ))
}

fn evaluate_tagger(args: &EvaluateArgs, run: Run, folder: &str, device: &str) -> Result<(), Failure> {
    let (name, sentences) = sentences_for(&run.config, args.dataset.as_deref(), &args.file, &args.split)?;
    let stages = Stages::default();
    let clock = std::time::Instant::now();
    let evaluation = evaluate_tags(run, &sentences, &|stage| stages.show(stage))?;
    let words_per_second = evaluation.words.count as f64 / clock.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    if args.json {
        let json = serde_json::json!({
            "run": folder, "dataset": name, "evaluation": evaluation, "words_per_second": words_per_second,
        });
        line(json.to_string())
    } else {
        show_tags(&evaluation, &name, folder, device, words_per_second)
    }
}

fn show_tags(
    evaluation: &TagEvaluation,
    name: &str,
    run: &str,
    device: &str,
    words_per_second: f64,
) -> Result<(), Failure> {
    let head = ["tag", "precision", "recall", "F1", "words", "most often mistaken for"].map(String::from).to_vec();
    let rows = evaluation.tags.iter().zip(&evaluation.confusion).enumerate().map(|(index, (tag, row))| {
        let figures = [tag.precision, tag.recall, tag.f1].map(percent);
        let others = row.iter().enumerate().filter(|(other, count)| *other != index && **count > 0);
        let mistaken = others
            .max_by_key(|(_, count)| **count)
            .map(|(other, count)| format!("{} ({})", evaluation.tags[other].label, thousands(*count)));
        let last = [thousands(tag.support), mistaken.unwrap_or_default()];
        [vec![tag.label.clone()], figures.to_vec(), last.to_vec()].concat()
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    line("")?;
    if let Some(spans) = &evaluation.spans {
        let head = ["span", "precision", "recall", "F1", "spans", "predicted", "correct"].map(String::from).to_vec();
        let all = ("all".to_owned(), spans.total);
        let rows = spans.by_type.clone().into_iter().chain([all]).map(|(kind, span)| {
            let counts = [span.counts.expected, span.counts.predicted, span.counts.correct].map(thousands);
            let figures = [span.precision, span.recall, span.f1].map(percent);
            [vec![kind], figures.to_vec(), counts.to_vec()].concat()
        });
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        line("")?;
    }
    let f1 = evaluation.spans.as_ref().map(|spans| format!(", F1 of spans {}", percent(spans.total.f1)));
    line(format!(
        "{run} on {} words in {} sentences of {name}: accuracy {}{} ({} of {} unknown words, {} of the others), \
         {} words per second on {device}",
        thousands(evaluation.words.count),
        thousands(evaluation.sentences),
        percent(evaluation.words.accuracy),
        f1.unwrap_or_default(),
        percent(evaluation.unknown_words.accuracy),
        thousands(evaluation.unknown_words.count),
        percent(evaluation.known_words.accuracy),
        thousands(words_per_second as usize),
    ))
}

fn show(evaluation: &Evaluation, name: &str, run: &str, device: &str) -> Result<(), Failure> {
    let head = ["class", "precision", "recall", "F1", "texts"].map(String::from).to_vec();
    let rows = evaluation.classes.iter().map(|class| {
        let figures = [class.precision, class.recall, class.f1].map(percent);
        [vec![class.label.clone()], figures.to_vec(), vec![thousands(class.support)]].concat()
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
    line("")?;
    if evaluation.classes.len() > MOST_COLUMNS {
        line(format!(
            "(the table of actual and predicted labels has more than {MOST_COLUMNS} columns; --json prints it)"
        ))?;
    } else {
        let head = std::iter::once("actual \\ predicted".to_owned())
            .chain(evaluation.classes.iter().map(|class| class.label.clone()));
        let rows = evaluation.classes.iter().zip(&evaluation.confusion).map(|(class, row)| {
            std::iter::once(class.label.clone()).chain(row.iter().map(|&count| thousands(count))).collect()
        });
        table(&std::iter::once(head.collect()).chain(rows).collect::<Vec<_>>())?;
    }
    line("")?;
    line(format!(
        "{run} on {} texts of {name}: accuracy {}, loss {:.4}, macro F1 {}, calibration error {}, on {device}",
        thousands(evaluation.count),
        percent(evaluation.accuracy),
        evaluation.loss,
        percent(evaluation.macro_f1),
        percent(evaluation.calibration_error),
    ))
}

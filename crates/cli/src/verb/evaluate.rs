//! `convlens evaluate`: measures a trained model on labelled texts.

use convlens_run::Run;
use convlens_train::{Evaluation, evaluate};

use crate::args::EvaluateArgs;
use crate::failure::Failure;
use crate::output::{line, table, thousands};
use crate::progress::Stages;
use crate::source::{run_folder, texts_for};

/// The table of actual and predicted labels is left out if there are more labels than this.
const MOST_COLUMNS: usize = 30;

pub fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let device = args.device.open()?;
    let run = Run::open_on(&folder, &device.device)?;
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

fn show(evaluation: &Evaluation, name: &str, run: &str, device: &str) -> Result<(), Failure> {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
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

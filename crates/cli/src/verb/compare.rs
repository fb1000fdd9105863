//! `convlens compare`: presets trained on the same data and compared.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use convlens_analysis::{Chart, MinimalPairs, Scale};
use convlens_run::{DatasetConfig, Run, RunFolder, RunMetrics, Task, write_file};
use convlens_train::{Settings, preset, preset_for};
use serde::Serialize;
use serde_json::Value;

use crate::args::CompareArgs;
use crate::failure::{BAD_INPUT, DEFECT, Failure, INTERRUPTED};
use crate::interruption::Children;
use crate::message::message;
use crate::output::{line, percent, table, thousands, write_picture};
use crate::source::absolute;

/// The maximum number of rounds in which inference is measured.
const ROUNDS: usize = 5;
/// After this time no further round is started.
const ENOUGH: Duration = Duration::from_secs(3);

/// A preset and its results.
#[derive(Serialize)]
struct Row {
    preset: String,
    metrics: RunMetrics,
    /// Texts per second in inference, over the test split; words of taggers, and tokens of language models.
    examples_per_second: f64,
    /// How the model does on minimal pairs, if it is a classifier of sentiment.
    pairs: Option<MinimalPairs>,
}

pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    let task = match args.task {
        Some(task) => task,
        None => preset(&args.presets[0])?.task,
    };
    for name in &args.presets {
        settings(name, task)?;
    }
    args.source.file_for(task)?;
    // On Ctrl-C the process that trains writes its checkpoint and ends. Then this one says how to continue.
    let children = Children::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut data: Option<DatasetConfig> = None;
    for (number, name) in args.presets.iter().enumerate() {
        if args.presets[..number].contains(name) {
            continue;
        }
        let folder = args.out.join(name);
        if folder.join(convlens_run::METRICS).exists() {
            check_done(name, task, &folder, args)?;
        } else {
            train(name, task, &folder, args, &children)?;
        }
        let trained_on = RunFolder::open(&folder)?.config()?.dataset;
        match &data {
            Some(data) if data.fingerprint != trained_on.fingerprint => {
                return Err(Failure::Input(format!(
                    "{}: trained on other texts ({}) than {} ({}); name the data, and another folder with --out",
                    folder.display(),
                    trained_on.name,
                    args.presets[0],
                    data.name
                )));
            }
            _ => data = Some(trained_on),
        }
        let metrics = RunFolder::open(&folder)?.metrics()?;
        let missing =
            || Failure::Input(format!("{}: no metrics; remove the folder and run the command again", folder.display()));
        let examples_per_second = fastest(name, &folder, args, &children)?;
        let pairs = if task == Task::Classify { MinimalPairs::new(&Run::open(&folder)?)? } else { None };
        rows.push(Row { preset: name.clone(), metrics: metrics.ok_or_else(missing)?, examples_per_second, pairs });
    }
    let cells = cells(&rows);
    let markdown: String = cells
        .iter()
        .enumerate()
        .map(|(number, row)| {
            let rule = if number == 0 { format!("\n|{}", "---|".repeat(row.len())) } else { String::new() };
            format!("| {} |{rule}\n", row.join(" | "))
        })
        .collect();
    write_file(&args.out.join("comparison.md"), markdown.as_bytes())?;
    write_file(&args.out.join("comparison.json"), serde_json::json!(rows).to_string().as_bytes())?;
    write_picture(&args.out.join("comparison.svg"), &charts(&rows))?;
    if args.json {
        return line(serde_json::json!(rows).to_string());
    }
    table(&cells)?;
    line(format!("{}: comparison.md, comparison.json, comparison.svg and one run per preset", args.out.display()))
}

/// The settings of a preset for the task.
fn settings(name: &str, task: Task) -> Result<Settings, Failure> {
    let preset = preset_for(name, task)?;
    preset.for_task(task).ok_or_else(|| {
        let (own, others) = (preset.task.name(), task.name());
        Failure::Input(format!(
            "--presets {name}: this preset is for --task {own} and cannot be compared with presets for --task {others}"
        ))
    })
}

/// Checks that a finished run, which is not trained again, was trained as these flags ask.
fn check_done(name: &str, task: Task, folder: &Path, args: &CompareArgs) -> Result<(), Failure> {
    let config = RunFolder::open(folder)?.config()?;
    let file = args.source.file_for(task)?;
    let dataset = args.source.dataset.as_ref().filter(|name| *name != "auto");
    let own = settings(name, task)?;
    let mut own_model = (own.model)(config.model.vocab_size, config.model.outputs);
    if let (Some(own), Some(lexicon)) = (&mut own_model.lexicon, &config.model.lexicon) {
        own.pairs = lexicon.pairs; // the data determine it
    }
    let own_epochs = own.epochs(config.dataset.train, config.training.batch_size);
    let differs = [
        ("presets", config.preset != name || config.text != own.text || config.model != own_model),
        ("task", config.task != task),
        ("data", config.dataset.file.map(absolute) != file.map(absolute)),
        ("dataset", dataset.is_some_and(|name| *name != config.dataset.name)),
        ("seed", config.training.seed != args.seed),
        ("epochs", args.epochs.unwrap_or(own_epochs) != config.training.epochs),
    ];
    match differs.into_iter().find(|(_, differs)| *differs) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::Input(format!(
            "--{flag}: {} was trained with another value; name another folder with --out, or remove this one",
            folder.display()
        ))),
    }
}

/// Trains a preset in a process of its own, so that its peak memory can be measured.
fn train(name: &str, task: Task, folder: &Path, args: &CompareArgs, children: &Children) -> Result<(), Failure> {
    message(format!("{name}:"));
    let mut command = own_program()?;
    command.args(["train", "--preset", name, "--task", task.name()]);
    if !RunFolder::is_vacant(folder) {
        command.arg("--resume");
    }
    command.args(args.source.words()).args(["--seed", &args.seed.to_string(), "--device", &args.device.to_string()]);
    command.arg("--out").arg(folder).stdout(Stdio::null());
    if let Some(epochs) = args.epochs {
        command.args(["--epochs", &epochs.to_string()]);
    }
    let child = command.spawn().and_then(|child| children.wait(child));
    let (status, _) = child.map_err(|error| Failure::Input(format!("{name}: {error}")))?;
    check_status(name, status, children)
}

/// Checks how a child process ended. If it failed, it has reported why.
fn check_status(name: &str, status: ExitStatus, children: &Children) -> Result<(), Failure> {
    match status.code().map(u8::try_from) {
        Some(Ok(code @ (BAD_INPUT | DEFECT))) => Err(Failure::Reported(code)),
        Some(Ok(INTERRUPTED)) => Err(stopped(name)),
        _ if children.are_stopped() => Err(stopped(name)),
        Some(Ok(0)) => Ok(()),
        None => Err(Failure::Input(format!(
            "{name}: its process was killed, perhaps because memory ran out; run the same command again to continue"
        ))),
        Some(code) => Err(Failure::Reported(code.unwrap_or(DEFECT))),
    }
}

/// Measures the examples per second in inference: the fastest of several rounds if a round is short,
/// because whatever else the machine does only slows it down.
fn fastest(name: &str, folder: &Path, args: &CompareArgs, children: &Children) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut fastest = evaluate(name, folder, args, children)?;
    for _ in 1..ROUNDS {
        if begin.elapsed() > ENOUGH {
            break;
        }
        fastest = fastest.max(evaluate(name, folder, args, children)?);
    }
    Ok(fastest)
}

/// Measures the examples per second over the run's own test split.
fn evaluate(name: &str, folder: &Path, args: &CompareArgs, children: &Children) -> Result<f64, Failure> {
    let mut command = own_program()?;
    command.args(["evaluate", "--json", "--device", &args.device.to_string(), "--run"]).arg(folder);
    let child = command.stdout(Stdio::piped()).spawn().and_then(|child| children.wait(child));
    let error = |message: String| Failure::Input(format!("{}: {message}", folder.display()));
    let (status, output) = child.map_err(|source| error(source.to_string()))?;
    check_status(name, status, children)?;
    if children.are_stopped() {
        return Err(stopped(name));
    }
    let json: Value = serde_json::from_slice(&output).map_err(|_| error("could not be evaluated".into()))?;
    let per_second = ["texts_per_second", "words_per_second", "tokens_per_second"];
    Ok(per_second.into_iter().find_map(|name| json[name].as_f64()).unwrap_or(0.0))
}

fn stopped(name: &str) -> Failure {
    Failure::Interrupted(format!("stopped at {name}; run the same command again to continue"))
}

/// This program, to be run again.
fn own_program() -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(|error| Failure::Input(format!("this program: {error}")))?;
    Ok(Command::new(path))
}

/// A column that only some tasks have: its title, and the value of a row.
type Column = (&'static str, fn(&Row) -> Option<String>);

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let before: [Column; 4] = [
        ("test F1", |row| row.metrics.test.f1.map(|f1| format!("{f1:.4}"))),
        ("test perplexity", |row| row.metrics.test.perplexity.map(|perplexity| format!("{perplexity:.3}"))),
        ("bits per character", |row| row.metrics.test.bits_per_character.map(|bits| format!("{bits:.4}"))),
        ("calibration error", |row| row.metrics.test.calibration_error.map(percent)),
    ];
    let after: [Column; 1] = [("minimal pairs", |row| {
        row.pairs.as_ref().map(|pairs| format!("{} of {}", pairs.all.passed, pairs.all.count))
    })];
    let present = |columns: &[Column]| -> Vec<Column> {
        columns.iter().copied().filter(|(_, value)| rows.iter().any(|row| value(row).is_some())).collect()
    };
    let (before, after) = (present(&before), present(&after));
    let values = |row: &Row, columns: &[Column]| -> Vec<String> {
        columns.iter().map(|(_, value)| value(row).unwrap_or_else(|| "–".into())).collect()
    };
    let titles = |columns: &[Column]| columns.iter().map(|(title, _)| String::from(*title)).collect::<Vec<_>>();
    let (trained, read) = rows.first().map_or(("texts", "texts"), |row| examples(row.metrics.task));
    let speeds = [format!("training, {trained}/s"), format!("inference, {read}/s")];
    let head = [
        vec!["preset".into(), "test accuracy".into()],
        titles(&before),
        vec!["parameters".into(), "receptive field".into()],
        speeds.into(),
        vec!["epochs".into(), "peak MiB".into()],
        titles(&after),
    ];
    let cells = rows.iter().map(|row| {
        let metrics = &row.metrics;
        let parts = [
            vec![row.preset.clone(), percent(metrics.test.accuracy)],
            values(row, &before),
            vec![
                thousands(metrics.parameters),
                metrics.receptive_field.map_or_else(|| "all".into(), thousands),
                thousands(metrics.examples_per_second as usize),
                thousands(row.examples_per_second as usize),
                format!("{} of {}", metrics.best_epoch, metrics.epochs),
                thousands((metrics.peak_rss_bytes >> 20) as usize),
            ],
            values(row, &after),
        ];
        parts.concat()
    });
    std::iter::once(head.concat()).chain(cells).collect()
}

/// What is counted per second in training and in inference.
fn examples(task: Task) -> (&'static str, &'static str) {
    match task {
        Task::Tag => ("sentences", "words"),
        Task::LanguageModel => ("tokens", "tokens"),
        _ => ("texts", "texts"),
    }
}

/// Accuracy, or the perplexity of language models, against the speed of training and of inference, with one point per
/// preset.
fn charts(rows: &[Row]) -> [Chart; 2] {
    let (trained, read) = rows.first().map_or(("texts", "texts"), |row| examples(row.metrics.task));
    let has_perplexity = rows.iter().any(|row| row.metrics.test.perplexity.is_some());
    let vertical = if has_perplexity { "test perplexity" } else { "test accuracy, %" };
    let height = |row: &Row| row.metrics.test.perplexity.unwrap_or(100.0 * row.metrics.test.accuracy);
    let chart = |title: &str, examples: &str, value: fn(&Row) -> f64| Chart {
        title: title.into(),
        axes: [format!("{examples} per second"), vertical.into()],
        scale: Scale::LogX,
        lines: rows.iter().map(|row| (row.preset.clone(), vec![(value(row).max(1.0), height(row))])).collect(),
    };
    [
        chart("Training", trained, |row| row.metrics.examples_per_second),
        chart("Inference", read, |row| row.examples_per_second),
    ]
}

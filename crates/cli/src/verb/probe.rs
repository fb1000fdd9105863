//! `convlens probe`: what a language model knows of labels that it never saw.

use std::borrow::Cow;

use convlens_analysis::{
    Chart, LabelledStates, Probe, ProbePoint, Scale, paint_scores, probe, text_states, token_states,
    with_random_weights,
};
use convlens_data::{Examples, choose};
use convlens_run::{Run, RunError};
use convlens_train::Stage;
use serde::Serialize;

use crate::args::ProbeArgs;
use crate::failure::Failure;
use crate::output::{check_picture, json_line, line, table, thousands, write_picture};
use crate::progress::Stages;
use crate::source::{dataset, run_folder};

/// The smallest number of labelled texts that a probe is fitted to; others are ten times as many, and so on.
const FEWEST: usize = 100;

/// The states of texts, and whether each has the second label.
struct Split {
    states: Vec<Vec<f32>>,
    labels: Vec<bool>,
}

impl Split {
    fn all(&self) -> LabelledStates<'_> {
        LabelledStates { states: &self.states, labels: &self.labels }
    }
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    trained: ProbePoint,
    /// The same for the model with random weights.
    random: ProbePoint,
}

#[derive(Serialize)]
struct Scored {
    text: String,
    /// The logit of the second label: the mean of the tokens' scores.
    logit: f64,
    tokens: Vec<String>,
    scores: Vec<f64>,
}

pub fn run(args: &ProbeArgs) -> Result<(), Failure> {
    check(args)?;
    let folder = run_folder(args.run.as_deref())?;
    let trained = Run::open_on(&folder, &args.device.open()?.device)?;
    if trained.config.window().is_none() {
        return Err(RunError::Task { task: trained.config.task, expected: convlens_run::Task::LanguageModel }.into());
    }
    let file = args.file.config(args.test_data.as_deref())?;
    let data = dataset(args.dataset.as_deref(), file.as_ref(), args.seed)?;
    let [negative, positive] = data.labels.as_slice() else {
        return Err(Failure::Input(format!("{}: has {} labels; a probe needs two", data.name, data.labels.len())));
    };
    let random = with_random_weights(&trained, args.seed)?;
    let mut splits = Vec::new();
    for run in [&trained, &random] {
        for examples in [&data.train, &data.test] {
            splits.push(split(run, examples, args)?);
        }
    }
    let [train, test, random_train, random_test] = splits.try_into().unwrap_or_else(|_| unreachable!("four splits"));
    let counts =
        std::iter::successors(Some(FEWEST), |count| Some(count * 10)).take_while(|&count| count < train.labels.len());
    let mut rows = Vec::new();
    let mut on_all = None;
    for labels in counts.chain([train.labels.len()]) {
        let (point, fitted) = probe(train.all(), test.all(), labels, args.penalty);
        let (random, _) = probe(random_train.all(), random_test.all(), labels, args.penalty);
        rows.push(Row { trained: point, random });
        on_all = Some(fitted);
    }
    let Some(fitted) = on_all else { return Ok(()) };
    let scored: Vec<Scored> = args.text.iter().map(|text| score(&trained, &fitted, text)).collect::<Result<_, _>>()?;
    if let Some(path) = &args.plot {
        write_picture(path, &charts(&scored, positive))?;
    }
    let name = folder.path().display();
    if args.json {
        return json_line(&serde_json::json!({
            "run": folder.path(), "dataset": data.name, "labels": [negative, positive], "rows": rows, "texts": scored,
        }));
    }
    for scored in &scored {
        show(&trained, scored, positive)?;
    }
    let head = ["labelled texts", "all units", "one unit", "number", "random weights", "one unit"];
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let cells = rows.iter().map(|Row { trained, random }| {
        [
            thousands(trained.labels),
            percent(trained.accuracy),
            percent(trained.unit_accuracy),
            trained.unit.to_string(),
            percent(random.accuracy),
            percent(random.unit_accuracy),
        ]
        .to_vec()
    });
    table(&std::iter::once(head.map(String::from).to_vec()).chain(cells).collect::<Vec<_>>())?;
    let last = rows.last().map_or(0.0, |row| row.trained.accuracy);
    let drawn = args.plot.as_ref().map_or_else(String::new, |path| format!("; drawn in {}", path.display()));
    line(format!(
        "{name}: {} of {} test texts of {} are told apart ({negative} and {positive}) by a linear probe{drawn}",
        percent(last),
        thousands(test.labels.len()),
        data.name
    ))
}

fn check(args: &ProbeArgs) -> Result<(), Failure> {
    if args.texts < 2 {
        return Err(Failure::Input(format!("--texts {}: a probe needs at least 2 texts", args.texts)));
    }
    if args.max_tokens == 0 {
        return Err(Failure::Input("--max-tokens 0: read at least 1 token".into()));
    }
    if !(args.penalty.is_finite() && args.penalty > 0.0) {
        return Err(Failure::Input(format!("--penalty {}: use a number above 0, such as 0.001", args.penalty)));
    }
    args.plot.as_deref().map_or(Ok(()), check_picture)
}

/// The states of some texts, which are chosen by the seed.
fn split(run: &Run, examples: &Examples, args: &ProbeArgs) -> Result<Split, Failure> {
    let is_chosen = match examples.len() {
        0 | 1 => vec![true; examples.len()],
        count if count <= args.texts => vec![true; count],
        count => choose(count, args.texts as f64 / count as f64, args.seed),
    };
    let mut chosen: Vec<usize> = (0..examples.len()).filter(|&index| is_chosen[index]).collect();
    // The first hundred have both labels, even where the file is sorted by label.
    let order = convlens_train::epoch_order(&vec![0; chosen.len()], 1, false, args.seed, 0).concat();
    chosen = order.into_iter().map(|place| chosen[place]).collect();
    let texts = chosen.iter().map(|&index| examples.texts.get(index)).collect::<Result<Vec<Cow<str>>, _>>()?;
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let mut ids = run.tokenizer.encode_ids(&texts).map_err(RunError::from)?;
    ids.iter_mut().for_each(|ids| ids.truncate(args.max_tokens));
    let rows: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let (stages, total) = (Stages::default(), rows.len());
    let states = text_states(run, &rows, &|done| stages.show(Stage { name: "reading texts", done, total }))?;
    Ok(Split { states, labels: chosen.iter().map(|&index| examples.labels[index] == 1).collect() })
}

/// The score of each token of a text, whose mean is the logit of the text.
fn score(run: &Run, probe: &Probe, text: &str) -> Result<Scored, Failure> {
    let ids = run.tokenizer.ids(text).map_err(RunError::from)?;
    let scores: Vec<f64> = token_states(run, &ids)?.iter().map(|state| probe.logit(state)).collect();
    let tokens = ids.iter().map(|&id| run.tokenizer.token(id).unwrap_or_default()).collect();
    let logit = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    Ok(Scored { text: text.into(), logit, tokens, scores })
}

/// Prints a text, coloured by the scores of its tokens.
fn show(run: &Run, Scored { text, logit, scores, .. }: &Scored, positive: &str) -> Result<(), Failure> {
    let offsets = run.tokenizer.encode(text).map_err(RunError::from)?.offsets;
    let parts: Vec<_> = offsets.iter().map(|&(start, end)| start..end).zip(scores.iter().copied()).collect();
    let painted = paint_scores(text, parts.iter().map(|(range, score)| (range.clone(), *score)));
    crate::output::styled_line(format!("{logit:+.2} for {}  {painted}", crate::printable::printable(positive)))
}

fn charts(scored: &[Scored], positive: &str) -> Vec<Chart> {
    let chart = |scored: &Scored| {
        let points = scored.scores.iter().enumerate().map(|(at, &score)| (at as f64, score)).collect();
        let title: String = scored.text.chars().take(60).collect();
        let axes = ["token".into(), format!("score for {positive}")];
        Chart { title, axes, scale: Scale::Linear, lines: vec![("probe".into(), points)] }
    };
    scored.iter().map(chart).collect()
}

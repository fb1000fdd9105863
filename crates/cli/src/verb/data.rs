//! `convlens data`: lists the known data sets, or describes one.

use convlens_data::{Dataset, Examples, KNOWN};
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource};
use convlens_train::{Cache, Corpus, Texts};
use serde_json::{Value, json};

use crate::args::DataArgs;
use crate::failure::Failure;
use crate::output::{line, percent, table, thousands};
use crate::progress::Stages;
use crate::source::dataset;

const QUANTILES: [(&str, f64); 5] =
    [("shortest", 0.0), ("25 %", 0.25), ("median", 0.5), ("75 %", 0.75), ("longest", 1.0)];

pub fn run(args: &DataArgs) -> Result<(), Failure> {
    let file = args.file.config(None)?;
    match (&args.dataset, file) {
        (None, None) => list(args.json),
        (name, file) => {
            let dataset = dataset(name.as_deref(), file.as_ref(), 0)?;
            let description = describe(&dataset)?;
            if args.json { line(description.to_string()) } else { show(&dataset, &description) }
        }
    }
}

fn list(as_json: bool) -> Result<(), Failure> {
    if as_json {
        let known = KNOWN.iter().map(|known| {
            json!({
                "name": known.name, "summary": known.summary, "size": known.size, "licence": known.licence,
                "cached": known.is_cached(),
            })
        });
        return line(Value::Array(known.collect()).to_string());
    }
    let head = ["name", "cached", "licence", "size", "description"].map(String::from).to_vec();
    let rows = KNOWN.iter().map(|known| {
        let cached = if known.is_cached() { "yes" } else { "no" };
        [known.name, cached, known.licence, known.size, known.summary].map(String::from).to_vec()
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn describe(dataset: &Dataset) -> Result<Value, Failure> {
    let words = TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 };
    let stages = Stages::default();
    let corpus = Corpus::prepare(dataset, &words, 0.1, 0, &Cache::for_user(), &|stage| stages.show(stage))?;
    let train = [&corpus.train, &corpus.validation];
    Ok(json!({
        "name": dataset.name,
        "fingerprint": corpus.fingerprint,
        "train": split(&dataset.train, &train, dataset, &corpus)?,
        "test": split(&dataset.test, &[&corpus.test], dataset, &corpus)?,
        "vocabulary": corpus.tokenizer.vocab_size(),
        "texts_in_both_splits": dataset.texts_in_both_splits()?,
    }))
}

fn split(examples: &Examples, parts: &[&Texts], dataset: &Dataset, corpus: &Corpus) -> Result<Value, Failure> {
    let texts = || parts.iter().flat_map(|part| (0..part.len()).map(move |index| (part, index)));
    // The start token is not part of the text.
    let mut lengths: Vec<usize> = texts().map(|(part, index)| part.length(index) - 1).collect();
    lengths.sort_unstable();
    let tokens: usize = lengths.iter().sum();
    let mut unknown = 0;
    for (part, index) in texts() {
        unknown += part.ids(index)?.iter().filter(|&&id| Some(id) == corpus.tokenizer.unk_id()).count();
    }
    let quantile = |(name, share): (&str, f64)| {
        (name.to_owned(), json!(lengths[(share * (lengths.len() - 1) as f64).round() as usize]))
    };
    let mut counts = vec![0usize; dataset.labels.len()];
    examples.labels.iter().for_each(|&label| counts[label] += 1);
    let balance = dataset.labels.iter().zip(counts).map(|(name, count)| (name.clone(), json!(count)));
    Ok(json!({
        "rows": examples.len(),
        "labels": balance.collect::<serde_json::Map<_, _>>(),
        "words": QUANTILES.map(quantile).into_iter().collect::<serde_json::Map<_, _>>(),
        "unknown_words": unknown as f64 / tokens.max(1) as f64,
    }))
}

fn show(dataset: &Dataset, description: &Value) -> Result<(), Failure> {
    let number = |value: &Value| thousands(value.as_u64().unwrap_or(0) as usize);
    let both =
        |pointer: &str| ["train", "test"].map(|split| description[split].pointer(pointer).cloned().unwrap_or_default());
    let row = |name: String, values: [Value; 2]| vec![name, number(&values[0]), number(&values[1])];
    let mut rows =
        vec![[dataset.name.as_str(), "train", "test"].map(String::from).to_vec(), row("texts".into(), both("/rows"))];
    for label in &dataset.labels {
        let of_split = |split: &str| description[split]["labels"][label].clone();
        rows.push(row(format!("  {label}"), ["train", "test"].map(of_split)));
    }
    for (name, _) in QUANTILES {
        rows.push(row(
            format!("words, {name}"),
            ["train", "test"].map(|split| description[split]["words"][name].clone()),
        ));
    }
    let [train, test] = both("/unknown_words").map(|share| percent(share.as_f64().unwrap_or(0.0)));
    rows.push(vec![format!("outside the {} most frequent words", number(&description["vocabulary"])), train, test]);
    table(&rows)?;
    line(format!("texts in both splits: {}", number(&description["texts_in_both_splits"])))
}

//! Run folders whose files a stranger has changed: each gives a prediction, or one error that names the
//! changed file. None panics, and none makes the process ask for much memory.

use std::path::Path;

use convlens_model::{
    ConvConfig, Downsampling, EncoderConfig, LayerConfig, LinearConvConfig, Padding, PlainStackConfig, Pooling,
    RecurrentConfig, ResidualBranch, ResidualConfig,
};
use convlens_run::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

#[path = "../src/testing.rs"]
mod testing;

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
const CASES: u32 = 3_000;
/// The largest peak memory that the process may have, in KiB.
const MOST_MEMORY: u64 = 1 << 20;

/// What happens to a file.
#[derive(Clone, Debug)]
enum Change {
    Truncate(prop::sample::Index),
    Bytes(Vec<(prop::sample::Index, u8)>),
    /// A value of the JSON (of weights, of their header), replaced.
    Value(prop::sample::Index, Value),
    /// A value of the JSON, removed.
    Removed(prop::sample::Index),
    /// Four bytes of the weights, replaced by a number.
    Float(prop::sample::Index, f32),
    /// Another run's file.
    OfRun(prop::sample::Index),
    /// Another file of the same run.
    OtherFile(prop::sample::Index),
}

fn values() -> impl Strategy<Value = Value> {
    let nested = (0..200).fold(json!(1), |value, _| json!([value]));
    let numbers = [
        json!(0),
        json!(1),
        json!(2),
        json!(7),
        json!(-1),
        json!(5.5),
        json!(1e-300),
        json!(1e300),
        json!(-1e300),
        json!(1 << 20),
        json!(1u64 << 31),
        json!((1u64 << 31) - 1),
        json!(1_000_000_000_000_000_000u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(u32::MAX),
    ];
    let others = [
        json!(null),
        json!(true),
        json!(""),
        json!("x"),
        json!("x".repeat(10_000)),
        json!("\u{1b}[2J\n"),
        json!([]),
        json!({}),
        json!(["a", "a"]),
        json!([0, 0]),
        json!(vec![1; 1_000]),
        nested,
    ];
    prop::sample::select(numbers.into_iter().chain(others).collect::<Vec<_>>())
}

fn changes() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let float = prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::MAX, f32::MIN, 1e30, f32::MIN_POSITIVE, 0.0]);
    prop_oneof![
        2 => at().prop_map(Change::Truncate),
        3 => prop::collection::vec((at(), any::<u8>()), 1..4).prop_map(Change::Bytes),
        8 => (at(), values()).prop_map(|(at, value)| Change::Value(at, value)),
        2 => at().prop_map(Change::Removed),
        2 => (at(), float).prop_map(|(at, float)| Change::Float(at, float)),
        1 => at().prop_map(Change::OfRun),
        1 => at().prop_map(Change::OtherFile),
    ]
}

/// The files of valid runs.
fn runs() -> Vec<[Vec<u8>; 3]> {
    let layer: LayerConfig = serde_json::from_value(json!({ "kernel_size": 3 })).expect("a layer");
    let downsampling = Downsampling::MaxPool { by: 2 };
    let encoders = [
        EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 3, init_std: 0.5 }),
        EncoderConfig::Conv(ConvConfig::new(3, &[2, 3])),
        EncoderConfig::Plain(PlainStackConfig { hidden: 4, layers: 2, downsampling, layer: layer.clone() }),
        EncoderConfig::Residual(ResidualConfig {
            hidden: 4,
            blocks: 2,
            dilation_base: 2,
            branch: ResidualBranch::Tcn,
            layer,
        }),
        EncoderConfig::Lstm(RecurrentConfig { hidden: 3, bidirectional: true }),
    ];
    let files = |files: RunFiles| [files.config, files.tokenizer, files.weights];
    let run = |(index, encoder): (usize, EncoderConfig)| {
        let mut run = testing::run(encoder, Padding::Masked);
        if index == 1 {
            run.config.model.pooling = Pooling::Max;
        }
        run.files().expect("files")
    };
    let mut runs: Vec<RunFiles> = encoders.into_iter().enumerate().map(run).collect();
    let counted = testing::run(
        EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 3, init_std: 0.5 }),
        Padding::Counted { length: 6 },
    );
    runs.push(counted.files().expect("files"));
    runs.push(runs[0].packed(Precision::Int8).expect("packs"));
    runs.into_iter().map(files).collect()
}

fn change(content: &[u8], change: &Change, file: usize, run: &[Vec<u8>; 3], runs: &[[Vec<u8>; 3]]) -> Vec<u8> {
    let mut content = content.to_vec();
    match change {
        Change::Truncate(at) => content.truncate(at.index(content.len())),
        Change::Bytes(bytes) => {
            for (at, byte) in bytes {
                let at = at.index(content.len());
                content[at] = *byte;
            }
        }
        Change::Value(at, value) => return with_json(&content, file, |json| replace(json, *at, Some(value.clone()))),
        Change::Removed(at) => return with_json(&content, file, |json| replace(json, *at, None)),
        Change::Float(at, float) => {
            let at = at.index(content.len() / 4) * 4;
            content[at..at + 4].copy_from_slice(&float.to_le_bytes());
        }
        Change::OfRun(at) => content = at.get(runs)[file].clone(),
        Change::OtherFile(at) => content = at.get(run).clone(),
    }
    content
}

fn with_json(content: &[u8], file: usize, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    if FILES[file] != "model.safetensors" {
        let mut json = serde_json::from_slice(content).expect("JSON");
        change(&mut json);
        return json.to_string().into_bytes();
    }
    let (length, rest) = content.split_first_chunk::<8>().expect("a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut json = serde_json::from_slice(header).expect("JSON");
    change(&mut json);
    let header = json.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Replaces or removes one of all the values below `json`.
fn replace(json: &mut Value, at: prop::sample::Index, value: Option<Value>) {
    fn pointers(json: &Value, own: String, all: &mut Vec<String>) {
        let children: Vec<(String, &Value)> = match json {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        for (key, child) in children {
            let pointer = format!("{own}/{}", key.replace('~', "~0").replace('/', "~1"));
            all.push(pointer.clone());
            pointers(child, pointer, all);
        }
    }
    let mut all = Vec::new();
    pointers(json, String::new(), &mut all);
    let pointer = at.get(&all);
    match value {
        Some(value) => *json.pointer_mut(pointer).expect("is there") = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').expect("has a parent");
            match json.pointer_mut(parent).expect("is there") {
                Value::Object(map) => _ = map.remove(&key.replace("~1", "/").replace("~0", "~")),
                Value::Array(list) => _ = list.remove(key.parse().expect("an index")),
                _ => {}
            }
        }
    }
}

const TEXT: &str = "a good film, not a bad one";

fn check(prediction: &Prediction) {
    assert!(prediction.probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)));
    let json = prediction.to_json();
    assert!(!json.to_string().contains("null"), "{json}");
}

/// A folded run without Burn. If the whole run can be read too, both give the same.
fn read_folded(folder: &Path) -> Result<(), RunError> {
    let run = FoldedRun::open(folder)?;
    let prediction = run.predict(TEXT)?;
    check(&prediction);
    let found = run.classify(TEXT)?;
    assert_eq!((found.label, &found.probabilities), (prediction.label, &prediction.probabilities));
    if let Ok(whole) = Run::open(folder).and_then(|run| run.predict(TEXT)) {
        // The folded run adds up whole words and takes away what is beyond the edges of the text.
        let largest = run.table.values().iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
        for (one, other) in prediction.logits.iter().zip(&whole.logits) {
            // The bias may be larger than any value of the table.
            let scale = f64::from(largest).max(other.abs());
            assert!((one - other).abs() <= 1e-3 * scale, "{one} is not {other}");
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Result<(), RunError> {
    let run = Run::open(folder)?;
    let text = TEXT;
    let prediction = run.predict(text)?;
    check(&prediction);
    let predictor = Predictor::new(run)?;
    let found = predictor.classify(&[text])?;
    assert_eq!(found[0].label, prediction.label);
    Ok(())
}

/// The files of valid folded runs.
fn folded_runs() -> Vec<[Vec<u8>; 3]> {
    let folded = |padding| {
        let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 3, init_std: 0.5 });
        let folded = testing::run(encoder, padding).folded().expect("folds").expect("is linear");
        folded.files().expect("files")
    };
    let (masked, counted) = (folded(Padding::Masked), folded(Padding::Counted { length: 6 }));
    let packed = [masked.packed(Precision::Int8), masked.packed(Precision::F16)].map(|files| files.expect("packs"));
    let runs = [masked, counted].into_iter().chain(packed);
    runs.map(|files| [files.config, files.tokenizer, files.weights]).collect()
}

#[test]
fn changed_files_give_a_prediction_or_an_error_that_names_them() {
    change_and_read(runs(), read);
}

/// A run of one layer of convolutions without Burn. If the whole run can be read too, both give the same.
fn read_conv(folder: &Path) -> Result<(), RunError> {
    let run = ConvRun::open(folder)?;
    let prediction = run.predict(TEXT)?;
    check(&prediction);
    (0..prediction.phrases.len()).for_each(|phrase| _ = run.parts(&prediction, phrase));
    if let Ok(whole) = Run::open(folder).and_then(|run| run.predict(TEXT)) {
        for (one, other) in prediction.logits.iter().zip(&whole.logits) {
            // Sums of products of very different sizes are rounded differently.
            let scale = prediction
                .phrases
                .iter()
                .flat_map(|phrase| &phrase.score)
                .fold(1.0, |largest: f64, score| largest.max(score.abs()));
            assert!((one - other).abs() <= 1e-3 * scale.max(other.abs()), "{one} is not {other}");
        }
    }
    Ok(())
}

#[test]
fn changed_files_of_convolutions_give_a_prediction_or_an_error_that_names_them() {
    let runs = [false, true].map(|with_lexicon| {
        let encoder = EncoderConfig::Conv(ConvConfig::new(4, &[2, 3]));
        testing::pooled_run(encoder, with_lexicon).files().expect("files")
    });
    let packed = runs[1].packed(Precision::Int6).expect("packs");
    let files = |files: RunFiles| [files.config, files.tokenizer, files.weights];
    change_and_read(runs.into_iter().chain([packed]).map(files).collect(), read_conv);
}

#[test]
fn changed_files_of_folded_runs_give_a_prediction_or_an_error_that_names_them() {
    change_and_read(folded_runs(), read_folded);
}

fn change_and_read(runs: Vec<[Vec<u8>; 3]>, read: fn(&Path) -> Result<(), RunError>) {
    let place = tempfile::tempdir().expect("a folder");
    let cases = (0..runs.len(), 0..FILES.len(), changes());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let [mut predictions, mut errors] = [std::cell::Cell::new(0), std::cell::Cell::new(0)];
    let test = |(run, file, kind): (usize, usize, Change)| {
        for (name, content) in FILES.iter().zip(&runs[run]) {
            std::fs::write(place.path().join(name), content).expect("writes");
        }
        let content = change(&runs[run][file], &kind, file, &runs[run], &runs);
        std::fs::write(place.path().join(FILES[file]), content).expect("writes");
        match read(place.path()) {
            Ok(()) => predictions.set(predictions.get() + 1),
            Err(error) => {
                errors.set(errors.get() + 1);
                let line = error.to_string();
                prop_assert!(line.contains(FILES[file]), "{} was changed: {line}", FILES[file]);
                prop_assert!(line.len() < 2_000 && !line.contains(['\n', '\u{1b}']), "{line:?}");
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&cases, test).unwrap_or_else(|error| panic!("{error}"));
    assert!(*predictions.get_mut() > 100 && *errors.get_mut() > 1_000, "{predictions:?} {errors:?}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(peak.unwrap_or(0u64) < MOST_MEMORY, "{peak:?} KiB");
}

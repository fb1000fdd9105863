//! Training steps and inference of the encoders, and single layers, for `cargo xtask bench stacks`.
//!
//! usage: stacks list
//!        stacks prepare FOLDER          writes the batches, and for each preset its weights and logits
//!        stacks measure FOLDER WORK     prints a line of JSON
//!
//! `list` prints one work per line: `LAYER/forward`, `LAYER/backward`, `PRESET/train/BATCHES` or
//! `PRESET/infer/BATCHES`. `RAYON_NUM_THREADS` sets the number of threads.
#![allow(clippy::unwrap_used)]

mod common;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use common::cpu_seconds;
use convlens_data::{OnDownload, known};
use convlens_learn::{Learner, StepPosition, Targets, epoch_order, parameters};
use convlens_run::model::{
    Batch, ConvConfig, Encode, Encoder, EncoderConfig, EncoderSettings, LayerConfig, ModelConfig, PlainStackConfig,
    RecurrentConfig, ResidualBranch, ResidualConfig, parameter_name, parameter_shapes,
};
use convlens_run::text::{Tokenizer, train};
use convlens_run::{TokenizerSource, TrainingConfig};
use convlens_train::{Preset, preset};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The channels of the single layers, and the batch that they read.
const WIDTH: usize = 128;
const BATCH: usize = 32;
const LENGTH: usize = 400;

const PRESETS: [&str; 10] =
    ["conv", "plain", "residual", "dense", "dilated", "bytenet", "gated", "lstm", "bilstm", "gru"];
/// How many IMDB batches, and how many of `BATCH` reviews of exactly `LENGTH` tokens.
const BATCHES: [(&str, usize); 2] = [("imdb", 24), ("32x400", 4)];

/// The figure of a work is the median of this many rounds.
const ROUNDS: usize = 5;
/// The shortest duration of a round.
const SECONDS: f64 = 0.5;

fn main() {
    // Cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => works().iter().for_each(|work| println!("{work}")),
        ["prepare", folder] => prepare(Path::new(folder)),
        ["measure", folder, work] => measure(Path::new(folder), work),
        _ => println!("usage: stacks list | prepare FOLDER | measure FOLDER WORK"),
    }
}

fn works() -> Vec<String> {
    let layers = layers().into_keys().flat_map(|name| ["forward", "backward"].map(|pass| format!("{name}/{pass}")));
    let presets = PRESETS.iter().flat_map(|preset| {
        ["train", "infer"]
            .into_iter()
            .flat_map(move |what| BATCHES.map(|(batches, _)| format!("{preset}/{what}/{batches}")))
    });
    std::iter::once("product/forward".into()).chain(layers).chain(presets).collect()
}

fn layers() -> BTreeMap<&'static str, EncoderConfig> {
    let layer = LayerConfig::default();
    let plain = PlainStackConfig { hidden: WIDTH, layers: 8, downsampling: Default::default(), layer: layer.clone() };
    let dilated = ResidualConfig { hidden: WIDTH, blocks: 4, dilation_base: 4, branch: ResidualBranch::Tcn, layer };
    let recurrent = RecurrentConfig { hidden: WIDTH, bidirectional: false };
    BTreeMap::from([
        ("conv-layer", EncoderConfig::Conv(ConvConfig::new(WIDTH, &[3]))),
        ("plain-layers", EncoderConfig::Plain(plain)),
        ("dilated-layers", EncoderConfig::Residual(dilated)),
        ("lstm-layer", EncoderConfig::Lstm(recurrent.clone())),
        ("gru-layer", EncoderConfig::Gru(recurrent)),
    ])
}

/// Reviews as ids, in batches, and the vocabulary behind them.
#[derive(Serialize, Deserialize)]
struct Batches {
    vocab_size: usize,
    tokenizer: String,
    batches: BTreeMap<String, Vec<Texts>>,
}

#[derive(Serialize, Deserialize)]
struct Texts {
    ids: Vec<Vec<u32>>,
    labels: Vec<usize>,
}

/// The file with a preset's batches: presets share one if they share a vocabulary and a batch size.
fn batches_of(preset: &Preset) -> String {
    let text = (preset.text)();
    format!("batches-{}-{}.json", text.vocab_size, (preset.training)().batch_size)
}

fn prepare(folder: &Path) {
    let silent: OnDownload = std::sync::Arc::new(|_| {});
    let data = known("imdb").unwrap().load(&silent).unwrap();
    let texts = data.train.texts.to_vec().unwrap();
    fs::create_dir_all(folder).unwrap();
    for name in PRESETS {
        let preset = preset(name).unwrap();
        let path = folder.join(batches_of(preset));
        if !path.exists() {
            let batches = imdb_batches(preset, &texts, &data.train.labels);
            fs::write(&path, serde_json::to_string(&batches).unwrap()).unwrap();
        }
        let batches: Batches = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let config = (preset.model)(batches.vocab_size, 1);
        let first = &batches.batches["imdb"][0];
        let learner = learner(&config, &(preset.training)(), &batches);
        let rows: Vec<&[u32]> = first.ids.iter().map(Vec::as_slice).collect();
        let logits = learner.trained().forward(&Batch::new(&rows, config.padding, 0, &Device::flex()));
        let logits: Vec<f32> = logits.try_into_vec_as().unwrap();
        let training = (preset.training)();
        let settings = json!({
            "batches": batches_of(preset),
            "model": config,
            "training": training,
            "logits": logits,
        });
        fs::write(folder.join(format!("{name}.json")), settings.to_string()).unwrap();
        let weights = parameters(&learner.trained());
        let views = weights.iter().map(|(path, data)| {
            (parameter_name(path), TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes()).unwrap())
        });
        safetensors::serialize_to_file(views, None, &folder.join(format!("{name}.safetensors"))).unwrap();
    }
    println!("wrote batches and weights to {}", folder.display());
}

fn imdb_batches(preset: &Preset, texts: &[String], labels: &[usize]) -> Batches {
    let text = (preset.text)();
    let TokenizerSource::Trained(kind) = text.tokenizer else { unreachable!("no preset imports its tokenizer") };
    let tokenizer = train(kind, text.vocab_size, texts.iter()).unwrap();
    let ids = tokenizer.encode_ids(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    let training = (preset.training)();
    let of = |batch: &[usize], length: usize| Texts {
        ids: batch.iter().map(|&index| ids[index][..lengths[index].min(length)].to_vec()).collect(),
        labels: batch.iter().map(|&index| labels[index]).collect(),
    };
    let order = epoch_order(&lengths, training.batch_size, true, training.seed, 1);
    let long: Vec<usize> = order.concat().into_iter().filter(|&index| lengths[index] >= LENGTH).collect();
    let batches = BATCHES.map(|(name, count)| {
        let batches: Vec<Texts> = match name {
            "imdb" => order.iter().take(count).map(|batch| of(batch, usize::MAX)).collect(),
            _ => long.chunks_exact(BATCH).take(count).map(|batch| of(batch, LENGTH)).collect(),
        };
        (name.to_owned(), batches)
    });
    Batches { vocab_size: tokenizer.vocab_size(), tokenizer: tokenizer.to_json().unwrap(), batches: batches.into() }
}

fn learner(model: &ModelConfig, training: &TrainingConfig, batches: &Batches) -> Learner {
    let tokenizer = Tokenizer::from_json(batches.tokenizer.as_bytes()).unwrap();
    Learner::new(model, training, &tokenizer, None, &Device::flex()).unwrap()
}

fn measure(folder: &Path, work: &str) {
    let parts: Vec<&str> = work.split('/').collect();
    match parts.as_slice() {
        ["product", _] => {
            let flop = 2 * BATCH * LENGTH * 3 * WIDTH * WIDTH;
            let draw = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &Device::flex());
            let (a, b) = (draw([BATCH * LENGTH, 3 * WIDTH]), draw([3 * WIDTH, WIDTH]));
            report(work, 1, flop, || _ = a.clone().matmul(b.clone()).into_data());
        }
        [layer, pass] => layer_pass(work, &layers()[layer], *pass == "backward"),
        [name, what, batches] => {
            let preset = preset(name).unwrap();
            let file: Batches = serde_json::from_slice(&fs::read(folder.join(batches_of(preset))).unwrap()).unwrap();
            let (config, training) = ((preset.model)(file.vocab_size, 1), (preset.training)());
            let learner = learner(&config, &training, &file);
            if *what == "train" {
                training_steps(work, learner, &file.batches[*batches]);
            } else {
                inference(work, &learner, &config, &file.batches[*batches]);
            }
        }
        _ => println!("unknown work {work}"),
    }
}

/// The number of floating-point operations per position: two for each weight, if nothing is saved.
fn flop_per_position(module: &impl Module) -> usize {
    let shapes = parameter_shapes(module).into_iter();
    let weights = shapes.filter(|(path, shape)| shape.len() > 1 && path != "embed.weight");
    weights.map(|(_, shape)| 2 * shape.iter().product::<usize>()).sum()
}

fn layer_pass(work: &str, config: &EncoderConfig, backward: bool) {
    let device = Device::flex();
    let encoder = config.init(WIDTH, &device);
    let run = |encoder: &Encoder, x: Tensor<3>| encoder.forward(x.clone(), Tensor::ones([BATCH, LENGTH], &x.device()));
    let x = Tensor::<3>::random([BATCH, LENGTH, WIDTH], Distribution::Normal(0.0, 1.0), &device);
    let flop = BATCH * LENGTH * flop_per_position(&encoder);
    if backward {
        let training = encoder.train();
        report(work, 1, 3 * flop, || {
            let x = Tensor::from_inner(x.clone()).require_grad();
            _ = run(&training, x).sum().backward();
        });
    } else {
        report(work, 1, flop, || _ = run(&encoder, x.clone()).into_data());
    }
}

/// Steps as training takes them, from ids to new weights and the loss.
fn training_steps(work: &str, learner: Learner, batches: &[Texts]) {
    let positions: usize = batches.iter().flat_map(|batch| &batch.ids).map(Vec::len).sum();
    let flop = 3 * positions * flop_per_position(&learner.model) / batches.len();
    let mut state = Some(learner);
    report(work, batches.len(), flop, || {
        for (at, batch) in batches.iter().enumerate() {
            let rows = batch.ids.iter().map(|ids| Cow::Borrowed(ids.as_slice())).collect();
            let position = StepPosition { epoch: 1, step: at + 1, done: 0, steps: 1 };
            let targets = Targets::Labels(batch.labels.clone());
            let (learner, scores) = state.take().unwrap().step(rows, &targets, position).unwrap();
            state = Some(learner);
            assert!(scores.tally().unwrap().loss.is_finite());
        }
    });
}

fn inference(work: &str, learner: &Learner, config: &ModelConfig, batches: &[Texts]) {
    let model = learner.trained();
    let texts = batches.iter().map(|batch| batch.ids.len()).sum();
    let positions: usize = batches.iter().flat_map(|batch| &batch.ids).map(Vec::len).sum();
    report(work, texts, positions * flop_per_position(&model) / texts, || {
        for batch in batches {
            let rows: Vec<&[u32]> = batch.ids.iter().map(Vec::as_slice).collect();
            _ = model.forward(&Batch::new(&rows, config.padding, 0, &Device::flex())).into_data();
        }
    });
}

/// Repeats `round`, which has `count` items of `flop` operations, and prints the time per item.
fn report(work: &str, count: usize, flop: usize, mut round: impl FnMut()) {
    round();
    let mut costs = Vec::new();
    for _ in 0..ROUNDS {
        let (clock, cpu) = (Instant::now(), cpu_seconds());
        let mut items = 0;
        while clock.elapsed().as_secs_f64() < SECONDS {
            round();
            items += count;
        }
        costs.push([clock.elapsed().as_secs_f64(), cpu_seconds() - cpu].map(|seconds| seconds / items as f64));
    }
    let median = |at: usize| {
        let mut values: Vec<f64> = costs.iter().map(|cost| cost[at]).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let threads: usize = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    let line = json!({
        "work": work, "tool": "convlens", "threads": threads, "wall_seconds": median(0), "cpu_seconds": median(1),
        "peak_bytes": peak_bytes(), "flop": flop,
    });
    println!("{line}");
}

/// The peak memory of this process, from Linux's `/proc/self/status`; 0 elsewhere. (What `getrusage` reports
/// includes the program that started it.)
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

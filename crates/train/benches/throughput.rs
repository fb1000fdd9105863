//! The measurements that `cargo xtask bench` compares with those of other programs, on the real IMDB:
//! inference from ids and from text by batch size, text to ids, and a training step with ReLU. Each is
//! one line of JSON.
//!
//! usage: throughput RUN, the folder of a `seed` run
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::Instant;

use burn::nn::loss::BinaryCrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor};
use common::cpu_seconds;
use convlens_data::{Examples, OnDownload, known};
use convlens_run::model::{Batch, ConvConfig, EncoderConfig, ModelConfig, Padding};
use convlens_run::{Predictor, Run, RunFolder};
use convlens_train::Adam;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The minimum duration of a measurement, after one round that is not measured.
const SECONDS: f64 = 2.0;
const BATCHES: [usize; 3] = [1, 32, 256];

fn main() {
    // Cargo adds a flag of its own.
    let Some(run) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        return println!("usage: throughput RUN");
    };
    let silent: OnDownload = std::sync::Arc::new(|_| {});
    let test = known("imdb").unwrap().load(&silent).unwrap().test;
    let folder = RunFolder::open(Path::new(&run)).unwrap();
    let run = || Run::open_on(&folder, &Device::flex()).unwrap();

    let texts = test.texts.to_vec().unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokenizer = run().tokenizer;
    measure("text to ids", texts.len(), || _ = tokenizer.encode_ids(&texts).unwrap());
    let ids = tokenizer.encode_ids(&texts).unwrap();
    let rows: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();

    let predictor = Predictor::new(run()).unwrap();
    for batch in BATCHES {
        let name = format!("ids, batch {batch}");
        measure(&name, rows.len(), || rows.chunks(batch).for_each(|rows| _ = predictor.logits_of_ids(rows).unwrap()));
    }
    for batch in BATCHES {
        let name = format!("text, batch {batch}");
        measure(&name, texts.len(), || texts.chunks(batch).for_each(|texts| _ = predictor.logits(texts).unwrap()));
    }
    train_relu(&run().config.model, &rows, &test);
}

/// Measures steps of 32 reviews, cut and padded to 400 ids, as in the other program.
fn train_relu(config: &ModelConfig, rows: &[&[u32]], test: &Examples) {
    const LENGTH: usize = 400;
    let device = Device::flex().autodiff();
    let encoder = EncoderConfig::Conv(ConvConfig::new(128, &[3]));
    let config = ModelConfig { encoder, padding: Padding::Counted { length: LENGTH }, ..config.clone() };
    let mut state = Some((config.init(&device).unwrap(), Adam::new(1e-7, 0.0)));
    let rows = &rows[..3_200];
    measure("training step with ReLU", rows.len() / 32, || {
        for (rows, labels) in rows.chunks(32).zip(test.labels.chunks(32)) {
            let (model, mut adam) = state.take().unwrap();
            let logits = model.forward(&Batch::counted(rows, 0, LENGTH, &device));
            let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
            let targets = Tensor::<1, Int>::from_ints(labels.as_slice(), &device);
            let loss = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&device);
            let loss = loss.forward(logits.reshape([rows.len()]), targets);
            let gradients = loss.backward();
            assert!(loss.into_scalar::<f32>().is_finite());
            state = Some((adam.step(model, gradients, 1e-3), adam));
        }
    });
}

/// Repeats `round`, which processes `count` items, and prints the time per item.
fn measure(what: &str, count: usize, mut round: impl FnMut()) {
    round();
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let mut rounds = 0;
    while clock.elapsed().as_secs_f64() < SECONDS {
        round();
        rounds += 1;
    }
    let each = |seconds: f64| 1e6 * seconds / (rounds * count) as f64;
    let (wall, cpu) = (each(clock.elapsed().as_secs_f64()), each(cpu_seconds() - cpu));
    println!("{}", serde_json::json!({ "what": what, "wall_us": wall, "cpu_us": cpu }));
}

//! The speed of convolutions and of an LSTM of the same width, 128 → 128 channels, on the CPU: the
//! forward pass, the forward and backward pass, and one token at a time as in generation. Prints one row
//! per case, with milliseconds and how many times as long the LSTM takes.
//!
//! Usage: conv_vs_lstm [BATCH LENGTH]. `RAYON_NUM_THREADS` sets the number of threads.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use convlens_model::{
    ConvConfig, Encode, Encoder, EncoderConfig, EncoderSettings, LayerConfig, PlainStackConfig, RecurrentConfig,
    ResidualBranch, ResidualConfig,
};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WIDTH: usize = 128;
/// The shortest time for which each case is measured, after one round of warm-up.
const SECONDS: f64 = 1.0;

fn cases() -> [(&'static str, EncoderConfig); 4] {
    let layer = LayerConfig { causal: true, ..LayerConfig::default() };
    let conv = ConvConfig { causal: true, ..ConvConfig::new(WIDTH, &[3]) };
    let plain = PlainStackConfig { hidden: WIDTH, layers: 8, downsampling: Default::default(), layer: layer.clone() };
    let dilated = ResidualConfig { hidden: WIDTH, blocks: 4, dilation_base: 4, branch: ResidualBranch::Tcn, layer };
    let lstm = RecurrentConfig { hidden: WIDTH, bidirectional: false };
    [
        ("lstm", EncoderConfig::Lstm(lstm)),
        ("conv, one layer", EncoderConfig::Conv(conv)),
        ("plain, eight layers", EncoderConfig::Plain(plain)),
        ("dilated, eight layers (1, 4, 16, 64)", EncoderConfig::Residual(dilated)),
    ]
}

fn main() {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let shapes = match sizes.as_slice() {
        [batch, length] => vec![(*batch, *length)],
        _ => vec![(1, 100), (1, 400), (32, 100), (32, 400), (8, 1_600)],
    };
    let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_else(|_| "all".into());
    println!(
        "| batch | length | threads | encoder | forward ms | LSTM / it | with backward ms | LSTM / it | one token ms | LSTM / it |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (batch, length) in shapes {
        let mut lstm = None;
        for (name, config) in cases() {
            let times = times(&config, batch, length);
            let lstm = *lstm.get_or_insert(times);
            let cells = times.iter().zip(lstm).map(|(time, lstm)| format!("{:.2} | {:.1}", 1e3 * time, lstm / time));
            println!("| {batch} | {length} | {threads} | {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
}

/// The seconds for the forward pass, for forward and backward, and for one more token.
fn times(config: &EncoderConfig, batch: usize, length: usize) -> [f64; 3] {
    let device = Device::flex();
    let encoder = config.init(WIDTH, &device);
    let input = |length: usize| Tensor::<3>::random([batch, length, WIDTH], Distribution::Normal(0.0, 1.0), &device);
    let run = |encoder: &Encoder, x: Tensor<3>| {
        let [batch, length, _] = x.dims();
        encoder.forward(x.clone(), Tensor::ones([batch, length], &x.device()))
    };
    let x = input(length);
    let forward = time(|| _ = run(&encoder, x.clone()));

    let training = encoder.clone().train();
    let both = time(|| {
        let x = Tensor::from_inner(x.clone()).require_grad();
        _ = run(&training, x).sum().backward();
    });
    // One more token needs the window that it sees for a convolution, and one step for an LSTM.
    let field = config.receptive_field();
    let window = input(if field.is_unbounded() { 1 } else { (field.left + 1).min(length) });
    let token = time(|| _ = run(&encoder, window.clone()));
    [forward, both, token]
}

fn time(mut run: impl FnMut()) -> f64 {
    run();
    let (clock, mut rounds) = (Instant::now(), 0);
    while clock.elapsed().as_secs_f64() < SECONDS {
        run();
        rounds += 1;
    }
    clock.elapsed().as_secs_f64() / f64::from(rounds)
}

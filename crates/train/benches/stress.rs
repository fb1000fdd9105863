//! Two stress tests of Bai, Kolter and Koltun (2018, section 4.1) that need no data, on the CPU: copy
//! memory and the adding problem. They compare a TCN with an LSTM of about as many parameters.
//!
//! usage: stress memory|adding tcn|lstm STEPS [SEED]
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use burn::module::{Module, Param};
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use convlens_run::model::{
    Activation, Encode, Encoder, EncoderConfig, EncoderSettings, LayerConfig, RecurrentConfig, ResidualBlock,
    ResidualBranch, ResidualConfig,
};
use convlens_train::Adam;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
/// The number of digits to remember.
const DIGITS: usize = 10;
/// A blank, eight digits, and the signal to repeat the digits.
const SYMBOLS: usize = 10;
/// The number of steps between two reports of the mean loss.
const REPORT: usize = 100;

/// A task: its length, its inputs and outputs per position, and the sizes of both networks.
struct Task {
    name: &'static str,
    length: usize,
    inputs: usize,
    outputs: usize,
    /// The number of channels and blocks, and the width of a filter.
    tcn: (usize, usize, usize),
    lstm: usize,
    rate: f64,
    /// Whether the TCN's weights are initialised as in the code of the paper.
    as_theirs: bool,
}

/// T = 1,000, 12,530 parameters for the TCN and about 16,000 for the LSTM; T = 600 and about 70,000
/// (their table 1).
const TASKS: [Task; 2] = [
    Task {
        name: "memory",
        length: 1_000 + 2 * DIGITS,
        inputs: 1,
        outputs: SYMBOLS,
        tcn: (10, 8, 8),
        lstm: 61,
        rate: 2e-3,
        as_theirs: false,
    },
    Task {
        name: "adding",
        length: 600,
        inputs: 2,
        outputs: 1,
        tcn: (24, 8, 8),
        lstm: 130,
        rate: 1e-3,
        as_theirs: true,
    },
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tcn,
    Lstm,
}

#[derive(Module, Debug)]
struct Network {
    encoder: Encoder,
    head: Linear,
}

impl Network {
    fn new(task: &Task, kind: Kind, device: &Device) -> Self {
        let (hidden, blocks, kernel_size) = task.tcn;
        let layer = LayerConfig {
            kernel_size,
            causal: true,
            activation: Activation::Relu,
            weight_norm: true,
            ..LayerConfig::default()
        };
        let (config, hidden) = match kind {
            Kind::Lstm => (EncoderConfig::Lstm(RecurrentConfig { hidden: task.lstm, bidirectional: false }), task.lstm),
            Kind::Tcn => (
                EncoderConfig::Residual(ResidualConfig {
                    hidden,
                    blocks,
                    dilation_base: 2,
                    branch: ResidualBranch::Tcn,
                    layer,
                }),
                hidden,
            ),
        };
        let head = LinearConfig::new(hidden, task.outputs);
        let head = if task.as_theirs { head.with_initializer(SMALL) } else { head }.init(device);
        let mut encoder = config.init(task.inputs, device);
        if let (Encoder::Residual(residual), true) = (&mut encoder, task.as_theirs) {
            residual.blocks.iter_mut().for_each(|block| initialize_as_theirs(block, device));
        }
        Self { encoder, head }
    }

    /// `[batch, length, inputs]` to `[batch, length, outputs]`.
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let mask = Tensor::ones([batch, length], &x.device());
        self.head.forward(self.encoder.forward(x, mask))
    }
}

/// Initialises a block as the code of the paper does: filters as PyTorch draws them, of norm 1 / √3, and
/// small weights where nothing normalises them. With He's norm the sum of eight blocks would drown the
/// input.
fn initialize_as_theirs(block: &mut ResidualBlock, device: &Device) {
    for layer in [&mut block.first, &mut block.second] {
        layer.gain = layer.gain.take().map(|gain| Param::from_tensor(gain.val().full_like(1.0 / 3f32.sqrt())));
    }
    if let Some(through) = &mut block.through {
        through.conv.weight = SMALL.init(through.conv.weight.dims(), device);
    }
}

const SMALL: Initializer = Initializer::Normal { mean: 0.0, std: 0.01 };

/// Inputs: digits, a long pause, and the signal to repeat. Outputs: the digits at the end.
fn memory(rng: &mut ChaCha8Rng, length: usize) -> (Vec<f32>, Vec<i32>) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let digits: Vec<i32> = (0..DIGITS).map(|_| rng.random_range(1..9)).collect();
        x.extend(digits.iter().map(|&digit| digit as f32));
        x.extend(std::iter::repeat_n(0.0, length - 2 * DIGITS - 1));
        x.extend(std::iter::repeat_n(9.0, DIGITS + 1));
        y.extend(std::iter::repeat_n(0, length - DIGITS));
        y.extend(digits);
    }
    (x, y)
}

/// Inputs: numbers from 0 to 1, two of which are marked. Outputs: the sum of these two.
fn adding(rng: &mut ChaCha8Rng, length: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let numbers: Vec<f32> = (0..length).map(|_| rng.random()).collect();
        let marked = [rng.random_range(0..length / 2), rng.random_range(length / 2..length)];
        x.extend(&numbers);
        x.extend((0..length).map(|at| f32::from(marked.contains(&at))));
        y.push(numbers[marked[0]] + numbers[marked[1]]);
    }
    (x, y)
}

impl Task {
    fn loss(&self, network: &Network, rng: &mut ChaCha8Rng, device: &Device) -> Tensor<1> {
        let tensor = |x: Vec<f32>| Tensor::from_data(TensorData::new(x, [BATCH, self.inputs, self.length]), device);
        if self.name == "memory" {
            let (x, y) = memory(rng, self.length);
            let y = Tensor::<1, Int>::from_data(TensorData::new(y, [BATCH * self.length]), device);
            let logits = network.forward(tensor(x)).reshape([BATCH * self.length, self.outputs]);
            return CrossEntropyLossConfig::new().init(device).forward(logits, y);
        }
        let (x, y) = adding(rng, self.length);
        let sums = network.forward(tensor(x)).narrow(1, self.length - 1, 1).reshape([BATCH, 1]);
        let y = Tensor::<2>::from_data(TensorData::new(y, [BATCH, 1]), device);
        MseLoss::new().forward(sums, y, Reduction::Mean)
    }
}

const USAGE: &str = "usage: stress memory|adding tcn|lstm STEPS [SEED]";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [task, kind, steps, seed @ ..] = words.as_slice() else { return println!("{USAGE}") };
    let Some(task) = TASKS.iter().find(|known| known.name == *task) else { return println!("{USAGE}") };
    let kind = match *kind {
        "tcn" => Kind::Tcn,
        "lstm" => Kind::Lstm,
        _ => return println!("{USAGE}"),
    };
    let steps: usize = steps.parse().expect("STEPS is a number");
    let seed: u64 = seed.first().map_or(0, |seed| seed.parse().expect("SEED is a number"));
    let device = Device::flex().autodiff();
    device.seed(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut network = Network::new(task, kind, &device);
    let mut adam = Adam::new(1e-8, 0.0);
    println!("{} {kind:?}: {} parameters", task.name, network.num_params());
    let (clock, mut sum) = (Instant::now(), 0.0);
    for step in 1..=steps {
        let loss = task.loss(&network, &mut rng, &device);
        let gradients = loss.backward();
        sum += loss.into_scalar::<f32>();
        // The learning rate falls to zero over the second half.
        let left = (2.0 * (steps - step + 1) as f64 / steps as f64).min(1.0);
        network = adam.step(network, gradients, task.rate * left);
        if step % REPORT == 0 {
            println!("step {step}: loss {:.2e}, {:.0} s", sum / REPORT as f32, clock.elapsed().as_secs_f64());
            sum = 0.0;
        }
    }
}

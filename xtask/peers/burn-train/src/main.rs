//! Measures the cost of burn-train: one epoch of preset `seed` with `SupervisedTraining`, its metrics and
//! checkpoints, compared with the same steps in a plain loop.
//!
//! `cargo run --release --manifest-path xtask/peers/burn-train/Cargo.toml > /dev/null`
//! (burn-train prints one line per step to standard output; the figures go to standard error)

use std::sync::Arc;
use std::time::Instant;

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::loss::BinaryCrossEntropyLossConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{
    ClassificationOutput, ExecutionStrategy, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep,
};
use convlens_model::{Batch, EncoderConfig, LinearConvConfig, ModelConfig, Padding, TextModel};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const TEXTS: usize = 22_500;
const LENGTH: usize = 400;
const BATCH: usize = 32;
const RATE: f64 = 1e-3;

type Item = (Vec<u32>, i32);

#[derive(Module, Debug)]
struct Net {
    model: TextModel,
}

#[derive(Clone, Debug)]
struct Texts {
    batch: Batch,
    labels: Tensor<1, Int>,
}

#[derive(Clone)]
struct ToTexts;

impl Batcher<Item, Texts> for ToTexts {
    fn batch(&self, items: Vec<Item>, device: &Device) -> Texts {
        let rows: Vec<&[u32]> = items.iter().map(|(ids, _)| ids.as_slice()).collect();
        let labels: Vec<i32> = items.iter().map(|(_, label)| *label).collect();
        let count = labels.len();
        Texts {
            batch: Batch::counted(&rows, 0, LENGTH, device),
            labels: Tensor::from_data(TensorData::new(labels, [count]), device),
        }
    }
}

impl Net {
    fn loss(&self, texts: &Texts) -> (Tensor<1>, Tensor<2>) {
        let logits = self.model.forward(&texts.batch);
        let count = logits.dims()[0];
        let loss = BinaryCrossEntropyLossConfig::new().with_logits(true).init(&logits.device());
        (loss.forward(logits.clone().reshape([count]), texts.labels.clone()), logits)
    }

    fn output(&self, texts: Texts) -> ClassificationOutput {
        let (loss, logits) = self.loss(&texts);
        // Its accuracy takes the largest of several logits, so it gets one for each class.
        ClassificationOutput::new(loss, Tensor::cat(vec![logits.zeros_like(), logits], 1), texts.labels)
    }
}

impl TrainStep for Net {
    type Input = Texts;
    type Output = ClassificationOutput;
    fn step(&self, texts: Texts) -> TrainOutput<ClassificationOutput> {
        let output = self.output(texts);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Net {
    type Input = Texts;
    type Output = ClassificationOutput;
    fn step(&self, texts: Texts) -> ClassificationOutput {
        self.output(texts)
    }
}

fn items(count: usize) -> Vec<Item> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..count).map(|index| ((0..LENGTH).map(|_| rng.random_range(0..20_000)).collect(), index as i32 % 2)).collect()
}

fn net(device: &Device) -> Net {
    let encoder = LinearConvConfig { filters: 128, kernel_size: 3, init_std: 0.05 };
    let encoder = EncoderConfig::Linear(encoder);
    let padding = Padding::Counted { length: LENGTH };
    let config = ModelConfig { padding, ..ModelConfig::new(20_000, encoder, 1) };
    Net { model: config.init(device).expect("a model") }
}

fn main() {
    let device = Device::flex().autodiff();
    for round in 1..=3 {
        let (wall, cpu) = timed(|| with_burn_train(&device));
        let (plain_wall, plain_cpu) = timed(|| in_a_plain_loop(&device));
        eprintln!(
            "round {round}: burn-train {wall:.2} s ({cpu:.2} CPU), plain loop {plain_wall:.2} s ({plain_cpu:.2} CPU)"
        );
    }
}

fn with_burn_train(device: &Device) {
    let loader = |count| {
        DataLoaderBuilder::new(ToTexts)
            .batch_size(BATCH)
            .shuffle(0)
            .set_device(device.clone())
            .build(InMemDataset::new(items(count)))
    };
    let folder = std::env::temp_dir().join(format!("peer-burn-train-{}", std::process::id()));
    let training = SupervisedTraining::new(&folder, Arc::clone(&loader(TEXTS)), loader(BATCH))
        .metric_train_numeric(LossMetric::new())
        .metric_train_numeric(AccuracyMetric::new())
        .metric_valid_numeric(LossMetric::new())
        .metric_valid_numeric(AccuracyMetric::new())
        .with_default_checkpointers()
        .with_application_logger(None)
        .with_training_strategy(ExecutionStrategy::SingleDevice(device.clone()).into())
        .num_epochs(1);
    let optimizer = AdamConfig::new().with_epsilon(1e-7).init();
    let result = training.launch(Learner::new(net(device), optimizer, RATE));
    assert!(result.error.is_none());
    let _ = std::fs::remove_dir_all(folder);
}

fn in_a_plain_loop(device: &Device) {
    let items = items(TEXTS);
    let mut net = net(device);
    let mut optimizer: ModuleOptimizer = AdamConfig::new().with_epsilon(1e-7).init();
    for chunk in items.chunks(BATCH) {
        let (loss, _) = net.loss(&ToTexts.batch(chunk.to_vec(), device));
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(RATE, net, gradients);
    }
}

fn timed(work: impl FnOnce()) -> (f64, f64) {
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    work();
    (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

/// User and system time of this process, from Linux's `/proc/self/stat`, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|&field| fields.get(field)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

//! Measures the inner loops on the CPU: `cargo bench --workspace --bench kernels`.
//!
//! The texts consist of made-up words with the frequencies of Zipf's law.
#![allow(clippy::unwrap_used)]

use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use convlens_run::model::{
    Activation, Batch, ConvConfig, ConvLayer, EncoderConfig, LayerConfig, LinearConvConfig, ModelConfig, Padding,
    Pooling, TextModel,
};
use convlens_run::text::{TokenizerKind, train};
use convlens_train::Adam;
use divan::Bencher;
use divan::counter::BytesCount;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VOCABULARY: usize = 20_000;
const BATCH: usize = 32;
const LENGTH: usize = 400;

fn main() {
    divan::main();
}

fn zipf(rng: &mut ChaCha8Rng) -> u32 {
    let word = (VOCABULARY as f64).powf(rng.random::<f64>());
    (word as u32).min(VOCABULARY as u32 - 1)
}

fn rows() -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..BATCH).map(|_| (0..LENGTH).map(|_| zipf(&mut rng)).collect()).collect()
}

fn model(encoder: EncoderConfig, device: &Device) -> TextModel {
    let padding = Padding::Counted { length: LENGTH };
    let config = ModelConfig {
        vocab_size: VOCABULARY,
        embedding: 32,
        init_std: 0.05,
        encoder,
        outputs: 1,
        padding,
        pooling: Pooling::Mean,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive: None,
    };
    config.init(device).unwrap()
}

fn linear() -> EncoderConfig {
    EncoderConfig::Linear(LinearConvConfig { filters: 128, kernel_size: 3, init_std: 0.05 })
}

fn relu() -> EncoderConfig {
    EncoderConfig::Conv(ConvConfig::new(128, &[3]))
}

/// Measures a training step: batch, forward, backward, Adam.
fn train_step(bencher: Bencher, encoder: EncoderConfig, by_layer: bool) {
    let device = Device::flex().autodiff();
    let rows = rows();
    let texts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let mut state = Some((model(encoder, &device), Adam::new(1e-7, 0.0)));
    bencher.bench_local(|| {
        let (model, mut adam) = state.take().unwrap();
        let batch = Batch::counted(&texts, 0, LENGTH, &device);
        let logits = if by_layer {
            model.pool(model.predict_positions_by_layer(&batch), batch.mask.clone())
        } else {
            model.forward(&batch)
        };
        let gradients = logits.square().mean().backward();
        state = Some((adam.step(model, gradients, 1e-3), adam));
    });
}

#[divan::bench]
fn train_step_linear(bencher: Bencher) {
    train_step(bencher, linear(), false);
}

#[divan::bench(sample_count = 20)]
fn train_step_linear_by_layer(bencher: Bencher) {
    train_step(bencher, linear(), true);
}

#[divan::bench]
fn train_step_relu(bencher: Bencher) {
    train_step(bencher, relu(), false);
}

#[divan::bench(sample_count = 20)]
fn train_step_relu_by_layer(bencher: Bencher) {
    train_step(bencher, relu(), true);
}

#[divan::bench]
fn forward_relu(bencher: Bencher) {
    let device = Device::flex();
    let rows = rows();
    let texts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let model = model(relu(), &device);
    bencher.bench_local(|| model.forward(&Batch::counted(&texts, 0, LENGTH, &device)).into_data());
}

#[divan::bench]
fn text_to_ids(bencher: Bencher) {
    let word = |id: u32| format!("w{id:x}");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let text: Vec<String> = (0..LENGTH * BATCH).map(|_| word(zipf(&mut rng))).collect();
    let text = text.join(" ");
    let tokenizer = train(TokenizerKind::Words, VOCABULARY, std::iter::once(text.as_str())).unwrap();
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| tokenizer.encode_ids(&[&text]).unwrap());
}

/// Measures a dilated convolution as in the stacks, forward and backward: 32 texts of 400 positions, 64
/// channels.
fn dilated(bencher: Bencher, convolve: impl Fn(&ConvLayer, Tensor<3>) -> Tensor<3>) {
    let device = Device::flex().autodiff();
    let layer = LayerConfig { activation: Activation::None, ..LayerConfig::default() };
    let layer = layer.init(64, 64, DILATION, 1, &device);
    let x = Tensor::<3>::random([BATCH, LENGTH, 64], Distribution::Default, &device).require_grad();
    bencher.bench_local(|| convolve(&layer, x.clone()).sum().backward());
}

const DILATION: usize = 4;

#[divan::bench(sample_count = 30)]
fn dilated_convolution(bencher: Bencher) {
    let mask = Tensor::<2>::ones([BATCH, LENGTH], &Device::flex());
    dilated(bencher, |layer, x| layer.forward(x, mask.clone()));
}

#[divan::bench(sample_count = 30)]
fn dilated_convolution_by_burn(bencher: Bencher) {
    let options = || ConvOptions::new([1], [DILATION], [DILATION], 1);
    dilated(bencher, |layer, x| {
        conv1d(x.swap_dims(1, 2), layer.filters(), layer.conv.bias.as_ref().map(|bias| bias.val()), options())
    });
}

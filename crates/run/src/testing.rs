//! A small run with random weights, for tests.

use burn::tensor::Device;
use convlens_model::{EncoderConfig, ModelConfig, Padding, Pooling};
use convlens_text::{TokenizerKind, train};

use crate::{DatasetConfig, FORMAT, Run, RunConfig, Task, TextConfig, TokenizerSource, TrainingConfig};

/// Three classes; the vocabulary is the words of "a good film a bad film".
pub(crate) fn run(encoder: EncoderConfig, padding: Padding) -> Run {
    let device = Device::flex();
    device.seed(7);
    let tokenizer = train(TokenizerKind::Words, 100, std::iter::once("a good film a bad film")).expect("trains");
    let model = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        embedding: 5,
        init_std: 0.5,
        encoder,
        outputs: 3,
        padding,
        pooling: Pooling::Mean,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
    };
    let training = TrainingConfig {
        seed: 0,
        epochs: 1,
        batch_size: 1,
        window: None,
        learning_rate: 1e-3,
        decay: false,
        warmup: 0.0,
        adam_epsilon: 1e-7,
        word_dropout: 0.0,
        sparse_embedding: false,
        weight_decay: 0.0,
        patience: None,
        validation_fraction: 0.1,
        max_tokens: TrainingConfig::MAX_TOKENS,
    };
    let dataset = DatasetConfig {
        name: "x".into(),
        file: None,
        revision: None,
        fingerprint: String::new(),
        train: 0,
        validation: 0,
        test: 0,
    };
    let config = RunConfig {
        format: FORMAT,
        convlens: "0".into(),
        burn: "0".into(),
        task: Task::Classify,
        preset: "test".into(),
        labels: ["a", "b", "c"].map(String::from).to_vec(),
        dataset,
        text: TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 100 },
        model,
        training,
        vectors: None,
        temperature: 1.0,
    };
    let model = config.model.init(&device).expect("a model");
    Run { config, tokenizer, model, device }
}

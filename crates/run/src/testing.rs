//! A small run with random weights, for tests.

use burn::tensor::Device;
use convlens_model::{EncoderConfig, LexiconConfig, LexiconEntries, ModelConfig, Padding, Pooling, Role};
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
        adaptive: None,
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
        ema_decay: 0.0,
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
        lexicon_vectors: None,
        teacher: None,
        temperature: 1.0,
    };
    let model = config.model.init(&device).expect("a model");
    Run { config, tokenizer, model, device }
}

/// As [`run`], with max pooling and perhaps a lexicon, in which *bad* negates.
#[allow(dead_code)]
pub(crate) fn pooled_run(encoder: EncoderConfig, with_lexicon: bool) -> Run {
    let mut run = run(encoder, Padding::Masked);
    run.config.model.pooling = Pooling::Max;
    run.config.model.shrinkage = 3.0;
    if with_lexicon {
        run.config.model.lexicon = Some(LexiconConfig { pairs: 3, words: 3, saturation: 5.0, encoder_share: 0.4 });
    }
    run.model = run.config.model.init(&run.device).expect("a model");
    let ids = run.tokenizer.ids("good film a bad").expect("ids");
    if let Some(lexicon) = &mut run.model.lexicon {
        let words = run.config.model.vocab_size;
        let mut roles = vec![Role::None; words];
        roles[ids[ids.len() - 1] as usize] = Role::Negation;
        let [good, film, a, bad] = ids.last_chunk().copied().expect("four words");
        let pairs = [[good, film], [a, bad], [words as u32, a]];
        let scores = (1..=(words + pairs.len()) * 3).map(|at| (at as f32).sin()).collect();
        lexicon.fill(&LexiconEntries { pairs: pairs.to_vec(), scores, roles, bias: vec![0.5, 0.0, -0.5] });
    }
    run
}

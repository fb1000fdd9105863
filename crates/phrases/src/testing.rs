//! A small folded run, for tests.

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use convlens_text::{TokenizerKind, train};

use crate::files::tokenizer_digest;
use crate::weights::TOKENIZER_KEY;
use crate::{FoldedRun, Padding, RunFiles};

/// Three labels and phrases of three words; the vocabulary is the words of "a good film a bad film". The
/// scores of the words are sin(1), sin(2), …
pub(crate) fn files(padding: Padding) -> RunFiles {
    let (outputs, places) = (3, 3);
    let tokenizer = train(TokenizerKind::Words, 100, std::iter::once("a good film a bad film")).expect("trains");
    let vocab_size = tokenizer.vocab_size();
    let tokenizer = tokenizer.to_json().expect("JSON").into_bytes();
    let config = json!({
        "format": 1,
        "labels": ["a", "b", "c"],
        "model": {
            "vocab_size": vocab_size,
            "embedding": places * outputs,
            "encoder": { "type": "linear", "filters": outputs, "kernel_size": places, "init_std": 0.0 },
            "outputs": outputs,
            "padding": padding,
        },
        "temperature": 2.0,
    });
    let scores = (1..=vocab_size * places * outputs).map(|at| (at as f32).sin()).collect();
    let tensors = [
        ("embed.weight", vec![vocab_size, places * outputs], scores),
        ("encoder.conv.weight", vec![outputs, places * outputs, places], FoldedRun::filters(outputs, places)),
        ("head.weight", vec![outputs, outputs, 1], FoldedRun::head(outputs)),
        ("head.bias", vec![outputs], vec![0.5, -1.0, 0.0]),
    ];
    let tensors = tensors
        .map(|(name, shape, values)| (name, shape, values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>()));
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor")));
    let metadata = [(TOKENIZER_KEY.to_owned(), tokenizer_digest(&tokenizer))].into();
    let weights = safetensors::serialize(views, Some(metadata)).expect("tensors");
    RunFiles { config: config.to_string().into_bytes(), tokenizer, weights }
}

//! Models that read the spelling of words: PyTorch's numbers, and what a form that is not known is read as.
#![allow(clippy::unwrap_used, clippy::excessive_precision)]

mod parameters;

use burn::module::Module;
use burn::tensor::Device;
use convlens_model::{
    Batch, ConvConfig, EncoderConfig, Forms, GatedBranch, GatedConfig, LayerConfig, ModelConfig, SpellingConfig,
    TextModel,
};
use parameters::{AlongParameters, Sines, values};
use proptest::prelude::*;

fn config(encoder: EncoderConfig) -> ModelConfig {
    let spelling = SpellingConfig { embedding: 2, filters: 2, kernel_sizes: vec![2, 3] };
    ModelConfig { embedding: 3, spelling: Some(spelling), ..ModelConfig::new(7, encoder, 2) }
}

fn assert_close(actual: &[f32], expected: &[f32], of: &str) {
    assert_eq!(actual.len(), expected.len(), "{of}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= 1e-5 * (1.0 + e.abs()), "{of}: {actual:?} is not {expected:?}");
    }
}

/// The words *Ab*, *é* and *Ab*, of which the vocabulary has the first as word 5; word 2 is the unknown word.
fn sentence() -> (Forms, Vec<u32>) {
    let mut forms = Forms::new(0, 2);
    let text = [forms.add("Ab", || Some(5)), forms.add("é", || None), forms.add("Ab", || Some(5))];
    (forms, text.to_vec())
}

// import torch, torch.nn.functional as F
// made = []
// def f(*s):
//     first = 1 + sum(p.numel() for p in made)
//     made.append((torch.arange(first, first + torch.Size(s).numel()).double().sin() / 2).reshape(s).requires_grad_())
//     return made[-1]
// E, w, b = f(7, 3), f(4, 7, 1), f(4)   # words; an encoder of width 1 over words and spellings
// hw, hb = f(2, 4, 1), f(2)             # the head
// S, s2, b2, s3, b3 = f(258, 2), f(2, 2, 2), f(2), f(2, 2, 3), f(2)  # bytes, and filters of two and three of them
// def spelling(form):
//     x = S[[256, *form.encode(), 257]].T
//     pad = lambda k: F.pad(x, ((k - 1) // 2, k - 1 - (k - 1) // 2))[None]
//     return torch.cat([F.relu(F.conv1d(pad(k), v, c)).amax(2)[0] for k, v, c in ((2, s2, b2), (3, s3, b3))])
// x = torch.stack([torch.cat([E[i], spelling(form)]) for i, form in [(5, "Ab"), (2, "é"), (5, "Ab")]])
// z = F.relu(x @ w[:, :, 0].T + b) @ hw[:, :, 0].T + hb; z.sum().backward()
// print(z.flatten().tolist(), S.grad[256].tolist(), E.grad[5].tolist(), sum((p * p.grad).sum().item() for p in made))
#[test]
fn logits_and_gradients_match_pytorch() {
    let device = Device::flex().autodiff();
    let encoder = EncoderConfig::Conv(ConvConfig::new(4, &[1]));
    let model: TextModel = config(encoder).init(&device).unwrap().map(&mut Sines::default());
    let (forms, text) = sentence();
    let batch = Batch::of_forms(&[&text], &forms, &device);
    let embedded = model.embedded(&batch);
    for logits in [
        model.forward_positions(&batch),
        model.forward_positions_embedded(embedded, batch.mask.clone()),
        model.predict_features(model.features(model.rows(&batch), &batch)),
    ] {
        let first = [-0.931_215_08, 0.303_702_51];
        let expected = [first, [-0.387_119_85, 0.010_530_577], first].concat();
        assert_close(&values(logits.clone()), &expected, "logits");
        let gradients = logits.sum().backward();
        let of_bytes = values(model.spelling.as_ref().unwrap().embed.weight.val().grad(&gradients).unwrap());
        assert_close(&of_bytes[256 * 2..][..2], &[-0.301_389_82, 0.331_944_94], "the beginning of a word");
        let of_words = values(model.embed.weight.val().grad(&gradients).unwrap());
        assert_close(&of_words[5 * 3..][..3], &[0.748_718_90, 0.256_878_03, -0.471_135_31], "word 5");
        let mut found = AlongParameters { gradients: &gradients, sum: 0.0 };
        model.visit(&mut found);
        assert_close(&[found.sum], &[-2.036_176_9], "all parameters");
    }
}

fn stack() -> TextModel {
    let layer = LayerConfig { layer_norm: true, ..LayerConfig::default() };
    let gated = GatedConfig { hidden: 6, units: 2, dilation_base: 1, cycle: None, branch: GatedBranch::Skip, layer };
    let device = Device::flex();
    device.seed(3);
    config(EncoderConfig::Gated(gated)).init(&device).unwrap()
}

#[test]
fn a_form_is_read_by_its_word_and_its_spelling() {
    let (model, device) = (stack(), Device::flex());
    let (forms, text) = sentence();
    let rows = |ids: &[u32]| values(model.rows(&Batch::of_forms(&[ids], &forms, &device)));
    // In the row of a form its word comes first: three dimensions of seven.
    let (known, only_spelling) = (rows(&text[..1]), rows(&[forms.only_spelling(text[0])]));
    assert_ne!(known[..3], only_spelling[..3]);
    assert_eq!(known[3..], only_spelling[3..]);
    let unknown = rows(&text[1..2]);
    assert_eq!(unknown[..3], only_spelling[..3]);
    assert_ne!(unknown[3..], only_spelling[3..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn other_sentences_of_a_batch_have_no_effect(words in prop::collection::vec(r"\PC{1,12}", 1..6), other in r"\PC{0,80}") {
        let (model, device) = (stack(), Device::flex());
        let mut forms = Forms::new(0, 2);
        let text: Vec<u32> = words.iter().map(|word| forms.add(word, || None)).collect();
        let longer = vec![forms.add(&other, || None); 9];
        let alone = values(model.forward_positions(&Batch::of_forms(&[&text], &forms, &device)));
        let together = values(model.forward_positions(&Batch::of_forms(&[&text, &longer], &forms, &device)));
        for (a, b) in alone.iter().zip(&together) {
            prop_assert!((a - b).abs() < 1e-4, "{a} is not {b}");
        }
    }
}

//! Dropout of pooled features: the same on every path. One test alone, because the random state of the
//! device is shared by all threads.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use convlens_model::{
    Batch, ConvConfig, EncoderConfig, LayerConfig, LinearConvConfig, ModelConfig, OneHotConfig, Padding,
    PlainStackConfig, Pooling, RecurrentConfig, TextModel,
};

fn models(device: &Device) -> impl Iterator<Item = (String, TextModel)> {
    let linear = LinearConvConfig { filters: 4, kernel_size: 4, init_std: 0.5 };
    let plain =
        PlainStackConfig { hidden: 4, layers: 2, downsampling: Default::default(), layer: LayerConfig::default() };
    let encoders = [
        EncoderConfig::Linear(linear),
        EncoderConfig::Conv(ConvConfig::new(4, &[2, 3])),
        EncoderConfig::OneHot(OneHotConfig { filters: 2, kernel_sizes: vec![1, 2] }),
        EncoderConfig::Plain(plain),
        EncoderConfig::Gru(RecurrentConfig { hidden: 4, bidirectional: false }),
    ];
    let models = encoders.map(|encoder| {
        [Pooling::Mean, Pooling::Max].map(|pooling| {
            let config = ModelConfig {
                vocab_size: 7,
                embedding: 6,
                init_std: 0.5,
                encoder: encoder.clone(),
                outputs: 2,
                padding: Padding::Masked,
                pooling,
                dropout: 0.5,
                shrinkage: 0.0,
                lexicon: None,
                spelling: None,
                chain: false,
                conditions: 0,
                adaptive: None,
            };
            (format!("{config:?}"), config.init(device).unwrap())
        })
    });
    models.into_iter().flatten()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], of: &str) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{found:?} is not {expected:?}: {of}");
    }
}

#[test]
fn pooled_features_are_dropped_on_every_path() {
    one_mask_covers_all_positions();
    let device = Device::flex().autodiff();
    let texts: Vec<Vec<u32>> = (0..16).map(|text| (0..=text).map(|at| (at * 5 + text) % 7).collect()).collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let batch = Batch::masked(&texts, 0, &device);
    let by_layer = |model: &TextModel, batch: &Batch| {
        model.forward_embedded(model.embed.forward(batch.ids.clone()), batch.mask.clone())
    };
    device.seed(3);
    for (config, model) in models(&device) {
        model.forward(&batch); // the weights are drawn now, not after the seed below
        // In training, the same draws give the same logits, and the same gradients of the embeddings.
        let trained = [0, 1].map(|path| {
            device.seed(11);
            let logits = if path == 0 { model.forward(&batch) } else { by_layer(&model, &batch) };
            let gradients = logits.clone().powi_scalar(2).sum().backward();
            [values(logits), values(model.embed.weight.val().grad(&gradients).unwrap())]
        });
        assert_close(&trained[0][0], &trained[1][0], &config);
        assert_close(&trained[0][1], &trained[1][1], &config);

        // At inference, and in a frozen model, nothing is dropped.
        let inference = model.valid();
        let plain = Batch::masked(&texts, 0, &Device::flex());
        let logits = values(inference.forward(&plain));
        assert_close(&values(by_layer(&inference, &plain)), &logits, &config);
        let frozen = inference.freeze().train();
        assert_close(&values(frozen.forward(&batch)), &logits, &config);
        assert_close(&values(by_layer(&frozen, &batch)), &logits, &config);
        assert!(trained[0][0].iter().zip(&logits).any(|(a, b)| (a - b).abs() > 1e-4), "something is dropped: {config}");

        // The mean over many draws is the logits without dropout: what is kept is scaled.
        if model.pooling() == Pooling::Mean {
            let rounds = 400;
            let mut mean = vec![0.0; logits.len()];
            for _ in 0..rounds {
                let drawn = values(model.forward(&batch));
                mean.iter_mut().zip(drawn).for_each(|(sum, value)| *sum += value / rounds as f32);
            }
            let distance: f32 = mean.iter().zip(&logits).map(|(a, b)| (a - b).abs()).sum::<f32>() / logits.len() as f32;
            let size: f32 = logits.iter().map(|value| value.abs()).sum::<f32>() / logits.len() as f32;
            assert!(distance < 0.15 * size.max(0.2), "{distance} of {size}: {config}");
        }
    }
}

/// With one feature, a logit is either that of the kept feature or zero. Dropout at each position by
/// itself would give something in between for a long text.
fn one_mask_covers_all_positions() {
    let device = Device::flex().autodiff();
    let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 1, kernel_size: 3, init_std: 0.5 });
    let config = ModelConfig {
        vocab_size: 7,
        embedding: 6,
        init_std: 0.5,
        encoder,
        outputs: 1,
        padding: Padding::Masked,
        pooling: Pooling::Mean,
        dropout: 0.5,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive: None,
    };
    let model = config.init(&device).unwrap();
    let text: Vec<u32> = (0..400).map(|at| at % 7).collect();
    let batch = Batch::masked(&[&text], 0, &device);
    let inner = Batch::masked(&[&text], 0, &Device::flex());
    let kept = 2.0 * values(model.valid().forward(&inner))[0];
    for _ in 0..20 {
        let logit = values(model.forward(&batch))[0];
        assert!(logit.abs() < 1e-5 || (logit - kept).abs() < 1e-4, "{logit} is neither 0 nor {kept}");
    }
}

//! The model against PyTorch's numbers, against finite differences, and against its own documentation.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use convlens_model::{
    Batch, ConvConfig, Encoder, EncoderConfig, LinearConvConfig, ModelConfig, Padding, Pooling, TextModel,
};
use proptest::prelude::*;

fn config(vocab_size: usize, kernel_size: usize, outputs: usize) -> ModelConfig {
    let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 4, kernel_size, init_std: 0.5 });
    let (padding, pooling) = (Padding::Masked, Pooling::Mean);
    ModelConfig {
        vocab_size,
        embedding: 3,
        init_std: 0.5,
        encoder,
        outputs,
        padding,
        pooling,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive: None,
    }
}

/// A linear encoder and one with an activation; the others are in tests/encoders.rs.
fn configs(vocab_size: usize, kernel_size: usize, outputs: usize) -> [ModelConfig; 2] {
    let linear = config(vocab_size, kernel_size, outputs);
    let encoder = EncoderConfig::Conv(ConvConfig::new(4, &[kernel_size]));
    [linear.clone(), ModelConfig { encoder, ..linear }]
}

fn sines<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (1..=count).map(|i| (i as f32).sin() / 2.0).collect();
    Param::from_data(TensorData::new(values, shape), device)
}

fn set_filters(encoder: &mut Encoder, device: &Device) {
    match encoder {
        Encoder::Linear(encoder) => encoder.conv.weight = sines([4, 3, 3], device),
        Encoder::Conv(encoder) => {
            encoder.widths[0].conv.weight = sines([4, 3, 3], device);
            encoder.widths[0].conv.bias = Some(sines([4], device));
        }
        _ => panic!("the other encoders are in tests/encoders.rs"),
    }
}

fn filters(model: &TextModel) -> Tensor<3> {
    match &model.encoder {
        Encoder::Linear(encoder) => encoder.conv.weight.val(),
        Encoder::Conv(encoder) => encoder.widths[0].conv.weight.val(),
        _ => panic!("the other encoders are in tests/encoders.rs"),
    }
}

/// The model of the PyTorch code below.
fn pytorch_model(device: &Device) -> TextModel {
    with_sines(&config(7, 3, 2), device)
}

fn with_sines(config: &ModelConfig, device: &Device) -> TextModel {
    let mut model = config.init(device).unwrap();
    model.embed.weight = sines([7, 3], device);
    set_filters(&mut model.encoder, device);
    model.head.weight = sines([2, 4, 1], device);
    model.head.bias = Some(sines([2], device));
    model
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance, "{actual:?} is not {expected:?}");
    }
}

// import torch, torch.nn as nn
// f = lambda *s: (torch.arange(1, torch.Size(s).numel() + 1).float().sin() / 2).reshape(s)
// E, W, H, b = f(7, 3), f(4, 3, 3), f(2, 4, 1), f(2)
// for t in (E, W, H, b): t.requires_grad_()
// x = nn.functional.embedding(torch.tensor([[1, 5, 2, 6, 6]]), E).transpose(1, 2)
// p = nn.functional.conv1d(nn.functional.conv1d(x, W, padding=1), H)
// z = p.mean(2) + b
// print(p[0].T.tolist(), z.tolist())
// nn.functional.cross_entropy(z, torch.tensor([1])).backward()
// print(E.grad[6].tolist(), W.grad[3, 2].tolist(), H.grad[0, :, 0].tolist())
const POSITIONS: [f32; 10] = [
    -0.012557187,
    0.014328459,
    -0.00144151,
    0.008648763,
    0.016758502,
    -0.018738538,
    0.0078222,
    -0.016663339,
    -0.007793856,
    0.002875364,
];
const LOGITS: [f32; 2] = [0.421_293_1, 0.452_738_85];
const EMBED_GRAD_6: [f32; 3] = [0.1085223, -0.10633367, 0.10201678];
const CONV_GRAD_3_2: [f32; 3] = [-0.009382918, -0.045332097, -0.05733794];
const HEAD_GRAD_0: [f32; 4] = [0.004649548, -0.003355331, 0.001464744, 0.000686185];
const CONV_GRAD_0_2: [f32; 3] = [0.012694577, 0.06133184, 0.07757509];
const IDS: [u32; 5] = [1, 5, 2, 6, 6];

#[test]
fn values_by_table_and_by_layer_match_pytorch() {
    let device = Device::flex();
    let model = pytorch_model(&device);
    let batch = Batch::masked(&[&IDS], 0, &device);
    assert_close(&values(model.predict_positions(&batch)), &POSITIONS, 1e-6);
    assert_close(&values(model.predict_positions_by_layer(&batch)), &POSITIONS, 1e-6);
    assert_close(&values(model.forward(&batch)), &LOGITS, 1e-6);
}

#[test]
fn gradients_by_table_and_by_layer_match_pytorch() {
    let device = Device::flex().autodiff();
    let model = pytorch_model(&device);
    let batch = Batch::masked(&[&IDS], 0, &device);
    let target = Tensor::<1, Int>::from_ints([1], &device);
    for by_layer in [false, true] {
        let positions =
            if by_layer { model.predict_positions_by_layer(&batch) } else { model.predict_positions(&batch) };
        let logits = model.pool(positions, batch.mask.clone());
        let loss = CrossEntropyLossConfig::new().init(&device).forward(logits, target.clone());
        let grads = loss.backward();
        let embed = values(model.embed.weight.val().grad(&grads).unwrap());
        let conv = values(filters(&model).grad(&grads).unwrap());
        let head = values(model.head.weight.val().grad(&grads).unwrap());
        assert_close(&embed[18..21], &EMBED_GRAD_6, 1e-6);
        assert_close(&conv[33..36], &CONV_GRAD_3_2, 1e-6);
        assert_close(&head[..4], &HEAD_GRAD_0, 1e-6);
    }
}

// As above, with `c = f(4)` and p = conv1d(conv1d(x, W, c, padding=1).relu(), H):
// print(p[0].T.flatten().tolist(), z.tolist())
// print(E.grad[6].tolist(), W.grad[0, 2].tolist(), c.grad.tolist(), H.grad[0, :, 0].tolist())
#[test]
fn values_and_gradients_with_relu_match_pytorch() {
    let positions = [
        0.39138186,
        -0.24765629,
        0.3823876,
        -0.22704652,
        0.38476375,
        -0.23374747,
        0.3943498,
        -0.25588632,
        0.39605564,
        -0.2589923,
    ];
    let device = Device::flex().autodiff();
    let model = with_sines(&configs(7, 3, 2)[1], &device);
    let batch = Batch::masked(&[&IDS], 0, &device);
    let target = Tensor::<1, Int>::from_ints([1], &device);
    for found in [model.predict_positions(&batch), model.predict_positions_by_layer(&batch)] {
        assert_close(&values(found.clone()), &positions, 1e-6);
        let logits = model.pool(found, batch.mask.clone());
        assert_close(&values(logits.clone()), &[0.8105232, 0.20998292], 1e-6);
        let grads = CrossEntropyLossConfig::new().init(&device).forward(logits, target.clone()).backward();
        let Encoder::Conv(encoder) = &model.encoder else { panic!("a convolution") };
        let embed = values(model.embed.weight.val().grad(&grads).unwrap());
        let conv = values(encoder.widths[0].conv.weight.val().grad(&grads).unwrap());
        let bias = values(encoder.widths[0].conv.bias.as_ref().unwrap().val().grad(&grads).unwrap());
        let head = values(model.head.weight.val().grad(&grads).unwrap());
        assert_close(&embed[18..21], &[-0.028571697, 0.012624152, 0.00357607], 1e-6);
        assert_close(&conv[6..9], &CONV_GRAD_0_2, 1e-6);
        assert_close(&bias, &[0.5813295, 0.38382345, -0.16656815, 0.0], 1e-6);
        assert_close(&head[..4], &[0.2778036, 0.2892002, 0.047488254, 0.0], 1e-6);
    }
}

#[test]
fn gradients_match_finite_differences() {
    let device = Device::flex().autodiff();
    for config in configs(7, 3, 2) {
        let model = with_sines(&config, &device);
        let batch = Batch::masked(&[&IDS, &[3, 6]], 0, &device);
        let loss = |model: &TextModel| model.forward(&batch).powi_scalar(2).sum();
        let grads = loss(&model).backward();
        let analytic = values(model.embed.weight.val().grad(&grads).unwrap());

        let step = 1e-2f32;
        let weights = values(model.embed.weight.val());
        let shifted = |place: usize, by: f32| {
            let mut weights = weights.clone();
            weights[place] += by;
            let mut model = model.clone();
            model.embed.weight = Param::from_data(TensorData::new(weights, [7, 3]), &device);
            values(loss(&model))[0]
        };
        let numeric: Vec<f32> =
            (0..weights.len()).map(|place| (shifted(place, step) - shifted(place, -step)) / (2.0 * step)).collect();
        assert_close(&analytic, &numeric, 1e-3);
        assert!(analytic.iter().any(|g| g.abs() > 0.01), "some gradient is not zero");
    }
}

#[test]
fn names_and_layout_match_pytorch() {
    use burn::store::{ModuleSnapshot, SafetensorsStore};
    let model = pytorch_model(&Device::flex());
    let mut store = SafetensorsStore::from_bytes(None).skip_enum_variants(true);
    model.save_into(&mut store).unwrap();
    let bytes = store.get_bytes().unwrap();
    let header_length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + header_length].to_vec()).unwrap();
    for (name, shape) in [
        ("embed.weight", "[7,3]"),
        ("encoder.conv.weight", "[4,3,3]"),
        ("head.weight", "[2,4,1]"),
        ("head.bias", "[2]"),
    ] {
        let start = header.find(&format!("\"{name}\"")).unwrap_or_else(|| panic!("no {name} in {header}"));
        assert!(header[start..].contains(&format!("\"shape\":{shape}")), "{name} in {header}");
    }
    assert_eq!(model.num_params(), 21 + 36 + 8 + 2);
}

#[test]
fn sizes_of_zero_are_refused() {
    for broken in [config(0, 3, 1), config(7, 0, 1), config(7, 3, 0)] {
        assert!(broken.init(&Device::flex()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn table_and_layers_agree(
        kernel_size in 1usize..6, outputs in 1usize..4, ids in prop::collection::vec(0u32..9, 1..12),
    ) {
        let device = Device::flex().autodiff();
        for config in configs(9, kernel_size, outputs) {
            let model = config.init(&device).unwrap();
            let batch = Batch::masked(&[&ids, &[4, 4, 4]], 0, &device);
            let both = [model.predict_positions(&batch), model.predict_positions_by_layer(&batch)].map(|positions| {
                let positions = positions * batch.mask.clone().unsqueeze_dim::<3>(2);
                let grads = positions.clone().powi_scalar(2).sum().backward();
                [
                    values(positions),
                    values(model.embed.weight.val().grad(&grads).unwrap()),
                    values(filters(&model).grad(&grads).unwrap()),
                ]
            });
            for (by_table, by_layer) in both[0].iter().zip(&both[1]) {
                let scale = by_layer.iter().fold(1.0f32, |most, value| most.max(value.abs()));
                assert_close(by_table, by_layer, 1e-4 * scale);
            }
        }
    }

    #[test]
    fn padding_has_no_effect(kernel_size in 1usize..6, ids in prop::collection::vec(0u32..9, 1..12), longer in 0usize..20) {
        let device = Device::flex();
        for config in configs(9, kernel_size, 2) {
            let model = config.init(&device).unwrap();
            let other = vec![3; ids.len() + longer];
            let alone = Batch::masked(&[&ids], 0, &device);
            let together = Batch::masked(&[&ids, &other], 0, &device);
            assert_close(&values(model.forward(&alone)), &values(model.forward(&together))[..2], 1e-5);
            let phrases = values(model.predict_positions(&alone));
            assert_close(&phrases, &values(model.predict_positions(&together))[..phrases.len()], 1e-5);
            let by_layer = values(model.predict_positions_by_layer(&together));
            assert_close(&phrases, &by_layer[..phrases.len()], 1e-4);
        }
    }
}

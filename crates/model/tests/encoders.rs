//! Every encoder: PyTorch's numbers, padding that has no effect, scores that sum to the logits, and a
//! receptive field that matches the formula.
#![allow(clippy::unwrap_used, clippy::excessive_precision)]

mod parameters;

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, TensorData};
use convlens_model::{
    Activation, Batch, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, EncoderConfig, GatedBranch, GatedConfig,
    IteratedConfig, LayerConfig, LinearConvConfig, ModelConfig, OneHotConfig, Padding, PlainStackConfig, Pooling,
    RecurrentConfig, ResidualBranch, ResidualConfig, TextModel,
};
use parameters::{AlongParameters, Sines, values};
use proptest::prelude::*;

/// A case: its name in [`PYTORCH`], its encoder, its pooling.
type Case = (&'static str, EncoderConfig, Pooling);

fn layer(causal: bool) -> LayerConfig {
    LayerConfig { causal, ..LayerConfig::default() }
}

fn plain(downsampling: Downsampling, layer: LayerConfig) -> EncoderConfig {
    EncoderConfig::Plain(PlainStackConfig { hidden: 4, layers: 2, downsampling, layer })
}

fn residual(branch: ResidualBranch, dilation_base: usize, causal: bool) -> EncoderConfig {
    EncoderConfig::Residual(ResidualConfig { hidden: 4, blocks: 2, dilation_base, branch, layer: layer(causal) })
}

fn conv(filters: usize, kernel_sizes: &[usize], activation: Activation) -> EncoderConfig {
    EncoderConfig::Conv(ConvConfig { activation, ..ConvConfig::new(filters, kernel_sizes) })
}

fn recurrent(bidirectional: bool) -> RecurrentConfig {
    RecurrentConfig { hidden: 3, bidirectional }
}

fn cases() -> Vec<Case> {
    let gelu = LayerConfig { activation: Activation::Gelu, ..layer(true) };
    let norms = LayerConfig { layer_norm: true, weight_norm: true, ..layer(false) };
    let causal_norms = ConvConfig { causal: true, layer_norm: true, weight_norm: true, ..ConvConfig::new(3, &[2, 3]) };
    let normalised = LayerConfig { layer_norm: true, ..layer(false) };
    let bytenet = ByteNetConfig { hidden: 4, blocks: 2, dilation_base: 2, layer: normalised };
    let gated = GatedConfig {
        hidden: 4,
        units: 2,
        dilation_base: 2,
        cycle: None,
        branch: GatedBranch::Skip,
        layer: layer(false),
    };
    let gated_residual = GatedConfig {
        units: 3,
        cycle: Some(2),
        branch: GatedBranch::Residual,
        layer: LayerConfig { layer_norm: true, ..layer(true) },
        ..gated.clone()
    };
    let iterated = IteratedConfig { hidden: 4, dilations: vec![1, 2], iterations: 2, layer: layer(false) };
    let by_two = (Downsampling::Stride { by: 2 }, Downsampling::MaxPool { by: 2 });
    vec![
        ("conv", conv(2, &[2, 3], Activation::Tanh), Pooling::Max),
        ("conv relu max", conv(4, &[3], Activation::Relu), Pooling::Max),
        ("conv causal norms", EncoderConfig::Conv(causal_norms), Pooling::Mean),
        ("plain", plain(Downsampling::None, layer(false)), Pooling::Mean),
        ("plain causal gelu", plain(Downsampling::None, gelu), Pooling::Mean),
        ("plain stride", plain(by_two.0, layer(false)), Pooling::Mean),
        ("plain max-pool", plain(by_two.1, layer(false)), Pooling::Mean),
        ("plain causal max-pool", plain(by_two.1, layer(true)), Pooling::Mean),
        ("plain norms", plain(Downsampling::None, norms), Pooling::Mean),
        ("residual", residual(ResidualBranch::He, 1, false), Pooling::Mean),
        ("dilated causal", residual(ResidualBranch::Tcn, 2, true), Pooling::Max),
        ("bytenet", EncoderConfig::ByteNet(bytenet), Pooling::Mean),
        ("dense", EncoderConfig::Dense(DenseConfig { growth: 2, layers: 3, layer: layer(false) }), Pooling::Mean),
        ("gated", EncoderConfig::Gated(gated), Pooling::Mean),
        ("gated residual", EncoderConfig::Gated(gated_residual), Pooling::Mean),
        ("iterated", EncoderConfig::Iterated(iterated), Pooling::Mean),
        ("lstm", EncoderConfig::Lstm(recurrent(false)), Pooling::Mean),
        ("bilstm", EncoderConfig::Lstm(recurrent(true)), Pooling::Max),
        ("gru", EncoderConfig::Gru(recurrent(false)), Pooling::Mean),
        ("bigru", EncoderConfig::Gru(recurrent(true)), Pooling::Mean),
        ("one-hot", EncoderConfig::OneHot(OneHotConfig { filters: 2, kernel_sizes: vec![3] }), Pooling::Max),
        ("one-hot widths", EncoderConfig::OneHot(OneHotConfig { filters: 1, kernel_sizes: vec![2, 4] }), Pooling::Max),
    ]
}

/// The cases above, and those whose numbers are in `model.rs`.
fn all() -> impl Iterator<Item = Case> {
    let linear = LinearConvConfig { filters: 4, kernel_size: 3, init_std: 0.5 };
    cases().into_iter().chain([
        ("linear", EncoderConfig::Linear(linear.clone()), Pooling::Mean),
        ("linear max", EncoderConfig::Linear(linear), Pooling::Max),
    ])
}

fn model((_, encoder, pooling): &Case, device: &Device) -> TextModel {
    let embedding = if let EncoderConfig::OneHot(_) = encoder { 6 } else { 3 };
    let config = ModelConfig {
        vocab_size: 7,
        embedding,
        init_std: 0.5,
        encoder: encoder.clone(),
        outputs: 2,
        padding: Padding::Masked,
        pooling: *pooling,
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

fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32, of: &str) {
    assert_eq!(actual.len(), expected.len(), "{of}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance * (1.0 + e.abs()), "{of}: {actual:?} is not {expected:?}");
    }
}

// PyTorch's numbers: tests/encoders.py prints them.
#[test]
fn logits_and_gradients_match_pytorch() {
    let device = Device::flex().autodiff();
    for case in cases() {
        let (_, logits, gradient, along) = PYTORCH.iter().find(|row| row.0 == case.0).unwrap();
        let model = model(&case, &device).map(&mut Sines::default());
        let batch = Batch::masked(&[&[1, 5, 2, 6, 6], &[3, 6]], 0, &device);
        let embedded = || model.embed.forward(batch.ids.clone());
        let sums = model.sums_embedded(embedded(), batch.mask.clone()) + model.bias().unwrap().unsqueeze::<2>();
        for found in [model.forward(&batch), model.forward_embedded(embedded(), batch.mask.clone()), sums] {
            assert_close(&values(found.clone()), logits, 1e-5, case.0);
            let gradients = found.sum().backward();
            let found = values(model.embed.weight.val().grad(&gradients).unwrap());
            assert_close(&found[found.len() - gradient.len()..], gradient, 2e-5, case.0);
            let mut found = AlongParameters { gradients: &gradients, sum: 0.0 };
            model.visit(&mut found);
            assert_close(&[found.sum], &[*along], 2e-5, case.0);
        }
    }
}

/// For each case: the logits of both texts, the gradient of their sum with respect to the embedding of
/// word 6, and the derivative in the direction of all parameters at once.
const PYTORCH: [(&str, [f32; 4], &[f32], f32); 22] = [
    ("conv", [0.1084893, 0.4617918, 0.0534741, 0.3984838], &[0.5870884, 0.0086562, -0.3012785], 0.2169904),
    ("conv relu max", [0.2179093, 0.3105018, 0.2299785, 0.3305975], &[-0.1820573, 0.1952746, -0.2045834], 0.4162979),
    (
        "conv causal norms",
        [0.4628400, -0.1366027, 0.4655389, -0.1334402],
        &[-0.1213411, 0.1566792, -0.2282501],
        1.0118360,
    ),
    ("plain", [0.2713786, -0.2574996, 0.2709131, -0.2569173], &[0.0317076, -0.0266417, 0.0210425], 0.0022627),
    (
        "plain causal gelu",
        [0.1970593, -0.3028754, 0.2100095, -0.3093516],
        &[0.0384921, -0.0374802, 0.0357181],
        -0.3424688,
    ),
    ("plain stride", [0.2634628, -0.2475976, 0.2550034, -0.2370155], &[0.0085643, -0.0083341, 0.0079371], 0.0196044),
    ("plain max-pool", [0.2645924, -0.2490107, 0.2553422, -0.2374393], &[0.0345129, -0.0337050, 0.0322225], 0.0210253),
    (
        "plain causal max-pool",
        [0.2892870, -0.2799017, 0.2827643, -0.2717423],
        &[0.0000000, 0.0000000, 0.0000000],
        -0.0235199,
    ),
    ("plain norms", [0.5716213, 0.1992679, 0.5656971, 0.2077646], &[-0.0057915, 0.0040435, -0.0022146], 1.4551762),
    ("residual", [0.0021849, -0.4485304, 0.0358050, -0.4498190], &[-0.0146683, 0.0185689, -0.0057620], -0.3198395),
    ("dilated causal", [0.1342288, -0.0008169, 0.0685495, 0.0303854], &[0.0787351, 0.2831903, 0.0228681], 2.1134377),
    ("bytenet", [0.1297608, 0.2727822, 0.1498464, 0.2490766], &[-0.0095613, 0.0872198, 0.1038114], 0.0214930),
    ("dense", [-0.0645195, 0.3481975, -0.0648545, 0.3481597], &[-0.1375673, 0.1325280, -0.1248362], 0.6950468),
    ("gated", [-0.6722369, 0.6010305, -0.5988062, 0.4467333], &[0.0047271, -0.0244199, -0.0311154], -1.3437363),
    (
        "gated residual",
        [-0.6136463, -0.4614479, -0.6255799, -0.4475873],
        &[0.0033721, 0.0265783, 0.0253486],
        -2.6131591,
    ),
    ("iterated", [-0.7929066, -0.3430485, -0.7746381, -0.3466501], &[-0.0061813, 0.0057701, -0.0052433], -2.8333597),
    ("lstm", [-0.6209212, -0.1966062, -0.6033814, -0.2123686], &[0.0056527, -0.0044946, 0.0032466], -1.6362068),
    ("bilstm", [0.0291973, 0.4317670, 0.0247833, 0.4292386], &[-0.0360813, 0.0813040, -0.1248994], 1.2795410),
    ("gru", [-0.5225755, 0.4624556, -0.4347461, 0.3813029], &[0.0225908, -0.0208613, 0.0187142], -0.1630953),
    ("bigru", [0.9776174, 0.3976944, 0.8551897, 0.3131674], &[-0.0332377, 0.1199180, -0.2041982], 3.5297389),
    (
        "one-hot",
        [-0.1543650, -0.3224596, -0.0391141, -0.4443313],
        &[0.0000000, 0.0667668, 0.9744766, 0.1335337, 0.4872383, 0.0000000],
        -0.7044125,
    ),
    (
        "one-hot widths",
        [-0.0074963, -0.4511710, -0.1162803, -0.4383876],
        &[0.0000000, 0.0000000, 0.0667668, 0.1335337, 0.0000000, 0.0000000],
        -0.8105428,
    ),
];

#[test]
fn nan_reaches_the_logits() {
    let device = Device::flex();
    for case in all() {
        let mut model = model(&case, &device).map(&mut Sines::default());
        let [words, embedding] = model.embed.weight.dims();
        let mut weights = values(model.embed.weight.val());
        weights[6 * embedding..].fill(f32::NAN);
        model.embed.weight = Param::from_data(TensorData::new(weights, [words, embedding]), &device);
        let batch = Batch::masked(&[&[6], &[1, 2, 3, 4]], 0, &device);
        let embedded = model.embed.forward(batch.ids.clone());
        for logits in [model.forward(&batch), model.forward_embedded(embedded, batch.mask.clone())] {
            let is_nan: Vec<bool> = values(logits).into_iter().map(f32::is_nan).collect();
            assert_eq!(is_nan, [true, true, false, false], "{}", case.0);
        }
    }
}

// The kernels compute with 32-bit floats only; other types take Burn's operations. burn-nn's recurrent
// networks compute with the device's default type only.
#[test]
fn other_float_types_give_the_same_logits() {
    let device = Device::flex();
    let batch = Batch::masked(&[&[1, 5, 2, 6, 6], &[3, 6]], 0, &device);
    let is_recurrent = |case: &Case| matches!(case.1, EncoderConfig::Lstm(_) | EncoderConfig::Gru(_));
    for case in all().filter(|case| !is_recurrent(case)) {
        let model = model(&case, &device).map(&mut Sines::default());
        let expected = values(model.forward(&batch));
        let model = model.map(&mut ToF64);
        let mask = batch.mask.clone().cast(DType::F64);
        let mut batch = batch.clone();
        batch.mask = mask.clone();
        let embedded = model.embed.forward(batch.ids.clone());
        for logits in [model.forward(&batch), model.forward_embedded(embedded, mask)] {
            assert_eq!(logits.dtype(), DType::F64);
            assert_close(&values(logits.cast(DType::F32)), &expected, 1e-5, case.0);
        }
    }
}

struct ToF64;

impl ModuleMapper for ToF64 {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::from_tensor(param.val().cast(DType::F64))
    }
}

// A text is an image of height 1: a layer with this crate's kernel against Burn's two-dimensional
// convolution.
#[test]
fn a_convolution_of_text_equals_one_of_an_image_of_height_1() {
    let device = Device::flex();
    device.seed(5);
    for (kernel_size, dilation, stride, causal) in
        [(1, 1, 1, false), (3, 1, 1, false), (3, 2, 1, true), (4, 1, 2, false), (2, 3, 2, true)]
    {
        let config = LayerConfig { kernel_size, causal, activation: Activation::None, ..LayerConfig::default() };
        let text = config.init(3, 5, dilation, stride, &device).map(&mut Sines::default());
        let x = Tensor::<3>::random([2, 3, 17], burn::tensor::Distribution::Normal(0.0, 1.0), &device);
        let (around, weight) = (text.field(), text.conv.weight.val().unsqueeze_dim::<4>(2));
        let image = x.clone().pad([(0, 0), (0, 0), (around.left, around.right)], 0.0).unsqueeze_dim::<4>(2);
        let options = ConvOptions::new([1, stride], [0, 0], [1, dilation], 1);
        let image = conv2d(image, weight, text.conv.bias.as_ref().map(|bias| bias.val()), options);
        assert_eq!(image.dims()[2], 1);
        assert_close(
            &values(text.forward(x.swap_dims(1, 2), Tensor::ones([2, 17], &device))),
            &values(image.squeeze_dim::<3>(2).swap_dims(1, 2)),
            1e-5,
            "height 1",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn padding_has_no_effect_and_scores_sum_to_logits(
        ids in prop::collection::vec(0u32..7, 1..12), longer in 1usize..20,
    ) {
        let device = Device::flex();
        for case in all() {
            let model = model(&case, &device).map(&mut Sines::default());
            let other = vec![3; ids.len() + longer];
            let alone = Batch::masked(&[&ids], 0, &device);
            let together = Batch::masked(&[&ids, &other], 0, &device);
            let logits = values(model.forward(&alone));
            assert_close(&logits, &values(model.forward(&together))[..2], 1e-5, case.0);
            let bias = values(model.head.bias.as_ref().unwrap().val());
            for scores in [model.scores(&together), model.scores_by_layer(&together)] {
                let sums = values(scores.sum_dim(1));
                assert_close(&[sums[0] + bias[0], sums[1] + bias[1]], &logits, 1e-5, case.0);
            }
        }
    }
}

/// How far to the left and to the right of the middle of a text there are tokens that change the
/// prediction when they are replaced by others. There is one model for each of `starts`, which decide its
/// parameters (see [`Sines`]).
fn measured(model: &TextModel, length: usize, position: usize, starts: &[usize], device: &Device) -> (usize, usize) {
    let center = position * model.stride();
    let texts: Vec<Vec<u32>> = (0..length)
        .flat_map(|at| (0..7).map(move |word| (0..length).map(|i| if i == at { word } else { 1 }).collect()))
        .collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let mut touching = BTreeSet::new();
    for &last in starts {
        let model = model.clone().map(&mut Sines { last });
        let positions = model.predict_positions(&Batch::masked(&texts, 0, device));
        let [_, count, outputs] = positions.dims();
        let positions = values(positions);
        let at = |text: usize| &positions[(text * count + position) * outputs..][..outputs];
        let touches =
            |token: usize| (0..7).any(|word| (0..outputs).any(|o| (at(token * 7 + word)[o] - at(1)[o]).abs() > 0.0));
        touching.extend((0..length).filter(|&token| touches(token)));
    }
    let (first, last) = (touching.first().expect("at least one token is seen"), touching.last().unwrap());
    assert!((*first..=*last).contains(&center), "only tokens on one side are seen");
    (center - first, last - center)
}

#[test]
fn receptive_fields_match_the_formula() {
    let device = Device::flex();
    let mut every: Vec<EncoderConfig> = Vec::new();
    for causal in [false, true] {
        for kernel_size in [1, 2, 3, 4] {
            let layer = LayerConfig { kernel_size, activation: Activation::Tanh, ..layer(causal) };
            every.push(EncoderConfig::Dense(DenseConfig { growth: 4, layers: 3, layer: layer.clone() }));
            for base in [1, 2] {
                let (hidden, dilation_base, layer) = (12, base, layer.clone());
                for branch in [ResidualBranch::Tcn, ResidualBranch::He] {
                    let layer = layer.clone();
                    every.push(EncoderConfig::Residual(ResidualConfig {
                        hidden,
                        blocks: 2,
                        dilation_base,
                        branch,
                        layer,
                    }));
                }
                let bytenet = ByteNetConfig { hidden, blocks: 3, dilation_base, layer: layer.clone() };
                every.push(EncoderConfig::ByteNet(bytenet));
                every.push(EncoderConfig::Gated(GatedConfig {
                    hidden,
                    units: 3,
                    dilation_base: base,
                    cycle: None,
                    branch: GatedBranch::Skip,
                    layer: layer.clone(),
                }));
                every.push(EncoderConfig::Gated(GatedConfig {
                    hidden,
                    units: 3,
                    dilation_base: base,
                    cycle: Some(2),
                    branch: GatedBranch::Residual,
                    layer: layer.clone(),
                }));
                let (dilations, iterations) = (vec![1, base], 2);
                every.push(EncoderConfig::Iterated(IteratedConfig { hidden, dilations, iterations, layer }));
            }
            for by in [1, 2] {
                for downsampling in [Downsampling::Stride { by }, Downsampling::MaxPool { by }] {
                    let layer = layer.clone();
                    every.push(EncoderConfig::Plain(PlainStackConfig { hidden: 8, layers: 2, downsampling, layer }));
                }
            }
        }
    }
    every.extend([conv(4, &[2, 5], Activation::Tanh), conv(4, &[1], Activation::Tanh)]);
    every.push(EncoderConfig::Conv(ConvConfig {
        causal: true,
        activation: Activation::Tanh,
        ..ConvConfig::new(4, &[2, 5])
    }));
    let linear = LinearConvConfig { filters: 4, kernel_size: 4, init_std: 0.5 };
    every.push(EncoderConfig::Linear(linear));
    for encoder in every {
        let model = model(&("", encoder.clone(), Pooling::Mean), &device);
        let field = model.receptive_field();
        let length = 49;
        let found = measured(&model, length, length / 2 / model.stride(), &[0], &device);
        assert_eq!(found, (field.left, field.right), "{encoder:?}");
    }
    // With ReLU and one filter per width, a single model may not react to every token that it sees.
    let one_hot = EncoderConfig::OneHot(OneHotConfig { filters: 1, kernel_sizes: vec![2, 4] });
    let model_of_one_hot = model(&("", one_hot, Pooling::Mean), &device);
    assert_eq!(measured(&model_of_one_hot, 9, 4, &[0, 100, 200, 300, 400, 500, 600, 700], &device), (1, 2));
    for (_, encoder, pooling) in cases().into_iter().filter(|case| ["lstm", "bilstm", "gru", "bigru"].contains(&case.0))
    {
        let model = model(&("", encoder, pooling), &device);
        let field = model.receptive_field();
        let found = measured(&model, 9, 4, &[0], &device);
        assert_eq!(found, (field.left.min(4), field.right.min(4)));
    }
}

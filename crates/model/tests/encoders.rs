//! Every encoder: PyTorch's numbers, padding that changes nothing, scores that add up, and a receptive
//! field that is what the formula says.
#![allow(clippy::unwrap_used, clippy::excessive_precision)]

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::module::{conv1d, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use convlens_model::{
    Activation, Batch, ConvConfig, DenseConfig, Downsampling, EncoderConfig, GatedConfig, LayerConfig,
    LinearConvConfig, ModelConfig, OneHotConfig, Padding, PlainConfig, Pooling, RecurrentConfig, ResidualConfig,
    TextModel,
};
use proptest::prelude::*;

/// A case: its name in [`PYTORCH`], its encoder, its pooling.
type Case = (&'static str, EncoderConfig, Pooling);

fn layer(causal: bool) -> LayerConfig {
    LayerConfig { causal, ..LayerConfig::default() }
}

fn plain(downsampling: Downsampling, layer: LayerConfig) -> EncoderConfig {
    EncoderConfig::Plain(PlainConfig { hidden: 4, layers: 2, downsampling, layer })
}

fn residual(dilation_base: usize, causal: bool) -> EncoderConfig {
    EncoderConfig::Residual(ResidualConfig { hidden: 4, blocks: 2, dilation_base, layer: layer(causal) })
}

fn conv(filters: usize, kernel_sizes: &[usize], activation: Activation) -> EncoderConfig {
    EncoderConfig::Conv(ConvConfig { filters, kernel_sizes: kernel_sizes.to_vec(), activation })
}

fn recurrent(bidirectional: bool) -> RecurrentConfig {
    RecurrentConfig { hidden: 3, bidirectional }
}

fn cases() -> Vec<Case> {
    let gelu = LayerConfig { activation: Activation::Gelu, ..layer(true) };
    let norms = LayerConfig { layer_norm: true, weight_norm: true, ..layer(false) };
    let gated = GatedConfig { hidden: 4, units: 2, dilation_base: 2, layer: layer(false) };
    let by_two = (Downsampling::Stride { by: 2 }, Downsampling::MaxPool { by: 2 });
    vec![
        ("conv", conv(2, &[2, 3], Activation::Tanh), Pooling::Max),
        ("conv relu max", conv(4, &[3], Activation::Relu), Pooling::Max),
        ("plain", plain(Downsampling::None, layer(false)), Pooling::Mean),
        ("plain causal gelu", plain(Downsampling::None, gelu), Pooling::Mean),
        ("plain stride", plain(by_two.0, layer(false)), Pooling::Mean),
        ("plain max-pool", plain(by_two.1, layer(false)), Pooling::Mean),
        ("plain norms", plain(Downsampling::None, norms), Pooling::Mean),
        ("residual", residual(1, false), Pooling::Mean),
        ("dilated causal", residual(2, true), Pooling::Max),
        ("dense", EncoderConfig::Dense(DenseConfig { growth: 2, layers: 3, layer: layer(false) }), Pooling::Mean),
        ("gated", EncoderConfig::Gated(gated), Pooling::Mean),
        ("lstm", EncoderConfig::Lstm(recurrent(false)), Pooling::Mean),
        ("bilstm", EncoderConfig::Lstm(recurrent(true)), Pooling::Max),
        ("gru", EncoderConfig::Gru(recurrent(false)), Pooling::Mean),
        ("one-hot", EncoderConfig::OneHot(OneHotConfig { filters: 2, kernel_sizes: vec![3] }), Pooling::Max),
    ]
}

/// The cases above, and those whose numbers `model.rs` has.
fn all() -> impl Iterator<Item = Case> {
    let linear = LinearConvConfig { filters: 4, kernel_size: 3, init_std: 0.5 };
    let bigru = EncoderConfig::Gru(recurrent(true));
    cases().into_iter().chain([
        ("linear", EncoderConfig::Linear(linear.clone()), Pooling::Mean),
        ("linear max", EncoderConfig::Linear(linear), Pooling::Max),
        ("bigru", bigru, Pooling::Mean),
        ("one-hot widths", EncoderConfig::OneHot(OneHotConfig { filters: 1, kernel_sizes: vec![2, 4] }), Pooling::Max),
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
    };
    config.init(device).unwrap()
}

/// Makes every parameter sin(1), sin(2), … by two.
struct Sines;

impl ModuleMapper for Sines {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let values: Vec<f32> = (1..=shape.iter().product()).map(|at: usize| (at as f32).sin() / 2.0).collect();
        Param::from_data(TensorData::new(values, shape), &param.val().device())
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32, of: &str) {
    assert_eq!(actual.len(), expected.len(), "{of}");
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance * (1.0 + e.abs()), "{of}: {actual:?} is not {expected:?}");
    }
}

// # Every parameter is f(shape); every text is computed alone; z.sum() is differentiated.
// import torch, torch.nn.functional as F
// torch.set_default_dtype(torch.float64)
// f = lambda *s: (torch.arange(1, torch.Size(s).numel() + 1, dtype=torch.float64).sin() / 2).reshape(s)
// E = f(7, 3).requires_grad_()
// def conv(x, out, k=3, d=1, s=1, causal=False, act=torch.relu, norm=False, wn=False):  # x: [in, length]
//     w, b = f(out, x.shape[0], k), f(out)
//     if wn: w = w * (f(out) / w.flatten(1).norm(dim=1))[:, None, None]
//     span = d * (k - 1)
//     left = span if causal else span // 2
//     y = F.conv1d(F.pad(x, (left, span - left))[None], w, b, stride=s, dilation=d)[0]
//     if norm: y = F.layer_norm(y.T, (out,), f(out), f(out), eps=1e-5).T
//     return act(y)
// none = lambda x: x
// def block(x, out, d, **o):
//     y = conv(conv(x, out, d=d, **o), out, d=d, **o)
//     return torch.relu(y + (x if x.shape[0] == out else conv(x, out, k=1, act=none)))
// def gated(x, hidden, units):
//     x, skips = conv(x, hidden, k=1, act=none), 0
//     for u in range(units):
//         a, b = conv(x, 2 * hidden, d=2 ** u, act=none).chunk(2, 0)
//         g = a.tanh() * b.sigmoid()
//         skips = skips + conv(g, hidden, k=1, act=none); x = x + conv(g, hidden, k=1, act=none)
//     return torch.relu(skips)
// def lin(x, h, n, i):  # burn-nn's gates: x @ Wi + bi + h @ Wh + bh, weights [in, out]
//     return x @ f(i, n) + f(n) + h @ f(n, n) + f(n)
// def lstm(x, n):
//     x = x.T; h = c = torch.zeros(n); out = []
//     for t in x:
//         g = lin(t, h, n, x.shape[1])
//         i, fg, o, cell = g.sigmoid(), g.sigmoid(), g.sigmoid(), g.tanh()
//         c = fg * c + i * cell; h = o * c.tanh(); out.append(h)
//     return torch.stack(out).T
// def gru(x, n):
//     x = x.T; h = torch.zeros(n); out = []
//     for t in x:
//         r = z = lin(t, h, n, x.shape[1]).sigmoid()
//         m = (t @ f(x.shape[1], n) + f(n) + r * (h @ f(n, n) + f(n))).tanh()
//         h = (1 - z) * m + z * h; out.append(h)
//     return torch.stack(out).T
// both = lambda rnn, x, n: torch.cat([rnn(x, n), rnn(x.flip(1), n).flip(1)])
// def pooled(x, by): return F.max_pool1d(F.pad(x, (0, -x.shape[1] % by), value=-1e30)[None], by)[0]
// def dense(x, g, n):
//     x = conv(x, g)
//     for _ in range(n - 1): x = torch.cat([x, conv(x, g)])
//     return x
// def stack(x, n, f_, after=none):
//     for _ in range(n): x = after(f_(x))
//     return x
// cases = {
//   "conv": (lambda x: torch.cat([conv(x, 2, k=2, act=torch.tanh), conv(x, 2, k=3, act=torch.tanh)]), "max"),
//   "conv relu max": (lambda x: conv(x, 4), "max"),
//   "plain": (lambda x: stack(x, 2, lambda x: conv(x, 4)), "mean"),
//   "plain causal gelu": (lambda x: stack(x, 2, lambda x: conv(x, 4, causal=True, act=F.gelu)), "mean"),
//   "plain stride": (lambda x: stack(x, 2, lambda x: conv(x, 4, s=2)), "mean"),
//   "plain max-pool": (lambda x: stack(x, 2, lambda x: conv(x, 4), lambda x: pooled(x, 2)), "mean"),
//   "plain norms": (lambda x: stack(x, 2, lambda x: conv(x, 4, norm=True, wn=True)), "mean"),
//   "residual": (lambda x: stack(x, 2, lambda x: block(x, 4, 1)), "mean"),
//   "dilated causal": (lambda x: block(block(x, 4, 1, causal=True), 4, 2, causal=True), "max"),
//   "dense": (lambda x: dense(x, 2, 3), "mean"),
//   "gated": (lambda x: gated(x, 4, 2), "mean"),
//   "lstm": (lambda x: lstm(x, 3), "mean"),
//   "bilstm": (lambda x: both(lstm, x, 3), "max"),
//   "gru": (lambda x: gru(x, 3), "mean"),
// }
// for name, (enc, pool) in cases.items():
//     E.grad = None; zs = []
//     for ids in ([1, 5, 2, 6, 6], [3, 6]):
//         x = enc(E[ids].T)
//         x = x.mean(1) if pool == "mean" else x.amax(1)
//         zs.append(f(2, x.shape[0]) @ x + f(2))
//     z = torch.cat(zs); z.sum().backward()
//     print(f'("{name}", [{", ".join("%.7f" % v for v in z.tolist())}], [{", ".join("%.7f" % v for v in E.grad[6].tolist())}]),')
// # one-hot: the embedding is [7, 6], the filters' weights side by side
// E6 = f(7, 6).requires_grad_(); zs = []
// for ids in ([1, 5, 2, 6, 6], [3, 6]):
//     T = E6[ids].reshape(-1, 3, 2); n = len(ids)
//     y = sum(F.pad(T[:, k].T, (1, 1))[:, k0:k0 + n] for k, k0 in ((0, 0), (1, 1), (2, 2))) + f(2)[:, None]
//     zs.append(f(2, 2) @ torch.relu(y).amax(1) + f(2))
// z = torch.cat(zs); z.sum().backward()
// and of one-hot words, whose embedding is f(7, 6), the places side by side.
#[test]
fn logits_and_gradients_are_pytorchs() {
    let device = Device::flex().autodiff();
    for case in cases() {
        let (_, logits, gradient) = PYTORCH.iter().find(|row| row.0 == case.0).unwrap();
        let model = model(&case, &device).map(&mut Sines);
        let batch = Batch::masked(&[&[1, 5, 2, 6, 6], &[3, 6]], 0, &device);
        let embedded = model.embed.forward(batch.ids.clone());
        for found in [model.forward(&batch), model.forward_embedded(embedded, batch.mask.clone())] {
            assert_close(&values(found.clone()), logits, 1e-5, case.0);
            let gradients = found.sum().backward();
            let found = values(model.embed.weight.val().grad(&gradients).unwrap());
            assert_close(&found[found.len() - gradient.len()..], gradient, 2e-5, case.0);
        }
    }
}

/// Logits of both texts, and the gradient of their sum with regard to the embedding of word 6.
const PYTORCH: [(&str, [f32; 4], &[f32]); 15] = [
    ("conv", [0.6597555, 0.5623613, 0.5648254, 0.6155724], &[0.2101924, -0.1422307, 0.1324459]),
    ("conv relu max", [0.8617145, 0.1935520, 0.8125560, 0.2111828], &[0.1414138, -0.1608163, 0.1770001]),
    ("plain", [0.8623614, 0.2107240, 0.8486207, 0.2087614], &[1.0117542, -1.0408641, 1.0491410]),
    ("plain causal gelu", [0.8064745, 0.2009763, 0.7751928, 0.2204254], &[0.2236555, -0.2557916, 0.2828080]),
    ("plain stride", [0.8422647, 0.2131154, 0.8392076, 0.2090937], &[0.5626199, -0.6042609, 0.6338075]),
    ("plain max-pool", [0.8932640, 0.1836993, 0.8363019, 0.2103252], &[0.9922284, -0.9891156, 0.9662056]),
    ("plain norms", [1.0481689, 0.1125286, 1.0523135, 0.1066654], &[0.0073151, -0.0067419, 0.0060338]),
    ("residual", [1.7840518, -0.2313722, 1.6719398, -0.2267800], &[1.0658899, -0.6380126, 0.9988881]),
    ("dilated causal", [1.9821763, -0.3514651, 1.9088254, -0.2909985], &[0.4336744, -0.0800900, 0.5274890]),
    ("dense", [0.4466936, 0.4949268, 0.4355271, 0.4836566], &[-1.9065487, 2.0592866, -2.1708079]),
    ("gated", [1.2962845, -0.2006773, 1.2791878, -0.2232717], &[0.0045073, 0.0012358, -0.0031719]),
    ("lstm", [0.8847541, -0.0052003, 0.7793219, 0.0985720], &[0.0007787, 0.0016357, -0.0040172]),
    ("bilstm", [0.4337472, 0.4902215, 0.4296743, 0.4812870], &[0.4067993, -0.3980327, 0.3812994]),
    ("gru", [0.7646382, 0.1112000, 0.6459022, 0.2290216], &[-0.0008767, 0.0033362, -0.0057289]),
    (
        "one-hot",
        [1.2989854, 0.1584772, 1.4156572, 0.0378809],
        &[0.0000000, 0.0762475, 0.9825910, 0.1524949, 0.4912955, 0.0000000],
    ),
];

// Text is an image of height 1.
#[test]
fn a_convolution_of_text_is_one_of_an_image_of_height_1() {
    let device = Device::flex();
    device.seed(5);
    let draw = |shape: [usize; 3]| Tensor::<3>::random(shape, burn::tensor::Distribution::Normal(0.0, 1.0), &device);
    for (kernel_size, dilation, stride) in [(1, 1, 1), (3, 1, 1), (3, 2, 1), (4, 1, 2), (2, 3, 2)] {
        let (x, weight) = (draw([2, 3, 17]), draw([5, 3, kernel_size]));
        let bias = draw([1, 1, 5]).reshape([5]);
        let options = ConvOptions::new([stride], [1], [dilation], 1);
        let text = conv1d(x.clone(), weight.clone(), Some(bias.clone()), options);
        let options = ConvOptions::new([1, stride], [0, 1], [1, dilation], 1);
        let image = conv2d(x.unsqueeze_dim::<4>(2), weight.unsqueeze_dim::<4>(2), Some(bias), options);
        assert_eq!(image.dims()[2], 1);
        assert_close(&values(text), &values(image.squeeze_dim::<3>(2)), 1e-6, "height 1");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn padding_changes_nothing_and_scores_add_up(
        ids in prop::collection::vec(0u32..7, 1..12), longer in 1usize..20,
    ) {
        let device = Device::flex();
        for case in all() {
            let model = model(&case, &device).map(&mut Sines);
            let other = vec![3; ids.len() + longer];
            let alone = Batch::masked(&[&ids], 0, &device);
            let beside = Batch::masked(&[&ids, &other], 0, &device);
            let logits = values(model.forward(&alone));
            assert_close(&logits, &values(model.forward(&beside))[..2], 1e-5, case.0);
            let bias = values(model.head.bias.as_ref().unwrap().val());
            for scores in [model.scores(&beside), model.scores_by_layer(&beside)] {
                let sums = values(scores.sum_dim(1));
                assert_close(&[sums[0] + bias[0], sums[1] + bias[1]], &logits, 1e-5, case.0);
            }
        }
    }
}

/// Which tokens change the prediction in the middle of a text, when each is replaced by others.
fn measured(model: &TextModel, length: usize, position: usize, device: &Device) -> (usize, usize) {
    let center = position * model.stride();
    let texts: Vec<Vec<u32>> = (0..length)
        .flat_map(|at| (0..7).map(move |word| (0..length).map(|i| if i == at { word } else { 1 }).collect()))
        .collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let positions = model.predict_positions(&Batch::masked(&texts, 0, device));
    let [_, count, outputs] = positions.dims();
    let positions = values(positions);
    let at = |text: usize| &positions[(text * count + position) * outputs..][..outputs];
    let touches =
        |token: usize| (0..7).any(|word| (0..outputs).any(|o| (at(token * 7 + word)[o] - at(1)[o]).abs() > 0.0));
    let touching: Vec<usize> = (0..length).filter(|&token| touches(token)).collect();
    (center - touching[0], touching[touching.len() - 1] - center)
}

#[test]
fn receptive_fields_are_what_the_formula_says() {
    let device = Device::flex();
    device.seed(1);
    let mut every: Vec<EncoderConfig> = Vec::new();
    for causal in [false, true] {
        for kernel_size in [1, 2, 3, 4] {
            let layer = LayerConfig { kernel_size, activation: Activation::Tanh, ..layer(causal) };
            every.push(EncoderConfig::Dense(DenseConfig { growth: 4, layers: 3, layer: layer.clone() }));
            for base in [1, 2] {
                let (hidden, layer) = (12, layer.clone());
                every.push(EncoderConfig::Residual(ResidualConfig {
                    hidden,
                    blocks: 2,
                    dilation_base: base,
                    layer: layer.clone(),
                }));
                every.push(EncoderConfig::Gated(GatedConfig { hidden, units: 3, dilation_base: base, layer }));
            }
            for by in [1, 2] {
                for downsampling in [Downsampling::Stride { by }, Downsampling::MaxPool { by }] {
                    let layer = layer.clone();
                    every.push(EncoderConfig::Plain(PlainConfig { hidden: 8, layers: 2, downsampling, layer }));
                }
            }
        }
    }
    every.extend([conv(4, &[2, 5], Activation::Tanh), conv(4, &[1], Activation::Tanh)]);
    let linear = LinearConvConfig { filters: 4, kernel_size: 4, init_std: 0.5 };
    every.push(EncoderConfig::Linear(linear));
    for encoder in every {
        let model = model(&("", encoder.clone(), Pooling::Mean), &device);
        let field = model.receptive_field();
        let length = 49;
        let found = measured(&model, length, length / 2 / model.stride(), &device);
        assert_eq!(found, (field.left, field.right), "{encoder:?}");
    }
    for (_, encoder, pooling) in cases().into_iter().filter(|case| ["lstm", "bilstm", "gru"].contains(&case.0)) {
        let model = model(&("", encoder, pooling), &device);
        let field = model.receptive_field();
        let found = measured(&model, 9, 4, &device);
        assert_eq!(found, (field.left.min(4), field.right.min(4)));
    }
}

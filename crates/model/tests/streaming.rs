//! Encoders that read a token at a time, against those that read whole texts.

use burn::module::Module;
use burn::tensor::{Device, Distribution, Int, Tensor};
use convlens_model::{
    Activation, AdaptiveConfig, Batch, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, Encode, Encoder,
    EncoderConfig, EncoderSettings, GatedBranch, GatedConfig, IteratedConfig, LayerConfig, LinearConvConfig,
    ModelConfig, OneHotConfig, Padding, PlainStackConfig, Pooling, RecurrentConfig, ResidualBranch, ResidualConfig,
    Stream,
};
use proptest::prelude::*;

/// Every encoder, with these layers. There are enough channels that normalising them does not divide by
/// almost nothing, which would show the rounding of the sums.
fn every(layer: &LayerConfig, dilation_base: usize) -> Vec<EncoderConfig> {
    let LayerConfig { kernel_size, causal, activation, layer_norm, weight_norm, dropout } = *layer;
    let layer = || layer.clone();
    let residual = |branch| {
        EncoderConfig::Residual(ResidualConfig { hidden: 12, blocks: 2, dilation_base, branch, layer: layer() })
    };
    let recurrent = RecurrentConfig { hidden: 5, bidirectional: !causal };
    let width = if causal { 1 } else { 2 };
    vec![
        EncoderConfig::Linear(LinearConvConfig { filters: 4, kernel_size: width, init_std: 0.5 }),
        EncoderConfig::Conv(ConvConfig {
            filters: 12,
            kernel_sizes: vec![1, kernel_size],
            activation,
            causal,
            layer_norm,
            weight_norm,
            dropout,
        }),
        EncoderConfig::Plain(PlainStackConfig {
            hidden: 12,
            layers: 2,
            downsampling: Downsampling::MaxPool { by: 1 },
            layer: layer(),
        }),
        residual(ResidualBranch::Tcn),
        residual(ResidualBranch::He),
        EncoderConfig::ByteNet(ByteNetConfig { hidden: 24, blocks: 3, dilation_base, layer: layer() }),
        EncoderConfig::Dense(DenseConfig { growth: 12, layers: 3, layer: layer() }),
        EncoderConfig::Gated(GatedConfig {
            hidden: 12,
            units: 3,
            dilation_base,
            cycle: None,
            branch: GatedBranch::Skip,
            layer: layer(),
        }),
        EncoderConfig::Gated(GatedConfig {
            hidden: 12,
            units: 3,
            dilation_base,
            cycle: Some(2),
            branch: GatedBranch::Residual,
            layer: LayerConfig { layer_norm: true, ..layer() },
        }),
        EncoderConfig::Iterated(IteratedConfig {
            hidden: 12,
            dilations: vec![1, dilation_base],
            iterations: 2,
            layer: layer(),
        }),
        EncoderConfig::OneHot(OneHotConfig { filters: 4, kernel_sizes: vec![width] }),
        EncoderConfig::Lstm(recurrent.clone()),
        EncoderConfig::Gru(recurrent),
    ]
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("values")
}

/// What an encoder for inputs of four dimensions writes at each position of some texts, a token at a time,
/// and the size of its state after each.
fn step_by_step(encoder: &Encoder, x: &Tensor<3>) -> (Tensor<3>, Vec<usize>) {
    let [batch, length, _] = x.dims();
    let mut state = encoder.begin(batch, &x.device()).expect("a causal encoder");
    let mut sizes = Vec::new();
    let step = |at| {
        let y = encoder.step(&mut state, x.clone().narrow(1, at, 1).squeeze_dim::<2>(1));
        sizes.push(state.size());
        y
    };
    (Tensor::stack((0..length).map(step).collect(), 1), sizes)
}

fn texts(batch: usize, length: usize, device: &Device) -> Tensor<3> {
    Tensor::random([batch, length, 4], Distribution::Normal(0.0, 1.0), device)
}

fn activations() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![Activation::None, Activation::Relu, Activation::Gelu, Activation::Tanh])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_token_at_a_time_equals_the_whole_text(
        kernel_size in 1usize..5, dilation_base in 1usize..4, batch in 1usize..4, length in 1usize..30,
        activation in activations(), layer_norm: bool, weight_norm: bool, seed: u64,
    ) {
        let device = Device::flex();
        device.seed(seed);
        let layer = LayerConfig { kernel_size, causal: true, activation, layer_norm, weight_norm, dropout: 0.3 };
        let x = texts(batch, length, &device);
        for config in every(&layer, dilation_base) {
            let encoder = config.init(4, &device);
            let whole = values(encoder.forward(x.clone(), Tensor::ones([batch, length], &device)));
            let (steps, _) = step_by_step(&encoder, &x);
            prop_assert_eq!(steps.dims(), [batch, length, config.hidden()]);
            let largest = whole.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
            for (step, whole) in values(steps).into_iter().zip(whole) {
                let difference = (step - whole).abs();
                prop_assert!(difference <= 1e-5 * largest, "{config:?}: {step} and {whole} of up to {largest}");
            }
        }
    }
}

#[test]
fn the_state_does_not_grow_beyond_the_receptive_field() {
    let device = Device::flex();
    for config in every(&LayerConfig { causal: true, ..LayerConfig::default() }, 2) {
        let field = config.receptive_field();
        // All of the text before is in a state of one size.
        let full = if field.is_unbounded() { 0 } else { field.left };
        let (_, sizes) = step_by_step(&config.init(4, &device), &texts(2, 3 * full + 20, &device));
        assert!(sizes[full..].iter().all(|size| *size == sizes[full]), "{config:?}: {sizes:?}");
        assert!(full == 0 || sizes[0] < sizes[full], "{config:?}: {sizes:?}");
    }
}

#[test]
fn encoders_that_see_what_comes_after_cannot_be_read_a_token_at_a_time() {
    let device = Device::flex();
    let causal = LayerConfig { causal: true, ..LayerConfig::default() };
    let downsampled = [Downsampling::Stride { by: 2 }, Downsampling::MaxPool { by: 2 }].map(|downsampling| {
        EncoderConfig::Plain(PlainStackConfig { hidden: 6, layers: 2, downsampling, layer: causal.clone() })
    });
    for config in every(&LayerConfig::default(), 2).into_iter().chain(downsampled) {
        assert!(config.init(4, &device).begin(1, &device).is_none(), "{config:?}");
    }
    for config in every(&causal, 2) {
        assert!(config.init(4, &device).begin(1, &device).is_some(), "{config:?}");
    }
}

#[test]
#[should_panic(expected = "another encoder")]
fn the_state_of_another_encoder_is_refused() {
    let device = Device::flex();
    let init = |blocks| {
        let layer = LayerConfig { causal: true, ..LayerConfig::default() };
        let branch = ResidualBranch::Tcn;
        EncoderConfig::Residual(ResidualConfig { hidden: 6, blocks, dilation_base: 2, branch, layer }).init(4, &device)
    };
    let mut state = init(3).begin(2, &device).unwrap();
    init(2).step(&mut state, Tensor::zeros([2, 4], &device));
}

#[test]
fn predictions_are_those_of_the_positions() {
    check_predictions(3, None);
}

#[test]
fn predictions_of_clusters_are_those_of_the_positions() {
    check_predictions(7, Some(AdaptiveConfig { cutoffs: vec![2, 4], factor: 2 }));
}

fn check_predictions(outputs: usize, adaptive: Option<AdaptiveConfig>) {
    let device = Device::flex();
    let layer = LayerConfig { causal: true, ..LayerConfig::default() };
    let config = ModelConfig {
        vocab_size: 7,
        embedding: 4,
        init_std: 0.5,
        encoder: EncoderConfig::Gated(GatedConfig {
            hidden: 4,
            units: 3,
            dilation_base: 2,
            cycle: None,
            branch: GatedBranch::Skip,
            layer,
        }),
        outputs,
        padding: Padding::Masked,
        pooling: Pooling::Mean,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive,
    };
    let model = config.init(&device).expect("fits");
    assert_eq!((model.outputs(), model.num_params() as u64), (outputs, config.parameters()));
    let texts: [&[u32]; 2] = [&[1, 5, 2, 6, 6], &[3, 6, 1, 0, 2]];
    let whole = model.forward_positions(&Batch::masked(&texts, 0, &device));
    assert_eq!(whole.dims(), [2, 5, outputs]);
    let mut state = model.begin(2).expect("is causal");
    for (at, (&one, &other)) in texts[0].iter().zip(texts[1]).enumerate() {
        let ids = Tensor::<1, Int>::from_ints([one as i32, other as i32], &device);
        let found = values(model.predict_next(&mut state, ids, None));
        for (found, expected) in found.iter().zip(values(whole.clone().narrow(1, at, 1))) {
            assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
        }
    }
}

//! Configurations from strangers: whatever one says, it is refused with one line or has a bounded size.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::Device;
use convlens_model::{
    Activation, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, EncoderConfig, EncoderSettings, GatedBranch,
    GatedConfig, IteratedConfig, LayerConfig, LexiconConfig, LinearConvConfig, ModelConfig, OneHotConfig, Padding,
    PlainStackConfig, Pooling, RecurrentConfig, ResidualBranch, ResidualConfig, SpellingConfig,
};
use proptest::prelude::*;

/// Sizes that a model may have, and sizes that would overflow.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 1usize..6,
        2 => 1usize..5_000,
        1 => (0u32..=64).prop_map(|bits| 1usize.checked_shl(bits).unwrap_or(usize::MAX)),
        1 => any::<usize>(),
        1 => Just(0),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..0.9f64, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(1.0), 1 => Just(-0.5)]
}

fn layer() -> impl Strategy<Value = LayerConfig> {
    (size(), any::<[bool; 3]>(), number()).prop_map(|(kernel_size, [causal, layer_norm, weight_norm], dropout)| {
        LayerConfig { kernel_size, causal, activation: Activation::Gelu, layer_norm, weight_norm, dropout }
    })
}

fn downsampling() -> impl Strategy<Value = Downsampling> {
    prop_oneof![
        Just(Downsampling::None),
        size().prop_map(|by| Downsampling::Stride { by }),
        size().prop_map(|by| Downsampling::MaxPool { by }),
    ]
}

fn encoder() -> impl Strategy<Value = EncoderConfig> {
    let widths = || prop::collection::vec(size(), 0..4);
    let stack = || (size(), size(), size(), layer());
    prop_oneof![
        (size(), size(), number()).prop_map(|(filters, kernel_size, init_std)| {
            EncoderConfig::Linear(LinearConvConfig { filters, kernel_size, init_std })
        }),
        (size(), widths(), layer()).prop_map(|(filters, kernel_sizes, layer)| {
            let LayerConfig { causal, activation, layer_norm, weight_norm, dropout, .. } = layer;
            EncoderConfig::Conv(ConvConfig {
                filters,
                kernel_sizes,
                activation,
                causal,
                layer_norm,
                weight_norm,
                dropout,
            })
        }),
        (size(), size(), downsampling(), layer()).prop_map(|(hidden, layers, downsampling, layer)| {
            EncoderConfig::Plain(PlainStackConfig { hidden, layers, downsampling, layer })
        }),
        (stack(), any::<bool>()).prop_map(|((hidden, blocks, dilation_base, layer), is_he)| {
            let branch = if is_he { ResidualBranch::He } else { ResidualBranch::Tcn };
            EncoderConfig::Residual(ResidualConfig { hidden, blocks, dilation_base, branch, layer })
        }),
        stack().prop_map(|(hidden, blocks, dilation_base, layer)| {
            EncoderConfig::ByteNet(ByteNetConfig { hidden, blocks, dilation_base, layer })
        }),
        stack().prop_map(|(growth, layers, _, layer)| EncoderConfig::Dense(DenseConfig { growth, layers, layer })),
        stack().prop_map(|(hidden, units, dilation_base, layer)| {
            EncoderConfig::Gated(GatedConfig {
                hidden,
                units,
                dilation_base,
                cycle: None,
                branch: GatedBranch::Skip,
                layer,
            })
        }),
        (stack(), widths()).prop_map(|((hidden, iterations, _, layer), dilations)| {
            EncoderConfig::Iterated(IteratedConfig { hidden, dilations, iterations, layer })
        }),
        (size(), widths())
            .prop_map(|(filters, kernel_sizes)| { EncoderConfig::OneHot(OneHotConfig { filters, kernel_sizes }) }),
        (size(), any::<bool>())
            .prop_map(|(hidden, bidirectional)| { EncoderConfig::Lstm(RecurrentConfig { hidden, bidirectional }) }),
        (size(), any::<bool>())
            .prop_map(|(hidden, bidirectional)| { EncoderConfig::Gru(RecurrentConfig { hidden, bidirectional }) }),
    ]
}

fn config() -> impl Strategy<Value = ModelConfig> {
    let padding = prop_oneof![3 => Just(Padding::Masked), 1 => size().prop_map(|length| Padding::Counted { length })];
    let lexicon = prop_oneof![
        3 => Just(None),
        1 => (size(), 0usize..5, number()).prop_map(|(pairs, words, saturation)| Some(LexiconConfig { pairs, words, saturation: saturation * 1e3, encoder_share: saturation })),
    ];
    let spelling = prop_oneof![
        3 => Just(None),
        1 => (size(), size(), prop::collection::vec(size(), 0..3))
            .prop_map(|(embedding, filters, kernel_sizes)| Some(SpellingConfig { embedding, filters, kernel_sizes })),
    ];
    let sizes = [size(), size(), size()];
    let flags = [any::<bool>(), any::<bool>()];
    (encoder(), sizes, [number(), number(), number()], padding, flags, lexicon, spelling).prop_map(
        |(encoder, sizes, [init_std, dropout, shrinkage], padding, [is_max, chain], lexicon, spelling)| {
            let [vocab_size, embedding, outputs] = sizes;
            let embedding = match &encoder {
                EncoderConfig::OneHot(one_hot) if embedding != 4 => one_hot.weights(),
                _ => embedding,
            };
            let pooling = if is_max { Pooling::Max } else { Pooling::Mean };
            ModelConfig {
                vocab_size,
                embedding,
                init_std,
                encoder,
                outputs,
                padding,
                pooling,
                dropout,
                shrinkage,
                lexicon,
                spelling,
                chain,
                conditions: outputs % 3,
                adaptive: None,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_not_refused_has_a_bounded_size(config in config()) {
        let Ok(()) = config.check() else {
            let message = config.check().unwrap_err().to_string();
            prop_assert!(!message.contains('\n') && message.len() < 300, "{}", message);
            prop_assert!(config.init(&Device::flex()).is_err());
            return Ok(());
        };
        prop_assert!(config.parameters() <= 1 << 30);
        let (field, settings) = (config.receptive_field(), &config.encoder);
        prop_assert!(field.is_unbounded() || field.size() <= 1 << 31);
        prop_assert!(settings.stride() <= 1 << 31 && settings.hidden() <= 1 << 20);
        if config.parameters() < 100_000 {
            let model = config.init(&Device::flex()).unwrap();
            prop_assert_eq!(model.num_params() as u64, config.parameters());
        }
    }
}

fn linear() -> ModelConfig {
    ModelConfig {
        vocab_size: 10,
        embedding: 4,
        init_std: 0.1,
        encoder: EncoderConfig::Linear(LinearConvConfig { filters: 4, kernel_size: 3, init_std: 0.1 }),
        outputs: 1,
        padding: Padding::Masked,
        pooling: Pooling::Mean,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive: None,
    }
}

#[test]
fn errors_name_the_setting_and_its_limit() {
    let encoder =
        |filters, kernel_size, init_std| EncoderConfig::Linear(LinearConvConfig { filters, kernel_size, init_std });
    let dilated = |blocks| {
        let (branch, layer) = (ResidualBranch::Tcn, LayerConfig::default());
        EncoderConfig::Residual(ResidualConfig { hidden: 4, blocks, dilation_base: 2, branch, layer })
    };
    let dense = EncoderConfig::Dense(DenseConfig { growth: 16_000, layers: 2, layer: LayerConfig::default() });
    let cases = [
        (ModelConfig { vocab_size: 0, ..linear() }, "vocab_size must be 1 or more, but is 0"),
        (ModelConfig { vocab_size: 1 << 60, ..linear() }, "vocab_size must be 16777216 or less, but is"),
        (ModelConfig { embedding: 1 << 60, ..linear() }, "embedding must be 1048576 or less, but is"),
        (ModelConfig { outputs: 1_000_000_000_000, ..linear() }, "outputs must be 1048576 or less, but is"),
        (ModelConfig { init_std: f64::NAN, ..linear() }, "init_std must be a number from 0 to 1000, but is NaN"),
        (ModelConfig { init_std: -1.0, ..linear() }, "init_std must be a number from 0 to 1000, but is -1"),
        (ModelConfig { dropout: 1.0, ..linear() }, "dropout must be a number from 0 to below 1, but is 1"),
        (ModelConfig { shrinkage: -1.0, ..linear() }, "shrinkage must be a number from 0 to 1048576, but is -1"),
        (
            ModelConfig {
                lexicon: Some(LexiconConfig { pairs: 1, words: 2, saturation: 0.0, encoder_share: 0.5 }),
                ..linear()
            },
            "lexicon.saturation must be 1 or more, but is 0",
        ),
        (
            ModelConfig {
                lexicon: Some(LexiconConfig { pairs: usize::MAX, words: 2, saturation: 1.0, encoder_share: 0.5 }),
                ..linear()
            },
            "lexicon.pairs must be",
        ),
        (
            ModelConfig {
                lexicon: Some(LexiconConfig { pairs: 1, words: 4, saturation: 1.0, encoder_share: 0.5 }),
                ..linear()
            },
            "lexicon.words must be 1, 2 or 3, but is 4",
        ),
        (ModelConfig { dropout: f64::NAN, ..linear() }, "dropout must be a number from 0 to below 1"),
        (
            ModelConfig { padding: Padding::Counted { length: 0 }, ..linear() },
            "padding.counted.length must be 1 or more",
        ),
        (
            ModelConfig { padding: Padding::Counted { length: usize::MAX }, ..linear() },
            "padding.counted.length must be 1048576 or less",
        ),
        (ModelConfig { encoder: encoder(4, 0, 0.1), ..linear() }, "kernel_size must be 1 or more"),
        (ModelConfig { encoder: encoder(4, 1 << 40, 0.1), ..linear() }, "kernel_size must be 1048576 or less"),
        (ModelConfig { encoder: encoder(4, 3, f64::INFINITY), ..linear() }, "init_std must be a number from 0 to 1000"),
        (ModelConfig { encoder: encoder(1 << 20, 1 << 20, 0.1), ..linear() }, "filters, kernel_size: "),
        (
            ModelConfig { encoder: dilated(60), ..linear() },
            "hidden, blocks, kernel_size, dilation_base: the receptive field",
        ),
        (ModelConfig { encoder: dilated(1 << 40), ..linear() }, "blocks must be 4096 or less"),
        (
            ModelConfig { encoder: dense, ..linear() },
            "growth, layers, kernel_size: there must be 16384 channels or fewer",
        ),
        (ModelConfig { vocab_size: 1 << 24, embedding: 1 << 10, ..linear() }, "vocab_size times embedding: "),
    ];
    for (config, expected) in cases {
        let message = config.check().unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message:?} does not begin with {expected:?}");
    }
    assert!(linear().check().is_ok());
}

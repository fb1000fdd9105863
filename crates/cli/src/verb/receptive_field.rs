//! `convlens receptive-field`: what an encoder sees, without training it.

use std::path::Path;

use convlens_analysis::{Chart, MeasuredField};
use convlens_run::model::{
    Activation, ConvConfig, DenseConfig, Downsampling, EncoderConfig, GatedConfig, LayerConfig, LinearConvConfig,
    PlainConfig, RecurrentConfig, ResidualConfig,
};
use convlens_train::Stage;

use crate::args::{EncoderName, ReceptiveFieldArgs};
use crate::failure::Failure;
use crate::output::{check_picture, line, thousands, write_picture};
use crate::progress::Stages;

pub fn run(args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    let config = encoder(args);
    config.settings().check().map_err(|message| Failure::Input(format!("--encoder: {message}")))?;
    if args.max_pool == Some(0) || args.stride == Some(0) {
        return Err(Failure::Input("--stride and --max-pool: 1 or more".into()));
    }
    if let Some(path) = &args.plot {
        check_picture(path)?;
    }
    let stages = Stages::default();
    let on_stage = |name, done, total| stages.show(Stage { name, done, total });
    let field = MeasuredField::of(&config, args.hidden, args.seed, &on_stage)?;
    if let Some(path) = &args.plot {
        draw(path, &field, args)?;
    }
    match args.json {
        true => line(serde_json::json!(field).to_string()),
        false => show(&field, args),
    }
}

fn encoder(args: &ReceptiveFieldArgs) -> EncoderConfig {
    let ReceptiveFieldArgs { kernel_size, causal, .. } = *args;
    let downsampling = match (args.stride, args.max_pool) {
        (Some(by), _) => Downsampling::Stride { by },
        (None, Some(by)) => Downsampling::MaxPool { by },
        (None, None) => Downsampling::None,
    };
    let layer = LayerConfig { kernel_size, causal, activation: Activation::Gelu, ..LayerConfig::default() };
    encoder_of(args.encoder, args.layers, args.hidden, args.dilation_base, downsampling, layer)
}

/// The encoder of that name.
pub fn encoder_of(
    name: EncoderName,
    layers: usize,
    hidden: usize,
    dilation_base: usize,
    downsampling: Downsampling,
    layer: LayerConfig,
) -> EncoderConfig {
    let kernel_size = layer.kernel_size;
    let recurrent = |bidirectional| RecurrentConfig { hidden, bidirectional };
    let residual = |dilation_base, layer| ResidualConfig { hidden, blocks: layers, dilation_base, layer };
    match name {
        EncoderName::Linear => EncoderConfig::Linear(LinearConvConfig { filters: hidden, kernel_size, init_std: 0.1 }),
        EncoderName::Conv => EncoderConfig::Conv(ConvConfig {
            filters: hidden,
            kernel_sizes: vec![kernel_size],
            activation: layer.activation,
        }),
        EncoderName::Plain => EncoderConfig::Plain(PlainConfig { hidden, layers, downsampling, layer }),
        EncoderName::Residual => EncoderConfig::Residual(residual(1, layer)),
        EncoderName::Dilated => EncoderConfig::Residual(residual(dilation_base, layer)),
        EncoderName::Dense => EncoderConfig::Dense(DenseConfig { growth: hidden, layers, layer }),
        EncoderName::Gated => EncoderConfig::Gated(GatedConfig { hidden, units: layers, dilation_base, layer }),
        EncoderName::Lstm => EncoderConfig::Lstm(recurrent(false)),
        EncoderName::Bilstm => EncoderConfig::Lstm(recurrent(true)),
        EncoderName::Gru => EncoderConfig::Gru(recurrent(false)),
    }
}

fn show(field: &MeasuredField, args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    let side = |count: usize| if count == usize::MAX { "all".to_owned() } else { thousands(count) };
    let formula = field.formula;
    line(format!("by formula: {}, {} before and {} after", formula, side(formula.left), side(formula.right)))?;
    match (field.measured, field.agrees()) {
        (Some(measured), Some(agrees)) => line(format!(
            "measured, by changing each of {} positions in turn: {} before and {} after ({})",
            thousands(field.length),
            thousands(measured.left),
            thousands(measured.right),
            match (agrees, formula.is_unbounded()) {
                (true, true) => "beyond, a change is lost in the rounding",
                (true, false) => "they agree",
                (false, _) => "they DISAGREE: a defect, please report it",
            }
        ))?,
        _ => line("not measured: too wide to change every position in turn")?,
    }
    line(format!(
        "in effect: 95 % of the squared gradient reaches {} positions, before any training",
        thousands(field.effective)
    ))?;
    let step = if field.stride > 1 { format!(", one position for every {}", field.stride) } else { String::new() };
    let plot = args.plot.as_ref().map_or_else(String::new, |path| format!("; drawn in {}", path.display()));
    line(format!("{} parameters{step}{plot}", thousands(field.parameters)))
}

fn draw(path: &Path, field: &MeasuredField, args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    let name = format!("{:?}, {} layers", args.encoder, args.layers).to_lowercase();
    let chart = Chart {
        title: format!("Gradient of one output: {name}"),
        axes: ["position, counted from the output's".into(), "size, largest = 1".into()],
        is_log: false,
        lines: vec![(name, field.gradient.iter().map(|&(offset, size)| (offset as f64, size)).collect())],
    };
    write_picture(path, &[chart])
}

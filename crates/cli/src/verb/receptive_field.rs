//! `convlens receptive-field`: how much of a text an encoder sees, without training it.

use std::path::Path;

use convlens_analysis::{Chart, MeasuredField, Scale};
use convlens_run::model::{
    Activation, ByteNetConfig, ConvConfig, DenseConfig, Downsampling, EncoderConfig, EncoderSettings, GatedBranch,
    GatedConfig, LayerConfig, LinearConvConfig, OneHotConfig, PlainStackConfig, RecurrentConfig, ResidualBranch,
    ResidualConfig,
};
use convlens_train::Stage;

use crate::args::{EncoderName, ReceptiveFieldArgs};
use crate::failure::Failure;
use crate::output::{check_picture, line, thousands, write_picture};
use crate::progress::Stages;

/// The largest number of channels, to bound the memory.
const MOST_CHANNELS: usize = 1 << 12;

pub fn run(args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    check_flags(args)?;
    if let Some(path) = &args.plot {
        check_picture(path)?;
    }
    let config = asked(args).encoder(args.encoder);
    config.check().map_err(|message| Failure::Input(format!("--encoder: {message}")))?;
    let stages = Stages::default();
    let on_stage = |name, done, total| stages.show(Stage { name, done, total });
    let field = MeasuredField::measure(&config, args.hidden, args.seed, &on_stage)?;
    if let Some(path) = &args.plot {
        draw(path, &field, args)?;
    }
    if args.json { line(serde_json::json!(field).to_string()) } else { show(&field, args) }
}

/// Refuses flags that the encoder has no use for, because they would be ignored.
fn check_flags(args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    use EncoderName::{Bilstm, ByteNet, Dense, Dilated, Gated, Gru, Linear, Lstm, OneHot, Plain, Residual};
    let name = args.encoder;
    let is_stack = matches!(name, Plain | Residual | Dense | Dilated | ByteNet | Gated);
    let flags = [
        ("layers", args.layers.is_some(), is_stack),
        ("kernel-size", args.kernel_size.is_some(), !matches!(name, Lstm | Bilstm | Gru)),
        ("dilation-base", args.dilation_base.is_some(), matches!(name, Dilated | ByteNet | Gated)),
        ("causal", args.causal, !matches!(name, Linear | OneHot | Lstm | Bilstm | Gru)),
        ("stride", args.stride.is_some(), name == Plain),
        ("max-pool", args.max_pool.is_some(), name == Plain),
    ];
    if let Some((flag, ..)) = flags.into_iter().find(|(_, is_given, applies)| *is_given && !applies) {
        return Err(Failure::Input(format!(
            "--{flag}: {} does not have this setting; leave the flag out",
            name.title()
        )));
    }
    let numbers = [
        ("layers", args.layers),
        ("kernel-size", args.kernel_size),
        ("hidden", Some(args.hidden)),
        ("dilation-base", args.dilation_base),
        ("stride", args.stride),
        ("max-pool", args.max_pool),
    ];
    match numbers.into_iter().find(|(_, number)| *number == Some(0)) {
        Some((flag, _)) => Err(Failure::Input(format!("--{flag} 0: it must be 1 or more"))),
        None if args.hidden > MOST_CHANNELS => {
            Err(Failure::Input(format!("--hidden {}: it must be {MOST_CHANNELS} or less", args.hidden)))
        }
        None => Ok(()),
    }
}

fn asked(args: &ReceptiveFieldArgs) -> Asked {
    Asked {
        layers: args.layers.unwrap_or(4),
        hidden: args.hidden,
        dilation_base: args.dilation_base.unwrap_or(2),
        downsampling: match (args.stride, args.max_pool) {
            (Some(by), _) => Downsampling::Stride { by },
            (None, Some(by)) => Downsampling::MaxPool { by },
            (None, None) => Downsampling::None,
        },
        layer: LayerConfig {
            kernel_size: args.kernel_size.unwrap_or(3),
            causal: args.causal,
            activation: Activation::Gelu,
            ..LayerConfig::default()
        },
    }
}

/// The settings that were asked for; each encoder takes those that it has.
pub struct Asked {
    pub layers: usize,
    pub hidden: usize,
    pub dilation_base: usize,
    pub downsampling: Downsampling,
    pub layer: LayerConfig,
}

impl Asked {
    /// The encoder with this name and these settings.
    pub fn encoder(self, name: EncoderName) -> EncoderConfig {
        let Self { layers, hidden, dilation_base, downsampling, layer } = self;
        let LayerConfig { kernel_size, causal, activation, .. } = layer;
        let recurrent = |bidirectional| RecurrentConfig { hidden, bidirectional };
        let residual =
            |branch, dilation_base, layer| ResidualConfig { hidden, blocks: layers, dilation_base, branch, layer };
        match name {
            EncoderName::Linear => {
                EncoderConfig::Linear(LinearConvConfig { filters: hidden, kernel_size, init_std: 0.1 })
            }
            EncoderName::Conv => {
                EncoderConfig::Conv(ConvConfig { causal, activation, ..ConvConfig::new(hidden, &[kernel_size]) })
            }
            EncoderName::Plain => EncoderConfig::Plain(PlainStackConfig { hidden, layers, downsampling, layer }),
            EncoderName::Residual => EncoderConfig::Residual(residual(ResidualBranch::He, 1, layer)),
            EncoderName::Dilated => EncoderConfig::Residual(residual(ResidualBranch::Tcn, dilation_base, layer)),
            EncoderName::ByteNet => {
                let layer = LayerConfig { layer_norm: true, ..layer };
                EncoderConfig::ByteNet(ByteNetConfig { hidden, blocks: layers, dilation_base, layer })
            }
            EncoderName::Dense => EncoderConfig::Dense(DenseConfig { growth: hidden, layers, layer }),
            EncoderName::Gated => EncoderConfig::Gated(GatedConfig {
                hidden,
                units: layers,
                dilation_base,
                cycle: None,
                branch: GatedBranch::Skip,
                layer,
            }),
            EncoderName::OneHot => {
                EncoderConfig::OneHot(OneHotConfig { filters: hidden, kernel_sizes: vec![kernel_size] })
            }
            EncoderName::Lstm => EncoderConfig::Lstm(recurrent(false)),
            EncoderName::Bilstm => EncoderConfig::Lstm(recurrent(true)),
            EncoderName::Gru => EncoderConfig::Gru(recurrent(false)),
        }
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
                (true, true) => "further away, a change is lost in rounding",
                (true, false) => "they agree",
                (false, _) => "they DISAGREE; please report this bug",
            }
        ))?,
        _ => line("not measured: the field is too wide to change every position in turn")?,
    }
    if field.holes > 0 && !formula.is_unbounded() {
        line(format!("{} of these positions change nothing: the filters skip them", thousands(field.holes)))?;
    }
    if let Some(effective) = field.effective {
        let effective = thousands(effective);
        line(format!("effective: before training, 95 % of the squared gradient reaches {effective} positions"))?;
    }
    let step = if field.stride > 1 {
        format!(", one output position per {} input positions", field.stride)
    } else {
        String::new()
    };
    let plot = args.plot.as_ref().map_or_else(String::new, |path| format!("; drawn in {}", path.display()));
    line(format!("{} parameters{step}{plot}", thousands(field.parameters)))
}

fn draw(path: &Path, field: &MeasuredField, args: &ReceptiveFieldArgs) -> Result<(), Failure> {
    if field.gradient.is_empty() {
        return Err(Failure::Input(
            "--plot: the field is too wide to measure its gradient; leave the flag out, or name fewer --layers".into(),
        ));
    }
    let layers = args.layers.map_or_else(String::new, |layers| format!(", {layers} layers"));
    let name = format!("{}{layers}", args.encoder.title());
    let chart = Chart {
        title: format!("Gradient of one output: {name}"),
        axes: ["position, relative to the output".into(), "relative size".into()],
        scale: Scale::Linear,
        lines: vec![(name, field.gradient.iter().map(|&(offset, size)| (offset as f64, size)).collect())],
    };
    write_picture(path, &[chart])
}

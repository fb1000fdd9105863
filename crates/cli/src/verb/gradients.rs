//! `convlens gradients`: measures how much of the gradient reaches the first layer of a deep stack.

use convlens_analysis::{Chart, Scale};
use convlens_data::known;
use convlens_run::model::LayerConfig;
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource};
use convlens_train::{Cache, Corpus, DepthGradients, depth_gradients};

use crate::args::{EncoderName, GradientsArgs};
use crate::failure::Failure;
use crate::output::{check_picture, line, table, thousands, write_picture};
use crate::progress::{Stages, downloads};
use crate::verb::receptive_field::Asked;

pub fn run(args: &GradientsArgs) -> Result<(), Failure> {
    check(args)?;
    if let Some(path) = &args.plot {
        check_picture(path)?;
    }
    let stages = Stages::default();
    let on_stage = |stage| stages.show(stage);
    let sample = known("sample")?.load(&downloads())?;
    let text = TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 };
    let corpus = Corpus::prepare(&sample, &text, 0.1, args.seed, &Cache::for_user(), &on_stage)?;
    let mut found: Vec<(EncoderName, Vec<DepthGradients>)> = Vec::new();
    for &name in &args.encoders {
        let depths = args.layers.iter().map(|&layers| {
            // A residual block has two layers.
            let units = if is_of_blocks(name) { layers.div_ceil(2) } else { layers };
            let layer = LayerConfig::default();
            let asked =
                Asked { layers: units, hidden: args.hidden, dilation_base: 2, downsampling: Default::default(), layer };
            let encoder = asked.encoder(name);
            Ok(depth_gradients(&encoder, args.hidden, layers, &corpus, args.steps, args.seed, &on_stage)?)
        });
        found.push((name, depths.collect::<Result<_, Failure>>()?));
    }
    if let Some(path) = &args.plot {
        write_picture(path, &charts(&found, args.steps))?;
    }
    if !args.json {
        return show(&found, args);
    }
    found.iter().try_for_each(|(name, depths)| {
        line(serde_json::json!({ "encoder": name.title(), "depths": depths }).to_string())
    })
}

/// Checks that every encoder has a depth, and that no block of two layers is cut in half.
fn check(args: &GradientsArgs) -> Result<(), Failure> {
    use EncoderName::{ByteNet, Dense, Dilated, Gated, Plain, Residual};
    let numbers = [("layers", args.layers.contains(&0)), ("hidden", args.hidden == 0)];
    if let Some((flag, _)) = numbers.into_iter().find(|(_, is_zero)| *is_zero) {
        return Err(Failure::Input(format!("--{flag} 0: it must be 1 or more")));
    }
    for &name in &args.encoders {
        if !matches!(name, Plain | Residual | Dense | Dilated | ByteNet | Gated) {
            let name = name.title();
            return Err(Failure::Input(format!(
                "--encoders: {name} has no depth; name plain, residual, dense, dilated, bytenet or gated"
            )));
        }
        if let Some(odd) = args.layers.iter().find(|&&layers| is_of_blocks(name) && layers % 2 == 1) {
            let name = name.title();
            return Err(Failure::Input(format!(
                "--layers {odd}: a block of {name} has two layers; use an even number"
            )));
        }
    }
    Ok(())
}

fn is_of_blocks(name: EncoderName) -> bool {
    matches!(name, EncoderName::Residual | EncoderName::Dilated)
}

fn show(found: &[(EncoderName, Vec<DepthGradients>)], args: &GradientsArgs) -> Result<(), Failure> {
    let after = format!("after {} steps", args.steps);
    let head = ["encoder", "layers", "parameters", "first layer", "last layer", &after, "last layer", "loss"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (name, depths) in found {
        for depth in depths {
            rows.push(vec![
                name.title(),
                depth.layers.to_string(),
                thousands(depth.parameters),
                norm(depth.at_start.first()),
                norm(depth.at_start.last()),
                norm(depth.trained.first()),
                norm(depth.trained.last()),
                format!("{:.3}", depth.loss),
            ]);
        }
    }
    table(&rows)?;
    let drawn = args.plot.as_ref().map_or_else(String::new, |path| format!("; drawn in {}", path.display()));
    line(format!("the columns are norms of the gradient of a layer's filters, before and after training{drawn}"))
}

fn norm(value: Option<&f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1e}"))
}

fn charts(found: &[(EncoderName, Vec<DepthGradients>)], steps: usize) -> Vec<Chart> {
    type Points = Vec<(f64, f64)>;
    let chart = |title: String, axis: &str, scale, points: &dyn Fn(&[DepthGradients]) -> Points| {
        let axes = [axis.into(), "norm of the first layer's gradient".into()];
        let line = |(name, depths): &(EncoderName, Vec<DepthGradients>)| {
            (name.title(), points(depths).into_iter().map(|(at, norm)| (at, norm.max(1e-12))).collect())
        };
        Chart { title, axes, scale, lines: found.iter().map(line).collect() }
    };
    let by_depth = |norms: fn(&DepthGradients) -> &Vec<f64>| {
        let point = move |depth: &DepthGradients| (depth.layers as f64, norms(depth).first().copied().unwrap_or(0.0));
        move |depths: &[DepthGradients]| -> Points { depths.iter().map(point).collect() }
    };
    let course = |depths: &[DepthGradients]| -> Points {
        let deepest = depths.iter().max_by_key(|depth| depth.layers);
        let point = |&(step, norm): &(usize, f64)| (step as f64, norm);
        deepest.map_or_else(Vec::new, |deepest| deepest.course.iter().map(point).collect())
    };
    let deepest = found.iter().flat_map(|(_, depths)| depths).map(|depth| depth.layers).max().unwrap_or(0);
    let charts = [
        chart("At the start".into(), "layers", Scale::LogLog, &by_depth(|depth| &depth.at_start)),
        chart(format!("During training, {deepest} layers"), "step", Scale::LogY, &course),
        chart(format!("After {steps} steps"), "layers", Scale::LogLog, &by_depth(|depth| &depth.trained)),
    ];
    // With few steps there are no points to draw the training by.
    charts.into_iter().filter(|chart| chart.lines.iter().any(|(_, points)| !points.is_empty())).collect()
}

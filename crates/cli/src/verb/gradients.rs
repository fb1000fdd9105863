//! `convlens gradients`: how much of the gradient reaches the first layer of a deep stack.

use convlens_analysis::Chart;
use convlens_data::known;
use convlens_run::model::LayerConfig;
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource};
use convlens_train::{Cache, Corpus, DepthGradients, depth_gradients};

use crate::args::{EncoderName, GradientsArgs};
use crate::failure::Failure;
use crate::output::{check_picture, line, table, write_picture};
use crate::progress::{Stages, downloads};
use crate::verb::receptive_field::encoder_of;

pub fn run(args: &GradientsArgs) -> Result<(), Failure> {
    if args.layers.contains(&0) || args.hidden == 0 {
        return Err(Failure::Input("--layers and --hidden: 1 or more".into()));
    }
    if let Some(path) = &args.plot {
        check_picture(path)?;
    }
    let stages = Stages::default();
    let on_stage = |stage| stages.show(stage);
    let sample = known("sample")?.load(&downloads())?;
    let text = TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 20_000 };
    let corpus = Corpus::prepare(&sample, &text, 0.1, args.seed, &Cache::of_user(), &on_stage)?;
    let mut found: Vec<(EncoderName, Vec<DepthGradients>)> = Vec::new();
    for &name in &args.encoders {
        let depths = args.layers.iter().map(|&layers| {
            // A residual block has two layers.
            let units = if is_of_blocks(name) { layers.div_ceil(2) } else { layers };
            let encoder = encoder_of(name, units, args.hidden, 2, Default::default(), LayerConfig::default());
            Ok(depth_gradients(&encoder, layers, &corpus, args.steps, args.seed, &on_stage)?)
        });
        found.push((name, depths.collect::<Result<_, Failure>>()?));
    }
    if let Some(path) = &args.plot {
        write_picture(path, &charts(&found, args.steps))?;
    }
    match args.json {
        true => found.iter().try_for_each(|(name, depths)| {
            line(serde_json::json!({ "encoder": title(*name), "depths": depths }).to_string())
        }),
        false => show(&found, args),
    }
}

fn is_of_blocks(name: EncoderName) -> bool {
    matches!(name, EncoderName::Residual | EncoderName::Dilated)
}

fn title(name: EncoderName) -> String {
    format!("{name:?}").to_lowercase()
}

fn show(found: &[(EncoderName, Vec<DepthGradients>)], args: &GradientsArgs) -> Result<(), Failure> {
    let after = format!("after {} steps", args.steps);
    let head = ["encoder", "layers", "first layer", "last layer", &after, "last layer", "loss"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (name, depths) in found {
        for depth in depths {
            rows.push(vec![
                title(*name),
                depth.layers.to_string(),
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
    line(format!("the norm of the gradient of each layer's filters, at the start and after training{drawn}"))
}

fn norm(value: Option<&f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1e}"))
}

fn charts(found: &[(EncoderName, Vec<DepthGradients>)], steps: usize) -> [Chart; 2] {
    let chart = |title_of: String, norms: fn(&DepthGradients) -> &Vec<f64>| Chart {
        title: title_of,
        axes: ["layers".into(), "norm of the gradient".into()],
        is_log: true,
        lines: found
            .iter()
            .map(|(name, depths)| {
                let first = |depth: &DepthGradients| norms(depth).first().copied().unwrap_or(0.0);
                let point = |depth: &DepthGradients| (depth.layers as f64, first(depth).max(1e-12));
                (title(*name), depths.iter().map(point).collect())
            })
            .collect(),
    };
    [
        chart("Gradient of the first layer, at the start".into(), |depth| &depth.at_start),
        chart(format!("Gradient of the first layer, after {steps} steps"), |depth| &depth.trained),
    ]
}

//! `docs/pytorch.md`: its script gives the logits that `predict` gives, and its tables name the tensors.

use std::process::Command;

use convlens_text::Tokenizer;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::common::{Place, skip, text};

const DOCUMENT: &str = include_str!("../docs/pytorch.md");
const PRESETS: [&str; 5] = ["default", "linear", "seed", "relu", "conv"];
const TEXTS: [&str; 4] = [
    "This is a good film, and not a boring one.",
    "dull",
    "never heard of it",
    "It is not good. The film is dull, but not a bad film, but good and good!",
];

fn trained() -> Place {
    let place = Place::new();
    for preset in PRESETS {
        place.succeed(&format!("train --dataset sample --preset {preset} --epochs 1 --out runs/{preset}"));
    }
    place
}

fn predicted(place: &Place, preset: &str, text: &str) -> f64 {
    let prediction = &place.json(&format!("predict --json --run runs/{preset} '{text}'"))[0];
    prediction["logits"]["pos"].as_f64().expect("a number")
}

#[test]
fn the_script_gives_the_logits_of_predict() {
    let imports = Command::new("python3").args(["-c", "import tokenizers, torch, safetensors"]).output();
    if !imports.is_ok_and(|output| output.status.success()) {
        return skip("the_script_gives_the_logits_of_predict", "python3 has no torch, safetensors and tokenizers");
    }
    let place = trained();
    let blocks: Vec<&str> = DOCUMENT.split("```python\n").skip(1).collect();
    assert_eq!(blocks.len(), 1, "one script");
    let script = place.file("script.py", blocks[0].split("```").next().expect("it ends"));
    // torch takes seconds to load
    let cases = PRESETS.map(|preset| (preset, if preset == "default" { TEXTS[3] } else { TEXTS[0] }));
    for (preset, line) in cases {
        let mut python = Command::new("python3");
        let run = format!("runs/{preset}");
        let output = python.args([&script, &run, line]).current_dir(place.path()).output().expect("starts");
        assert!(output.status.success(), "{preset}: {}", text(&output.stderr));
        let logits: Vec<f64> = serde_json::from_slice(&output.stdout).expect("JSON");
        let expected = predicted(&place, preset, line);
        assert!((logits[0] - expected).abs() < 1e-5, "{preset}: {} is not {expected}", logits[0]);
    }
}

/// What the script computes, by the definition of a convolution.
#[test]
fn the_definition_gives_the_logits_of_predict() {
    let place = trained();
    for preset in PRESETS {
        let bytes = place.read(&format!("runs/{preset}/model.safetensors"));
        let weights = SafeTensors::deserialize(&bytes).expect("SafeTensors");
        let config = &place.read_json(&format!("runs/{preset}/config.json"))["model"];
        let tokenizer = Tokenizer::from_json(&place.read(&format!("runs/{preset}/tokenizer.json"))).expect("reads");
        for line in TEXTS {
            let mut ids = tokenizer.ids(line).expect("ids");
            if let Some(length) = config["padding"]["counted"]["length"].as_u64() {
                let padded = [vec![0; length as usize], ids].concat();
                ids = padded[padded.len() - length as usize..].to_vec();
            }
            let expected = predicted(&place, preset, line);
            let logit = logit(&weights, config, &ids);
            assert!((logit - expected).abs() < 1e-5, "{preset}, {line:?}: {logit} is not {expected}");
        }
    }
}

#[test]
fn the_tables_name_every_tensor() {
    let place = trained();
    for (preset, encoders) in
        [("linear", vec!["`linear`"]), ("conv", vec!["`conv`"]), ("default", vec!["`conv`", "`lexicon`"])]
    {
        let config = place.read_json(&format!("runs/{preset}/config.json"));
        let widths = config["model"]["encoder"]["kernel_sizes"].as_array().map_or(1, Vec::len);
        let rows = encoders.iter().flat_map(|encoder| {
            let heading = DOCUMENT.find(&format!("\n{encoder}")).expect("a heading");
            DOCUMENT[heading..].split("\n\n").nth(1).expect("a table").lines().skip(2)
        });
        let mut expected = Vec::new();
        for row in rows {
            let [name, shape] = [1, 2].map(|cell| row.split('|').nth(cell).expect("a cell").trim().trim_matches('`'));
            let rank = shape.split(',').count();
            let repeated = if name.contains(".N.") { widths } else { 1 };
            expected.extend((0..repeated).map(|index| (name.replace(".N.", &format!(".{index}.")), rank)));
        }
        // The lexicon has the bias.
        expected.retain(|(name, _)| encoders.len() == 1 || name != "head.bias");
        expected.sort();
        let bytes = place.read(&format!("runs/{preset}/model.safetensors"));
        let weights = SafeTensors::deserialize(&bytes).expect("SafeTensors");
        let mut found: Vec<(String, usize)> =
            weights.tensors().into_iter().map(|(name, tensor)| (name, tensor.shape().len())).collect();
        found.sort();
        assert_eq!(found, expected, "{preset}");
    }
}

/// A tensor's values and shape.
fn tensor(weights: &SafeTensors, name: &str) -> Option<(Vec<f64>, Vec<usize>)> {
    let tensor = weights.tensor(name).ok()?;
    let floats = tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes)));
    Some((floats.collect(), tensor.shape().to_vec()))
}

fn logit(weights: &SafeTensors, config: &Value, ids: &[u32]) -> f64 {
    let (embed, shape) = tensor(weights, "embed.weight").expect("embeddings");
    let dimensions = shape[1];
    let x: Vec<&[f64]> = ids.iter().map(|&id| &embed[id as usize * dimensions..][..dimensions]).collect();
    // One list of values per filter.
    let features: Vec<Vec<f64>> = match tensor(weights, "encoder.conv.weight") {
        Some(weight) => convolution(&x, &weight, None),
        None => (0..)
            .map_while(|index| tensor(weights, &format!("encoder.widths.{index}.conv.weight")).map(|at| (index, at)))
            .flat_map(|(index, weight)| {
                let bias = tensor(weights, &format!("encoder.widths.{index}.conv.bias")).expect("a bias").0;
                let features = convolution(&x, &weight, Some(&bias));
                features.into_iter().map(|values| values.into_iter().map(|value| value.max(0.0)).collect())
            })
            .collect(),
    };
    let pooled = features.iter().map(|values| match config["pooling"].as_str() {
        Some("max") => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => values.iter().sum::<f64>() / values.len() as f64,
    });
    let head = tensor(weights, "head.weight").expect("a head").0;
    let shrinkage = config["shrinkage"].as_f64().expect("a number");
    let of_encoder = pooled.zip(&head).map(|(feature, weight)| feature * weight).sum::<f64>();
    let of_encoder = of_encoder * ids.len() as f64 / (ids.len() as f64 + shrinkage);
    match tensor(weights, "head.bias") {
        Some((bias, _)) => of_encoder + bias[0],
        None => {
            let share = config["lexicon"]["encoder_share"].as_f64().expect("a number");
            let bias = tensor(weights, "lexicon.bias").expect("a bias").0[0];
            share * of_encoder + (1.0 - share) * of_lexicon(weights, config, ids) + bias
        }
    }
}

/// What the words and phrases of a lexicon add, by the definition in `crates/model/src/lexicon.rs`.
fn of_lexicon(weights: &SafeTensors, config: &Value, ids: &[u32]) -> f64 {
    let values = |name: &str| tensor(weights, &format!("lexicon.{name}")).expect("a lexicon").0;
    let (pairs, scores) = (values("pairs"), values("weight"));
    let vocabulary = values("roles");
    let roles: Vec<f64> = ids.iter().map(|&id| vocabulary[id as usize]).collect();
    let factor = |at: usize| {
        let mut factor = 1.0;
        let scope = if roles[at] < 2.0 { at.saturating_sub(4)..at } else { at..at };
        for role in roles[scope].iter().rev().take_while(|role| **role < 2.0) {
            factor *= if *role == 1.0 { -0.3 } else { 1.0 };
        }
        let start = roles[..at].iter().rposition(|role| *role == 4.0).map_or(0, |end| end + 1);
        let length = roles[at..].iter().position(|role| *role == 4.0).map_or(roles.len() - at, |end| end + 1);
        match roles[start..at + length].iter().rposition(|role| *role == 3.0) {
            Some(contrast) if at < start + contrast => factor * 0.5,
            Some(_) => factor * 1.5,
            None => factor,
        }
    };
    let row_of = |before: usize, id: u32| {
        let at = pairs.as_chunks::<2>().0.iter().position(|pair| *pair == [before as f64, f64::from(id)]);
        at.map(|at| vocabulary.len() + at)
    };
    let mut found: Vec<(usize, usize)> = ids.iter().enumerate().map(|(at, &id)| (id as usize, at)).collect();
    let words: std::collections::BTreeSet<u32> = ids.iter().copied().collect();
    for begin in 0..ids.len() {
        let mut row = ids[begin] as usize;
        for &id in ids[begin + 1..].iter().take(2) {
            let Some(longer) = row_of(row, id) else { break };
            row = longer;
            found.push((row, begin));
        }
    }
    let count = |row: usize| found.iter().filter(|(other, _)| *other == row).count() as f64;
    let sum: f64 = found.iter().map(|&(row, at)| scores[row] * factor(at) / count(row)).sum();
    let saturation = config["lexicon"]["saturation"].as_f64().expect("a number");
    sum * saturation / (words.len() as f64 + saturation)
}

/// A convolution with as many outputs as inputs; of an even width the larger part is to the right.
fn convolution(x: &[&[f64]], (weight, shape): &(Vec<f64>, Vec<usize>), bias: Option<&[f64]>) -> Vec<Vec<f64>> {
    let [filters, dimensions, width] = shape[..] else { panic!("{shape:?}") };
    let left = (width - 1) / 2;
    let at = |filter: usize, center: usize| {
        let mut sum = bias.map_or(0.0, |bias| bias[filter]);
        for place in 0..width {
            let Some(word) = (center + place).checked_sub(left).and_then(|at| x.get(at)) else { continue };
            for (dimension, value) in word.iter().enumerate() {
                sum += value * weight[(filter * dimensions + dimension) * width + place];
            }
        }
        sum
    };
    (0..filters).map(|filter| (0..x.len()).map(|center| at(filter, center)).collect()).collect()
}

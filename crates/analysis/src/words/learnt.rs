//! What a run has learnt in few bytes, for a web page: words and filters in one plane, and the words of
//! each filter.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError, WordTable};
use serde_json::{Value, json};

use crate::words::vocabulary::WordScore;
use crate::{FilterPosition, FilterVectors, Plane, Vocabulary, contributions, receptive_fields};

/// Coordinates are rounded to integers up to this, which is finer than the pixels of a screen.
const SCALE: f64 = 2_000.0;

/// Describes a run, given its table if it folds, for its first `outputs` logits, as an object:
///
/// - `explained`: the share of the variance along each of the two axes
/// - `special`: the ids of special tokens
/// - `reach`: the values that 2,000 stands for in `x`, in `y` and in `says`
/// - `x`, `y`: the coordinates of every word in the order of the ids, as integers from −2,000 to 2,000
/// - `says`: for each logit, the contribution of every word, as integers from −2,000 to 2,000
/// - `points`: the filters' positions in the plane, `[filter, place, x, y, weights in the logits]`
/// - `filters`: for each filter its places, each with its `norm` and the `count` words that `excite` and
///   `inhibit` it most, `[word, dot product]`; empty if `count` is 0
///
/// # Errors
///
/// [`RunError::Device`].
pub fn learnt<S: EncoderSettings>(
    run: &Run<S>,
    table: Option<&WordTable>,
    count: usize,
    outputs: usize,
) -> Result<Value, RunError> {
    let vocabulary = Vocabulary::new(run);
    let vectors = FilterVectors::new(run)?;
    let contributions = contributions(run, table)?;
    let to_first: Vec<f64> = contributions.iter().map(|contribution| contribution[0]).collect();
    let plane = Plane::new(&vectors, &to_first);
    let at = |axis: usize| move |point: &Vec<f64>| point.get(axis).copied().unwrap_or(0.0);
    let of_words =
        |axis: usize| -> Vec<f64> { vocabulary.ids().iter().map(|&id| at(axis)(&plane.words[id])).collect() };
    let reach = [0, 1].map(|axis| {
        let filters = plane.filters.iter().map(|point| at(axis)(&point.at));
        largest(of_words(axis).into_iter().chain(filters))
    });
    let outputs = outputs.min(run.config.model.outputs);
    let loudest = largest(vocabulary.ids().iter().flat_map(|&id| contributions[id][..outputs].iter().copied()));
    let says = |output: usize| -> Value {
        vocabulary.ids().iter().map(|&id| whole(contributions[id][output], loudest)).collect()
    };
    let filters = if count == 0 { Vec::new() } else { receptive_fields(&vectors, &vocabulary, count, &|_, _, _| {}) };
    let points = plane.filters.iter().map(|point| {
        let [x, y] = [0, 1].map(|axis| whole(at(axis)(&point.at), reach[axis]));
        let weights: Vec<f64> = point.head.iter().take(outputs).map(|weight| rounded(*weight)).collect();
        json!([point.filter, point.place, x, y, weights])
    });
    let special = (0..run.tokenizer.vocab_size() as u32).filter(|&id| run.tokenizer.is_special(id));
    let special: Vec<u32> = special.collect();
    Ok(json!({
        "explained": plane.pca.explained_variance_ratio,
        "reach": [reach[0], reach[1], loudest],
        "special": special,
        "x": of_words(0).into_iter().map(|x| whole(x, reach[0])).collect::<Vec<_>>(),
        "y": of_words(1).into_iter().map(|y| whole(y, reach[1])).collect::<Vec<_>>(),
        "says": (0..outputs).map(says).collect::<Value>(),
        "points": points.collect::<Value>(),
        "filters": filters.iter().map(|filter| filter.positions.iter().map(position).collect::<Value>()).collect::<Value>(),
    }))
}

fn position(position: &FilterPosition) -> Value {
    let words =
        |words: &[WordScore]| -> Value { words.iter().map(|word| json!([word.word, rounded(word.score)])).collect() };
    json!({
        "place": position.place,
        "norm": rounded(position.norm),
        "excite": words(&position.excite),
        "inhibit": words(&position.inhibit),
    })
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()))
}

fn whole(value: f64, reach: f64) -> i32 {
    (SCALE * value / reach).round() as i32
}

/// A number with three decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

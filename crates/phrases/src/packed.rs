//! Weights in fewer bytes, to be sent over a network: `model.safetensors` with its largest tensor, the
//! embeddings, as 16-bit floats or as integers with one factor per word. With integers, a lexicon has its scores as
//! bytes and its pairs, which are in ascending order, as differences. Opening a run unpacks them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

/// The tensor that is packed; the others are not changed.
pub const EMBEDDINGS: &str = "embed.weight";
/// The factor of each word's integers, `[vocab_size]`, as 16-bit floats (32-bit ones in older files).
pub const FACTORS: &str = "embed.factors";

/// The pairs of a lexicon, `[pairs, 2]`. Packed, the first number of a pair is the difference to that of the pair before,
/// and if that is zero, so is the second.
pub const PAIRS: &str = "lexicon.pairs";
/// The scores of a lexicon, `[rows, outputs]`. Packed, each is the square root of its share of the largest, because most
/// are small.
pub const SCORES: &str = "lexicon.weight";
/// The largest score of a packed lexicon, `[1]`.
pub const LARGEST_SCORE: &str = "lexicon.largest";

/// The number format of the embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats, as in training.
    #[default]
    F32,
    /// 16-bit floats, with eleven significant bits.
    F16,
    /// 8-bit integers; the largest magnitude in each word is 127.
    Int8,
    /// As `Int8`, but the largest magnitude is 31, so each takes about six bits once a web server
    /// compresses the file.
    Int6,
}

impl Precision {
    /// The largest integer of a word; none for floats.
    fn largest(self) -> Option<f32> {
        match self {
            Self::F32 | Self::F16 => None,
            Self::Int8 => Some(127.0),
            Self::Int6 => Some(31.0),
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "int8" => Ok(Self::Int8),
            "int6" => Ok(Self::Int6),
            _ => Err("expected f32, f16, int8 or int6".into()),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int6 => "int6",
        })
    }
}

/// Packs the embeddings in the content of a `model.safetensors`.
///
/// # Errors
///
/// If the content is not valid SafeTensors.
pub fn pack(bytes: &[u8], precision: Precision) -> Result<Vec<u8>, SafeTensorError> {
    rewrite(bytes, |name, view| match (name, precision.largest()) {
        (EMBEDDINGS, None) if precision == Precision::F16 => {
            let halves = floats(view.data()).flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
            vec![(name.to_owned(), Dtype::F16, view.shape().to_vec(), Cow::Owned(halves))]
        }
        (EMBEDDINGS, Some(largest)) => {
            let (integers, factors) = quantized(view, largest);
            let words = vec![factors.len()];
            let factors = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            vec![
                (name.to_owned(), Dtype::I8, view.shape().to_vec(), Cow::Owned(integers)),
                (FACTORS.to_owned(), Dtype::F16, words, Cow::Owned(factors)),
            ]
        }
        (PAIRS, Some(_)) => match differences(&floats(view.data()).collect::<Vec<_>>()) {
            Some(differences) => {
                let bytes = differences.iter().flat_map(|difference| difference.to_le_bytes()).collect();
                vec![(name.to_owned(), Dtype::U16, view.shape().to_vec(), Cow::Owned(bytes))]
            }
            None => vec![kept(name, view)],
        },
        (SCORES, Some(_)) => {
            let largest = floats(view.data()).fold(f32::MIN_POSITIVE, |largest, score| largest.max(score.abs()));
            let byte = |score: f32| ((score.abs() / largest).sqrt() * 127.0).round().copysign(score) as i8 as u8;
            let bytes = floats(view.data()).map(byte).collect();
            vec![
                (name.to_owned(), Dtype::I8, view.shape().to_vec(), Cow::Owned(bytes)),
                (LARGEST_SCORE.to_owned(), Dtype::F32, vec![1], Cow::Owned(largest.to_le_bytes().to_vec())),
            ]
        }
        _ => vec![kept(name, view)],
    })
}

/// Undoes [`pack`], except for its rounding. A file that is not packed is returned as it is.
pub fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, SafeTensorError> {
    let tensors = SafeTensors::deserialize(&bytes)?;
    let is_packed = tensors.tensor(EMBEDDINGS).is_ok_and(|view| [Dtype::F16, Dtype::I8].contains(&view.dtype()));
    if !is_packed {
        return Ok(bytes);
    }
    let factors: Vec<f32> = match tensors.tensor(FACTORS) {
        Ok(view) if view.dtype() == Dtype::F16 => halves(view.data()).collect(),
        Ok(view) => floats(view.data()).collect(),
        Err(_) => Vec::new(),
    };
    let largest_score = tensors.tensor(LARGEST_SCORE).ok().and_then(|view| floats(view.data()).next()).unwrap_or(0.0);
    rewrite(&bytes, |name, view| match (name, view.dtype()) {
        (FACTORS | LARGEST_SCORE, _) => Vec::new(),
        (PAIRS, Dtype::U16) => {
            let ids = from_differences(view.data()).flat_map(|id| (id as f32).to_le_bytes()).collect();
            vec![(name.to_owned(), Dtype::F32, view.shape().to_vec(), Cow::Owned(ids))]
        }
        (SCORES, Dtype::I8) => {
            let root = |byte: u8| f32::from(byte as i8) / 127.0;
            let scores = view.data().iter().map(|&byte| root(byte) * root(byte).abs() * largest_score);
            let scores = scores.flat_map(f32::to_le_bytes).collect();
            vec![(name.to_owned(), Dtype::F32, view.shape().to_vec(), scores)]
        }
        (EMBEDDINGS, Dtype::F16) => {
            let values = halves(view.data()).flat_map(f32::to_le_bytes).collect();
            vec![(name.to_owned(), Dtype::F32, view.shape().to_vec(), values)]
        }
        (EMBEDDINGS, Dtype::I8) => {
            let width = view.shape().last().copied().unwrap_or(1).max(1);
            let rows = view.data().chunks(width).zip(&factors);
            let values = rows.flat_map(|(row, factor)| row.iter().map(move |&byte| f32::from(byte as i8) * factor));
            vec![(name.to_owned(), Dtype::F32, view.shape().to_vec(), values.flat_map(f32::to_le_bytes).collect())]
        }
        _ => vec![kept(name, view)],
    })
}

/// The differences of pairs in ascending order; `None` if they are not, or an id takes more than 16 bits.
fn differences(ids: &[f32]) -> Option<Vec<u16>> {
    let mut before = [0.0, 0.0];
    let mut differences = Vec::with_capacity(ids.len());
    for pair in ids.as_chunks::<2>().0 {
        let first = pair[0] - before[0];
        let second = if first == 0.0 { pair[1] - before[1] } else { pair[1] };
        for difference in [first, second] {
            if !(0.0..=f32::from(u16::MAX)).contains(&difference) {
                return None;
            }
            differences.push(difference as u16);
        }
        before = *pair;
    }
    Some(differences)
}

fn from_differences(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut before = [0u32, 0];
    bytes.as_chunks::<4>().0.iter().flat_map(move |&[a, b, c, d]| {
        let [first, second] = [[a, b], [c, d]].map(|bytes| u32::from(u16::from_le_bytes(bytes)));
        before = [before[0].wrapping_add(first), if first == 0 { before[1].wrapping_add(second) } else { second }];
        before
    })
}

type Packed<'a> = (String, Dtype, Vec<usize>, Cow<'a, [u8]>);

fn kept<'a>(name: &str, view: &TensorView<'a>) -> Packed<'a> {
    (name.to_owned(), view.dtype(), view.shape().to_vec(), Cow::Borrowed(view.data()))
}

/// Replaces each tensor of a file with those that `replace` returns.
fn rewrite<'a>(
    bytes: &'a [u8],
    replace: impl Fn(&str, &TensorView<'a>) -> Vec<Packed<'a>>,
) -> Result<Vec<u8>, SafeTensorError> {
    let tensors = SafeTensors::deserialize(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().clone();
    let mut named: Vec<(String, TensorView<'a>)> = tensors.tensors();
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    let packed: Vec<Packed> = named.iter().flat_map(|(name, view)| replace(name, view)).collect();
    let views =
        packed.iter().map(|(name, dtype, shape, data)| Ok((name, TensorView::new(*dtype, shape.clone(), data)?)));
    safetensors::serialize(views.collect::<Result<Vec<_>, SafeTensorError>>()?, metadata)
}

/// The 32-bit floats of a tensor's bytes.
pub fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<2>().0.iter().map(|&half| f16::from_le_bytes(half).to_f32())
}

/// Each word's values as integers up to `largest`, and the factor that turns them back.
fn quantized(view: &TensorView, largest: f32) -> (Vec<u8>, Vec<f16>) {
    let values: Vec<f32> = floats(view.data()).collect();
    let width = view.shape().last().copied().unwrap_or(1).max(1);
    let reach = |row: &[f32]| row.iter().fold(0.0f32, |reach, value| reach.max(value.abs()));
    let factors: Vec<f16> =
        values.chunks(width).map(|row| f16::from_f32((reach(row) / largest).min(f16::MAX.to_f32()))).collect();
    let integer = |value: f32, factor: f32| {
        if factor > 0.0 { (value / factor).round().clamp(-largest, largest) as i8 as u8 } else { 0 }
    };
    let rows = values.chunks(width).zip(&factors);
    (rows.flat_map(|(row, factor)| row.iter().map(|&value| integer(value, factor.to_f32()))).collect(), factors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_give_back_the_pairs() {
        let pairs = [0.0, 3.0, 0.0, 70.0, 2.0, 1.0, 2.0, 2.0, 40_000.0, 65_535.0];
        let bytes: Vec<u8> =
            differences(&pairs).expect("in order").iter().flat_map(|difference| difference.to_le_bytes()).collect();
        assert!(from_differences(&bytes).map(|id| id as f32).eq(pairs));
        assert_eq!(differences(&[2.0, 1.0, 1.0, 5.0]), None);
        assert_eq!(differences(&[1.0, 65_536.0]), None);
    }

    #[test]
    fn precisions_have_names() {
        for precision in [Precision::F32, Precision::F16, Precision::Int8, Precision::Int6] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert!("f64".parse::<Precision>().is_err());
    }
}

//! `model.safetensors`: the weights, under PyTorch's names and in its layout.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::PhrasesError;
use crate::packed::{FACTORS, LARGEST_SCORE, floats, unpack};

/// The metadata entry that ties weights to the tokenizer they were trained with: its
/// [`tokenizer_digest`](crate::files::tokenizer_digest). It is the only entry, because the library writes
/// several in random order, and equal weights should give equal files.
pub const TOKENIZER_KEY: &str = "tokenizer";

/// The maximum number of bytes of the file besides the values of its tensors.
const MOST_HEADER: u64 = 1 << 20;

/// The name and the shape of every tensor of a model.
pub type Shapes = [(String, Vec<usize>)];

/// The maximum number of bytes of a file of a model's weights, packed or not. Twice the weights leave room for the
/// norms that a model without weight normalisation lacks.
pub fn most_bytes(shapes: &Shapes) -> u64 {
    let size = |shape: &[usize]| shape.iter().fold(8u64, |size, &length| size.saturating_mul(length as u64));
    shapes
        .iter()
        .fold(MOST_HEADER, |sum, (name, shape)| sum.saturating_add(size(shape)).saturating_add(256 + name.len() as u64))
}

/// Checks that a file has the tensors of a model, before anything is allocated for either.
///
/// # Errors
///
/// [`PhrasesError::DamagedWeights`] or [`PhrasesError::MisfitWeights`].
pub fn check_shapes(shapes: &Shapes, bytes: &[u8], path: &Path) -> Result<(), PhrasesError> {
    let misfit = |message: String| PhrasesError::MisfitWeights { path: path.into(), message };
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| PhrasesError::DamagedWeights { path: path.into(), message: error.to_string() })?;
    for (name, shape) in shapes {
        let found = tensors.tensor(name).map_err(|_| misfit(format!("it has no tensor {name}")))?;
        if found.shape() != shape {
            return Err(misfit(format!("{name} is {:?}, not {shape:?}", found.shape())));
        }
    }
    Ok(())
}

/// The content of a file of a model's weights without packing. It holds the tensors of the model and no
/// others, in 32-bit floats that are finite.
///
/// # Errors
///
/// [`PhrasesError::DamagedWeights`] or [`PhrasesError::MisfitWeights`].
pub fn checked(bytes: Vec<u8>, shapes: &Shapes, tokenizer_digest: &str, path: &Path) -> Result<Vec<u8>, PhrasesError> {
    let damaged = |message: String| PhrasesError::DamagedWeights { path: path.into(), message };
    let misfit = |message: String| PhrasesError::MisfitWeights { path: path.into(), message };

    check_shapes(shapes, &bytes, path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    if let Some(name) = tensors.names().into_iter().find(|name| !is_known(name, shapes)) {
        return Err(misfit(format!("the model has no tensor {name:?}")));
    }
    if digest_of(&bytes).is_some_and(|digest| digest != tokenizer_digest) {
        return Err(misfit("it was trained with another tokenizer.json".into()));
    }
    let bytes = unpack(bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    for (name, shape) in shapes {
        let found = tensors.tensor(name).map_err(|error| damaged(error.to_string()))?;
        if found.shape() != shape || found.dtype() != Dtype::F32 {
            return Err(misfit(format!("{name} is {:?} {:?}, not F32 {shape:?}", found.dtype(), found.shape())));
        }
        if !floats(found.data()).all(f32::is_finite) {
            return Err(damaged(format!("{name} holds a value that is not a finite number")));
        }
    }
    Ok(bytes)
}

/// The digest of the tokenizer that the weights were trained with, if the file names one.
pub fn digest_of(bytes: &[u8]) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    header.metadata().as_ref()?.get(TOKENIZER_KEY).cloned()
}

fn is_known(name: &str, shapes: &Shapes) -> bool {
    name == FACTORS || name == LARGEST_SCORE || shapes.iter().any(|(known, _)| known == name)
}

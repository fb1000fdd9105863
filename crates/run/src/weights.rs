//! `model.safetensors`: the weights, under PyTorch's names and in its layout.

use std::path::Path;

use burn::store::{ModuleSnapshot, SafetensorsStore};
use convlens_model::{Encode, TextModel, parameter_name, parameter_shapes};
use safetensors::SafeTensors;

use crate::RunError;
use crate::packed::{FACTORS, LARGEST_SCORE, PAIRS, floats, unpack};

/// The metadata entry that ties weights to the tokenizer they were trained with. It is the only entry,
/// because the library writes several in random order, and equal weights should give equal files.
const TOKENIZER_KEY: &str = "tokenizer";

/// The weights as SafeTensors, with the digest of the tokenizer that they belong to.
pub(crate) fn to_bytes<E: Encode>(model: &TextModel<E>, tokenizer_digest: &str) -> Result<Vec<u8>, String> {
    let mut store = SafetensorsStore::from_bytes(None)
        .skip_enum_variants(true)
        .clear_metadata()
        .metadata(TOKENIZER_KEY, tokenizer_digest);
    model.save_into(&mut store).map_err(|error| error.to_string())?;
    store.get_bytes().map_err(|error| error.to_string())
}

/// The roles of the words of a lexicon, `[vocab_size]`.
const ROLES: &str = "lexicon.roles";

/// The maximum number of bytes of a `model.safetensors` besides the values of its tensors.
const MOST_HEADER: u64 = 1 << 20;

/// The maximum number of bytes of a file of a model's weights, packed or not. Twice the weights leave room for the
/// norms that a model without weight normalisation lacks.
pub(crate) fn most_bytes<E: Encode>(model: &TextModel<E>) -> u64 {
    let size = |shape: &[usize]| shape.iter().fold(8u64, |size, &length| size.saturating_mul(length as u64));
    shapes(model)
        .iter()
        .fold(MOST_HEADER, |sum, (name, shape)| sum.saturating_add(size(shape)).saturating_add(256 + name.len() as u64))
}

/// Checks that a file has the tensors of a model, before anything is allocated for either.
///
/// # Errors
///
/// [`RunError::DamagedWeights`] or [`RunError::MisfitWeights`].
pub(crate) fn check_shapes<E: Encode>(model: &TextModel<E>, bytes: &[u8], path: &Path) -> Result<(), RunError> {
    let misfit = |message: String| RunError::MisfitWeights { path: path.into(), message };
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|error| RunError::DamagedWeights { path: path.into(), message: error.to_string() })?;
    for (name, shape) in shapes(model) {
        let found = tensors.tensor(&name).map_err(|_| misfit(format!("it has no tensor {name}")))?;
        if found.shape() != shape {
            return Err(misfit(format!("{name} is {:?}, not {shape:?}", found.shape())));
        }
    }
    Ok(())
}

/// Loads weights into a model.
///
/// # Errors
///
/// [`RunError::DamagedWeights`] or [`RunError::MisfitWeights`].
pub(crate) fn load<E: Encode>(
    model: &mut TextModel<E>,
    bytes: Vec<u8>,
    tokenizer_digest: &str,
    path: &Path,
) -> Result<(), RunError> {
    let damaged = |message: String| RunError::DamagedWeights { path: path.into(), message };
    let misfit = |message: String| RunError::MisfitWeights { path: path.into(), message };

    check_shapes(model, &bytes, path)?;
    let shapes = shapes(model);
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    if let Some(name) = tensors.names().into_iter().find(|name| !is_known(name, &shapes)) {
        return Err(misfit(format!("the model has no tensor {name:?}")));
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let trained_with = header.metadata().as_ref().and_then(|metadata| metadata.get(TOKENIZER_KEY));
    if trained_with.is_some_and(|digest| digest != tokenizer_digest) {
        return Err(misfit("it was trained with another tokenizer.json".into()));
    }
    let bytes = unpack(bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    for (name, shape) in &shapes {
        let found = tensors.tensor(name).map_err(|error| damaged(error.to_string()))?;
        if found.shape() != shape || found.dtype() != safetensors::Dtype::F32 {
            return Err(misfit(format!("{name} is {:?} {:?}, not F32 {shape:?}", found.dtype(), found.shape())));
        }
        if !floats(found.data()).all(f32::is_finite) {
            return Err(damaged(format!("{name} holds a value that is not a finite number")));
        }
    }
    let values = |name: &str| tensors.tensor(name).map(|view| floats(view.data()).collect::<Vec<f32>>());
    let index = values(PAIRS).ok().zip(values(ROLES).ok());
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true);
    model.load_from(&mut store).map_err(|error| damaged(error.to_string()))?;
    if let (Some(lexicon), Some((pairs, roles))) = (&model.lexicon, index) {
        lexicon.index_values(&pairs, &roles);
    }
    Ok(())
}

/// The digest of the tokenizer that the weights were trained with, if the file names one.
pub(crate) fn digest_of(bytes: &[u8]) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    header.metadata().as_ref()?.get(TOKENIZER_KEY).cloned()
}

fn is_known(name: &str, shapes: &[(String, Vec<usize>)]) -> bool {
    name == FACTORS || name == LARGEST_SCORE || shapes.iter().any(|(known, _)| known == name)
}

/// Each parameter's name in the file, and its shape.
fn shapes<E: Encode>(model: &TextModel<E>) -> Vec<(String, Vec<usize>)> {
    parameter_shapes(model).into_iter().map(|(path, shape)| (parameter_name(&path), shape)).collect()
}

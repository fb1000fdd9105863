//! `model.safetensors`: the weights, under PyTorch's names and in its layout.

use std::path::Path;

use burn::store::{ModuleSnapshot, SafetensorsStore};
use convlens_model::{Encode, TextModel, parameter_name, parameter_shapes};
use convlens_phrases::PhrasesError;
use convlens_phrases::packed::{PAIRS, floats};
use convlens_phrases::weights::{TOKENIZER_KEY, checked};
use safetensors::SafeTensors;

use crate::RunError;

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

/// Loads weights into a model.
///
/// # Errors
///
/// [`PhrasesError::DamagedWeights`] or [`PhrasesError::MisfitWeights`].
pub(crate) fn load<E: Encode>(
    model: &mut TextModel<E>,
    bytes: Vec<u8>,
    tokenizer_digest: &str,
    path: &Path,
) -> Result<(), RunError> {
    let damaged = |message: String| PhrasesError::DamagedWeights { path: path.into(), message };
    let bytes = checked(bytes, &shapes(model), tokenizer_digest, path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let values = |name: &str| tensors.tensor(name).map(|view| floats(view.data()).collect::<Vec<f32>>());
    let index = values(PAIRS).ok().zip(values(ROLES).ok());
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true);
    model.load_from(&mut store).map_err(|error| damaged(error.to_string()))?;
    if let (Some(lexicon), Some((pairs, roles))) = (&model.lexicon, index) {
        lexicon.index_values(&pairs, &roles);
    }
    Ok(())
}

/// Each parameter's name in the file, and its shape.
pub(crate) fn shapes<E: Encode>(model: &TextModel<E>) -> Vec<(String, Vec<usize>)> {
    parameter_shapes(model).into_iter().map(|(path, shape)| (parameter_name(&path), shape)).collect()
}

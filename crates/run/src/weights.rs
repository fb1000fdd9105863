//! `model.safetensors`: the weights, under PyTorch's names and in its layout.

use std::path::Path;

use burn::store::{ModuleSnapshot, SafetensorsStore};
use convlens_model::{TextModel, parameter_name, parameter_shapes};
use safetensors::SafeTensors;

use crate::RunError;
use crate::packed::unpack;

/// The metadata entry that ties weights to the tokenizer they were trained with. It is the only
/// one: the library writes several in an order that differs from run to run, and equal weights
/// shall be equal files.
const TOKENIZER_KEY: &str = "tokenizer";

/// The weights as SafeTensors, marked with the digest of the tokenizer that they belong to.
pub(crate) fn to_bytes(model: &TextModel, tokenizer_digest: &str) -> Result<Vec<u8>, String> {
    let mut store = SafetensorsStore::from_bytes(None)
        .skip_enum_variants(true)
        .clear_metadata()
        .metadata(TOKENIZER_KEY, tokenizer_digest);
    model.save_into(&mut store).map_err(|error| error.to_string())?;
    store.get_bytes().map_err(|error| error.to_string())
}

/// Loads weights into a model, after a look at whether they are whole and fit.
pub(crate) fn load(model: &mut TextModel, bytes: Vec<u8>, tokenizer_digest: &str, path: &Path) -> Result<(), RunError> {
    let damaged = |message: String| RunError::DamagedWeights { path: path.into(), message };
    let misfit = |message: String| RunError::MisfitWeights { path: path.into(), message };

    let bytes = unpack(bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    for (path, shape) in parameter_shapes(model) {
        let name = parameter_name(&path);
        let found = tensors.tensor(&name).map_err(|_| misfit(format!("it has no tensor {name}")))?;
        if found.shape() != shape {
            return Err(misfit(format!("{name} is {:?}, not {shape:?}", found.shape())));
        }
        if found.dtype() != safetensors::Dtype::F32 {
            return Err(misfit(format!("{name} is {:?}, not F32", found.dtype())));
        }
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let trained_with = header.metadata().as_ref().and_then(|metadata| metadata.get(TOKENIZER_KEY));
    if trained_with.is_some_and(|digest| digest != tokenizer_digest) {
        return Err(misfit("it was trained with another tokenizer".into()));
    }
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).skip_enum_variants(true);
    model.load_from(&mut store).map(|_| ()).map_err(|error| damaged(error.to_string()))
}

//! `vectors.safetensors`: word vectors that were learned from unlabelled texts, before the model.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::{RunError, RunFolder};

/// The file's name in a run folder.
const FILE: &str = "vectors.safetensors";
/// The name of its tensor.
const TENSOR: &str = "vectors";
/// The maximum number of dimensions of a vector.
pub const MAX_VECTOR_DIMENSIONS: usize = 4_096;
/// The number of bytes that the file may have besides its values.
const HEADER: u64 = 1 << 16;

/// A vector for every id of a tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct WordVectors {
    /// The number of dimensions of a vector.
    pub dimensions: usize,
    /// The vectors, `[vocab_size, dimensions]`.
    pub values: Vec<f32>,
}

impl WordVectors {
    /// Whether a run folder has word vectors.
    pub fn are_in(folder: &RunFolder) -> bool {
        folder.file(FILE).exists()
    }

    /// Writes `vectors.safetensors`.
    ///
    /// # Errors
    ///
    /// As [`RunFolder::write`].
    pub fn write(&self, folder: &RunFolder) -> Result<(), RunError> {
        let invalid = |message: String| RunError::Vectors { path: folder.file(FILE), message };
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = vec![self.values.len() / self.dimensions.max(1), self.dimensions];
        let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| invalid(error.to_string()))?;
        let bytes = safetensors::serialize([(TENSOR, view)], None).map_err(|error| invalid(error.to_string()))?;
        folder.write(FILE, &bytes)
    }

    /// Reads `vectors.safetensors`, with vectors of that many dimensions for `vocab_size` ids.
    ///
    /// # Errors
    ///
    /// [`RunError::Vectors`], naming the file, if it does not hold them or a value is not a finite number,
    /// [`PhrasesError::Io`](crate::PhrasesError::Io) if it cannot be read.
    pub fn read(folder: &RunFolder, vocab_size: usize, dimensions: usize) -> Result<Self, RunError> {
        let invalid = |message: String| RunError::Vectors { path: folder.file(FILE), message };
        let most = (vocab_size as u64).saturating_mul(4 * dimensions as u64).saturating_add(HEADER);
        let bytes = folder.read_up_to(FILE, most)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| invalid(error.to_string()))?;
        let view = tensors.tensor(TENSOR).map_err(|error| invalid(error.to_string()))?;
        if view.dtype() != Dtype::F32 || view.shape() != [vocab_size, dimensions] {
            let (dtype, shape) = (view.dtype(), view.shape());
            return Err(invalid(format!("it holds {dtype:?} {shape:?}, and not F32 [{vocab_size}, {dimensions}]")));
        }
        let values: Vec<f32> = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(Self { dimensions, values }),
            false => Err(invalid("a value is not a finite number".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_phrases::PhrasesError;

    #[test]
    fn vectors_are_read_as_they_were_written() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(&temporary.path().join("run")).expect("a run folder");
        assert!(!WordVectors::are_in(&folder));
        let vectors = WordVectors { dimensions: 2, values: vec![0.0, 1.0, -2.0, 0.5, 3.0, 1e-9] };
        vectors.write(&folder).expect("writes");
        assert!(WordVectors::are_in(&folder));
        assert_eq!(WordVectors::read(&folder, 3, 2).expect("reads"), vectors);
        let error = |vocab_size, dimensions| WordVectors::read(&folder, vocab_size, dimensions).expect_err("differs");
        assert!(error(2, 3).to_string().contains("it holds F32 [3, 2], and not F32 [2, 3]"), "{}", error(2, 3));
        WordVectors { dimensions: 1, values: vec![f32::NAN] }.write(&folder).expect("writes");
        assert!(error(1, 1).to_string().contains("a value is not a finite number"), "{}", error(1, 1));
        folder.write(FILE, b"damaged").expect("writes");
        assert!(error(1, 1).to_string().contains("vectors.safetensors"), "{}", error(1, 1));
        folder.write(FILE, &vec![0; 1 << 17]).expect("writes");
        assert!(matches!(error(1, 1), RunError::Phrases(PhrasesError::TooLarge { .. })));
    }
}

//! `vectors.safetensors`: word vectors that were learned from unlabelled texts, before the model.

use crate::matrix_file::MatrixFile;
use crate::{RunError, RunFolder};

const FILE: MatrixFile = MatrixFile { name: "vectors.safetensors", tensor: "vectors", content: "word vectors" };
/// The maximum number of dimensions of a vector.
pub const MAX_VECTOR_DIMENSIONS: usize = 4_096;

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
        FILE.is_in(folder)
    }

    /// Writes `vectors.safetensors`.
    ///
    /// # Errors
    ///
    /// As [`RunFolder::write`].
    pub fn write(&self, folder: &RunFolder) -> Result<(), RunError> {
        FILE.write(folder, &self.values, self.dimensions)
    }

    /// Reads `vectors.safetensors`, with vectors of that many dimensions for `vocab_size` ids.
    ///
    /// # Errors
    ///
    /// As [`MatrixFile::read`].
    pub fn read(folder: &RunFolder, vocab_size: usize, dimensions: usize) -> Result<Self, RunError> {
        Ok(Self { dimensions, values: FILE.read(folder, [vocab_size, dimensions])? })
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
        folder.write(FILE.name, b"damaged").expect("writes");
        assert!(error(1, 1).to_string().contains("vectors.safetensors"), "{}", error(1, 1));
        folder.write(FILE.name, &vec![0; 1 << 17]).expect("writes");
        assert!(matches!(error(1, 1), RunError::Phrases(PhrasesError::TooLarge { .. })));
    }
}

//! Files of a run folder that hold one matrix.

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::{RunError, RunFolder};

/// The number of bytes that a file may have besides its values.
const HEADER: u64 = 1 << 16;

/// A file in the format of safetensors that holds one matrix of finite numbers.
#[derive(Clone, Copy, Debug)]
pub struct MatrixFile {
    /// The file's name in a run folder.
    pub name: &'static str,
    /// The name of its tensor.
    pub tensor: &'static str,
    /// What the matrix is, for messages.
    pub content: &'static str,
}

impl MatrixFile {
    /// Whether a run folder has the file.
    pub fn is_in(&self, folder: &RunFolder) -> bool {
        folder.file(self.name).exists()
    }

    /// Writes a matrix with this number of columns, row by row.
    ///
    /// # Errors
    ///
    /// As [`RunFolder::write`].
    pub fn write(&self, folder: &RunFolder, values: &[f32], columns: usize) -> Result<(), RunError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = vec![values.len() / columns.max(1), columns];
        let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| self.error(folder, error.to_string()))?;
        let bytes = safetensors::serialize([(self.tensor, view)], None)
            .map_err(|error| self.error(folder, error.to_string()))?;
        folder.write(self.name, &bytes)
    }

    /// Reads a matrix of this shape, row by row.
    ///
    /// # Errors
    ///
    /// [`RunError::Matrix`], naming the file, if it does not hold one or a value is not a finite number,
    /// [`PhrasesError::Io`](crate::PhrasesError::Io) if it cannot be read.
    pub fn read(&self, folder: &RunFolder, shape: [usize; 2]) -> Result<Vec<f32>, RunError> {
        let invalid = |message: String| self.error(folder, message);
        let most = (shape[0] as u64).saturating_mul(4 * shape[1] as u64).saturating_add(HEADER);
        let bytes = folder.read_up_to(self.name, most)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| invalid(error.to_string()))?;
        let view = tensors.tensor(self.tensor).map_err(|error| invalid(error.to_string()))?;
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            let (dtype, found) = (view.dtype(), view.shape());
            return Err(invalid(format!("it holds {dtype:?} {found:?}, and not F32 {shape:?}")));
        }
        let values: Vec<f32> = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(invalid("a value is not a finite number".into())),
        }
    }

    /// An error that says what is wrong with the file.
    pub fn error(&self, folder: &RunFolder, message: String) -> RunError {
        RunError::Matrix { path: folder.file(self.name), content: self.content, message }
    }
}

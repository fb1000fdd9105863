//! A linear model as a table: word × place in the phrase × output.
//!
//! There is no activation between the layers of a linear model, so embedding, convolution and head
//! multiply into one matrix. Looking words up in it and adding what they contribute at their places is
//! the same function, with the same gradients, and takes a fraction of the arithmetic.

use burn::tensor::{Int, Tensor};

use crate::ReceptiveField;
use crate::kernels::{Epilogue, sum_of_lookups};

/// The table of a linear model.
#[derive(Clone, Debug)]
pub struct Folded {
    /// What each word contributes to the prediction of a phrase, by its place in the phrase:
    /// `[vocab_size, kernel_size · outputs]`, the outputs of one place next to each other.
    pub table: Tensor<2>,
    field: ReceptiveField,
}

impl Folded {
    /// Multiplies the layers into a table.
    ///
    /// # Shapes
    ///
    /// - `embed`: `[vocab_size, embedding]`
    /// - `kernel`: `[hidden, embedding, kernel_size]`
    /// - `head`: `[outputs, hidden, 1]`
    pub fn new(embed: Tensor<2>, kernel: Tensor<3>, head: Tensor<3>, field: ReceptiveField) -> Self {
        let [hidden, dimensions, kernel_size] = kernel.dims();
        let [outputs, _, _] = head.dims();
        let composed = head.squeeze_dim::<2>(2).matmul(kernel.reshape([hidden, dimensions * kernel_size]));
        let composed = composed
            .reshape([outputs, dimensions, kernel_size])
            .permute([1, 2, 0]) // [embedding, kernel_size, outputs]
            .reshape([dimensions, kernel_size * outputs]);
        Self { table: embed.matmul(composed), field }
    }

    /// The prediction at every position, without the bias.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[batch, length]`
    /// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
    /// - output: `[batch, length, outputs]`
    pub fn predict_positions(&self, ids: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<3> {
        sum_of_lookups(self.table.clone(), None, ids, mask, self.field, Epilogue::NONE)
    }
}

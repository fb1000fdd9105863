//! The words of a batch as an encoder's first layer reads them.

use std::ops::Range;

use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};

use crate::kernels::{Epilogue, pool_of_lookups, sum_of_lookups};
use crate::masking::zero_padding;
use crate::{Batch, Pooling, ReceptiveField};

/// The embeddings of the distinct words of a batch, and where each word occurs.
#[derive(Clone, Debug)]
pub struct Words {
    /// The embedding of each distinct word, `[distinct, embedding]`.
    rows: Tensor<2>,
    /// The row of the word at each position, `[batch, length]`.
    indices: Tensor<2, Int>,
    /// 1 where a position counts and 0 elsewhere, `[batch, length]`.
    mask: Tensor<2>,
}

impl Words {
    /// The words of a batch with the given embeddings, `[distinct, embedding]`.
    pub(crate) fn new(rows: Tensor<2>, batch: &Batch) -> Self {
        Self { rows, indices: batch.distinct_indices.clone(), mask: batch.mask.clone() }
    }

    /// Words with an embedding of their own at every position, `[batch, length, embedding]`, of which those count where
    /// `mask`, `[batch, length]`, is 1.
    pub(crate) fn of_positions(x: Tensor<3>, mask: Tensor<2>) -> Self {
        let [batch, length, embedding] = x.dims();
        let indices = Tensor::arange(0..(batch * length) as i64, &x.device()).reshape([batch, length]);
        Self::from_parts(x.reshape([batch * length, embedding]), indices, mask)
    }

    /// The words whose embeddings are these rows, at the positions given by `indices`.
    pub(crate) fn from_parts(rows: Tensor<2>, indices: Tensor<2, Int>, mask: Tensor<2>) -> Self {
        Self { rows, indices, mask }
    }

    /// The same words, with some dimensions of their embeddings only.
    pub(crate) fn with_dimensions(&self, dimensions: Range<usize>) -> Self {
        let [distinct, embedding] = self.rows.dims();
        let rows = if dimensions == (0..embedding) {
            self.rows.clone()
        } else {
            self.rows.clone().slice([0..distinct, dimensions])
        };
        Self { rows, ..self.clone() }
    }

    /// The embedding of each distinct word, `[distinct, embedding]`.
    pub(crate) fn rows(&self) -> Tensor<2> {
        self.rows.clone()
    }

    /// The row of the word at each position, `[batch, length]`.
    pub(crate) fn indices(&self) -> Tensor<2, Int> {
        self.indices.clone()
    }

    /// The device that the embeddings are on.
    pub(crate) fn device(&self) -> Device {
        self.rows.device()
    }

    /// The embedding at each position, zero at padding: `[batch, length, embedding]`.
    pub fn embed(&self) -> Tensor<3> {
        zero_padding(embedding(self.rows.clone(), self.indices.clone()), self.mask().unsqueeze_dim(2))
    }

    /// 1 where a position counts and 0 elsewhere, `[batch, length]`.
    pub fn mask(&self) -> Tensor<2> {
        self.mask.clone()
    }

    /// A convolution of the words. Each distinct word is multiplied by the kernel once; what it
    /// contributes at each place is then looked up and summed. The function and its gradients are those
    /// of [`embed`](Self::embed) and a convolution, then the epilogue.
    ///
    /// # Shapes
    ///
    /// - `kernel`: `[channels, embedding, kernel_size]`
    /// - `bias`: `[channels]`
    /// - output: `[batch, length, channels]`; the values at masked positions have no meaning
    pub(crate) fn convolve(
        &self,
        kernel: Tensor<3>,
        bias: Option<Tensor<1>>,
        field: ReceptiveField,
        epilogue: Epilogue,
    ) -> Tensor<3> {
        sum_of_lookups(self.table(kernel), bias, self.indices.clone(), self.mask.clone(), field, epilogue)
    }

    /// The same as [`convolve`](Self::convolve), then ReLU, then pooled over the positions that count:
    /// `[batch, channels]`.
    pub(crate) fn convolve_pooled(
        &self,
        kernel: Tensor<3>,
        bias: Option<Tensor<1>>,
        field: ReceptiveField,
        pooling: Pooling,
    ) -> Tensor<2> {
        pool_of_lookups(self.table(kernel), bias, self.indices.clone(), self.mask.clone(), field, pooling)
    }

    /// The mean over the positions that count of a convolution without bias, `[batch, channels]`.
    ///
    /// Mean and convolution commute, so the embeddings are averaged first and multiplied by the kernel
    /// once per text instead of once per position.
    pub(crate) fn convolve_mean(&self, kernel: Tensor<3>, field: ReceptiveField) -> Tensor<2> {
        let [channels, dimensions, places] = kernel.dims();
        let [batch, length] = self.mask.dims();
        let x = sum_of_lookups(
            self.rows.clone(),
            None,
            self.indices.clone(),
            self.mask.clone(),
            ReceptiveField::ONE,
            Epilogue::NONE,
        );
        // The word at position s is at place p of the phrase around s - p + left, if that position counts.
        let mask = self.mask.clone().pad([(0, 0), (field.right, field.left)], 0.0);
        let counts_at = |place: usize| {
            let start = places - 1 - place;
            mask.clone().slice([0..batch, start..start + length])
        };
        let weights = Tensor::stack::<3>((0..places).map(counts_at).collect(), 1); // [batch, places, length]
        let count = self.mask().sum_dim(1).clamp_min(1.0).unsqueeze_dim::<3>(2); // [batch, 1, 1]
        let means = (weights / count).matmul(x); // [batch, places, embedding]
        let kernel = kernel.permute([2, 1, 0]).reshape([places * dimensions, channels]);
        means.reshape([batch, places * dimensions]).matmul(kernel)
    }

    /// The same as [`convolve`](Self::convolve), for embeddings that already are what each word
    /// contributes at each place, the channels of one place next to each other.
    pub(crate) fn sum_places(&self, bias: Option<Tensor<1>>, field: ReceptiveField, epilogue: Epilogue) -> Tensor<3> {
        sum_of_lookups(self.rows.clone(), bias, self.indices.clone(), self.mask.clone(), field, epilogue)
    }

    /// The same as [`convolve_pooled`](Self::convolve_pooled), for embeddings as in
    /// [`sum_places`](Self::sum_places).
    pub(crate) fn pool_places(&self, bias: Option<Tensor<1>>, field: ReceptiveField, pooling: Pooling) -> Tensor<2> {
        pool_of_lookups(self.rows.clone(), bias, self.indices.clone(), self.mask.clone(), field, pooling)
    }

    /// What each word contributes at each place, `[distinct, kernel_size · channels]`.
    fn table(&self, kernel: Tensor<3>) -> Tensor<2> {
        let [channels, dimensions, kernel_size] = kernel.dims();
        let kernel = kernel.permute([1, 2, 0]).reshape([dimensions, kernel_size * channels]);
        self.rows.clone().matmul(kernel)
    }
}

//! The words of a batch as an encoder's first layer reads them.

use std::ops::Range;

use burn::tensor::module::embedding;
use burn::tensor::{Int, Tensor};

use crate::kernels::{pool_of_lookups, sum_of_lookups};
use crate::{Batch, Pooling, ReceptiveField};

/// The embeddings of the words that occur in a batch, each once, and where they occur.
#[derive(Clone, Debug)]
pub struct Words {
    /// `[distinct, embedding]`
    pub(crate) rows: Tensor<2>,
    /// `[batch, length]`, rows of `rows`
    pub(crate) among: Tensor<2, Int>,
    /// `[batch, length]`, 1 where a position counts and 0 elsewhere
    pub(crate) mask: Tensor<2>,
}

impl Words {
    /// The words of a batch, their embeddings given.
    pub(crate) fn of(rows: Tensor<2>, batch: &Batch) -> Self {
        Self { rows, among: batch.among_distinct.clone(), mask: batch.mask.clone() }
    }

    /// The same words by some dimensions of their embeddings.
    pub(crate) fn of_dimensions(&self, dimensions: Range<usize>) -> Self {
        let [distinct, embedding] = self.rows.dims();
        let rows = match dimensions == (0..embedding) {
            true => self.rows.clone(),
            false => self.rows.clone().slice([0..distinct, dimensions]),
        };
        Self { rows, ..self.clone() }
    }

    /// A vector a position, zero where the mask is: `[batch, embedding, length]`.
    pub fn embed(&self) -> Tensor<3> {
        let x = embedding(self.rows.clone(), self.among.clone());
        x.swap_dims(1, 2) * self.mask.clone().unsqueeze_dim::<3>(1)
    }

    /// 1 where a position counts and 0 elsewhere, `[batch, 1, length]`.
    pub fn mask(&self) -> Tensor<3> {
        self.mask.clone().unsqueeze_dim(1)
    }

    /// A convolution of the words. Every word that occurs is multiplied with the kernel once, and
    /// what it gives by its place is looked up and summed: the same function and the same gradients
    /// as [`embed`](Self::embed) and a convolution.
    ///
    /// # Shapes
    ///
    /// - `kernel`: `[channels, embedding, kernel_size]`
    /// - `bias`: `[channels]`
    /// - output: `[batch, length, channels]`; what stands at masked positions has no meaning
    pub fn convolve(&self, kernel: Tensor<3>, bias: Option<Tensor<1>>, field: ReceptiveField) -> Tensor<3> {
        let table = self.table(kernel, bias, field);
        sum_of_lookups(table, self.among.clone(), self.mask.clone(), field)
    }

    /// As [`convolve`](Self::convolve), then ReLU, then pooled over the positions that count:
    /// `[batch, channels]`.
    pub fn convolve_pooled(
        &self,
        kernel: Tensor<3>,
        bias: Option<Tensor<1>>,
        field: ReceptiveField,
        pooling: Pooling,
    ) -> Tensor<2> {
        let table = self.table(kernel, bias, field);
        pool_of_lookups(table, self.among.clone(), self.mask.clone(), field, pooling)
    }

    /// As [`convolve`](Self::convolve), where the embeddings are what each word gives by its place,
    /// the channels of a place side by side.
    pub fn sum_places(&self, bias: Option<Tensor<1>>, field: ReceptiveField) -> Tensor<3> {
        let table = with_bias(self.rows.clone(), bias, field);
        sum_of_lookups(table, self.among.clone(), self.mask.clone(), field)
    }

    /// As [`convolve_pooled`](Self::convolve_pooled), of [`sum_places`](Self::sum_places).
    pub fn pool_places(&self, bias: Option<Tensor<1>>, field: ReceptiveField, pooling: Pooling) -> Tensor<2> {
        let table = with_bias(self.rows.clone(), bias, field);
        pool_of_lookups(table, self.among.clone(), self.mask.clone(), field, pooling)
    }

    /// What each word gives by its place, `[distinct, kernel_size · channels]`.
    fn table(&self, kernel: Tensor<3>, bias: Option<Tensor<1>>, field: ReceptiveField) -> Tensor<2> {
        let [channels, dimensions, kernel_size] = kernel.dims();
        let kernel = kernel.permute([1, 2, 0]).reshape([dimensions, kernel_size * channels]);
        with_bias(self.rows.clone().matmul(kernel), bias, field)
    }
}

/// Every position is the centre of one phrase, its own: there a word brings the bias.
fn with_bias(table: Tensor<2>, bias: Option<Tensor<1>>, field: ReceptiveField) -> Tensor<2> {
    match bias {
        Some(bias) => {
            let [channels] = bias.dims();
            let around = [(field.left * channels, field.right * channels)];
            table + bias.pad(around, 0.0).unsqueeze::<2>()
        }
        None => table,
    }
}

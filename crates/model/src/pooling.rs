//! The last step: predictions at every position become one prediction.

use burn::tensor::Tensor;

/// The mean over the positions that count; zero where none does.
///
/// # Shapes
///
/// - `positions`: `[batch, length, outputs]`
/// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
/// - output: `[batch, outputs]`
pub(crate) fn mean_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let count = mask.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
    let sum = (positions * mask.unsqueeze_dim::<3>(2)).sum_dim(1).squeeze_dim::<2>(1); // [batch, outputs]
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn only_what_counts_is_averaged() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[1.0], [3.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = mean_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [2.0, 0.0]);
    }
}

//! The last step: the values at every position become one value per channel.

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernels::has_kernels;
use crate::masking::{lower_padding, lowest, zero_padding};

/// How the values at every position become one value per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the positions.
    #[default]
    Mean,
    /// The largest value of each channel (Kim 2014, section 2: max-over-time pooling).
    Max,
}

/// The mean over the positions that count; zero where none does.
///
/// # Shapes
///
/// - `positions`: `[batch, length, outputs]`
/// - `mask`: `[batch, length]`, 1 where a position counts and 0 elsewhere
/// - output: `[batch, outputs]`
pub(crate) fn mean_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let count = mask.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
    let sum = zero_padding(positions, mask.unsqueeze_dim(2)).sum_dim(1).squeeze_dim::<2>(1); // [batch, outputs]
    sum / count
}

/// The largest value of each channel over the positions that count; zero where none does.
///
/// # Shapes
///
/// As for [`mean_over_positions`].
pub(crate) fn max_over_positions(positions: Tensor<3>, mask: Tensor<2>) -> Tensor<2> {
    let is_counted = mask.clone().sum_dim(1).clamp_max(1.0); // [batch, 1]
    let lowest = lowest(&positions);
    let largest = lower_padding(positions, mask.unsqueeze_dim(2)).max_dim(1).squeeze_dim::<2>(1);
    largest.clamp_min(lowest / 2.0) * is_counted
}

/// What each position contributes to the largest values of the channels times `weight`: each channel, where it is
/// largest. Summed over the positions it gives the same as [`max_over_positions`] times `weight`.
///
/// # Shapes
///
/// - `x`: `[batch, positions, channels]`
/// - `mask`: `[batch, positions]`, 1 where a position counts and 0 elsewhere
/// - `weight`: `[channels, outputs]`
/// - output: `[batch, positions, outputs]`
pub(crate) fn shares_of_the_largest(x: Tensor<3>, mask: Tensor<2>, weight: Tensor<2>) -> Tensor<3> {
    if has_kernels(&x) && has_kernels(&mask) && has_kernels(&weight) && !x.device().is_autodiff() {
        shares_on_host(x, mask, weight)
    } else {
        composed_shares(x, mask, weight)
    }
}

/// The same, composed of Burn's operations.
fn composed_shares(x: Tensor<3>, mask: Tensor<2>, weight: Tensor<2>) -> Tensor<3> {
    let ([batch, positions, channels], [_, outputs]) = (x.dims(), weight.dims());
    let places = lower_padding(x.clone(), mask.clone().unsqueeze_dim(2)).argmax(1); // [batch, 1, channels]
    let counts = mask.gather(1, places.clone().squeeze_dim(1)); // [batch, channels]
    let largest = x.gather(1, places.clone()).squeeze_dim::<2>(1) * counts;
    let parts = largest.unsqueeze_dim::<3>(2) * weight.unsqueeze_dim(0); // [batch, channels, outputs]
    let places = places.swap_dims(1, 2).expand([batch, channels, outputs]);
    let zeros = Tensor::zeros([batch, positions, outputs], &parts.device());
    zeros.scatter(1, places, parts, IndexingUpdateOp::Add)
}

/// The same in one pass over the values, of which Burn's operations make several.
fn shares_on_host(x: Tensor<3>, mask: Tensor<2>, weight: Tensor<2>) -> Tensor<3> {
    let ([batch, positions, channels], [_, outputs], device) = (x.dims(), weight.dims(), x.device());
    let (x, mask, weight) = (x.into_data(), mask.into_data(), weight.into_data());
    let (Ok(x), Ok(mask), Ok(weight)) = (x.as_slice::<f32>(), mask.as_slice::<f32>(), weight.as_slice::<f32>()) else {
        unreachable!("kernels read 32-bit numbers")
    };
    let mut shares = vec![0.0f32; batch * positions * outputs];
    let texts = x.par_chunks((positions * channels).max(1)).zip(mask.par_chunks(positions.max(1)));
    texts.zip(shares.par_chunks_mut((positions * outputs).max(1))).for_each(|((x, mask), shares)| {
        let (mut largest, mut places) = (vec![f32::NEG_INFINITY; channels], vec![0u32; channels]);
        let rows = (0..).zip(x.chunks_exact(channels.max(1)).zip(mask));
        for (position, (row, _)) in rows.filter(|(_, (_, mask))| **mask != 0.0) {
            for ((largest, place), &value) in largest.iter_mut().zip(&mut places).zip(row) {
                let replaces = (value > *largest) | value.is_nan();
                *place = if replaces { position } else { *place };
                *largest = if replaces { value } else { *largest };
            }
        }
        if mask.iter().any(|&mask| mask != 0.0) {
            let of_channels = largest.iter().zip(places).zip(weight.chunks_exact(outputs.max(1)));
            for ((largest, place), weight) in of_channels {
                let shares = &mut shares[place as usize * outputs..][..outputs];
                shares.iter_mut().zip(weight).for_each(|(share, weight)| *share += largest * weight);
            }
        }
    });
    Tensor::from_data(TensorData::new(shares, [batch, positions, outputs]), &device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn only_positions_that_count_are_averaged() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[1.0], [3.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = mean_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [2.0, 0.0]);
    }

    #[test]
    fn only_positions_that_count_are_compared() {
        let device = Device::flex();
        let positions = Tensor::<3>::from_floats([[[-3.0], [-1.0], [100.0]], [[7.0], [8.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let pooled = max_over_positions(positions, mask);
        assert_eq!(pooled.try_into_vec_as::<f32>().expect("values"), [-1.0, 0.0]);
    }

    #[test]
    fn shares_on_the_host_are_those_of_burns_operations() {
        let device = Device::flex();
        let x = Tensor::<3>::random([5, 7, 6], Distribution::Uniform(0.0, 3.0), &device).floor() - 1.0;
        let weight = Tensor::<2>::random([6, 2], Distribution::Normal(0.0, 1.0), &device);
        // The third text has no position that counts.
        let mask: Vec<f32> = (0..35).map(|at| if at % 3 == 0 || (14..21).contains(&at) { 0.0 } else { 1.0 }).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [5, 7]), &device);
        let [found, expected] = [shares_on_host, composed_shares].map(|shares| {
            let shares = shares(x.clone(), mask.clone(), weight.clone());
            shares.try_into_vec_as::<f32>().expect("values")
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert_eq!(found.len(), expected.len());
    }
}

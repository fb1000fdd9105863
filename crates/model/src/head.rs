//! A head with many outputs at every position, as in a language model or a translation.

use burn::tensor::{Int, Tensor, TensorData};

use crate::kernels::linear_cross_entropy;

/// The mean cross-entropy of linear predictions at the positions that have a target, in nats, and how many of
/// them are right. Only these positions are computed, and their logits never exist as a whole.
///
/// # Shapes
///
/// - `x`: `[batch, positions, hidden]`
/// - `weight`: `[outputs, hidden]`
/// - `bias`: `[outputs]`
/// - `targets`: for each text, the output that is right at each of its positions, or none where a position
///   does not count. The positions after the last of a shorter list do not count.
/// - output: `[1]`
///
/// # Panics
///
/// If no position has a target, there are not as many lists as texts, a list is longer than `positions`, or a
/// target is no output.
pub fn position_cross_entropy(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    targets: &[Vec<Option<usize>>],
) -> (Tensor<1>, usize) {
    let (x, targets) = rows_with_target(x, targets);
    linear_cross_entropy(x, weight, bias, &targets)
}

/// The rows of `x`, `[batch, positions, hidden]`, that have a target, and these targets.
///
/// # Panics
///
/// If there are not as many lists as texts, or a list is longer than `positions`.
pub(crate) fn rows_with_target(x: Tensor<3>, targets: &[Vec<Option<usize>>]) -> (Tensor<2>, Vec<usize>) {
    let [batch, positions, hidden] = x.dims();
    assert!(targets.len() == batch, "targets of {} texts for {batch}", targets.len());
    let longest = targets.iter().map(Vec::len).max().unwrap_or(0);
    assert!(longest <= positions, "{longest} targets for {positions} positions");
    let of_text = |(text, targets): (usize, &Vec<Option<usize>>)| {
        let rows = (text * positions..).zip(targets.clone());
        rows.filter_map(|(row, target)| Some((row, target?)))
    };
    let (rows, targets): (Vec<usize>, Vec<usize>) = targets.iter().enumerate().flat_map(of_text).unzip();
    let x = x.reshape([batch * positions, hidden]);
    // Selecting copies every row.
    let x = if rows.len() == batch * positions { x } else { select_rows(&x, &rows) };
    (x, targets)
}

/// Some rows of a matrix.
pub(crate) fn select_rows(x: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let count = rows.len();
    x.clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &x.device()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::log_softmax;
    use burn::tensor::{Device, Distribution};
    use proptest::prelude::*;

    /// The same, of Burn's operations and with the logits of every position.
    fn composed(
        x: Tensor<3>,
        weight: Tensor<2>,
        bias: Tensor<1>,
        targets: &[Vec<Option<usize>>],
    ) -> (Tensor<1>, usize) {
        let [batch, positions, _] = x.dims();
        let logits = x.matmul(weight.swap_dims(0, 1).unsqueeze::<3>()) + bias.unsqueeze::<3>();
        let outputs = logits.dims()[2];
        let mut shares = vec![0.0f32; batch * positions * outputs];
        let count = targets.iter().flatten().flatten().count();
        let best = logits.clone().argmax(2).try_into_vec_as::<i64>().expect("outputs");
        let mut hits = 0;
        for (text, targets) in targets.iter().enumerate() {
            for (at, target) in targets.iter().enumerate().filter_map(|(at, target)| Some((at, (*target)?))) {
                let row = text * positions + at;
                shares[row * outputs + target] = 1.0 / count as f32;
                hits += usize::from(best[row] as usize == target);
            }
        }
        let shares = Tensor::<3>::from_data(TensorData::new(shares, [batch, positions, outputs]), &logits.device());
        (-(log_softmax(logits, 2) * shares).sum(), hits)
    }

    proptest! {
        #[test]
        fn loss_hits_and_gradients_match_burns_operations(
            batch in 1usize..4, positions in 1usize..9, hidden in 1usize..9, outputs in 1usize..30,
            counts in prop::collection::vec(prop::option::of(0usize..1_000), 32), cut in 0usize..9, seed: u64,
        ) {
            let mut targets: Vec<Vec<Option<usize>>> =
                counts.chunks(8).take(batch).map(|row| row[..positions.min(8)].to_vec()).collect();
            targets.iter_mut().flatten().flatten().for_each(|target| *target %= outputs);
            targets[batch - 1].truncate(cut);
            prop_assume!(targets.iter().flatten().flatten().count() > 0);
            let device = Device::flex().autodiff();
            device.seed(seed);
            let draw = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let x = draw([batch, positions * hidden]).reshape([batch, positions, hidden]).detach().require_grad();
            let weight = draw([outputs, hidden]).require_grad();
            let bias = draw([1, outputs]).reshape([outputs]).detach().require_grad();
            let both = [position_cross_entropy, composed].map(|function| {
                let (loss, hits) = function(x.clone(), weight.clone(), bias.clone(), &targets);
                let gradients = loss.backward();
                let of_x = x.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>();
                let of_weight = weight.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>();
                let of_bias = bias.grad(&gradients).expect("a gradient").try_into_vec_as::<f32>();
                let all = [Ok(vec![loss.inner().into_scalar::<f32>()]), of_x, of_weight, of_bias];
                (all.map(|values| values.expect("values")).concat(), hits)
            });
            prop_assert_eq!(both[0].1, both[1].1);
            for (one, other) in both[0].0.iter().zip(&both[1].0) {
                prop_assert!((one - other).abs() < 1e-5 * (1.0 + other.abs()), "{one} and {other}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 targets for 2 positions")]
    fn more_targets_than_positions_are_refused() {
        let device = Device::flex();
        let (weight, bias) = (Tensor::ones([4, 5], &device), Tensor::zeros([4], &device));
        position_cross_entropy(Tensor::zeros([1, 2, 5], &device), weight, bias, &[vec![Some(1), None, Some(2)]]);
    }
}

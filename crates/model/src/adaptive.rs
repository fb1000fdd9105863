//! The adaptive softmax: a softmax over many tokens, of which most are rare (Grave et al. 2017, "Efficient softmax
//! approximation for GPUs", section 4).
//!
//! The frequent tokens, and one entry for each cluster of rare ones, are predicted by the head. Within its cluster a rare
//! token is predicted from a few channels, and only where one of them is right. With the head's probabilities *h*,
//!
//! > p(token) = h(token), or h(cluster) · p(token | cluster).
//!
//! (Burn has no such module.)

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::head::select_rows;
use crate::kernels::{Best, linear_loss};
use crate::limits::{check_size, product};

/// The largest number of clusters.
const MAX_CLUSTERS: usize = 16;

/// Settings of the adaptive softmax. Ids must be in the order of the frequency of tokens, the most frequent first, as those
/// of trained tokenizers of words and characters are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveConfig {
    /// The first id of each cluster of rare tokens, in ascending order. A cluster ends where the next begins.
    pub cutoffs: Vec<usize>,
    /// How many times fewer channels a cluster reads than the one before it; the first, than the encoder has.
    #[serde(default = "four")]
    pub factor: usize,
}

fn four() -> usize {
    4
}

impl AdaptiveConfig {
    /// The outputs of the head for `hidden` channels and `outputs` tokens: the frequent tokens and the clusters.
    pub(crate) fn head(&self) -> usize {
        self.cutoffs.first().map_or(0, |first| first.saturating_add(self.cutoffs.len()))
    }

    /// The number of channels and of tokens of each cluster.
    fn sizes(&self, hidden: usize, outputs: usize) -> impl Iterator<Item = (usize, usize)> {
        let ends = self.cutoffs.iter().skip(1).copied().chain([outputs]);
        let mut channels = hidden;
        self.cutoffs.iter().zip(ends).map(move |(&first, end)| {
            channels = (channels / self.factor.max(1)).max(1);
            (channels, end.saturating_sub(first))
        })
    }

    pub(crate) fn parameters(&self, hidden: usize, outputs: usize) -> u64 {
        let of_cluster = |(channels, tokens)| product([hidden, channels]).saturating_add(product([channels, tokens]));
        self.sizes(hidden, outputs).map(of_cluster).fold(0, u64::saturating_add)
    }

    pub(crate) fn check(&self, outputs: usize) -> Result<(), String> {
        let count = self.cutoffs.len();
        if !(1..=MAX_CLUSTERS).contains(&count) {
            return Err(format!("adaptive.cutoffs must be 1 to {MAX_CLUSTERS} numbers, but there are {count}"));
        }
        let ascend = self.cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascend || self.cutoffs[0] == 0 || self.cutoffs[count - 1] >= outputs {
            return Err(format!(
                "adaptive.cutoffs must ascend between 0 and {outputs}, the number of outputs, but are {:?}",
                self.cutoffs
            ));
        }
        check_size("adaptive.factor", self.factor)
    }

    pub(crate) fn init(&self, hidden: usize, outputs: usize, device: &Device) -> Vec<Cluster> {
        let uniform = |rows: usize, columns: usize| {
            Initializer::XavierUniform { gain: 1.0 }.init_with([rows, columns], Some(columns), Some(rows), device)
        };
        let cluster =
            |(channels, tokens)| Cluster { projection: uniform(channels, hidden), weight: uniform(tokens, channels) };
        self.sizes(hidden, outputs).map(cluster).collect()
    }
}

/// A cluster of rare tokens.
#[derive(Module, Debug)]
pub struct Cluster {
    /// From the channels of the encoder to those of the cluster, `[channels, hidden]`.
    pub projection: Param<Tensor<2>>,
    /// One row per token, `[tokens, channels]`.
    pub weight: Param<Tensor<2>>,
}

impl Cluster {
    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.weight.dims()[0]
    }

    fn without_gradient(&self) -> Self {
        let [projection, weight] = [&self.projection, &self.weight].map(|part| Param::from_tensor(part.val().inner()));
        Self { projection, weight }
    }

    /// What the tokens are predicted from, `[rows, channels]`, given `x`, `[rows, hidden]`.
    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.projection.val().swap_dims(0, 1))
    }

    /// The mean cross-entropy of tokens of the cluster, given by their places in it, and the most probable one in each
    /// row of `x`, `[rows, hidden]`.
    fn loss(&self, x: Tensor<2>, tokens: &[usize]) -> (Tensor<1>, Vec<Best>) {
        let zeros = Tensor::zeros([self.len()], &x.device());
        linear_loss(self.project(x), self.weight.val(), zeros, tokens)
    }

    /// `[rows, hidden]` to `[rows, tokens]`.
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        self.project(x).matmul(self.weight.val().swap_dims(0, 1))
    }

    /// The weights of the channels of the encoder in the logit of each token, `[tokens, hidden]`.
    pub(crate) fn directions(&self) -> Tensor<2> {
        self.weight.val().matmul(self.projection.val())
    }
}

/// The log-probabilities of all tokens, `[rows, outputs]`, from the logits of the head, `[rows, frequent tokens and
/// clusters]`, and what it reads, `[rows, hidden]`.
pub(crate) fn log_probabilities(of_head: Tensor<2>, x: Tensor<2>, clusters: &[Cluster]) -> Tensor<2> {
    let [rows, outputs] = of_head.dims();
    let frequent = outputs - clusters.len();
    let of_head = log_softmax(of_head, 1);
    let of_cluster = |(at, cluster): (usize, &Cluster)| {
        let of_cluster = of_head.clone().slice([0..rows, frequent + at..frequent + at + 1]);
        log_softmax(cluster.logits(x.clone()), 1) + of_cluster
    };
    let of_frequent = of_head.clone().slice([0..rows, 0..frequent]);
    Tensor::cat([of_frequent].into_iter().chain(clusters.iter().enumerate().map(of_cluster)).collect(), 1)
}

/// The mean cross-entropy of the tokens that are right, `[1]`, in nats, and how many of them are the most probable.
///
/// # Shapes
///
/// - `x`: `[rows, hidden]`
/// - `weight`, `bias`: those of the head, `[frequent tokens and clusters, hidden]`, and `[frequent tokens and clusters]`
/// - `targets`: one token per row
///
/// # Panics
///
/// If there are no rows, not as many targets as rows, or a target that is no token.
pub(crate) fn cross_entropy(
    x: Tensor<2>,
    (weight, bias): (Tensor<2>, Tensor<1>),
    clusters: &[Cluster],
    targets: &[usize],
) -> (Tensor<1>, usize) {
    let frequent = weight.dims()[0] - clusters.len();
    let ends: Vec<usize> = clusters
        .iter()
        .scan(frequent, |end, cluster| {
            *end += cluster.len();
            Some(*end)
        })
        .collect();
    let entry = |&target: &usize| {
        if target < frequent { target } else { frequent + ends.partition_point(|&end| end <= target) }
    };
    let entries: Vec<usize> = targets.iter().map(entry).collect();
    let (mut loss, best) = linear_loss(x.clone(), weight.clone(), bias.clone(), &entries);
    for (cluster, &end) in clusters.iter().zip(&ends) {
        let first = end - cluster.len();
        let rows = targets.iter().enumerate().filter(|(_, target)| (first..end).contains(target));
        let (rows, tokens): (Vec<usize>, Vec<usize>) = rows.map(|(row, &target)| (row, target - first)).unzip();
        if !rows.is_empty() {
            let share = rows.len() as f64 / targets.len() as f64;
            let (of_tokens, _) = cluster.loss(select_rows(&x, &rows), &tokens);
            loss = loss + of_tokens.mul_scalar(share);
        }
    }
    // A frequent token that is more probable than every cluster is more probable than every rare token.
    let (certain, open): (Vec<usize>, Vec<usize>) = (0..targets.len()).partition(|&row| best[row].output < frequent);
    let hits = certain.into_iter().filter(|&row| best[row].output == targets[row]).count();
    if open.is_empty() {
        return (loss, hits);
    }
    let clusters: Vec<Cluster> = clusters.iter().map(Cluster::without_gradient).collect();
    let most_probable = most_probable(select_rows(&x.inner(), &open), (weight.inner(), bias.inner()), &clusters);
    let of_open = open.iter().zip(most_probable).filter(|(row, token)| targets[**row] == *token).count();
    (loss, hits + of_open)
}

/// The most probable token of each row. The shapes are those of [`cross_entropy`].
fn most_probable(x: Tensor<2>, (weight, bias): (Tensor<2>, Tensor<1>), clusters: &[Cluster]) -> Vec<usize> {
    let ([rows, hidden], [entries, _]) = (x.dims(), weight.dims());
    let frequent = entries - clusters.len();
    let any = vec![0; rows];
    let of_frequent = weight.clone().slice([0..frequent, 0..hidden]);
    let (_, best) = linear_loss(x.clone(), of_frequent, bias.clone().narrow(0, 0, frequent), &any);
    // Logits of the head, and those plus log-probabilities within a cluster, can be compared.
    // Where one is not a number, no token is the best, and any will do.
    let tokens: Vec<usize> = best.into_iter().map(|best| best.output.min(frequent - 1)).collect();
    let of_tokens = (x.clone() * select_rows(&weight, &tokens)).sum_dim(1);
    let biases = select_rows(&bias.clone().unsqueeze_dim::<2>(1), &tokens);
    let mut found: Vec<(usize, f32)> = tokens.into_iter().zip((of_tokens + biases).into_data().iter::<f32>()).collect();
    let of_clusters = weight.slice([frequent..entries, 0..hidden]).swap_dims(0, 1);
    let of_clusters = x.clone().matmul(of_clusters) + bias.narrow(0, frequent, clusters.len()).unsqueeze::<2>();
    let of_clusters: Vec<f32> = of_clusters.into_data().iter::<f32>().collect(); // [rows, clusters]
    let mut first = frequent;
    for (at, cluster) in clusters.iter().enumerate() {
        let (_, best) = cluster.loss(x.clone(), &any);
        for ((found, best), logits) in found.iter_mut().zip(best).zip(of_clusters.chunks(clusters.len())) {
            let logit = logits[at] + best.log_probability;
            if logit > found.1 {
                *found = (first + best.output, logit);
            }
        }
        first += cluster.len();
    }
    found.into_iter().map(|(token, _)| token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, TensorData};
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.inner().into_data().iter::<f32>().collect()
    }

    fn sines<const D: usize>(shape: [usize; D], shift: usize, device: &Device) -> Tensor<D> {
        let values = (0..shape.iter().product()).map(|at| (at as f64 * 1.3 + shift as f64).sin() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    // import torch                             # torch 2.15
    // a = torch.nn.AdaptiveLogSoftmaxWithLoss(4, 9, cutoffs=[3, 6], div_value=2.0, head_bias=True).double()
    // with torch.no_grad():
    //     for n, p in enumerate(a.parameters()):
    //         p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float64) * 1.3 + n).reshape(p.shape))
    // x = torch.cos(torch.arange(20, dtype=torch.float64) * 0.7).reshape(5, 4).requires_grad_()
    // out = a(x, torch.tensor([0, 4, 8, 5, 2])); out.loss.backward()
    // a.log_prob(x)[1], out.loss, x.grad[1], a.tail[0][0].weight.grad[0], a.tail[1][1].weight.grad
    #[test]
    fn values_and_gradients_match_pytorch() {
        let device = Device::flex().autodiff();
        let config = AdaptiveConfig { cutoffs: vec![3, 6], factor: 2 };
        let shapes: Vec<(usize, usize)> = config.sizes(4, 9).collect();
        assert_eq!((config.head(), shapes), (5, vec![(2, 3), (1, 3)]));
        let (weight, bias) = (sines([5, 4], 0, &device), sines([5], 1, &device));
        let cluster = |channels, shift| Cluster {
            projection: Param::from_tensor(sines([channels, 4], shift, &device)),
            weight: Param::from_tensor(sines([3, channels], shift + 1, &device)),
        };
        let clusters = [cluster(2, 2), cluster(1, 4)];
        let x: Vec<f32> = (0..20).map(|at| (at as f32 * 0.7).cos()).collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [5, 4]), &device).require_grad();

        let of_head = x.clone().matmul(weight.clone().swap_dims(0, 1)) + bias.clone().unsqueeze::<2>();
        let all = values(log_probabilities(of_head, x.clone(), &clusters));
        let expected = [
            -2.5051118967,
            -1.1166108679,
            -1.0341508399,
            -2.1728613537,
            -4.1916113,
            -3.6687183746,
            -5.7069138094,
            -4.2179012301,
            -2.7664786106,
        ];
        assert_close(&all[9..18], &expected);

        let (loss, hits) = cross_entropy(x.clone(), (weight, bias), &clusters, &[0, 4, 8, 5, 2]);
        assert_close(&values(loss.clone()), &[2.9377535877]);
        // a.predict(x)  ->  [0, 2, 0, 1, 1]
        assert_eq!(hits, 1);
        let gradients = loss.backward();
        let of_x = values(x.grad(&gradients).expect("a gradient"));
        assert_close(&of_x[4..8], &[-0.1611453235, -0.0882891869, 0.1139108154, 0.1492312063]);
        let of_projection = values(clusters[0].projection.grad(&gradients).expect("a gradient"));
        assert_close(&of_projection[..4], &[-0.1060603087, -0.0637490573, 0.0085443719, 0.0768192494]);
        let of_weight = values(clusters[1].weight.grad(&gradients).expect("a gradient"));
        assert_close(&of_weight, &[-0.1372093258, -0.0501744172, 0.1873837430]);
    }

    proptest! {
        #[test]
        fn the_loss_is_that_of_the_probabilities(
            targets in prop::collection::vec(0usize..12, 1..40), cutoff in 1usize..11, more in 0usize..11, seed: u64,
        ) {
            let device = Device::flex();
            device.seed(seed);
            let cutoffs = if more > cutoff { vec![cutoff, more] } else { vec![cutoff] };
            let config = AdaptiveConfig { cutoffs, factor: 2 };
            prop_assert!(config.check(12).is_ok());
            let clusters = config.init(6, 12, &device);
            let draw = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 2.0), &device);
            let (x, weight) = (draw([targets.len(), 6]), draw([config.head(), 6]));
            let bias = draw([1, config.head()]);
            let of_head = x.clone().matmul(weight.clone().swap_dims(0, 1)) + bias.clone();
            let all = values(log_probabilities(of_head.clone(), x.clone(), &clusters));
            for row in all.chunks(12) {
                prop_assert!((row.iter().map(|log| log.exp()).sum::<f32>() - 1.0).abs() < 1e-5);
            }
            let (loss, hits) = cross_entropy(x, (weight, bias.reshape([config.head()])), &clusters, &targets);
            let expected = all.chunks(12).zip(&targets).map(|(row, &target)| -row[target]).sum::<f32>();
            let expected = expected / targets.len() as f32;
            prop_assert!((values(loss)[0] - expected).abs() < 1e-4 * (1.0 + expected));

            let best = |row: &[f32]| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            let right = all.chunks(12).zip(&targets).filter(|(row, target)| best(row) == **target);
            prop_assert_eq!(hits, right.count());
        }
    }

    #[test]
    fn nan_reaches_the_loss() {
        let device = Device::flex();
        let config = AdaptiveConfig { cutoffs: vec![2], factor: 2 };
        let (weight, bias) = (Tensor::ones([3, 2], &device), Tensor::zeros([3], &device));
        let x = Tensor::<2>::from_floats([[f32::NAN, 1.0], [1.0, 1.0]], &device);
        let (loss, _) = cross_entropy(x, (weight, bias), &config.init(2, 5, &device), &[1, 4]);
        assert!(values(loss)[0].is_nan());
    }

    #[test]
    fn impossible_cutoffs_are_refused() {
        for cutoffs in [vec![], vec![0], vec![3, 3], vec![5, 2], vec![9], vec![1; 17]] {
            let config = AdaptiveConfig { cutoffs: cutoffs.clone(), factor: 4 };
            let error = config.check(9).expect_err("cannot be divided");
            assert!(error.starts_with("adaptive.cutoffs must"), "{cutoffs:?}: {error}");
        }
        let error = AdaptiveConfig { cutoffs: vec![3], factor: 0 }.check(9).expect_err("no factor");
        assert!(error.starts_with("adaptive.factor must be 1 or more"), "{error}");
    }
}

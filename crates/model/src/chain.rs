//! A chain over the labels of a text: each label also depends on the one before it.
//!
//! This is a linear-chain conditional random field (Lafferty, McCallum and Pereira 2001, equation 1) on top of a
//! model's predictions, as in Lample et al. (2016, section 2.2). With the logits *z* of every position, the score of
//! labels *y* is
//!
//! > s(y) = start(y₁) + Σₜ z(t, yₜ) + Σₜ transition(yₜ₋₁, yₜ) + end(y_T),
//!
//! and their probability is the softmax of the scores of all possible labels. (Burn has no such module.)

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The scores of transitions between labels. They must be finite: what must not happen has a low score, such as -1,000.
#[derive(Module, Debug)]
pub struct Chain {
    /// The score of each label at the start of a text, `[labels]`.
    pub start: Param<Tensor<1>>,
    /// The score of each label (column) after each label (row), `[labels, labels]`.
    pub transition: Param<Tensor<2>>,
    /// The score of each label at the end of a text, `[labels]`.
    pub end: Param<Tensor<1>>,
}

impl Chain {
    /// A chain for this number of labels, with small random scores.
    pub fn new(labels: usize, device: &Device) -> Self {
        let small = Initializer::Uniform { min: -0.1, max: 0.1 };
        Self {
            start: small.init([labels], device),
            transition: small.init([labels, labels], device),
            end: small.init([labels], device),
        }
    }

    /// The number of parameters of a chain for this number of labels.
    pub fn parameters(labels: usize) -> u64 {
        let labels = labels as u64;
        labels.saturating_mul(labels.saturating_add(2))
    }

    /// The mean negative log-likelihood of the labels, in nats per position.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[batch, positions, labels]`
    /// - `targets`: for each text, the label of each of its positions; the positions after the last do not count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// If there are not as many lists of labels as texts, a list is empty or longer than `positions`, or a label is
    /// too large.
    pub fn loss(&self, logits: Tensor<3>, targets: &[Vec<usize>]) -> Tensor<1> {
        let count: usize = targets.iter().map(Vec::len).sum();
        let log_likelihood = self.scores(logits.clone(), targets) - self.log_partition(logits, targets);
        log_likelihood.sum().mul_scalar(-1.0 / count as f64)
    }

    /// The score of the labels of each text, `[batch]`.
    fn scores(&self, logits: Tensor<3>, targets: &[Vec<usize>]) -> Tensor<1> {
        let ([batch, positions, labels], device) = (logits.dims(), logits.device());
        assert!(targets.len() == batch, "labels of {} texts for {batch}", targets.len());
        assert!(targets.iter().all(|text| !text.is_empty() && text.len() <= positions), "labels do not fit the texts");
        assert!(targets.iter().flatten().all(|&label| label < labels), "a label is not one of the {labels}");
        let ints = |values: Vec<usize>| {
            let count = values.len();
            let values = values.into_iter().map(|value| value as i64).collect();
            Tensor::<1, Int>::from_data(TensorData::new(values, [count]), &device)
        };
        let of_text = |(text, labels_of): (usize, &Vec<usize>)| {
            let first = text * positions;
            labels_of.iter().enumerate().map(|(at, &label)| (first + at) * labels + label).collect::<Vec<_>>()
        };
        // The scores of all texts are gathered at once, and then summed for each text.
        let places: Vec<Vec<usize>> = targets.iter().enumerate().map(of_text).collect();
        let lengths: Vec<usize> = places.iter().map(Vec::len).collect();
        let emitted = logits.reshape([batch * positions * labels]).select(0, ints(places.concat()));
        let pairs: Vec<Vec<usize>> =
            targets.iter().map(|text| text.windows(2).map(|pair| pair[0] * labels + pair[1]).collect()).collect();
        let ends = |of: fn(&Vec<usize>) -> Option<&usize>| targets.iter().filter_map(of).copied().collect();
        let edges = self.start.val().select(0, ints(ends(|text| text.first())))
            + self.end.val().select(0, ints(ends(|text| text.last())));
        let mut sums = edges + sum_by_text(emitted, &lengths);
        if pairs.iter().any(|pairs| !pairs.is_empty()) {
            let moved = self.transition.val().reshape([labels * labels]).select(0, ints(pairs.concat()));
            sums = sums + sum_by_text(moved, &pairs.iter().map(Vec::len).collect::<Vec<_>>());
        }
        sums
    }

    /// The logarithm of the sum of the exponentials of the scores of all possible labels of each text, `[batch]`, by
    /// the forward algorithm.
    fn log_partition(&self, logits: Tensor<3>, targets: &[Vec<usize>]) -> Tensor<1> {
        let ([batch, _, labels], device) = (logits.dims(), logits.device());
        let longest = targets.iter().map(Vec::len).max().unwrap_or(0);
        let at = |position: usize| logits.clone().narrow(1, position, 1).squeeze_dim::<2>(1);
        let mut forward = at(0) + self.start.val().unsqueeze();
        for position in 1..longest {
            let next = forward.clone().unsqueeze_dim::<3>(2) + self.transition.val().unsqueeze();
            let next = log_sum_exp(next, 1) + at(position);
            let goes_on: Vec<f32> = targets.iter().map(|text| if position < text.len() { 1.0 } else { 0.0 }).collect();
            forward = if goes_on.iter().all(|&goes_on| goes_on > 0.0) {
                next
            } else {
                let goes_on = Tensor::<2>::from_data(TensorData::new(goes_on, [batch, 1]), &device);
                forward.mask_where(goes_on.expand([batch, labels]).greater_elem(0.0), next)
            };
        }
        let ended = (forward + self.end.val().unsqueeze()).unsqueeze_dim::<3>(2);
        log_sum_exp(ended, 1).squeeze_dim::<1>(1)
    }

    /// The scores as numbers.
    pub fn numbers(&self) -> ChainScores {
        let numbers = |data: TensorData| data.iter().collect();
        ChainScores {
            start: numbers(self.start.val().into_data()),
            transition: numbers(self.transition.val().into_data()),
            end: numbers(self.end.val().into_data()),
        }
    }
}

/// The scores of a [`Chain`] as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainScores {
    /// `[labels]`
    pub start: Vec<f32>,
    /// `[labels, labels]`: each label (column) after each label (row)
    pub transition: Vec<f32>,
    /// `[labels]`
    pub end: Vec<f32>,
}

impl ChainScores {
    /// The most probable labels of a text, from its logits, `[positions, labels]`, by the algorithm of Viterbi (1967).
    pub fn decode(&self, logits: &[f32]) -> Vec<usize> {
        let labels = self.start.len();
        let mut rows = logits.chunks_exact(labels.max(1));
        let Some(first) = rows.next() else { return Vec::new() };
        let mut best: Vec<f32> = first.iter().zip(&self.start).map(|(logit, start)| logit + start).collect();
        let mut back: Vec<usize> = Vec::with_capacity(logits.len());
        for row in rows {
            let mut next = Vec::with_capacity(labels);
            for (label, logit) in row.iter().enumerate() {
                let (mut from, mut highest) = (0, f32::NEG_INFINITY);
                for (before, &score) in best.iter().enumerate() {
                    let score = score + self.transition[before * labels + label];
                    if score > highest {
                        (from, highest) = (before, score);
                    }
                }
                back.push(from);
                next.push(highest + logit);
            }
            best = next;
        }
        let last = best.iter().zip(&self.end).map(|(score, end)| score + end);
        let (mut label, _) =
            last.enumerate().fold(
                (0, f32::NEG_INFINITY),
                |highest, (label, score)| {
                    if score > highest.1 { (label, score) } else { highest }
                },
            );
        let mut path = vec![label];
        for from in back.chunks_exact(labels).rev() {
            label = from[label];
            path.push(label);
        }
        path.reverse();
        path
    }
}

/// The sums of parts of a list, one part after the other, `[parts]`.
fn sum_by_text(values: Tensor<1>, lengths: &[usize]) -> Tensor<1> {
    let total: usize = lengths.iter().sum();
    let mut is_part = vec![0.0f32; lengths.len() * total];
    let mut first = 0;
    for (text, &length) in lengths.iter().enumerate() {
        is_part[text * total + first..][..length].fill(1.0);
        first += length;
    }
    let is_part = Tensor::<2>::from_data(TensorData::new(is_part, [lengths.len(), total]), &values.device());
    is_part.matmul(values.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1)
}

/// `[a, b, c]` to `[a, c]`, the dimension `dim` being 1.
fn log_sum_exp(x: Tensor<3>, dim: usize) -> Tensor<2> {
    let largest = x.clone().detach().max_dim(dim);
    let sum = (x - largest.clone()).exp().sum_dim(dim);
    (sum.log() + largest).squeeze_dim::<2>(dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.try_into_vec_as::<f32>().expect("values")
    }

    /// All label sequences of this length, with their scores.
    fn all_paths(scores: &ChainScores, logits: &[f32], length: usize) -> Vec<(Vec<usize>, f64)> {
        let labels = scores.start.len();
        (0..labels.pow(length as u32))
            .map(|number| {
                let path: Vec<usize> = (0..length).map(|at| number / labels.pow(at as u32) % labels).collect();
                let emitted: f32 = path.iter().enumerate().map(|(at, label)| logits[at * labels + label]).sum();
                let moved: f32 = path.windows(2).map(|pair| scores.transition[pair[0] * labels + pair[1]]).sum();
                let score = emitted + moved + scores.start[path[0]] + scores.end[path[length - 1]];
                (path, f64::from(score))
            })
            .collect()
    }

    /// The mean loss by enumeration.
    fn enumerated(scores: &ChainScores, logits: &[f32], positions: usize, targets: &[Vec<usize>]) -> f64 {
        let labels = scores.start.len();
        let losses = targets.iter().enumerate().map(|(text, target)| {
            let paths = all_paths(scores, &logits[text * positions * labels..], target.len());
            let all: f64 = paths.iter().map(|(_, score)| score.exp()).sum();
            let (_, score) = paths.iter().find(|(path, _)| path == target).expect("is a path");
            all.ln() - score
        });
        losses.sum::<f64>() / targets.iter().map(Vec::len).sum::<usize>() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn loss_and_best_labels_equal_enumeration(
            lengths in prop::collection::vec(1usize..5, 1..4), labels in 1usize..4, seed in 0usize..1_000,
        ) {
            let device = Device::flex();
            let positions = lengths.iter().max().copied().unwrap_or(1) + seed % 2;
            let logits = Tensor::<3>::random([lengths.len(), positions, labels], Distribution::Normal(0.0, 2.0), &device);
            let chain = Chain::new(labels, &device);
            let targets: Vec<Vec<usize>> = lengths
                .iter()
                .map(|&length| (0..length).map(|at| (at * 7 + seed) % labels).collect())
                .collect();
            let (scores, all) = (chain.numbers(), values(logits.clone()));
            let found = f64::from(chain.loss(logits, &targets).into_scalar::<f32>());
            let expected = enumerated(&scores, &all, positions, &targets);
            prop_assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{} is not {}", found, expected);
            for (text, &length) in lengths.iter().enumerate() {
                let logits = &all[text * positions * labels..][..length * labels];
                let best = all_paths(&scores, logits, length).into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
                prop_assert_eq!(scores.decode(logits), best.expect("a path").0);
            }
        }
    }

    // import torch, itertools
    // z = torch.tensor([[[.5, -1.], [2., .1], [-.3, .7]]], requires_grad=True)
    // s, e = (torch.tensor([.2, -.4], requires_grad=True), torch.tensor([-.1, .3], requires_grad=True))
    // t = torch.tensor([[.6, -.5], [.25, .9]], requires_grad=True)
    // def score(y): return s[y[0]] + e[y[-1]] + sum(z[0, i, a] for i, a in enumerate(y)) + sum(t[a, b] for a, b in zip(y, y[1:]))
    // all = torch.stack([score(y) for y in itertools.product([0, 1], repeat=3)])
    // loss = (torch.logsumexp(all, 0) - score([1, 0, 1])) / 3; loss.backward()
    // print(loss.item(), z.grad.flatten().tolist(), s.grad.tolist(), t.grad.flatten().tolist(), e.grad.tolist())
    #[test]
    fn loss_and_gradients_match_pytorch() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<3>::from_floats([[[0.5, -1.0], [2.0, 0.1], [-0.3, 0.7]]], &device).require_grad();
        let of = |values: &[f32]| Param::from_tensor(Tensor::<1>::from_floats(values, &device));
        let transition = Tensor::<2>::from_floats([[0.6, -0.5], [0.25, 0.9]], &device);
        let chain =
            Chain { start: of(&[0.2, -0.4]), transition: Param::from_tensor(transition), end: of(&[-0.1, 0.3]) };
        let loss = chain.loss(logits.clone(), &[vec![1, 0, 1]]);
        assert!((loss.clone().into_scalar::<f32>() - LOSS).abs() < 1e-6, "{loss}");
        let gradients = loss.backward();
        let close = |found: Vec<f32>, expected: &[f32]| {
            let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(is_close && found.len() == expected.len(), "{found:?} is not {expected:?}");
        };
        close(values(logits.grad(&gradients).expect("a gradient")), &OF_LOGITS);
        close(values(chain.start.val().grad(&gradients).expect("a gradient")), &OF_START);
        close(values(chain.transition.val().grad(&gradients).expect("a gradient")), &OF_TRANSITION);
        close(values(chain.end.val().grad(&gradients).expect("a gradient")), &OF_END);
    }

    const LOSS: f32 = 1.084_313_3;
    const OF_LOGITS: [f32; 6] = [0.29400006, -0.29399997, -0.0509317, 0.05093177, 0.12598701, -0.12598693];
    const OF_START: [f32; 2] = [0.29400006, -0.29399997];
    const OF_TRANSITION: [f32; 4] = [0.38014618, -0.13707784, -0.30509087, 0.06202266];
    const OF_END: [f32; 2] = [0.12598701, -0.12598693];
}

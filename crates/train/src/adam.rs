//! Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov and Hutter 2019).
//!
//! Burn's own keeps its state under random parameter ids and loads it onto the default device,
//! which in a build with wgpu is a GPU that may not be there. A resumed run needs its state by
//! name, on the device that it trains on.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;

/// The optimiser and its state.
#[derive(Clone, Debug)]
pub struct Adam {
    epsilon: f32,
    weight_decay: f32,
    steps: usize,
    /// By parameter: first and second moment, flattened.
    moments: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Adam {
    /// An optimiser that has not taken a step yet.
    pub fn new(epsilon: f32, weight_decay: f32) -> Self {
        Self { epsilon, weight_decay, steps: 0, moments: BTreeMap::new() }
    }

    /// Moves every parameter of `model` that has a gradient.
    pub fn step<M: Module>(&mut self, model: M, gradients: &Gradients, learning_rate: f64) -> M {
        self.steps += 1;
        model.map(&mut Step { adam: self, gradients, learning_rate: learning_rate as f32, path: Vec::new() })
    }

    /// How many steps were taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The moments by name: a parameter's path, then `.m` or `.v`.
    pub(crate) fn state(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.moments
            .iter()
            .flat_map(|(path, [m, v])| [(format!("{path}.m"), m.to_data()), (format!("{path}.v"), v.to_data())])
    }

    /// Restores what [`state`](Self::state) gave.
    pub(crate) fn restore(&mut self, steps: usize, mut state: BTreeMap<String, Vec<f32>>, device: &Device) {
        self.steps = steps;
        let paths: Vec<String> = state.keys().filter_map(|name| name.strip_suffix(".m")).map(String::from).collect();
        let mut take = |name: String| {
            let values = state.remove(&name).unwrap_or_default();
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), device)
        };
        self.moments = paths
            .into_iter()
            .map(|path| (path.clone(), [take(format!("{path}.m")), take(format!("{path}.v"))]))
            .collect();
    }

    fn update<const D: usize>(&mut self, path: &str, weight: Tensor<D>, gradient: Tensor<D>, rate: f32) -> Tensor<D> {
        let shape = weight.dims();
        let gradient = gradient.reshape([shape.iter().product::<usize>()]);
        let (m, v) = match self.moments.remove(path) {
            Some([m, v]) => (m, v),
            None => (gradient.zeros_like(), gradient.zeros_like()),
        };
        let v = v.mul_scalar(BETA_2) + (gradient.clone() * gradient.clone()).mul_scalar(1.0 - BETA_2);
        let m = m.mul_scalar(BETA_1) + gradient.mul_scalar(1.0 - BETA_1);

        let steps = self.steps as i32;
        let size = rate / (1.0 - BETA_1.powi(steps));
        let denominator = v.clone().div_scalar(1.0 - BETA_2.powi(steps)).sqrt().add_scalar(self.epsilon);
        let change = (m.clone() / denominator).mul_scalar(size).reshape(shape);
        self.moments.insert(path.to_owned(), [m, v]);
        let kept = if self.weight_decay == 0.0 { weight } else { weight.mul_scalar(1.0 - rate * self.weight_decay) };
        kept - change
    }
}

struct Step<'a> {
    adam: &'a mut Adam,
    gradients: &'a Gradients,
    learning_rate: f32,
    path: Vec<String>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, weight, mapper) = param.consume();
        let updated = match weight.grad(self.gradients) {
            Some(gradient) => {
                let path = self.path.join(".");
                let updated = self.adam.update(&path, weight.inner(), gradient, self.learning_rate);
                Tensor::from_inner(updated).require_grad()
            }
            None => weight,
        };
        Param::from_mapped_value(id, updated, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // w = torch.tensor([1., -2., .5], dtype=torch.float64, requires_grad=True)
    // o = torch.optim.AdamW([w], lr=.1, eps=1e-7, weight_decay=.01)
    // for g in ([.1, -3., 0.], [.2, 1., -.5], [-.4, 2., 1.]):
    //     w.grad = torch.tensor(g, dtype=torch.float64); o.step()
    // print(w.tolist())
    #[test]
    fn steps_are_pytorchs() {
        let device = Device::flex();
        let mut adam = Adam::new(1e-7, 0.01);
        let mut weight = Tensor::<1>::from_floats([1.0, -2.0, 0.5], &device);
        for gradient in [[0.1, -3.0, 0.0], [0.2, 1.0, -0.5], [-0.4, 2.0, 1.0]] {
            adam.steps += 1;
            weight = adam.update("w", weight, Tensor::from_floats(gradient, &device), 0.1);
        }
        let weight: Vec<f32> = weight.try_into_vec_as().expect("values");
        for (actual, expected) in weight.iter().zip(EXPECTED) {
            assert!((actual - expected).abs() < 1e-5, "{weight:?}");
        }
    }

    const EXPECTED: [f32; 3] = [0.820_160_8, -1.862_253_8, 0.541_412_1];

    #[test]
    fn a_restored_state_goes_on_alike() {
        let device = Device::flex();
        let gradient = || Tensor::<1>::from_floats([0.5, -1.0], &device);
        let mut one = Adam::new(1e-7, 0.0);
        one.steps = 1;
        let weight = one.update("w", Tensor::from_floats([1.0, 2.0], &device), gradient(), 0.1);
        let state = one.state().map(|(name, data)| (name, data.try_into_vec::<f32>().expect("floats"))).collect();
        let mut other = Adam::new(1e-7, 0.0);
        other.restore(1, state, &device);
        (one.steps, other.steps) = (2, 2);
        let next = [&mut one, &mut other].map(|adam| adam.update("w", weight.clone(), gradient(), 0.1).to_data());
        assert_eq!(next[0], next[1]);
    }
}

//! Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov and Hutter 2019).
//!
//! Burn's own Adam saves its state under random parameter ids and loads it onto the default device,
//! which in a build with wgpu is a GPU that may not exist. A resumed run needs its state by name, on the
//! device that it trains on.
//!
//! Only parameters of two or more dimensions decay: embeddings, filters and weight matrices. Those of one
//! dimension do not: biases, the parameters of a layer norm, and the gains of weight normalisation.

mod rows;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use convlens_run::model::{ParameterMapper, map_parameters};
use rayon::prelude::*;

use crate::StateError;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// The parameters of a lexicon, which this optimiser does not train.
pub(crate) const OF_LEXICON: &str = "lexicon.";
/// The number of values that one thread updates at a time.
const VALUES: usize = 1 << 16;

/// The optimiser and its state.
#[derive(Clone, Debug)]
pub struct Adam {
    epsilon: f32,
    weight_decay: f32,
    steps: usize,
    /// By the path of a parameter: its first and second moment, flattened.
    moments: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Adam {
    /// An optimiser that has taken no step yet.
    pub fn new(epsilon: f32, weight_decay: f32) -> Self {
        Self { epsilon, weight_decay, steps: 0, moments: BTreeMap::new() }
    }

    /// Updates every parameter of `model` that has a gradient.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: Gradients, learning_rate: f64) -> M {
        self.steps = self.steps.saturating_add(1);
        let mut step = Step { adam: self, gradients: &mut gradients, learning_rate: learning_rate as f32 };
        map_parameters(model, &mut step)
    }

    /// Updates a matrix that is no parameter of the model, and whose moments have the name `path`. The update is
    /// part of the previous [`step`](Self::step) and is not counted.
    pub fn step_matrix(&mut self, path: &str, weight: Tensor<2>, gradient: Tensor<2>, rate: f64) -> Tensor<2> {
        self.update(path, weight, gradient, rate as f32)
    }

    /// The number of steps taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The moments by name: the path of a parameter, then `.m` or `.v`.
    pub fn state(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.moments
            .iter()
            .flat_map(|(path, [m, v])| [(format!("{path}.m"), m.to_data()), (format!("{path}.v"), v.to_data())])
    }

    /// Restores what [`state`](Self::state) returned after `steps` steps, for parameters of the given paths and
    /// shapes. The optimiser is unchanged if there is an error.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the moments of a parameter are missing, too few, too many or not finite, if a
    /// second moment is negative, or if there are moments of no parameter. Before the first step there
    /// are no moments.
    pub fn restore(
        &mut self,
        mut shapes: Vec<(String, Vec<usize>)>,
        steps: usize,
        mut state: BTreeMap<String, Vec<f32>>,
        device: &Device,
    ) -> Result<(), StateError> {
        let mut moments = BTreeMap::new();
        shapes.retain(|(path, _)| steps > 0 && !path.starts_with(OF_LEXICON));
        for (path, shape) in shapes {
            let count = shape.iter().product();
            let mut take = |moment: &str| {
                let name = format!("{path}.{moment}");
                let values = state.remove(&name).ok_or_else(|| StateError::Missing(name.clone()))?;
                StateError::check(&name, &values, count)?;
                Ok((name, values))
            };
            let ((_, m), (name, v)) = (take("m")?, take("v")?);
            if v.iter().any(|&value| value < 0.0) {
                return Err(StateError::Negative(name));
            }
            let moment = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [count]), device);
            moments.insert(path, [moment(m), moment(v)]);
        }
        if let Some(name) = state.into_keys().next() {
            return Err(StateError::Unknown(name));
        }
        (self.steps, self.moments) = (steps, moments);
        Ok(())
    }

    fn update<const D: usize>(&mut self, path: &str, weight: Tensor<D>, gradient: Tensor<D>, rate: f32) -> Tensor<D> {
        let gradient = gradient.reshape([weight.shape().num_elements()]);
        let moments = match self.moments.remove(path) {
            Some(moments) => moments,
            None => [gradient.zeros_like(), gradient.zeros_like()],
        };
        let rule = Rule::new(self, rate, if D > 1 { self.weight_decay } else { 0.0 });
        let (weight, moments) = if is_on_host(&weight) {
            rule.on_host(weight, gradient, moments)
        } else {
            rule.on_device(weight, gradient, moments)
        };
        self.moments.insert(path.to_owned(), moments);
        weight
    }
}

fn is_on_host<const D: usize>(weight: &Tensor<D>) -> bool {
    weight.device() == Device::flex() && weight.dtype() == DType::F32
}

/// The constants of one step: the last lines of algorithm 1, with the bias corrections combined.
#[derive(Clone, Copy)]
struct Rule {
    /// The factor that decay multiplies a weight by: 1 − rate · decay.
    kept: f32,
    /// rate / (1 − β₁ᵗ)
    size: f32,
    /// 1 / (1 − β₂ᵗ)
    correction: f32,
    epsilon: f32,
}

impl Rule {
    fn new(adam: &Adam, rate: f32, weight_decay: f32) -> Self {
        let steps = i32::try_from(adam.steps).unwrap_or(i32::MAX);
        Self {
            kept: 1.0 - rate * weight_decay,
            size: rate / (1.0 - BETA_1.powi(steps)),
            correction: 1.0 / (1.0 - BETA_2.powi(steps)),
            epsilon: adam.epsilon,
        }
    }

    fn on_device<const D: usize>(
        self,
        weight: Tensor<D>,
        gradient: Tensor<1>,
        [m, v]: [Tensor<1>; 2],
    ) -> (Tensor<D>, [Tensor<1>; 2]) {
        let shape = weight.dims();
        let v = v.mul_scalar(BETA_2) + (gradient.clone() * gradient.clone()).mul_scalar(1.0 - BETA_2);
        let m = m.mul_scalar(BETA_1) + gradient.mul_scalar(1.0 - BETA_1);
        let denominator = v.clone().mul_scalar(self.correction).sqrt().add_scalar(self.epsilon);
        let change = (m.clone() / denominator).mul_scalar(self.size).reshape(shape);
        (weight.mul_scalar(self.kept) - change, [m, v])
    }

    /// On the CPU, in one pass over memory instead of one per operation. The state of an embedding is
    /// larger than the caches, so that these passes took most of the time of training a linear model.
    fn on_host<const D: usize>(
        self,
        weight: Tensor<D>,
        gradient: Tensor<1>,
        moments: [Tensor<1>; 2],
    ) -> (Tensor<D>, [Tensor<1>; 2]) {
        let device = weight.device();
        let (mut w, [mut m, mut v], g) = (weight.into_data(), moments.map(Tensor::into_data), gradient.into_data());
        let slices = (w.as_mut_slice::<f32>(), m.as_mut_slice::<f32>(), v.as_mut_slice::<f32>(), g.as_slice::<f32>());
        let (Ok(weights), Ok(ms), Ok(vs), Ok(gs)) = slices else {
            unreachable!("is_on_host checks that they are 32-bit floats")
        };
        let moments = ms.par_chunks_mut(VALUES).zip(vs.par_chunks_mut(VALUES));
        let pieces = weights.par_chunks_mut(VALUES).zip(moments).zip(gs.par_chunks(VALUES));
        pieces.for_each(|((weights, (ms, vs)), gradients)| self.apply(weights, ms, vs, gradients));
        let moments = [m, v].map(|data| Tensor::from_data(data, &device));
        (Tensor::from_data(w, &device), moments)
    }

    fn apply(self, weights: &mut [f32], ms: &mut [f32], vs: &mut [f32], gradients: &[f32]) {
        pulp::Arch::new().dispatch(Update { rule: self, weights, ms, vs, gradients });
    }
}

/// The update of some weights, compiled for several processors; the one that it runs on decides.
struct Update<'a> {
    rule: Rule,
    weights: &'a mut [f32],
    ms: &'a mut [f32],
    vs: &'a mut [f32],
    gradients: &'a [f32],
}

impl pulp::WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let Rule { kept, size, correction, epsilon } = self.rule;
        for (((w, m), v), &g) in self.weights.iter_mut().zip(self.ms).zip(self.vs).zip(self.gradients) {
            *v = *v * BETA_2 + g * g * (1.0 - BETA_2);
            *m = *m * BETA_1 + g * (1.0 - BETA_1);
            *w = *w * kept - *m / ((*v * correction).sqrt() + epsilon) * size;
        }
    }
}

struct Step<'a> {
    adam: &'a mut Adam,
    gradients: &'a mut Gradients,
    learning_rate: f32,
}

impl ParameterMapper for Step<'_> {
    fn map<const D: usize>(&mut self, path: &str, weight: Tensor<D>) -> Tensor<D> {
        match weight.grad_remove(self.gradients) {
            Some(gradient) => {
                let updated = self.adam.update(path, weight.inner(), gradient, self.learning_rate);
                Tensor::from_inner(updated).require_grad()
            }
            None => weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use convlens_run::model::{ConvLayer, LayerConfig, parameter_shapes};

    use crate::parameters;

    // w = torch.tensor([1., -2., .5], dtype=torch.float64, requires_grad=True)
    // o = torch.optim.AdamW([w], lr=.1, eps=1e-7, weight_decay=.01)
    // for g in ([.1, -3., 0.], [.2, 1., -.5], [-.4, 2., 1.]):
    //     w.grad = torch.tensor(g, dtype=torch.float64); o.step()
    // print(w.tolist())
    #[test]
    fn steps_match_pytorch() {
        let device = Device::flex();
        let mut adam = Adam::new(1e-7, 0.01);
        let mut weight = Tensor::<2>::from_floats([[1.0, -2.0, 0.5]], &device);
        for gradient in [[0.1, -3.0, 0.0], [0.2, 1.0, -0.5], [-0.4, 2.0, 1.0]] {
            adam.steps += 1;
            weight = adam.update("w", weight, Tensor::from_floats([gradient], &device), 0.1);
        }
        let weight: Vec<f32> = weight.try_into_vec_as().expect("values");
        for (actual, expected) in weight.iter().zip(EXPECTED) {
            assert!((actual - expected).abs() < 1e-5, "{weight:?}");
        }
    }

    const EXPECTED: [f32; 3] = [0.820_160_8, -1.862_253_8, 0.541_412_1];

    #[test]
    fn host_and_device_agree() {
        let device = Device::flex();
        device.seed(3);
        let draw = || Tensor::<1>::random([1_000], burn::tensor::Distribution::Normal(0.0, 1.0), &device);
        let mut adam = Adam::new(1e-7, 0.5);
        adam.steps = 7;
        let rule = Rule::new(&adam, 0.01, 0.5);
        let (weight, gradient, moments) = (draw(), draw(), [draw(), draw().abs()]);
        let (on_host, host_moments) = rule.on_host(weight.clone(), gradient.clone(), moments.clone());
        let (on_device, device_moments) = rule.on_device(weight, gradient, moments);
        let values = |tensor: Tensor<1>| tensor.try_into_vec_as::<f32>().expect("values");
        for (host, device) in [(on_host, on_device)].into_iter().chain(host_moments.into_iter().zip(device_moments)) {
            for (a, b) in values(host).into_iter().zip(values(device)) {
                assert!((a - b).abs() < 1e-6, "{a} and {b}");
            }
        }
    }

    /// A model with parameters of every kind, gradients of ones, and an optimiser.
    fn decayed(weight_decay: f32) -> (ConvLayer, ConvLayer) {
        let device = Device::flex().autodiff();
        let config = LayerConfig { weight_norm: true, layer_norm: true, ..LayerConfig::default() };
        let ones = |layer: ConvLayer| {
            struct Ones;
            impl ParameterMapper for Ones {
                fn map<const D: usize>(&mut self, _path: &str, parameter: Tensor<D>) -> Tensor<D> {
                    Tensor::ones(parameter.dims(), &parameter.device()).require_grad()
                }
            }
            map_parameters(layer, &mut Ones)
        };
        let before = ones(config.init(2, 3, 1, 1, &device));
        // The gradients are zero, so only decay changes a weight.
        let output = before.forward(Tensor::ones([1, 5, 2], &device), Tensor::ones([1, 5], &device));
        let gradients = (output * 0.0).sum().backward();
        let after = Adam::new(1e-7, weight_decay).step(before.clone(), gradients, 0.1);
        (before, after)
    }

    #[test]
    fn only_weights_of_several_dimensions_decay() {
        let (before, after) = decayed(0.5);
        let mut decayed = Vec::new();
        for ((path, old), (_, new)) in parameters(&before).into_iter().zip(parameters(&after)) {
            if old != new {
                decayed.push(path);
            }
        }
        assert_eq!(decayed, ["conv.weight"]);
        assert_eq!(parameters(&before).len(), 5, "filters, biases, gains, and two of the layer norm");
        let (before, after) = self::decayed(0.0);
        assert_eq!(parameters(&before), parameters(&after));
    }

    /// A matrix and a vector after one step, and their optimiser.
    fn trained() -> (Linear, Adam) {
        let device = Device::flex().autodiff();
        let model = LinearConfig::new(2, 3).init(&device);
        let mut adam = Adam::new(1e-7, 0.0);
        let model = step(model, &mut adam);
        (model, adam)
    }

    fn step(model: Linear, adam: &mut Adam) -> Linear {
        let x = Tensor::<2>::from_floats([[0.5, -1.0]], &model.weight.device());
        let gradients = model.forward(x).powi_scalar(2).sum().backward();
        adam.step(model, gradients, 0.1)
    }

    fn saved(adam: &Adam) -> BTreeMap<String, Vec<f32>> {
        adam.state().map(|(name, data)| (name, data.try_into_vec::<f32>().expect("floats"))).collect()
    }

    #[test]
    fn a_restored_optimiser_continues_with_the_same_weights() {
        let (model, mut one) = trained();
        let mut other = Adam::new(1e-7, 0.0);
        other.restore(parameter_shapes(&model), one.steps(), saved(&one), &Device::flex()).expect("fits");
        let next = [&mut one, &mut other].map(|adam| parameters(&step(model.clone(), adam)));
        assert_eq!(next[0], next[1]);
    }

    type Change = fn(&mut BTreeMap<String, Vec<f32>>);

    #[test]
    fn a_state_that_does_not_fit_is_refused() {
        let (model, adam) = trained();
        let error = |steps: usize, change: Change| {
            let mut state = saved(&adam);
            change(&mut state);
            let mut other = Adam::new(1e-7, 0.0);
            let error =
                other.restore(parameter_shapes(&model), steps, state, &Device::flex()).expect_err("does not fit");
            assert_eq!((other.steps(), other.state().count()), (0, 0), "unchanged");
            error.to_string()
        };
        let cases: [(&str, Change); 7] = [
            ("bias.v is missing", |state| _ = state.remove("bias.v")),
            ("weight.m is missing", |state| _ = state.remove("weight.m")),
            ("other.m belongs to no parameter", |state| _ = state.insert("other.m".into(), vec![0.0])),
            ("weight.v has 1 values, but the model needs 6", |state| _ = state.insert("weight.v".into(), vec![0.0])),
            ("bias.m has a value that is not", |state| _ = state.insert("bias.m".into(), vec![f32::INFINITY; 3])),
            ("bias.v has a value that is not", |state| _ = state.insert("bias.v".into(), vec![f32::NAN; 3])),
            ("bias.v has a negative value", |state| _ = state.insert("bias.v".into(), vec![0.0, -1.0, 0.0])),
        ];
        for (expected, change) in cases {
            assert!(error(1, change).starts_with(expected), "{}", error(1, change));
        }
        assert_eq!(error(0, |_| {}), "bias.m belongs to no parameter of the model");
    }
}

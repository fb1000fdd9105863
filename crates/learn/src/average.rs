//! The moving average of weights.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use convlens_run::model::{ParameterMapper, ParameterVisitor, map_parameters, visit_parameters};

use crate::StateError;
use crate::adam::OF_LEXICON;

/// An exponential moving average of weights, with the correction for its beginning at zero: Kingma and Ba 2015, section
/// 7.2, after Polyak and Juditsky 1992. The weights of single steps are noisy; their average generalises better, above
/// all where there is little data.
#[derive(Clone, Debug)]
pub(crate) struct Average {
    /// The share of the average that a step keeps.
    decay: f64,
    steps: usize,
    /// By the path of a parameter, flattened, before the correction.
    values: BTreeMap<String, Tensor<1>>,
}

impl Average {
    /// An average of no steps; none if `decay` is 0.
    pub fn new(decay: f64) -> Option<Self> {
        (decay > 0.0).then(|| Self { decay, steps: 0, values: BTreeMap::new() })
    }

    /// Adds the weights after a step: the parameters of a model, and a matrix beside it.
    pub fn add(&mut self, model: &impl Module, beside: Option<(&str, Tensor<2>)>) {
        self.steps = self.steps.saturating_add(1);
        visit_parameters(model, self);
        if let Some((path, matrix)) = beside {
            self.add_weight(path, matrix);
        }
    }

    fn add_weight<const D: usize>(&mut self, path: &str, weight: Tensor<D>) {
        let weight = if weight.device().is_autodiff() { weight.inner() } else { weight };
        let count = weight.shape().num_elements();
        let new = weight.reshape([count]).mul_scalar(1.0 - self.decay);
        let sum = match self.values.remove(path) {
            Some(old) => old.mul_scalar(self.decay) + new,
            None => new,
        };
        self.values.insert(path.to_owned(), sum);
    }

    /// The average of the weight with that path, which has the shape of `weight`; `weight` itself before the first step.
    pub fn of<const D: usize>(&self, path: &str, weight: Tensor<D>) -> Tensor<D> {
        match self.values.get(path) {
            Some(sum) => sum.clone().div_scalar(self.correction()).reshape(weight.dims()),
            None => weight,
        }
    }

    /// A model with the average in place of its weights.
    pub fn of_model<M: Module>(&self, model: M) -> M {
        struct Replace<'a>(&'a Average);
        impl ParameterMapper for Replace<'_> {
            fn map<const D: usize>(&mut self, path: &str, parameter: Tensor<D>) -> Tensor<D> {
                self.0.of(path, parameter)
            }
        }
        map_parameters(model, &mut Replace(self))
    }

    /// The share of the steps in all that could be in the average.
    fn correction(&self) -> f64 {
        1.0 - self.decay.powi(i32::try_from(self.steps).unwrap_or(i32::MAX))
    }

    /// The sums by name, to be saved.
    pub fn state(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.values.iter().map(|(path, sum)| (path.clone(), sum.to_data()))
    }

    /// Restores what [`state`](Self::state) returned after `steps` steps, for parameters of the given paths and shapes.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the sums of a parameter are missing, too few, too many or not finite, or belong to none.
    pub fn restore(
        &mut self,
        shapes: Vec<(String, Vec<usize>)>,
        steps: usize,
        mut state: BTreeMap<String, Vec<f32>>,
        device: &Device,
    ) -> Result<(), StateError> {
        let mut values = BTreeMap::new();
        for (path, shape) in shapes.into_iter().filter(|(path, _)| steps > 0 && is_averaged(path)) {
            let count = shape.iter().product();
            let sums = state.remove(&path).ok_or_else(|| StateError::Missing(path.clone()))?;
            StateError::check(&path, &sums, count)?;
            values.insert(path, Tensor::from_data(TensorData::new(sums, [count]), device));
        }
        if let Some(name) = state.into_keys().next() {
            return Err(StateError::Unknown(name));
        }
        (self.steps, self.values) = (steps, values);
        Ok(())
    }
}

impl ParameterVisitor for Average {
    fn visit<const D: usize>(&mut self, path: &str, parameter: &Param<Tensor<D>>) {
        if is_averaged(path) {
            self.add_weight(path, parameter.val());
        }
    }
}

/// A lexicon has its own steps, and ids among its parameters.
fn is_averaged(path: &str) -> bool {
    !path.starts_with(OF_LEXICON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    fn module(weight: f32) -> Linear {
        let module = LinearConfig::new(1, 1).with_bias(false).init(&Device::flex());
        Linear { weight: module.weight.map(|weight_tensor| weight_tensor.zeros_like().add_scalar(weight)), ..module }
    }

    fn value(module: &Linear) -> f32 {
        module.weight.val().into_scalar()
    }

    #[test]
    fn the_average_forgets_what_is_long_ago() {
        assert!(Average::new(0.0).is_none());
        let mut average = Average::new(0.5).expect("an average");
        assert_eq!(value(&average.of_model(module(7.0))), 7.0, "before the first step");
        for weight in [1.0, 2.0, 4.0] {
            average.add(&module(weight), None);
        }
        // (0.25 · 1 + 0.5 · 2 + 1 · 4) / (0.25 + 0.5 + 1)
        assert!((value(&average.of_model(module(4.0))) - 3.0).abs() < 1e-6);

        let state: BTreeMap<String, Vec<f32>> =
            average.state().map(|(name, data)| (name, data.iter::<f32>().collect())).collect();
        let mut other = Average::new(0.5).expect("an average");
        let shapes = || vec![("weight".to_owned(), vec![1, 1])];
        other.restore(shapes(), 3, state.clone(), &Device::flex()).expect("restores");
        for average in [&mut average, &mut other] {
            average.add(&module(1.0), None);
        }
        assert_eq!(value(&average.of_model(module(1.0))), value(&other.of_model(module(1.0))));
        let error = |state| other.clone().restore(shapes(), 3, state, &Device::flex()).expect_err("does not fit");
        assert!(matches!(error(BTreeMap::new()), StateError::Missing(_)));
        assert!(matches!(error([("weight".to_owned(), vec![1.0; 2])].into()), StateError::Length { .. }));
        let with_other = state.into_iter().chain([("other".to_owned(), vec![1.0])]).collect();
        assert!(matches!(error(with_other), StateError::Unknown(_)));
    }
}

//! A model's weights by name, to be saved, copied and restored.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use convlens_run::model::{ParameterMapper, ParameterVisitor, map_parameters, visit_parameters};

use crate::StateError;

/// The path and the values of every parameter of a module.
pub fn parameters(module: &impl Module) -> Vec<(String, TensorData)> {
    struct Collect(Vec<(String, TensorData)>);
    impl ParameterVisitor for Collect {
        fn visit<const D: usize>(&mut self, path: &str, parameter: &Param<Tensor<D>>) {
            self.0.push((path.into(), parameter.val().to_data()));
        }
    }
    let mut collected = Collect(Vec::new());
    visit_parameters(module, &mut collected);
    collected.0
}

/// A module with the given values, by path, in place of its own. They are on the module's device; if it
/// records gradients, so do they.
///
/// # Errors
///
/// [`StateError`] if the values of a parameter are missing, too few, too many or not finite, or if there
/// are values of no parameter.
pub fn with_parameters<M: Module>(module: M, values: BTreeMap<String, Vec<f32>>) -> Result<M, StateError> {
    let mut restore = Restore { values, error: None };
    let module = map_parameters(module, &mut restore);
    let unknown = restore.values.into_keys().next().map(StateError::Unknown);
    restore.error.or(unknown).map_or(Ok(module), Err)
}

struct Restore {
    values: BTreeMap<String, Vec<f32>>,
    error: Option<StateError>,
}

impl Restore {
    fn take(&mut self, path: &str, count: usize) -> Result<Vec<f32>, StateError> {
        let values = self.values.remove(path).ok_or_else(|| StateError::Missing(path.into()))?;
        StateError::check(path, &values, count)?;
        Ok(values)
    }
}

impl ParameterMapper for Restore {
    fn map<const D: usize>(&mut self, path: &str, parameter: Tensor<D>) -> Tensor<D> {
        let shape = parameter.dims();
        match self.take(path, shape.iter().product()) {
            Ok(values) => {
                let device = parameter.device();
                let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
                if device.is_autodiff() { tensor.require_grad() } else { tensor }
            }
            Err(error) => {
                self.error.get_or_insert(error);
                parameter
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    type Change = fn(&mut BTreeMap<String, Vec<f32>>);

    #[test]
    fn values_must_fit_the_module() {
        let module = LinearConfig::new(2, 3).init(&Device::flex());
        let saved = || {
            let values = parameters(&module).into_iter();
            values.map(|(name, data)| (name, data.iter::<f32>().collect::<Vec<_>>())).collect::<BTreeMap<_, _>>()
        };
        let restored = with_parameters(module.clone(), saved()).expect("its own values");
        assert_eq!(parameters(&restored), parameters(&module));

        let error = |change: Change| {
            let mut values = saved();
            change(&mut values);
            with_parameters(module.clone(), values).expect_err("does not fit").to_string()
        };
        let cases: [(&str, Change); 4] = [
            ("bias is missing", |values| _ = values.remove("bias")),
            ("other belongs to no parameter", |values| _ = values.insert("other".into(), vec![1.0])),
            ("bias has 2 values, but the model needs 3", |values| _ = values.insert("bias".into(), vec![1.0; 2])),
            ("bias has a value that is not a finite", |values| _ = values.insert("bias".into(), vec![f32::NAN; 3])),
        ];
        for (expected, change) in cases {
            assert!(error(change).starts_with(expected), "{}", error(change));
        }
    }
}

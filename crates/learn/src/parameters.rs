//! A model's weights by name, to be kept, copied and put back.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// Every parameter of a module: its path, and its values.
pub fn parameters(module: &impl Module) -> Vec<(String, TensorData)> {
    #[derive(Default)]
    struct Collect {
        path: Vec<String>,
        found: Vec<(String, TensorData)>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.push((self.path.join("."), param.val().to_data()));
        }
    }
    let mut visitor = Collect::default();
    module.visit(&mut visitor);
    visitor.found
}

/// A module with these values in place of its own, on its own device, their gradients recorded.
///
/// # Errors
///
/// The path of a parameter that has no values, or not as many as it should have.
pub fn with_parameters<M: Module>(module: M, values: BTreeMap<String, Vec<f32>>) -> Result<M, String> {
    let mut restore = Restore { values, path: Vec::new(), missing: None };
    let module = module.map(&mut restore);
    match restore.missing {
        Some(path) => Err(path),
        None => Ok(module),
    }
}

struct Restore {
    values: BTreeMap<String, Vec<f32>>,
    path: Vec<String>,
    missing: Option<String>,
}

impl ModuleMapper for Restore {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let (id, old, mapper) = param.consume();
        let shape = old.dims();
        let fits = |values: &Vec<f32>| values.len() == shape.iter().product::<usize>();
        let Some(values) = self.values.remove(&path).filter(fits) else {
            self.missing = Some(path);
            return Param::from_mapped_value(id, old, mapper);
        };
        let new = Tensor::from_data(TensorData::new(values, shape), &old.device()).require_grad();
        Param::from_mapped_value(id, new, mapper)
    }
}

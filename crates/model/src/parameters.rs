//! A module's parameters, each with its path.
//!
//! A path is what Burn calls the fields on the way to a parameter, joined by dots, such as
//! `encoder.Linear.conv.weight`. [`parameter_name`] turns it into PyTorch's name.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// What [`visit_parameters`] calls.
pub trait ParameterVisitor {
    /// Reads the parameter at `path`.
    fn visit<const D: usize>(&mut self, path: &str, parameter: &Param<Tensor<D>>);
}

/// Hands every parameter of a module that holds floats to `visitor`, in the module's order.
pub fn visit_parameters(module: &impl Module, visitor: &mut impl ParameterVisitor) {
    module.visit(&mut WithPath { path: Vec::new(), inner: visitor });
}

/// What [`map_parameters`] calls.
pub trait ParameterMapper {
    /// The tensor to put in the place of `parameter`, of the same shape.
    fn map<const D: usize>(&mut self, path: &str, parameter: Tensor<D>) -> Tensor<D>;
}

/// A module with every parameter that holds floats replaced by what `mapper` makes of it, in the
/// module's order.
pub fn map_parameters<M: Module>(module: M, mapper: &mut impl ParameterMapper) -> M {
    module.map(&mut WithPath { path: Vec::new(), inner: mapper })
}

/// The path and the shape of every parameter of a module that holds floats, in the module's order.
/// Weights that are not drawn yet stay so.
pub fn parameter_shapes(module: &impl Module) -> Vec<(String, Vec<usize>)> {
    struct Shapes(Vec<(String, Vec<usize>)>);
    impl ParameterVisitor for Shapes {
        fn visit<const D: usize>(&mut self, path: &str, parameter: &Param<Tensor<D>>) {
            self.0.push((path.into(), parameter.lazy_shape().to_vec()));
        }
    }
    let mut shapes = Shapes(Vec::new());
    visit_parameters(module, &mut shapes);
    shapes.0
}

/// PyTorch's name of the parameter at `path`: without the names of enum variants, which Burn puts into
/// paths and which begin with a capital.
pub fn parameter_name(path: &str) -> String {
    let parts = path.split('.').filter(|part| !part.starts_with(char::is_uppercase));
    parts.collect::<Vec<_>>().join(".")
}

struct WithPath<'a, T> {
    path: Vec<String>,
    inner: &'a mut T,
}

impl<T: ParameterVisitor> ModuleVisitor for WithPath<'_, T> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.inner.visit(&self.path.join("."), parameter);
    }
}

impl<T: ParameterMapper> ModuleMapper for WithPath<'_, T> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = parameter.consume();
        Param::from_mapped_value(id, self.inner.map(&self.path.join("."), tensor), mapper)
    }
}

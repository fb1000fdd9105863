//! All parameters of a model at once, for tests against PyTorch's numbers.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// Sets the parameters of a model, in their order, to sin(1)/2, sin(2)/2, …, so that no two are equal.
#[derive(Default)]
pub struct Sines {
    pub last: usize,
}

impl ModuleMapper for Sines {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let first = self.last + 1;
        self.last += shape.iter().product::<usize>();
        let values: Vec<f32> = (first..=self.last).map(|at| ((at as f64).sin() / 2.0) as f32).collect();
        Param::from_data(TensorData::new(values, shape), &param.val().device())
    }
}

/// The derivative in the direction of all parameters at once: the sum of every parameter times its
/// gradient.
pub struct AlongParameters<'a> {
    pub gradients: &'a Gradients,
    pub sum: f32,
}

impl ModuleVisitor for AlongParameters<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).expect("every parameter has a gradient");
        self.sum += values((gradient * param.val().inner()).sum())[0];
    }
}

/// The values of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

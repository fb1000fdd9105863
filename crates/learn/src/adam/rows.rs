//! A step that updates some rows of a table only: the embeddings of the words of a batch.

use burn::module::Param;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};
use convlens_run::model::{Encode, TextModel};

use super::{Adam, Rule, is_on_host};

impl Adam {
    /// Updates the embeddings of the words `ids`, and their moments, and no others; PyTorch calls this
    /// SparseAdam. `ids` must be in ascending order. The update is part of the previous
    /// [`step`](Self::step) and is not counted.
    ///
    /// # Shapes
    ///
    /// - `ids`: `[words]`
    /// - `gradient`: `[words, embedding]`
    pub fn step_rows<E: Encode>(
        &mut self,
        mut model: TextModel<E>,
        ids: Tensor<1, Int>,
        gradient: Tensor<2>,
        rate: f64,
    ) -> TextModel<E> {
        const PATH: &str = "embed.weight";
        let (id, weight, mapper) = model.embed.weight.consume();
        let weight = weight.inner();
        let moments = match self.moments.remove(PATH) {
            Some(moments) => moments,
            None => [(); 2].map(|()| weight.zeros_like().flatten(0, 1)),
        };
        let rule = Rule::new(self, rate as f32, self.weight_decay);
        let (weight, moments) = if is_on_host(&weight) && ids.dtype() == DType::I32 {
            rule.rows_on_host(weight, ids, gradient, moments)
        } else {
            rule.rows_on_device(weight, ids, gradient, moments)
        };
        self.moments.insert(PATH.to_owned(), moments);
        model.embed.weight = Param::from_mapped_value(id, Tensor::from_inner(weight).require_grad(), mapper);
        model
    }
}

impl Rule {
    fn rows_on_host(
        self,
        weight: Tensor<2>,
        ids: Tensor<1, Int>,
        gradient: Tensor<2>,
        moments: [Tensor<1>; 2],
    ) -> (Tensor<2>, [Tensor<1>; 2]) {
        let (device, [_, width]) = (weight.device(), weight.dims());
        let (mut w, [mut m, mut v]) = (weight.into_data(), moments.map(Tensor::into_data));
        let (ids, g) = (ids.into_data(), gradient.into_data());
        let slices = (w.as_mut_slice::<f32>(), m.as_mut_slice::<f32>(), v.as_mut_slice::<f32>());
        let ((Ok(weights), Ok(ms), Ok(vs)), Ok(ids), Ok(gs)) = (slices, ids.as_slice::<i32>(), g.as_slice::<f32>())
        else {
            unreachable!("step_rows checks that they are 32-bit numbers")
        };
        Rows { first: 0, width, weights, ms, vs }.apply(self, ids, gs);
        let moments = [m, v].map(|data| Tensor::from_data(data, &device));
        (Tensor::from_data(w, &device), moments)
    }

    fn rows_on_device(
        self,
        weight: Tensor<2>,
        ids: Tensor<1, Int>,
        gradient: Tensor<2>,
        moments: [Tensor<1>; 2],
    ) -> (Tensor<2>, [Tensor<1>; 2]) {
        let shape = weight.dims();
        let count = gradient.dims()[0] * shape[1];
        let tables = [weight.clone(), moments[0].clone().reshape(shape), moments[1].clone().reshape(shape)];
        let old = tables.clone().map(|table| table.select(0, ids.clone()));
        let of_rows = [old[1].clone().reshape([count]), old[2].clone().reshape([count])];
        let (row, [m, v]) = self.on_device(old[0].clone(), gradient.clone().reshape([count]), of_rows);
        let new = [row, m.reshape(gradient.dims()), v.reshape(gradient.dims())];
        let mut changed = tables
            .into_iter()
            .zip(old)
            .zip(new)
            .map(|((table, old), new)| table.select_assign(0, ids.clone(), new - old, IndexingUpdateOp::Add));
        match (changed.next(), changed.next(), changed.next()) {
            (Some(weight), Some(m), Some(v)) => (weight, [m, v].map(|table| table.flatten(0, 1))),
            _ => unreachable!("three tables went in"),
        }
    }
}

/// Some rows of a parameter and of its moments, starting with row `first`.
struct Rows<'a> {
    first: usize,
    width: usize,
    weights: &'a mut [f32],
    ms: &'a mut [f32],
    vs: &'a mut [f32],
}

impl Rows<'_> {
    /// Updates the rows `ids`, which are in ascending order, on all cores.
    fn apply(self, rule: Rule, ids: &[i32], gradients: &[f32]) {
        /// The largest number of rows that one core updates.
        const MAX_ROWS: usize = 256;
        let Self { first, width, weights, ms, vs } = self;
        if ids.len() <= MAX_ROWS {
            for (&id, gradient) in ids.iter().zip(gradients.chunks_exact(width)) {
                let row = (id as usize - first) * width..(id as usize - first + 1) * width;
                rule.apply(&mut weights[row.clone()], &mut ms[row.clone()], &mut vs[row], gradient);
            }
            return;
        }
        let (ids, later) = ids.split_at(ids.len() / 2);
        let (gradients, after) = gradients.split_at(ids.len() * width);
        let cut = later[0] as usize;
        let [weights, ms, vs] = [weights, ms, vs].map(|values| values.split_at_mut((cut - first) * width));
        let low = Rows { first, width, weights: weights.0, ms: ms.0, vs: vs.0 };
        let high = Rows { first: cut, width, weights: weights.1, ms: ms.1, vs: vs.1 };
        rayon::join(|| low.apply(rule, ids, gradients), || high.apply(rule, later, after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn only_the_given_rows_are_updated() {
        let device = Device::flex();
        device.seed(3);
        let draw = |rows: usize| Tensor::<2>::random([rows, 3], burn::tensor::Distribution::Normal(0.0, 1.0), &device);
        let flat = |tensor: &Tensor<2>| tensor.clone().flatten::<1>(0, 1);
        let values = |tensor: Tensor<2>| tensor.try_into_vec_as::<f32>().expect("values");
        let mut adam = Adam::new(1e-7, 0.5);
        adam.steps = 4;
        let rule = Rule::new(&adam, 0.01, 0.5);
        let count = 1_200; // more than one core updates
        let (weight, gradient, moments) = (draw(count), draw(count), [draw(count), draw(count).abs()]);
        let moments = || moments.each_ref().map(flat);
        let all = values(rule.on_host(weight.clone(), flat(&gradient), moments()).0);
        let old = values(weight.clone());

        let odd: Vec<i32> = (0..count as i32).filter(|id| id % 2 == 1).collect();
        let ids = || Tensor::<1, Int>::from_ints(odd.as_slice(), &device);
        let rows = || gradient.clone().select(0, ids());
        for found in [
            rule.rows_on_host(weight.clone(), ids(), rows(), moments()),
            rule.rows_on_device(weight.clone(), ids(), rows(), moments()),
        ] {
            for (at, value) in values(found.0).into_iter().enumerate() {
                let expected = if at / 3 % 2 == 1 { all[at] } else { old[at] };
                assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
            }
        }
    }
}

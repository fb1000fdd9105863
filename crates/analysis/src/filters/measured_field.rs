//! The receptive field of an encoder, measured: which positions change an output, and how much of its
//! gradient reaches each position (the effective receptive field of Luo et al. 2016, section 2).

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use convlens_run::model::{Encode, EncoderSettings, ReceptiveField};
use convlens_run::{RunError, to_host};
use serde::Serialize;

use crate::OnStage;

/// The longest text in which every position is changed in turn.
const LONGEST: usize = 2_100;
/// The longest text for which the gradient is computed.
const LONGEST_FOLLOWED: usize = 20_000;
/// The length of the text if the field is unbounded.
const UNBOUNDED: usize = 201;
/// The number of inputs and initializations that the gradient is averaged over.
const DRAWS: usize = 16;
/// The number of changed texts in a batch.
const AT_ONCE: usize = 32;

/// A receptive field, by formula and by measurement.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredField {
    /// By formula.
    pub formula: ReceptiveField,
    /// The number of input positions per output position.
    pub stride: usize,
    /// The number of parameters of the encoder.
    pub parameters: usize,
    /// By changing one position after the other; `None` if the field is wider than about 2,100 positions.
    pub measured: Option<ReceptiveField>,
    /// The number of positions within the measured field that change nothing. A dilation or a stride wider
    /// than the filters below it leaves such holes.
    pub holes: usize,
    /// The length of the text that was measured on.
    pub length: usize,
    /// The position of the output that was measured.
    pub center: usize,
    /// For each position, relative to the centre, the mean norm of the gradient of the output there, as a
    /// share of the largest; empty if the field is wider than about 20,000 positions.
    pub gradient: Vec<(isize, f64)>,
    /// The smallest number of positions that hold 95 % of the squared gradient.
    pub effective: Option<usize>,
}

impl MeasuredField {
    /// Whether formula and measurement agree; `None` if nothing was measured. If the field is unbounded by
    /// formula, any measurement agrees.
    pub fn agrees(&self) -> Option<bool> {
        let agree = |formula: usize, measured: usize| formula == measured || formula == ReceptiveField::ALL;
        self.measured
            .map(|measured| agree(self.formula.left, measured.left) && agree(self.formula.right, measured.right))
    }

    /// Measures an encoder with random weights, for inputs of `embedding` dimensions if the encoder reads any.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn measure<S: EncoderSettings>(
        config: &S,
        embedding: usize,
        seed: u64,
        on_stage: OnStage<'_>,
    ) -> Result<Self, RunError> {
        let embedding = config.embedding().unwrap_or(embedding);
        let device = Device::flex();
        device.seed(seed);
        let (formula, stride) = (config.receptive_field(), config.stride());
        let side = |side: usize| match side {
            ReceptiveField::ALL => UNBOUNDED / 2,
            side => side.saturating_add(stride),
        };
        let (left, right) = (side(formula.left), side(formula.right));
        let encoder = config.init(embedding, &device).no_grad();
        let parameters = encoder.num_params();
        let center = left.div_ceil(stride).saturating_mul(stride);
        let length = center.saturating_add(1).saturating_add(right);
        let (measured, holes) = if length <= LONGEST {
            let (field, holes) = perturbed(&encoder, embedding, length, center, stride, on_stage)?;
            (Some(field), holes)
        } else {
            (None, 0)
        };
        let gradient = if length <= LONGEST_FOLLOWED {
            gradient(config, embedding, length, center, stride, on_stage)?
        } else {
            Vec::new()
        };
        let largest = gradient.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let effective = (!gradient.is_empty()).then(|| effective(&gradient));
        let offset = |at: usize| at as isize - center as isize;
        let gradient = gradient.iter().enumerate().map(|(at, size)| (offset(at), size / largest)).collect();
        Ok(Self { formula, stride, parameters, measured, holes, length, center, gradient, effective })
    }
}

fn ones(count: usize, length: usize, device: &Device) -> Tensor<2> {
    Tensor::ones([count, length], device)
}

/// The positions that change an output, and the number of positions between them that do not.
fn perturbed(
    encoder: &impl Encode,
    embedding: usize,
    length: usize,
    center: usize,
    stride: usize,
    on_stage: OnStage<'_>,
) -> Result<(ReceptiveField, usize), RunError> {
    let device = Device::flex();
    let draw = || Tensor::<3>::random([1, length, embedding], Distribution::Normal(0.0, 1.0), &device);
    let (x, other) = (draw(), draw());
    let output = |x: Tensor<3>| -> Result<Vec<f32>, RunError> {
        let count = x.dims()[0];
        let y = encoder.forward(x, ones(count, length, &device)); // [count, positions, hidden]
        to_host(y.narrow(1, center / stride, 1))
    };
    // The unchanged text is read in a batch of the same size, so that rounding is the same.
    let same = output(x.clone().repeat_dim(0, AT_ONCE))?;
    let hidden = same.len() / AT_ONCE;
    let (mut field, mut touching) = (ReceptiveField::ONE, 0);
    for start in (0..length).step_by(AT_ONCE) {
        on_stage("changing one position after the other", start, length);
        let changed = (start..start + AT_ONCE).map(|at| {
            let at = at.min(length - 1);
            x.clone().slice_assign([0..1, at..at + 1, 0..embedding], other.clone().narrow(1, at, 1))
        });
        let found = output(Tensor::cat(changed.collect(), 0))?;
        for (row, at) in (start..length.min(start + AT_ONCE)).enumerate() {
            if found[row * hidden..(row + 1) * hidden] != same[row * hidden..(row + 1) * hidden] {
                touching += 1;
                field.left = field.left.max(center.saturating_sub(at));
                field.right = field.right.max(at.saturating_sub(center));
            }
        }
    }
    on_stage("changing one position after the other", length, length);
    Ok((field, field.size().saturating_sub(touching)))
}

/// The mean norm of the gradient at every position.
fn gradient(
    config: &impl EncoderSettings,
    embedding: usize,
    length: usize,
    center: usize,
    stride: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<f64>, RunError> {
    let device = Device::flex().autodiff();
    let mut sizes = vec![0.0; length];
    for draw in 0..DRAWS {
        on_stage("computing the gradient", draw, DRAWS);
        let encoder = config.init(embedding, &device).no_grad();
        let x = Tensor::<3>::random([1, length, embedding], Distribution::Normal(0.0, 1.0), &device).require_grad();
        let y = encoder.forward(x.clone(), ones(1, length, &device)).narrow(1, center / stride, 1);
        let direction = y.clone().detach().random_like(Distribution::Normal(0.0, 1.0));
        let gradients = (y * direction).sum().backward();
        let Some(gradient) = x.grad(&gradients) else { continue };
        let squares = to_host(gradient.powi_scalar(2).sum_dim(2))?;
        sizes.iter_mut().zip(squares).for_each(|(size, square)| *size += f64::from(square).sqrt() / DRAWS as f64);
    }
    on_stage("computing the gradient", DRAWS, DRAWS);
    Ok(sizes)
}

fn effective(gradient: &[f64]) -> usize {
    let mut squares: Vec<f64> = gradient.iter().map(|size| size * size).collect();
    squares.sort_by(|a, b| b.total_cmp(a));
    let total: f64 = squares.iter().sum();
    let mut sum = 0.0;
    let enough = squares.iter().take_while(|square| {
        let is_short = sum < 0.95 * total;
        sum += **square;
        is_short
    });
    enough.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_run::model::{
        Downsampling, EncoderConfig, LayerConfig, PlainStackConfig, RecurrentConfig, ResidualBranch, ResidualConfig,
    };

    fn measured(config: &EncoderConfig) -> MeasuredField {
        MeasuredField::measure(config, 4, 0, &|_, _, _| {}).expect("measures")
    }

    fn residual(causal: bool) -> ResidualConfig {
        let layer = LayerConfig { causal, ..LayerConfig::default() };
        ResidualConfig { hidden: 8, blocks: 3, dilation_base: 2, branch: ResidualBranch::Tcn, layer }
    }

    #[test]
    fn formula_and_measurement_agree() {
        for causal in [false, true] {
            let field = measured(&EncoderConfig::Residual(residual(causal)));
            assert_eq!((field.formula.size(), field.agrees()), (29, Some(true)));
            assert!(
                field.holes == 0
                    && field.effective.is_some_and(|effective| effective < 29)
                    && field.gradient.iter().all(|(offset, size)| {
                        *size == 0.0
                            || field
                                .formula
                                .phrase(field.center, field.length)
                                .contains(&((field.center as isize + offset) as usize))
                    })
            );
        }
        let layer = LayerConfig { kernel_size: 2, ..LayerConfig::default() };
        let downsampling = Downsampling::Stride { by: 3 };
        let strided = measured(&EncoderConfig::Plain(PlainStackConfig { hidden: 8, layers: 2, downsampling, layer }));
        assert_eq!((strided.agrees(), strided.formula.size(), strided.holes), (Some(true), 5, 1));
        let wide = ResidualConfig { hidden: 2, blocks: 20, ..residual(false) };
        let wide = measured(&EncoderConfig::Residual(wide));
        assert!(wide.measured.is_none() && wide.gradient.is_empty() && wide.formula.size() == 4_194_301);
        let lstm = measured(&EncoderConfig::Lstm(RecurrentConfig { hidden: 8, bidirectional: false }));
        assert!(lstm.formula.is_unbounded() && lstm.measured.is_some_and(|field| field.right == 0));
    }

    #[test]
    fn the_effective_field_holds_95_percent_of_the_gradient() {
        assert_eq!(effective(&[0.0, 1.0, 10.0, 1.0]), 1);
        assert_eq!(effective(&[1.0; 20]), 19);
    }
}

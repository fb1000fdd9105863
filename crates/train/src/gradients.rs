//! The size of each layer's gradient, at the start and in training: whether it vanishes in the
//! backward pass through a deep stack (Tal Perry, "Convolutional Methods for Text"; Hochreiter 1991;
//! He et al. 2016).

use burn::module::{Module, Param};
use burn::tensor::{Device, Gradients, Tensor};
use convlens_learn::{Adam, cross_entropy, epoch_order};
use convlens_run::model::{Batch, EncoderConfig, ModelConfig, ParameterVisitor, TextModel, visit_parameters};
use serde::Serialize;

use crate::{Corpus, Stage, TrainError};

/// The gradients of one encoder of one depth.
#[derive(Clone, Debug, Serialize)]
pub struct DepthGradients {
    /// The number of layers of the encoder.
    pub layers: usize,
    /// The norm of the gradient of each layer's filters before the first step, the layer next to the
    /// embeddings first; the mean over some batches.
    pub at_start: Vec<f64>,
    /// As `at_start`, for the same batches after the last step.
    pub trained: Vec<f64>,
    /// The first layer's norm during training: the mean over every ten steps, with the last of these
    /// steps.
    pub course: Vec<(usize, f64)>,
    /// The loss on those batches after the last step, in nats.
    pub loss: f64,
    /// The number of parameters of the encoder.
    pub parameters: usize,
}

/// The number of batches that a norm is averaged over.
const BATCHES: usize = 8;
const BATCH_SIZE: usize = 32;
/// The number of steps per point of the course.
const POINT: usize = 10;

/// Trains an encoder over embeddings of `embedding` dimensions for `steps` steps of Adam, and
/// measures its gradients. `layers` is only recorded.
///
/// # Errors
///
/// - [`TrainError::Model`] if no model can be built from the settings.
/// - [`TrainError::Cache`] if the encoded texts cannot be read.
/// - [`TrainError::Run`] if the device cannot be read.
pub fn depth_gradients(
    encoder: &EncoderConfig,
    embedding: usize,
    layers: usize,
    corpus: &Corpus,
    steps: usize,
    seed: u64,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<DepthGradients, TrainError> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let config = ModelConfig { embedding, ..ModelConfig::new(corpus.tokenizer.vocab_size(), encoder.clone(), 1) };
    let mut model = config.init(&device)?;
    let mut adam = Adam::new(1e-7, 0.0);
    let lengths = corpus.train.lengths();
    let order = (1..).flat_map(|epoch| epoch_order(&lengths, BATCH_SIZE, true, seed, epoch));
    let mut batches = order.take(steps.max(BATCHES) + BATCHES);
    let first: Vec<Vec<usize>> = batches.by_ref().take(BATCHES).collect();
    let at_start = mean_norms(&model, &first, corpus, &device)?.0;
    let (mut course, mut sum) = (Vec::new(), 0.0);
    for (step, indices) in (1..).zip(batches.take(steps)) {
        on_stage(Stage { name: "training a stack", done: step - 1, total: steps });
        let gradients = loss(&model, &indices, corpus, &device)?.backward();
        sum += norms(&model, &gradients)?.first().copied().unwrap_or(0.0) / POINT as f64;
        if step % POINT == 0 {
            course.push((step, std::mem::take(&mut sum)));
        }
        model = adam.step(model, gradients, 1e-3);
    }
    on_stage(Stage { name: "training a stack", done: steps, total: steps });
    let (trained, loss) = mean_norms(&model, &first, corpus, &device)?;
    let parameters = model.encoder.num_params();
    Ok(DepthGradients { layers, at_start, trained, course, loss, parameters })
}

fn loss(model: &TextModel, indices: &[usize], corpus: &Corpus, device: &Device) -> Result<Tensor<1>, TrainError> {
    let rows = indices.iter().map(|&index| corpus.train.ids(index)).collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
    let targets = corpus.train.targets.pick(indices, usize::MAX);
    Ok(cross_entropy(model.forward(&Batch::masked(&rows, 0, device)), targets.labels(), device))
}

/// The mean norm of the gradient of each layer's filters, and the mean loss.
fn mean_norms(
    model: &TextModel,
    batches: &[Vec<usize>],
    corpus: &Corpus,
    device: &Device,
) -> Result<(Vec<f64>, f64), TrainError> {
    let (mut sums, mut losses) = (Vec::new(), 0.0);
    for indices in batches {
        let loss = loss(model, indices, corpus, device)?;
        let gradients = loss.backward();
        losses += convlens_run::to_host(loss.inner())?.iter().map(|&value| f64::from(value)).sum::<f64>();
        let norms = norms(model, &gradients)?;
        sums.resize(norms.len(), 0.0);
        sums.iter_mut().zip(norms).for_each(|(sum, norm): (&mut f64, f64)| *sum += norm);
    }
    let count = batches.len().max(1) as f64;
    Ok((sums.into_iter().map(|sum| sum / count).collect(), losses / count))
}

fn norms(model: &TextModel, gradients: &Gradients) -> Result<Vec<f64>, TrainError> {
    let mut norms = Norms { gradients, found: Vec::new(), failed: None };
    visit_parameters(&model.encoder, &mut norms);
    match norms.failed {
        Some(error) => Err(error),
        None => Ok(norms.found),
    }
}

/// Collects the norm of the gradient of every convolution that is wider than one position.
struct Norms<'a> {
    gradients: &'a Gradients,
    found: Vec<f64>,
    failed: Option<TrainError>,
}

impl ParameterVisitor for Norms<'_> {
    fn visit<const D: usize>(&mut self, path: &str, parameter: &Param<Tensor<D>>) {
        let weight = parameter.val();
        let is_filter = D == 3 && weight.dims()[D - 1] > 1 && path.ends_with(".weight");
        let Some(gradient) = weight.grad(self.gradients).filter(|_| is_filter) else { return };
        match convlens_run::to_host(gradient.powi_scalar(2).sum()) {
            Ok(square) => self.found.push(square.iter().map(|&value| f64::from(value)).sum::<f64>().sqrt()),
            Err(error) => self.failed = Some(error.into()),
        }
    }
}

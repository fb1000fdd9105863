//! A checkpoint: one file with all that a run needs to go on as if it had never stopped.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use convlens_learn::{Learner, StateError, Tally, parameters, with_parameters};
use convlens_run::{CHECKPOINTS, EpochMetrics, RunError, RunFolder};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;

const FILE: &str = "checkpoints/latest.safetensors";
const STATE: &str = "state";
const WEIGHT: &str = "model.";
const MOMENT: &str = "adam.";

/// Where training stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The epoch in progress, from 1.
    pub epoch: usize,
    /// How many of its steps are done.
    pub step: usize,
    /// What those steps summed up to.
    pub loss: f64,
    pub hits: usize,
    pub count: usize,
    /// Seconds of training in this epoch.
    pub epoch_seconds: f64,
    /// Steps in all.
    pub steps: usize,
    /// The epochs that are done.
    pub history: Vec<EpochMetrics>,
}

impl Progress {
    pub fn tally(&self) -> Tally {
        Tally { loss: self.loss, hits: self.hits, count: self.count }
    }

    pub fn set_tally(&mut self, tally: Tally) {
        (self.loss, self.hits, self.count) = (tally.loss, tally.hits, tally.count);
    }
}

/// Writes weights, optimiser and progress.
pub(crate) fn save(folder: &RunFolder, learner: &Learner, progress: &Progress) -> Result<(), TrainError> {
    let path = folder.file(CHECKPOINTS);
    std::fs::create_dir_all(&path).map_err(|source| RunError::Io { path, source })?;
    let weights = parameters(&learner.model).into_iter().map(|(name, data)| (format!("{WEIGHT}{name}"), data));
    let moments = learner.adam.state().map(|(name, data)| (format!("{MOMENT}{name}"), data));
    let tensors: Vec<(String, TensorData)> = weights.chain(moments).collect();
    let device = |error: String| TrainError::Device(error);
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        view.map(|view| (name, view)).map_err(|error| device(error.to_string()))
    });
    let state = serde_json::to_string(progress).map_err(|error| device(error.to_string()))?;
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, Some([(STATE.into(), state)].into()))
        .map_err(|error| device(error.to_string()))?;
    Ok(folder.write(FILE, &bytes)?)
}

/// Reads what [`save`] wrote; nothing where it never did.
pub(crate) fn load(folder: &RunFolder, learner: &mut Learner, device: &Device) -> Result<Option<Progress>, TrainError> {
    let path = folder.file(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let damaged = |message: String| TrainError::Checkpoint { path: path.clone(), message };
    let bytes = folder.read(FILE)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE));
    let state = state.ok_or_else(|| damaged("no state".into()))?;
    let progress: Progress = serde_json::from_str(state).map_err(|error| damaged(error.to_string()))?;

    let named = |prefix: &str| -> BTreeMap<String, Vec<f32>> {
        let values =
            |view: &TensorView| view.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let own =
            tensors.iter().filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.to_owned(), values(&view))));
        own.collect()
    };
    let unfit = |prefix: &'static str| move |error: StateError| format!("{prefix}{error}");
    let model = with_parameters(learner.model.clone(), named(WEIGHT)).map_err(unfit(WEIGHT)).map_err(damaged)?;
    let state = learner.adam.restore(&model, progress.steps, named(MOMENT), device);
    state.map_err(unfit(MOMENT)).map_err(damaged)?;
    learner.model = model;
    Ok(Some(progress))
}

//! A checkpoint: one file with everything that a run needs to continue as if it had never stopped.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, TensorData};
use convlens_learn::{Learner, Session, Targets};
use convlens_run::{CHECKPOINTS, Run, RunError, RunFolder};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::TrainError;

const FILE: &str = "checkpoints/latest.safetensors";
/// The metadata entry that holds [`Progress`] as JSON.
const STATE: &str = "state";
/// What the names of the model's weights begin with.
const WEIGHT: &str = "model.";
/// What the names of the optimiser's moments begin with.
const MOMENT: &str = "adam.";
/// What the names of the moving averages of weights begin with.
const AVERAGE: &str = "average.";
/// How many bytes a checkpoint may hold besides its tensors: names, and metrics by epoch.
const HEADER: u64 = 16 << 20;

/// How far training is, and with which tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    #[serde(flatten)]
    pub session: Session,
    /// The digest of the run's `tokenizer.json`. Checkpoints of earlier versions have none.
    #[serde(default)]
    pub tokenizer: Option<String>,
}

/// The weights of a model, the moments of its optimiser and the averages of weights, by name.
fn tensors(learner: &Learner) -> impl Iterator<Item = (String, TensorData)> + '_ {
    let weights = learner.weights().into_iter().map(|(name, data)| (format!("{WEIGHT}{name}"), data));
    let moments = learner.adam.state().map(|(name, data)| (format!("{MOMENT}{name}"), data));
    weights.chain(moments).chain(learner.averages().map(|(name, data)| (format!("{AVERAGE}{name}"), data)))
}

/// Whether every weight and moment is a finite number. Only then is a checkpoint worth keeping.
pub(crate) fn is_finite(learner: &Learner) -> bool {
    let are_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    tensors(learner).all(|(_, data)| data.as_slice().is_ok_and(are_finite))
}

/// Writes weights, optimiser and progress.
pub(crate) fn save(folder: &RunFolder, learner: &Learner, progress: &Progress) -> Result<(), TrainError> {
    let path = folder.file(CHECKPOINTS);
    std::fs::create_dir_all(&path).map_err(|source| RunError::Io { path, source })?;
    Ok(folder.write(FILE, &to_bytes(learner, progress).map_err(TrainError::Device)?)?)
}

fn to_bytes(learner: &Learner, progress: &Progress) -> Result<Vec<u8>, String> {
    let tensors: Vec<(String, TensorData)> = tensors(learner).collect();
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        view.map(|view| (name, view)).map_err(|error| error.to_string())
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let state = serde_json::to_string(progress).map_err(|error| error.to_string())?;
    safetensors::serialize(views, Some([(STATE.into(), state)].into())).map_err(|error| error.to_string())
}

/// Restores a checkpoint of a run that trains on texts with these targets, with the tokenizer of the digest
/// `tokenizer`; `None` if there is none.
pub(crate) fn load(
    folder: &RunFolder,
    learner: &mut Learner,
    device: &Device,
    targets: &Targets,
    tokenizer: &str,
) -> Result<Option<Progress>, TrainError> {
    let path = folder.file(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let damaged = |message: String| TrainError::Checkpoint { path: path.clone(), message };
    let parameters = learner.weight_shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    check_size(&path, parameters).map_err(damaged)?;
    let bytes = folder.read(FILE)?;
    let mut progress = restore(&bytes, learner, device, targets).map_err(damaged)?;
    // The weights know the digest where an earlier version wrote the checkpoint.
    let trained_with = progress.tokenizer.take().or_else(|| Run::digest_of_weights(folder, &learner.model));
    if trained_with.is_some_and(|digest| digest != tokenizer) {
        return Err(TrainError::OtherTokenizer { path: folder.file("tokenizer.json") });
    }
    progress.tokenizer = Some(tokenizer.into());
    Ok(Some(progress))
}

/// Checks that the file is not larger than a checkpoint of that many parameters, before it is read.
fn check_size(path: &Path, parameters: usize) -> Result<(), String> {
    let file = path.metadata().map_err(|error| error.to_string())?;
    // A weight, two moments and an average.
    let most = 4 * size_of::<f32>() as u64 * parameters as u64 + HEADER;
    if !file.is_file() {
        return Err("not a regular file".into());
    }
    if file.len() > most {
        return Err(format!("it has {} bytes, and the model of config.json needs at most {most}", file.len()));
    }
    Ok(())
}

/// Restores a checkpoint from its bytes, or says what is wrong with it.
fn restore(bytes: &[u8], learner: &mut Learner, device: &Device, targets: &Targets) -> Result<Progress, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE)).ok_or("it has no state")?;
    let progress: Progress = serde_json::from_str(state).map_err(|error| format!("its state: {error}"))?;
    progress.session.check(targets)?;

    let shapes: BTreeMap<String, Vec<usize>> =
        learner.weight_shapes().into_iter().map(|(path, shape)| (format!("{WEIGHT}{path}"), shape)).collect();
    let (mut weights, mut moments, mut averages) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (name, view) in tensors.iter() {
        let values = values(name, &view)?;
        if let Some(expected) = shapes.get(name).filter(|expected| *expected != view.shape()) {
            return Err(format!("{name} is {:?}, not {expected:?} as config.json has it", view.shape()));
        }
        if let Some(path) = name.strip_prefix(WEIGHT) {
            weights.insert(path.to_owned(), values);
        } else if let Some(path) = name.strip_prefix(MOMENT) {
            moments.insert(path.to_owned(), values);
        } else if let Some(path) = name.strip_prefix(AVERAGE) {
            averages.insert(path.to_owned(), values);
        } else {
            return Err(format!("{name:?} is neither a weight, nor a moment, nor an average"));
        }
    }
    learner.set_weights(weights).map_err(|error| format!("{WEIGHT}{error}"))?;
    let restored = learner.adam.restore(learner.weight_shapes(), progress.session.steps, moments, device);
    restored.map_err(|error| format!("{MOMENT}{error}"))?;
    let steps = progress.session.steps;
    learner.set_averages(steps, averages).map_err(|error| format!("{AVERAGE}{error}"))?;
    Ok(progress)
}

/// The values of a tensor; only finite numbers of 32 bits are accepted.
pub(crate) fn values(name: &str, view: &TensorView) -> Result<Vec<f32>, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("{name} is {:?}, not F32", view.dtype()));
    }
    let values: Vec<f32> = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(format!("{name} has values that are not finite"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_learn::{StepPosition, Tally, preset};
    use convlens_run::model::{EncoderConfig, LinearConvConfig, ModelConfig, Padding};
    use convlens_run::text::{Tokenizer, TokenizerKind, train};
    use convlens_run::{EpochMetrics, Metrics, TrainingConfig};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::borrow::Cow;

    fn targets() -> Targets {
        Targets::Labels(vec![0; 40])
    }

    fn tokenizer() -> Tokenizer {
        train(TokenizerKind::Words, 10, ["good bad film plot"].into_iter()).expect("trains")
    }

    fn learner() -> Learner {
        let preset = preset("linear").expect("a preset");
        let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 3, kernel_size: 3, init_std: 0.1 });
        let tokenizer = tokenizer();
        let model = (preset.model)(tokenizer.vocab_size(), 1);
        let model = ModelConfig { embedding: 4, encoder, padding: Padding::Masked, ..model };
        let training = TrainingConfig { word_dropout: 0.0, ema_decay: 0.5, ..(preset.training)() };
        Learner::new(&model, &training, &tokenizer, None, &Device::flex()).expect("a model")
    }

    fn step(learner: Learner) -> Learner {
        let rows = vec![Cow::Owned(vec![1, 3, 4]), Cow::Owned(vec![1, 5])];
        learner.step(rows, &[0, 1].into(), StepPosition { epoch: 2, step: 4, done: 13, steps: 20 }).expect("a step").0
    }

    fn progress() -> Progress {
        let metrics = Metrics::new(0.5, 0.7);
        let epoch = EpochMetrics { epoch: 1, train: metrics, validation: metrics, score: None, seconds: 1.5 };
        let history = vec![epoch];
        let tokenizer = Some("digest".into());
        let tally = Tally { loss: 2.0, hits: 3, count: 6 };
        let session = Session { epoch: 2, step: 3, tally, epoch_seconds: 0.5, steps: 13, history };
        Progress { session, tokenizer }
    }

    fn checkpoint() -> Vec<u8> {
        to_bytes(&step(learner()), &progress()).expect("a checkpoint")
    }

    /// The checkpoint with another state.
    fn with_state(state: &str) -> Vec<u8> {
        let bytes = checkpoint();
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        safetensors::serialize(tensors.iter(), Some([(STATE.into(), state.into())].into())).expect("a checkpoint")
    }

    /// Restores a checkpoint. If it is accepted, training continues from it.
    fn restored(bytes: &[u8]) -> Result<Progress, String> {
        let mut learner = learner();
        let progress = restore(bytes, &mut learner, &Device::flex(), &targets())?;
        step(learner);
        Ok(progress)
    }

    #[test]
    fn a_restored_run_continues_with_the_same_weights() {
        let mut other = learner();
        let one = step(learner());
        let bytes = to_bytes(&one, &progress()).expect("a checkpoint");
        assert_eq!(restore(&bytes, &mut other, &Device::flex(), &targets()).expect("restores"), progress());
        // The step counts of both optimisers differ, so only the weights are compared.
        assert_eq!(one.weights(), other.weights());
        assert!(one.averages().eq(other.averages()) && one.averages().count() > 0);
        assert!(is_finite(&one));
    }

    #[test]
    fn impossible_states_are_refused() {
        let extreme =
            [json!(-1), json!(1_000_000_000_000_000_000u64), json!(u64::MAX), json!(1e300), json!(null), json!("x")];
        let state = json!(progress());
        let with = |pointer: &str, value: &Value| {
            let mut state = state.clone();
            *state.pointer_mut(pointer).expect("a field") = value.clone();
            restored(&with_state(&state.to_string()))
        };
        for field in ["/epoch", "/step", "/steps", "/hits", "/count", "/history/0/epoch"] {
            for value in &extreme {
                assert!(with(field, value).is_err(), "{field}: {value}");
            }
        }
        for field in ["/epoch", "/steps", "/count", "/history/0/epoch"] {
            assert!(with(field, &json!(0)).is_err(), "{field}");
        }
        for field in ["/history/0/seconds", "/epoch_seconds", "/history/0/validation/accuracy"] {
            assert!(with(field, &json!(-1)).is_err(), "{field}");
        }
        for field in ["/history/0/validation/loss", "/loss", "/history", "/epoch_seconds"] {
            assert!(with(field, &json!(null)).is_err(), "{field}");
        }
        assert!(with("/history", &json!([])).is_err());
        for state in ["", "{", "[]", "{\"epoch\": 1}"] {
            assert!(restored(&with_state(state)).is_err(), "{state}");
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused() {
        let bytes = checkpoint();
        type Change<'a> = &'a dyn Fn(&str, &mut Vec<u8>, &mut Vec<usize>, &mut Dtype) -> Option<String>;
        let with = |change: Change| {
            let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
            let mut changed = Vec::new();
            for (name, view) in tensors.iter() {
                let (mut data, mut shape, mut dtype) = (view.data().to_vec(), view.shape().to_vec(), view.dtype());
                let Some(name) = change(name, &mut data, &mut shape, &mut dtype) else { continue };
                changed.push((name, data, shape, dtype));
            }
            let views = changed.iter().map(|(name, data, shape, dtype)| {
                (name, TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
            });
            let state = json!(progress()).to_string();
            let bytes = safetensors::serialize(views, Some([(STATE.into(), state)].into())).expect("a checkpoint");
            restored(&bytes).expect_err("does not fit")
        };
        let embedding = "model.embed.weight";
        let error = with(&|name, _, _, _| (name != embedding).then(|| name.to_owned()));
        assert_eq!(error, "model.embed.weight is missing");
        let error = with(&|name, _, _, _| Some(if name == embedding { "model.other".into() } else { name.to_owned() }));
        assert!(error.contains("embed.weight"), "{error}");
        let error = with(&|name, _, _, _| Some(if name == embedding { "other".into() } else { name.to_owned() }));
        assert!(error.contains("\"other\""), "{error}");
        let error = with(&|name, _, shape, _| {
            if name == embedding {
                shape.reverse();
            }
            Some(name.to_owned())
        });
        assert!(error.starts_with("model.embed.weight is [4, 7], not [7, 4]"), "{error}");
        let error = with(&|name, data, shape, _| {
            if name == embedding {
                data.clear();
                *shape = vec![0, 4];
            }
            Some(name.to_owned())
        });
        assert!(error.starts_with("model.embed.weight is [0, 4]"), "{error}");
        let error = with(&|name, _, _, dtype| {
            if name == embedding {
                *dtype = Dtype::I32;
            }
            Some(name.to_owned())
        });
        assert!(error.contains("embed.weight is I32, not F32"), "{error}");
        for prefix in [WEIGHT, MOMENT, AVERAGE] {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let error = with(&|name, data, _, _| {
                    if name.starts_with(prefix) {
                        data[..4].copy_from_slice(&value.to_le_bytes());
                    }
                    Some(name.to_owned())
                });
                assert!(error.contains("values that are not finite"), "{error}");
            }
        }
    }

    #[test]
    fn a_checkpoint_of_another_tokenizer_is_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("is empty");
        let load = |tokenizer: &str| super::load(&folder, &mut learner(), &Device::flex(), &targets(), tokenizer);
        assert!(load("digest").expect("is allowed").is_none());
        save(&folder, &step(learner()), &progress()).expect("saves");
        assert_eq!(load("digest").expect("loads"), Some(progress()));
        let error = load("other").expect_err("is another").to_string();
        assert!(error.contains("tokenizer.json: not the tokenizer that this run was trained with"), "{error}");

        // A checkpoint that names no tokenizer: the weights may.
        let unnamed = Progress { tokenizer: None, ..progress() };
        save(&folder, &step(learner()), &unnamed).expect("saves");
        assert_eq!(load("digest").expect("loads"), Some(progress()));
        folder.write_tokenizer("{}").expect("writes");
        Run::save_weights(&folder, &learner().trained()).expect("saves");
        assert!(matches!(load("digest"), Err(TrainError::OtherTokenizer { .. })));
        assert!(load(&convlens_run::tokenizer_digest(b"{}")).is_ok());
    }

    #[test]
    fn files_that_are_too_large_are_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        std::fs::File::create(&path).expect("creates").set_len(1 << 40).expect("a sparse file");
        assert!(check_size(&path, 1_000_000).expect_err("too large").contains("1099511627776 bytes"));
        assert!(check_size(folder.path(), 1).is_err());
        std::fs::write(&path, checkpoint()).expect("writes");
        let parameters = learner().weight_shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        check_size(&path, parameters).expect("has the right size");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn damaged_files_never_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            in_header: bool,
        ) {
            let mut bytes = checkpoint();
            // Half of the changes are in the header, which is a small part of the file.
            let length = if in_header { 1_000.min(bytes.len()) } else { bytes.len() };
            for (index, value) in &flips {
                let index = index.index(length);
                bytes[index] = *value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            // What is accepted is possible, and training continues from it.
            match restored(&bytes) {
                Ok(progress) => prop_assert!(progress.session.check(&targets()).is_ok()),
                Err(message) => prop_assert!(!message.is_empty()),
            }
        }
    }
}

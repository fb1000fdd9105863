//! Word vectors are learned before the model, from texts without labels and those of the training split.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use convlens_learn::{TextPosition, VectorLearner, VectorLoss};
use convlens_run::{CHECKPOINTS, RunError, VectorsConfig, WordVectors};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::trainer::{Event, Outcome, Trainer};
use crate::{Corpus, Texts, TrainError, checkpoint};

const FILE: &str = "checkpoints/vectors.safetensors";
/// The metadata entry that holds [`Progress`] as JSON.
const STATE: &str = "state";
/// The names of the tensors: [`VectorLearner::state`].
const NAMES: [&str; 2] = ["regions", "predictions"];
/// The number of bytes that the checkpoint may have besides its tensors.
const HEADER: u64 = 1 << 16;
/// The number of texts between two reports of progress.
const REPORT_EVERY: usize = 100;

/// How far the vectors are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Progress {
    /// The number of texts read, in all epochs.
    done: usize,
    /// The number of texts to read, in all epochs.
    total: usize,
    /// The loss of the epoch so far, and the number of neighbours that it is the sum of.
    loss: f64,
    neighbours: usize,
}

impl Trainer<'_> {
    /// Learns the word vectors, if the run has some and they are not there yet; `None` if that is done.
    pub(crate) fn learn_vectors(
        &self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Option<Outcome>, TrainError> {
        let (Some(vectors), false) = (&self.config.vectors, WordVectors::are_in(self.folder)) else { return Ok(None) };
        let texts = [&self.corpus.unlabelled, &self.corpus.train];
        let count: usize = texts.iter().map(|texts| texts.len()).sum();
        let total = count.saturating_mul(vectors.epochs);
        let (mut learner, mut progress) = self.begin_vectors(vectors, &texts, total)?;
        let mut order = Vec::new();
        let mut clock = Instant::now();
        while progress.done < total {
            let (epoch, at) = (progress.done / count + 1, progress.done % count);
            if order.is_empty() {
                order =
                    convlens_learn::epoch_order(&vec![0; count], 1, false, self.config.training.seed, epoch).concat();
            }
            if stop.load(Ordering::Relaxed) {
                self.write_vectors(&learner, &progress)?;
                return Ok(Some(Outcome::InterruptedVectors { done: progress.done, total }));
            }
            let text = order[at];
            let of_split = text.checked_sub(texts[0].len());
            let ids = of_split.map_or_else(|| texts[0].ids(text), |text| texts[1].ids(text))?;
            let position = TextPosition { epoch, text, done: progress.done, texts: total };
            let VectorLoss { sum, neighbours } = learner.read(&ids, position);
            progress.done += 1;
            progress.loss += sum;
            progress.neighbours += neighbours;
            let is_end = at + 1 == count;
            if is_end || progress.done.is_multiple_of(REPORT_EVERY) {
                let loss = progress.loss / progress.neighbours.max(1) as f64;
                if !loss.is_finite() {
                    return Err(TrainError::VectorsNotFinite);
                }
                on_event(Event::Vectors { done: progress.done, total, loss });
            }
            if is_end {
                (progress.loss, progress.neighbours) = (0.0, 0);
                order.clear();
            }
            if clock.elapsed() > self.checkpoint_every {
                self.write_vectors(&learner, &progress)?;
                clock = Instant::now();
            }
        }
        let learned = learner.vectors();
        if !learned.values.iter().all(|value| value.is_finite()) {
            return Err(TrainError::VectorsNotFinite);
        }
        learned.write(self.folder)?;
        let path = self.folder.file(FILE);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("{}: {error}", path.display());
        }
        Ok(None)
    }

    fn begin_vectors(
        &self,
        vectors: &VectorsConfig,
        texts: &[&Texts; 2],
        total: usize,
    ) -> Result<(VectorLearner, Progress), TrainError> {
        let Corpus { tokenizer, .. } = self.corpus;
        let mut counts = vec![0; tokenizer.vocab_size()];
        for texts in texts {
            for text in 0..texts.len() {
                texts.ids(text)?.iter().for_each(|&id| counts[id as usize] += 1);
            }
        }
        let special: Vec<u32> = tokenizer.pad_id().into_iter().chain(tokenizer.unk_id()).collect();
        let mut learner = VectorLearner::new(&counts, &special, vectors.dimensions, self.config.training.seed);
        let progress = self.read_vectors(&mut learner, total)?;
        Ok((learner, progress.unwrap_or(Progress { done: 0, total, loss: 0.0, neighbours: 0 })))
    }

    fn read_vectors(&self, learner: &mut VectorLearner, total: usize) -> Result<Option<Progress>, TrainError> {
        let path = self.folder.file(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let values: usize = learner.state().iter().map(|values| values.len()).sum();
        let bytes = self.folder.read_up_to(FILE, (values * size_of::<f32>()) as u64 + HEADER)?;
        restore(&bytes, learner, total).map(Some).map_err(|message| TrainError::Checkpoint { path, message })
    }

    fn write_vectors(&self, learner: &VectorLearner, progress: &Progress) -> Result<(), TrainError> {
        let path = self.folder.file(CHECKPOINTS);
        std::fs::create_dir_all(&path).map_err(|source| RunError::Io { path, source })?;
        Ok(self.folder.write(FILE, &to_bytes(learner, progress).map_err(TrainError::Device)?)?)
    }
}

fn to_bytes(learner: &VectorLearner, progress: &Progress) -> Result<Vec<u8>, String> {
    let bytes = learner.state().map(|values| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let views = NAMES.iter().zip(&bytes).map(|(name, bytes)| {
        let view = TensorView::new(Dtype::F32, vec![bytes.len() / size_of::<f32>()], bytes);
        view.map(|view| (name, view)).map_err(|error| error.to_string())
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let state = serde_json::to_string(progress).map_err(|error| error.to_string())?;
    safetensors::serialize(views, Some([(STATE.into(), state)].into())).map_err(|error| error.to_string())
}

/// Restores a checkpoint from its bytes, or says what is wrong with it.
fn restore(bytes: &[u8], learner: &mut VectorLearner, total: usize) -> Result<Progress, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let state = header.metadata().as_ref().and_then(|metadata| metadata.get(STATE)).ok_or("it has no state")?;
    let progress: Progress = serde_json::from_str(state).map_err(|error| format!("its state: {error}"))?;
    if progress.total != total {
        return Err(format!("it was learned from other texts: {} readings, and not {total}", progress.total));
    }
    if progress.done > total || !(progress.loss.is_finite() && progress.loss >= 0.0) {
        return Err("its state is out of range".into());
    }
    let mut values = Vec::new();
    for name in NAMES {
        let view = tensors.tensor(name).map_err(|error| error.to_string())?;
        values.push(checkpoint::values(name, &view)?);
    }
    let fits = <[Vec<f32>; 2]>::try_from(values).is_ok_and(|values| learner.restore(values));
    if fits { Ok(progress) } else { Err("its vectors have another size".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_restored_or_refused() {
        let new = |dimensions| VectorLearner::new(&[0, 0, 9, 9, 9], &[0, 1], dimensions, 0);
        let mut learner = new(3);
        learner.read(&[2, 3, 4, 2, 3, 4, 2, 3], TextPosition { epoch: 1, text: 0, done: 0, texts: 4 });
        let progress = Progress { done: 1, total: 4, loss: 2.5, neighbours: 3 };
        let bytes = to_bytes(&learner, &progress).expect("a checkpoint");
        let mut other = new(3);
        assert_eq!(restore(&bytes, &mut other, 4), Ok(progress.clone()));
        assert_eq!(other.state(), learner.state());
        let error = |bytes: &[u8], total, dimensions| restore(bytes, &mut new(dimensions), total).expect_err("refused");
        assert!(error(&bytes, 5, 3).contains("other texts"));
        assert!(error(&bytes, 4, 2).contains("another size"));
        let late = to_bytes(&learner, &Progress { done: 5, ..progress }).expect("a checkpoint");
        assert!(error(&late, 4, 3).contains("out of range"));
        for end in 0..bytes.len() {
            error(&bytes[..end], 4, 3);
        }
    }
}

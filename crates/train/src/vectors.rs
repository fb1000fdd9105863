//! Word vectors, and those of a lexicon, are learned before the model, from texts without labels and those of the
//! training split.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use convlens_learn::{CountedLexicon, LexiconVectorLearner, TextPosition, VectorLearner, VectorLoss};
use convlens_run::{CHECKPOINTS, LexiconVectorsConfig, RunError, WordVectors};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::trainer::{Event, Outcome, Trainer};
use crate::{Texts, TrainError, checkpoint};

/// The metadata entry that holds [`Progress`] as JSON.
const STATE: &str = "state";
/// The names of the tensors: what is read, and what it predicts or is predicted from; [`VectorLearner::state`] and
/// [`LexiconVectorLearner::state`].
const NAMES: [&str; 2] = ["read", "predictions"];
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
    /// The loss of the epoch so far, and the number of predictions that it is the sum of.
    loss: f64,
    predictions: usize,
}

/// What the vectors that a run learns belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorKind {
    /// The words of the vocabulary.
    Words,
    /// The words and phrases of the lexicon.
    Lexicon,
}

impl VectorKind {
    /// Their name, in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "word vectors",
            Self::Lexicon => "vectors of the lexicon",
        }
    }

    /// The checkpoint.
    fn file(self) -> &'static str {
        match self {
            Self::Words => "checkpoints/vectors.safetensors",
            Self::Lexicon => "checkpoints/lexicon_vectors.safetensors",
        }
    }
}

/// Vectors that are learned text by text.
trait ReadTexts {
    const KIND: VectorKind;

    fn read(&mut self, ids: &[u32], at: TextPosition) -> VectorLoss;
    fn state(&self) -> [&[f32]; 2];
    fn restore(&mut self, state: [Vec<f32>; 2]) -> bool;
    fn vectors(&self) -> WordVectors;
}

impl ReadTexts for VectorLearner {
    const KIND: VectorKind = VectorKind::Words;

    fn read(&mut self, ids: &[u32], at: TextPosition) -> VectorLoss {
        self.read(ids, at)
    }

    fn state(&self) -> [&[f32]; 2] {
        self.state()
    }

    fn restore(&mut self, state: [Vec<f32>; 2]) -> bool {
        self.restore(state)
    }

    fn vectors(&self) -> WordVectors {
        self.vectors()
    }
}

impl ReadTexts for LexiconVectorLearner<'_> {
    const KIND: VectorKind = VectorKind::Lexicon;

    fn read(&mut self, ids: &[u32], at: TextPosition) -> VectorLoss {
        self.read(ids, at)
    }

    fn state(&self) -> [&[f32]; 2] {
        self.state()
    }

    fn restore(&mut self, state: [Vec<f32>; 2]) -> bool {
        self.restore(state)
    }

    fn vectors(&self) -> WordVectors {
        self.vectors()
    }
}

/// How the learning of vectors ended.
pub(crate) enum Learned {
    Vectors(WordVectors),
    Interrupted(Box<Outcome>),
}

impl Trainer<'_> {
    /// Learns the word vectors, if the run has some and they are not there yet; `None` if that is done.
    pub(crate) fn learn_vectors(
        &self,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Option<Outcome>, TrainError> {
        let (Some(vectors), false) = (&self.config.vectors, WordVectors::are_in(self.folder)) else { return Ok(None) };
        let mut counts = vec![0; self.corpus.tokenizer.vocab_size()];
        for texts in self.texts_of_vectors() {
            for text in 0..texts.len() {
                texts.ids(text)?.iter().for_each(|&id| counts[id as usize] += 1);
            }
        }
        let tokenizer = &self.corpus.tokenizer;
        let special: Vec<u32> = tokenizer.pad_id().into_iter().chain(tokenizer.unk_id()).collect();
        let mut learner = VectorLearner::new(&counts, &special, vectors.dimensions, self.config.training.seed);
        let learned = match self.read_texts(&mut learner, vectors.epochs, stop, on_event)? {
            Learned::Vectors(learned) => learned,
            Learned::Interrupted(outcome) => return Ok(Some(*outcome)),
        };
        learned.write(self.folder)?;
        let path = self.folder.file(VectorKind::Words.file());
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("{}: {error}", path.display());
        }
        Ok(None)
    }

    /// Learns the vectors of a lexicon's words and phrases. They are not a part of the run; its checkpoint holds them, so
    /// that they are learned once.
    pub(crate) fn learn_lexicon_vectors(
        &self,
        lexicon: &CountedLexicon,
        vectors: &LexiconVectorsConfig,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Learned, TrainError> {
        let texts = self.texts_of_vectors().map(Texts::len).iter().sum();
        let (outputs, seed) = (self.config.model.outputs, self.config.training.seed);
        let mut learner = LexiconVectorLearner::new(lexicon, outputs, texts, vectors.dimensions, seed);
        self.read_texts(&mut learner, vectors.epochs, stop, on_event)
    }

    fn texts_of_vectors(&self) -> [&Texts; 2] {
        [&self.corpus.unlabelled, &self.corpus.train]
    }

    /// Learns from all texts, or goes on from a checkpoint.
    fn read_texts<L: ReadTexts>(
        &self,
        learner: &mut L,
        epochs: usize,
        stop: &AtomicBool,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<Learned, TrainError> {
        let texts = self.texts_of_vectors();
        let count: usize = texts.iter().map(|texts| texts.len()).sum();
        let total = count.saturating_mul(epochs);
        let progress = self.read_vectors(learner, total)?;
        let mut progress = progress.unwrap_or(Progress { done: 0, total, loss: 0.0, predictions: 0 });
        let was_complete = progress.done == total;
        let mut order = Vec::new();
        let mut clock = Instant::now();
        while progress.done < total {
            let (epoch, at) = (progress.done / count + 1, progress.done % count);
            if order.is_empty() {
                order =
                    convlens_learn::epoch_order(&vec![0; count], 1, false, self.config.training.seed, epoch).concat();
            }
            if stop.load(Ordering::Relaxed) {
                self.write_vectors(learner, &progress)?;
                let interrupted = Outcome::InterruptedVectors { of: L::KIND, done: progress.done, total };
                return Ok(Learned::Interrupted(Box::new(interrupted)));
            }
            let text = order[at];
            let of_split = text.checked_sub(texts[0].len());
            let ids = of_split.map_or_else(|| texts[0].ids(text), |text| texts[1].ids(text))?;
            let position = TextPosition { epoch, text, done: progress.done, texts: total };
            let VectorLoss { sum, predictions } = learner.read(&ids, position);
            progress.done += 1;
            progress.loss += sum;
            progress.predictions += predictions;
            let is_end = at + 1 == count;
            if is_end || progress.done.is_multiple_of(REPORT_EVERY) {
                let loss = progress.loss / progress.predictions.max(1) as f64;
                if !loss.is_finite() {
                    return Err(TrainError::VectorsNotFinite);
                }
                on_event(Event::Vectors { of: L::KIND, done: progress.done, total, loss });
            }
            if is_end {
                (progress.loss, progress.predictions) = (0.0, 0);
                order.clear();
            }
            if clock.elapsed() > self.checkpoint_every {
                self.write_vectors(learner, &progress)?;
                clock = Instant::now();
            }
        }
        let learned = learner.vectors();
        if !learned.values.iter().all(|value| value.is_finite()) {
            return Err(TrainError::VectorsNotFinite);
        }
        if L::KIND == VectorKind::Lexicon && !was_complete {
            self.write_vectors(learner, &progress)?;
        }
        Ok(Learned::Vectors(learned))
    }

    fn read_vectors<L: ReadTexts>(&self, learner: &mut L, total: usize) -> Result<Option<Progress>, TrainError> {
        let path = self.folder.file(L::KIND.file());
        if !path.exists() {
            return Ok(None);
        }
        let values: usize = learner.state().iter().map(|values| values.len()).sum();
        let bytes = self.folder.read_up_to(L::KIND.file(), (values * size_of::<f32>()) as u64 + HEADER)?;
        restore(&bytes, learner, total).map(Some).map_err(|message| TrainError::Checkpoint { path, message })
    }

    fn write_vectors<L: ReadTexts>(&self, learner: &L, progress: &Progress) -> Result<(), TrainError> {
        let path = self.folder.file(CHECKPOINTS);
        std::fs::create_dir_all(&path).map_err(|source| RunError::Io { path, source })?;
        Ok(self.folder.write(L::KIND.file(), &to_bytes(learner, progress).map_err(TrainError::Device)?)?)
    }
}

fn to_bytes<L: ReadTexts>(learner: &L, progress: &Progress) -> Result<Vec<u8>, String> {
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
fn restore<L: ReadTexts>(bytes: &[u8], learner: &mut L, total: usize) -> Result<Progress, String> {
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
        let progress = Progress { done: 1, total: 4, loss: 2.5, predictions: 3 };
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

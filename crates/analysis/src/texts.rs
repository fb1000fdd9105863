//! The texts that an analysis reads.

use convlens_run::{Run, RunError};

/// How far an analysis is: what it does, how much is done, of how much.
pub type OnStage<'a> = &'a (dyn Fn(&'static str, usize, usize) + Sync);

/// How many texts are encoded between two reports of progress.
const CHUNK: usize = 500;

/// Labelled texts, as a model reads them.
#[derive(Clone, Debug)]
pub struct Texts<'a> {
    /// The texts.
    pub texts: Vec<&'a str>,
    /// Each text's label, an index among the run's labels.
    pub labels: Vec<usize>,
    /// Each text's ids.
    pub ids: Vec<Vec<u32>>,
}

impl<'a> Texts<'a> {
    /// Encodes texts for a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Text`].
    pub fn encode(run: &Run, texts: &'a [String], labels: &[usize], on_stage: OnStage<'_>) -> Result<Self, RunError> {
        let mut ids = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            on_stage("encoding texts", ids.len(), texts.len());
            let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
            ids.extend(run.tokenizer.encode_ids(&chunk)?);
        }
        on_stage("encoding texts", texts.len(), texts.len());
        Ok(Self { texts: texts.iter().map(String::as_str).collect(), labels: labels.to_vec(), ids })
    }

    /// Some of them.
    pub fn part(&self, chosen: &[usize]) -> Self {
        Self {
            texts: chosen.iter().map(|&index| self.texts[index]).collect(),
            labels: chosen.iter().map(|&index| self.labels[index]).collect(),
            ids: chosen.iter().map(|&index| self.ids[index].clone()).collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The ids of every text.
    pub fn rows(&self) -> Vec<&[u32]> {
        self.ids.iter().map(Vec::as_slice).collect()
    }
}

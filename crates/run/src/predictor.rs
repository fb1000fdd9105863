//! Many texts, fast: labels and probabilities without the phrases behind them.

use rayon::prelude::*;

use crate::prediction::probabilities;
use crate::{Run, RunError, WordTable};

/// Texts given to one thread at a time: fewer cost more to hand out than to classify.
const CHUNK: usize = 256;

/// A run made ready for many texts: a linear model is folded into its table, any other reads texts
/// in batches of like length. Uses all cores.
#[derive(Debug)]
pub struct Predictor {
    run: Run,
    table: Option<WordTable>,
}

/// A text's label, and how sure the model is.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// The index of the label among the run's.
    pub label: usize,
    /// Every label's probability.
    pub probabilities: Vec<f64>,
}

impl Predictor {
    /// Folds what folds.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn new(run: Run) -> Result<Self, RunError> {
        let table = run.word_table()?;
        Ok(Self { run, table })
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The labels of texts.
    ///
    /// # Errors
    ///
    /// [`RunError::Text`] or [`RunError::Device`].
    pub fn classify<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Classification>, RunError> {
        Ok(self.logits(texts)?.iter().map(|logits| Classification::of(logits)).collect())
    }

    /// The logits of texts, a row each.
    ///
    /// # Errors
    ///
    /// As [`classify`](Self::classify).
    pub fn logits<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<f64>>, RunError> {
        let tokenizer = &self.run.tokenizer;
        if let Some(table) = self.table.as_ref().filter(|_| tokenizer.is_word_level()) {
            let read = |text: &T| Ok(table.logits(&tokenizer.ids(text.as_ref())?));
            return texts.par_iter().with_min_len(CHUNK / 16).map(read).collect();
        }
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let ids = tokenizer.encode_ids(&texts)?;
        self.logits_of_ids(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// The logits of texts given as ids, a row each.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn logits_of_ids(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f64>>, RunError> {
        match &self.table {
            Some(table) => Ok(texts.par_iter().with_min_len(CHUNK).map(|ids| table.logits(ids)).collect()),
            None => {
                let rows = self.run.logits(texts)?;
                Ok(rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect())
            }
        }
    }
}

impl Classification {
    fn of(logits: &[f64]) -> Self {
        let probabilities = probabilities(logits);
        let label = most_probable(&probabilities);
        Self { label, probabilities }
    }
}

/// The index of the highest.
pub(crate) fn most_probable(probabilities: &[f64]) -> usize {
    (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(0)
}

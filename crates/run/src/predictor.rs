//! Many texts, fast: labels and probabilities without the phrases behind them.

use convlens_model::{EncoderConfig, EncoderSettings};
use convlens_phrases::{Classification, WordTable};
use rayon::prelude::*;

use crate::{Run, RunError};

/// Texts given to one thread at a time: fewer cost more to hand out than to classify.
const CHUNK: usize = 256;

/// A run prepared for many texts. A linear model is folded into its table; any other model reads the
/// texts in batches of similar length. Uses all cores.
#[derive(Debug)]
pub struct Predictor<S: EncoderSettings = EncoderConfig> {
    run: Run<S>,
    table: Option<WordTable>,
}

impl<S: EncoderSettings> Predictor<S> {
    /// Prepares a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn new(run: Run<S>) -> Result<Self, RunError> {
        let table = run.word_table()?;
        Ok(Self { run, table })
    }

    /// The run.
    pub fn run(&self) -> &Run<S> {
        &self.run
    }

    /// Classifies texts.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`](crate::PhrasesError::Text), [`RunError::TooLong`], [`RunError::Device`], or [`PhrasesError::Overflow`](crate::PhrasesError::Overflow) if
    /// a logit is not finite.
    pub fn classify<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Classification>, RunError> {
        let temperature = self.run.config.temperature;
        self.logits(texts)?.iter().map(|logits| Ok(Classification::from_logits(logits, temperature)?)).collect()
    }

    /// The logits of texts, one row per text.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`](crate::PhrasesError::Text), [`RunError::TooLong`] or [`RunError::Device`].
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

    /// The logits of texts given as ids, one row per text.
    ///
    /// # Errors
    ///
    /// [`RunError::TooLong`] or [`RunError::Device`].
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

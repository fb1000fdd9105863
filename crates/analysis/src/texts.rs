//! The texts that an analysis reads, a piece at a time.

use std::borrow::Cow;

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, RunError};

use crate::AnalysisError;

/// Called as an analysis proceeds: the name of the stage, how much of it is done, and how much there is.
pub type OnStage<'a> = &'a (dyn Fn(&'static str, usize, usize) + Sync);

/// The maximum number of bytes of text in a piece, unless a single text is longer.
const PIECE_BYTES: usize = 16 << 20;
/// The maximum number of texts in a piece.
const PIECE_TEXTS: usize = 10_000;

/// Texts in order, in memory or elsewhere.
pub trait TextSource: Sync {
    /// The number of texts.
    fn len(&self) -> usize;

    /// Whether there are no texts.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of a text in bytes.
    fn bytes(&self, index: usize) -> usize;

    /// A text.
    ///
    /// # Errors
    ///
    /// A message that names the file that cannot be read.
    fn text(&self, index: usize) -> Result<Cow<'_, str>, String>;
}

impl TextSource for Vec<String> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn bytes(&self, index: usize) -> usize {
        self[index].len()
    }

    fn text(&self, index: usize) -> Result<Cow<'_, str>, String> {
        Ok(Cow::Borrowed(&self[index]))
    }
}

/// Labelled texts. They are read in pieces, so they need not fit in memory.
#[derive(Clone, Copy)]
pub struct Corpus<'a> {
    source: &'a dyn TextSource,
    labels: &'a [usize],
}

impl std::fmt::Debug for Corpus<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Corpus").field("texts", &self.len()).finish_non_exhaustive()
    }
}

/// Texts of a [`Corpus`] in memory, encoded for a model.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The index of each text in the corpus.
    pub indices: Vec<usize>,
    /// The texts.
    pub texts: Vec<String>,
    /// The label of each text, an index into the run's labels.
    pub labels: Vec<usize>,
    /// The token ids of each text.
    pub ids: Vec<Vec<u32>>,
}

impl<'a> Corpus<'a> {
    /// Texts and their labels, each an index into the run's labels.
    ///
    /// # Panics
    ///
    /// If the number of texts differs from the number of labels.
    pub fn new(source: &'a dyn TextSource, labels: &'a [usize]) -> Self {
        assert_eq!(source.len(), labels.len(), "every text has a label");
        Self { source, labels }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label of each text.
    pub fn labels(&self) -> &'a [usize] {
        self.labels
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Texts`] if it can no longer be read.
    pub fn text(&self, index: usize) -> Result<Cow<'_, str>, AnalysisError> {
        self.source.text(index).map_err(AnalysisError::Texts)
    }

    /// Reads and encodes the texts at `indices`, all of them at once.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Texts`] or [`PhrasesError::Text`](convlens_run::PhrasesError::Text).
    pub fn encode<S: EncoderSettings>(&self, run: &Run<S>, indices: &[usize]) -> Result<Texts, AnalysisError> {
        let texts: Vec<String> =
            indices.iter().map(|&index| self.text(index).map(Cow::into_owned)).collect::<Result<_, _>>()?;
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ids = run.tokenizer.encode_ids(&borrowed).map_err(RunError::from)?;
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Ok(Texts { indices: indices.to_vec(), texts, labels, ids })
    }

    /// Reads and encodes the texts at `indices`, in that order, and skips each text that would bring
    /// the number of tokens above `tokens`.
    #[cfg(feature = "report")]
    pub(crate) fn encode_within<S: EncoderSettings>(
        &self,
        run: &Run<S>,
        indices: &[usize],
        tokens: usize,
    ) -> Result<Texts, AnalysisError> {
        let (mut kept, mut rest) = (Texts::default(), tokens);
        for piece in self.pieces(indices) {
            let Texts { indices, texts, labels, ids } = self.encode(run, piece)?;
            for (((index, text), label), ids) in indices.into_iter().zip(texts).zip(labels).zip(ids) {
                if ids.len() <= rest {
                    rest -= ids.len();
                    kept.push(index, text, label, ids);
                }
            }
        }
        Ok(kept)
    }

    /// Calls `read` with every text, a piece at a time, and reports progress.
    pub(crate) fn in_pieces<S: EncoderSettings>(
        &self,
        run: &Run<S>,
        stage: &'static str,
        on_stage: OnStage<'_>,
        mut read: impl FnMut(&Texts) -> Result<(), AnalysisError>,
    ) -> Result<(), AnalysisError> {
        let all: Vec<usize> = (0..self.len()).collect();
        let mut done = 0;
        for piece in self.pieces(&all) {
            on_stage(stage, done, all.len());
            read(&self.encode(run, piece)?)?;
            done += piece.len();
        }
        on_stage(stage, done, all.len());
        Ok(())
    }

    /// The logits of every text, one row per text.
    #[cfg(feature = "report")]
    pub(crate) fn logits<S: EncoderSettings>(
        &self,
        run: &Run<S>,
        on_stage: OnStage<'_>,
    ) -> Result<Vec<Vec<f32>>, AnalysisError> {
        let mut logits = Vec::with_capacity(self.len());
        self.in_pieces(run, "logits of all texts", on_stage, |texts| {
            logits.extend(run.logits(&texts.rows())?);
            Ok(())
        })?;
        Ok(logits)
    }

    /// Splits `indices` into runs of texts that fit in memory together.
    fn pieces<'i>(&self, mut indices: &'i [usize]) -> Vec<&'i [usize]> {
        let mut pieces = Vec::new();
        while !indices.is_empty() {
            let mut bytes = 0;
            let fitting = indices.iter().take(PIECE_TEXTS).take_while(|&&index| {
                bytes += self.source.bytes(index);
                bytes <= PIECE_BYTES
            });
            let (piece, rest) = indices.split_at(fitting.count().max(1));
            pieces.push(piece);
            indices = rest;
        }
        pieces
    }
}

impl Texts {
    /// The texts at `positions` in this list.
    pub fn part(&self, positions: &[usize]) -> Self {
        Self {
            indices: positions.iter().map(|&at| self.indices[at]).collect(),
            texts: positions.iter().map(|&at| self.texts[at].clone()).collect(),
            labels: positions.iter().map(|&at| self.labels[at]).collect(),
            ids: positions.iter().map(|&at| self.ids[at].clone()).collect(),
        }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The token ids of every text.
    pub fn rows(&self) -> Vec<&[u32]> {
        self.ids.iter().map(Vec::as_slice).collect()
    }

    #[cfg(feature = "report")]
    fn push(&mut self, index: usize, text: String, label: usize, ids: Vec<u32>) {
        self.indices.push(index);
        self.texts.push(text);
        self.labels.push(label);
        self.ids.push(ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of given lengths.
    struct Lengths(Vec<usize>);

    impl TextSource for Lengths {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn bytes(&self, index: usize) -> usize {
            self.0[index]
        }

        fn text(&self, _: usize) -> Result<Cow<'_, str>, String> {
            Err("not read".into())
        }
    }

    #[test]
    fn pieces_hold_every_text_and_few_bytes() {
        let lengths: Vec<usize> =
            (0..30_000).map(|at| if at == 7 { 5 * PIECE_BYTES } else { at * 7919 % 4_000 }).collect();
        let source = Lengths(lengths.clone());
        let labels = vec![0; lengths.len()];
        let all: Vec<usize> = (0..lengths.len()).collect();
        let pieces = Corpus::new(&source, &labels).pieces(&all);
        assert_eq!(pieces.concat(), all);
        let bytes = |piece: &[usize]| piece.iter().map(|&index| lengths[index]).sum::<usize>();
        assert!(pieces.iter().all(|piece| piece.len() == 1 || bytes(piece) <= PIECE_BYTES));
        assert!(pieces.len() < 12, "{}", pieces.len());
    }
}

//! Taggers: a label for every word of a sentence.

use burn::tensor::Tensor;
use convlens_model::{Batch, ChainScores, Encode, EncoderConfig, EncoderSettings, Forms, Padding, TextModel};
use convlens_phrases::{argmax, calibrated_probabilities};
use convlens_text::Tokenizer;
use serde::Serialize;

use crate::{Run, RunError, Task, batches_by_length, to_host};

/// A run that tags, prepared for many sentences.
#[derive(Debug)]
pub struct Tagger<S: EncoderSettings = EncoderConfig> {
    run: Run<S>,
}

/// A word and its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaggedWord {
    /// The word.
    pub word: String,
    /// Its tag.
    pub tag: String,
    /// The probability of the tag at this position alone, which a chain over the tags may not agree with.
    pub probability: f64,
}

/// What a run predicts for a word.
#[derive(Clone, Debug, PartialEq)]
pub struct WordPrediction {
    /// The index of its label.
    pub label: usize,
    /// The probability of each label at this position alone, which a chain over the tags may not agree with.
    pub probabilities: Vec<f64>,
}

impl<S: EncoderSettings> Tagger<S> {
    /// Prepares a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Task`] if the run does not tag.
    pub fn new(run: Run<S>) -> Result<Self, RunError> {
        match run.config.task {
            Task::Tag => Ok(Self { run }),
            task => Err(RunError::Task { task, expected: Task::Tag }),
        }
    }

    /// The run.
    pub fn run(&self) -> &Run<S> {
        &self.run
    }

    /// The label of each word of each sentence, as indices of the run's labels.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`].
    pub fn labels<T: AsRef<str>>(&self, sentences: &[Vec<T>]) -> Result<Vec<Vec<usize>>, RunError> {
        let mut labels = vec![Vec::new(); sentences.len()];
        self.each_batch(sentences, |indices, logits, lengths| {
            for (&index, found) in indices.iter().zip(best_labels(&self.run.model, logits, lengths)?) {
                labels[index] = found;
            }
            Ok(())
        })?;
        Ok(labels)
    }

    /// The words of each sentence with their tags.
    ///
    /// # Errors
    ///
    /// As [`labels`](Self::labels).
    pub fn tag<T: AsRef<str>>(&self, sentences: &[Vec<T>]) -> Result<Vec<Vec<TaggedWord>>, RunError> {
        self.each_word(sentences, |word, label, probabilities| TaggedWord {
            word: word.into(),
            tag: self.run.config.labels[label].clone(),
            probability: probabilities[label],
        })
    }

    /// The label of each word of each sentence, and the probabilities of all labels.
    ///
    /// # Errors
    ///
    /// As [`labels`](Self::labels).
    pub fn predict<T: AsRef<str>>(&self, sentences: &[Vec<T>]) -> Result<Vec<Vec<WordPrediction>>, RunError> {
        self.each_word(sentences, |_, label, probabilities| WordPrediction { label, probabilities })
    }

    /// What `predicted` makes of each word, its label and the probabilities of all labels.
    fn each_word<T: AsRef<str>, P: Clone>(
        &self,
        sentences: &[Vec<T>],
        predicted: impl Fn(&str, usize, Vec<f64>) -> P,
    ) -> Result<Vec<Vec<P>>, RunError> {
        let (temperature, outputs) = (self.run.config.temperature, self.run.config.model.outputs);
        let mut all = vec![Vec::new(); sentences.len()];
        self.each_batch(sentences, |indices, logits, lengths| {
            let positions = logits.dims()[1];
            let labels = best_labels(&self.run.model, logits.clone(), lengths)?;
            let logits = to_host(logits)?;
            for ((&index, labels), rows) in indices.iter().zip(labels).zip(logits.chunks(positions * outputs)) {
                let words = sentences[index].iter().zip(labels).zip(rows.chunks(outputs));
                all[index] = words
                    .map(|((word, label), logits)| {
                        predicted(word.as_ref(), label, calibrated_probabilities(logits, temperature))
                    })
                    .collect();
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// A batch of sentences for the model, and its forms.
    pub fn batch<T: AsRef<str>>(&self, sentences: &[Vec<T>]) -> Batch {
        let (forms, texts) = forms_of(&self.run.tokenizer, sentences);
        let rows: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        Batch::of_forms(&rows, &forms, &self.run.device)
    }

    /// Calls `on_batch` with the logits of several sentences, given by their indices, `[batch, positions, outputs]`, and
    /// their lengths.
    fn each_batch<T: AsRef<str>>(
        &self,
        sentences: &[Vec<T>],
        mut on_batch: impl FnMut(&[usize], Tensor<3>, &[usize]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let (forms, texts) = forms_of(&self.run.tokenizer, sentences);
        let rows: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        for indices in batches_by_length(&rows, Padding::Masked) {
            let rows: Vec<&[u32]> = indices.iter().map(|&index| rows[index]).collect();
            let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
            let batch = Batch::of_forms(&rows, &forms, &self.run.device);
            on_batch(&indices, self.run.model.forward_positions(&batch), &lengths)?;
        }
        Ok(())
    }
}

/// The distinct forms of the words of some sentences, and the sentences as their indices. A form is read as the
/// vocabulary's word in lower case.
pub fn forms_of<T: AsRef<str>>(tokenizer: &Tokenizer, sentences: &[impl AsRef<[T]>]) -> (Forms, Vec<Vec<u32>>) {
    let mut forms = Forms::new(tokenizer.pad_id().unwrap_or(0), tokenizer.unk_id().unwrap_or(0));
    let texts = sentences.iter().map(|words| add_forms(tokenizer, &mut forms, words.as_ref())).collect();
    (forms, texts)
}

/// Adds the words of a sentence to some forms, and returns their indices.
fn add_forms<T: AsRef<str>>(tokenizer: &Tokenizer, forms: &mut Forms, words: &[T]) -> Vec<u32> {
    let known = |form: &str| tokenizer.id(&form.to_lowercase()).filter(|&id| !tokenizer.is_special(id));
    words.iter().map(|word| forms.add(word.as_ref(), || known(word.as_ref()))).collect()
}

/// The best labels of texts with these lengths, from the logits at their positions, `[batch, positions, outputs]`: of
/// each position, or of the whole text if the model has a chain.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn best_labels<E: Encode>(
    model: &TextModel<E>,
    logits: Tensor<3>,
    lengths: &[usize],
) -> Result<Vec<Vec<usize>>, RunError> {
    let [_, positions, outputs] = logits.dims();
    let chain = model.chain.as_ref().map(|chain| chain.numbers());
    let logits = to_host(logits)?;
    let best = |(rows, &length): (&[f32], &usize)| {
        let rows = &rows[..length * outputs];
        match &chain {
            Some(chain) => ChainScores::decode(chain, rows),
            None => rows.chunks(outputs).map(argmax).collect(),
        }
    };
    Ok(logits.chunks(positions * outputs).zip(lengths).map(best).collect())
}

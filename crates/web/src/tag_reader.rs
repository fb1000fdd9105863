//! Reads texts with a run that tags words.

use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::Device;
use convlens_analysis::{LONGEST_FIELD, tag_evidence_of};
use convlens_run::model::EncoderSettings;
use convlens_run::text::sentences;
use convlens_run::{Run, RunError, RunFiles, Span, Tagger, WordPrediction, mark_spans, spans};
use serde_json::{Value, json};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::js_error;
use crate::reading::utf16_offsets;

/// How many words are read at a time, and the most that a sentence may have.
const MOST_WORDS: usize = 1_500;

/// An open run that tags, on the CPU.
#[wasm_bindgen]
#[derive(Debug)]
pub struct TagReader {
    tagger: Tagger,
    /// The sentences that were read last.
    read: Vec<Sentence>,
}

/// The words of a sentence, and what was predicted for each.
#[derive(Debug)]
struct Sentence {
    words: Vec<String>,
    predicted: Vec<WordPrediction>,
}

/// A part of a text that was read: whole sentences.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone, Debug)]
pub struct TagReading {
    /// The index of the part.
    pub part: usize,
    /// The number of parts that the text has.
    pub parts: usize,
    /// The number of words in the whole text.
    pub words: usize,
    /// The number of sentences in the whole text.
    pub sentences: usize,
    /// Whether a sentence was too long and is read in pieces, each as a sentence of its own.
    pub cut: bool,
    /// The start of each word of the part in the text, in UTF-16 code units.
    pub starts: Vec<u32>,
    /// The end of each word.
    pub ends: Vec<u32>,
    /// The index of the label of each word.
    pub labels: Vec<u32>,
    /// The probability of each label, word after word.
    pub probabilities: Vec<f32>,
    /// The first word of each span, if the labels mark spans.
    pub span_firsts: Vec<u32>,
    /// The last word of each span.
    pub span_lasts: Vec<u32>,
    /// The type of each span.
    pub span_kinds: Vec<String>,
}

#[wasm_bindgen]
impl TagReader {
    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// One line that names the file, or says that the run does not tag.
    pub fn open(config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>) -> Result<Self, JsError> {
        let run = Run::from_files(RunFiles { config, tokenizer, weights }, &Device::flex()).map_err(js_error)?;
        Ok(Self { tagger: Tagger::new(run).map_err(js_error)?, read: Vec::new() })
    }

    /// What the page must know about the run, as JSON: `labels`, whether they mark `spans`, `config`, and the `width`
    /// of the receptive field (null if it is the whole sentence).
    pub fn facts(&self) -> String {
        let config = &self.tagger.run().config;
        let field = config.model.encoder.receptive_field();
        let width = if field.is_unbounded() { Value::Null } else { field.size().into() };
        let (labels, spans) = (&config.labels, mark_spans(&config.labels));
        json!({ "labels": labels, "spans": spans, "config": config, "width": width }).to_string()
    }

    /// Reads a part of a text, given by its index: as many whole sentences as have 1,500 words.
    ///
    /// # Errors
    ///
    /// If the device fails.
    pub fn read(&mut self, text: &str, part: usize) -> Result<TagReading, JsError> {
        self.read_part(text, part).map_err(js_error)
    }

    /// Why a word of the part that was read last has its tag, as JSON: the `logit` of the tag, the `baseline`, which
    /// is the logit without words, the `shares` of the words from `first` on, and the `residual`. The shares are empty
    /// if there are too many words in the receptive field.
    ///
    /// # Errors
    ///
    /// If there is no such word, or the device fails.
    pub fn word(&self, index: usize) -> Result<String, JsError> {
        Ok(self.explain_word(index).map_err(js_error)?.to_string())
    }
}

impl TagReader {
    fn read_part(&mut self, text: &str, part: usize) -> Result<TagReading, RunError> {
        let found = sentences(text);
        let (words, count) = (found.iter().map(Vec::len).sum(), found.len());
        let mut parts = parts(&found);
        let (part, parts_count) = (part.min(parts.len() - 1), parts.len());
        let ranges = parts.swap_remove(part);
        let words_of = |ranges: &&[Range<usize>]| ranges.iter().map(|word| text[word.clone()].to_owned()).collect();
        self.predict(ranges.iter().map(words_of).collect())?;

        let (starts, ends) = utf16_offsets(text, ranges.iter().copied().flatten());
        let predicted = || self.read.iter().flat_map(|sentence| &sentence.predicted);
        let mut reading = TagReading {
            part,
            parts: parts_count,
            words,
            sentences: count,
            cut: found.iter().any(|sentence| sentence.len() > MOST_WORDS),
            starts,
            ends,
            labels: predicted().map(|word| word.label as u32).collect(),
            probabilities: predicted().flat_map(|word| &word.probabilities).map(|&share| share as f32).collect(),
            span_firsts: Vec::new(),
            span_lasts: Vec::new(),
            span_kinds: Vec::new(),
        };
        self.add_spans(&mut reading);
        Ok(reading)
    }

    /// Predicts for sentences, except for those that were read last: while a visitor types, only one changes.
    fn predict(&mut self, sentences: Vec<Vec<String>>) -> Result<(), RunError> {
        let before = std::mem::take(&mut self.read).into_iter().map(|sentence| (sentence.words, sentence.predicted));
        let mut known: HashMap<Vec<String>, Vec<WordPrediction>> = before.collect();
        let new: Vec<Vec<String>> = sentences.iter().filter(|words| !known.contains_key(*words)).cloned().collect();
        let predicted = self.tagger.predict(&new)?;
        known.extend(new.into_iter().zip(predicted));
        let of_words = |words| Sentence { predicted: known.get(&words).cloned().unwrap_or_default(), words };
        self.read = sentences.into_iter().map(of_words).collect();
        Ok(())
    }

    fn add_spans(&self, reading: &mut TagReading) {
        let names = &self.tagger.run().config.labels;
        if !mark_spans(names) {
            return;
        }
        let mut before = 0;
        for sentence in &self.read {
            let tags: Vec<&str> = sentence.predicted.iter().map(|word| names[word.label].as_str()).collect();
            for Span { kind, first, last } in spans(&tags) {
                reading.span_firsts.push((before + first) as u32);
                reading.span_lasts.push((before + last) as u32);
                reading.span_kinds.push(kind.into());
            }
            before += tags.len();
        }
    }

    fn explain_word(&self, index: usize) -> Result<Value, String> {
        let mut before = 0;
        let sentence = self.read.iter().find(|sentence| {
            before += sentence.words.len();
            index < before
        });
        let Sentence { words, predicted } = sentence.ok_or("the text that was read last has no such word")?;
        let begin = before - words.len();
        let word = index - begin;
        let field = self.tagger.run().model.receptive_field();
        if field.left.min(word) + field.right.min(words.len() - 1 - word) >= LONGEST_FIELD {
            return Ok(json!({ "shares": [] }));
        }
        let evidence = tag_evidence_of(&self.tagger, words, word, predicted[word].label);
        let evidence = evidence.map_err(|error| error.to_string())?;
        let mut evidence = json!(evidence);
        evidence["first"] = (begin + evidence["first"].as_u64().unwrap_or_default() as usize).into();
        Ok(evidence)
    }
}

/// The parts of a text: each has as many whole sentences as have [`MOST_WORDS`] words. A longer sentence is cut into
/// pieces. There is at least one part.
fn parts(sentences: &[Vec<Range<usize>>]) -> Vec<Vec<&[Range<usize>]>> {
    let (mut parts, mut room) = (vec![Vec::new()], MOST_WORDS);
    for piece in sentences.iter().flat_map(|sentence| sentence.chunks(MOST_WORDS)) {
        if piece.len() > room {
            parts.push(Vec::new());
            room = MOST_WORDS;
        }
        room -= piece.len();
        if let Some(part) = parts.last_mut() {
            part.push(piece);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_sentences() {
        let sentence = |words: usize| (0..words).map(|at| 2 * at..2 * at + 1).collect::<Vec<_>>();
        let lengths = |sentences: &[usize]| {
            let sentences: Vec<_> = sentences.iter().map(|&words| sentence(words)).collect();
            let parts = parts(&sentences);
            parts.into_iter().map(|part| part.into_iter().map(<[_]>::len).collect()).collect::<Vec<Vec<_>>>()
        };
        assert_eq!(lengths(&[]), [Vec::<usize>::new()]);
        assert_eq!(lengths(&[20, 1_480, 3]), [vec![20, 1_480], vec![3]]);
        assert_eq!(lengths(&[800, 800, 1]), [vec![800], vec![800, 1]]);
        assert_eq!(lengths(&[5, 3_200, 9]), [vec![5], vec![1_500], vec![1_500], vec![200, 9]]);
    }
}

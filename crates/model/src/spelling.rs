//! The spelling of words: a convolution over the bytes of each distinct word, beside its embedding, so that unknown
//! words have a form too (dos Santos and Zadrozny 2014, section 2.1.2; Ma and Hovy 2016, section 2.1).
//!
//! Those papers read characters. Bytes need no vocabulary of their own, and no byte is unknown.

use std::collections::HashMap;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::encoder::{Conv, ConvConfig, Encode, Settings};
use crate::limits::{MAX_SIZE, check_size, product};
use crate::pooling::max_over_positions;
use crate::{Pooling, Words};

/// The beginning of a word, after the bytes.
const BEGIN: i32 = 256;
/// The end of a word.
const END: i32 = 257;
/// The number of rows of the embedding: the bytes, the beginning and the end.
const ROWS: usize = 258;
/// How many bytes of a word are read at most, half of them from its beginning and half from its end.
const MOST_BYTES: usize = 64;

/// Settings of [`Spelling`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpellingConfig {
    /// The number of dimensions of a byte's embedding.
    pub embedding: usize,
    /// The number of filters of each width.
    pub filters: usize,
    /// The widths of the filters, in bytes.
    pub kernel_sizes: Vec<usize>,
}

impl SpellingConfig {
    /// The number of dimensions that the spelling adds to the embedding of a word.
    pub fn dimensions(&self) -> usize {
        self.filters.saturating_mul(self.kernel_sizes.len())
    }

    pub(crate) fn parameters(&self) -> u64 {
        product([ROWS, self.embedding]).saturating_add(self.conv().parameters(self.embedding))
    }

    /// Checks the settings; a message begins with the name of the setting.
    pub(crate) fn check(&self) -> Result<(), String> {
        let named = |error: String| format!("spelling.{error}");
        check_size("embedding", self.embedding).map_err(named)?;
        self.conv().check().map_err(named)?;
        check_size("filters times kernel_sizes", self.dimensions()).map_err(named)?;
        let window = product([self.embedding, self.kernel_sizes.iter().copied().max().unwrap_or(1)]);
        if window > MAX_SIZE as u64 {
            return Err(format!("spelling.embedding times kernel_sizes must be {MAX_SIZE} or less, but is {window}"));
        }
        Ok(())
    }

    /// Initializes the spelling.
    pub(crate) fn init(&self, device: &Device) -> Spelling {
        Spelling {
            embed: EmbeddingConfig::new(ROWS, self.embedding)
                .with_initializer(Initializer::Normal { mean: 0.0, std: 0.1 })
                .init(device),
            conv: self.conv().init(self.embedding, device),
        }
    }

    fn conv(&self) -> ConvConfig {
        ConvConfig::new(self.filters, &self.kernel_sizes)
    }
}

/// Convolutions over the bytes of a word, with ReLU, of which the largest value of each filter is taken.
#[derive(Module, Debug)]
pub struct Spelling {
    /// One vector per byte, and for the beginning and the end of a word: `[258, embedding]`.
    pub embed: Embedding,
    /// The filters.
    pub conv: Conv,
}

impl Spelling {
    /// The rows of the embedding that a form is read as: that of its beginning, those of its bytes and that of its end.
    /// Of a form of more than 64 bytes, the first 32 and the last 32 are read.
    pub fn rows_of(form: &str) -> Vec<usize> {
        bytes_of(form).into_iter().map(|row| row as usize).collect()
    }

    /// The spelling of each form, `[forms, dimensions]`.
    pub(crate) fn forward(&self, bytes: &FormBytes) -> Tensor<2> {
        let words = Words::from_parts(self.embed.weight.val(), bytes.bytes.clone(), bytes.mask.clone());
        self.conv
            .forward_pooled(&words, Pooling::Max)
            .unwrap_or_else(|| max_over_positions(self.conv.forward_words(&words), bytes.mask.clone()))
    }
}

/// The bytes of some forms, as [`Spelling`] reads them.
#[derive(Clone, Debug)]
pub(crate) struct FormBytes {
    /// `[forms, bytes]`
    bytes: Tensor<2, Int>,
    /// 1 where a byte counts and 0 at padding, `[forms, bytes]`.
    mask: Tensor<2>,
}

/// The distinct forms of the words of some texts, such as *Films*, each with the word of the vocabulary that it is
/// read as, such as *films*. The ids of a text are then indices of forms.
///
/// Form 0 is that of padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms {
    forms: Vec<Box<str>>,
    /// The id of the word of each form.
    words: Vec<u32>,
    indices: HashMap<Box<str>, u32>,
    unk_id: u32,
}

impl Forms {
    /// No forms but that of padding. `unk_id` is the word of forms that the vocabulary does not have.
    pub fn new(pad_id: u32, unk_id: u32) -> Self {
        Self { forms: vec!["".into()], words: vec![pad_id], indices: HashMap::new(), unk_id }
    }

    /// The index of a form, which is added if it is new, with the word that `word` returns; none stands for the unknown
    /// word.
    pub fn add(&mut self, form: &str, word: impl FnOnce() -> Option<u32>) -> u32 {
        if let Some(&index) = self.indices.get(form) {
            return index;
        }
        let index = self.forms.len() as u32;
        self.forms.push(form.into());
        self.words.push(word().unwrap_or(self.unk_id));
        self.indices.insert(form.into(), index);
        index
    }

    /// The number of forms, that of padding included.
    pub fn len(&self) -> usize {
        self.forms.len()
    }

    /// Whether there is no form but that of padding.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// A form.
    ///
    /// # Panics
    ///
    /// If there is none with this index.
    pub fn form(&self, index: u32) -> &str {
        &self.forms[index as usize]
    }

    /// Whether a form is read as the unknown word.
    ///
    /// # Panics
    ///
    /// As [`form`](Self::form).
    pub fn is_unknown(&self, index: u32) -> bool {
        self.words[index as usize] == self.unk_id
    }

    /// The index of the same form, read as the unknown word: only its spelling is left.
    pub fn only_spelling(&self, index: u32) -> u32 {
        self.len() as u32 + index
    }

    /// The word of a form or [only of its spelling](Self::only_spelling).
    pub(crate) fn word(&self, index: u32) -> u32 {
        self.words.get(index as usize).copied().unwrap_or(self.unk_id)
    }

    /// The bytes of some forms. There is at least one position, so that a tensor can hold them.
    pub(crate) fn bytes(&self, indices: &[i32], device: &Device) -> FormBytes {
        let read = |&index: &i32| bytes_of(self.form((index as usize % self.len()) as u32));
        let rows: Vec<Vec<i32>> = indices.iter().map(read).collect();
        let length = rows.iter().map(Vec::len).max().unwrap_or(1);
        let (mut bytes, mut mask) = (vec![0; rows.len() * length], vec![0.0f32; rows.len() * length]);
        for (row, values) in rows.iter().enumerate() {
            let places = row * length..row * length + values.len();
            bytes[places.clone()].copy_from_slice(values);
            mask[places].fill(1.0);
        }
        let shape = [rows.len(), length];
        FormBytes {
            bytes: Tensor::from_data(TensorData::new(bytes, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
        }
    }
}

/// The rows of the embedding that a form is read as.
fn bytes_of(form: &str) -> Vec<i32> {
    let bytes = form.as_bytes();
    let kept: Vec<u8> = match bytes.len().checked_sub(MOST_BYTES) {
        Some(excess) if excess > 0 => [&bytes[..MOST_BYTES / 2], &bytes[bytes.len() - MOST_BYTES / 2..]].concat(),
        _ => bytes.to_vec(),
    };
    let middle = kept.into_iter().map(i32::from);
    std::iter::once(BEGIN).chain(middle).chain([END]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_numbered_as_they_are_added() {
        let mut forms = Forms::new(0, 2);
        let index = forms.add("Films", || Some(7));
        assert_eq!((index, forms.add("Films", || None), forms.add("x", || None)), (1, 1, 2));
        assert_eq!((forms.len(), forms.form(1), forms.is_unknown(1), forms.is_unknown(2)), (3, "Films", false, true));
        let without = forms.only_spelling(1);
        assert_eq!((forms.word(1), forms.word(without), forms.word(0)), (7, 2, 0));
    }

    #[test]
    fn long_words_are_read_at_both_ends() {
        assert_eq!(bytes_of("ab"), [BEGIN, 97, 98, END]);
        assert_eq!(bytes_of(""), [BEGIN, END]);
        let long = format!("{}{}", "a".repeat(100), "b".repeat(32));
        let read = bytes_of(&long);
        assert_eq!(read.len(), MOST_BYTES + 2);
        assert_eq!((read[32], read[33]), (97, 98));
        assert_eq!(bytes_of(&"é".repeat(40)).len(), MOST_BYTES + 2);
    }
}

//! Texts of several lengths as one rectangle of ids.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::spelling::FormBytes;
use crate::{Forms, Padding};

/// Texts as ids, padded to the length of the longest.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The ids, `[batch, length]`.
    pub ids: Tensor<2, Int>,
    /// 1 where a position counts, 0 where it is padding, `[batch, length]`.
    pub mask: Tensor<2>,
    /// The distinct ids in ascending order, `[distinct]`. A model reads only the embeddings of these. If texts consist
    /// of forms, it is the word of each distinct form; words may repeat.
    pub distinct: Tensor<1, Int>,
    /// The index into `distinct` of the id at each position, `[batch, length]`.
    pub(crate) distinct_indices: Tensor<2, Int>,
    /// The ids of each text, without padding and not cut. A lexicon reads these.
    pub(crate) texts: Arc<Vec<Vec<u32>>>,
    /// The bytes of each of `distinct`, if texts consist of forms.
    pub(crate) spellings: Option<FormBytes>,
    /// The label of the text of each of `distinct`, if texts have one.
    pub(crate) conditions: Option<Tensor<1, Int>>,
}

impl Batch {
    /// Makes a batch of texts, padded as `padding` says. Ids must fit in 31 bits.
    pub fn new(texts: &[&[u32]], padding: Padding, pad_id: u32, device: &Device) -> Self {
        match padding {
            Padding::Masked => Self::masked(texts, pad_id, device),
            Padding::Counted { length } => Self::counted(texts, pad_id, length, device),
        }
    }

    /// Makes a batch of texts that consist of forms, given by their indices, which may be those of
    /// [spellings](Forms::only_spelling) only. It is padded on the right.
    pub fn of_forms(texts: &[&[u32]], forms: &Forms, device: &Device) -> Self {
        let (ids, mask, length) = padded(texts, 0);
        Self::from_vecs(texts, ids, mask, length, Some(forms), device)
    }

    /// Makes a batch of texts that are written for a label each, given by its index. It is padded on the right. A word
    /// is distinct from the same word of a text with another label.
    ///
    /// # Panics
    ///
    /// If there is not one label per text, or labels and ids together do not fit in 31 bits.
    pub fn with_labels(texts: &[&[u32]], labels: &[usize], pad_id: u32, device: &Device) -> Self {
        assert_eq!(texts.len(), labels.len(), "every text has a label");
        let (ids, mask, length) = padded(texts, pad_id);
        let words = ids.iter().max().map_or(1, |&id| id + 1);
        let highest = labels.iter().max().copied().unwrap_or(0);
        let fits = highest < (i32::MAX / words) as usize;
        assert!(fits, "labels up to {highest} of {words} words");
        let of_place = |(place, id): (usize, &i32)| labels[place / length] as i32 * words + id;
        let pairs: Vec<i32> = ids.iter().enumerate().map(of_place).collect();
        let (distinct, indices) = distinct(&pairs);
        let (shape, count) = ([texts.len(), length], distinct.len());
        let of_pairs = |part: fn(i32, i32) -> i32| {
            let parts: Vec<i32> = distinct.iter().map(|&pair| part(pair, words)).collect();
            Tensor::from_data(TensorData::new(parts, [count]), device)
        };
        Self {
            ids: Tensor::from_data(TensorData::new(ids, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            distinct: of_pairs(|pair, words| pair % words),
            distinct_indices: Tensor::from_data(TensorData::new(indices, shape), device),
            texts: owned(texts),
            spellings: None,
            conditions: Some(of_pairs(|pair, words| pair / words)),
        }
    }

    /// The same batch, in which a lexicon reads other texts: those without dropped words.
    pub fn with_texts_for_lexicon(self, texts: &[&[u32]]) -> Self {
        Self { texts: owned(texts), ..self }
    }

    /// Pads `texts` on the right to the length of the longest. Padding does not count.
    ///
    /// If every text is empty, the batch still has one position, of padding.
    pub fn masked(texts: &[&[u32]], pad_id: u32, device: &Device) -> Self {
        let (ids, mask, length) = padded(texts, pad_id);
        Self::from_vecs(texts, ids, mask, length, None, device)
    }

    /// Cuts or pads `texts` at the front to exactly `length` positions, all of which count; see
    /// [`Padding::Counted`].
    pub fn counted(texts: &[&[u32]], pad_id: u32, length: usize, device: &Device) -> Self {
        let mut ids = vec![pad_id as i32; texts.len() * length];
        for (row, text) in texts.iter().enumerate() {
            let kept = &text[text.len().saturating_sub(length)..];
            let end = (row + 1) * length;
            ids[end - kept.len()..end].copy_from_slice(&as_ints(kept));
        }
        let mask = vec![1.0; texts.len() * length];
        Self::from_vecs(texts, ids, mask, length, None, device)
    }

    /// A batch of rows of `length` ids. With forms, an id is the index of one.
    fn from_vecs(
        texts: &[&[u32]],
        ids: Vec<i32>,
        mask: Vec<f32>,
        length: usize,
        forms: Option<&Forms>,
        device: &Device,
    ) -> Self {
        let shape = [texts.len(), length];
        let (distinct, indices) = distinct(&ids);
        let spellings = forms.map(|forms| forms.bytes(&distinct, device));
        let words = |ids: Vec<i32>| match forms {
            Some(forms) => ids.into_iter().map(|id| forms.word(id as u32) as i32).collect(),
            None => ids,
        };
        let ints = |values: Vec<i32>| Tensor::from_data(TensorData::new(values, shape), device);
        let count = distinct.len();
        Self {
            ids: ints(words(ids)),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            distinct: Tensor::from_data(TensorData::new(words(distinct), [count]), device),
            distinct_indices: ints(indices),
            texts: owned(texts),
            spellings,
            conditions: None,
        }
    }
}

/// The ids of texts, padded on the right to the length of the longest; the mask of those that count; and this length.
fn padded(texts: &[&[u32]], pad_id: u32) -> (Vec<i32>, Vec<f32>, usize) {
    let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
    let mut ids = vec![pad_id as i32; texts.len() * length];
    let mut mask = vec![0.0f32; texts.len() * length];
    for (row, text) in texts.iter().enumerate() {
        let places = row * length..row * length + text.len();
        ids[places.clone()].copy_from_slice(&as_ints(text));
        mask[places].fill(1.0);
    }
    (ids, mask, length)
}

/// The distinct ids in ascending order, and the index of each of `ids` among them.
fn distinct(ids: &[i32]) -> (Vec<i32>, Vec<i32>) {
    let vocabulary = ids.iter().max().map_or(0, |&highest| highest as usize + 1);
    let mut index_of = vec![-1; vocabulary];
    ids.iter().for_each(|&id| index_of[id as usize] = 0);
    let mut distinct = Vec::new();
    for (id, index) in index_of.iter_mut().enumerate().filter(|(_, index)| **index == 0) {
        *index = distinct.len() as i32;
        distinct.push(id as i32);
    }
    let indices = ids.iter().map(|&id| index_of[id as usize]).collect();
    (distinct, indices)
}

fn owned(texts: &[&[u32]]) -> Arc<Vec<Vec<u32>>> {
    Arc::new(texts.iter().map(|ids| ids.to_vec()).collect())
}

fn as_ints(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|&id| id as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(batch: Batch) -> (Vec<i64>, Vec<f32>) {
        (batch.ids.try_into_vec_as::<i64>().expect("ids"), batch.mask.try_into_vec_as::<f32>().expect("mask"))
    }

    #[test]
    fn masked_batches_pad_on_the_right() {
        let batch = Batch::masked(&[&[5, 6, 7], &[8], &[]], 0, &Device::flex());
        let (ids, mask) = values(batch);
        assert_eq!(ids, [5, 6, 7, 8, 0, 0, 0, 0, 0]);
        assert_eq!(mask, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn distinct_ids_and_indices_give_back_the_ids() {
        let (distinct, indices) = super::distinct(&[7, 3, 7, 0, 3]);
        assert_eq!((distinct, indices), (vec![0, 3, 7], vec![2, 1, 2, 0, 1]));
        assert_eq!(super::distinct(&[]), (vec![], vec![]));
    }

    #[test]
    fn a_word_is_distinct_from_that_of_another_label() {
        let batch = Batch::with_labels(&[&[5, 6, 5], &[5]], &[0, 1], 0, &Device::flex());
        let values = |tensor: Tensor<1, Int>| tensor.try_into_vec_as::<i64>().expect("ids");
        assert_eq!(values(batch.distinct.clone()), [5, 6, 0, 5]);
        assert_eq!(values(batch.conditions.clone().expect("labels")), [0, 0, 1, 1]);
        let indices = batch.distinct_indices.clone().try_into_vec_as::<i64>().expect("indices");
        assert_eq!(indices, [0, 1, 0, 3, 2, 2]);
        assert_eq!(super::tests::values(batch).0, [5, 6, 5, 5, 0, 0]);
    }

    #[test]
    fn counted_batches_pad_and_cut_at_the_front() {
        // keras.utils.pad_sequences([[5, 6, 7], [8]], maxlen=2)  ->  [[6, 7], [0, 8]]
        let (ids, mask) = values(Batch::counted(&[&[5, 6, 7], &[8]], 0, 2, &Device::flex()));
        assert_eq!(ids, [6, 7, 0, 8]);
        assert_eq!(mask, [1.0; 4]);
    }
}

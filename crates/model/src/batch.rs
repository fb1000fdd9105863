//! Texts of several lengths as one rectangle of ids.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::Padding;

/// Texts as ids, padded to the longest.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The ids, `[batch, length]`.
    pub ids: Tensor<2, Int>,
    /// 1 where a position counts, 0 where it is padding, `[batch, length]`.
    pub mask: Tensor<2>,
    /// Each id that occurs, once, in rising order, `[distinct]`: a model reads the embeddings of
    /// these words and no others.
    pub distinct: Tensor<1, Int>,
    /// Where each position's id stands among the distinct ones, `[batch, length]`.
    pub(crate) among_distinct: Tensor<2, Int>,
}

impl Batch {
    /// Texts as a batch, with the empty places treated as `padding` says.
    pub fn new(texts: &[&[u32]], padding: Padding, pad_id: u32, device: &Device) -> Self {
        match padding {
            Padding::Masked => Self::masked(texts, pad_id, device),
            Padding::Counted { length } => Self::counted(texts, pad_id, length, device),
        }
    }

    /// Pads `texts` on the right to the longest of them; the padding does not count.
    ///
    /// A batch in which every text is empty still has one (padded) position.
    pub fn masked(texts: &[&[u32]], pad_id: u32, device: &Device) -> Self {
        let length = texts.iter().map(|ids| ids.len()).max().unwrap_or(0).max(1);
        let mut ids = vec![pad_id as i32; texts.len() * length];
        let mut mask = vec![0.0f32; texts.len() * length];
        for (row, text) in texts.iter().enumerate() {
            let places = row * length..row * length + text.len();
            ids[places.clone()].copy_from_slice(&as_ints(text));
            mask[places].fill(1.0);
        }
        Self::from_vecs(ids, mask, [texts.len(), length], device)
    }

    /// Cuts and pads `texts` at the front to exactly `length` positions, all of which count,
    /// as document A's model has it.
    pub fn counted(texts: &[&[u32]], pad_id: u32, length: usize, device: &Device) -> Self {
        let mut ids = vec![pad_id as i32; texts.len() * length];
        for (row, text) in texts.iter().enumerate() {
            let kept = &text[text.len().saturating_sub(length)..];
            let end = (row + 1) * length;
            ids[end - kept.len()..end].copy_from_slice(&as_ints(kept));
        }
        let mask = vec![1.0; texts.len() * length];
        Self::from_vecs(ids, mask, [texts.len(), length], device)
    }

    fn from_vecs(ids: Vec<i32>, mask: Vec<f32>, shape: [usize; 2], device: &Device) -> Self {
        let (distinct, among) = distinct(&ids);
        let ints = |values: Vec<i32>| Tensor::from_data(TensorData::new(values, shape), device);
        let count = distinct.len();
        Self {
            ids: ints(ids),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            distinct: Tensor::from_data(TensorData::new(distinct, [count]), device),
            among_distinct: ints(among),
        }
    }
}

/// Each id once, in rising order, and where each of the ids stands among them.
fn distinct(ids: &[i32]) -> (Vec<i32>, Vec<i32>) {
    let vocabulary = ids.iter().max().map_or(0, |&highest| highest as usize + 1);
    let mut places = vec![-1; vocabulary];
    ids.iter().for_each(|&id| places[id as usize] = 0);
    let mut distinct = Vec::new();
    for (id, place) in places.iter_mut().enumerate().filter(|(_, place)| **place == 0) {
        *place = distinct.len() as i32;
        distinct.push(id as i32);
    }
    let among = ids.iter().map(|&id| places[id as usize]).collect();
    (distinct, among)
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
    fn distinct_ids_and_places_give_back_the_ids() {
        let (distinct, among) = super::distinct(&[7, 3, 7, 0, 3]);
        assert_eq!((distinct, among), (vec![0, 3, 7], vec![2, 1, 2, 0, 1]));
        assert_eq!(super::distinct(&[]), (vec![], vec![]));
    }

    #[test]
    fn counted_batches_pad_and_cut_at_the_front() {
        // keras.utils.pad_sequences([[5, 6, 7], [8]], maxlen=2)  ->  [[6, 7], [0, 8]]
        let (ids, mask) = values(Batch::counted(&[&[5, 6, 7], &[8]], 0, 2, &Device::flex()));
        assert_eq!(ids, [6, 7, 0, 8]);
        assert_eq!(mask, [1.0; 4]);
    }
}

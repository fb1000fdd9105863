//! What predictions are compared with.

use std::borrow::Cow;

use burn::tensor::Device;
use convlens_run::model::{Batch, Encode, Padding, TextModel};

/// The targets of texts: what a model should say of each.
///
/// Every task compares predictions with labels, and differs in where: a classifier has one label per text, which its
/// pooled prediction is compared with. A tagger has one label per token, and so has a language model, whose label is
/// the next token, and need not be given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Targets {
    /// One label per text.
    Labels(Vec<usize>),
    /// One label per token of each text; none where the prediction does not matter.
    Positions(Vec<Vec<Option<usize>>>),
    /// The next token after each token of a text but its last one.
    Next(Vec<NextTokens>),
}

/// Which tokens of a text a language model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTokens {
    /// How many, from the end of the text; the tokens before are context.
    pub count: usize,
    /// The label that the text is written for, which only models that know labels read.
    pub label: usize,
}

impl Targets {
    /// The number of texts.
    pub fn len(&self) -> usize {
        match self {
            Self::Labels(labels) => labels.len(),
            Self::Positions(texts) => texts.len(),
            Self::Next(texts) => texts.len(),
        }
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of labels.
    pub fn count(&self) -> usize {
        match self {
            Self::Labels(labels) => labels.len(),
            Self::Positions(texts) => texts.iter().map(|labels| labels.iter().flatten().count()).sum(),
            Self::Next(texts) => texts.iter().map(|text| text.count).sum(),
        }
    }

    /// The label of each text; empty if texts have labels at their positions.
    pub fn labels(&self) -> &[usize] {
        match self {
            Self::Labels(labels) => labels,
            Self::Positions(_) | Self::Next(_) => &[],
        }
    }

    /// The targets of the first `tokens` tokens of some texts, given by their indices.
    ///
    /// # Panics
    ///
    /// If there is no text with one of the indices.
    pub fn pick(&self, texts: &[usize], tokens: usize) -> Self {
        match self {
            Self::Labels(labels) => Self::Labels(texts.iter().map(|&text| labels[text]).collect()),
            Self::Positions(all) => {
                let first = |labels: &Vec<Option<usize>>| labels[..labels.len().min(tokens)].to_vec();
                Self::Positions(texts.iter().map(|&text| first(&all[text])).collect())
            }
            Self::Next(all) => Self::Next(texts.iter().map(|&text| all[text]).collect()),
        }
    }
}

/// The labels of the texts that a model reads.
pub(crate) enum Labels<'a> {
    OfTexts(&'a [usize]),
    OfPositions(Cow<'a, [Vec<Option<usize>>]>),
}

/// The texts that a model reads, given texts as ids and their targets, and their labels: of a text whose tokens are the
/// labels of those before them, all but the last token are read.
pub(crate) fn with_labels<'a>(rows: Vec<Cow<'a, [u32]>>, targets: &'a Targets) -> (Vec<Cow<'a, [u32]>>, Labels<'a>) {
    let next = match targets {
        Targets::Labels(labels) => return (rows, Labels::OfTexts(labels)),
        Targets::Positions(labels) => return (rows, Labels::OfPositions(Cow::Borrowed(labels))),
        Targets::Next(next) => next,
    };
    let labels = rows.iter().zip(next).map(|(ids, &NextTokens { count, .. })| {
        let context = ids.len().saturating_sub(count);
        ids.iter().enumerate().skip(1).map(|(at, &id)| (at >= context).then_some(id as usize)).collect()
    });
    let labels = Labels::OfPositions(labels.collect());
    let all_but_last = |ids: Cow<'a, [u32]>| match ids {
        Cow::Borrowed(ids) => Cow::Borrowed(&ids[..ids.len().saturating_sub(1)]),
        Cow::Owned(mut ids) => {
            ids.pop();
            Cow::Owned(ids)
        }
    };
    (rows.into_iter().map(all_but_last).collect(), labels)
}

/// A batch of texts for a model, with the labels that they are written for if the model knows labels.
pub(crate) fn batch_of<E: Encode>(
    model: &TextModel<E>,
    rows: &[&[u32]],
    targets: &Targets,
    (padding, pad_id): (Padding, u32),
    device: &Device,
) -> Batch {
    match targets {
        Targets::Next(next) if model.condition.is_some() => {
            let labels: Vec<usize> = next.iter().map(|next| next.label).collect();
            Batch::with_labels(rows, &labels, pad_id, device)
        }
        _ => Batch::new(rows, padding, pad_id, device),
    }
}

impl From<Vec<usize>> for Targets {
    fn from(labels: Vec<usize>) -> Self {
        Self::Labels(labels)
    }
}

impl<const N: usize> From<[usize; N]> for Targets {
    fn from(labels: [usize; N]) -> Self {
        Self::Labels(labels.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_labels_of_those_before_them() {
        let rows = vec![Cow::Borrowed(&[5, 6, 7, 8][..]), Cow::Owned(vec![1, 2])];
        let targets = Targets::Next([2, 1].map(|count| NextTokens { count, label: 0 }).to_vec());
        assert_eq!((targets.len(), targets.count()), (2, 3));
        let (rows, labels) = with_labels(rows, &targets);
        assert_eq!(rows, [vec![5, 6, 7], vec![1]]);
        let Labels::OfPositions(labels) = labels else { panic!("labels of texts") };
        assert_eq!(*labels, [vec![None, Some(7), Some(8)], vec![Some(2)]]);
    }
}

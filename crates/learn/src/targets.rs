//! What predictions are compared with.

use std::borrow::Cow;

use burn::tensor::Device;
use convlens_run::model::{Batch, Encode, Padding, TextModel};

/// The targets of texts: what a model should say of each.
///
/// Every task compares predictions with labels, and differs in where: a classifier has one label per text, or the
/// probability of every label, which its pooled prediction is compared with. A tagger has one label per token, and so
/// has a language model, whose label is the next token, and need not be given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets {
    /// One label per text.
    Labels(Vec<usize>),
    /// The probability of every label per text: what another model says of it, or 1 for the label that it has.
    Probabilities(LabelProbabilities),
    /// One label per token of each text; none where the prediction does not matter.
    Positions(Vec<Vec<Option<usize>>>),
    /// The next token after each token of a text but its last one.
    Next(Vec<NextTokens>),
}

/// The probability of every label for each of some texts.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelProbabilities {
    /// The number of labels.
    pub classes: usize,
    /// The probabilities, `[texts, classes]`.
    pub values: Vec<f32>,
}

impl LabelProbabilities {
    /// Those of texts whose labels are known.
    ///
    /// # Panics
    ///
    /// If a label is not below `classes`.
    pub fn of_labels(labels: &[usize], classes: usize) -> Self {
        let mut values = vec![0.0; labels.len() * classes];
        labels.iter().enumerate().for_each(|(text, label)| values[text * classes..][..classes][*label] = 1.0);
        Self { classes, values }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.values.len() / self.classes.max(1)
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The probabilities of each text.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes.max(1))
    }

    /// Those of some texts, given by their indices.
    fn pick(&self, texts: &[usize]) -> Self {
        let row = |&text: &usize| &self.values[text * self.classes..][..self.classes];
        Self { classes: self.classes, values: texts.iter().flat_map(row).copied().collect() }
    }
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
            Self::Probabilities(probabilities) => probabilities.len(),
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
            Self::Probabilities(probabilities) => probabilities.len(),
            Self::Positions(texts) => texts.iter().map(|labels| labels.iter().flatten().count()).sum(),
            Self::Next(texts) => texts.iter().map(|text| text.count).sum(),
        }
    }

    /// The label of each text; empty if texts have labels at their positions, or probabilities.
    pub fn labels(&self) -> &[usize] {
        match self {
            Self::Labels(labels) => labels,
            Self::Probabilities(_) | Self::Positions(_) | Self::Next(_) => &[],
        }
    }

    /// The probability of each label for each text; none if texts have labels at their positions.
    ///
    /// # Panics
    ///
    /// If a label is not below `classes`.
    pub fn probabilities(&self, classes: usize) -> Option<Cow<'_, LabelProbabilities>> {
        match self {
            Self::Labels(labels) => Some(Cow::Owned(LabelProbabilities::of_labels(labels, classes))),
            Self::Probabilities(probabilities) => Some(Cow::Borrowed(probabilities)),
            Self::Positions(_) | Self::Next(_) => None,
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
            Self::Probabilities(probabilities) => Self::Probabilities(probabilities.pick(texts)),
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
    /// One label per text, or the probabilities of its labels.
    OfTexts(&'a Targets),
    OfPositions(Cow<'a, [Vec<Option<usize>>]>),
}

/// The texts that a model reads, given texts as ids and their targets, and their labels: of a text whose tokens are the
/// labels of those before them, all but the last token are read.
pub(crate) fn with_labels<'a>(rows: Vec<Cow<'a, [u32]>>, targets: &'a Targets) -> (Vec<Cow<'a, [u32]>>, Labels<'a>) {
    let next = match targets {
        Targets::Labels(_) | Targets::Probabilities(_) => return (rows, Labels::OfTexts(targets)),
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

//! What predictions are compared with.

/// The targets of texts: what a model should say of each.
///
/// Every task compares predictions with labels, and differs in where: a classifier has one label per text, which its
/// pooled prediction is compared with. A tagger has one label per token, and so has a language model, whose label is
/// the next token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Targets {
    /// One label per text.
    Labels(Vec<usize>),
    /// One label per token of each text; none where the prediction does not matter.
    Positions(Vec<Vec<Option<usize>>>),
}

impl Targets {
    /// The number of texts.
    pub fn len(&self) -> usize {
        match self {
            Self::Labels(labels) => labels.len(),
            Self::Positions(texts) => texts.len(),
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
        }
    }

    /// The label of each text; empty if texts have labels at their positions.
    pub fn labels(&self) -> &[usize] {
        match self {
            Self::Labels(labels) => labels,
            Self::Positions(_) => &[],
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
        }
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

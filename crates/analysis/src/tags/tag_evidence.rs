//! Why words have their tags: what each word in the receptive field adds to the logit of a tag.

use burn::tensor::Tensor;
use convlens_run::model::EncoderSettings;
use convlens_run::{RunError, Tagger};

use crate::Evidence;
use crate::evidence::{Fields, Path};

/// The maximum number of words in a field that is explained in a sensible time: a recurrent model sees the whole
/// sentence at every word, and each word takes as long as the sentence.
pub const LONGEST_FIELD: usize = 500;

/// Whether the words of a sentence have fields of up to [`LONGEST_FIELD`] words.
pub fn can_be_explained<S: EncoderSettings>(tagger: &Tagger<S>, words: usize) -> bool {
    words.min(tagger.run().model.receptive_field().size()) <= LONGEST_FIELD
}

/// Why each word of a sentence has its label, given by their indices.
///
/// # Errors
///
/// [`RunError::Device`].
///
/// # Panics
///
/// If there is not one label for each word, or a label is not one of the run's.
pub fn tag_evidence<S: EncoderSettings, T: AsRef<str>>(
    tagger: &Tagger<S>,
    words: &[T],
    labels: &[usize],
) -> Result<Vec<Evidence>, RunError> {
    assert_eq!(words.len(), labels.len(), "every word has a label");
    if words.is_empty() {
        return Ok(Vec::new());
    }
    fields(tagger, labels).explain_all(&tagger.run().model, &embedded(tagger, words), 0..labels.len(), &|_| {})
}

/// Why one word of a sentence, given by its index, has a label. Only the words in its receptive field are read.
///
/// # Errors
///
/// [`RunError::Device`].
///
/// # Panics
///
/// If there is no such word, or the label is not one of the run's.
pub fn tag_evidence_of<S: EncoderSettings, T: AsRef<str>>(
    tagger: &Tagger<S>,
    words: &[T],
    word: usize,
    label: usize,
) -> Result<Evidence, RunError> {
    let field = fields(tagger, &vec![label; words.len()]).words(word);
    let (words, word) = (&words[field.clone()], word - field.start);
    let labels = vec![label; words.len()];
    let embedded = embedded(tagger, words);
    let found = fields(tagger, &labels).explain_all(&tagger.run().model, &embedded, word..word + 1, &|_| {})?;
    let evidence = found.into_iter().next().unwrap_or_else(|| unreachable!("one word was asked for"));
    Ok(Evidence { first: field.start + evidence.first, ..evidence })
}

fn fields<'a, S: EncoderSettings>(tagger: &Tagger<S>, labels: &'a [usize]) -> Fields<'a> {
    Fields { labels, field: tagger.run().model.receptive_field(), path: Path::Integrated, is_centred: false }
}

/// The vector of each word of a sentence, `[words, embedding]`.
fn embedded<S: EncoderSettings, T: AsRef<str>>(tagger: &Tagger<S>, words: &[T]) -> Tensor<2> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    tagger.run().model.embedded(&tagger.batch(&[words])).squeeze_dim(0)
}

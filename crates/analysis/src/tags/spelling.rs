//! What the filters over the bytes of words answer to: endings, beginnings, capital letters.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use convlens_run::model::{ConvLayer, EncoderSettings, Spelling};
use convlens_run::{RunError, Tagger, to_host};
use rayon::prelude::*;
use serde::Serialize;

use crate::OnStage;

/// Only the most frequent forms are read.
const MOST_FORMS: usize = 20_000;
/// How many filters are computed at once.
const FILTERS: usize = 128;
/// Longer forms are not read as a whole, and are left out.
const MOST_BYTES: usize = 64;
/// The number of words and of tags that a filter is shown with.
const EXAMPLES: usize = 5;
const TAGS: usize = 3;
/// Tags with a smaller share of the forms are not shown: a few words do not say what a filter answers to.
const LEAST_SHARE: f64 = 0.01;

/// A filter over the bytes of words. Its value for a word is the largest at any place of the word, or 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpellingFilter {
    /// The number of the filter.
    pub filter: usize,
    /// How many bytes it reads at once. The beginning and the end of a word are read as if they were bytes.
    pub width: usize,
    /// The mean of its values for the words of the data; every different word counts once here.
    pub mean: f64,
    /// How much of the variance of its values comes from the words of its [`fragments`](Self::fragments), from 0 to 1:
    /// how well these describe it.
    pub described: f64,
    /// How much of the variance of its values is between the tags of words, not among the words with the same tag: from
    /// 0 to 1 (the correlation ratio η²). A word with several tags is divided among them.
    pub explained_by_tags: f64,
    /// The tags whose words have the largest values.
    pub tags: Vec<TagValue>,
    /// The parts of words that it is largest at: those first whose value less the mean, times the number of their
    /// words, is largest, so that parts of many words come before those of a few.
    pub fragments: Vec<Fragment>,
}

/// The mean of the values of a filter for words with a tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagValue {
    /// The tag.
    pub tag: String,
    /// The mean.
    pub mean: f64,
}

/// A part of a word, or all of it, that a filter is largest at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fragment {
    /// The part; an ellipsis on a side means that the word goes on there.
    pub text: String,
    /// The value of the filter.
    pub value: f64,
    /// How many different words it is largest at this part of.
    pub words: usize,
    /// The most frequent of these words.
    pub examples: Vec<MarkedWord>,
}

/// A word, and the range of its bytes that a filter is largest at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MarkedWord {
    /// The word.
    pub word: String,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A word as it is written in the data, how often each tag is given to it, and its bytes as rows of the embedding.
struct Form<'a> {
    word: &'a str,
    tags: BTreeMap<usize, usize>,
    rows: Vec<usize>,
}

/// What the filters of the spelling answer to in some sentences, whose words have these tags: those first that their
/// fragments describe best. Each has up to `count` fragments. There are none if the model does not read the spelling.
///
/// # Errors
///
/// [`RunError::Device`].
pub fn spelling_filters<S: EncoderSettings>(
    tagger: &Tagger<S>,
    sentences: &[Vec<String>],
    tags: &[Vec<usize>],
    count: usize,
    on_stage: OnStage<'_>,
) -> Result<Vec<SpellingFilter>, RunError> {
    let Some(spelling) = &tagger.run().model.spelling else { return Ok(Vec::new()) };
    let labels = &tagger.run().config.labels;
    let forms = forms(sentences, tags);
    let total: usize = spelling.conv.widths.iter().map(|layer| layer.conv.weight.dims()[0]).sum();
    let mut found: Vec<SpellingFilter> = Vec::with_capacity(total);
    for layer in &spelling.conv.widths {
        let table = Table::new(spelling, layer)?;
        for first in (0..table.filters).step_by(FILTERS) {
            on_stage("filters of the spelling", found.len(), total);
            let filters = first..table.filters.min(first + FILTERS);
            let answers: Vec<Vec<(f64, usize)>> =
                forms.par_iter().map(|form| table.answers(&form.rows, filters.clone())).collect();
            let before = found.len();
            let of_filter = |at: usize| {
                let answers: Vec<(f64, usize)> = answers.iter().map(|of_form| of_form[at]).collect();
                let (mean, explained_by_tags, tags) = by_tag(&forms, &answers, labels);
                let fragments = fragments(&table, &forms, &answers, mean, count);
                let described = described(&fragments, &answers, mean);
                let (filter, width) = (before + at, table.width);
                SpellingFilter { filter, width, mean, described, explained_by_tags, tags, fragments }
            };
            found.par_extend((0..filters.len()).into_par_iter().map(of_filter));
        }
    }
    on_stage("filters of the spelling", total, total);
    found.sort_by(|a, b| b.described.total_cmp(&a.described).then(a.filter.cmp(&b.filter)));
    Ok(found)
}

/// The forms of the words, the most frequent first.
fn forms<'a>(sentences: &'a [Vec<String>], tags: &[Vec<usize>]) -> Vec<Form<'a>> {
    let mut counts: HashMap<&str, BTreeMap<usize, usize>> = HashMap::new();
    for (word, &tag) in sentences.iter().flatten().zip(tags.iter().flatten()) {
        if word.len() <= MOST_BYTES {
            *counts.entry(word).or_default().entry(tag).or_default() += 1;
        }
    }
    let form = |(word, tags)| Form { word, tags, rows: Spelling::rows_of(word) };
    let mut forms: Vec<Form<'_>> = counts.into_iter().map(form).collect();
    let count = |form: &Form<'_>| form.tags.values().sum::<usize>();
    forms.sort_by(|a, b| count(b).cmp(&count(a)).then(a.word.cmp(b.word)));
    forms.truncate(MOST_FORMS);
    forms
}

/// What each byte adds to each filter of a layer at each place.
struct Table {
    /// `[rows of the embedding, width, filters]`
    values: Vec<f32>,
    bias: Vec<f32>,
    width: usize,
    filters: usize,
    left: usize,
}

impl Table {
    fn new(spelling: &Spelling, layer: &ConvLayer) -> Result<Self, RunError> {
        let kernel = layer.filters(); // [filters, embedding, width]
        let [filters, embedding, width] = kernel.dims();
        let kernel = kernel.permute([1, 2, 0]).reshape([embedding, width * filters]);
        let values = to_host(spelling.embed.weight.val().matmul(kernel))?;
        let bias = match &layer.conv.bias {
            Some(bias) => to_host(bias.val())?,
            None => vec![0.0; filters],
        };
        Ok(Self { values, bias, width, filters, left: layer.field().left })
    }

    /// The largest value of each of some filters on a form, and the position that it is centred on.
    fn answers(&self, rows: &[usize], filters: Range<usize>) -> Vec<(f64, usize)> {
        let mut best = vec![(0.0, 0); filters.len()];
        for center in 0..rows.len() {
            let mut sums = self.bias[filters.clone()].to_vec();
            for place in 0..self.width {
                let Some(&row) = (center + place).checked_sub(self.left).and_then(|at| rows.get(at)) else { continue };
                let values = &self.values[(row * self.width + place) * self.filters..][filters.clone()];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            for (best, sum) in best.iter_mut().zip(sums) {
                if f64::from(sum) > best.0 {
                    *best = (f64::from(sum), center);
                }
            }
        }
        best
    }

    /// What a filter centred on a position reads of a word of `length` bytes. Position 0 is the beginning of the word,
    /// so that byte 0 is at position 1.
    fn part(&self, center: usize, length: usize) -> Part {
        let (end, right) = (length + 1, self.width - 1 - self.left);
        let bytes = center.saturating_sub(self.left + 1)..(center + right).min(length);
        Part { bytes: bytes.start.min(bytes.end)..bytes.end, begins: center <= self.left, ends: center + right >= end }
    }

    #[cfg(test)]
    fn of(values: Vec<f32>, width: usize, filters: usize) -> Self {
        Self { values, bias: vec![0.0; filters], width, filters, left: (width - 1) / 2 }
    }
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Part {
    bytes: Range<usize>,
    /// Whether the filter sees that the word begins here.
    begins: bool,
    /// Whether it sees that the word ends here.
    ends: bool,
}

impl Part {
    fn text(&self, word: &str) -> String {
        let bytes = String::from_utf8_lossy(&word.as_bytes()[self.bytes.clone()]);
        let side = |is_end: bool| if is_end { "" } else { "…" };
        format!("{}{bytes}{}", side(self.begins), side(self.ends))
    }
}

/// The mean of the values of a filter, how much of their variance is between tags, and the tags with the largest means.
/// Every form counts once, so that the few words that make up half of any text do not decide alone.
fn by_tag(forms: &[Form<'_>], answers: &[(f64, usize)], labels: &[String]) -> (f64, f64, Vec<TagValue>) {
    let mut sums = vec![(0.0f64, 0.0f64); labels.len()]; // of counts and values
    let (mut count, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for (form, &(value, _)) in forms.iter().zip(answers) {
        let total = form.tags.values().sum::<usize>() as f64;
        for (&tag, &times) in &form.tags {
            let times = times as f64 / total;
            sums[tag].0 += times;
            sums[tag].1 += times * value;
            (count, sum, squares) = (count + times, sum + times * value, squares + times * value * value);
        }
    }
    let mean = sum / count.max(1.0);
    let given = || sums.iter().filter(|sum| sum.0 > 0.0);
    let between: f64 = given().map(|(count, sum)| count * (sum / count - mean).powi(2)).sum();
    let variance = squares - count * mean * mean;
    let explained = if variance > 1e-9 { (between / variance).clamp(0.0, 1.0) } else { 0.0 };
    let mut tags: Vec<TagValue> = labels
        .iter()
        .zip(&sums)
        .filter(|(_, (of_tag, _))| *of_tag > LEAST_SHARE * count)
        .map(|(tag, (count, sum))| TagValue { tag: tag.clone(), mean: sum / count })
        .collect();
    tags.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    tags.truncate(TAGS);
    (mean, explained, tags)
}

/// How much of the variance of the values of a filter comes from the words of these fragments.
fn described(fragments: &[Fragment], answers: &[(f64, usize)], mean: f64) -> f64 {
    let all: f64 = answers.iter().map(|(value, _)| (value - mean).powi(2)).sum();
    let of_fragments: f64 =
        fragments.iter().map(|fragment| fragment.words as f64 * (fragment.value - mean).powi(2)).sum();
    if all > 1e-9 { (of_fragments / all).clamp(0.0, 1.0) } else { 0.0 }
}

/// The parts of words that a filter is largest at, in the order that [`SpellingFilter::fragments`] says. Words that
/// differ elsewhere share a part.
fn fragments(table: &Table, forms: &[Form<'_>], answers: &[(f64, usize)], mean: f64, count: usize) -> Vec<Fragment> {
    let mut found: Vec<Fragment> = Vec::new();
    let mut indices: HashMap<String, usize> = HashMap::new();
    for (form, &(value, center)) in forms.iter().zip(answers).filter(|(_, (value, _))| *value > mean) {
        let part = table.part(center, form.word.len());
        let index = *indices.entry(part.text(form.word)).or_insert_with_key(|text| {
            found.push(Fragment { text: text.clone(), value, words: 0, examples: Vec::new() });
            found.len() - 1
        });
        found[index].words += 1;
        if found[index].examples.len() < EXAMPLES {
            let Range { start, end } = part.bytes;
            found[index].examples.push(MarkedWord { word: form.word.into(), start, end });
        }
    }
    let weight = |fragment: &Fragment| (fragment.value - mean) * fragment.words as f64;
    found.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.text.cmp(&b.text)));
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of two filters of width 3: the first is largest at "g" followed by the end, the second at "a" anywhere.
    fn table() -> Table {
        let (rows, width, filters) = (258, 3, 2);
        let mut values = vec![0.0; rows * width * filters];
        let mut set =
            |row: usize, place: usize, filter: usize, value| values[(row * width + place) * filters + filter] = value;
        set(usize::from(b'g'), 1, 0, 1.0);
        set(257, 2, 0, 2.0);
        set(usize::from(b'a'), 1, 1, 1.0);
        Table::of(values, width, filters)
    }

    #[test]
    fn a_filter_answers_to_its_part_of_a_word() {
        let table = table();
        let answers = |word: &str| table.answers(&Spelling::rows_of(word), 0..2);
        assert_eq!(answers("going"), [(3.0, 5), (0.0, 0)]);
        assert_eq!(answers("ago"), [(2.0, 3), (1.0, 1)]);
        assert_eq!(table.answers(&Spelling::rows_of("ago"), 1..2), [(1.0, 1)]);
        let text = |center: usize, word: &str| table.part(center, word.len()).text(word);
        assert_eq!((text(5, "going"), text(1, "ago"), text(2, "ago")), ("…ng".into(), "ag…".into(), "…ago…".into()));
        assert_eq!((text(1, "a"), text(0, "ab"), text(3, "ab")), ("a".into(), "a…".into(), "…b".into()));
        assert_eq!(text(2, "ü"), "…ü"); // two bytes
        assert_eq!(text(1, "ü"), "ü…");
    }

    #[test]
    fn words_with_the_same_part_are_put_together() {
        let sentences = [["going", "ago", "Going", "going"].map(String::from).to_vec()];
        let forms = forms(&sentences, &[vec![0, 1, 0, 2]]);
        assert_eq!(forms.iter().map(|form| form.word).collect::<Vec<_>>(), ["going", "Going", "ago"]);
        let table = table();
        let answers: Vec<(f64, usize)> = forms.iter().map(|form| table.answers(&form.rows, 0..1)[0]).collect();
        let found = fragments(&table, &forms, &answers, 0.0, 5);
        assert_eq!((found[0].text.as_str(), found[0].value, found[0].words), ("…ng", 3.0, 2));
        assert_eq!(found[0].examples[1], MarkedWord { word: "Going".into(), start: 3, end: 5 });
        assert_eq!(found[1].words, 1);
        let first = fragments(&table, &forms, &answers, 0.0, 1);
        assert_eq!(first.len(), 1);
        assert_eq!((described(&found, &answers, 0.0), described(&first, &answers, 0.0)), (1.0, 18.0 / 22.0));
    }

    #[test]
    fn the_variance_between_tags_is_a_share() {
        let sentences = [["a", "a", "b", "b"].map(String::from).to_vec()];
        let labels = ["X", "Y"].map(String::from);
        let by_tags = |tags: [usize; 4]| by_tag(&forms(&sentences, &[tags.to_vec()]), &[(2.0, 0), (0.0, 0)], &labels);
        let (mean, explained, tags) = by_tags([0, 0, 1, 1]);
        assert_eq!((mean, explained), (1.0, 1.0));
        assert_eq!(tags, [TagValue { tag: "X".into(), mean: 2.0 }, TagValue { tag: "Y".into(), mean: 0.0 }]);
        assert_eq!(by_tags([0, 1, 0, 1]).1, 0.0);
        assert_eq!(by_tags([0, 0, 1, 0]).0, 1.0);
    }
}

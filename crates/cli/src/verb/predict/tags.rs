//! `convlens predict` with a run that tags: the tags of words, and the words that speak for them.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use convlens_analysis::{Evidence, can_be_explained, tag_evidence};
use convlens_data::{ConllFile, TaggedSentences};
use convlens_run::text::sentences;
use convlens_run::{Run, TaggedWord, Tagger};
use serde::Serialize;

use super::each_part;
use crate::args::PredictArgs;
use crate::failure::Failure;
use crate::output::{json_line, line, lines, styled_line};
use crate::printable::printable;
use crate::tagged::column;

/// The extensions of files of words in columns.
const COLUMNS: [&str; 3] = ["conllu", "conll", "iob"];
/// How many sentences are tagged at once.
const SENTENCES: usize = 10_000;
/// How many words are shown beside each word after a training.
const SHOWN: usize = 2;

/// A word of a text, with its place in it.
#[derive(Serialize)]
struct PlacedWord {
    #[serde(flatten)]
    tagged: TaggedWord,
    /// The bytes of the text that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Range<usize>>,
    /// Why it has its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

pub fn run(args: &PredictArgs, run: Run) -> Result<(), Failure> {
    let tagger = Tagger::new(run)?;
    match args.file.as_deref().filter(|path| is_in_columns(path)) {
        Some(path) => tag_file(&tagger, path, args),
        None => each_part(args, &mut |texts| {
            for text in texts {
                let found = sentences(text);
                let words: Vec<Vec<&str>> =
                    found.iter().map(|words| words.iter().map(|word| &text[word.clone()]).collect()).collect();
                show(&tagger, &words, Some(&found), args)?;
            }
            Ok(())
        }),
    }
}

fn is_in_columns(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Tags a file in columns: prints it with the tags in place of its own, or one line per sentence.
fn tag_file(tagger: &Tagger, path: &Path, args: &PredictArgs) -> Result<(), Failure> {
    let file = ConllFile::read(path)?;
    let words = |range: &Range<usize>| range.clone().map(|word| file.form(word)).collect::<Vec<_>>();
    let sentences: Vec<Vec<&str>> = file.sentences().iter().map(words).collect();
    if args.json {
        return sentences.chunks(SENTENCES).try_for_each(|sentences| show(tagger, sentences, None, args));
    }
    let config = &tagger.run().config;
    let column = file.column(config.dataset.file.as_ref().and_then(column).as_deref())?;
    let mut tags: Vec<&str> = Vec::with_capacity(file.len());
    for sentences in sentences.chunks(SENTENCES) {
        let labels = tagger.labels(sentences)?;
        tags.extend(labels.into_iter().flatten().map(|label| config.labels[label].as_str()));
    }
    let mut out = std::io::stdout().lock();
    let tagged = file.with_column(column, &tags);
    out.write_all(tagged.as_bytes()).and_then(|()| out.flush()).map_err(Failure::from_output_error)
}

/// Prints tagged sentences.
fn show(
    tagger: &Tagger,
    sentences: &[Vec<&str>],
    ranges: Option<&[Vec<Range<usize>>]>,
    args: &PredictArgs,
) -> Result<(), Failure> {
    if sentences.is_empty() {
        return Ok(());
    }
    let tagged = tagger.tag(sentences)?;
    if args.brief && !args.json {
        return lines(&tagged.iter().map(|words| one_line(words)).collect::<Vec<_>>());
    }
    for (index, tagged) in tagged.into_iter().enumerate() {
        let is_explained = !args.brief && can_be_explained(tagger, tagged.len());
        let evidence = if is_explained { Some(evidence(tagger, &tagged)?) } else { None };
        if !args.brief && evidence.is_none() {
            log::warn!("a sentence of {} words is too long for this model to be explained", tagged.len());
        }
        if args.json {
            let mut evidence = evidence.map(Vec::into_iter);
            let words = tagged.into_iter().enumerate().map(|(at, tagged)| PlacedWord {
                tagged,
                range: ranges.map(|ranges| ranges[index][at].clone()),
                evidence: evidence.as_mut().and_then(Iterator::next),
            });
            json_line(&serde_json::json!({ "words": words.collect::<Vec<_>>() }))?;
        } else {
            explain(&tagged, evidence.as_deref(), args.phrases)?;
        }
    }
    Ok(())
}

fn evidence(tagger: &Tagger, words: &[TaggedWord]) -> Result<Vec<Evidence>, Failure> {
    let labels = &tagger.run().config.labels;
    let of_tag = |word: &TaggedWord| labels.iter().position(|label| *label == word.tag).unwrap_or_default();
    let found: Vec<usize> = words.iter().map(of_tag).collect();
    let words: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
    Ok(tag_evidence(tagger, &words, &found)?)
}

/// A sentence as words with their tags, such as `good/ADJ film/NOUN`.
fn one_line(words: &[TaggedWord]) -> String {
    words.iter().map(|word| format!("{}/{}", word.word, word.tag)).collect::<Vec<_>>().join(" ")
}

/// Prints each word of a sentence with its tag, and the words that speak most for or against it.
fn explain(words: &[TaggedWord], evidence: Option<&[Evidence]>, count: usize) -> Result<(), Failure> {
    let width = |of: fn(&TaggedWord) -> &str| {
        use unicode_width::UnicodeWidthStr;
        words.iter().map(|word| printable(of(word)).width()).max().unwrap_or(0)
    };
    let (word_width, tag_width) = (width(|word| &word.word), width(|word| &word.tag));
    let (bold, faint) = (Style::new().bold(), Style::new().fg_color(Some(AnsiColor::BrightBlack.into())));
    for (at, word) in words.iter().enumerate() {
        let strongest = evidence.map(|evidence| evidence[at].strongest(count)).unwrap_or_default();
        let because =
            strongest.into_iter().map(|(other, share)| format!("{share:+.2} {}", printable(&words[other].word)));
        let (form, tag) = (printable(&word.word), printable(&word.tag));
        styled_line(format!(
            "{form}{}  {bold}{tag}{bold:#}{}  {:5.1} %  {faint}{}{faint:#}",
            padding(&form, word_width),
            padding(&tag, tag_width),
            100.0 * word.probability,
            because.collect::<Vec<_>>().join("  "),
        ))?;
    }
    let Some(evidence) = evidence else { return Ok(()) };
    let largest = evidence.iter().map(|evidence| evidence.residual.abs()).fold(0.0, f64::max);
    line(format!("  (each number is what a word adds to the logit of the tag; largest residual {largest:.0e})"))
}

fn padding(text: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthStr;
    " ".repeat(width.saturating_sub(text.width()))
}

/// Tags the two shortest sentences of several words with a run that was just trained.
pub fn tag_with(folder: &Path, test: &TaggedSentences) -> Result<(), Failure> {
    let tagger = Tagger::new(Run::open(folder)?)?;
    for words in test.shortest(2) {
        let tagged = tagger.tag(&[words.to_vec()])?.pop().unwrap_or_default();
        let evidence = evidence(&tagger, &tagged)?;
        explain(&tagged, Some(&evidence), SHOWN)?;
    }
    Ok(())
}

//! A complete analysis of a run that tags.

use std::sync::atomic::{AtomicUsize, Ordering};

use convlens_run::model::EncoderSettings;
use convlens_run::{TagEvaluation, Tagger};
use rayon::prelude::*;

use crate::analysis::json_file;
use crate::decisions::explained::choose;
use crate::pictures::tag_pictures;
use crate::{
    AnalysisError, Confusion, Excitations, ExplainedSentence, NamedFile, OnStage, Picture, SpellingFilter,
    TagCertificate, TagPlaces, TagWords, TaggedSentences, confusions, spelling_filters, tag_excitations, tag_places,
    tag_words,
};

/// How many sentences are tagged between two reports of progress.
const CHUNK: usize = 500;
/// How many sentences the phrases of each filter are taken from.
const PHRASES_FROM: usize = 1_000;
/// The explained words, each times the width of its receptive field, are at most this many times the number of
/// sentences. It bounds the time, for each takes a few milliseconds; a sentence of twenty words with a field of nine
/// has 180.
const POSITIONS_PER_SENTENCE: usize = 500;
/// They may be this many in any case.
const POSITIONS: usize = 50_000;

/// What to analyse.
#[derive(Clone, Debug)]
pub struct TagOptions {
    /// The user's own sentences, which are explained first.
    pub own: Vec<Vec<String>>,
    /// The number of sentences of the data to explain.
    pub explained: usize,
    /// The number of words and phrases in each list.
    pub words: usize,
    /// The seed of the choice of sentences.
    pub seed: u64,
}

impl Default for TagOptions {
    fn default() -> Self {
        Self { own: Vec::new(), explained: 80, words: 10, seed: 0 }
    }
}

/// What a run that tags has learnt.
#[derive(Clone, Debug)]
pub struct TagAnalysis {
    /// How well it does.
    pub evaluation: TagEvaluation,
    /// The tags that it mixes up most often.
    pub confusions: Vec<Confusion>,
    /// The explained sentences.
    pub sentences: Vec<ExplainedSentence>,
    /// Where the words that speak for each tag are, over the explained sentences of the data.
    pub places: Vec<TagPlaces>,
    /// The words that speak most for each tag, over the same sentences.
    pub words: Vec<TagWords>,
    /// What is exact about the explanations, and what is not.
    pub certificate: TagCertificate,
    /// What the filters of the spelling answer to; empty if the model does not read the spelling.
    pub spelling: Vec<SpellingFilter>,
    /// The phrases that excite each filter of the first layer most and least.
    pub excitations: Vec<Excitations>,
    /// The pictures of these.
    pub pictures: Vec<Picture>,
    /// One sentence for each thing that was left out because sentences are long.
    pub left_out: Vec<String>,
}

impl TagAnalysis {
    /// Analyses a run on tagged sentences that it was not trained on.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Run`], or [`AnalysisError::Plot`].
    pub fn new<S: EncoderSettings>(
        tagger: &Tagger<S>,
        data: &TaggedSentences<'_>,
        options: &TagOptions,
        on_stage: OnStage<'_>,
    ) -> Result<Self, AnalysisError> {
        let (run, total) = (tagger.run(), data.sentences.len());
        let mut found = Vec::with_capacity(total);
        for sentences in data.sentences.chunks(CHUNK) {
            on_stage("tagging sentences", found.len(), total);
            found.extend(tagger.labels(sentences)?);
        }
        on_stage("tagging sentences", total, total);
        let evaluation = TagEvaluation::new(run, data.sentences, data.tags, &found);
        let confusions = confusions(tagger, data, &found, options.words, options.seed, on_stage)?;
        let chosen = choose(total, options.explained, options.seed);
        let (sentences, left_out) = explain(tagger, data, &options.own, &chosen, on_stage)?;
        let of_data: Vec<&ExplainedSentence> = sentences.iter().filter(|sentence| sentence.index.is_some()).collect();
        let labels = &run.config.labels;
        let excite: Vec<usize> = choose(total, PHRASES_FROM, options.seed);
        let phrases_from: Vec<Vec<String>> = excite.iter().map(|&index| data.sentences[index].clone()).collect();
        let mut excitations = tag_excitations(tagger, &phrases_from, options.words, on_stage)?;
        for phrase in excitations.iter_mut().flat_map(|of_filter| of_filter.most.iter_mut().chain(&mut of_filter.least))
        {
            phrase.text = excite[phrase.text];
        }
        let mut analysis = Self {
            evaluation,
            confusions,
            places: tag_places(&of_data, labels),
            words: tag_words(&of_data, labels, options.words),
            certificate: TagCertificate::new(tagger, &sentences, on_stage)?,
            spelling: spelling_filters(tagger, data.sentences, &found, options.words, on_stage)?,
            excitations,
            sentences,
            pictures: Vec::new(),
            left_out: left_out.into_iter().collect(),
        };
        on_stage("drawing", 0, 1);
        analysis.pictures = tag_pictures(labels, &analysis)?;
        on_stage("drawing", 1, 1);
        Ok(analysis)
    }

    /// The names and contents of all files of the analysis except its report, for a run with these labels.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Report`] if a number cannot be written as JSON.
    pub fn files(&self, labels: &[String]) -> Result<Vec<NamedFile>, AnalysisError> {
        let lines: String = self.sentences.iter().map(|sentence| format!("{}\n", sentence.to_json(labels))).collect();
        let mut files = vec![
            json_file("evaluation", &self.evaluation)?,
            json_file("confusions", &self.confusions)?,
            json_file("places", &self.places)?,
            json_file("words", &self.words)?,
            json_file("certificate", &self.certificate)?,
            json_file("spelling", &self.spelling)?,
            json_file("excitations", &self.excitations)?,
            json_file("left_out", &self.left_out)?,
            ("sentences.jsonl".into(), lines.into_bytes()),
        ];
        for picture in &self.pictures {
            files.push((format!("{}.svg", picture.name), picture.svg.clone().into_bytes()));
            files.push((format!("{}.png", picture.name), picture.png.clone()));
        }
        Ok(files)
    }

    /// The picture with this name.
    pub fn picture(&self, name: &str) -> Option<&Picture> {
        self.pictures.iter().find(|picture| picture.name == name)
    }
}

/// Explains the user's own sentences, then the chosen ones of the data, as far as the bound allows. Returns a note if
/// it does not allow all of them.
fn explain<S: EncoderSettings>(
    tagger: &Tagger<S>,
    data: &TaggedSentences<'_>,
    own: &[Vec<String>],
    chosen: &[usize],
    on_stage: OnStage<'_>,
) -> Result<(Vec<ExplainedSentence>, Option<String>), AnalysisError> {
    let field = tagger.run().model.receptive_field();
    let own = own.iter().map(|words| (None, words.as_slice(), vec![None; words.len()]));
    let of_data = chosen.iter().map(|&index| (Some(index), data.sentences[index].as_slice(), data.tags[index].clone()));
    let total = own.len() + chosen.len();
    let most = total.saturating_mul(POSITIONS_PER_SENTENCE).max(POSITIONS);
    let mut rest = most;
    let fits = |(_, words, _): &(Option<usize>, &[String], Vec<Option<usize>>)| {
        let width = 1 + field.left.min(words.len()) + field.right.min(words.len());
        let left = words.len().checked_mul(width).and_then(|positions| rest.checked_sub(positions));
        rest = left.unwrap_or(rest);
        left.is_some()
    };
    let fitting: Vec<_> = own.chain(of_data).filter(fits).collect();
    let (done, count) = (AtomicUsize::new(0), fitting.len());
    on_stage("evidence for tags", 0, count);
    let sentences: Vec<ExplainedSentence> = fitting
        .into_par_iter()
        .map(|(index, words, expected)| {
            let explained = ExplainedSentence::new(tagger, index, words, expected);
            on_stage("evidence for tags", 1 + done.fetch_add(1, Ordering::Relaxed), count);
            explained
        })
        .collect::<Result<_, _>>()?;
    let note = (sentences.len() < total).then(|| {
        format!(
            "{} of {total} sentences are explained. The others are too long: at most {most} words of receptive \
             fields are read in all.",
            sentences.len()
        )
    });
    Ok((sentences, note))
}

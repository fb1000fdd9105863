//! A complete analysis of a run.

use convlens_run::model::EncoderSettings;
use convlens_run::{Run, WordVectors};
use serde::Serialize;
use serde_json::{Value, json};

use crate::contributions;
use crate::decisions::explained::{choose, explain};
use crate::pictures::pictures;
use crate::{
    AnalysisError, Certificate, Corpus, Excitations, Explained, Faithfulness, Filter, FilterVectors, Histogram, Judged,
    JudgedPhrase, LexiconWords, MinimalPairs, NamedFile, OnStage, Picture, PlaceWords, Plane, VectorFeature,
    Vocabulary, excitations, histograms, lexicon_words, receptive_fields, strongest_words, vector_features,
};

/// The maximum number of tokens of the corpus that are explained, over all texts. An explanation takes some 200 bytes
/// per token.
const EXPLAINED_TOKENS: usize = 1_000_000;

/// What to analyse.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user's own texts, which are explained first.
    pub own: Vec<String>,
    /// The number of texts of the corpus to explain.
    pub explained: usize,
    /// The number of these to measure faithfulness on.
    pub faithfulness: usize,
    /// The number of words and phrases in each list.
    pub words: usize,
    /// The largest residual that is accepted; see [`Certificate::tolerance`].
    pub tolerance: f64,
    /// The seed of the choice of texts.
    pub seed: u64,
    /// The word vectors that training started from, if there are any.
    pub vectors: Option<WordVectors>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            own: Vec::new(),
            explained: 1_000,
            faithfulness: 1_000,
            words: 10,
            tolerance: 1e-4,
            seed: 0,
            vectors: None,
        }
    }
}

/// What a run has learnt.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The check that the parts add up to the logits.
    pub certificate: Certificate,
    /// The explained texts.
    pub explained: Vec<Explained>,
    /// The strongest words of the folded table; `None` for a model that does not fold.
    pub words: Option<Vec<PlaceWords>>,
    /// The strongest words and phrases of the lexicon; `None` for a model without one.
    pub lexicon: Option<Vec<LexiconWords>>,
    /// What the features of the word vectors answer to; `None` if there are none.
    pub vector_features: Option<Vec<VectorFeature>>,
    /// The words that excite and inhibit each filter.
    pub filters: Vec<Filter>,
    /// The phrases that excite each filter most and least.
    pub excitations: Vec<Excitations>,
    /// Words and filters in one plane.
    pub plane: Plane,
    /// What each id adds to each logit on its own, `[vocab_size][outputs]`.
    pub contributions: Vec<Vec<f64>>,
    /// The distributions of the weights.
    pub histograms: Vec<Histogram>,
    /// Whether the explanations are faithful.
    pub faithfulness: Faithfulness,
    /// The agreement with phrases that people labelled; `None` if there are none.
    pub judged: Option<Judged>,
    /// How it does on minimal pairs; `None` if it is not a classifier of sentiment.
    pub pairs: Option<MinimalPairs>,
    /// The pictures of all these.
    pub pictures: Vec<Picture>,
    /// The words.
    pub vocabulary: Vocabulary,
    /// One sentence for each thing that was left out because texts are long.
    pub left_out: Vec<String>,
}

impl Analysis {
    /// Analyses a run on texts that it was not trained on.
    ///
    /// # Errors
    ///
    /// - [`AnalysisError::NotBinary`] if there are judged phrases and the model does not have two labels
    /// - [`AnalysisError::Residual`] if the parts do not add up
    /// - [`AnalysisError::Texts`] or [`AnalysisError::Run`]
    pub fn new<S: EncoderSettings>(
        run: &Run<S>,
        corpus: &Corpus<'_>,
        judged: Option<&[JudgedPhrase]>,
        options: &Options,
        on_stage: OnStage<'_>,
    ) -> Result<Self, AnalysisError> {
        if judged.is_some() {
            Judged::check(run)?;
        }
        let table = run.word_table()?;
        let vectors = FilterVectors::new(run)?;
        let contributions = contributions(run, table.as_ref())?;
        let to_first: Vec<f64> = contributions.iter().map(|contribution| contribution[0]).collect();
        // The eigenvalues of thousands of dimensions take one core as long as the certificate takes all.
        let (certificate, plane) = rayon::join(
            || Certificate::new(run, table.as_ref(), corpus, options.tolerance, on_stage),
            || Plane::new(&vectors, &to_first),
        );
        let certificate = certificate?;
        certificate.check(corpus)?;
        let chosen = choose(corpus.len(), options.explained, options.seed);
        let texts = corpus.encode_within(run, &chosen, EXPLAINED_TOKENS)?;
        let explained = explain(run, table.as_ref(), &options.own, &texts, on_stage)?;
        let vocabulary = Vocabulary::new(run);
        let measured: Vec<usize> = (0..texts.len().min(options.faithfulness)).collect();
        let faithfulness = Faithfulness::new(run, table.as_ref(), &texts.part(&measured), options.seed, on_stage)?;
        let notes = [
            certificate_note(certificate.texts, corpus.len()),
            explained_note(texts.len(), chosen.len()),
            faithfulness.note(),
        ];
        let left_out = notes.into_iter().flatten().collect();
        let mut analysis = Self {
            certificate,
            explained,
            words: table.as_ref().map(|table| strongest_words(run, table, &vocabulary, options.words)),
            lexicon: lexicon_words(run, &vocabulary, options.words)?,
            vector_features: options
                .vectors
                .as_ref()
                .map(|vectors| vector_features(vectors, &vocabulary, options.words)),
            filters: receptive_fields(&vectors, &vocabulary, options.words, on_stage),
            excitations: excitations(run, &texts, options.words, on_stage)?,
            plane,
            contributions,
            histograms: histograms(run)?,
            faithfulness,
            judged: judged.map(|phrases| Judged::new(run, phrases, on_stage)).transpose()?,
            pairs: MinimalPairs::new(run)?,
            pictures: Vec::new(),
            vocabulary,
            left_out,
        };
        on_stage("drawing", 0, 1);
        analysis.pictures = pictures(run, &analysis)?;
        on_stage("drawing", 1, 1);
        Ok(analysis)
    }

    /// The names and contents of all files of the analysis except its report.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Report`] if a number cannot be written as JSON.
    pub fn files(&self) -> Result<Vec<NamedFile>, AnalysisError> {
        let lines: String = self.explained.iter().map(|explained| format!("{}\n", explained.to_json())).collect();
        let mut files = vec![
            json_file("certificate", &self.certificate)?,
            json_file("receptive_fields", &self.filters)?,
            json_file("excitations", &self.excitations)?,
            json_file("weights", &self.histograms)?,
            json_file("faithfulness", &self.faithfulness)?,
            json_file("pca", &self.plane_with_words())?,
            json_file("left_out", &self.left_out)?,
            ("phrases.jsonl".into(), lines.into_bytes()),
        ];
        files.extend(self.words.as_ref().map(|words| json_file("words", words)).transpose()?);
        files.extend(self.lexicon.as_ref().map(|lexicon| json_file("lexicon", lexicon)).transpose()?);
        files.extend(self.vector_features.as_ref().map(|vectors| json_file("vectors", vectors)).transpose()?);
        files.extend(self.judged.as_ref().map(|judged| json_file("sst", judged)).transpose()?);
        files.extend(self.pairs.as_ref().map(|pairs| json_file("pairs", pairs)).transpose()?);
        for picture in &self.pictures {
            files.push((format!("{}.svg", picture.name), picture.svg.clone().into_bytes()));
            files.push((format!("{}.png", picture.name), picture.png.clone()));
        }
        Ok(files)
    }

    /// The plane, with each word and its contributions.
    fn plane_with_words(&self) -> Value {
        let word = |&id: &usize| json!([self.vocabulary.word(id), self.plane.words[id], self.contributions[id]]);
        json!({
            "explained_variance_ratio": self.plane.pca.explained_variance_ratio,
            "explained_variance": self.plane.pca.explained_variance,
            "effective_rank": self.plane.pca.effective_rank,
            "mean": self.plane.pca.mean,
            "components": self.plane.pca.components,
            "filters_on_their_side": self.plane.agreement(),
            "filters": self.plane.filters,
            "words": self.vocabulary.ids().iter().map(word).collect::<Value>(),
        })
    }

    /// The picture with this name.
    pub fn picture(&self, name: &str) -> Option<&Picture> {
        self.pictures.iter().find(|picture| picture.name == name)
    }
}

fn certificate_note(checked: usize, texts: usize) -> Option<String> {
    (checked < texts).then(|| {
        format!("The parts are added up for {checked} of {texts} texts. The others are too long for the model.")
    })
}

fn explained_note(explained: usize, chosen: usize) -> Option<String> {
    (explained < chosen).then(|| {
        format!(
            "{explained} of {chosen} texts are explained phrase by phrase. The others are too long: at most \
             {EXPLAINED_TOKENS} tokens are explained in all."
        )
    })
}

pub(crate) fn json_file(name: &str, value: &impl Serialize) -> Result<NamedFile, AnalysisError> {
    let bytes = serde_json::to_vec(value).map_err(|error| AnalysisError::Report(error.to_string()))?;
    Ok((format!("{name}.json"), bytes))
}

//! Everything that is looked at in a run, in one go.

use std::path::PathBuf;

use convlens_run::{Run, RunError, RunFolder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::contributions::contributions;
use crate::explained::{choose, explain};
use crate::pictures::pictures;
use crate::{
    AnalysisError, Certificate, Excitations, Explained, Faithfulness, Filter, FilterVectors, Histogram, Judged,
    JudgedPhrase, OnStage, Picture, PlaceWords, Plane, Texts, Vocabulary, excitations, histograms, receptive_fields,
    strongest_words,
};

/// The folder in a run folder that analyses are written to.
const FOLDER: &str = "analysis";

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Texts of the user's, to explain before all others.
    pub own: Vec<String>,
    /// How many texts of the corpus are explained.
    pub explained: usize,
    /// How many of these the faithfulness of the explanations is measured on.
    pub faithfulness: usize,
    /// How many words and phrases each list has.
    pub words: usize,
    /// The most that may be left of a logit when its parts are taken off.
    pub tolerance: f64,
    /// What texts are chosen by.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { own: Vec::new(), explained: 1_000, faithfulness: 1_000, words: 10, tolerance: 1e-4, seed: 0 }
    }
}

/// What a run has learnt.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Proof that the parts add up.
    pub certificate: Certificate,
    /// Texts explained.
    pub explained: Vec<Explained>,
    /// The folded table's strongest words; none for a model that does not fold.
    pub words: Option<Vec<PlaceWords>>,
    /// The words that excite and inhibit each filter.
    pub filters: Vec<Filter>,
    /// The phrases that excite each filter most and least.
    pub excitations: Vec<Excitations>,
    /// Words and filters in one plane.
    pub plane: Plane,
    /// What each id says for itself, for each logit.
    pub contributions: Vec<Vec<f64>>,
    /// How the weights are spread.
    pub histograms: Vec<Histogram>,
    /// Whether the explanations are what decides.
    pub faithfulness: Faithfulness,
    /// What people say; none where nobody was asked.
    pub judged: Option<Judged>,
    /// The pictures of all this.
    pub pictures: Vec<Picture>,
    /// The words.
    pub vocabulary: Vocabulary,
}

impl Analysis {
    /// Looks at a run, with texts that it has not been trained on.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Residual`] where the parts do not add up, [`AnalysisError::Run`].
    pub fn of(
        run: &Run,
        texts: &Texts<'_>,
        judged: Option<&[JudgedPhrase]>,
        options: &Options,
        on_stage: OnStage<'_>,
    ) -> Result<Self, AnalysisError> {
        if judged.is_some() && run.config.model.outputs != 1 {
            return Err(AnalysisError::NotBinary { labels: run.config.labels.join(", ") });
        }
        let table = run.word_table()?;
        let certificate = Certificate::of(run, table.as_ref(), texts, options.tolerance, on_stage)?;
        certificate.check()?;
        let chosen = choose(texts.len(), options.explained, options.seed);
        let explained = explain(run, table.as_ref(), &options.own, texts, &chosen, on_stage)?;
        let vocabulary = Vocabulary::of(run);
        let vectors = FilterVectors::of(run)?;
        let contributions = contributions(run, table.as_ref())?;
        let first: Vec<f64> = contributions.iter().map(|of_word| of_word[0]).collect();
        let mut analysis = Self {
            certificate,
            explained,
            words: table.as_ref().map(|table| strongest_words(run, table, &vocabulary, options.words)),
            filters: receptive_fields(&vectors, &vocabulary, options.words, on_stage),
            excitations: excitations(run, &texts.part(&chosen), options.words, on_stage)?,
            plane: Plane::of(&vectors, &first),
            contributions,
            histograms: histograms(run)?,
            faithfulness: Faithfulness::of(
                run,
                table.as_ref(),
                &texts.part(&chosen[..chosen.len().min(options.faithfulness)]),
                options.seed,
                on_stage,
            )?,
            judged: judged.map(|phrases| Judged::of(run, phrases, on_stage)).transpose()?,
            pictures: Vec::new(),
            vocabulary,
        };
        on_stage("drawing", 0, 1);
        analysis.pictures = pictures(run, &analysis)?;
        on_stage("drawing", 1, 1);
        Ok(analysis)
    }

    /// Every file of the analysis but its report: names and contents.
    ///
    /// # Errors
    ///
    /// [`AnalysisError::Report`] for a number that JSON cannot hold.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, AnalysisError> {
        let lines: String = self.explained.iter().map(|explained| format!("{}\n", explained.to_json())).collect();
        let mut files = vec![
            json_file("certificate", &self.certificate)?,
            json_file("receptive_fields", &self.filters)?,
            json_file("excitations", &self.excitations)?,
            json_file("weights", &self.histograms)?,
            json_file("faithfulness", &self.faithfulness)?,
            json_file("pca", &self.named_plane())?,
            ("phrases.jsonl".into(), lines.into_bytes()),
        ];
        files.extend(self.words.as_ref().map(|words| json_file("words", words)).transpose()?);
        files.extend(self.judged.as_ref().map(|judged| json_file("sst", judged)).transpose()?);
        for picture in &self.pictures {
            files.push((format!("{}.svg", picture.name), picture.svg.clone().into_bytes()));
            files.push((format!("{}.png", picture.name), picture.png.clone()));
        }
        Ok(files)
    }

    /// The plane with each word's name and what it says for itself.
    fn named_plane(&self) -> Value {
        let of_word = |&id: &usize| json!([self.vocabulary.word(id), self.plane.words[id], self.contributions[id]]);
        json!({
            "explained_variance_ratio": self.plane.pca.explained_variance_ratio,
            "explained_variance": self.plane.pca.explained_variance,
            "mean": self.plane.pca.mean,
            "components": self.plane.pca.components,
            "filters_on_their_side": self.plane.agreement(),
            "filters": self.plane.filters,
            "words": self.vocabulary.ids().iter().map(of_word).collect::<Value>(),
        })
    }

    /// A picture by its name.
    pub fn picture(&self, name: &str) -> Option<&Picture> {
        self.pictures.iter().find(|picture| picture.name == name)
    }
}

fn json_file(name: &str, value: &impl Serialize) -> Result<(String, Vec<u8>), AnalysisError> {
    let bytes = serde_json::to_vec(value).map_err(|error| AnalysisError::Report(error.to_string()))?;
    Ok((format!("{name}.json"), bytes))
}

/// Writes files into a run's `analysis/`, each whole or not at all, and returns the path of the
/// last.
///
/// # Errors
///
/// [`AnalysisError::Run`], naming the file.
pub fn write_analysis(folder: &RunFolder, files: &[(String, Vec<u8>)]) -> Result<PathBuf, AnalysisError> {
    let path = folder.file(FOLDER);
    std::fs::create_dir_all(&path).map_err(|source| RunError::Io { path: path.clone(), source })?;
    for (name, content) in files {
        folder.write(&format!("{FOLDER}/{name}"), content)?;
    }
    Ok(files.last().map_or(path.clone(), |(name, _)| path.join(name)))
}

//! `checkpoints/paths.json`: where a run's files are on the machine that it was trained on.
//!
//! `config.json` holds the names of the user's files without their folders, because it is published
//! with the model. Resuming and evaluating the run here needs the paths.

use std::path::PathBuf;

use convlens_model::EncoderSettings;
use serde::{Deserialize, Serialize};

use crate::config::file_name;
use crate::{LexiconVectorsConfig, RunConfig, TokenizerSource};

/// The file's name in a run folder.
pub(crate) const PATHS: &str = "checkpoints/paths.json";

/// The absolute paths of the user's files that a run was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalPaths {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokenizer: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    teachers: Vec<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unlabelled: Option<PathBuf>,
}

impl LocalPaths {
    /// The paths in a configuration.
    pub fn new<S: EncoderSettings>(config: &RunConfig<S>) -> Self {
        let file = config.dataset.file.as_ref();
        let tokenizer = match &config.text.tokenizer {
            TokenizerSource::File(path) => Some(path.clone()),
            TokenizerSource::Trained(_) => None,
        };
        let teacher = config.teacher.as_ref();
        let of_lexicon = config.lexicon_vectors.as_ref().and_then(|vectors| vectors.source.as_ref());
        let unlabelled = teacher.map(|teacher| &teacher.source).or(of_lexicon);
        Self {
            data: file.map(|file| file.path.clone()),
            validation_data: file.and_then(|file| file.validation.clone()),
            test_data: file.and_then(|file| file.test.clone()),
            tokenizer,
            vectors: config.vectors.as_ref().and_then(|vectors| vectors.source.path().cloned()),
            teachers: teacher.map(|teacher| teacher.runs.clone()).unwrap_or_default(),
            unlabelled: unlabelled.and_then(|source| source.path().cloned()),
        }
    }

    /// Whether the run uses no file of the user's.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts the paths into a configuration that holds the files' names. A path of another file is ignored.
    pub fn restore<S: EncoderSettings>(self, config: &mut RunConfig<S>) {
        let restore = |name: &mut PathBuf, path: Option<PathBuf>| {
            if let Some(path) = path.filter(|path| file_name(path) == file_name(name)) {
                *name = path;
            }
        };
        if let Some(file) = &mut config.dataset.file {
            restore(&mut file.path, self.data);
            if let Some(validation) = &mut file.validation {
                restore(validation, self.validation_data);
            }
            if let Some(test) = &mut file.test {
                restore(test, self.test_data);
            }
        }
        if let TokenizerSource::File(name) = &mut config.text.tokenizer {
            restore(name, self.tokenizer);
        }
        if let Some(name) = config.vectors.as_mut().and_then(|vectors| vectors.source.path_mut()) {
            restore(name, self.vectors);
        }
        if let Some(teacher) = &mut config.teacher {
            teacher.runs.iter_mut().zip(self.teachers).for_each(|(name, path)| restore(name, Some(path)));
            if let Some(name) = teacher.source.path_mut() {
                restore(name, self.unlabelled);
            }
        } else if let Some(name) = config.lexicon_vectors.as_mut().and_then(LexiconVectorsConfig::path_mut) {
            restore(name, self.unlabelled);
        }
    }
}

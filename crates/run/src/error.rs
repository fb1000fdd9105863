//! What can go wrong with a run folder.

use std::path::PathBuf;

use convlens_phrases::{PhrasesError, one_line};

use crate::Task;

/// An error of this crate. Its message names the file and says what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum RunError {
    /// What can also go wrong with a folded run.
    #[error(transparent)]
    Phrases(#[from] PhrasesError),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: already exists", path.display())]
    Exists { path: PathBuf },
    #[error("{}: is being trained by another process", path.display())]
    Locked { path: PathBuf },
    #[error("{}: holds no run", path.display())]
    NoRuns { path: PathBuf },
    #[error("{}: not the run's {content} ({}); put back the run's own file", path.display(), one_line(message))]
    Matrix { path: PathBuf, content: &'static str, message: String },
    #[error("a text of {tokens} tokens is too long for this model, which reads {most} at most; shorten it")]
    TooLong { tokens: usize, most: usize },
    #[error("this run {task}, and does not {}; name another run", expected.verb())]
    Task { task: Task, expected: Task },
    #[error("{}", if known.is_empty() { "this run writes texts for no label".into() } else { format!("this run writes texts for a label; name one of them: {known}") })]
    Label { known: String },
    #[error("this model cannot read a text a token at a time")]
    NoStream,
    #[error(
        "there is nothing to begin with: the prompt is empty, and texts of this run's tokenizer have no start; give a prompt"
    )]
    NoStart,
    #[error("{0}")]
    Model(#[from] convlens_model::ConfigError),
    #[error("cannot read from the device: {0}")]
    Device(String),
    #[error("no device is called {0:?} (there are: auto, cpu, wgpu, wgpu:N, cuda, cuda:N)")]
    UnknownDevice(String),
    #[error("device {device}: {message}")]
    NoDevice { device: String, message: String },
}

impl From<convlens_text::TextError> for RunError {
    fn from(error: convlens_text::TextError) -> Self {
        PhrasesError::from(error).into()
    }
}

//! What can go wrong with a run folder; every message names the file and the mend.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: no run folder (it has no config.json); train one with `convlens train --out {}`", path.display(), path.display())]
    NotARun { path: PathBuf },
    #[error("{}: exists already; name another folder with --out, or continue it with --resume", path.display())]
    Exists { path: PathBuf },
    #[error("{}: no run there; train one with `convlens train`", path.display())]
    NoRuns { path: PathBuf },
    #[error("{}: no trained weights yet; continue the run with `convlens train --resume --out {}`", path.display(), path.display())]
    Untrained { path: PathBuf },
    #[error("{}: not a configuration that this version reads: {message}", path.display())]
    Config { path: PathBuf, message: String },
    #[error("{}: written by a newer convlens (layout {found}, this version reads up to {known}); update convlens", path.display())]
    Newer { path: PathBuf, found: u64, known: u32 },
    #[error("{}: {message}", path.display())]
    Tokenizer { path: PathBuf, message: String },
    #[error("{}: {tokenizer} tokens, but the model was trained with {model}; put back the run's own tokenizer.json", path.display())]
    TokenizerSize { path: PathBuf, tokenizer: usize, model: usize },
    #[error("{}: truncated or damaged ({message}); copy it again", path.display())]
    DamagedWeights { path: PathBuf, message: String },
    #[error("{}: does not fit config.json ({message}); put back the run's own file", path.display())]
    MisfitWeights { path: PathBuf, message: String },
    #[error("text to ids: {0}")]
    Text(#[from] convlens_text::TextError),
    #[error("{0}")]
    Model(#[from] convlens_model::ConfigError),
    #[error("reading from the device: {0}")]
    Device(String),
    #[error("--device {0:?}: no such device; it is auto, cpu, wgpu, wgpu:N, cuda or cuda:N")]
    UnknownDevice(String),
    #[error("--device {device}: {message}")]
    NoDevice { device: String, message: String },
}

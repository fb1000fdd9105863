//! What can go wrong with a folded model and its texts.

use std::path::PathBuf;

/// An error of this crate. Its message names the file and says what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
#[non_exhaustive]
pub enum PhrasesError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: not a run folder (it has no config.json)", path.display())]
    NotARun { path: PathBuf },
    #[error("{}: not a folded model; fold a linear one, and open that", path.display())]
    NotFolded { path: PathBuf },
    #[error("{}: not one layer of convolutions with ReLU and max pooling; open it with convlens-run", path.display())]
    NotConv { path: PathBuf },
    #[error("{}: no trained weights yet", path.display())]
    Untrained { path: PathBuf },
    #[error("{}: not a configuration that this version can read: {}", path.display(), one_line(message))]
    Config { path: PathBuf, message: String },
    #[error("{name} is {}; it must be {expected}", one_line(value))]
    Setting { name: &'static str, value: String, expected: &'static str },
    #[error("{}: written by a newer convlens (layout {found}, this version reads up to {known}); update convlens", path.display())]
    Newer { path: PathBuf, found: u64, known: u32 },
    #[error("{}: {}", path.display(), one_line(message))]
    Tokenizer { path: PathBuf, message: String },
    #[error("{}: {tokenizer} tokens, but config.json says {model}; put back the run's own tokenizer.json", path.display())]
    TokenizerSize { path: PathBuf, tokenizer: usize, model: usize },
    #[error("{}: {size} bytes, where the run's other files allow for {most} at most; put back the run's own file", path.display())]
    TooLarge { path: PathBuf, size: u64, most: u64 },
    #[error("{}: truncated or damaged ({}); copy it again", path.display(), one_line(message))]
    DamagedWeights { path: PathBuf, message: String },
    #[error("{}: does not fit config.json ({}); put back the run's own file", path.display(), one_line(message))]
    MisfitWeights { path: PathBuf, message: String },
    #[error("model.safetensors: its weights are so large that a logit is not a finite number; train the run again")]
    Overflow,
    #[error("tokenizer.json: it cannot convert a text to ids: {0}")]
    Text(#[from] convlens_text::TextError),
}

/// A message that may quote a file: control characters are escaped, and a long one is cut.
pub fn one_line(message: &str) -> String {
    const MOST: usize = 400;
    let mut line = String::new();
    for character in message.chars() {
        if line.len() > MOST {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

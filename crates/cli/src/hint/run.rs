//! Hints for the errors of `convlens-run` and `convlens-phrases`.

use convlens_run::{PhrasesError, RunError};

use super::Hint;

impl Hint for RunError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Phrases(error) => return error.hint(),
            Self::NoRuns { .. } => "train one with `convlens train`".into(),
            Self::Exists { .. } => "name another folder with --out, or continue it with --resume".into(),
            Self::Locked { .. } => "wait until it ends, or name another folder with --out".into(),
            Self::NoDevice { .. } => "choose another with --device, such as --device cpu".into(),
            _ => return None,
        })
    }
}

impl Hint for PhrasesError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotARun { path } => format!("train one with `convlens train --out {}`", path.display()),
            Self::Untrained { path } => {
                format!("continue the run with `convlens train --resume --out {}`", path.display())
            }
            _ => return None,
        })
    }
}

//! Hints for the errors of `convlens-train`.

use convlens_train::TrainError;

use super::Hint;

impl Hint for TrainError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Run(error) => return error.hint(),
            Self::Data(error) => return error.hint(),
            Self::Checkpoint { .. } => "train again with another --out".into(),
            Self::NotFinite { .. } => "try a smaller --learning-rate".into(),
            Self::NoPadding(_) => "choose another --preset, or a --tokenizer with [PAD]".into(),
            Self::NoWords { .. } => {
                "name the column of the texts with --text-column, or train with --tokenizer bytes, which needs no words"
                    .into()
            }
            Self::Tokenizer { .. } => {
                "give --tokenizer the path of a tokenizer.json, or words, punctuated, contractions, characters, bytes or bpe".into()
            }
            _ => return None,
        })
    }
}

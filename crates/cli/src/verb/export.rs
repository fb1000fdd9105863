//! `convlens export`: writes a trained model in another format.

use std::path::{Path, PathBuf};

use convlens_analysis::{AnalysisError, FoldedFormat, folded};
use convlens_run::{Run, RunError, write_file};

use crate::args::ExportArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::source::{refuse_language_model, run_folder};

pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let out: PathBuf = args.out.clone().unwrap_or_else(|| folder.file("folded.csv"));
    let format = format_of(&out)?;
    let run = Run::open(folder.path())?;
    refuse_language_model(&run.config, &folder)?;
    let does_not_fold = || AnalysisError::DoesNotFold { path: folder.path().display().to_string() };
    let table = run.word_table()?.ok_or_else(does_not_fold)?;
    match format {
        Some(format) => write_file(&out, &folded(&run, &table, format)?)?,
        None => run.folded()?.ok_or_else(does_not_fold)?.save(&out).map_err(|error| match error {
            RunError::Exists { .. } => {
                Failure::Input(format!("--out {}: this folder is not empty; name another one", out.display()))
            }
            error => error.into(),
        })?,
    }
    line(format!(
        "{}: {} words × {} places × {} logits, bias {:?}, temperature {}",
        out.display(),
        thousands(table.vocab_size()),
        table.places(),
        table.outputs(),
        table.bias(),
        run.config.temperature
    ))
}

/// The format of the file that a path names; none for a folder, which has no extension.
fn format_of(path: &Path) -> Result<Option<FoldedFormat>, Failure> {
    match path.extension().map(|extension| extension.to_str()) {
        None => Ok(None),
        Some(Some("csv")) => Ok(Some(FoldedFormat::Csv)),
        Some(Some("safetensors")) => Ok(Some(FoldedFormat::SafeTensors)),
        Some(_) => Err(Failure::Input(format!(
            "--out {}: name a .csv or a .safetensors file, or a folder without an extension",
            path.display()
        ))),
    }
}

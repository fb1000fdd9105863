//! `convlens export`: writes a trained model in another format.

use std::path::{Path, PathBuf};

use convlens_analysis::{AnalysisError, FoldedFormat, folded};
use convlens_run::{Run, write_file};

use crate::args::ExportArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::source::run_folder;

pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let folder = run_folder(args.run.as_deref())?;
    let out: PathBuf = args.out.clone().unwrap_or_else(|| folder.file("folded.csv"));
    let format = format_of(&out)?;
    let run = Run::open(folder.path())?;
    let does_not_fold = || AnalysisError::DoesNotFold { path: folder.path().display().to_string() };
    let table = run.word_table()?.ok_or_else(does_not_fold)?;
    write_file(&out, &folded(&run, &table, format)?)?;
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

fn format_of(path: &Path) -> Result<FoldedFormat, Failure> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(FoldedFormat::Csv),
        Some("safetensors") => Ok(FoldedFormat::SafeTensors),
        _ => Err(Failure::Input(format!("--out {}: name a .csv or a .safetensors file", path.display()))),
    }
}

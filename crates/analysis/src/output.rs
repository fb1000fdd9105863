//! The files of analyses, written together.

use std::io::Write;
use std::path::{Path, PathBuf};

use convlens_run::{RunError, RunFolder};
use tempfile::TempPath;

use crate::AnalysisError;

/// The folder within a run folder that analyses are written to.
const FOLDER: &str = "analysis";

/// The name and the content of a file.
pub type NamedFile = (String, Vec<u8>);

/// The path of a file in the `analysis/` folder of a run.
pub fn analysis_file(folder: &RunFolder, name: &str) -> PathBuf {
    folder.file(FOLDER).join(name)
}

/// Fails if [`write_analyses`] could not write into the `analysis/` folder of a run. Changes nothing.
///
/// # Errors
///
/// [`AnalysisError::Run`], naming the folder.
pub fn check_writable(folder: &RunFolder) -> Result<(), AnalysisError> {
    folder.check_subfolder(FOLDER)?;
    let analysis = folder.file(FOLDER);
    let path = if analysis.exists() { analysis } else { folder.path().to_owned() };
    match tempfile::tempfile_in(&path) {
        Ok(_) => Ok(()),
        Err(source) => Err(io_error(&path, source)),
    }
}

/// Writes files into the `analysis/` folders of runs. All contents are written to temporary files first,
/// which then replace the old files. An error or an interruption before that leaves every old file as it
/// was.
///
/// # Errors
///
/// [`AnalysisError::Run`], naming the file.
pub fn write_analyses(analyses: &[(&RunFolder, Vec<NamedFile>)]) -> Result<(), AnalysisError> {
    let mut written: Vec<(TempPath, PathBuf)> = Vec::new();
    for (folder, files) in analyses {
        folder.check_subfolder(FOLDER)?;
        let path = folder.file(FOLDER);
        std::fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
        for (name, content) in files {
            let file = path.join(name);
            written.push((write_temporary(&path, content).map_err(|source| io_error(&file, source))?, file));
        }
    }
    for (temporary, file) in written {
        temporary.persist(&file).map_err(|error| io_error(&file, error.error))?;
    }
    Ok(())
}

fn write_temporary(folder: &Path, content: &[u8]) -> std::io::Result<TempPath> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    // Temporary files are private by default; these get the permissions of any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
}

fn io_error(path: &Path, source: std::io::Error) -> AnalysisError {
    AnalysisError::Run(RunError::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("an empty folder");
        (place, folder)
    }

    fn names(folder: &RunFolder) -> Vec<String> {
        let entries = std::fs::read_dir(folder.file(FOLDER)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn all_files_are_written_or_none() {
        let ((_first_place, first), (_second_place, second)) = (run_folder(), run_folder());
        let file = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
        write_analyses(&[(&first, vec![file("a", "old")])]).expect("writes");
        std::fs::write(second.file(FOLDER), "not a folder").expect("writes");
        let error = write_analyses(&[(&first, vec![file("a", "new"), file("b", "new")]), (&second, vec![])]);
        assert!(error.expect_err("the second cannot be written").to_string().contains(FOLDER));
        assert_eq!(std::fs::read(analysis_file(&first, "a")).expect("reads"), b"old");
        assert_eq!(names(&first), ["a"], "no temporary file stays");
        write_analyses(&[(&first, vec![file("a", "new")])]).expect("writes");
        assert_eq!(std::fs::read(analysis_file(&first, "a")).expect("reads"), b"new");
    }

    #[test]
    #[cfg(unix)]
    fn nothing_is_written_through_a_link() {
        let ((_place, folder), elsewhere) = (run_folder(), tempfile::tempdir().expect("a folder"));
        std::os::unix::fs::symlink(elsewhere.path(), folder.file(FOLDER)).expect("links");
        let files = vec![("a".to_owned(), b"x".to_vec())];
        for result in [check_writable(&folder), write_analyses(&[(&folder, files)])] {
            let error = result.expect_err("is a link").to_string();
            assert!(error.contains("analysis: this is a symbolic link"), "{error}");
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_found_before() {
        let (_place, folder) = run_folder();
        check_writable(&folder).expect("writable");
        assert!(!folder.file(FOLDER).exists());
        std::fs::write(folder.file(FOLDER), "not a folder").expect("writes");
        let error = check_writable(&folder).expect_err("a file is in the way").to_string();
        assert!(error.contains(FOLDER), "{error}");
    }
}

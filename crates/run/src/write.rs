//! Files written completely or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::RunError;

/// The prefix of the names of temporary files.
const TEMPORARY: &str = ".writing-";

/// Writes a file: to a temporary file in the same folder, which is flushed to disk and renamed. After a failure or a
/// kill the old content is still there. The file gets the permissions that the umask gives.
///
/// # Errors
///
/// [`RunError::Io`], naming `path`.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), RunError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_via(folder, path, content)
}

/// As [`write_file`], with the temporary file in `folder`, which must be on the same file system.
pub(crate) fn write_via(folder: &Path, path: &Path, content: &[u8]) -> Result<(), RunError> {
    write_and_rename(folder, path, content).map_err(|source| RunError::Io { path: path.into(), source })
}

fn write_and_rename(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    // The file is not opened by tempfile, which would make it readable to its owner only, nor written
    // through tempfile's `Write`, whose errors name the temporary file.
    let create = |temporary: &Path| File::options().write(true).create_new(true).open(temporary);
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, create)?;
    temporary.as_file_mut().write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

/// Whether a kill left this temporary file behind.
pub(crate) fn is_temporary(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(TEMPORARY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_not_the_temporary_one() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("missing/file.json");
        let error = write_file(&path, b"x").expect_err("there is no folder").to_string();
        assert!(error.contains("missing/file.json: No such file") && !error.contains(TEMPORARY), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn permissions_match_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (place.path().join("ours"), place.path().join("theirs"));
        write_file(&ours, b"x").expect("writes");
        fs::write(&theirs, b"x").expect("writes");
        let mode = |path: &Path| path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode(&ours), mode(&theirs));
    }
}

//! The run folder: laid out as a Hugging Face model repository, each file written whole or
//! not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{RunConfig, RunError, RunMetrics};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
const CARD: &str = "README.md";
/// How the names of files begin that are being written.
const WRITING: &str = ".writing-";
/// The end result.
pub const METRICS: &str = "metrics.json";
/// A line an epoch.
pub const METRICS_BY_EPOCH: &str = "metrics.jsonl";
/// What `--resume` needs.
pub const CHECKPOINTS: &str = "checkpoints";

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes a new folder.
    ///
    /// # Errors
    ///
    /// [`RunError::Exists`] where there is something already, but for an empty folder or what
    /// a kill left of a file half written.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        if path.exists() && !Self::is_vacant(path) {
            return Err(RunError::Exists { path: path.into() });
        }
        fs::create_dir_all(path).map_err(|source| RunError::Io { path: path.into(), source })?;
        Ok(Self { path: path.into() })
    }

    /// Whether a run may begin at `path`: there is nothing, or an empty folder, or no more in it
    /// than a kill left of a file half written.
    pub fn is_vacant(path: &Path) -> bool {
        match fs::read_dir(path) {
            Err(_) => !path.exists(),
            Ok(entries) => entries.flatten().all(|entry| is_half_written(&entry)),
        }
    }

    /// Removes what kills left of files half written.
    pub fn tidy(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(is_half_written) {
            let _ = fs::remove_file(entry.path()); // it does no harm where it is
        }
    }

    /// Whether the run's tokenizer is there.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        Some(self.file(TOKENIZER)).filter(|path| path.is_file())
    }

    /// Opens a folder that holds a run, finished or not.
    ///
    /// # Errors
    ///
    /// [`RunError::NotARun`] where it holds none.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        match path.join(CONFIG).is_file() {
            true => Ok(Self { path: path.into() }),
            false => Err(RunError::NotARun { path: path.into() }),
        }
    }

    /// The newest trained run among the folders in `runs`.
    ///
    /// # Errors
    ///
    /// [`RunError::NoRuns`] where there is none.
    pub fn newest(runs: &Path) -> Result<Self, RunError> {
        Self::newest_with(runs, WEIGHTS)
    }

    /// The newest run among the folders in `runs`, trained or only begun.
    ///
    /// # Errors
    ///
    /// [`RunError::NoRuns`] where there is none.
    pub fn newest_begun(runs: &Path) -> Result<Self, RunError> {
        Self::newest_with(runs, CONFIG)
    }

    fn newest_with(runs: &Path, file: &str) -> Result<Self, RunError> {
        let modified = |path: &PathBuf| path.join(file).metadata().and_then(|file| file.modified()).ok();
        let entries = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
        let begun = entries.filter(|path| path.join(CONFIG).is_file() && modified(path).is_some());
        let newest = begun.max_by_key(modified);
        newest.map(|path| Self { path }).ok_or_else(|| RunError::NoRuns { path: runs.into() })
    }

    /// The first of `runs/name`, `runs/name-2`, `runs/name-3` … that does not exist.
    pub fn unused_name(runs: &Path, name: &str) -> PathBuf {
        let numbered = (2..).map(|number| runs.join(format!("{name}-{number}")));
        let mut names = std::iter::once(runs.join(name)).chain(numbered);
        names.find(|path| !path.exists()).unwrap_or_else(|| unreachable!("numbers do not end"))
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a file of the folder.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, RunError> {
        let path = self.file(name);
        fs::read(&path).map_err(|source| RunError::Io { path, source })
    }

    /// Writes a file of the folder: to a temporary file beside it, flushed to disk, then
    /// renamed. A full disk or a kill leaves what was there before.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the file.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        write_beside(&self.path, &self.file(name), content)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let json = json_lines(value);
        self.write(name, &json.map_err(|error| RunError::Io { path: self.file(name), source: error.into() })?)
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_config(&self, config: &RunConfig) -> Result<(), RunError> {
        self.write_json(CONFIG, config)
    }

    /// Writes the model card, `README.md`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_card(&self, card: &str) -> Result<(), RunError> {
        self.write(CARD, card.as_bytes())
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_tokenizer(&self, json: &str) -> Result<(), RunError> {
        self.write(TOKENIZER, json.as_bytes())
    }

    /// Reads `metrics.json`, if it is there.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] where it is not what this version reads.
    pub fn metrics(&self) -> Result<Option<RunMetrics>, RunError> {
        if !self.file(METRICS).is_file() {
            return Ok(None);
        }
        let wrong =
            |error: serde_json::Error| RunError::Config { path: self.file(METRICS), message: error.to_string() };
        serde_json::from_slice(&self.read(METRICS)?).map(Some).map_err(wrong)
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// [`RunError::Newer`] where a newer version wrote it, [`RunError::Config`] where it is not
    /// one.
    pub fn config(&self) -> Result<RunConfig, RunError> {
        RunConfig::from_json(&self.read(CONFIG)?, &self.file(CONFIG))
    }
}

/// A value as indented JSON that ends with a line.
pub(crate) fn json_lines(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

/// Writes a file anywhere as [`RunFolder::write`] does.
///
/// # Errors
///
/// [`RunError::Io`], naming the file.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), RunError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_beside(folder, path, content)
}

fn write_beside(folder: &Path, path: &Path, content: &[u8]) -> Result<(), RunError> {
    let write = || {
        let mut file = tempfile::Builder::new().prefix(WRITING).tempfile_in(folder)?;
        file.write_all(content)?;
        set_default_permissions(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| RunError::Io { path: path.into(), source })
}

fn is_half_written(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(WRITING)
}

/// Temporary files are for their owner's eyes only; a run is as readable as any file.
#[cfg(unix)]
fn set_default_permissions(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_default_permissions(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_not_touched() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        folder.write("a", b"first").expect("writes");
        assert!(matches!(RunFolder::create(place.path()), Err(RunError::Exists { .. })));
        assert!(matches!(RunFolder::open(place.path()), Err(RunError::NotARun { .. })));
        folder.write("a", b"second").expect("writes");
        assert_eq!(folder.read("a").expect("reads"), b"second");
        let left_over = fs::read_dir(place.path()).expect("lists").count();
        assert_eq!(left_over, 1, "no temporary file stays");
    }

    #[test]
    fn a_newer_layout_is_told_from_a_wrong_one() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        folder.write(CONFIG, br#"{"format": 99, "surprise": true}"#).expect("writes");
        assert!(matches!(folder.config(), Err(RunError::Newer { found: 99, .. })));
        folder.write(CONFIG, br#"{"format": 1}"#).expect("writes");
        assert!(matches!(folder.config(), Err(RunError::Config { .. })));
        assert_eq!(RunFolder::unused_name(place.path(), "x"), place.path().join("x"));
        fs::create_dir(place.path().join("x")).expect("makes");
        assert_eq!(RunFolder::unused_name(place.path(), "x"), place.path().join("x-2"));
    }
}

//! The run folder, laid out as a Hugging Face model repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use convlens_model::EncoderSettings;
use convlens_phrases::PhrasesError;
use convlens_phrases::files::{CONFIG, MOST_JSON, TOKENIZER, WEIGHTS, most_tokenizer_bytes, read_up_to};
use serde::Serialize;

use crate::local_paths::{LocalPaths, PATHS};
use crate::lock::LOCK;
use crate::write::{is_temporary, write_via};
use crate::{RunConfig, RunError, RunLock, RunMetrics};

const CARD: &str = "README.md";
/// The end result.
pub const METRICS: &str = "metrics.json";
/// The metrics of every epoch, one line each.
pub const METRICS_BY_EPOCH: &str = "metrics.jsonl";
/// The folder of the checkpoints that an interrupted training resumes from.
pub const CHECKPOINTS: &str = "checkpoints";

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The lock, if this process created the folder.
    lock: Option<RunLock>,
}

impl RunFolder {
    /// Creates a new folder, and locks it until the last clone of the returned value is dropped.
    ///
    /// The path may be that of an empty folder, or of one that holds only temporary files of a killed
    /// process. If two processes create the same folder at the same time, one of them fails.
    ///
    /// # Errors
    ///
    /// [`RunError::Exists`] if there is something else at `path` or another process is creating it.
    pub fn create(path: &Path) -> Result<Self, RunError> {
        let exists = || RunError::Exists { path: path.into() };
        if !Self::is_vacant(path) {
            return Err(exists());
        }
        fs::create_dir_all(path).map_err(|source| RunError::Io { path: path.into(), source })?;
        let lock = RunLock::acquire(path).map_err(|error| match error {
            RunError::Locked { .. } => exists(),
            error => error,
        })?;
        // Another process may have come and gone since.
        if !Self::is_vacant(path) {
            return Err(exists());
        }
        Ok(Self { path: path.into(), lock: Some(lock) })
    }

    /// Creates the first of `parent/name`, `parent/name-2`, `parent/name-3` … that does not exist,
    /// and locks it as [`create`](Self::create) does. Two processes never get the same folder.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] if the folder cannot be created.
    pub fn create_unused(parent: &Path, name: &str) -> Result<Self, RunError> {
        let io = |path: &Path, source| RunError::Io { path: path.into(), source };
        fs::create_dir_all(parent).map_err(|source| io(parent, source))?;
        let numbered = (2u64..).map(|number| parent.join(format!("{name}-{number}")));
        for path in std::iter::once(parent.join(name)).chain(numbered) {
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(io(&path, source)),
                Ok(()) => match Self::create(&path) {
                    Err(RunError::Exists { .. }) => {} // another process is creating this path
                    created => return created,
                },
            }
        }
        unreachable!("there is always a next number")
    }

    /// Locks the folder against other processes; see [`RunLock`]. A folder that this process created
    /// is locked already.
    ///
    /// # Errors
    ///
    /// [`RunError::Locked`] if another process holds the lock, [`RunError::Io`] if the folder cannot
    /// be written to.
    pub fn lock(&self) -> Result<RunLock, RunError> {
        self.lock.clone().map_or_else(|| RunLock::acquire(&self.path), Ok)
    }

    /// Whether a run may be created at `path`: there is nothing, or a folder that is empty but for
    /// temporary files of a killed process.
    pub fn is_vacant(path: &Path) -> bool {
        match fs::read_dir(path) {
            Err(_) => path.symlink_metadata().is_err(), // a link to nothing is something
            Ok(entries) => entries.flatten().all(|entry| is_temporary(&entry) || entry.file_name() == LOCK),
        }
    }

    /// Removes the temporary files that a killed process left behind.
    pub fn tidy(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(is_temporary) {
            let _ = fs::remove_file(entry.path()); // harmless if this fails
        }
    }

    /// The path of the run's tokenizer, if it has been written.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        Some(self.file(TOKENIZER)).filter(|path| path.is_file())
    }

    /// Opens a folder that holds a run, finished or not.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::NotARun`] if it holds none.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        if path.join(CONFIG).is_file() {
            Ok(Self { path: path.into(), lock: None })
        } else {
            Err(PhrasesError::NotARun { path: path.into() }.into())
        }
    }

    /// The newest trained run among the folders in `runs`.
    ///
    /// # Errors
    ///
    /// [`RunError::NoRuns`] if there is none.
    pub fn newest(runs: &Path) -> Result<Self, RunError> {
        Self::newest_by(runs, |path| modified(&path.join(WEIGHTS)))
    }

    /// The newest unfinished run among the folders in `runs`, or the newest finished one if there is
    /// no other.
    ///
    /// # Errors
    ///
    /// [`RunError::NoRuns`] if there is none.
    pub fn newest_begun(runs: &Path) -> Result<Self, RunError> {
        Self::newest_by(runs, |path| Some((!path.join(METRICS).is_file(), modified(&path.join(CONFIG))?)))
    }

    fn newest_by<K: Ord>(runs: &Path, key: impl Fn(&Path) -> Option<K>) -> Result<Self, RunError> {
        let folders = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
        let begun = folders.filter(|path| path.join(CONFIG).is_file());
        let newest = begun.filter_map(|path| Some((key(&path)?, path))).max_by(|(a, _), (b, _)| a.cmp(b));
        match newest {
            Some((_, path)) => Ok(Self { path, lock: None }),
            None => Err(RunError::NoRuns { path: runs.into() }),
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Refuses a subfolder that is a symbolic link: a run may come from a stranger, and what is written to
    /// it must stay in it.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the subfolder.
    pub fn check_subfolder(&self, name: &str) -> Result<(), RunError> {
        let path = self.file(name);
        if path.is_symlink() {
            let message = "this is a symbolic link, and nothing is written through it; replace it with a folder";
            return Err(RunError::Io { path, source: io::Error::other(message) });
        }
        Ok(())
    }

    /// Reads a file of the folder.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Io`], naming the file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, RunError> {
        self.read_up_to(name, u64::MAX)
    }

    /// As [`read`](Self::read), but a file of more than `most` bytes is not read at all.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::TooLarge`], or as [`read`](Self::read).
    pub fn read_up_to(&self, name: &str, most: u64) -> Result<Vec<u8>, RunError> {
        Ok(read_up_to(&self.file(name), most)?)
    }

    /// Writes a file of the folder, completely or not at all; see [`write_file`](crate::write_file).
    ///
    /// # Errors
    ///
    /// [`RunError::Io`], naming the file, or its subfolder if that is a symbolic link.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        if let Some((subfolder, _)) = name.rsplit_once('/') {
            self.check_subfolder(subfolder)?;
        }
        // The temporary file is in the folder itself, even for a file in a subfolder: `tidy` looks there.
        write_via(&self.path, &self.file(name), content)
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

    /// Checks the settings and writes `config.json`, with the names of the user's files. Their paths on
    /// this machine are written to `checkpoints/paths.json`.
    ///
    /// # Errors
    ///
    /// As [`RunConfig::check`] and [`write`](Self::write).
    pub fn write_config<S: EncoderSettings>(&self, config: &RunConfig<S>) -> Result<(), RunError> {
        config.check()?;
        self.write_json(CONFIG, &config.without_paths())?;
        let paths = LocalPaths::new(config);
        if paths.is_empty() {
            return Ok(());
        }
        let folder = self.file(CHECKPOINTS);
        fs::create_dir_all(&folder).map_err(|source| RunError::Io { path: folder, source })?;
        self.write_json(PATHS, &paths)
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

    /// Reads `tokenizer.json`, unless it is larger than
    /// [`most_tokenizer_bytes`](crate::most_tokenizer_bytes) allows for the run's vocabulary.
    ///
    /// # Errors
    ///
    /// As [`read_up_to`](Self::read_up_to).
    pub fn read_tokenizer<S: EncoderSettings>(&self, config: &RunConfig<S>) -> Result<Vec<u8>, RunError> {
        self.read_up_to(TOKENIZER, most_tokenizer_bytes(config.model.vocab_size))
    }

    /// Reads `metrics.json`, if it is there.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Config`] if this version cannot read it.
    pub fn metrics(&self) -> Result<Option<RunMetrics>, RunError> {
        if !self.file(METRICS).is_file() {
            return Ok(None);
        }
        let invalid =
            |error: serde_json::Error| PhrasesError::Config { path: self.file(METRICS), message: error.to_string() };
        Ok(Some(serde_json::from_slice(&self.read_up_to(METRICS, MOST_JSON)?).map_err(invalid)?))
    }

    /// Reads `config.json`, and the paths of the user's files if the folder has them.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Newer`] if a newer version wrote it, [`PhrasesError::Config`] if its settings are not
    /// valid.
    pub fn config(&self) -> Result<RunConfig, RunError> {
        self.config_as()
    }

    /// As [`config`](Self::config), for a run with the encoder whose settings are `S`.
    ///
    /// # Errors
    ///
    /// As [`config`](Self::config).
    pub fn config_as<S: EncoderSettings>(&self) -> Result<RunConfig<S>, RunError> {
        let mut config = RunConfig::from_json(&self.read_config()?, &self.file(CONFIG))?;
        if self.file(PATHS).exists() {
            let invalid =
                |error: serde_json::Error| PhrasesError::Config { path: self.file(PATHS), message: error.to_string() };
            let paths: LocalPaths = serde_json::from_slice(&self.read_up_to(PATHS, MOST_JSON)?).map_err(invalid)?;
            paths.restore(&mut config);
        }
        Ok(config)
    }

    pub(crate) fn read_config(&self) -> Result<Vec<u8>, RunError> {
        self.read_up_to(CONFIG, MOST_JSON)
    }
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

/// A value as indented JSON that ends with a newline.
pub(crate) fn json_lines(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_files_are_kept() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        folder.write("a", b"first").expect("writes");
        assert!(matches!(RunFolder::create(place.path()), Err(RunError::Exists { .. })));
        assert!(matches!(RunFolder::open(place.path()), Err(RunError::Phrases(PhrasesError::NotARun { .. }))));
        folder.write("a", b"second").expect("writes");
        assert_eq!(folder.read("a").expect("reads"), b"second");
        drop(folder);
        let entries = fs::read_dir(place.path()).expect("lists").count();
        assert_eq!(entries, 1, "neither a temporary file nor the lock stays");
    }

    #[test]
    #[cfg(unix)]
    fn links_are_neither_followed_nor_overwritten() {
        let (place, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let folder = RunFolder::create(&place.path().join("run")).expect("is new");
        std::os::unix::fs::symlink(elsewhere.path(), folder.file(CHECKPOINTS)).expect("links");
        let error = folder.write("checkpoints/a", b"x").expect_err("is a link").to_string();
        assert!(error.contains("checkpoints: this is a symbolic link"), "{error}");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("lists").count(), 0);
        let dangling = place.path().join("dangling");
        std::os::unix::fs::symlink(place.path().join("missing"), &dangling).expect("links");
        assert!(matches!(RunFolder::create(&dangling), Err(RunError::Exists { .. })));
    }

    #[test]
    fn newer_and_invalid_configurations_get_different_errors() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        folder.write(CONFIG, br#"{"format": 99, "surprise": true}"#).expect("writes");
        assert!(matches!(folder.config(), Err(RunError::Phrases(PhrasesError::Newer { found: 99, .. }))));
        folder.write(CONFIG, br#"{"format": 1}"#).expect("writes");
        assert!(matches!(folder.config(), Err(RunError::Phrases(PhrasesError::Config { .. }))));
    }

    #[test]
    fn paths_of_the_users_files_stay_out_of_the_configuration() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        let encoder = convlens_model::EncoderConfig::Conv(convlens_model::ConvConfig::new(2, &[3]));
        let mut config = crate::testing::run(encoder, convlens_model::Padding::Masked).config;
        let file = crate::config::tests::file();
        config.dataset.file = Some(file.clone());
        folder.write_config(&config).expect("writes");
        let written = String::from_utf8(folder.read(CONFIG).expect("reads")).expect("JSON");
        assert!(written.contains("\"reviews.csv\"") && !written.contains("/home"), "{written}");
        assert_eq!(folder.config().expect("reads").dataset.file, Some(file));
        fs::remove_dir_all(folder.file(CHECKPOINTS)).expect("removes");
        let without = folder.config().expect("reads").dataset.file.expect("a file");
        assert_eq!(without.path, Path::new("reviews.csv"));
    }

    #[test]
    fn a_folder_is_locked_once() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("run");
        let created = RunFolder::create(&path).expect("is new");
        created.write(CONFIG, b"{}").expect("writes");
        let opened = RunFolder::open(&path).expect("is a run");
        let lock = created.lock().expect("is its own");
        drop(created);
        assert!(matches!(opened.lock(), Err(RunError::Locked { .. })));
        drop(lock);
        let lock = opened.lock().expect("is free");
        assert!(matches!(RunFolder::open(&path).expect("is a run").lock(), Err(RunError::Locked { .. })));
        drop(lock);
        assert!(!path.join(LOCK).exists());
        // What a killed process leaves locks nothing.
        fs::write(path.join(LOCK), b"").expect("writes");
        opened.lock().expect("is free");
    }

    #[test]
    fn only_one_of_many_creators_of_a_folder_succeeds() {
        let place = tempfile::tempdir().expect("a folder");
        for round in 0..50 {
            let path = place.path().join(format!("run-{round}"));
            let created: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| RunFolder::create(&path))).collect();
                threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
            });
            assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 1, "{created:?}");
            let lost = |created: &Result<_, RunError>| matches!(created, Ok(_) | Err(RunError::Exists { .. }));
            assert!(created.iter().all(lost), "{created:?}");
        }
    }

    #[test]
    fn names_are_reserved_once() {
        let place = tempfile::tempdir().expect("a folder");
        let runs = place.path().join("runs");
        let mut created: Vec<RunFolder> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| RunFolder::create_unused(&runs, "x"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("ends").expect("creates")).collect()
        });
        created.sort_by(|a, b| a.path().cmp(b.path()));
        let names: Vec<_> = created.iter().filter_map(|folder| folder.path().file_name()?.to_str()).collect();
        assert_eq!(names, ["x", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7", "x-8"]);
    }

    #[test]
    fn an_unfinished_run_is_newer_than_a_finished_one() {
        let place = tempfile::tempdir().expect("a folder");
        for (name, is_finished) in [("unfinished", false), ("finished", true)] {
            let folder = RunFolder::create(&place.path().join(name)).expect("is new");
            folder.write(CONFIG, b"{}").expect("writes");
            if is_finished {
                folder.write(METRICS, b"{}").expect("writes");
                folder.write(WEIGHTS, b"").expect("writes");
            }
        }
        let name =
            |folder: Result<RunFolder, RunError>| folder.expect("there is one").path().file_name().map(Into::into);
        assert_eq!(name(RunFolder::newest_begun(place.path())), Some(std::ffi::OsString::from("unfinished")));
        assert_eq!(name(RunFolder::newest(place.path())), Some(std::ffi::OsString::from("finished")));
    }

    #[test]
    fn large_and_special_files_are_not_read() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(place.path()).expect("empty");
        folder.write("a", &[0; 100]).expect("writes");
        assert_eq!(folder.read_up_to("a", 100).expect("reads").len(), 100);
        assert!(matches!(
            folder.read_up_to("a", 99),
            Err(RunError::Phrases(PhrasesError::TooLarge { size: 100, most: 99, .. }))
        ));
        fs::create_dir(folder.file("b")).expect("creates");
        assert!(folder.read("b").expect_err("is a folder").to_string().contains("not a regular file"));
    }
}

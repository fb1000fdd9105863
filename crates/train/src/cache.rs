//! The cache: tokenizers and encoded texts kept between runs.

use std::ffi::OsString;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use crate::TrainError;

/// The version of the cached formats. It is part of every key, so another version is never read.
const VERSION: &str = "2";
/// The environment variable that names the folder.
const FOLDER_VARIABLE: &str = "CONVLENS_CACHE";
/// The environment variable that limits the size.
const LIMIT_VARIABLE: &str = "CONVLENS_CACHE_GIB";
const GIB: u64 = 1 << 30;
/// The size limit where the environment sets none.
const DEFAULT_LIMIT: u64 = 10 * GIB;
/// How the names of unfinished files begin.
const WRITING: &str = ".writing-";
/// How they began in earlier versions.
const WRITING_BEFORE: &str = ".tmp";
/// How long an unfinished file must have been untouched before it is removed. Its writer holds a
/// lock on it, but only from the moment after it was created.
const STALE: Duration = Duration::from_secs(60);
/// How many hexadecimal digits a key has.
const KEY_LENGTH: usize = 32;

/// A folder in which tokenizers and encoded texts are kept between runs.
///
/// The folder may be emptied at any time. What cannot be read from it is computed again, and a
/// failure to write to it is only a warning. When it exceeds its limit, the least recently used
/// entries are removed.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
    /// In bytes; or the value of the environment variable that is not a size.
    limit: Result<u64, OsString>,
}

/// What a cached file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEntryKind {
    /// A tokenizer that was trained on a data set.
    Tokenizer,
    /// The texts of a data set as ids.
    EncodedTexts,
}

impl CacheEntryKind {
    fn extension(self) -> &'static str {
        match self {
            Self::Tokenizer => "json",
            Self::EncodedTexts => "ids",
        }
    }
}

/// A cached file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub kind: CacheEntryKind,
    /// Its size.
    pub bytes: u64,
    /// When it was last written or read.
    pub last_used: SystemTime,
}

impl Cache {
    /// The user's cache.
    ///
    /// It is the folder that `CONVLENS_CACHE` names, or else `convlens` in the system's cache
    /// folder. It holds up to `CONVLENS_CACHE_GIB` gibibytes, 10 by default; 0 keeps nothing.
    pub fn for_user() -> Self {
        let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
        let system = || Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("convlens"));
        let folder = set(FOLDER_VARIABLE).map(PathBuf::from).or_else(system);
        let limit = set(LIMIT_VARIABLE).map_or(Ok(DEFAULT_LIMIT), |value| parse_limit(&value).ok_or(value));
        Self { folder, limit }
    }

    /// A cache in `folder`, with the default limit of 10 GiB.
    pub fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.into()), limit: Ok(DEFAULT_LIMIT) }
    }

    /// The same cache, limited to `bytes`.
    pub fn with_limit(self, bytes: u64) -> Self {
        Self { limit: Ok(bytes), ..self }
    }

    /// The folder; `None` where the system has no cache folder and the environment names none.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// How many bytes the cache may hold.
    ///
    /// # Errors
    ///
    /// [`TrainError::CacheLimit`] if the value of `CONVLENS_CACHE_GIB` is not a size.
    pub fn limit(&self) -> Result<u64, TrainError> {
        let not_a_size = |value: &OsString| TrainError::CacheLimit { value: value.to_string_lossy().into_owned() };
        self.limit.as_ref().copied().map_err(not_a_size)
    }

    /// The cached files, the most recently used first. Files that this crate did not write are not
    /// among them.
    ///
    /// # Errors
    ///
    /// [`TrainError::Cache`] if the folder exists and cannot be listed.
    pub fn entries(&self) -> Result<Vec<CacheEntry>, TrainError> {
        let mut entries: Vec<CacheEntry> = self.files()?.iter().filter_map(entry).collect();
        entries.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Removes every entry, and the files that killed processes left behind. Returns the removed
    /// entries.
    ///
    /// # Errors
    ///
    /// [`TrainError::Cache`], naming the file that cannot be removed.
    pub fn clear(&self) -> Result<Vec<CacheEntry>, TrainError> {
        self.remove_unfinished(Duration::ZERO);
        let entries = self.entries()?;
        for CacheEntry { path, .. } in &entries {
            remove(path).map_err(|source| TrainError::Cache { path: path.clone(), source })?;
        }
        Ok(entries)
    }

    /// Where encoded texts go that do not fit in memory.
    pub(crate) fn spill_folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Where an entry is, or would be.
    pub(crate) fn path(&self, kind: CacheEntryKind, key: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.{}", kind.extension())))
    }

    /// Opens an entry, which counts as a use of it. Its file stays readable even if it exceeds the
    /// limit and is removed.
    pub(crate) fn open(&self, kind: CacheEntryKind, key: &str) -> Option<File> {
        let file = File::open(self.path(kind, key)?).ok()?;
        let _ = file.set_modified(SystemTime::now()); // without it, the entry only seems older
        self.make_room(self.limit().ok()?, None);
        Some(file)
    }

    /// Writes an entry of `bytes` bytes, completely or not at all, and makes room for it. Returns its
    /// path; a failure is a warning.
    pub(crate) fn write(
        &self,
        kind: CacheEntryKind,
        key: &str,
        bytes: u64,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Option<PathBuf> {
        let (folder, path) = (self.folder.as_ref()?, self.path(kind, key)?);
        self.remove_unfinished(STALE);
        let limit = self.limit().ok()?;
        if bytes > limit {
            log::info!("{}: {bytes} bytes exceed the cache's limit of {limit}; not kept", path.display());
            self.make_room(limit, None);
            return None;
        }
        let write = || {
            fs::create_dir_all(folder)?;
            // A file that tempfile opens is readable to its owner only, whatever the umask.
            let create = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
            let mut file = tempfile::Builder::new().prefix(WRITING).make_in(folder, create)?;
            let _ = file.as_file().try_lock(); // some file systems have no locks; then age alone decides
            write(file.as_file_mut())?;
            file.persist(&path)?;
            io::Result::Ok(())
        };
        if let Err(error) = write() {
            log::warn!("{}: {error}; the next run has to encode the texts again", folder.display());
            return None;
        }
        self.make_room(limit, Some(&path));
        Some(path)
    }

    /// Removes the least recently used entries until the rest fits, but never `kept`.
    fn make_room(&self, limit: u64, kept: Option<&Path>) {
        let entries = self.entries().unwrap_or_default();
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries.iter().rev().filter(|entry| kept != Some(entry.path.as_path())) {
            if total <= limit {
                break;
            }
            match remove(&entry.path) {
                Ok(()) => total -= entry.bytes,
                Err(error) => log::warn!("{}: {error}; the cache stays above its limit", entry.path.display()),
            }
        }
    }

    /// Removes unfinished files whose writers are gone.
    fn remove_unfinished(&self, age: Duration) {
        for file in self.files().unwrap_or_default() {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let is_unfinished = name.starts_with(WRITING) || name.starts_with(WRITING_BEFORE);
            if is_unfinished && is_abandoned(&file, age) {
                let _ = remove(&file.path()); // the next run tries again
            }
        }
    }

    fn files(&self) -> Result<Vec<DirEntry>, TrainError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let failed = |source| TrainError::Cache { path: folder.clone(), source };
        let listed = match fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let files = listed.filter(|file| file.as_ref().map_or(true, is_file));
        files.collect::<io::Result<_>>().map_err(failed)
    }
}

/// The key of what is computed from `parts`.
pub(crate) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(VERSION);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..KEY_LENGTH / 2])
}

/// A size in GiB as bytes.
fn parse_limit(value: &OsString) -> Option<u64> {
    let gibibytes: f64 = value.to_str()?.trim().parse().ok()?;
    (gibibytes.is_finite() && gibibytes >= 0.0).then_some((gibibytes * GIB as f64) as u64)
}

/// The entry that a file is, if this crate wrote it.
fn entry(file: &DirEntry) -> Option<CacheEntry> {
    let path = file.path();
    let is_key = |stem: &str| stem.len() == KEY_LENGTH && stem.bytes().all(|digit| digit.is_ascii_hexdigit());
    path.file_stem()?.to_str().filter(|stem| is_key(stem))?;
    let extension = path.extension()?.to_str()?;
    let kinds = [CacheEntryKind::Tokenizer, CacheEntryKind::EncodedTexts];
    let kind = kinds.into_iter().find(|kind| kind.extension() == extension)?;
    let metadata = file.metadata().ok()?;
    Some(CacheEntry { kind, bytes: metadata.len(), last_used: metadata.modified().ok()?, path })
}

fn is_file(file: &DirEntry) -> bool {
    file.file_type().is_ok_and(|kind| kind.is_file())
}

/// Whether nobody holds the file's lock, and nobody has touched it for `age`.
fn is_abandoned(file: &DirEntry, age: Duration) -> bool {
    let untouched = file.metadata().and_then(|metadata| metadata.modified());
    let is_old = untouched.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age));
    is_old && File::open(file.path()).is_ok_and(|file| file.try_lock().is_ok())
}

/// Removes a file that another process may have removed.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(cache: &Cache, name: &str, bytes: usize) -> Option<PathBuf> {
        cache.write(CacheEntryKind::EncodedTexts, &key(&[name]), bytes as u64, |file| file.write_all(&vec![0; bytes]))
    }

    /// Sets when a file was last used, in seconds before now.
    fn set_age(path: &Path, seconds: u64) {
        let file = File::options().append(true).open(path).expect("opens");
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("sets the time");
    }

    #[test]
    fn the_least_recently_used_entries_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(folder.path()).with_limit(100);
        let [oldest, old] = ["oldest", "old"].map(|name| write(&cache, name, 40).expect("written"));
        set_age(&oldest, 20);
        set_age(&old, 10);
        // Reading an entry makes it the most recently used one.
        assert!(cache.open(CacheEntryKind::EncodedTexts, &key(&["oldest"])).is_some());
        fs::write(folder.path().join("mine.ids"), [0; 1000]).expect("writes");
        let new = write(&cache, "new", 60).expect("written");
        let paths: Vec<PathBuf> = cache.entries().expect("lists").into_iter().map(|entry| entry.path).collect();
        assert!(paths.len() == 2 && paths.contains(&oldest) && paths.contains(&new), "{paths:?}");
        // An entry beyond the limit is not written, and removes nothing.
        assert_eq!(write(&cache, "large", 101), None);
        assert_eq!(cache.entries().expect("lists").len(), 2);
        assert_eq!(cache.clear().expect("clears").len(), 2);
        assert!(cache.entries().expect("lists").is_empty());
        assert!(folder.path().join("mine.ids").exists(), "files of the user's are kept");
    }

    #[test]
    fn a_lower_limit_removes_entries_at_the_next_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(folder.path());
        let count = || cache.entries().expect("lists").len();
        write(&cache, "a", 10);
        assert_eq!(write(&cache.clone().with_limit(0), "b", 10), None);
        assert_eq!(count(), 0);
        write(&cache, "a", 10);
        let mut file =
            cache.clone().with_limit(0).open(CacheEntryKind::EncodedTexts, &key(&["a"])).expect("is still there");
        assert_eq!(count(), 0);
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).expect("reads");
        assert_eq!(bytes, [0; 10]);
    }

    #[test]
    #[cfg(unix)]
    fn permissions_match_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let ours = write(&Cache::at(folder.path()), "a", 1).expect("written");
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, b"x").expect("writes");
        let mode = |path: &Path| path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode(&ours), mode(&theirs));
    }

    #[test]
    fn unfinished_files_are_removed_once_their_writer_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(folder.path());
        let unfinished = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, [0; 10]).expect("writes");
            set_age(&path, 100);
            path
        };
        let [left, left_before] = [".writing-a", ".tmpb"].map(unfinished);
        let in_progress = unfinished(".writing-c");
        let writer = File::open(&in_progress).expect("opens");
        writer.try_lock().expect("locks");
        let young = folder.path().join(".writing-d");
        fs::write(&young, [0; 10]).expect("writes");
        write(&cache, "new", 1);
        assert!(!left.exists() && !left_before.exists());
        assert!(in_progress.exists() && young.exists());
    }

    #[test]
    fn limits_are_sizes() {
        let limit = |value: &str| parse_limit(&value.into());
        assert_eq!([limit("10"), limit(" 0.5 "), limit("0")], [Some(10 * GIB), Some(GIB / 2), Some(0)]);
        assert_eq!([limit("-1"), limit("ten"), limit("inf"), limit("NaN")], [None; 4]);
        let cache = Cache { folder: None, limit: Err("ten".into()) };
        let error = cache.limit().expect_err("is not a size").to_string();
        assert!(error.starts_with("CONVLENS_CACHE_GIB=ten: "), "{error}");
    }
}

//! Locks on run folders, so that no two processes train into the same one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::RunError;

/// The name of the lock file in a run folder. It exists while the folder is locked; one that a
/// killed process left behind locks nothing.
pub(crate) const LOCK: &str = ".convlens.lock";

/// A lock on a run folder, held until the last clone is dropped or the process ends, however it
/// ends.
#[derive(Clone, Debug)]
pub struct RunLock {
    _file: Arc<LockFile>,
}

#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    /// None where the file system has no locks.
    file: Option<File>,
}

impl RunLock {
    /// Locks `folder`.
    ///
    /// Where the file system has no locks, as on some network file systems, this logs a warning and
    /// returns a lock that excludes no other process.
    ///
    /// # Errors
    ///
    /// [`RunError::Locked`] if another process holds the lock, [`RunError::Io`] if the lock file
    /// cannot be created.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, RunError> {
        let io = |source| RunError::Io { path: folder.into(), source };
        let path = folder.join(LOCK);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
            match file.try_lock() {
                // The holder before may have removed the file after it was opened here.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => return Ok(Self { _file: Arc::new(LockFile { path, file: Some(file) }) }),
                Err(TryLockError::WouldBlock) => return Err(RunError::Locked { path: folder.into() }),
                Err(TryLockError::Error(error)) => {
                    log::warn!(
                        "{}: this file system has no locks ({error}); do not train into the folder from two processes at once",
                        folder.display()
                    );
                    return Ok(Self { _file: Arc::new(LockFile { path, file: None }) });
                }
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Removed while still locked, so that nobody locks a file that is about to go. A file that
        // cannot be removed does no harm. Without locks it may be another process's.
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether `file` is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let own = file.metadata().map(identity).ok();
    own.is_some() && own == path.metadata().map(identity).ok()
}

/// Elsewhere a removed file cannot be distinguished from the one at `path`: in the instant in which one
/// process ends, two others may both take its lock.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

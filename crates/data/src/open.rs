//! Opening a file that a user named.

use std::fs::{File, FileType};
use std::path::Path;

use crate::DataError;
use crate::hub::local_path;

/// Opens a file for reading, unless opening or reading it might wait forever. An address on the Hugging Face Hub is
/// opened like a path: the file is in the cache, or downloaded first; see [`fetch`](crate::fetch), which says how far it is.
///
/// A regular file is opened, and so is a descriptor that the process already has: `/dev/stdin`,
/// `/dev/fd/N` and `/proc/self/fd/N`, to which a shell's process substitution `<(…)` expands. A named
/// pipe is refused, because opening one waits until somebody writes to it.
///
/// # Errors
///
/// [`DataError::Io`] where there is no such file or it cannot be read, [`DataError::NotAFile`] for a
/// folder, a named pipe, a socket or a device, and the `Hub…` variants for a file on the Hub.
pub fn open_file(path: &Path) -> Result<File, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let local = local_path(path)?;
    let file_type = std::fs::metadata(&local).map_err(io)?.file_type();
    if file_type.is_file() || (is_open_descriptor(path) && !file_type.is_dir()) {
        File::open(&local).map_err(io)
    } else {
        Err(DataError::NotAFile { path: path.into(), kind: kind(file_type) })
    }
}

fn is_open_descriptor(path: &Path) -> bool {
    cfg!(unix) && (path == Path::new("/dev/stdin") || path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd"))
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a named pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if file_type.is_dir() { "a folder" } else { "something else" }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_named_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe.csv");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let message = |path: &Path| open_file(path).expect_err("is refused").to_string();
        assert!(
            message(&pipe)
                .ends_with("pipe.csv: this is a named pipe, not a regular file; copy its contents to a file first")
        );
        assert!(message(folder.path()).ends_with("this is a folder, not a regular file; name a file in it"));
        assert!(message(Path::new("/dev/zero")).contains("this is a device"));
        assert!(message(&folder.path().join("missing")).contains("No such file"));
    }

    #[test]
    fn an_open_descriptor_is_read() {
        use std::os::fd::AsRawFd;
        let (reader, writer) = std::io::pipe().expect("a pipe");
        std::io::Write::write_all(&mut &writer, b"text").expect("writes");
        drop(writer);
        let mut text = String::new();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        open_file(Path::new(&path)).expect("opens").read_to_string(&mut text).expect("reads");
        assert_eq!(text, "text");
    }
}

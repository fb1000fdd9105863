//! Files of the Hugging Face Hub, read from its cache or downloaded into it.
//!
//! A file is named as in Hugging Face's own tools, `hf://datasets/OWNER/NAME/FILE` or
//! `hf://datasets/OWNER/NAME@REVISION/FILE`. A slash in a revision is written `%2F`.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` and
//! `HF_HUB_DOWNLOAD_TIMEOUT` mean what they mean to Hugging Face's own tools.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, Progress, ProgressEvent, ProgressHandler};
use hf_hub::{HFClient, HFClientSync, HFError};
use sha2::{Digest, Sha256};

use crate::DataError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// After this many seconds without a byte, a download has failed.
const DEFAULT_TIMEOUT: u64 = 30;

/// The progress of a download.
#[derive(Clone, Debug)]
pub struct Download {
    /// The file's path in its repository.
    pub file: String,
    /// Bytes downloaded so far.
    pub done: u64,
    /// Bytes in all, or 0 if the Hub does not say.
    pub total: u64,
}

/// Called whenever a download makes progress.
pub type OnDownload = Arc<dyn Fn(Download) + Send + Sync>;

/// A data set's repository on the Hub.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HubDataset<'a> {
    pub owner: &'a str,
    pub name: &'a str,
}

/// What the address of a file on the Hub begins with.
const SCHEME: &str = "hf://";

/// Whether a path is the address of a file on the Hugging Face Hub, such as `hf://datasets/OWNER/NAME/FILE`.
///
/// [`open_file`](crate::open_file), and all that reads files with it, takes such an address for a path.
pub fn is_on_hub(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(SCHEME))
}

/// Downloads a file of the Hub, unless it is in the cache. A path that is no address on the Hub is left alone.
///
/// # Errors
///
/// The `Hub…` variants of [`DataError`].
pub fn fetch(path: &Path, on_download: &OnDownload) -> Result<(), DataError> {
    if let Some(Address { dataset, revision, file }) = Address::of(path)? {
        dataset.fetch(file, revision.as_deref(), on_download)?;
    }
    Ok(())
}

/// Where a path leads: to the file in the cache if it is an address on the Hub, which is downloaded first if it is not
/// there, otherwise to the path itself.
pub(crate) fn local_path(path: &Path) -> Result<Cow<'_, Path>, DataError> {
    let Some(Address { dataset, revision, file }) = Address::of(path)? else { return Ok(path.into()) };
    let file = match dataset.cached(file, revision.as_deref()) {
        Some(cached) => cached,
        None => dataset.fetch(file, revision.as_deref(), &(Arc::new(|_| {}) as OnDownload))?,
    };
    Ok(file.path.into())
}

/// A file of a data set on the Hub.
#[derive(Debug, PartialEq, Eq)]
struct Address<'a> {
    dataset: HubDataset<'a>,
    revision: Option<String>,
    file: &'a str,
}

impl<'a> Address<'a> {
    /// The address that a path is; none for any other path.
    fn of(path: &'a Path) -> Result<Option<Self>, DataError> {
        match path.to_str().filter(|_| is_on_hub(path)) {
            Some(address) => Self::parse(address).map(Some).ok_or_else(|| DataError::HubAddress { path: path.into() }),
            None => Ok(None),
        }
    }

    fn parse(address: &'a str) -> Option<Self> {
        let (owner, rest) = address.strip_prefix(SCHEME)?.strip_prefix("datasets/")?.split_once('/')?;
        let (name, file) = rest.split_once('/')?;
        let (name, revision) = match name.split_once('@') {
            Some((name, revision)) => (name, Some(revision.replace("%2F", "/").replace("%2f", "/"))),
            None => (name, None),
        };
        // Components such as `..` would lead out of the repository's folder in the cache.
        let is_valid = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '@', '%']);
        let mut revisions = revision.iter().flat_map(|revision| revision.split('/'));
        let is_address = [owner, name].into_iter().all(is_valid) && revisions.all(is_valid);
        (is_address && file.split('/').all(is_valid)).then_some(Self {
            dataset: HubDataset { owner, name },
            revision,
            file,
        })
    }
}

/// A file in the cache.
#[derive(Debug)]
pub(crate) struct CachedFile {
    pub path: PathBuf,
    /// The commit that the file belongs to.
    pub revision: Option<String>,
}

impl CachedFile {
    /// From an entry of the cache, `snapshots/REVISION/FILE`.
    fn new(entry: PathBuf) -> Self {
        let mut components = entry.components().map(|component| component.as_os_str().to_string_lossy());
        let revision = components.by_ref().find(|name| name == "snapshots").and_then(|_| components.next());
        Self { revision: revision.map(|name| name.into_owned()), path: follow_written_link(entry) }
    }
}

impl HubDataset<'_> {
    /// A file of the given revision in the cache, if it is there; without a revision, of the newest one there.
    pub fn cached(&self, file: &str, revision: Option<&str>) -> Option<CachedFile> {
        let client = HFClientSync::from_inner(HFClient::builder().build().ok()?).ok()?;
        let repository = client.dataset(self.owner, self.name);
        let request = repository.download_file().filename(file).maybe_revision(revision.map(String::from));
        request.local_files_only(true).send().ok().map(CachedFile::new)
    }

    /// A file in the cache, downloaded first if it is not there. A download is kept only if it is
    /// complete and has the SHA-256 that the Hub announced.
    pub fn fetch(&self, file: &str, revision: Option<&str>, on_download: &OnDownload) -> Result<CachedFile, DataError> {
        if let Some(cached) = self.cached(file, revision) {
            return match wrong_digest(&cached.path)? {
                Some(Digests { got, .. }) => Err(DataError::HubDamaged { path: blob(&cached.path)?, got }),
                None => Ok(cached),
            };
        }
        let full_name = format!("{}/{}/{file}", self.owner, self.name);
        if std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| is_true(&value)) {
            return Err(DataError::HubOffline { file: full_name });
        }
        let announced = Arc::new(AtomicU64::new(0));
        let watcher = Watcher { file: file.into(), announced: announced.clone(), on_download: on_download.clone() };
        let fetched = client().and_then(|client| {
            let repository = client.dataset(self.owner, self.name);
            let request = repository.download_file().filename(file).maybe_revision(revision.map(String::from));
            request.progress(Progress::new(watcher)).send()
        });
        let fetched = CachedFile::new(fetched.map_err(|error| explain(error, full_name.clone()))?);
        check(&fetched.path, announced.load(Ordering::Relaxed), full_name)?;
        Ok(fetched)
    }
}

/// An entry of the cache is a symbolic link to a blob. If the cache was copied by a program without
/// symbolic links, such as git with `core.symlinks` off, the entry is a file that contains the link.
fn follow_written_link(path: PathBuf) -> PathBuf {
    const LONGEST_LINK: u64 = 512;
    let is_short = fs::metadata(&path).is_ok_and(|file| file.len() <= LONGEST_LINK);
    let content = if is_short { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    let target = path.with_file_name(content.trim());
    if content.starts_with("../") && content.contains("blobs/") && target.is_file() { target } else { path }
}

/// Whether an environment variable is set to true, in the words of the Python library
/// `huggingface_hub`.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn client() -> Result<HFClientSync, HFError> {
    let timeout = std::env::var("HF_HUB_DOWNLOAD_TIMEOUT").ok().and_then(|seconds| seconds.parse().ok());
    let timeout = Duration::from_secs(timeout.unwrap_or(DEFAULT_TIMEOUT));
    let http = reqwest::Client::builder()
        .user_agent(concat!("convlens/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeout)
        .read_timeout(timeout)
        .build()?;
    let client = HFClient::builder().client(http).retry_max_attempts(2).build()?;
    HFClientSync::from_inner(client)
}

struct Watcher {
    file: String,
    announced: Arc<AtomicU64>,
    on_download: OnDownload,
}

impl ProgressHandler for Watcher {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        let done = match event {
            DownloadEvent::Start { total_bytes, .. } => {
                self.announced.store(*total_bytes, Ordering::Relaxed);
                0
            }
            DownloadEvent::Progress { files } => files.iter().map(|file| file.bytes_completed).sum(),
            _ => return,
        };
        let total = self.announced.load(Ordering::Relaxed);
        (self.on_download)(Download { file: self.file.clone(), done, total });
    }
}

/// Checks a file that hf-hub put into the cache, and removes it if it is wrong: hf-hub checks neither the
/// status of the response that carries the file, nor its length, nor its digest.
fn check(path: &Path, announced: u64, file: String) -> Result<(), DataError> {
    let got = fs::metadata(path).map_err(|source| DataError::Io { path: path.into(), source })?.len();
    if announced != 0 && got != announced {
        remove(path)?;
        return Err(DataError::HubWrongSize { file, expected: announced, got });
    }
    if let Some(Digests { expected, got }) = wrong_digest(path)? {
        remove(path)?;
        return Err(DataError::HubWrongDigest { file, expected, got });
    }
    Ok(())
}

/// Removes a file from the cache: the entry and its blob.
fn remove(path: &Path) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let blob = blob(path)?;
    fs::remove_file(path).map_err(io)?;
    if blob != path { fs::remove_file(blob).map_err(io) } else { Ok(()) }
}

/// The file that an entry of the cache links to.
fn blob(path: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(path).map_err(|source| DataError::Io { path: path.into(), source })
}

/// The SHA-256 of a file, where it is not the announced one.
struct Digests {
    expected: String,
    got: String,
}

/// Compares a file's SHA-256 with the one that the Hub announced: the cache names a blob after its
/// ETag, which for a large file (LFS, Xet) is the SHA-256 of the contents. Any other name says nothing.
fn wrong_digest(path: &Path) -> Result<Option<Digests>, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let blob = blob(path)?;
    let expected = blob.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if expected.len() != 64 || !expected.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut file = fs::File::open(&blob).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(io)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let got = hex::encode(hash.finalize());
    Ok((got != expected).then_some(Digests { expected, got }))
}

fn explain(error: HFError, file: String) -> DataError {
    let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| DEFAULT_ENDPOINT.into());
    match error {
        HFError::AuthRequired { context } | HFError::Forbidden { context } => {
            DataError::HubDenied { file, status: context.status.as_u16() }
        }
        HFError::RateLimited { context, .. } => DataError::HubBusy { file, status: context.status.as_u16() },
        HFError::Http { context } if context.status.is_server_error() => {
            DataError::HubBusy { file, status: context.status.as_u16() }
        }
        HFError::EntryNotFound { .. } | HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
            DataError::HubNotFound { file, endpoint }
        }
        HFError::Request { source, .. } if source.is_connect() => {
            DataError::HubUnreachable { file, message: format!("no connection to {endpoint}") }
        }
        HFError::Request { source, .. } if source.is_timeout() => {
            DataError::HubBroken { file, message: "nothing was received for too long (HF_HUB_DOWNLOAD_TIMEOUT)".into() }
        }
        HFError::Request { source, .. } if source.is_body() || source.is_decode() || source.is_request() => {
            DataError::HubBroken { file, message: "the connection closed early".into() }
        }
        other => DataError::HubBroken { file, message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_is_read_as_huggingface_hub_reads_it() {
        // from huggingface_hub.constants import _is_true
        assert!(["1", "on", "ON", "Yes", "true", "TRUE"].into_iter().all(is_true));
        assert!(!["", "0", "False", "false", "off", "no", "2", "y"].into_iter().any(is_true));
    }

    #[test]
    fn addresses_name_a_file_of_a_data_set() {
        let parse = |address| Address::parse(address).map(|found| (found.dataset, found.revision, found.file));
        let dataset = || HubDataset { owner: "owner", name: "name" };
        assert_eq!(parse("hf://datasets/owner/name/a/b.csv"), Some((dataset(), None, "a/b.csv")));
        let revision = Some("refs/convert/parquet".into());
        let address = "hf://datasets/owner/name@refs%2Fconvert%2Fparquet/b.parquet";
        assert_eq!(parse(address), Some((dataset(), revision, "b.parquet")));
        for wrong in
            ["", "owner/name", "owner/name/", "owner/name/../b", "../name/b", "owner/name@/b", "owner/name@../b"]
        {
            assert!(Address::parse(&format!("hf://datasets/{wrong}")).is_none(), "{wrong}");
        }
        assert_eq!(parse("hf://owner/name/b.csv"), None);
        let error = local_path(Path::new("hf://owner/name/b.csv")).expect_err("is refused").to_string();
        assert!(error.contains("hf://datasets/OWNER/NAME/FILE"), "{error}");
    }

    #[test]
    fn an_entry_of_the_cache_names_its_revision() {
        let file = |path: &str| CachedFile::new(path.into()).revision;
        assert_eq!(file("/x/hub/datasets--a--b/snapshots/0123abcd/plain_text/a.parquet").as_deref(), Some("0123abcd"));
        assert_eq!(file("a.parquet"), None);
    }

    #[test]
    fn a_blob_is_compared_with_the_digest_in_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        // printf text | sha256sum
        let digest = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1";
        let right = folder.path().join(digest);
        fs::write(&right, "text").expect("writes");
        assert!(wrong_digest(&right).expect("reads").is_none());
        fs::write(&right, "texts").expect("writes");
        assert_eq!(wrong_digest(&right).expect("reads").expect("is wrong").expected, digest);
        let other = folder.path().join("a.parquet");
        fs::write(&other, "text").expect("writes");
        assert!(wrong_digest(&other).expect("reads").is_none());
        assert!(check(&right, 0, "a".into()).is_err() && !right.exists());
    }
}

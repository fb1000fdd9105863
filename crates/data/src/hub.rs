//! Files of the Hugging Face Hub: from its cache, or fetched into it.
//!
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE` and
//! `HF_HUB_DOWNLOAD_TIMEOUT` mean what they mean to Hugging Face's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, Progress, ProgressEvent, ProgressHandler};
use hf_hub::{HFClient, HFClientSync, HFError};

use crate::DataError;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Seconds without a byte after which a download has stalled.
const DEFAULT_TIMEOUT: u64 = 30;

/// How far a download is.
#[derive(Clone, Debug)]
pub struct Download {
    /// The file's path in its repository.
    pub file: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, 0 where the Hub does not say.
    pub total: u64,
}

/// Told of every step of a download.
pub type OnDownload = Arc<dyn Fn(Download) + Send + Sync>;

/// A data set's repository on the Hub.
pub(crate) struct HubDataset {
    pub owner: &'static str,
    pub name: &'static str,
}

impl HubDataset {
    /// The path of a file in the cache, if it is there.
    pub fn cached(&self, file: &str) -> Option<PathBuf> {
        let client = HFClientSync::from_inner(HFClient::builder().build().ok()?).ok()?;
        let path = client.dataset(self.owner, self.name).download_file().filename(file).local_files_only(true).send();
        path.ok().map(follow_written_link)
    }

    /// The path of a file in the cache, fetched where it is not there yet. Nothing enters the
    /// cache unless all of it came.
    pub fn fetch(&self, file: &str, on_download: &OnDownload) -> Result<PathBuf, DataError> {
        if let Some(path) = self.cached(file) {
            return Ok(path);
        }
        let full_name = format!("{}/{}/{file}", self.owner, self.name);
        if is_offline() {
            return Err(DataError::HubUnreachable { file: full_name, message: "HF_HUB_OFFLINE is set".into() });
        }
        let announced = Arc::new(AtomicU64::new(0));
        let watcher = Watcher { file: file.into(), announced: announced.clone(), on_download: on_download.clone() };
        let fetched = client().and_then(|client| {
            let repository = client.dataset(self.owner, self.name);
            repository.download_file().filename(file).progress(Progress::new(watcher)).send()
        });
        let path = fetched.map_err(|error| explain(error, full_name.clone()))?;
        check_size(&path, announced.load(Ordering::Relaxed), full_name)?;
        Ok(path)
    }
}

/// A cache's entries are links to its blobs. Where a cache was copied by way of something that
/// knows no links, such as git with `core.symlinks` off, an entry is a file that holds the link.
fn follow_written_link(path: PathBuf) -> PathBuf {
    const LONGEST_LINK: u64 = 512;
    let is_short = fs::metadata(&path).is_ok_and(|file| file.len() <= LONGEST_LINK);
    let content = if is_short { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    let target = path.with_file_name(content.trim());
    if content.starts_with("../") && content.contains("blobs/") && target.is_file() { target } else { path }
}

fn is_offline() -> bool {
    std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "FALSE"))
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

/// hf-hub checks neither the status of the answer that carries a file nor its length against
/// what the Hub announced, so what it let into the cache is checked here and removed if wrong.
fn check_size(path: &Path, announced: u64, file: String) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let got = fs::metadata(path).map_err(io)?.len();
    if announced == 0 || got == announced {
        return Ok(());
    }
    let blob = fs::canonicalize(path).map_err(io)?;
    fs::remove_file(path).map_err(io)?;
    if blob != path {
        fs::remove_file(blob).map_err(io)?;
    }
    Err(DataError::HubWrongSize { file, announced, got })
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
            DataError::HubBroken { file, message: "no byte came for too long (HF_HUB_DOWNLOAD_TIMEOUT)".into() }
        }
        HFError::Request { source, .. } if source.is_body() || source.is_decode() || source.is_request() => {
            DataError::HubBroken { file, message: "the connection closed early".into() }
        }
        other => DataError::HubBroken { file, message: other.to_string() },
    }
}

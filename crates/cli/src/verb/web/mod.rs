//! `convlens web`: a run as a page, in a folder that any host can serve.

mod bundle;
mod folder;
mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use convlens_run::{Run, RunError, Task};
use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::HumanCount;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::args::WebArgs;
use crate::failure::Failure;
use crate::output::line;
use crate::source::run_folder;
use folder::PageFolder;

/// What the page reads first: its name, its examples, and which files there are.
const SITE: &str = "site.json";
/// The script that keeps the page's files for offline use. Their names are filled in here.
const OFFLINE: &str = "offline.js";
/// The module that reads runs without tensors, where that is possible, and does nothing else.
const SMALL: &str = "small/";
/// The module that reads and trains.
const CPU: &str = "cpu/";
/// The same with the `tokenizers` library. It is renamed to [`CPU`] for runs that need the library.
const CPU_LIBRARY: &str = "cpu-library/";
/// The module that is fetched only when a visitor chooses WebGPU. Words are tagged, and texts
/// written, on the CPU.
const WEBGPU: &str = "webgpu/";
/// Every file of the page by its path, with `/` between folders.
type Files = BTreeMap<String, Vec<u8>>;

pub fn run(args: &WebArgs) -> Result<(), Failure> {
    let page = args.page.as_deref().ok_or_else(|| {
        Failure::Input(
            "--page is missing; run `cargo xtask web` in the repository, which builds the page and passes it".into(),
        )
    })?;
    let folder = run_folder(args.run.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| folder.file("web"));
    let page_folder = PageFolder::open(&out)?;
    let mut run = Run::open(folder.path())?;
    let examples = bundle::examples(&run.config, args)?;
    // A page reveals no path, and has no use for how the file was read.
    run.config = run.config.without_paths();
    run.config.dataset.file = None;
    let parts = bundle::Parts::new(&folder, &run, args)?;
    if args.check {
        return Ok(());
    }

    let mut files = read_page(page)?;
    choose_modules(run.tokenizer.is_word_level(), parts.need_no_tensors(), page, &mut files)?;
    if run.config.task != Task::Classify {
        files.retain(|name, _| !name.starts_with(WEBGPU));
    }
    bundle::add(&folder, &run, parts, &examples, &mut files)?;
    let kept = page_folder.keep_foreign(&mut files)?;
    add_offline(&mut files);
    page_folder.write(&files, &kept)?;
    let zipped: Files = files.iter().map(|(name, content)| (name.clone(), gzip(content))).collect();
    let compressed: usize =
        zipped.iter().filter(|(name, _)| !name.starts_with(WEBGPU)).map(|(_, content)| content.len()).sum();
    line(format!(
        "{}: {} files, {} kB compressed without WebGPU's module",
        out.display(),
        files.len(),
        HumanCount(compressed.div_ceil(1000) as u64)
    ))?;
    if args.no_serve { Ok(()) } else { serve::serve(files, zipped, args.port) }
}

/// Reads the page as `cargo xtask web` built it.
fn read_page(page: &Path) -> Result<Files, Failure> {
    if !page.join("index.html").is_file() {
        return Err(Failure::Input(format!(
            "--page {}: it has no index.html; run `cargo xtask web`, which builds the page",
            page.display()
        )));
    }
    let mut files = Files::new();
    read_files(page, "", &mut files)?;
    Ok(files)
}

/// Reads the files of a folder, and of the folders in it, whose names begin with `prefix`.
fn read_files(folder: &Path, prefix: &str, files: &mut Files) -> Result<(), Failure> {
    let io = |path: &Path, source| RunError::Io { path: path.into(), source };
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let entry = entry.map_err(|source| io(folder, source))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // The type of the entry itself: a link could lead anywhere, and a pipe would never end.
        let kind = entry.file_type().map_err(|source| io(&path, source))?;
        if kind.is_dir() {
            read_files(&path, &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, fs::read(&path).map_err(|source| io(&path, source))?);
        } else {
            return Err(Failure::Input(format!(
                "--page: {} is neither a regular file nor a folder; run `cargo xtask web`, which builds the page",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Keeps the CPU modules that the run needs: the smaller of the two whole modules that can read it, renamed to
/// [`CPU`], and the small module if the run can start with it.
fn choose_modules(is_word_level: bool, needs_no_tensors: bool, page: &Path, files: &mut Files) -> Result<(), Failure> {
    let (chosen, other) = if is_word_level { (CPU, CPU_LIBRARY) } else { (CPU_LIBRARY, CPU) };
    let names: Vec<String> = files.keys().filter(|name| name.starts_with(chosen)).cloned().collect();
    if names.is_empty() {
        return Err(Failure::Input(format!(
            "--page {}: it has no {chosen}; run `cargo xtask web`, which builds the page",
            page.display()
        )));
    }
    let starts_small = is_word_level && needs_no_tensors;
    files.retain(|name, _| !name.starts_with(other) && (starts_small || !name.starts_with(SMALL)));
    for name in names {
        if let Some(content) = files.remove(&name) {
            files.insert(name.replacen(chosen, CPU, 1), content);
        }
    }
    Ok(())
}

/// Fills in the script that keeps the page's files: their names, and a version that is a digest of their
/// contents.
fn add_offline(files: &mut Files) {
    let Some(script) = files.remove(OFFLINE) else { return };
    let mut hash = Sha256::new();
    for (name, content) in files.iter() {
        hash.update(name);
        hash.update(content);
    }
    let version = hex::encode(&hash.finalize()[..8]);
    let names = files.keys().filter(|name| !name.starts_with(WEBGPU)).map(String::as_str);
    let names: Vec<String> = std::iter::once("./").chain(names).map(|name| json!(name).to_string()).collect();
    let script = String::from_utf8_lossy(&script);
    let script = script.replace("@VERSION@", &version).replace("\"@FILES@\"", &names.join(", "));
    files.insert(OFFLINE.into(), script.into_bytes());
}

/// Compresses a file for the browsers that accept it.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_else(|error| unreachable!("a vector can be written to: {error}"))
}

//! `convlens web`: a run as a page, in a folder that any host can serve.

mod bundle;
mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use convlens_run::{Run, RunError, write_file};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::args::WebArgs;
use crate::failure::Failure;
use crate::output::{line, thousands};
use crate::source::run_folder;

/// What tells a folder that this verb wrote from any other.
const SITE: &str = "site.json";
/// The script that keeps the page's files, and what is put into it.
const OFFLINE: &str = "offline.js";
/// The module that reads folded runs and nothing else.
const TABLE: &str = "table/";
/// The module that reads and trains, and the one that has the tokenizers library beside it.
const CPU: &str = "cpu/";
const CPU_LIBRARY: &str = "cpu-library/";
/// The module that is fetched only where it is asked for.
const WEBGPU: &str = "webgpu/";
/// Every file of the page by its path, with `/` between folders.
type Files = BTreeMap<String, Vec<u8>>;

pub fn run(args: &WebArgs) -> Result<(), Failure> {
    let page = args.page.as_deref().ok_or_else(|| {
        Failure::Input("--page is missing: `cargo xtask web`, in the repository, builds the page and names it".into())
    })?;
    let folder = run_folder(args.run.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| folder.file("web"));
    check_out(&out)?;
    let run = Run::open(folder.path())?;
    let sent = bundle::sent(&folder, &run, args)?;
    if args.check {
        return Ok(());
    }

    let mut files = Files::new();
    read_page(page, page, &mut files)?;
    choose_modules(run.tokenizer.is_word_level(), sent.is_folded(), page, &mut files)?;
    bundle::add(&folder, &run, sent, args, &mut files)?;
    add_offline(&mut files);
    write(&out, &files)?;
    let zipped: Files = files.iter().map(|(name, content)| (name.clone(), gzip(content))).collect();
    let compressed: usize =
        zipped.iter().filter(|(name, _)| !name.starts_with(WEBGPU)).map(|(_, content)| content.len()).sum();
    let kilobytes = |bytes: usize| format!("{} kB", thousands(bytes.div_ceil(1000)));
    line(format!(
        "{}: {} files, {} compressed but for WebGPU's module",
        out.display(),
        files.len(),
        kilobytes(compressed)
    ))?;
    match args.no_serve {
        true => Ok(()),
        false => serve::serve(files, zipped, args.port),
    }
}

/// Only a folder that is new, empty or of this verb's making is written to.
fn check_out(out: &Path) -> Result<(), Failure> {
    let is_free = match fs::read_dir(out) {
        Err(_) => !out.exists(),
        Ok(mut entries) => entries.next().is_none() || out.join(SITE).is_file(),
    };
    match is_free {
        true => Ok(()),
        false => Err(Failure::Input(format!(
            "--out {}: it holds other things than a page; name a folder that is new or empty",
            out.display()
        ))),
    }
}

/// Writes the page; of the folders that are this verb's own nothing stays that is not of this page.
fn write(out: &Path, files: &Files) -> Result<(), Failure> {
    let io = |path: &Path, source| RunError::Io { path: path.into(), source };
    for name in [TABLE, CPU, WEBGPU, bundle::RUN, bundle::LAYERS] {
        let folder = out.join(name);
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_of_page =
                path.file_name().is_some_and(|file| files.contains_key(&format!("{name}{}", file.to_string_lossy())));
            if !is_of_page && path.is_file() {
                fs::remove_file(&path).map_err(|source| io(&path, source))?;
            }
        }
    }
    for (name, content) in files {
        let path = out.join(name);
        let parent = path.parent().unwrap_or(out);
        fs::create_dir_all(parent).map_err(|source| io(parent, source))?;
        write_file(&path, content)?;
    }
    Ok(())
}

fn read_page(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Failure> {
    let io = |path: &Path, source| RunError::Io { path: path.into(), source };
    for entry in fs::read_dir(folder).map_err(|source| io(folder, source))? {
        let path = entry.map_err(|source| io(folder, source))?.path();
        if path.is_dir() {
            read_page(root, &path, files)?;
            continue;
        }
        let parts = path.strip_prefix(root).unwrap_or(&path).iter().map(|part| part.to_string_lossy());
        let name = parts.collect::<Vec<_>>().join("/");
        files.insert(name, fs::read(&path).map_err(|source| io(&path, source))?);
    }
    match files.contains_key("index.html") {
        true => Ok(()),
        false if folder != root => Ok(()),
        false => Err(Failure::Input(format!("--page {}: no page is there; run `cargo xtask web`", root.display()))),
    }
}

/// Of the modules for the CPU those that the run needs: of the two whole ones the smaller that will
/// do, under one name; and the table's, where it will do for a start.
fn choose_modules(is_word_level: bool, is_folded: bool, page: &Path, files: &mut Files) -> Result<(), Failure> {
    let (taken, left) = if is_word_level { (CPU, CPU_LIBRARY) } else { (CPU_LIBRARY, CPU) };
    let of_module: Vec<String> = files.keys().filter(|name| name.starts_with(taken)).cloned().collect();
    if of_module.is_empty() {
        return Err(Failure::Input(format!("--page {}: it has no {taken}; run `cargo xtask web`", page.display())));
    }
    let begins_with_table = is_word_level && is_folded;
    files.retain(|name, _| !name.starts_with(left) && (begins_with_table || !name.starts_with(TABLE)));
    for name in of_module {
        if let Some(content) = files.remove(&name) {
            files.insert(name.replacen(taken, CPU, 1), content);
        }
    }
    Ok(())
}

/// Names the page's files in the script that keeps them, under a name made of their contents.
fn add_offline(files: &mut Files) {
    let Some(script) = files.remove(OFFLINE) else { return };
    let mut hash = Sha256::new();
    files.iter().for_each(|(name, content)| {
        hash.update(name);
        hash.update(content);
    });
    let version: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let kept = files.keys().filter(|name| !name.starts_with(WEBGPU)).map(|name| json!(name).to_string());
    let kept = std::iter::once(json!("./").to_string()).chain(kept).collect::<Vec<_>>().join(", ");
    let script = String::from_utf8_lossy(&script).replace("@VERSION@", &version).replace("\"@FILES@\"", &kept);
    files.insert(OFFLINE.into(), script.into_bytes());
}

/// A file as it goes to its readers.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_else(|error| unreachable!("memory takes what is written: {error}"))
}

//! `convlens web`: a run as a page, in a folder that any host can serve.

mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use convlens_analysis::learnt;
use convlens_run::{METRICS, Precision, Run, RunError, RunFiles, RunFolder, write_file};
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
/// How many words a filter is shown with.
const WORDS: usize = 10;
/// The most bytes of weights that a page should ask of its visitors.
const MOST_BYTES: usize = 32 << 20;
/// The bundled sample, for visitors without a file of their own.
const SAMPLE_TEXTS: usize = 1_500;

const EXAMPLES: [&str; 3] = [
    "A good film, and not a boring one: the plot is clever, the acting superb.",
    "I wanted to like it, but the story is dull and the ending a waste of two hours.",
    "Not bad at all. The first half drags, and then it becomes wonderful!",
];

/// Every file of the page by its path, with `/` between folders.
type Files = BTreeMap<String, Vec<u8>>;

pub fn run(args: &WebArgs) -> Result<(), Failure> {
    let page = args.page.as_deref().ok_or_else(|| {
        Failure::Input("--page is missing: `cargo xtask web`, in the repository, builds the page and names it".into())
    })?;
    let folder = run_folder(args.run.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| folder.file("web"));
    check_out(&out)?;

    let mut files = Files::new();
    read_page(page, page, &mut files)?;
    let run = Run::open(folder.path())?;
    choose_modules(&run, page, &mut files)?;
    add_run(&folder, &run, args, &mut files)?;
    add_offline(&mut files);
    for (name, content) in &files {
        let path = out.join(name);
        let parent = path.parent().unwrap_or(&out);
        fs::create_dir_all(parent).map_err(|source| RunError::Io { path: parent.into(), source })?;
        write_file(&path, content)?;
    }
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
        false => serve::serve(&files, &zipped, args.port),
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
fn choose_modules(run: &Run, page: &Path, files: &mut Files) -> Result<(), Failure> {
    let is_word_level = run.tokenizer.is_word_level();
    let (taken, left) = if is_word_level { (CPU, CPU_LIBRARY) } else { (CPU_LIBRARY, CPU) };
    let of_module: Vec<String> = files.keys().filter(|name| name.starts_with(taken)).cloned().collect();
    if of_module.is_empty() {
        return Err(Failure::Input(format!("--page {}: it has no {taken}; run `cargo xtask web`", page.display())));
    }
    let begins_with_table = is_word_level && run.word_table()?.is_some();
    files.retain(|name, _| !name.starts_with(left) && (begins_with_table || !name.starts_with(TABLE)));
    for name in of_module {
        if let Some(content) = files.remove(&name) {
            files.insert(name.replacen(taken, CPU, 1), content);
        }
    }
    Ok(())
}

fn add_run(folder: &RunFolder, run: &Run, args: &WebArgs, files: &mut Files) -> Result<(), Failure> {
    let folded = run.folded()?;
    let own = run.files()?;
    let sent = match &folded {
        Some(folded) => {
            let precision = args.precision.unwrap_or(Precision::Int8);
            let layers = own.packed(precision)?;
            files.insert("layers/config.json".into(), layers.config);
            files.insert("layers/model.safetensors".into(), layers.weights);
            // The very tokenizer that the layers name.
            let folded = folded.files()?;
            RunFiles { tokenizer: own.tokenizer, ..folded }
        }
        None => {
            let precision = args.precision.unwrap_or_default();
            let packed = own.packed(precision)?;
            if packed.weights.len() > MOST_BYTES {
                return Err(too_large(folder, packed.weights.len(), precision));
            }
            packed
        }
    };
    files.insert("run/config.json".into(), sent.config);
    files.insert("run/tokenizer.json".into(), sent.tokenizer);
    files.insert("run/model.safetensors".into(), sent.weights);
    let metrics = folder.metrics()?;
    if metrics.is_some() {
        files.insert(format!("run/{METRICS}"), folder.read(METRICS)?);
    }
    files.insert("learnt.json".into(), learnt(run, WORDS)?.to_string().into_bytes());
    files.insert("sample.csv".into(), sample());
    let examples: Vec<&str> = match args.example.is_empty() {
        true => EXAMPLES.to_vec(),
        false => args.example.iter().map(String::as_str).collect(),
    };
    let name = folder.path().canonicalize().unwrap_or_else(|_| folder.path().into());
    let site = json!({
        "name": name.file_name().map(|name| name.to_string_lossy()),
        "accuracy": metrics.map(|metrics| metrics.test.accuracy),
        "layers": folded.is_some(),
        "table": files.keys().any(|name| name.starts_with(TABLE)),
        "webgpu": files.keys().any(|name| name.starts_with(WEBGPU)),
        "examples": examples,
    });
    files.insert(SITE.into(), site.to_string().into_bytes());
    Ok(())
}

fn too_large(folder: &RunFolder, size: usize, precision: Precision) -> Failure {
    let mend = match precision {
        Precision::Int8 => "train a smaller model",
        _ => "try --precision int8, or a smaller model",
    };
    Failure::Input(format!(
        "{}: {} MB of weights as {precision}, and a page takes up to {}; {mend}",
        folder.path().display(),
        thousands(size >> 20),
        MOST_BYTES >> 20,
    ))
}

/// The bundled sample as a CSV, as a visitor's file would be.
fn sample() -> Vec<u8> {
    let sample = convlens_data::generate_sample(convlens_data::SAMPLE_SEED);
    let mut csv = String::from("text,label\n");
    let texts = sample.train.texts.iter().zip(&sample.train.labels).take(SAMPLE_TEXTS);
    for (text, &label) in texts {
        let text = text.map(|text| text.replace('"', "\"\"")).unwrap_or_default();
        csv.push_str(&format!("\"{text}\",{}\n", sample.labels[label]));
    }
    csv.into_bytes()
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

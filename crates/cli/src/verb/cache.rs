//! `convlens cache`: lists or empties the cache of tokenizers and encoded texts.

use std::time::UNIX_EPOCH;

use convlens_train::{Cache, CacheEntry, CacheEntryKind};
use indicatif::{BinaryBytes, HumanDuration};
use serde_json::json;

use crate::args::CacheArgs;
use crate::failure::Failure;
use crate::output::{line, table, thousands};

pub fn run(args: &CacheArgs) -> Result<(), Failure> {
    let cache = Cache::for_user();
    let limit = cache.limit()?;
    let entries = if args.clear { cache.clear()? } else { cache.entries()? };
    let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    if args.json {
        let action = if args.clear { "removed" } else { "entries" };
        let entries: Vec<_> = entries.iter().map(entry_json).collect();
        let json = json!({ "path": cache.folder().map(|folder| folder.display().to_string()), "limit_bytes": limit, "bytes": bytes, action: entries });
        return line(json.to_string());
    }
    let Some(folder) = cache.folder() else {
        return line("there is no cache, because the system names no folder for it; set CONVLENS_CACHE to one");
    };
    let count = match entries.len() {
        1 => "1 entry".to_owned(),
        count => format!("{} entries", thousands(count)),
    };
    let summary = format!("{count}, {}", BinaryBytes(bytes));
    if args.clear {
        return line(format!("{}: removed {summary}", folder.display()));
    }
    if !entries.is_empty() {
        let head = ["content", "size", "last used"].map(String::from).to_vec();
        table(&std::iter::once(head).chain(entries.iter().map(row)).collect::<Vec<_>>())?;
    }
    line(format!("{}: {summary}, of at most {}", folder.display(), BinaryBytes(limit)))
}

fn row(entry: &CacheEntry) -> Vec<String> {
    let age = entry.last_used.elapsed().unwrap_or_default();
    vec![content(entry).into(), BinaryBytes(entry.bytes).to_string(), format!("{} ago", HumanDuration(age))]
}

fn entry_json(entry: &CacheEntry) -> serde_json::Value {
    let last_used = entry.last_used.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({ "path": entry.path.display().to_string(), "content": content(entry), "bytes": entry.bytes, "last_used": last_used })
}

fn content(entry: &CacheEntry) -> &'static str {
    match entry.kind {
        CacheEntryKind::Tokenizer => "tokenizer",
        CacheEntryKind::EncodedTexts => "encoded texts",
    }
}

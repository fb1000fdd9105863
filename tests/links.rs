//! Every link and every path in the repository's Markdown files leads somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use walkdir::WalkDir;

/// The folders that hold the repository's own files. The root itself may also hold a reader's virtual
/// environment or data.
const FOLDERS: [&str; 5] = ["crates", "data", "docs", "tests", "xtask"];

/// The extensions of source files that the documentation names without a folder.
const SOURCES: [&str; 3] = ["rs", "js", "py"];

/// One Markdown file.
struct Document {
    /// Its path from the repository's root.
    path: PathBuf,
    /// The targets of its links and images.
    links: Vec<String>,
    /// Its inline code.
    code: Vec<String>,
    /// The anchors of its headings, as GitHub names them.
    anchors: Vec<String>,
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = read(&path);
        let (mut links, mut code, mut anchors) = (Vec::new(), Vec::new(), Vec::new());
        let mut heading = None::<String>;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => links.push(dest_url.into()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|title| anchor(&title))),
                Event::Code(text) => {
                    heading.iter_mut().for_each(|title| title.push_str(&text));
                    code.push(text.into());
                }
                Event::Text(text) => heading.iter_mut().for_each(|title| title.push_str(&text)),
                _ => {}
            }
        }
        Self { path, links, code, anchors }
    }

    /// The path, from the repository's root, of what a link names relative to this file.
    fn resolve(&self, link: &str) -> PathBuf {
        let mut resolved = PathBuf::new();
        for part in self.path.parent().unwrap_or(Path::new("")).join(link).components() {
            match part {
                Component::ParentDir => {
                    assert!(resolved.pop(), "{}: {link} leaves the repository", self.path.display())
                }
                Component::CurDir => {}
                part => resolved.push(part),
            }
        }
        resolved
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the repository")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The anchor that GitHub gives a heading.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The repository's files with one of these extensions, from its root.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let folders = FOLDERS.into_iter().map(|folder| WalkDir::new(root().join(folder)));
    let walks = folders.chain([WalkDir::new(root()).max_depth(1)]);
    let entries = walks.flat_map(|walk| walk.into_iter().filter_entry(|entry| entry.file_name() != "target"));
    let is_asked = |path: &Path| path.extension().is_some_and(|found| extensions.iter().any(|asked| found == *asked));
    let paths = entries.map(|entry| entry.expect("lists").into_path()).filter(|path| path.is_file() && is_asked(path));
    paths.map(|path| path.strip_prefix(root()).expect("is below the root").to_owned()).collect()
}

fn documents() -> Vec<Document> {
    files(&["md"]).into_iter().map(Document::read).collect()
}

#[test]
fn links_in_markdown_lead_to_files_and_headings_that_exist() {
    let documents = documents();
    let mut broken = Vec::new();
    for document in &documents {
        for link in &document.links {
            if link.starts_with("https://docs.rs/convlens") {
                broken.push(format!("{}: {link} is not published", document.path.display()));
            }
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.path.clone() } else { document.resolve(file) };
            let headings = documents.iter().find(|other| other.path == target).map(|other| &other.anchors);
            let has_heading = headings.is_some_and(|anchors| anchors.iter().any(|anchor| anchor == fragment));
            if !root().join(&target).exists() {
                broken.push(format!("{}: {link}: no such file", document.path.display()));
            } else if !fragment.is_empty() && !has_heading {
                broken.push(format!("{}: {link}: no such heading", document.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Whether inline code names something that exists. True for code that is neither a path nor the name of a
/// source file.
fn exists(code: &str, document: &Document, sources: &[PathBuf]) -> bool {
    let Some((first, _)) = code.split_once('/') else {
        let is_source = Path::new(code).extension().is_some_and(|extension| SOURCES.iter().any(|s| extension == *s));
        return !is_source || sources.iter().any(|path| path.ends_with(code));
    };
    // A crate's README names its own files by their path in the crate.
    let in_crate = ["src", "page", "tests", "benches", "examples"];
    if document.path.starts_with("crates") && in_crate.contains(&first) {
        root().join(document.resolve(code)).exists()
    } else {
        !FOLDERS.contains(&first) || root().join(code).exists()
    }
}

#[test]
fn paths_and_source_files_in_inline_code_exist() {
    let sources = files(&SOURCES);
    let mut missing = Vec::new();
    for document in documents() {
        for code in document.code.iter().filter(|code| !code.contains([' ', '*', '<', '{', '…'])) {
            if !exists(code, &document, &sources) {
                missing.push(format!("{}: `{code}`", document.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "files that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_markdown_file_is_reached_from_the_readme() {
    let documents = documents();
    let mut reached = BTreeSet::from([PathBuf::from("README.md")]);
    let mut next = vec![PathBuf::from("README.md")];
    while let Some(path) = next.pop() {
        let Some(document) = documents.iter().find(|document| document.path == path) else { continue };
        for link in document.links.iter().filter(|link| !link.contains("://")) {
            let target = document.resolve(link.split('#').next().unwrap_or_default());
            // GitHub shows a folder's README below its files.
            let target = if root().join(&target).is_dir() { target.join("README.md") } else { target };
            if reached.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let unreached: Vec<_> = documents.iter().map(|document| &document.path).filter(|&p| !reached.contains(p)).collect();
    assert!(unreached.is_empty(), "no link leads from README.md to {unreached:?}");
}

#[test]
fn documents_that_the_source_refers_to_exist() {
    let mut missing = Vec::new();
    for path in files(&["rs", "toml", "py", "js", "html"]) {
        let text = read(&path);
        for (at, _) in text.match_indices("docs/") {
            let name = text[at..].split(|c: char| !c.is_ascii_alphanumeric() && !"/-_.".contains(c)).next();
            let name = name.unwrap_or_default().trim_end_matches('.');
            if name.ends_with(".md") && !root().join(name).exists() {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "documents that do not exist:\n{}", missing.join("\n"));
}

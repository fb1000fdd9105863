//! The folder that a page is written to, with a manifest of what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use convlens_run::{RunError, write_file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Files;
use crate::failure::Failure;

/// The file that lists the files of the page.
const MANIFEST: &str = "page-files.json";

/// A folder for a page. Only files that `convlens web` wrote, and that nobody has changed since, are replaced
/// or removed; symbolic links inside the folder are not followed.
pub struct PageFolder {
    path: PathBuf,
    manifest: Manifest,
}

/// The files that `convlens web` wrote, by their paths inside the folder.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Manifest {
    /// The SHA-256 digests that each file may have: one, or two while a page is replaced.
    files: BTreeMap<String, BTreeSet<String>>,
}

/// What is at a file's place.
enum Found {
    Nothing,
    /// A file as `convlens web` wrote it.
    Own,
    /// A file that somebody else wrote or changed.
    Foreign(Vec<u8>),
}

impl PageFolder {
    /// Accepts a folder that does not exist, is empty, or holds a page with its manifest. Creates nothing.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let manifest_path = path.join(MANIFEST);
        let manifest = if fs::symlink_metadata(&manifest_path).is_ok_and(|metadata| metadata.is_file()) {
            let json = fs::read(&manifest_path).map_err(|source| io_error(&manifest_path, source))?;
            serde_json::from_slice(&json).map_err(|error| {
                let path = manifest_path.display();
                Failure::Input(format!(
                    "{path}: not the manifest of a page ({error}); choose another folder with --out"
                ))
            })?
        } else {
            let is_free = match fs::read_dir(path) {
                Ok(mut entries) => entries.next().is_none(),
                Err(error) => error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err(),
            };
            if !is_free {
                return Err(Failure::Input(format!(
                    "--out {}: it holds something other than a page that `convlens web` wrote; choose a folder that is new or empty",
                    path.display()
                )));
            }
            Manifest::default()
        };
        Ok(Self { path: path.into(), manifest })
    }

    /// Replaces the page's files by those that somebody else wrote or changed, so that the page is served and
    /// kept offline as it is in the folder.
    pub fn keep_foreign(&self, files: &mut Files) -> Result<BTreeSet<String>, Failure> {
        let mut kept = BTreeSet::new();
        for (name, content) in files {
            if let Found::Foreign(found) = self.find(name)? {
                *content = found;
                kept.insert(name.clone());
            }
        }
        Ok(kept)
    }

    /// Writes the files that are not `kept`, and removes the files of the page before that are not among these.
    pub fn write(self, files: &Files, kept: &BTreeSet<String>) -> Result<(), Failure> {
        let warn = |name: &str| {
            let path = self.path.join(name);
            log::warn!("{}: not as it was written, so it is kept; delete it to replace it", path.display());
        };
        kept.iter().for_each(|name| warn(name));
        let mut written = Manifest::default();
        for (name, content) in files.iter().filter(|(name, _)| !kept.contains(*name)) {
            written.files.insert(name.clone(), BTreeSet::from([digest(content)]));
        }
        fs::create_dir_all(&self.path).map_err(|source| io_error(&self.path, source))?;
        // If this is interrupted, the next page finds files of either page to be its own.
        let mut either = written.clone();
        for (name, digests) in &self.manifest.files {
            either.files.entry(name.clone()).or_default().extend(digests.iter().cloned());
        }
        self.write_manifest(&either)?;
        for name in self.manifest.files.keys().filter(|name| !files.contains_key(*name)) {
            match self.find(name) {
                Ok(Found::Own) => {
                    let path = self.path.join(name);
                    fs::remove_file(&path).map_err(|source| io_error(&path, source))?;
                }
                Ok(Found::Nothing) => {}
                Ok(Found::Foreign(_)) | Err(_) => warn(name),
            }
        }
        for name in written.files.keys() {
            let path = self.path.join(name);
            let parent = path.parent().unwrap_or(&self.path);
            fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
            write_file(&path, &files[name])?;
        }
        self.write_manifest(&written)
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), Failure> {
        let json = serde_json::to_vec_pretty(manifest).unwrap_or_else(|error| unreachable!("names are JSON: {error}"));
        Ok(write_file(&self.path.join(MANIFEST), &json)?)
    }

    /// What is at the place of a file. Fails if a page cannot be written there: a link, or another kind of file.
    fn find(&self, name: &str) -> Result<Found, Failure> {
        let mut path = self.path.clone();
        let mut components = Path::new(name).components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(component) = component else {
                return Err(self.unusable(name, "it is outside the folder"));
            };
            path.push(component);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                Err(error) => return Err(io_error(&path, error).into()),
            };
            let is_last = components.peek().is_none();
            if is_last && metadata.is_file() {
                let content = fs::read(&path).map_err(|source| io_error(&path, source))?;
                let digests = self.manifest.files.get(name);
                let is_own = digests.is_some_and(|digests| digests.contains(&digest(&content)));
                return Ok(if is_own { Found::Own } else { Found::Foreign(content) });
            }
            if is_last || !metadata.is_dir() {
                let name = path.strip_prefix(&self.path).unwrap_or(&path).display().to_string();
                let kind = if is_last { "file" } else { "folder" };
                return Err(self.unusable(&name, &format!("it is not a regular {kind}")));
            }
        }
        Err(self.unusable(name, "it has no name"))
    }

    fn unusable(&self, name: &str, why: &str) -> Failure {
        let folder = self.path.display();
        Failure::Input(format!("--out {folder}: {name} cannot be written: {why}; remove it or choose another folder"))
    }
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn io_error(path: &Path, source: io::Error) -> RunError {
    RunError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[(&str, &str)]) -> Files {
        names.iter().map(|&(name, content)| (name.to_owned(), content.as_bytes().to_vec())).collect()
    }

    /// Writes a page as the verb does; the names of the files that were kept.
    fn write(path: &Path, names: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        let folder = PageFolder::open(path)?;
        let mut files = files(names);
        let kept = folder.keep_foreign(&mut files)?;
        folder.write(&files, &kept)?;
        Ok(kept.into_iter().collect())
    }

    fn read(path: &Path, name: &str) -> Option<String> {
        fs::read_to_string(path.join(name)).ok()
    }

    /// A folder to make a page in, and the folder around it.
    fn folder() -> (PathBuf, tempfile::TempDir) {
        let root = tempfile::tempdir().expect("a folder");
        (root.path().join("site"), root)
    }

    #[test]
    fn only_files_of_the_page_before_are_replaced_or_removed() {
        let (site, _root) = folder();
        write(&site, &[("index.html", "1"), ("cpu/old.js", "1"), ("cpu/edited.js", "1"), ("style.css", "1")])
            .expect("writes");
        fs::write(site.join("cpu/edited.js"), "edited").expect("writes");
        fs::write(site.join("style.css"), "edited").expect("writes");
        fs::write(site.join("cpu/mine.txt"), "mine").expect("writes");
        fs::write(site.join("new.js"), "mine").expect("writes");

        let page = [("index.html", "2"), ("style.css", "2"), ("new.js", "2")];
        assert_eq!(write(&site, &page).expect("writes"), ["new.js", "style.css"]);
        assert_eq!(read(&site, "index.html").as_deref(), Some("2"));
        assert_eq!(read(&site, "cpu/old.js"), None);
        for (name, content) in
            [("cpu/edited.js", "edited"), ("style.css", "edited"), ("cpu/mine.txt", "mine"), ("new.js", "mine")]
        {
            assert_eq!(read(&site, name).as_deref(), Some(content), "{name}");
        }
        // And they stay, whatever is written later.
        write(&site, &[("index.html", "3")]).expect("writes");
        assert_eq!(read(&site, "style.css").as_deref(), Some("edited"));
    }

    #[test]
    fn a_folder_without_a_manifest_is_refused_and_a_damaged_one_named() {
        let (site, _root) = folder();
        fs::create_dir_all(&site).expect("makes");
        assert!(PageFolder::open(&site).is_ok(), "an empty folder");
        fs::write(site.join("site.json"), "{}").expect("writes");
        assert!(
            matches!(PageFolder::open(&site), Err(Failure::Input(line)) if line.contains("something other than a page"))
        );
        assert!(PageFolder::open(&site.join("site.json")).is_err(), "a file");
        fs::write(site.join(MANIFEST), "[]").expect("writes");
        assert!(matches!(PageFolder::open(&site), Err(Failure::Input(line)) if line.contains(MANIFEST)));
    }

    #[test]
    fn an_interrupted_page_is_replaced() {
        let (site, _root) = folder();
        write(&site, &[("index.html", "1"), ("old.js", "1")]).expect("writes");
        let before = fs::read(site.join(MANIFEST)).expect("reads");
        write(&site, &[("index.html", "2"), ("new.js", "2")]).expect("writes");
        // As if the second had been interrupted after its files were written and before its last manifest was.
        let mut manifest: Manifest = serde_json::from_slice(&before).expect("a manifest");
        let after: Manifest = serde_json::from_slice(&fs::read(site.join(MANIFEST)).expect("reads")).expect("one");
        after.files.into_iter().for_each(|(name, digests)| manifest.files.entry(name).or_default().extend(digests));
        fs::write(site.join(MANIFEST), serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
        assert!(write(&site, &[("index.html", "3")]).expect("writes").is_empty());
        assert_eq!((read(&site, "index.html").as_deref(), read(&site, "new.js")), (Some("3"), None));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_and_a_manifest_cannot_name_files_elsewhere() {
        let (site, root) = folder();
        let root = root.path();
        write(&site, &[("index.html", "1"), ("run/config.json", "1")]).expect("writes");
        // A folder of the page that was replaced by a link to a folder with the very same file.
        fs::rename(site.join("run"), root.join("run")).expect("moves");
        std::os::unix::fs::symlink(root.join("run"), site.join("run")).expect("links");
        assert!(
            matches!(write(&site, &[("run/config.json", "2")]), Err(Failure::Input(line)) if line.contains(": run "))
        );
        write(&site, &[("index.html", "2")]).expect("writes");
        assert_eq!(read(root, "run/config.json").as_deref(), Some("1"));

        fs::write(root.join("precious"), "1").expect("writes");
        let digests = BTreeSet::from([digest(b"1")]);
        let absolute = root.join("precious").display().to_string();
        let files = BTreeMap::from([("../precious".to_owned(), digests.clone()), (absolute, digests)]);
        fs::write(site.join(MANIFEST), serde_json::to_vec(&Manifest { files }).expect("JSON")).expect("writes");
        write(&site, &[("about.html", "3")]).expect("writes");
        assert_eq!(read(root, "precious").as_deref(), Some("1"));
    }
}

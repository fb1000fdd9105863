//! Texts as ids: in memory while they are few, read from disk batch by batch when they are many.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convlens_data::read_exact_at;
use tempfile::NamedTempFile;

use crate::TrainError;

/// How many ids are held in memory: 256 MiB of them; IMDB has 12 million in both splits.
const IN_MEMORY: usize = 64 << 20;
/// Bytes of an id, and of a text's start.
const ID: usize = size_of::<u32>();
const START: usize = size_of::<u64>();

/// Texts as ids, with labels. A part shares what it is a part of.
#[derive(Clone, Debug)]
pub struct Texts {
    store: Arc<Store>,
    /// Where each text lies in the store, in ids.
    spans: Vec<Range<u64>>,
    /// Each text's label.
    pub labels: Vec<usize>,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u32>),
    Disk(File, PathBuf),
}

impl Texts {
    /// Texts from lists of ids.
    pub fn from_rows(rows: &[Vec<u32>], labels: Vec<usize>) -> Self {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len() as u64;
            Some(*end)
        });
        let starts: Vec<u64> = std::iter::once(0).chain(ends).collect();
        Self { store: Arc::new(Store::Memory(rows.concat())), spans: spans(&starts), labels }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether the ids are read from disk, being too many for the memory.
    pub fn is_on_disk(&self) -> bool {
        matches!(*self.store, Store::Disk(..))
    }

    /// How many ids a text has.
    pub fn length(&self, index: usize) -> usize {
        (self.spans[index].end - self.spans[index].start) as usize
    }

    /// How many ids each text has.
    pub fn lengths(&self) -> Vec<usize> {
        (0..self.len()).map(|index| self.length(index)).collect()
    }

    /// The ids of a text.
    ///
    /// # Errors
    ///
    /// [`TrainError::Cache`] where they are on disk and cannot be read.
    pub fn ids(&self, index: usize) -> Result<Cow<'_, [u32]>, TrainError> {
        let span = &self.spans[index];
        match &*self.store {
            Store::Memory(ids) => Ok(Cow::Borrowed(&ids[span.start as usize..span.end as usize])),
            Store::Disk(file, path) => {
                let mut bytes = vec![0; self.length(index) * ID];
                read_exact_at(file, &mut bytes, span.start * ID as u64)
                    .map_err(|source| TrainError::Cache { path: path.clone(), source })?;
                Ok(Cow::Owned(ids_of(&bytes)))
            }
        }
    }

    /// The texts for which `is_chosen` holds, and the others.
    pub fn part(&self, is_chosen: &[bool]) -> (Self, Self) {
        let pick = |wanted: bool| {
            let chosen = || (0..self.len()).filter(|&index| is_chosen[index] == wanted);
            Self {
                store: self.store.clone(),
                spans: chosen().map(|index| self.spans[index].clone()).collect(),
                labels: chosen().map(|index| self.labels[index]).collect(),
            }
        };
        (pick(true), pick(false))
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        let equal = |index| matches!((self.ids(index), other.ids(index)), (Ok(one), Ok(other)) if one == other);
        self.labels == other.labels && (0..self.len()).all(equal)
    }
}

fn spans(starts: &[u64]) -> Vec<Range<u64>> {
    starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn ids_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect()
}

/// The texts of both splits as they are encoded.
///
/// Their file, in the cache or for as long as the program runs: every id as 32 bits, then where
/// each text begins, in ids, as 64 bits, and where the last ends; all little-endian.
pub(crate) struct TextsBuilder {
    memory: Vec<u32>,
    disk: Option<BufWriter<NamedTempFile>>,
    starts: Vec<u64>,
    folder: PathBuf,
    in_memory: usize,
}

impl TextsBuilder {
    /// What does not fit in memory goes to `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { memory: Vec::new(), disk: None, starts: vec![0], folder: folder.into(), in_memory: IN_MEMORY }
    }

    pub(crate) fn push(&mut self, ids: &[u32]) -> Result<(), TrainError> {
        self.starts.push(self.starts[self.starts.len() - 1] + ids.len() as u64);
        if self.disk.is_none() && self.memory.len() + ids.len() > self.in_memory {
            let folder = &self.folder;
            let begin = || {
                std::fs::create_dir_all(folder)?;
                let mut file = BufWriter::new(NamedTempFile::new_in(folder)?);
                write_ids(&mut file, &self.memory)?;
                std::io::Result::Ok(file)
            };
            self.disk = Some(begin().map_err(|source| TrainError::Cache { path: folder.clone(), source })?);
            self.memory = Vec::new();
        }
        match &mut self.disk {
            Some(file) => {
                write_ids(file, ids).map_err(|source| TrainError::Cache { path: self.folder.clone(), source })
            }
            None => {
                self.memory.extend_from_slice(ids);
                Ok(())
            }
        }
    }

    /// The texts of both splits, told apart by their labels; kept at `path` for the next run, if
    /// there is one.
    pub(crate) fn finish(self, labels: [&[usize]; 2], path: Option<&Path>) -> Result<[Texts; 2], TrainError> {
        let Self { memory, disk, starts, folder, .. } = self;
        let wrong = |source| TrainError::Cache { path: folder.clone(), source };
        let store = match disk {
            None => {
                if let Some(Err(error)) = path.map(|path| keep(&folder, path, &memory, &starts)) {
                    log::warn!("{}: {error}; encoded texts are not kept for the next run", folder.display());
                }
                Store::Memory(memory)
            }
            Some(mut file) => {
                write_starts(&mut file, &starts).map_err(wrong)?;
                let file = file.into_inner().map_err(|error| wrong(error.into_error()))?;
                match path {
                    Some(path) => Store::Disk(file.persist(path).map_err(|error| wrong(error.error))?, path.into()),
                    None => Store::Disk(file.into_file(), folder.clone()),
                }
            }
        };
        Ok(split(Arc::new(store), &starts, labels))
    }
}

/// What [`TextsBuilder::finish`] kept, if it is there and whole.
pub(crate) fn open(path: &Path, labels: [&[usize]; 2]) -> Option<[Texts; 2]> {
    let read = || -> std::io::Result<(Store, Vec<u64>)> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let tail = ((labels[0].len() + labels[1].len() + 1) * START) as u64;
        let count = size.checked_sub(tail).ok_or(ErrorKind::UnexpectedEof)? / ID as u64;
        file.seek(SeekFrom::Start(count * ID as u64))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let starts: Vec<u64> = bytes.as_chunks().0.iter().map(|&start| u64::from_le_bytes(start)).collect();
        let is_in_order = starts.first() == Some(&0) && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if !is_in_order || starts.last() != Some(&count) || bytes.len() as u64 != tail {
            return Err(ErrorKind::InvalidData.into());
        }
        if count > IN_MEMORY as u64 {
            return Ok((Store::Disk(file, path.into()), starts));
        }
        let mut bytes = vec![0; count as usize * ID];
        read_exact_at(&file, &mut bytes, 0)?;
        Ok((Store::Memory(ids_of(&bytes)), starts))
    };
    let (store, starts) = read().ok()?;
    Some(split(Arc::new(store), &starts, labels))
}

fn split(store: Arc<Store>, starts: &[u64], labels: [&[usize]; 2]) -> [Texts; 2] {
    let (train, test) = starts.split_at(labels[0].len());
    let train: Vec<u64> = train.iter().chain(test.first()).copied().collect();
    [(train.as_slice(), labels[0]), (test, labels[1])].map(|(starts, labels)| Texts {
        store: store.clone(),
        spans: spans(starts),
        labels: labels.to_vec(),
    })
}

fn keep(folder: &Path, path: &Path, ids: &[u32], starts: &[u64]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(NamedTempFile::new_in(folder)?);
    write_ids(&mut file, ids)?;
    write_starts(&mut file, starts)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.persist(path)?;
    Ok(())
}

fn write_ids(file: &mut impl Write, ids: &[u32]) -> std::io::Result<()> {
    ids.iter().try_for_each(|id| file.write_all(&id.to_le_bytes()))
}

fn write_starts(file: &mut impl Write, starts: &[u64]) -> std::io::Result<()> {
    starts.iter().try_for_each(|start| file.write_all(&start.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_keep_texts_with_their_labels() {
        let rows = [vec![7], vec![7, 8], vec![7, 8, 9]];
        let (chosen, others) = Texts::from_rows(&rows, vec![0, 1, 2]).part(&[false, true, false]);
        assert_eq!((chosen.ids(0).expect("ids").as_ref(), &chosen.labels), ([7, 8].as_slice(), &vec![1]));
        assert_eq!((others.ids(1).expect("ids").as_ref(), &others.labels), ([7, 8, 9].as_slice(), &vec![0, 2]));
    }

    proptest! {
        #[test]
        fn memory_disk_and_cache_hold_the_same(
            rows in prop::collection::vec(prop::collection::vec(0u32..9, 0..6), 0..12), cut in 0usize..12, in_memory in 0usize..30,
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("texts.ids");
            let labels: Vec<usize> = (0..rows.len()).collect();
            let cut = cut.min(rows.len());
            let labels = [&labels[..cut], &labels[cut..]];
            let mut builder = TextsBuilder { in_memory, ..TextsBuilder::new(folder.path()) };
            rows.iter().try_for_each(|ids| builder.push(ids)).expect("takes them");
            let texts = builder.finish(labels, Some(&path)).expect("holds them");
            let expected = [(&rows[..cut], labels[0]), (&rows[cut..], labels[1])]
                .map(|(rows, labels)| Texts::from_rows(rows, labels.to_vec()));
            prop_assert_eq!(texts[0].is_on_disk(), rows.concat().len() > in_memory);
            prop_assert!(texts == expected);
            prop_assert!(open(&path, labels).is_some_and(|texts| texts == expected));
            std::fs::write(&path, b"damaged").expect("writes");
            prop_assert!(open(&path, labels).is_none());
        }
    }
}

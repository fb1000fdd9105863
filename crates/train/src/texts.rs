//! Texts as ids: in memory if there are few, else read from disk batch by batch.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convlens_data::read_exact_at;
use convlens_learn::{NextTokens, Targets};

use crate::TrainError;

/// How many ids are held in memory: 256 MiB. Both splits of IMDB have 12 million ids.
const IN_MEMORY: usize = 64 << 20;
/// The size of an id in a file, in bytes.
const ID: usize = size_of::<u32>();
/// The size of a text's start in a file, in bytes.
const START: usize = size_of::<u64>();

/// Texts as ids, with their targets. A part of them shares their memory or file.
#[derive(Clone, Debug)]
pub struct Texts {
    stores: Vec<Arc<Store>>,
    spans: Vec<Span>,
    /// What a model should say of each text.
    pub targets: Targets,
}

/// Where a text is.
#[derive(Clone, Debug)]
struct Span {
    /// The index of its store.
    store: usize,
    /// Its range in the store, in ids.
    ids: Range<u64>,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u32>),
    Disk(File, PathBuf),
}

impl Texts {
    /// Texts from lists of ids.
    pub fn from_rows(rows: &[Vec<u32>], targets: Targets) -> Self {
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len() as u64;
            Some(*end)
        });
        let starts: Vec<u64> = std::iter::once(0).chain(ends).collect();
        Self { stores: vec![Arc::new(Store::Memory(rows.concat()))], spans: spans(&starts), targets }
    }

    /// These texts and then others, with the targets of all of them.
    pub fn join(&self, others: &Self, targets: Targets) -> Self {
        let stores = self.stores.iter().chain(&others.stores).cloned().collect();
        let moved = others.spans.iter().map(|Span { store, ids }| {
            let store = self.stores.len() + store;
            Span { store, ids: ids.clone() }
        });
        Self { stores, spans: self.spans.iter().cloned().chain(moved).collect(), targets }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether the ids are read from disk, because there are too many for the memory.
    pub fn is_on_disk(&self) -> bool {
        self.stores.iter().any(|store| matches!(**store, Store::Disk(..)))
    }

    /// How many ids a text has.
    pub fn length(&self, index: usize) -> usize {
        let Span { ids, .. } = &self.spans[index];
        (ids.end - ids.start) as usize
    }

    /// How many ids each text has.
    pub fn lengths(&self) -> Vec<usize> {
        (0..self.len()).map(|index| self.length(index)).collect()
    }

    /// The ids of a text.
    ///
    /// # Errors
    ///
    /// [`TrainError::Cache`] if they are on disk and cannot be read.
    pub fn ids(&self, index: usize) -> Result<Cow<'_, [u32]>, TrainError> {
        let Span { store, ids: span } = &self.spans[index];
        match &*self.stores[*store] {
            Store::Memory(ids) => Ok(Cow::Borrowed(&ids[span.start as usize..span.end as usize])),
            Store::Disk(file, path) => {
                let mut bytes = vec![0; self.length(index) * ID];
                read_exact_at(file, &mut bytes, span.start * ID as u64)
                    .map_err(|source| TrainError::Cache { path: path.clone(), source })?;
                Ok(Cow::Owned(ids_of(&bytes)))
            }
        }
    }

    /// Windows of the texts, in each of which a language model predicts up to `length` tokens. The target of every token
    /// is the next one; each token but the first of every text is predicted once.
    ///
    /// A text that has more tokens is cut into several windows, the first of which predicts `first` of them, a number
    /// from 1 to `length`. A window has the label of its text. Windows begin with up to `context` tokens more, which are read and not predicted.
    pub fn windows(&self, length: usize, first: usize, context: usize) -> Self {
        let (mut spans, mut targets) = (Vec::new(), Vec::new());
        let (length, context) = (length.max(1) as u64, context as u64);
        let labels = self.targets.labels();
        for (index, Span { store, ids: text }) in self.spans.iter().enumerate() {
            if text.end - text.start < 2 {
                continue;
            }
            let store = *store;
            let label = labels.get(index).copied().unwrap_or_default();
            // The first token has none before that predicts it.
            let mut start = text.start + 1;
            let is_whole = text.end - start <= length;
            let mut end = if is_whole { text.end } else { start + (first as u64).clamp(1, length) };
            while start < text.end {
                let ids = (start - 1).saturating_sub(context).max(text.start)..end;
                spans.push(Span { store, ids });
                targets.push(NextTokens { count: (end - start) as usize, label });
                (start, end) = (end, text.end.min(end + length));
            }
        }
        Self { stores: self.stores.clone(), spans, targets: Targets::Next(targets) }
    }

    /// The texts whose entry in `is_chosen` is true, and the others.
    pub fn part(&self, is_chosen: &[bool]) -> (Self, Self) {
        let pick = |choice: bool| {
            let picked: Vec<usize> = (0..self.len()).filter(|&index| is_chosen[index] == choice).collect();
            Self {
                stores: self.stores.clone(),
                spans: picked.iter().map(|&index| self.spans[index].clone()).collect(),
                targets: self.targets.pick(&picked, usize::MAX),
            }
        };
        (pick(true), pick(false))
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        let equal = |index| matches!((self.ids(index), other.ids(index)), (Ok(one), Ok(other)) if one == other);
        self.targets == other.targets && (0..self.len()).all(equal)
    }
}

/// The places of texts in the first store, given where each begins and where the last one ends.
fn spans(starts: &[u64]) -> Vec<Span> {
    starts.windows(2).map(|pair| Span { store: 0, ids: pair[0]..pair[1] }).collect()
}

fn ids_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect()
}

/// Collects the texts of both splits as they are encoded.
pub(crate) struct TextsBuilder {
    memory: Vec<u32>,
    /// A file that has no name, so the system removes it even if this process is killed.
    disk: Option<BufWriter<File>>,
    starts: Vec<u64>,
    folder: PathBuf,
    in_memory: usize,
}

impl TextsBuilder {
    /// A builder that writes ids which do not fit in memory to a file in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { memory: Vec::new(), disk: None, starts: vec![0], folder: folder.into(), in_memory: IN_MEMORY }
    }

    pub(crate) fn push(&mut self, ids: &[u32]) -> Result<(), TrainError> {
        self.starts.push(self.starts[self.starts.len() - 1] + ids.len() as u64);
        if self.disk.is_none() && self.memory.len() + ids.len() > self.in_memory {
            self.disk = Some(self.move_to_disk().map_err(|source| self.failed(source))?);
            self.memory = Vec::new();
        }
        match &mut self.disk {
            Some(file) => write_ids(file, ids).map_err(|source| self.failed(source)),
            None => {
                self.memory.extend_from_slice(ids);
                Ok(())
            }
        }
    }

    fn move_to_disk(&self) -> io::Result<BufWriter<File>> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = BufWriter::new(tempfile::tempfile_in(&self.folder)?);
        write_ids(&mut file, &self.memory)?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> TrainError {
        TrainError::Cache { path: self.folder.clone(), source }
    }

    pub(crate) fn finish(mut self) -> Result<EncodedTexts, TrainError> {
        let store = match self.disk.take() {
            None => Store::Memory(std::mem::take(&mut self.memory)),
            Some(file) => {
                let file = file.into_inner().map_err(|error| self.failed(error.into_error()))?;
                Store::Disk(file, self.folder)
            }
        };
        Ok(EncodedTexts { store, starts: self.starts })
    }
}

/// The texts of all splits, one after the other.
///
/// A cached file holds every id as 32 bits; then where each text begins, in ids, and where the last
/// one ends, as 64 bits; all little-endian.
#[derive(Debug)]
pub(crate) struct EncodedTexts {
    store: Store,
    starts: Vec<u64>,
}

impl EncodedTexts {
    /// Reads what [`write`](Self::write) wrote for `count` texts.
    ///
    /// # Errors
    ///
    /// Those of the file; [`ErrorKind::InvalidData`] and [`ErrorKind::UnexpectedEof`] if it is
    /// damaged.
    pub(crate) fn read(mut file: File, path: &Path, count: usize) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let tail = ((count + 1) * START) as u64;
        let ids = size.checked_sub(tail).ok_or(ErrorKind::UnexpectedEof)? / ID as u64;
        file.seek(SeekFrom::Start(ids * ID as u64))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let starts: Vec<u64> = bytes.as_chunks().0.iter().map(|&start| u64::from_le_bytes(start)).collect();
        let is_in_order = starts.first() == Some(&0) && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        if !is_in_order || starts.last() != Some(&ids) || bytes.len() as u64 != tail {
            return Err(ErrorKind::InvalidData.into());
        }
        if ids > IN_MEMORY as u64 {
            return Ok(Self { store: Store::Disk(file, path.into()), starts });
        }
        let mut bytes = vec![0; ids as usize * ID];
        read_exact_at(&file, &mut bytes, 0)?;
        Ok(Self { store: Store::Memory(ids_of(&bytes)), starts })
    }

    /// Writes the texts as a cached file holds them.
    ///
    /// # Errors
    ///
    /// Those of both files.
    pub(crate) fn write(&self, file: &mut File) -> io::Result<()> {
        match &self.store {
            Store::Memory(ids) => {
                let mut file = BufWriter::new(&mut *file);
                write_ids(&mut file, ids)?;
                file.flush()?;
            }
            Store::Disk(spilled, _) => {
                let mut spilled = spilled;
                spilled.seek(SeekFrom::Start(0))?;
                io::copy(&mut spilled, file)?;
            }
        }
        let mut file = BufWriter::new(file);
        self.starts.iter().try_for_each(|start| file.write_all(&start.to_le_bytes()))?;
        file.flush()
    }

    /// How many bytes [`write`](Self::write) writes.
    pub(crate) fn bytes(&self) -> u64 {
        self.starts.last().map_or(0, |&ids| ids * ID as u64) + (self.starts.len() * START) as u64
    }

    /// Whether the ids are read from disk, because there are too many for the memory.
    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self.store, Store::Disk(..))
    }

    /// The texts of each split, given the labels of each split.
    pub(crate) fn split<const N: usize>(self, labels: [&[usize]; N]) -> [Texts; N] {
        let (store, mut first) = (Arc::new(self.store), 0);
        labels.map(|labels| {
            let starts = &self.starts[first..=first + labels.len()];
            first += labels.len();
            Texts { stores: vec![store.clone()], spans: spans(starts), targets: labels.to_vec().into() }
        })
    }
}

fn write_ids(file: &mut impl Write, ids: &[u32]) -> io::Result<()> {
    ids.iter().try_for_each(|id| file.write_all(&id.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_keep_texts_with_their_labels() {
        let rows = [vec![7], vec![7, 8], vec![7, 8, 9]];
        let (chosen, others) = Texts::from_rows(&rows, [0, 1, 2].into()).part(&[false, true, false]);
        assert_eq!(
            (chosen.ids(0).expect("ids").as_ref(), chosen.targets.labels()),
            ([7, 8].as_slice(), [1].as_slice())
        );
        assert_eq!(
            (others.ids(1).expect("ids").as_ref(), others.targets.labels()),
            ([7, 8, 9].as_slice(), [0, 2].as_slice())
        );
    }

    #[test]
    fn joined_texts_are_read_from_where_they_are() {
        let few = Texts::from_rows(&[vec![7], vec![7, 8]], [0, 1].into());
        let others = Texts::from_rows(&[vec![1, 2, 3], vec![], vec![4]], [0, 0, 0].into()).part(&[true, false, true]).0;
        let joined = few.join(&others, [0, 1, 1, 0].into());
        let ids: Vec<_> = (0..joined.len()).map(|index| joined.ids(index).expect("ids").into_owned()).collect();
        assert_eq!(ids, [vec![7], vec![7, 8], vec![1, 2, 3], vec![4]]);
        assert_eq!((joined.lengths(), joined.targets.labels()), (vec![1, 2, 3, 1], [0, 1, 1, 0].as_slice()));
        let (chosen, _) = joined.part(&[false, true, true, false]);
        assert_eq!(chosen.ids(1).expect("ids").as_ref(), [1, 2, 3]);
    }

    #[test]
    fn windows_predict_every_token_once() {
        let rows = [vec![1, 10, 11, 12, 13, 14, 15], vec![1, 20], vec![1]];
        let texts = Texts::from_rows(&rows, [7, 8, 9].into());
        let next = |pairs: &[(usize, usize)]| {
            Targets::Next(pairs.iter().map(|&(count, label)| NextTokens { count, label }).collect())
        };
        let ids = |texts: &Texts| -> Vec<Vec<u32>> {
            (0..texts.len()).map(|index| texts.ids(index).expect("ids").into_owned()).collect()
        };
        let windows = texts.windows(3, 2, 0);
        assert_eq!(ids(&windows), [vec![1, 10, 11], vec![11, 12, 13, 14], vec![14, 15], vec![1, 20]]);
        assert_eq!(windows.targets, next(&[(2, 7), (3, 7), (1, 7), (1, 8)]));
        // A text that fits is not cut.
        assert_eq!(ids(&texts.windows(6, 1, 0)), rows[..2]);
        let with_context = texts.windows(3, 3, 2);
        assert_eq!(ids(&with_context), [vec![1, 10, 11, 12], vec![10, 11, 12, 13, 14, 15], vec![1, 20]]);
        assert_eq!(with_context.targets, next(&[(3, 7), (3, 7), (1, 8)]));
    }

    proptest! {
        #[test]
        fn windows_lose_nothing(
            rows in prop::collection::vec(prop::collection::vec(0u32..9, 0..20), 1..5), length in 1usize..9, first in 1usize..9, context in 0usize..9,
        ) {
            let texts = Texts::from_rows(&rows, vec![0; rows.len()].into());
            let windows = texts.windows(length, first.min(length), context);
            let Targets::Next(next) = &windows.targets else { panic!("no next tokens") };
            let mut predicted = Vec::new();
            for (index, &NextTokens { count, .. }) in next.iter().enumerate() {
                let ids = windows.ids(index).expect("ids");
                prop_assert!(count <= length && ids.len() > count && ids.len() <= 1 + count + context);
                predicted.extend_from_slice(&ids[ids.len() - count..]);
            }
            let expected: Vec<u32> = rows.iter().flat_map(|row| row.iter().skip(1)).copied().collect();
            prop_assert_eq!(predicted, expected);
        }
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
            let entries = std::fs::read_dir(folder.path()).expect("lists").count();
            prop_assert_eq!(entries, 0, "a kill leaves nothing behind");
            let encoded = builder.finish().expect("holds them");
            let mut file = File::create(&path).expect("creates");
            encoded.write(&mut file).expect("writes");
            prop_assert_eq!(file.metadata().expect("a size").len(), encoded.bytes());
            let texts = encoded.split(labels);
            let expected = [(&rows[..cut], labels[0]), (&rows[cut..], labels[1])]
                .map(|(rows, labels)| Texts::from_rows(rows, labels.to_vec().into()));
            prop_assert_eq!(texts[0].is_on_disk(), rows.concat().len() > in_memory);
            prop_assert!(texts == expected);
            let read = || EncodedTexts::read(File::open(&path)?, &path, rows.len());
            prop_assert!(read().is_ok_and(|encoded| encoded.split(labels) == expected));
            std::fs::write(&path, b"damaged").expect("writes");
            prop_assert!(read().is_err());
        }
    }
}

//! Texts in order: in memory while there is little of them, in a temporary file when there is much.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::DataError;

/// How many bytes of text are held in memory; IMDB has 33 million in a split.
const IN_MEMORY: usize = 256 << 20;

/// Texts in order. A part shares what it is a part of, and clones share everything.
#[derive(Clone, Debug)]
pub struct TextList {
    store: Arc<Store>,
    /// Where each text lies in the store.
    spans: Vec<Range<u64>>,
}

#[derive(Debug)]
enum Store {
    Memory(String),
    Disk(File, PathBuf),
}

impl TextList {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether they are read from a file, being too many for the memory.
    pub fn is_on_disk(&self) -> bool {
        matches!(*self.store, Store::Disk(..))
    }

    /// How many bytes a text has, in UTF-8.
    pub fn bytes(&self, index: usize) -> usize {
        (self.spans[index].end - self.spans[index].start) as usize
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] where the temporary file can no longer be read.
    pub fn get(&self, index: usize) -> Result<Cow<'_, str>, DataError> {
        let span = &self.spans[index];
        match &*self.store {
            Store::Memory(texts) => Ok(Cow::Borrowed(&texts[span.start as usize..span.end as usize])),
            Store::Disk(file, folder) => {
                let mut bytes = vec![0; self.bytes(index)];
                let text = read_exact_at(file, &mut bytes, span.start).and_then(|()| {
                    String::from_utf8(bytes)
                        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
                });
                text.map(Cow::Owned).map_err(|source| DataError::Io { path: folder.clone(), source })
            }
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, str>, DataError>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// All of them in memory.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<String>, DataError> {
        self.iter().map(|text| text.map(Cow::into_owned)).collect()
    }

    /// Those for which `is_chosen` holds.
    pub(crate) fn part(&self, is_chosen: impl Fn(usize) -> bool) -> Self {
        let chosen = self.spans.iter().enumerate().filter(|(index, _)| is_chosen(*index));
        Self { store: self.store.clone(), spans: chosen.map(|(_, span)| span.clone()).collect() }
    }
}

impl Default for TextList {
    fn default() -> Self {
        Self { store: Arc::new(Store::Memory(String::new())), spans: Vec::new() }
    }
}

impl<T: AsRef<str>> FromIterator<T> for TextList {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let (mut all, mut spans) = (String::new(), Vec::new());
        for text in texts {
            let start = all.len() as u64;
            all.push_str(text.as_ref());
            spans.push(start..all.len() as u64);
        }
        Self { store: Arc::new(Store::Memory(all)), spans }
    }
}

impl PartialEq for TextList {
    fn eq(&self, other: &Self) -> bool {
        let equal = |(one, other): (Result<Cow<'_, str>, _>, Result<Cow<'_, str>, _>)| matches!((one, other), (Ok(one), Ok(other)) if one == other);
        self.len() == other.len() && self.iter().zip(other.iter()).all(equal)
    }
}

/// Texts as they come.
#[derive(Debug)]
pub(crate) struct TextListBuilder {
    memory: String,
    disk: Option<(BufWriter<File>, PathBuf)>,
    spans: Vec<Range<u64>>,
    end: u64,
    in_memory: usize,
}

impl TextListBuilder {
    pub(crate) fn new() -> Self {
        Self::with_memory(IN_MEMORY)
    }

    fn with_memory(in_memory: usize) -> Self {
        Self { memory: String::new(), disk: None, spans: Vec::new(), end: 0, in_memory }
    }

    pub(crate) fn push(&mut self, text: &str) -> Result<(), DataError> {
        let end = self.end + text.len() as u64;
        self.spans.push(self.end..end);
        self.end = end;
        if self.disk.is_none() && self.memory.len() + text.len() > self.in_memory {
            self.move_to_disk()?;
        }
        match &mut self.disk {
            Some((file, folder)) => {
                let wrong = |source| DataError::Spill { folder: folder.clone(), source };
                file.write_all(text.as_bytes()).map_err(wrong)
            }
            None => {
                self.memory.push_str(text);
                Ok(())
            }
        }
    }

    fn move_to_disk(&mut self) -> Result<(), DataError> {
        let folder = folder();
        let wrong = |source| DataError::Spill { folder: folder.clone(), source };
        let mut file = BufWriter::new(tempfile::tempfile_in(&folder).map_err(wrong)?);
        file.write_all(std::mem::take(&mut self.memory).as_bytes()).map_err(wrong)?;
        self.disk = Some((file, folder));
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<TextList, DataError> {
        let store = match self.disk {
            None => {
                self.memory.shrink_to_fit();
                Store::Memory(self.memory)
            }
            Some((file, folder)) => match file.into_inner() {
                Ok(file) => Store::Disk(file, folder),
                Err(error) => return Err(DataError::Spill { folder, source: error.into_error() }),
            },
        };
        Ok(TextList { store: Arc::new(store), spans: self.spans })
    }
}

/// Where large temporary files go: `TMPDIR`, or `/var/tmp` where there is one (`/tmp` is often
/// memory).
fn folder() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && large.is_dir() { large } else { std::env::temp_dir() }
}

/// Fills `bytes` from a file, from `start` on, wherever others have read it to.
///
/// # Errors
///
/// Those of the file, and `UnexpectedEof` where it ends too early.
pub fn read_exact_at(file: &File, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, start);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], start + done as u64)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn memory_and_disk_hold_the_same(texts in prop::collection::vec(".{0,12}", 0..30), in_memory in 0usize..100) {
            let mut builder = TextListBuilder::with_memory(in_memory);
            texts.iter().try_for_each(|text| builder.push(text)).expect("takes them");
            let list = builder.finish().expect("holds them");
            prop_assert_eq!(&list, &texts.iter().collect::<TextList>());
            prop_assert_eq!(list.is_on_disk(), texts.concat().len() > in_memory);
            let odd = list.part(|index| index % 2 == 1);
            let expected: Vec<String> = texts.iter().skip(1).step_by(2).cloned().collect();
            prop_assert_eq!(odd.to_vec().expect("reads"), expected);
        }
    }
}

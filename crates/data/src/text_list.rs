//! A list of texts: in memory if it is small, and in a temporary file if it is large.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::DataError;

/// How many bytes of text are held in memory. IMDB has 33 million per split.
const IN_MEMORY: usize = 256 << 20;

/// A list of texts. A part of a list and a clone of it share its texts.
#[derive(Clone, Debug)]
pub struct TextList {
    store: Arc<Store>,
    /// Where each text is in the store.
    spans: Vec<Range<u64>>,
}

#[derive(Debug)]
enum Store {
    Memory(String),
    Disk(File, PathBuf),
}

impl TextList {
    /// The number of texts.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether the texts are in a file, because they are too large for memory.
    pub fn is_on_disk(&self) -> bool {
        matches!(*self.store, Store::Disk(..))
    }

    /// The length of a text in UTF-8, in bytes.
    pub fn bytes(&self, index: usize) -> usize {
        (self.spans[index].end - self.spans[index].start) as usize
    }

    /// The text at an index.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`] if the temporary file cannot be read.
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

    /// All texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, str>, DataError>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Reads all texts into memory.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<String>, DataError> {
        self.iter().map(|text| text.map(Cow::into_owned)).collect()
    }

    /// The texts for whose index `is_chosen` returns true.
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

/// Builds a [`TextList`] from texts that arrive one by one.
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
                let spill = |source| DataError::Spill { folder: folder.clone(), source };
                file.write_all(text.as_bytes()).map_err(spill)
            }
            None => {
                self.memory.push_str(text);
                Ok(())
            }
        }
    }

    fn move_to_disk(&mut self) -> Result<(), DataError> {
        let folder = spill_folder();
        let spill = |source| DataError::Spill { folder: folder.clone(), source };
        let mut file = BufWriter::new(tempfile::tempfile_in(&folder).map_err(spill)?);
        file.write_all(std::mem::take(&mut self.memory).as_bytes()).map_err(spill)?;
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

/// The folder for large temporary files: `TMPDIR` if it is set, and otherwise `/var/tmp` if it exists,
/// because `/tmp` is often in memory.
fn spill_folder() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    if std::env::var_os("TMPDIR").is_none() && large.is_dir() { large } else { std::env::temp_dir() }
}

/// Fills `bytes` from a file, beginning at the byte `start`. The file's own position is not used.
///
/// # Errors
///
/// Those of reading the file, and [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if it is too
/// short.
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
        fn a_list_on_disk_equals_one_in_memory(texts in prop::collection::vec(".{0,12}", 0..30), in_memory in 0usize..100) {
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

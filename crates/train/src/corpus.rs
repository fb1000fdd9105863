//! A data set as ids: its tokenizer trained or read, its texts encoded, both cached by content.

use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use convlens_data::{Dataset, Examples, choose};
use convlens_run::text::{Tokenizer, train};
use convlens_run::{TextConfig, TokenizerSource};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};

use crate::texts::{self, TextsBuilder};
use crate::{Texts, TrainError};

/// The version of what is cached; another one never reads it.
const VERSION: &str = "2";
/// How many texts are encoded between two reports of progress.
const CHUNK: usize = 500;

/// How far the preparation is: what it does, how many texts are done, of how many.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What is being done.
    pub name: &'static str,
    /// Texts done.
    pub done: usize,
    /// Texts in all.
    pub total: usize,
}

/// A data set as ids.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The tokenizer as `tokenizer.json`.
    pub tokenizer_json: String,
    /// What is trained on.
    pub train: Texts,
    /// What the epoch is chosen on, cut from the training split.
    pub validation: Texts,
    /// What is read once, at the end.
    pub test: Texts,
    /// The digest of the data set.
    pub fingerprint: String,
}

impl Corpus {
    /// Trains or reads the tokenizer, encodes both splits, and cuts the validation split off.
    ///
    /// # Errors
    ///
    /// [`TrainError::Tokenizer`] for a `tokenizer.json` that is none, [`TrainError::Text`],
    /// [`TrainError::Data`] where there are too few texts to cut.
    pub fn prepare(
        dataset: &Dataset,
        text: &TextConfig,
        validation_fraction: f64,
        seed: u64,
        cache: &Cache,
        on_stage: &(dyn Fn(Stage) + Sync),
    ) -> Result<Self, TrainError> {
        let fingerprint = dataset.fingerprint()?;
        let tokenizer_json = tokenizer_json(dataset, &fingerprint, text, cache, on_stage)?;
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;

        let path = cache.path(&key(&["texts", &tokenizer_json, &fingerprint]), "ids");
        let labels = [dataset.train.labels.as_slice(), &dataset.test.labels];
        let cached = path.as_ref().and_then(|path| texts::open(path, labels));
        let [all, test] = match cached {
            Some(splits) => splits,
            None => {
                let mut texts = TextsBuilder::new(&cache.spill_folder());
                encode_into(&mut texts, &tokenizer, &dataset.train, on_stage)?;
                encode_into(&mut texts, &tokenizer, &dataset.test, on_stage)?;
                texts.finish(labels, path.as_deref())?
            }
        };
        if all.len() < 2 {
            let (name, count) = (dataset.name.clone(), all.len());
            return Err(convlens_data::DataError::TooFew { name, count, purpose: "validation" }.into());
        }
        let (validation, train) = all.part(&choose(all.len(), validation_fraction, seed));
        Ok(Self { tokenizer, tokenizer_json, train, validation, test, fingerprint })
    }
}

fn tokenizer_json(
    dataset: &Dataset,
    fingerprint: &str,
    text: &TextConfig,
    cache: &Cache,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<String, TrainError> {
    let kind = match &text.tokenizer {
        TokenizerSource::File(path) => return read_tokenizer(path),
        TokenizerSource::Trained(kind) => *kind,
    };
    let key = key(&["tokenizer", &format!("{kind:?}"), &text.vocab_size.to_string(), fingerprint]);
    if let Some(json) = cache.read(&key, "json").and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Ok(json);
    }
    let total = dataset.train.len();
    // The first text that cannot be read ends the texts, and is the error.
    let mut unread = None;
    let texts = dataset.train.texts.iter().enumerate().map_while(|(done, text)| {
        on_stage(Stage { name: "learning the vocabulary", done, total });
        text.map_err(|error| unread = Some(error)).ok()
    });
    let tokenizer = train(kind, text.vocab_size, texts);
    if let Some(error) = unread {
        return Err(error.into());
    }
    let json = tokenizer?.to_json()?;
    on_stage(Stage { name: "learning the vocabulary", done: total, total });
    cache.write(&key, "json", json.as_bytes());
    Ok(json)
}

fn read_tokenizer(path: &Path) -> Result<String, TrainError> {
    let wrong = |message: String| TrainError::Tokenizer { path: path.into(), message };
    let json = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    Tokenizer::from_json(json.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    Ok(json)
}

fn encode_into(
    texts: &mut TextsBuilder,
    tokenizer: &Tokenizer,
    examples: &Examples,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<(), TrainError> {
    let total = examples.len();
    for start in (0..total).step_by(CHUNK) {
        on_stage(Stage { name: "encoding texts", done: start, total });
        let chunk = (start..total.min(start + CHUNK)).map(|index| examples.texts.get(index));
        let chunk: Vec<Cow<'_, str>> = chunk.collect::<Result<_, _>>()?;
        let chunk: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
        tokenizer.encode_ids(&chunk)?.iter().try_for_each(|ids| texts.push(ids))?;
    }
    on_stage(Stage { name: "encoding texts", done: total, total });
    Ok(())
}

/// Texts as ids, for once.
pub(crate) fn encode(
    tokenizer: &Tokenizer,
    examples: &Examples,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Texts, TrainError> {
    let mut texts = TextsBuilder::new(&Cache::of_user().spill_folder());
    encode_into(&mut texts, tokenizer, examples, on_stage)?;
    let [texts, _] = texts.finish([&examples.labels, &[]], None)?;
    Ok(texts)
}

fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(VERSION);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Where tokenizers and encoded texts are kept between runs. It may be emptied at any time; what
/// cannot be read from it is made anew, and what cannot be written to it is not missed.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// The user's: `CONVLENS_CACHE`, or `convlens` in the system's cache folder.
    pub fn of_user() -> Self {
        let system = || Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("convlens"));
        Self { folder: std::env::var_os("CONVLENS_CACHE").map(PathBuf::from).or_else(system) }
    }

    /// One in a folder of the caller's.
    pub fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.into()) }
    }

    /// Where encoded texts go that do not fit in memory.
    fn spill_folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn path(&self, key: &str, extension: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{key}.{extension}")))
    }

    fn read(&self, key: &str, extension: &str) -> Option<Vec<u8>> {
        fs::read(self.path(key, extension)?).ok()
    }

    fn write(&self, key: &str, extension: &str, content: &[u8]) {
        let Some(folder) = &self.folder else { return };
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(content)?;
            file.persist(folder.join(format!("{key}.{extension}")))?;
            std::io::Result::Ok(())
        };
        if let Err(error) = write() {
            log::warn!("{}: {error}; encoded texts are not kept for the next run", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlens_run::text::TokenizerKind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn words() -> TextConfig {
        TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 200 }
    }

    #[test]
    fn the_second_time_nothing_is_encoded_and_all_is_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(folder.path());
        let dataset = convlens_data::generate_sample(1);
        let stages = AtomicUsize::new(0);
        let prepare = |cache: &Cache| {
            stages.store(0, Ordering::Relaxed);
            let count = |_| _ = stages.fetch_add(1, Ordering::Relaxed);
            let corpus = Corpus::prepare(&dataset, &words(), 0.1, 0, cache, &count).expect("prepares");
            (corpus, stages.load(Ordering::Relaxed))
        };
        let (first, work) = prepare(&cache);
        let (second, none) = prepare(&cache);
        assert!(work > 0 && none == 0);
        assert_eq!((&first.train, &first.test, &first.validation), (&second.train, &second.test, &second.validation));
        assert_eq!((first.train.len(), first.validation.len()), (2_700, 300));

        // A damaged cache is no obstacle.
        for entry in fs::read_dir(folder.path()).expect("lists").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "ids") {
                fs::write(entry.path(), b"damaged").expect("writes");
            }
        }
        let (third, work) = prepare(&cache);
        assert!(work > 0 && third.test == first.test);
    }
}

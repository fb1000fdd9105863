//! A data set as ids: its tokenizer trained or read, its texts encoded, both cached by content.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use convlens_data::{Dataset, Examples, choose};
use convlens_run::text::{Tokenizer, train};
use convlens_run::{TextConfig, TokenizerSource};
use etcetera::BaseStrategy;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};

use crate::{Texts, TrainError};

/// The version of what is cached; another one never reads it.
const VERSION: &str = "1";
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
        let fingerprint = dataset.fingerprint();
        let tokenizer_json = tokenizer_json(dataset, &fingerprint, text, cache, on_stage)?;
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;

        let key = key(&["texts", &tokenizer_json, &fingerprint]);
        let cached = cache.read(&key, "safetensors").and_then(|bytes| decode(&bytes, dataset));
        let (all, test) = match cached {
            Some(splits) => splits,
            None => {
                let splits =
                    (encode(&tokenizer, &dataset.train, on_stage)?, encode(&tokenizer, &dataset.test, on_stage)?);
                cache.write(&key, "safetensors", &store(&splits.0, &splits.1));
                splits
            }
        };
        if all.len() < 2 {
            return Err(convlens_data::DataError::TooFew(dataset.name.clone()).into());
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
    let texts = dataset.train.texts.iter().enumerate().map(|(done, text)| {
        on_stage(Stage { name: "learning the vocabulary", done, total });
        text.as_str()
    });
    let json = train(kind, text.vocab_size, texts)?.to_json()?;
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

pub(crate) fn encode(
    tokenizer: &Tokenizer,
    examples: &Examples,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Texts, TrainError> {
    let total = examples.len();
    let mut rows = Vec::with_capacity(total);
    for chunk in examples.texts.chunks(CHUNK) {
        on_stage(Stage { name: "encoding texts", done: rows.len(), total });
        let texts: Vec<&str> = chunk.iter().map(String::as_str).collect();
        rows.extend(tokenizer.encode_ids(&texts)?);
    }
    on_stage(Stage { name: "encoding texts", done: total, total });
    Ok(Texts::from_rows(&rows, examples.labels.clone()))
}

fn store(train: &Texts, test: &Texts) -> Vec<u8> {
    let bytes = |texts: &Texts| {
        let (ids, starts) = texts.raw();
        let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let starts: Vec<u8> = starts.iter().flat_map(|&start| (start as u64).to_le_bytes()).collect();
        (ids, starts)
    };
    let ((train_ids, train_starts), (test_ids, test_starts)) = (bytes(train), bytes(test));
    let views = [
        ("train.ids", view(Dtype::U32, 4, &train_ids)),
        ("train.starts", view(Dtype::U64, 8, &train_starts)),
        ("test.ids", view(Dtype::U32, 4, &test_ids)),
        ("test.starts", view(Dtype::U64, 8, &test_starts)),
    ];
    let views = views.into_iter().filter_map(|(name, view)| Some((name, view?)));
    safetensors::serialize(views, None).unwrap_or_default()
}

fn view(dtype: Dtype, width: usize, bytes: &[u8]) -> Option<TensorView<'_>> {
    TensorView::new(dtype, vec![bytes.len() / width], bytes).ok()
}

fn decode(bytes: &[u8], dataset: &Dataset) -> Option<(Texts, Texts)> {
    let tensors = safetensors::SafeTensors::deserialize(bytes).ok()?;
    let split = |name: &str, labels: &[usize]| {
        let ids = tensors.tensor(&format!("{name}.ids")).ok()?;
        let starts = tensors.tensor(&format!("{name}.starts")).ok()?;
        let ids = ids.data().as_chunks::<4>().0.iter().map(|&id| u32::from_le_bytes(id)).collect();
        let starts = starts.data().as_chunks::<8>().0.iter().map(|&start| u64::from_le_bytes(start) as usize).collect();
        Texts::new(ids, starts, labels.to_vec())
    };
    Some((split("train", &dataset.train.labels)?, split("test", &dataset.test.labels)?))
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

    fn read(&self, key: &str, extension: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.as_ref()?.join(format!("{key}.{extension}"))).ok()
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
            if entry.path().extension().is_some_and(|extension| extension == "safetensors") {
                fs::write(entry.path(), b"damaged").expect("writes");
            }
        }
        let (third, work) = prepare(&cache);
        assert!(work > 0 && third.test == first.test);
    }
}

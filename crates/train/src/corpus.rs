//! A data set as ids: trains or reads its tokenizer and encodes its texts; both are cached.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use convlens_data::{
    DataError, Dataset, Examples, TaggedDataset, TaggedSentences, TextDataset, TextList, choose, open_file,
};
use convlens_learn::{CountedLexicon, LabelProbabilities, Targets};
use convlens_run::model::Forms;
use convlens_run::text::{TextError, Tokenizer, train, train_on_words};
use convlens_run::{TextConfig, TokenizerSource, forms_of, most_tokenizer_bytes};

use crate::cache::key;
use crate::texts::{EncodedTexts, TextsBuilder};
use crate::{Cache, CacheEntryKind, Texts, TrainError};

/// How many texts are encoded between two reports of progress.
const CHUNK: usize = 500;
/// The largest `tokenizer.json` that is read, in bytes. Those with 256,000 tokens have 35 million.
const MOST_TOKENIZER: u64 = 256 << 20;

/// The progress of one stage of a longer task.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What is being done.
    pub name: &'static str,
    /// How many items are done, mostly texts.
    pub done: usize,
    /// How many items there are.
    pub total: usize,
}

/// A data set as ids.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The tokenizer as `tokenizer.json`.
    pub tokenizer_json: String,
    /// The texts to train on.
    pub train: Texts,
    /// The texts to choose the best epoch with, cut from the training split.
    pub validation: Texts,
    /// The texts to measure the trained model with, once.
    pub test: Texts,
    /// Texts without labels, to learn word vectors from; there are none at first.
    pub unlabelled: Texts,
    /// The distinct forms of the words, if the texts consist of forms and not of tokens.
    pub forms: Option<Arc<Forms>>,
    /// How long the texts of a language model's validation and test splits are.
    pub sizes: Option<[TextSize; 2]>,
    /// The digest of the data set; see [`Dataset::fingerprint`].
    pub fingerprint: String,
    /// The lexicon of the training texts, once it is counted.
    lexicon: OnceLock<CountedLexicon>,
}

impl Corpus {
    /// The lexicon of the training texts, for a model with this many logits, with phrases of up to `words` words. It is
    /// counted at the first call; later calls must have the same arguments.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if a text cannot be read.
    pub fn lexicon(&self, outputs: usize, words: usize, max_tokens: usize) -> Result<&CountedLexicon, TrainError> {
        if let Some(counted) = self.lexicon.get() {
            return Ok(counted);
        }
        let texts = &self.train;
        let probabilities = texts.targets.probabilities(outputs.max(2));
        let counted = CountedLexicon::new(&self.tokenizer, outputs, words, |count| {
            for (index, probabilities) in probabilities.iter().flat_map(|all| all.rows()).enumerate() {
                let ids = texts.ids(index)?;
                count(&ids[..ids.len().min(max_tokens)], probabilities);
            }
            Ok::<_, TrainError>(())
        })?;
        Ok(self.lexicon.get_or_init(|| counted))
    }

    /// Trains or reads the tokenizer, encodes both splits, and cuts the validation split from the
    /// training split.
    ///
    /// # Errors
    ///
    /// - [`TrainError::Tokenizer`] if the configured `tokenizer.json` cannot be read or is too large.
    /// - [`TrainError::NoWords`] if the training texts have nothing to train a tokenizer on.
    /// - [`TrainError::Text`] if no tokenizer can be trained, or a text cannot be encoded.
    /// - [`TrainError::Data`] if a text cannot be read, there are fewer than two texts, or the
    ///   configured `tokenizer.json` is not a regular file.
    /// - [`TrainError::Cache`] if encoded texts that do not fit in memory cannot be written.
    /// - [`TrainError::CacheLimit`] if the environment sets a limit that is not a size.
    pub fn prepare(
        dataset: &Dataset,
        text: &TextConfig,
        validation_fraction: f64,
        seed: u64,
        cache: &Cache,
        on_stage: &(dyn Fn(Stage) + Sync),
    ) -> Result<Self, TrainError> {
        cache.limit()?;
        let fingerprint = dataset.fingerprint()?;
        let source = (dataset.name.as_str(), fingerprint.as_str());
        let tokenizer_json = tokenizer_json(&dataset.train, source, text, cache, on_stage)?;
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;

        let key = key(&["texts", &tokenizer_json, &fingerprint]);
        let encoded = encoded(&[&dataset.train, &dataset.test], &tokenizer, None, cache, &key, on_stage)?;
        let [all, test] = encoded.split([&dataset.train.labels, &dataset.test.labels]);
        if all.len() < 2 {
            let (name, count) = (dataset.name.clone(), all.len());
            return Err(DataError::TooFew { name, count, purpose: "validation" }.into());
        }
        let (validation, train) = all.part(&choose(all.len(), validation_fraction, seed));
        let (unlabelled, lexicon) = (Texts::from_rows(&[], Vec::new().into()), OnceLock::new());
        let (forms, sizes) = (None, None);
        Ok(Self { tokenizer, tokenizer_json, train, validation, test, unlabelled, forms, sizes, fingerprint, lexicon })
    }

    /// Trains or reads the tokenizer, and encodes the splits of a data set for a language model. Every text ends with
    /// the token that texts begin with, unless the splits are parts of one text.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare), and [`TrainError::ShortSplit`] if a split has no token to predict.
    pub fn prepare_texts(
        dataset: &TextDataset,
        text: &TextConfig,
        cache: &Cache,
        on_stage: &(dyn Fn(Stage) + Sync),
    ) -> Result<Self, TrainError> {
        cache.limit()?;
        let fingerprint = dataset.fingerprint()?;
        let source = (dataset.name.as_str(), fingerprint.as_str());
        let tokenizer_json = tokenizer_json(&dataset.train, source, text, cache, on_stage)?;
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;
        let end = if dataset.is_one_text { None } else { tokenizer.start_id() };
        let key = key(&["texts with ends", &tokenizer_json, &fingerprint]);
        let splits = [&dataset.train, &dataset.validation, &dataset.test];
        let encoded = encoded(&splits, &tokenizer, end, cache, &key, on_stage)?;
        let texts = encoded.split(splits.map(|split| split.labels.as_slice()));
        for (texts, split) in texts.iter().zip(["training", "validation", "test"]) {
            if texts.lengths().into_iter().all(|length| length < 2) {
                return Err(TrainError::ShortSplit { name: dataset.name.clone(), split });
            }
        }
        let [train, validation, test] = texts;
        let sizes = Some([TextSize::of(&dataset.validation.texts)?, TextSize::of(&dataset.test.texts)?]);
        let (unlabelled, lexicon) = (Texts::from_rows(&[], Vec::new().into()), OnceLock::new());
        let forms = None;
        Ok(Self { tokenizer, tokenizer_json, train, validation, test, unlabelled, forms, sizes, fingerprint, lexicon })
    }

    /// Trains or reads the tokenizer, and makes texts of the forms of tagged words. `further` words may be in the
    /// vocabulary too, in their order, while there is room.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn prepare_tagged(dataset: &TaggedDataset, text: &TextConfig, further: &[String]) -> Result<Self, TrainError> {
        let tokenizer_json = match &text.tokenizer {
            TokenizerSource::File(path) => read_tokenizer(path)?,
            TokenizerSource::Trained(_) => {
                train_on_words(text.vocab_size, dataset.train.sentences.iter().flatten(), further)?.to_json()?
            }
        };
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;
        let splits = [&dataset.train, &dataset.validation, &dataset.test];
        let sentences: Vec<&Vec<String>> = splits.iter().flat_map(|split| &split.sentences).collect();
        let (forms, mut rows) = forms_of(&tokenizer, &sentences);
        let texts = splits.map(|split| {
            let rest = rows.split_off(split.len());
            tagged_texts(&std::mem::replace(&mut rows, rest), split)
        });
        let [train, validation, test] = texts;
        Ok(Self {
            tokenizer,
            tokenizer_json,
            train,
            validation,
            test,
            unlabelled: Texts::from_rows(&[], Vec::new().into()),
            forms: Some(Arc::new(forms)),
            sizes: None,
            fingerprint: dataset.fingerprint(),
            lexicon: OnceLock::new(),
        })
    }

    /// Encodes texts without labels, which are kept as [`unlabelled`](Self::unlabelled).
    ///
    /// # Errors
    ///
    /// [`TrainError`] if a text cannot be read or encoded.
    pub fn add_unlabelled(&mut self, texts: TextList, on_stage: &(dyn Fn(Stage) + Sync)) -> Result<(), TrainError> {
        let labels = vec![0; texts.len()];
        self.unlabelled = encode(&self.tokenizer, &Examples { texts, labels }, None, on_stage)?;
        Ok(())
    }

    /// Trains on the [unlabelled](Self::unlabelled) texts too, with the probabilities that other models give their
    /// labels. Their words count in the lexicon.
    ///
    /// # Panics
    ///
    /// If there is not one row of probabilities for each of these texts, or the training texts have no labels.
    pub fn learn_from(&mut self, probabilities: &LabelProbabilities) {
        assert_eq!(probabilities.len(), self.unlabelled.len(), "one row for each text");
        let of_train = self.train.targets.probabilities(probabilities.classes).expect("labels of texts");
        let values = [of_train.values.as_slice(), &probabilities.values].concat();
        let targets = LabelProbabilities { classes: probabilities.classes, values };
        self.train = self.train.join(&self.unlabelled, Targets::Probabilities(targets));
        self.unlabelled = Texts::from_rows(&[], Vec::new().into());
        self.lexicon = OnceLock::new();
    }
}

/// Sentences of forms, with the tags of their words.
fn tagged_texts(rows: &[Vec<u32>], sentences: &TaggedSentences) -> Texts {
    Texts::from_rows(rows, Targets::Positions(sentences.tags.clone()))
}

/// How long texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSize {
    /// The number of characters.
    pub characters: usize,
    /// The number of bytes in UTF-8.
    pub bytes: usize,
}

impl TextSize {
    /// The size of some texts.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if they are on disk and cannot be read.
    pub fn of(texts: &TextList) -> Result<Self, TrainError> {
        let mut size = Self { characters: 0, bytes: 0 };
        for text in texts.iter() {
            let text = text?;
            size.characters += text.chars().count();
            size.bytes += text.len();
        }
        Ok(size)
    }
}

/// The tokenizer for a data set with this name and fingerprint, and these training texts.
fn tokenizer_json(
    train_split: &Examples,
    (name, fingerprint): (&str, &str),
    text: &TextConfig,
    cache: &Cache,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<String, TrainError> {
    let kind = match &text.tokenizer {
        TokenizerSource::File(path) => return read_tokenizer(path),
        TokenizerSource::Trained(kind) => *kind,
    };
    let key = key(&["tokenizer", &format!("{kind:?}"), &text.vocab_size.to_string(), fingerprint]);
    if let Some(json) = cached_tokenizer(cache, &key) {
        return Ok(json);
    }
    let total = train_split.len();
    // The iterator ends at the first text that cannot be read; the error is returned below.
    let mut unread = None;
    let texts = train_split.texts.iter().enumerate().map_while(|(done, text)| {
        on_stage(Stage { name: "learning the vocabulary", done, total });
        text.map_err(|error| unread = Some(error)).ok()
    });
    let tokenizer = train(kind, text.vocab_size, texts);
    if let Some(error) = unread {
        return Err(error.into());
    }
    let json = tokenizer.map_err(|error| training_error(error, name))?.to_json()?;
    on_stage(Stage { name: "learning the vocabulary", done: total, total });
    cache.write(CacheEntryKind::Tokenizer, &key, json.len() as u64, |file| file.write_all(json.as_bytes()));
    Ok(json)
}

/// The error of training a tokenizer on a data set.
fn training_error(error: TextError, name: &str) -> TrainError {
    match error {
        TextError::EmptyCorpus => TrainError::NoWords { name: name.into() },
        error => error.into(),
    }
}

fn cached_tokenizer(cache: &Cache, key: &str) -> Option<String> {
    let mut json = String::new();
    cache.open(CacheEntryKind::Tokenizer, key)?.read_to_string(&mut json).ok()?;
    // A damaged file is replaced by a new one.
    Tokenizer::from_json(json.as_bytes()).ok().map(|_| json)
}

fn cached_texts(cache: &Cache, key: &str, count: usize) -> Option<EncodedTexts> {
    let (file, path) = (cache.open(CacheEntryKind::EncodedTexts, key)?, cache.path(CacheEntryKind::EncodedTexts, key)?);
    EncodedTexts::read(file, &path, count).ok()
}

/// The texts of all splits as ids, each with the id `end` after it if there is one. They are read from the cache, or
/// encoded and kept there.
fn encoded(
    splits: &[&Examples],
    tokenizer: &Tokenizer,
    end: Option<u32>,
    cache: &Cache,
    key: &str,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<EncodedTexts, TrainError> {
    let count = splits.iter().map(|split| split.len()).sum();
    if let Some(encoded) = cached_texts(cache, key, count) {
        return Ok(encoded);
    }
    let mut texts = TextsBuilder::new(&cache.spill_folder());
    for split in splits {
        encode_into(&mut texts, tokenizer, split, end, on_stage)?;
    }
    let encoded = texts.finish()?;
    let kept = cache.write(CacheEntryKind::EncodedTexts, key, encoded.bytes(), |file| encoded.write(file));
    // Reading the cached copy frees the disk space of the temporary file.
    let is_doubled = kept.is_some() && encoded.is_on_disk();
    Ok(is_doubled.then(|| cached_texts(cache, key, count)).flatten().unwrap_or(encoded))
}

/// Reads a `tokenizer.json`, unless a run with it could not be opened again because of its size.
fn read_tokenizer(path: &Path) -> Result<String, TrainError> {
    let unreadable = |message: String| TrainError::Tokenizer { path: path.into(), message };
    let too_large = |most: u64| unreadable(format!("it has more than {most} bytes, too many for a tokenizer.json"));
    let file = match open_file(path) {
        Ok(file) => file,
        Err(DataError::Io { source, .. }) => return Err(unreadable(source.to_string())),
        Err(error) => return Err(error.into()),
    };
    if file.metadata().is_ok_and(|file| file.len() > MOST_TOKENIZER) {
        return Err(too_large(MOST_TOKENIZER));
    }
    let mut json = String::new();
    file.take(MOST_TOKENIZER + 1).read_to_string(&mut json).map_err(|error| unreadable(error.to_string()))?;
    if json.len() as u64 > MOST_TOKENIZER {
        return Err(too_large(MOST_TOKENIZER));
    }
    let tokenizer = Tokenizer::from_json(json.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
    let most = most_tokenizer_bytes(tokenizer.vocab_size());
    if json.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(json)
}

fn encode_into(
    texts: &mut TextsBuilder,
    tokenizer: &Tokenizer,
    examples: &Examples,
    end: Option<u32>,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<(), TrainError> {
    let total = examples.len();
    for start in (0..total).step_by(CHUNK) {
        on_stage(Stage { name: "encoding texts", done: start, total });
        let chunk = (start..total.min(start + CHUNK)).map(|index| examples.texts.get(index));
        let chunk: Vec<Cow<'_, str>> = chunk.collect::<Result<_, _>>()?;
        let chunk: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
        tokenizer.encode_ids(&chunk)?.into_iter().try_for_each(|mut ids| {
            ids.extend(end);
            texts.push(&ids)
        })?;
    }
    on_stage(Stage { name: "encoding texts", done: total, total });
    Ok(())
}

/// Texts as ids, each with the id `end` after it if there is one; they are not cached.
pub(crate) fn encode(
    tokenizer: &Tokenizer,
    examples: &Examples,
    end: Option<u32>,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Texts, TrainError> {
    let mut texts = TextsBuilder::new(&Cache::for_user().spill_folder());
    encode_into(&mut texts, tokenizer, examples, end, on_stage)?;
    let [texts] = texts.finish()?.split([&examples.labels]);
    Ok(texts)
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
    fn cached_texts_are_the_same_and_are_not_encoded_again() {
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

        // Damaged files are replaced.
        for entry in cache.entries().expect("lists") {
            std::fs::write(entry.path, b"damaged").expect("writes");
        }
        let (third, work) = prepare(&cache);
        assert!(work > 0 && third.test == first.test);
    }

    fn prepare(dataset: &Dataset, text: &TextConfig) -> Result<Corpus, TrainError> {
        let folder = tempfile::tempdir().expect("a folder");
        Corpus::prepare(dataset, text, 0.1, 0, &Cache::at(folder.path()), &|_| {})
    }

    #[test]
    fn texts_without_words_are_refused_with_the_name_of_the_data_set() {
        let marks = || Examples { texts: ["!!!", "???"].map(String::from).iter().collect(), labels: vec![0, 1] };
        let labels = ["a", "b"].map(String::from).to_vec();
        let dataset = Dataset { name: "a.csv".into(), revision: None, labels, train: marks(), test: marks() };
        let error = prepare(&dataset, &words()).expect_err("has no words").to_string();
        assert!(error.starts_with("a.csv: the training texts contain no words"), "{error}");
    }

    #[test]
    fn a_tokenizer_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokenizer.json");
        let dataset = convlens_data::generate_sample(1);
        let json = prepare(&dataset, &words()).expect("prepares").tokenizer_json;
        let text = TextConfig { tokenizer: TokenizerSource::File(path.clone()), ..words() };
        std::fs::write(&path, &json).expect("writes");
        assert_eq!(prepare(&dataset, &text).expect("prepares").tokenizer_json, json);
        std::fs::write(&path, format!("{json}{}", " ".repeat(20 << 20))).expect("writes");
        let error = prepare(&dataset, &text).expect_err("is too large").to_string();
        assert!(error.contains("tokenizer.json: it has more than"), "{error}");
        std::fs::File::create(&path).expect("creates").set_len(1 << 40).expect("a sparse file");
        let error = prepare(&dataset, &text).expect_err("is too large").to_string();
        assert!(error.contains("it has more than 268435456 bytes"), "{error}");
        let text = TextConfig { tokenizer: TokenizerSource::File(folder.path().into()), ..words() };
        let error = prepare(&dataset, &text).expect_err("is a folder").to_string();
        assert!(error.contains("this is a folder"), "{error}");
    }
}

//! What the `tokenizers` library does here: byte pairs, and every `tokenizer.json` that is not this
//! crate's own.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::Lowercase;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner};

use crate::{Encoding, PAD, START, TextError, UNK, UNKNOWN};

/// A tokenizer of the library's.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    inner: Box<Inner>,
    /// The ids that stand for no word; a few.
    special: Vec<u32>,
}

impl Library {
    pub(crate) fn read(json: &[u8]) -> Result<Self, TextError> {
        let inner = Inner::from_bytes(json).map_err(|error| TextError::Format(error.to_string()))?;
        Self::new(inner)
    }

    fn new(mut inner: Inner) -> Result<Self, TextError> {
        inner.with_padding(None);
        inner.with_truncation(None)?;
        inner.set_encode_special_tokens(true);
        let is_special = |token: &AddedToken| token.special && !UNKNOWN.contains(&token.content.as_str());
        let added = inner.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| is_special(token)).map(|(&id, _)| id).collect();
        Ok(Self { inner: Box::new(inner), special })
    }

    /// Byte pairs of the lower-case text, learnt from a corpus.
    pub(crate) fn train_byte_pairs<T: AsRef<str> + Send>(
        vocab_size: usize,
        texts: impl Iterator<Item = T> + Send,
    ) -> Result<Self, TextError> {
        let mut tokenizer = Inner::new(BPE::default());
        tokenizer.with_normalizer(Some(Lowercase))?;
        Self::learn(tokenizer, vocab_size, texts)
    }

    /// Bytes: no pair of them is learnt.
    pub(crate) fn bytes() -> Result<Self, TextError> {
        Self::learn(Inner::new(BPE::default()), 0, std::iter::empty::<&str>())
    }

    fn learn<T: AsRef<str> + Send>(
        mut tokenizer: Inner,
        vocab_size: usize,
        texts: impl Iterator<Item = T> + Send,
    ) -> Result<Self, TextError> {
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            .special_tokens([PAD, START, UNK].map(|token| AddedToken::from(token, true)).to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .show_progress(false)
            .build();
        tokenizer.train(&mut TrainerWrapper::from(trainer), texts)?;
        tokenizer.with_post_processor(Some(start_token()?));
        Self::new(tokenizer)
    }

    pub(crate) fn to_json(&self) -> Result<String, TextError> {
        Ok(self.inner.to_string(true)?)
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Encoding, TextError> {
        let encoding = self.inner.encode(text, true)?;
        Ok(Encoding { ids: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, TextError> {
        Ok(self.inner.encode_fast(text, true)?.get_ids().to_vec())
    }

    pub(crate) fn encode_ids(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TextError> {
        let encodings = self.inner.encode_batch_fast(texts.to_vec(), true)?;
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }

    pub(crate) fn vocab_size(&self) -> usize {
        let vocab = self.inner.get_vocab(true);
        vocab.values().max().map_or(0, |&highest| highest as usize + 1)
    }

    pub(crate) fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }
}

fn start_token() -> Result<TemplateProcessing, TextError> {
    TemplateProcessing::builder()
        .try_single(format!("{START} $A"))
        .map_err(TextError::Format)?
        .special_tokens(vec![(START, 1)])
        .build()
        .map_err(|error| TextError::Format(error.to_string()))
}

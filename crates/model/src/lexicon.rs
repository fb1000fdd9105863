//! A lexicon beside the encoder: a score for each label for every word and for frequent phrases of two and three
//! words, with rules for negation and contrast.
//!
//! A linear model over words and phrases of several words, with weights that start from the ratios of naive Bayes, is hard
//! to beat on whole reviews (Wang and Manning 2012: NBSVM). Networks beside such a model learn what it cannot
//! say, as in wide and deep learning (Cheng et al. 2016). What documents do not teach is what *not* does to the
//! words after it; lexicons of sentiment have rules for it (Taboada et al. 2011, section 2.3; Hutto and Gilbert
//! 2014, section 3.2), and so has this one.

use std::sync::{Arc, OnceLock};

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use convlens_phrases::{LexiconIndex, LexiconMatches};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use convlens_phrases::{MOST_WORDS_OF_PHRASE, Role};

use crate::Batch;
use crate::limits::{MAX_PARAMETERS, check_factor, product};

/// Settings of a [`Lexicon`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LexiconConfig {
    /// The number of phrases of two words and more, each of which is a pair: of what is before its last word, and this
    /// word. The training texts determine it.
    pub pairs: usize,
    /// The maximum number of words of a phrase, from 1 to [`MOST_WORDS_OF_PHRASE`].
    #[serde(default = "two_words")]
    pub words: usize,
    /// The number of words from which on scores are averaged rather than added: the sum of the scores of a text
    /// of *n* distinct words is multiplied by saturation / (*n* + saturation).
    pub saturation: f64,
    /// The share of the encoder in the logits, from 0 to 1; the lexicon has the rest. Encoder and lexicon are trained
    /// each on its own, so this is a product of two experts (Hinton 1999).
    pub encoder_share: f64,
}

/// The number of words of the phrases of a lexicon that says nothing of it.
fn two_words() -> usize {
    2
}

impl LexiconConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.pairs as u64 > MAX_PARAMETERS {
            return Err(format!("lexicon.pairs must be {MAX_PARAMETERS} or less, but is {}", self.pairs));
        }
        if !(1..=MOST_WORDS_OF_PHRASE).contains(&self.words) {
            return Err(format!("lexicon.words must be 1, 2 or 3, but is {}", self.words));
        }
        check_factor("lexicon.saturation", self.saturation)?;
        if !(0.0..=1.0).contains(&self.encoder_share) {
            return Err(format!("lexicon.encoder_share must be a number from 0 to 1, but is {:?}", self.encoder_share));
        }
        if self.saturation < 1.0 {
            return Err(format!("lexicon.saturation must be 1 or more, but is {:?}", self.saturation));
        }
        Ok(())
    }

    pub(crate) fn parameters(&self, vocab_size: usize, outputs: usize) -> u64 {
        let rows = vocab_size.saturating_add(self.pairs);
        let table = product([rows, outputs]).saturating_add(product([self.pairs, 2]));
        table.saturating_add(vocab_size as u64).saturating_add(outputs as u64)
    }

    /// An empty lexicon; [`Lexicon::fill`] fills it.
    pub(crate) fn init(&self, vocab_size: usize, outputs: usize, device: &Device) -> Lexicon {
        let zeros = Initializer::Zeros;
        Lexicon {
            pairs: zeros.init([self.pairs, 2], device),
            weight: zeros.init([vocab_size + self.pairs, outputs], device),
            roles: zeros.init([vocab_size], device),
            bias: zeros.init([outputs], device),
            saturation: self.saturation as f32,
            share: 1.0 - self.encoder_share as f32,
            index: Arc::default(),
        }
    }
}

/// The contents of a lexicon before training.
#[derive(Clone, Debug, PartialEq)]
pub struct LexiconEntries {
    /// The phrases, each as a pair: the row of what is before its last word, which is a word or an earlier pair, and the
    /// id of this word. The row of a word is its id; those of the pairs follow.
    pub pairs: Vec<[u32; 2]>,
    /// The scores of every word, then of every pair, `[vocab_size + pairs, outputs]`.
    pub scores: Vec<f32>,
    /// The role of every word, `[vocab_size]`.
    pub roles: Vec<Role>,
    /// The logits of a text without evidence, `[outputs]`.
    pub bias: Vec<f32>,
}

/// A score for each label for every word and for frequent phrases of two and three words.
///
/// The logits of a text of *n* distinct words are the bias and the sum over its words and phrases of their scores times
///
/// - the factor of the negation that the word or phrase is in the scope of, and of the contrast before or after it,
/// - 1 / *c*, if the word or phrase is in the text *c* times: what is repeated counts once,
/// - saturation / (*n* + saturation).
///
/// The score of a phrase belongs to the position of its last word.
#[derive(Module, Debug)]
pub struct Lexicon {
    /// The phrases, each as the row of what is before its last word and the id of this word, `[pairs, 2]`; see
    /// [`LexiconEntries::pairs`]. They are not trained.
    pub pairs: Param<Tensor<2>>,
    /// The scores of every word, then of every pair, `[vocab_size + pairs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// The role of every word as a number, `[vocab_size]`. They are not trained.
    pub roles: Param<Tensor<1>>,
    /// The logits of a text without evidence, `[outputs]`: the shares of the labels in the training texts. They
    /// are not trained.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    saturation: f32,
    /// The share of the lexicon in the logits of the model.
    #[module(skip)]
    share: f32,
    #[module(skip)]
    index: Arc<OnceLock<LexiconIndex>>,
}

impl Lexicon {
    /// Puts entries into the lexicon.
    ///
    /// # Panics
    ///
    /// If their numbers are not those of the settings.
    pub fn fill(&mut self, entries: &LexiconEntries) {
        fn set<const D: usize>(parameter: &mut Param<Tensor<D>>, values: Vec<f32>) {
            let (id, old, mapper) = parameter.clone().consume();
            let new = Tensor::from_data(TensorData::new(values, old.dims()), &old.device());
            let new = if old.is_require_grad() { new.require_grad() } else { new };
            *parameter = Param::from_mapped_value(id, new, mapper);
        }
        set(&mut self.pairs, entries.pairs.iter().flatten().map(|&id| id as f32).collect());
        set(&mut self.weight, entries.scores.clone());
        set(&mut self.roles, entries.roles.iter().map(|role| role.number()).collect());
        set(&mut self.bias, entries.bias.clone());
        self.index = Arc::default();
    }

    /// The sums of the scores of each text, `[batch, outputs]`: the logits of the lexicon alone, without the bias.
    pub fn logits(&self, batch: &Batch) -> Tensor<2> {
        let texts = batch.texts.len();
        self.sum(batch, texts, |text, _| text)
    }

    /// Indexes pairs and roles that are the values of the parameters, for devices whose memory can only be read
    /// asynchronously, such as WebGPU in a browser. Without it they are read from the device when they are needed.
    pub fn index_values(&self, pairs: &[f32], roles: &[f32]) {
        self.index.get_or_init(|| LexiconIndex::new(pairs, roles));
    }

    /// What the words and phrases that end at each position add to the logits of the model, `[batch, length, outputs]`:
    /// their scores times the share of the lexicon.
    pub fn scores(&self, batch: &Batch) -> Tensor<3> {
        let [texts, length] = batch.ids.dims();
        let sums = self.sum(batch, texts * length, |text, position| text * length + position);
        sums.mul_scalar(self.share).reshape([texts as i64, length as i64, -1])
    }

    /// As [`scores`](Self::scores), as a function of how present each word is: a word that is there is 1, and a phrase
    /// is as present as its words on average. The gradient is the share of each word.
    ///
    /// # Shapes
    ///
    /// - `presence`: `[batch, length]`
    /// - output: `[batch, length, outputs]`
    pub fn scores_by_presence(&self, batch: &Batch, presence: Tensor<2>) -> Tensor<3> {
        let [texts, length] = batch.ids.dims();
        let (mut rows, mut factors, mut words, mut targets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (text, found) in self.find(batch).into_iter().enumerate() {
            for (at, &position) in found.positions.iter().enumerate() {
                let count = found.words[at];
                for word in position + 1 - count..=position {
                    rows.push(found.rows[at]);
                    factors.push(found.factors[at] / count as f32);
                    words.push((text * length + word) as i32);
                    targets.push((text * length + position) as i32);
                }
            }
        }
        let device = presence.device();
        let weight = self.weight.val();
        let weight = if weight.device().is_autodiff() { weight } else { Tensor::from_inner(weight) };
        let present = presence.reshape([(texts * length) as i64, 1]).select(0, ints(words, &device));
        let values = weight.clone().select(0, ints(rows, &device)) * floats(factors, &device) * present;
        let zeros = Tensor::zeros([texts * length, weight.dims()[1]], &device);
        let sums = zeros.select_assign(0, ints(targets, &device), values, IndexingUpdateOp::Add);
        sums.mul_scalar(self.share).reshape([texts as i64, length as i64, -1])
    }

    /// The sums of the scores with equal targets, `[targets, outputs]`; `target` is given the text and the position.
    fn sum(&self, batch: &Batch, targets: usize, target: impl Fn(usize, usize) -> usize) -> Tensor<2> {
        let (mut rows, mut factors, mut into) = (Vec::new(), Vec::new(), Vec::new());
        for (text, found) in self.find(batch).into_iter().enumerate() {
            into.extend(found.positions.iter().map(|&position| target(text, position) as i32));
            rows.extend(found.rows);
            factors.extend(found.factors);
        }
        let weight = self.weight.val();
        let device = weight.device();
        let zeros = Tensor::zeros([targets, weight.dims()[1]], &device);
        if rows.is_empty() {
            return zeros;
        }
        let values = weight.select(0, ints(rows, &device)) * floats(factors, &device);
        zeros.select_assign(0, ints(into, &device), values, IndexingUpdateOp::Add)
    }

    fn index(&self) -> &LexiconIndex {
        let values = |data: TensorData| data.iter::<f32>().collect::<Vec<_>>();
        self.index.get_or_init(|| {
            LexiconIndex::new(&values(self.pairs.val().into_data()), &values(self.roles.val().into_data()))
        })
    }

    fn find(&self, batch: &Batch) -> Vec<LexiconMatches> {
        let index = self.index();
        batch.texts.par_iter().map(|text| index.find(text, self.saturation)).collect()
    }

    /// For each position, the first of the negations in whose scope its word or a phrase that ends there is, or the
    /// position itself if there is none.
    pub fn scopes(&self, text: &[u32]) -> Vec<usize> {
        self.index().scopes(text)
    }

    /// The ids of the words of every phrase.
    pub fn words_of_phrases(&self) -> Vec<Vec<u32>> {
        let vocab_size = self.roles.dims()[0];
        let pairs: Vec<f32> = self.pairs.val().into_data().iter().collect();
        let mut phrases: Vec<Vec<u32>> = Vec::with_capacity(pairs.len() / 2);
        for pair in pairs.as_chunks::<2>().0 {
            let [before, word] = pair.map(|number| number.max(0.0) as u32);
            let earlier = (before as usize).checked_sub(vocab_size).and_then(|pair| phrases.get(pair));
            let earlier = earlier.filter(|words| words.len() < MOST_WORDS_OF_PHRASE).cloned();
            let mut words = earlier.unwrap_or_else(|| vec![before]);
            words.push(word);
            phrases.push(words);
        }
        phrases
    }
}

fn ints(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// `[values, 1]`
fn floats(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count, 1]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 10] = ["[PAD]", "not", "good", "bad", "film", ",", "but", ".", "a", "never"];

    /// Scores of 1 for *good*, −1 for *bad*, 10 for the pair *bad film*, 0 for other words; a bias of 0.5.
    fn lexicon() -> Lexicon {
        let config = LexiconConfig { pairs: 1, words: 2, saturation: 100.0, encoder_share: 0.25 };
        let mut lexicon = config.init(WORDS.len(), 1, &Device::flex());
        let mut scores = vec![0.0; WORDS.len() + 1];
        (scores[2], scores[3], scores[10]) = (1.0, -1.0, 10.0);
        let roles = WORDS.map(Role::of_word).to_vec();
        lexicon.fill(&LexiconEntries { pairs: vec![[3, 4]], scores, roles, bias: vec![0.5] });
        lexicon
    }

    fn ids(text: &str) -> Vec<u32> {
        let id = |word: &str| WORDS.iter().position(|known| *known == word).expect("is known") as u32;
        text.split(' ').map(id).collect()
    }

    /// The scores of a text's positions before they are divided because of its length.
    fn scores(text: &str) -> Vec<f32> {
        let ids = ids(text);
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let scale = 100.0 / (100.0 + distinct.len() as f32);
        let scores: Vec<f32> =
            lexicon().scores(&Batch::masked(&[&ids], 0, &Device::flex())).into_data().iter().collect();
        scores.into_iter().map(|score| (score / scale / 0.75 * 1e4).round() / 1e4).collect()
    }

    #[test]
    fn negations_reach_to_the_end_of_a_clause_and_four_words() {
        assert_eq!(scores("not good"), [0.0, -0.3]);
        assert_eq!(scores("not a good"), [0.0, 0.0, -0.3]);
        assert_eq!(scores("not a a a good"), [0.0, 0.0, 0.0, 0.0, -0.3]);
        assert_eq!(scores("not a a a a good"), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(scores("not a , good"), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(scores("never not good"), [0.0, 0.0, 0.09]);
        // The score of a pair belongs to its second word.
        assert_eq!(scores("not bad film"), [0.0, 0.3, -3.0]);
    }

    #[test]
    fn what_follows_a_contrast_counts_more() {
        assert_eq!(scores("good but bad . good"), [0.25, 0.0, -1.5, 0.0, 0.5]);
        assert_eq!(scores("good but good but bad"), [0.25, 0.0, 0.25, 0.0, -1.5]);
    }

    #[test]
    fn what_is_repeated_counts_once() {
        assert_eq!(scores("good film good"), [0.5, 0.0, 0.5]);
        assert_eq!(scores("good"), [1.0]);
    }

    #[test]
    fn phrases_begin_with_their_negation() {
        assert_eq!(lexicon().scopes(&ids("a not a bad film")), [0, 1, 1, 1, 1]);
        assert_eq!(lexicon().scopes(&ids("not good . bad")), [0, 0, 0, 3]);
    }

    #[test]
    fn logits_are_sums_of_scores_and_of_shares_of_words() {
        let (lexicon, device) = (lexicon(), Device::flex());
        let texts = [ids("not bad film but good good"), ids("bad film"), vec![]];
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let batch = Batch::masked(&texts, 0, &device);
        let values = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
        let logits = values(lexicon.logits(&batch));
        let scores = values(lexicon.scores(&batch).sum_dim(1).squeeze_dim::<2>(1));
        // The function is linear in the presence of the words, so its gradient at 1, times 1, is the function.
        let presence = Tensor::ones(batch.mask.dims(), &device.clone().autodiff()).require_grad();
        let by_presence = lexicon.scores_by_presence(&batch, presence.clone());
        let gradients = by_presence.sum().backward();
        let shares = values(presence.grad(&gradients).expect("a gradient").sum_dim(1));
        for ((logit, score), share) in logits.iter().zip(&scores).zip(&shares) {
            assert!(
                (0.75 * logit - score).abs() < 1e-5 && (score - share).abs() < 1e-5,
                "{logits:?} {scores:?} {shares:?}"
            );
        }
        assert_eq!(logits[2], 0.0);
    }

    #[test]
    fn words_outside_the_vocabulary_are_ignored() {
        let device = Device::flex();
        let logits = lexicon().logits(&Batch::masked(&[&[99, 3, 99]], 0, &device));
        assert!(logits.into_data().iter::<f32>().all(|logit| logit < 0.0));
    }
}

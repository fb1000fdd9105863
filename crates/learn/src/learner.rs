//! A model in training, and one step of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Gradients, Int, Tensor, TensorData};
use convlens_run::model::{
    Batch, Encode, Encoder, EncoderSettings, Forms, Lexicon, ModelConfig, Padding, TextModel, parameter_shapes,
};
use convlens_run::text::Tokenizer;
use convlens_run::{TrainingConfig, WordVectors};

use crate::average::Average;
use crate::batches::{draws, drop_words, seeded, step_seed};
use crate::parameters::{parameters, with_parameters};
use crate::targets::{batch_of, with_labels};
use crate::{Adam, CountedLexicon, LearnError, StateError, StepScores, Targets, objective};

/// A model in training, with its optimiser.
#[derive(Debug)]
pub struct Learner<E: Encode = Encoder> {
    /// The model.
    pub model: TextModel<E>,
    /// Its optimiser.
    pub adam: Adam,
    average: Option<Average>,
    training: TrainingConfig,
    padding: Padding,
    pad_id: u32,
    unk_id: Option<u32>,
    lexicon: Option<LexiconDescent>,
    vectors: Option<ProjectedVectors>,
    /// The forms that texts consist of, if the model reads their spelling.
    forms: Option<Arc<Forms>>,
    /// The device that the model trains on, with gradients recorded.
    device: Device,
}

/// How the scores of a lexicon are trained.
#[derive(Debug)]
struct LexiconDescent {
    counted: CountedLexicon,
    /// The absolute log-ratios, `[vocab_size + pairs, outputs]`.
    ratios: Tensor<2>,
    /// The vectors of the words and phrases, `[vocab_size + pairs, dimensions]`, if they have some.
    vectors: Option<Tensor<2>>,
}

/// Word vectors as a part of the embeddings: the embedding of a word is what the labels teach of this word, plus its
/// vector times a matrix that all words share. Johnson and Zhang (2015b, equation 2) add pre-trained features to a
/// one-hot convolution in this way.
#[derive(Debug)]
struct ProjectedVectors {
    /// `[vocab_size, dimensions]`; they are not trained.
    vectors: Tensor<2>,
    /// The matrix, `[dimensions, embedding]`.
    projection: Tensor<2>,
}

impl ProjectedVectors {
    /// The id of a word of which only the vector is left: word dropout takes from it what the labels teach of it.
    fn only_vector(id: u32, vocab_size: u32) -> u32 {
        vocab_size + id
    }

    /// What the vectors add to the embeddings of some words, or of [only their vectors](Self::only_vector).
    fn project(&self, ids: &[i32], vocab_size: i32) -> Tensor<2> {
        let ids = ids.iter().map(|&id| if id < vocab_size { id } else { id - vocab_size }).collect();
        let vectors = self.vectors.clone().select(0, ints(ids, &self.vectors.device()));
        Tensor::from_inner(vectors).matmul(self.projection.clone())
    }
}

/// The embeddings of the distinct words of a batch.
struct Embeddings {
    /// The words whose embeddings are trained, in ascending order, `[words]`.
    ids: Tensor<1, Int>,
    /// What is trained of them, `[words, embedding]`.
    trained: Tensor<2>,
    /// What the model reads: the embeddings of the distinct words of the batch, with their spellings if it reads them.
    rows: Tensor<2>,
}

impl Embeddings {
    /// Those of a batch in which every distinct word occurs once.
    fn new<E: Encode>(model: &TextModel<E>, batch: &Batch, is_sparse: bool) -> Self {
        let trained = trained_rows(model.rows(batch), is_sparse);
        Self { ids: batch.distinct.clone().inner(), trained: trained.clone(), rows: trained }
    }

    /// Those of a batch in which a word may occur several times, as several forms or without what is trained of it.
    fn of_forms<E: Encode>(
        model: &TextModel<E>,
        batch: &Batch,
        vectors: Option<&ProjectedVectors>,
        unk_id: u32,
        is_sparse: bool,
    ) -> Self {
        let vocab_size = model.embed.weight.dims()[0] as i32;
        let distinct: Vec<i32> = batch.distinct.to_data().iter().collect();
        let embedded = |id: i32| if id < vocab_size { id } else { unk_id as i32 };
        let mut ids: Vec<i32> = distinct.iter().map(|&id| embedded(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = distinct.iter().map(|&id| ids.binary_search(&embedded(id)).unwrap_or_default() as i32).collect();
        let device = batch.distinct.device();
        let ids = ints(ids, &device);
        let trained = trained_rows(model.embed.weight.val().select(0, ids.clone()), is_sparse);
        let rows = trained.clone().select(0, ints(rows, &device));
        let rows = match vectors {
            Some(vectors) => rows + vectors.project(&distinct, vocab_size),
            None => rows,
        };
        Self { ids: ids.inner(), trained, rows: model.complete(rows, batch) }
    }
}

fn ints(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// Rows of the embeddings: those of the model, or, if only they are updated, a copy that has a gradient of its own.
fn trained_rows(rows: Tensor<2>, is_sparse: bool) -> Tensor<2> {
    if is_sparse { Tensor::from_inner(rows.inner()).require_grad() } else { rows }
}

/// The name of [`ProjectedVectors::projection`] in a checkpoint.
const PROJECTION: &str = "projection";

/// The position of a step in training. It decides the step's random draws and its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPosition {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The step within the epoch, from 1.
    pub step: usize,
    /// The number of steps taken before this one, in all epochs.
    pub done: usize,
    /// The number of steps in total, in all epochs.
    pub steps: usize,
}

impl<E: Encode> Learner<E> {
    /// A model with its initial weights, on `device`. They are drawn on the CPU, so that they are the
    /// same on every device. A model with a lexicon needs one that was counted on the training texts.
    ///
    /// # Errors
    ///
    /// [`LearnError::Model`] if no model can be built from the settings, [`LearnError::WordDropout`],
    /// [`LearnError::Lexicon`] if a lexicon is missing or does not fit.
    pub fn new<S: EncoderSettings<Encoder = E>>(
        model: &ModelConfig<S>,
        training: &TrainingConfig,
        tokenizer: &Tokenizer,
        lexicon: Option<CountedLexicon>,
        device: &Device,
    ) -> Result<Self, LearnError> {
        if !(0.0..=1.0).contains(&training.word_dropout) {
            return Err(LearnError::WordDropout(training.word_dropout));
        }
        let expected = model.lexicon.as_ref().map(|lexicon| lexicon.pairs);
        let found = lexicon.as_ref().map(|lexicon| lexicon.entries.pairs.len());
        if expected != found {
            return Err(LearnError::Lexicon { expected, found });
        }
        let (cpu, device) = (Device::flex(), device.clone().autodiff());
        let drawing = seeded(&cpu, training.seed);
        let drawn = parameters(&model.init(&cpu)?);
        drop(drawing);
        let drawn = drawn.into_iter().map(|(name, data)| (name, data.iter::<f32>().collect())).collect();
        let initial = with_parameters(model.init(&device)?, drawn);
        let mut initial = initial.unwrap_or_else(|error| unreachable!("weights drawn for the same settings: {error}"));
        let lexicon = lexicon.zip(initial.lexicon.as_mut()).map(|(counted, lexicon)| {
            lexicon.fill(&counted.entries);
            LexiconDescent::new(counted, lexicon, &device.clone().inner())
        });
        Ok(Self {
            model: initial,
            adam: Adam::new(training.adam_epsilon, training.weight_decay),
            average: Average::new(training.ema_decay),
            training: training.clone(),
            padding: model.padding,
            pad_id: tokenizer.pad_id().unwrap_or(0),
            unk_id: tokenizer.unk_id(),
            lexicon,
            vectors: None,
            forms: None,
            device,
        })
    }

    /// The same learner, whose embeddings are made of word vectors too: for `model`, the settings that it was made
    /// from. What the labels teach of one word then carries over to similar words. The trained model has plain
    /// embeddings.
    ///
    /// # Errors
    ///
    /// [`LearnError::Vectors`] if there is not one vector for every word of the vocabulary.
    pub fn with_vectors<S: EncoderSettings<Encoder = E>>(
        mut self,
        vectors: &WordVectors,
        model: &ModelConfig<S>,
    ) -> Result<Self, LearnError> {
        let (vocab_size, width) = (model.vocab_size, vectors.dimensions.max(1));
        let found = vectors.values.len() / width;
        if found != vocab_size {
            return Err(LearnError::Vectors { vocab_size, found });
        }
        let cpu = Device::flex();
        let normal = Distribution::Normal(0.0, model.init_std);
        let drawing = seeded(&cpu, step_seed(self.training.seed, 0, 0));
        let drawn = Tensor::<2>::random([width, model.embedding], normal, &cpu).into_data();
        drop(drawing);
        let values = TensorData::new(vectors.values.clone(), [found, width]);
        self.vectors = Some(ProjectedVectors {
            vectors: Tensor::from_data(values, &self.device.clone().inner()),
            projection: Tensor::from_data(drawn, &self.device).require_grad(),
        });
        Ok(self)
    }

    /// The same learner, for texts that consist of forms and are given by their indices: a model that reads the spelling
    /// of words needs them. Word dropout then leaves the spelling of a word.
    pub fn with_forms(self, forms: Arc<Forms>) -> Self {
        Self { forms: Some(forms), ..self }
    }

    /// Takes one step on texts, given as token ids, and their targets. The learner is passed by value,
    /// so that the weights can change in place.
    ///
    /// Also returns how well the model did before the step.
    ///
    /// # Errors
    ///
    /// [`LearnError`] if there are no texts, if the targets or ids do not fit the model, or if all steps
    /// were taken before.
    pub fn step(
        mut self,
        rows: Vec<Cow<'_, [u32]>>,
        targets: &Targets,
        at: StepPosition,
    ) -> Result<(Self, StepScores), LearnError> {
        self.check(&rows, targets, at)?;
        let (mut rows, labels) = with_labels(rows, targets);
        let training = &self.training;
        // Dropout draws on the device, from a seed of the step's own.
        let drawing = seeded(&self.device, step_seed(training.seed, at.epoch, at.step));
        // The lexicon reads the words that are dropped: its penalty keeps it from overfitting.
        let whole = self.lexicon.is_some().then(|| rows.clone());
        if let Some(unk_id) = self.unk_id.filter(|_| training.word_dropout > 0.0) {
            let mut rng = draws(training.seed, at.epoch, at.step);
            let vocab_size = self.model.embed.weight.dims()[0] as u32;
            let dropped = |id| match (&self.forms, &self.vectors) {
                (Some(forms), _) => forms.only_spelling(id),
                (None, Some(_)) => ProjectedVectors::only_vector(id, vocab_size),
                (None, None) => unk_id,
            };
            rows.iter_mut().for_each(|ids| drop_words(ids.to_mut(), dropped, training.word_dropout, &mut rng));
        }
        let rows: Vec<&[u32]> = rows.iter().map(AsRef::as_ref).collect();
        let batch = match &self.forms {
            Some(forms) => Batch::of_forms(&rows, forms, &self.device),
            None => batch_of(&self.model, &rows, targets, (self.padding, self.pad_id), &self.device),
        };
        let batch = match &whole {
            Some(whole) => batch.with_texts_for_lexicon(&whole.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
            None => batch,
        };
        let is_sparse = training.sparse_embedding;
        let Embeddings { ids, trained, rows } = match (&self.forms, &self.vectors) {
            (None, None) if self.model.condition.is_none() => Embeddings::new(&self.model, &batch, is_sparse),
            (_, vectors) => {
                let unk_id = self.unk_id.unwrap_or_default();
                Embeddings::of_forms(&self.model, &batch, vectors.as_ref(), unk_id, is_sparse)
            }
        };
        let (loss, scores) = objective::loss(&self.model, rows, &batch, &labels, &self.device)?;
        drop(drawing);
        let mut gradients = loss.backward();
        let relative_rate = training.relative_rate(at.done, at.steps);
        let rate = training.learning_rate * relative_rate;
        if let (Some(lexicon), Some(descent)) = (&mut self.model.lexicon, &self.lexicon) {
            descent.step(lexicon, &mut gradients, relative_rate);
        }
        let of_rows = if is_sparse { trained.grad_remove(&mut gradients) } else { None };
        let of_projection = self.vectors.as_ref().and_then(|vectors| vectors.projection.grad_remove(&mut gradients));
        self.model = self.adam.step(self.model, gradients, rate);
        if let (Some(vectors), Some(gradient)) = (&mut self.vectors, of_projection) {
            let projection = self.adam.step_matrix(PROJECTION, vectors.projection.clone().inner(), gradient, rate);
            vectors.projection = Tensor::from_inner(projection).require_grad();
        }
        if let Some(gradient) = of_rows {
            self.model = self.adam.step_rows(self.model, ids, gradient, rate);
        }
        if let Some(average) = &mut self.average {
            let projection = self.vectors.as_ref().map(|vectors| (PROJECTION, vectors.projection.clone()));
            average.add(&self.model, projection);
        }
        Ok((self, scores))
    }

    /// Checks that texts, given as token ids, and their targets fit the model.
    ///
    /// # Errors
    ///
    /// [`LearnError`] if the numbers of texts and targets differ, or a label or a token is not one of the model's.
    pub fn check_texts<T: AsRef<[u32]>>(&self, texts: &[T], targets: &Targets) -> Result<(), LearnError> {
        objective::check(&self.model, self.padding, texts.iter().map(|ids| ids.as_ref().len()), targets)?;
        let ids = self.forms.as_ref().map_or(self.model.embed.weight.dims()[0], |forms| forms.len());
        objective::check_tokens(texts, ids)
    }

    fn check(&self, rows: &[Cow<'_, [u32]>], targets: &Targets, at: StepPosition) -> Result<(), LearnError> {
        if rows.is_empty() {
            return Err(LearnError::EmptyBatch);
        }
        self.check_texts(rows, targets)?;
        if at.steps == 0 || at.done > at.steps {
            return Err(LearnError::Schedule { done: at.done, steps: at.steps });
        }
        Ok(())
    }

    /// The model with its present weights, or with their moving average if the settings ask for it
    /// ([`TrainingConfig::ema_decay`]), without recorded gradients.
    pub fn trained(&self) -> TextModel<E> {
        let mut model = self.model.valid();
        if let Some(average) = &self.average {
            model = average.of_model(model);
        }
        if let Some(ProjectedVectors { vectors, projection }) = &self.vectors {
            let projection = projection.clone().inner();
            let projection = match &self.average {
                Some(average) => average.of(PROJECTION, projection),
                None => projection,
            };
            let of_vectors = vectors.clone().matmul(projection);
            model.embed.weight = model.embed.weight.map(|weight| weight + of_vectors);
        }
        model
    }

    /// Everything that is trained, by name: the parameters of the model, and the matrix that word vectors are
    /// multiplied by.
    pub fn weights(&self) -> Vec<(String, TensorData)> {
        let projection = self.vectors.iter().map(|vectors| (PROJECTION.to_owned(), vectors.projection.to_data()));
        parameters(&self.model).into_iter().chain(projection).collect()
    }

    /// The names and shapes of [`weights`](Self::weights).
    pub fn weight_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let projection = self.vectors.iter().map(|vectors| (PROJECTION.to_owned(), vectors.projection.dims().to_vec()));
        parameter_shapes(&self.model).into_iter().chain(projection).collect()
    }

    /// The moving average of the weights by name, if there is one, as sums that begin at zero.
    pub fn averages(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.average.iter().flat_map(Average::state)
    }

    /// Restores the [averages](Self::averages) after `steps` steps.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the values of one are missing, too few, too many or not finite, or belong to none; if there are
    /// any, and the settings ask for no average.
    pub fn set_averages(&mut self, steps: usize, values: BTreeMap<String, Vec<f32>>) -> Result<(), StateError> {
        let (shapes, device) = (self.weight_shapes(), self.device.clone().inner());
        match (&mut self.average, values.keys().next()) {
            (Some(average), _) => average.restore(shapes, steps, values, &device),
            (None, Some(name)) => Err(StateError::Unknown(name.clone())),
            (None, None) => Ok(()),
        }
    }

    /// Replaces all [`weights`](Self::weights).
    ///
    /// # Errors
    ///
    /// [`StateError`] if the values of one are missing, too few, too many or not finite, or belong to none. The
    /// learner then has no defined state.
    pub fn set_weights(&mut self, mut values: BTreeMap<String, Vec<f32>>) -> Result<(), StateError> {
        if let Some(vectors) = &mut self.vectors {
            let of_projection = values.remove(PROJECTION).ok_or_else(|| StateError::Missing(PROJECTION.into()))?;
            let shape = vectors.projection.dims();
            StateError::check(PROJECTION, &of_projection, shape[0] * shape[1])?;
            let data = TensorData::new(of_projection, shape);
            vectors.projection = Tensor::from_data(data, &self.device).require_grad();
        }
        self.model = with_parameters(self.model.clone(), values)?;
        Ok(())
    }
}

impl LexiconDescent {
    fn new(counted: CountedLexicon, lexicon: &Lexicon, device: &Device) -> Self {
        let ratios = counted.ratios.iter().map(|ratio| ratio.abs()).collect();
        let ratios = Tensor::from_data(TensorData::new(ratios, lexicon.weight.dims()), device);
        let vectors = counted.vectors.as_ref().map(|WordVectors { dimensions, values }| {
            let shape = [values.len() / dimensions, *dimensions];
            Tensor::from_data(TensorData::new(values.clone(), shape), device)
        });
        Self { counted, ratios, vectors }
    }

    /// Moves the scores, and removes the gradients of the lexicon, so that the optimiser leaves it alone. A score is a
    /// log-ratio times a weight, and, with vectors, times the product of its vector with weights that all rows share.
    fn step(&self, lexicon: &mut Lexicon, gradients: &mut Gradients, relative_rate: f64) {
        lexicon.bias.val().grad_remove(gradients);
        let Some(gradient) = lexicon.weight.val().grad_remove(gradients) else { return };
        let (id, weight, mapper) = lexicon.weight.clone().consume();
        let moved = self.moved(weight.inner(), gradient, relative_rate);
        lexicon.weight = Param::from_mapped_value(id, Tensor::from_inner(moved).require_grad(), mapper);
    }

    /// The scores after a step.
    fn moved(&self, scores: Tensor<2>, gradient: Tensor<2>, relative_rate: f64) -> Tensor<2> {
        let (kept, rate) = self.counted.step(relative_rate);
        let mut of_weights = gradient * self.ratios.clone();
        if let Some(vectors) = &self.vectors {
            let of_shared = vectors.clone().transpose().matmul(of_weights.clone());
            of_weights = of_weights + vectors.clone().matmul(of_shared);
        }
        scores.mul_scalar(kept) - of_weights * self.ratios.clone().mul_scalar(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;
    use convlens_run::Task;
    use convlens_run::text::{TokenizerKind, train};

    const AT: StepPosition = StepPosition { epoch: 1, step: 1, done: 0, steps: 3 };

    fn learner(classes: usize, change: impl Fn(&mut TrainingConfig)) -> Result<Learner, LearnError> {
        let tokenizer = train(TokenizerKind::Words, 10, ["a good film"].into_iter()).expect("a tokenizer");
        let preset = preset("linear").expect("a preset");
        let (vocab_size, outputs) = (tokenizer.vocab_size(), Task::Classify.outputs(classes, 0));
        let mut training = (preset.training)();
        change(&mut training);
        Learner::new(&(preset.model)(vocab_size, outputs), &training, &tokenizer, None, &Device::flex())
    }

    fn assert_same(error: LearnError, expected: LearnError) {
        assert_eq!(format!("{error:?}"), format!("{expected:?}"));
    }

    #[test]
    fn misuse_is_an_error() {
        let error = |classes: usize, rows: &[&[u32]], labels: &[usize], at: StepPosition| {
            let rows = rows.iter().map(|&ids| Cow::Borrowed(ids)).collect();
            learner(classes, |_| {}).expect("a learner").step(rows, &labels.to_vec().into(), at).expect_err("misuse")
        };
        assert_same(error(2, &[], &[], AT), LearnError::EmptyBatch);
        assert_same(error(2, &[&[1]], &[0, 1], AT), LearnError::LabelCount { texts: 1, labels: 2 });
        assert_same(error(2, &[&[1]], &[2], AT), LearnError::Label { label: 2, classes: 2 });
        assert_same(error(3, &[&[1]], &[3], AT), LearnError::Label { label: 3, classes: 3 });
        let token = error(2, &[&[1, 4_000_000_000]], &[0], AT);
        assert!(matches!(token, LearnError::Token { id: 4_000_000_000, .. }), "{token}");
        for (done, steps) in [(0, 0), (4, 3)] {
            assert_same(
                error(2, &[&[1]], &[0], StepPosition { done, steps, ..AT }),
                LearnError::Schedule { done, steps },
            );
        }
        let at_positions = |labels: Vec<Vec<Option<usize>>>| {
            let learner = learner(2, |_| {}).expect("a learner");
            learner.step(vec![Cow::Borrowed(&[1, 2])], &Targets::Positions(labels), AT)
        };
        assert_same(
            at_positions(vec![vec![Some(0)]]).expect_err("misuse"),
            LearnError::PositionCount { tokens: 2, labels: 1 },
        );
        let error = at_positions(vec![vec![None, Some(1)]]).expect_err("misuse");
        assert_same(error, LearnError::Label { label: 1, classes: 1 });
        let no_probability = learner(2, |training| training.word_dropout = 7.0).expect_err("no probability");
        assert_same(no_probability, LearnError::WordDropout(7.0));
    }

    /// A learner for the words *a*, *bad*, *film* and *good*, with word vectors of two dimensions.
    fn with_vectors(change: impl Fn(&mut TrainingConfig)) -> Learner {
        let learner = learner(2, change).expect("a learner");
        let vocab_size = learner.model.embed.weight.dims()[0];
        let model = (preset("linear").expect("a preset").model)(vocab_size, 1);
        let values = (0..2 * vocab_size).map(|at| (at as f32).sin()).collect();
        learner.with_vectors(&WordVectors { dimensions: 2, values }, &model).expect("vectors")
    }

    fn logits(scores: &StepScores) -> Tensor<2> {
        scores.logits().expect("one label per text").clone()
    }

    fn take(learner: Learner, ids: &[u32], step: usize) -> (Learner, f32) {
        let at = StepPosition { epoch: 1, step, done: step - 1, steps: 9 };
        let (learner, scores) = learner.step(vec![Cow::Borrowed(ids)], &[1].into(), at).expect("a step");
        (learner, logits(&scores).into_data().iter().next().expect("a logit"))
    }

    #[test]
    fn vectors_become_a_part_of_the_trained_embeddings() {
        for is_sparse in [false, true] {
            let mut learner = with_vectors(|training| {
                (training.sparse_embedding, training.word_dropout, training.learning_rate) = (is_sparse, 0.0, 0.1);
            });
            for step in 1..=4 {
                let trained = learner.trained();
                let batch = Batch::masked(&[&[2, 3, 4]], 0, &Device::flex());
                let expected: f32 = trained.forward(&batch).into_data().iter().next().expect("a logit");
                let found;
                (learner, found) = take(learner, &[2, 3, 4], step);
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
            let projection = |learner: &Learner| learner.weights().pop().expect("weights");
            let start = with_vectors(|_| {});
            assert_eq!(projection(&learner).0, PROJECTION);
            assert_ne!(projection(&learner), projection(&start), "the matrix is trained");
            assert!(learner.adam.state().any(|(name, _)| name == "projection.m"));

            // What is saved is restored.
            let mut restored = with_vectors(|_| {});
            let values = |(name, data): (String, TensorData)| (name, data.iter::<f32>().collect());
            restored.set_weights(learner.weights().into_iter().map(values).collect()).expect("its own weights");
            assert_eq!(restored.weights(), learner.weights());
            let error = restored.set_weights(BTreeMap::new()).expect_err("nothing is there");
            assert_eq!(error, StateError::Missing("projection".into()));
        }
    }

    /// The logits of two texts of which every word is dropped, before a step with both of them. They are read by one
    /// learner: two learners made at the same time by tests need not have the same weights, because a device has one
    /// random state.
    fn with_all_words_dropped(learner: Learner) -> [f32; 2] {
        let texts = [[2, 3], [4, 4]].iter().map(|ids| Cow::Borrowed(ids.as_slice())).collect();
        let (_, scores) = learner.step(texts, &[1, 1].into(), AT).expect("a step");
        logits(&scores).try_into_vec_as::<f32>().expect("logits").try_into().expect("two logits")
    }

    #[test]
    fn a_dropped_word_keeps_its_vector() {
        let all_dropped = |training: &mut TrainingConfig| training.word_dropout = 1.0;
        let [one, other] = with_all_words_dropped(learner(2, all_dropped).expect("a learner"));
        assert_eq!(one, other);
        let [one, other] = with_all_words_dropped(with_vectors(all_dropped));
        assert_ne!(one, other);
    }

    #[test]
    fn scores_move_as_own_and_shared_weights_do() {
        let texts = ["good film", "bad film", "good good plot", "bad bad plot"];
        let tokenizer = train(TokenizerKind::Words, 10, texts.into_iter()).expect("a tokenizer");
        let counted = CountedLexicon::new(&tokenizer, 1, 2, |count| {
            for (at, text) in texts.iter().enumerate() {
                count(&tokenizer.ids(text).map_err(|error| error.to_string())?, &[[0.0, 1.0], [1.0, 0.0]][at % 2]);
            }
            Ok::<_, String>(())
        });
        let counted = counted.expect("counts");
        let rows = counted.counts.len();
        let values = (0..2 * rows).map(|at| (at as f32).sin()).collect();
        let counted = counted.with_vectors(WordVectors { dimensions: 2, values }, 1);
        let mut model = (preset("default").expect("a preset").model)(tokenizer.vocab_size(), 1);
        counted.size(&mut model);
        let device = Device::flex();
        let lexicon = model.init(&device).expect("a model").lexicon.expect("a lexicon");
        let descent = LexiconDescent::new(counted, &lexicon, &device);
        let vectors = descent.counted.vectors.clone().expect("vectors").values;
        let ratio = |row: usize| descent.counted.ratios[row].abs();
        let score = |own: &[f32], shared: &[f32], row: usize| {
            ratio(row) * (own[row] + shared[0] * vectors[2 * row] + shared[1] * vectors[2 * row + 1])
        };
        let all_scores = |own: &[f32], shared: &[f32]| (0..rows).map(|row| score(own, shared, row)).collect::<Vec<_>>();

        let mut own: Vec<f32> = (0..rows).map(|at| (at as f32).cos()).collect();
        let mut shared = [0.3, -0.7];
        let gradient: Vec<f32> = (0..rows).map(|at| (at as f32 * 1.7).sin()).collect();
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [rows, 1]), &device);
        let moved = descent.moved(tensor(all_scores(&own, &shared)), tensor(gradient.clone()), 0.5);
        let (kept, rate) = descent.counted.step(0.5);
        let (kept, rate) = (kept as f32, rate as f32);
        for (dimension, weight) in shared.iter_mut().enumerate() {
            let of_rows = (0..rows).map(|row| gradient[row] * ratio(row) * vectors[2 * row + dimension]);
            *weight = *weight * kept - rate * of_rows.sum::<f32>();
        }
        own.iter_mut()
            .enumerate()
            .for_each(|(row, weight)| *weight = *weight * kept - rate * gradient[row] * ratio(row));
        for (found, expected) in moved.into_data().iter::<f32>().zip(all_scores(&own, &shared)) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }

    #[test]
    fn vectors_of_another_vocabulary_are_refused() {
        let learner = learner(2, |_| {}).expect("a learner");
        let vocab_size = learner.model.embed.weight.dims()[0];
        let model = (preset("linear").expect("a preset").model)(vocab_size, 1);
        let error = learner.with_vectors(&WordVectors { dimensions: 2, values: vec![0.0; 6] }, &model);
        assert_same(error.expect_err("three vectors"), LearnError::Vectors { vocab_size, found: 3 });
    }

    #[test]
    fn a_text_without_tokens_is_learned_from() {
        let (_, scores) =
            learner(2, |_| {}).expect("a learner").step(vec![Cow::Borrowed(&[])], &[1].into(), AT).expect("a step");
        assert!(logits(&scores).into_data().iter::<f32>().all(f32::is_finite));
    }
}

//! Language models: texts that a run writes, a token at a time.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use convlens_model::{EncoderConfig, EncoderSettings, Stream, StreamState};
use convlens_phrases::{PhrasesError, log_probabilities};
use convlens_text::Detokenizer;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::{Run, RunError, Task, to_host, to_host_async};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; with 0 the most probable token is always chosen.
    pub temperature: f64,
    /// Only so many of the most probable tokens may be chosen.
    pub top_k: Option<usize>,
    /// Only the most probable tokens may be chosen that have this probability together (Holtzman et al. 2020, "The
    /// Curious Case of Neural Text Degeneration", section 3.1).
    pub top_p: Option<f64>,
}

impl Default for Sampling {
    /// Every token with its probability at the temperature 0.8.
    fn default() -> Self {
        Self { temperature: 0.8, top_k: None, top_p: None }
    }
}

impl Sampling {
    /// The tokens that may be chosen, most probable first, with their probabilities, which sum to 1. `is_allowed` says
    /// whether a token may be chosen at all.
    ///
    /// There are none only if no token is allowed.
    pub fn candidates(&self, logits: &[f32], is_allowed: impl Fn(usize) -> bool) -> Vec<(u32, f64)> {
        let allowed = logits.iter().enumerate().filter(|(id, _)| is_allowed(*id));
        let mut ranked: Vec<(u32, f64)> = allowed.map(|(id, &logit)| (id as u32, f64::from(logit))).collect();
        // Equal logits are in the order of their ids, whatever was sorted before.
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let most = if self.temperature > 0.0 { self.top_k.unwrap_or(usize::MAX).max(1) } else { 1 };
        ranked.truncate(most);
        let temperature = if self.temperature > 0.0 { self.temperature } else { 1.0 };
        let highest = ranked.first().map_or(0.0, |(_, logit)| *logit);
        ranked.iter_mut().for_each(|(_, value)| *value = ((*value - highest) / temperature).exp());
        if let Some(top_p) = self.top_p {
            let all: f64 = ranked.iter().map(|(_, weight)| weight).sum();
            let mut before = 0.0;
            // The token that reaches the probability is among them.
            let kept = ranked.iter().take_while(|(_, weight)| {
                let is_kept = before < top_p * all;
                before += weight;
                is_kept
            });
            let kept = kept.count().max(1);
            ranked.truncate(kept);
        }
        let all: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        ranked.iter_mut().for_each(|(_, weight)| *weight /= all);
        ranked
    }
}

/// A token that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct NextToken {
    /// Its id.
    pub id: u32,
    /// Its probability by the model, whatever the [`Sampling`] was.
    pub probability: f64,
    /// The most probable tokens by the model, with their probabilities, most probable first.
    pub alternatives: Vec<(u32, f64)>,
    /// The text that it adds; see [`Detokenizer::push`].
    pub text: String,
    /// Whether it ends the text. Nothing should be written after it.
    pub is_end: bool,
}

/// The number of [`alternatives`](NextToken::alternatives).
const ALTERNATIVES: usize = 5;

/// Writes a text with a run, a token at a time. What the layers have read is kept, so a token takes the same time however
/// long the text is, unless the model is recurrent in both directions, which no language model is.
#[derive(Debug)]
pub struct Generator<S: EncoderSettings = EncoderConfig>
where
    S::Encoder: Stream,
{
    run: Arc<Run<S>>,
    state: StreamState,
    /// The logits of the next token.
    logits: Vec<f32>,
    /// The same, with guidance.
    guided: Vec<f32>,
    /// The index of the label that the text is written for.
    label: Option<usize>,
    /// See [`guided`](Self::guided).
    guidance: f32,
    detokenizer: Detokenizer,
    rng: ChaCha8Rng,
}

impl<S: EncoderSettings> Generator<S>
where
    S::Encoder: Stream,
{
    /// Begins a text after a prompt, which may be empty, for a label of the run, given by its index, if the run has
    /// labels. The same seed gives the same text.
    ///
    /// # Errors
    ///
    /// [`RunError::Task`] if the run is no language model, [`RunError::Label`] if it has labels and the text has none of
    /// them, [`RunError::NoStart`] if the prompt is empty and texts of the
    /// tokenizer have no start, the error of [`encode`](convlens_text::Tokenizer::encode), or [`RunError::Device`].
    pub fn new(run: Arc<Run<S>>, prompt: &str, label: Option<usize>, seed: u64) -> Result<Self, RunError> {
        Self::guided(run, prompt, label, 0.0, seed)
    }

    /// As [`new`](Self::new), with guidance: tokens are chosen as if each logit for the label were so many times further
    /// from the mean of those for the other labels than it is (after Ho and Salimans 2022, "Classifier-Free Diffusion
    /// Guidance"). The model reads the text once for every label.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn guided(
        run: Arc<Run<S>>,
        prompt: &str,
        label: Option<usize>,
        guidance: f32,
        seed: u64,
    ) -> Result<Self, RunError> {
        let (mut generator, ids) = Self::begin(run, prompt, label, guidance, seed)?;
        for id in ids {
            let logits = to_host(generator.predict(id))?;
            generator.take(logits);
        }
        Ok(generator)
    }

    /// As [`new`](Self::new), for platforms that can only read from a device asynchronously, such as browsers.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub async fn new_async(run: Arc<Run<S>>, prompt: &str, label: Option<usize>, seed: u64) -> Result<Self, RunError> {
        let (mut generator, ids) = Self::begin(run, prompt, label, 0.0, seed)?;
        for id in ids {
            let logits = to_host_async(generator.predict(id)).await?;
            generator.take(logits);
        }
        Ok(generator)
    }

    /// A generator that has read nothing, and the ids of the prompt that its next token depends on.
    fn begin(
        run: Arc<Run<S>>,
        prompt: &str,
        label: Option<usize>,
        guidance: f32,
        seed: u64,
    ) -> Result<(Self, Vec<u32>), RunError> {
        if run.config.task != Task::LanguageModel {
            return Err(RunError::Task { task: run.config.task, expected: Task::LanguageModel });
        }
        let labels = &run.config.labels;
        if label.is_some_and(|label| label >= labels.len()) || label.is_none() && !labels.is_empty() {
            return Err(RunError::Label { known: labels.join(", ") });
        }
        // Every label has a row, if those of the others matter.
        let guidance = if labels.len() > 1 { guidance } else { 0.0 };
        let rows = if guidance == 0.0 { 1 } else { labels.len() };
        let state = run.model.begin(rows).ok_or(RunError::NoStream)?;
        let mut ids = run.tokenizer.ids(prompt)?;
        if ids.is_empty() {
            return Err(RunError::NoStart);
        }
        // A convolution sees no token before its receptive field.
        let seen = run.model.receptive_field().size().min(ids.len());
        let ids = ids.split_off(ids.len() - seen);
        let (logits, mut detokenizer) = (Vec::new(), Detokenizer::default());
        // What the next token adds to the text depends on the one before.
        ids.iter().try_for_each(|&id| detokenizer.push(&run.tokenizer, id).map(|_| ()))?;
        Ok((
            Self {
                run,
                state,
                guided: logits.clone(),
                logits,
                label,
                guidance,
                detokenizer,
                rng: ChaCha8Rng::seed_from_u64(seed),
            },
            ids,
        ))
    }

    /// Chooses the next token, and reads it.
    ///
    /// # Errors
    ///
    /// [`RunError::Device`], [`PhrasesError::Overflow`] if a logit is not a finite number, or the error of
    /// [`Detokenizer::push`].
    pub fn choose(&mut self, sampling: &Sampling) -> Result<NextToken, RunError> {
        let next = self.draw(sampling)?;
        let logits = to_host(self.predict(next.id))?;
        self.take(logits);
        Ok(next)
    }

    /// As [`choose`](Self::choose), for platforms that can only read from a device asynchronously.
    ///
    /// # Errors
    ///
    /// As [`choose`](Self::choose).
    pub async fn choose_async(&mut self, sampling: &Sampling) -> Result<NextToken, RunError> {
        let next = self.draw(sampling)?;
        let logits = to_host_async(self.predict(next.id)).await?;
        self.take(logits);
        Ok(next)
    }

    /// The logits of all tokens at the next position.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn draw(&mut self, sampling: &Sampling) -> Result<NextToken, RunError> {
        if !self.logits.iter().chain(&self.guided).all(|logit| logit.is_finite()) {
            return Err(PhrasesError::Overflow.into());
        }
        let tokenizer = &self.run.tokenizer;
        let end = tokenizer.start_id().filter(|_| self.run.config.knows_ends());
        let unknown = tokenizer.unk_id();
        let is_word = |id: u32| Some(id) != unknown && (Some(id) == end || !tokenizer.is_special(id));
        let candidates = sampling.candidates(&self.guided, |id| is_word(id as u32));
        let mut left = self.rng.random::<f64>();
        let chosen = candidates.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        let Some(&(id, _)) = chosen.or(candidates.last()) else { return Err(RunError::NoStart) };
        let log_probabilities = log_probabilities(&self.logits);
        let mut ranked: Vec<usize> = (0..log_probabilities.len()).collect();
        let by_rank = |a: &usize, b: &usize| log_probabilities[*b].total_cmp(&log_probabilities[*a]).then(a.cmp(b));
        if ranked.len() > ALTERNATIVES {
            ranked.select_nth_unstable_by(ALTERNATIVES, by_rank);
            ranked.truncate(ALTERNATIVES);
        }
        ranked.sort_unstable_by(by_rank);
        let alternatives = ranked.into_iter().map(|id| (id as u32, log_probabilities[id].exp())).collect();
        let probability = log_probabilities[id as usize].exp();
        let text = self.detokenizer.push(tokenizer, id)?;
        Ok(NextToken { id, probability, alternatives, text, is_end: Some(id) == end })
    }

    /// Reads a token, and predicts the next one: `[rows, outputs]`, with a row for each label if there is guidance.
    fn predict(&mut self, id: u32) -> Tensor<2> {
        let labels: Option<Vec<i32>> = match self.label {
            Some(_) if self.guidance != 0.0 => Some((0..self.run.config.labels.len() as i32).collect()),
            label => label.map(|label| vec![label as i32]),
        };
        let rows = labels.as_ref().map_or(1, Vec::len);
        let ints = |values: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(values, [rows]), &self.run.device);
        self.run.model.predict_next(&mut self.state, ints(vec![id as i32; rows]), labels.map(ints))
    }

    /// Takes the logits of [`predict`](Self::predict).
    fn take(&mut self, logits: Vec<f32>) {
        let outputs = self.run.config.model.outputs;
        let Some(label) = self.label.filter(|_| self.guidance != 0.0) else {
            (self.guided, self.logits) = (logits.clone(), logits);
            return;
        };
        let own = &logits[label * outputs..][..outputs];
        let others = (logits.len() / outputs - 1) as f32;
        let guided = own.iter().enumerate().map(|(id, &logit)| {
            let sum: f32 = logits.iter().skip(id).step_by(outputs).sum();
            logit + self.guidance * (logit - (sum - logit) / others)
        });
        (self.guided, self.logits) = (guided.collect(), own.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;
    use convlens_model::{Batch, GatedBranch, GatedConfig, LayerConfig, ModelConfig, Padding, RecurrentConfig};
    use proptest::prelude::*;

    /// A language model of words with random weights.
    fn language_model(encoder: EncoderConfig) -> Run {
        let mut run = run(encoder, Padding::Masked);
        run.config.task = Task::LanguageModel;
        run.config.labels.clear();
        run.config.model = ModelConfig { outputs: run.config.model.vocab_size, ..run.config.model };
        run.config.check().expect("a language model");
        run.model = run.config.model.init(&run.device).expect("a model");
        run
    }

    fn gated() -> EncoderConfig {
        let layer = LayerConfig { causal: true, layer_norm: true, ..LayerConfig::default() };
        EncoderConfig::Gated(GatedConfig {
            hidden: 6,
            units: 2,
            dilation_base: 2,
            cycle: None,
            branch: GatedBranch::Skip,
            layer,
        })
    }

    #[test]
    fn tokens_are_predicted_as_from_the_whole_text() {
        for encoder in [gated(), EncoderConfig::Lstm(RecurrentConfig { hidden: 6, bidirectional: false })] {
            let run = Arc::new(language_model(encoder));
            // The prompt is longer than the receptive field of the gated units.
            let prompt = "a good film a bad film a film good bad good film a good bad";
            let mut generator = Generator::new(run.clone(), prompt, None, 1).expect("begins");
            let mut ids = run.tokenizer.ids(prompt).expect("ids");
            for _ in 0..20 {
                let logits = run.model.forward_positions(&Batch::masked(&[&ids], 0, &run.device));
                let logits = to_host(logits).expect("logits");
                let last = &logits[logits.len() - generator.logits().len()..];
                for (cached, whole) in generator.logits().iter().zip(last) {
                    assert!((cached - whole).abs() < 1e-5, "{cached} is not {whole}");
                }
                let next = generator.choose(&Sampling::default()).expect("chooses");
                assert!(next.alternatives.windows(2).all(|pair| pair[0].1 >= pair[1].1));
                ids.push(next.id);
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_text() {
        let run = Arc::new(language_model(gated()));
        let text = |seed: u64, sampling: Sampling| -> String {
            let mut generator = Generator::new(run.clone(), "a film", None, seed).expect("begins");
            (0..30).map(|_| generator.choose(&sampling).expect("chooses").text).collect()
        };
        let any = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(text(1, any), text(1, any));
        assert_ne!(text(1, any), text(2, any));
        let greedy = Sampling { temperature: 0.0, ..any };
        assert_eq!(text(1, greedy), text(2, greedy));
        let error =
            Generator::new(Arc::new(super::tests::run(gated(), Padding::Masked)), "", None, 1).expect_err("classifies");
        assert!(error.to_string().starts_with("this run classifies texts"), "{error}");
    }

    #[test]
    fn only_a_model_that_has_learned_where_texts_end_ends_one() {
        let mut run = language_model(gated());
        for (texts, ends) in [(2, true), (1, false)] {
            run.config.dataset.train = texts;
            let mut generator = Generator::new(Arc::new(run.clone()), "a film", None, 1).expect("begins");
            let any = Sampling { temperature: 1.0, ..Sampling::default() };
            assert_eq!((0..200).any(|_| generator.choose(&any).expect("chooses").is_end), ends);
        }
    }

    #[test]
    fn guidance_moves_away_from_the_other_labels() {
        let mut run = language_model(gated());
        run.config.labels = ["a", "b", "c"].map(String::from).to_vec();
        run.config.model.conditions = 3;
        run.config.check().expect("a language model");
        run.model = run.config.model.init(&run.device).expect("a model");
        let run = Arc::new(run);
        let of = |label| Generator::new(run.clone(), "a film", Some(label), 1).expect("begins").logits;
        let [a, b, c] = [of(0), of(1), of(2)];
        let guided = Generator::guided(run.clone(), "a film", Some(1), 2.0, 1).expect("begins");
        for (id, &logit) in guided.guided.iter().enumerate() {
            let expected = b[id] + 2.0 * (b[id] - (a[id] + c[id]) / 2.0);
            assert!((logit - expected).abs() < 1e-4 && (guided.logits[id] - b[id]).abs() < 1e-5, "{logit}, {expected}");
        }
        let error = Generator::new(run, "a film", None, 1).expect_err("has labels").to_string();
        assert!(error.contains("a, b, c"), "{error}");
    }

    #[test]
    fn only_probable_tokens_are_candidates() {
        let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
        let candidates = |sampling: Sampling| sampling.candidates(&logits, |id| id != 1);
        let all = Sampling { temperature: 1.0, top_k: None, top_p: None };
        let ids = |sampling| candidates(sampling).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(all), [0, 2, 3]);
        assert_eq!(ids(Sampling { top_k: Some(2), ..all }), [0, 2]);
        // Without token 1 they have 4/7, 2/7 and 1/7.
        assert_eq!(ids(Sampling { top_p: Some(0.5), ..all }), [0]);
        assert_eq!(ids(Sampling { top_p: Some(0.6), ..all }), [0, 2]);
        assert_eq!(ids(Sampling { temperature: 0.0, ..all }), [0]);
        assert!((candidates(all)[0].1 - 4.0 / 7.0).abs() < 1e-6);
        let cold = Sampling { temperature: 0.5, ..all };
        assert!((candidates(cold)[0].1 - 16.0 / 21.0).abs() < 1e-6, "squares at half the temperature");
    }

    proptest! {
        #[test]
        fn candidates_are_a_distribution(
            logits in prop::collection::vec(-30f32..30.0, 1..40), temperature in 0f64..3.0, top_k in prop::option::of(0usize..9), top_p in prop::option::of(0f64..1.0),
        ) {
            let candidates = Sampling { temperature, top_k, top_p }.candidates(&logits, |_| true);
            prop_assert!(!candidates.is_empty());
            prop_assert!((candidates.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(candidates.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }
    }
}

//! Runs of one layer of convolutions, with or without a lexicon beside it, read without tensors.

use std::path::Path;

use convlens_text::Tokenizer;
use safetensors::SafeTensors;

use crate::files::{RunFiles, WEIGHTS, parse_tokenizer, read_config, read_model, tokenizer_digest};
use crate::packed::{EMBEDDINGS, PAIRS, SCORES, floats};
use crate::{
    Classification, ConvRunConfig, LexiconIndex, LexiconSettings, Part, PhrasesError, Prediction, ReceptiveField,
    Values, weights,
};

/// `[outputs, channels, 1]`
const HEAD: &str = "head.weight";
/// `[outputs]`; a model with a lexicon has [`LEXICON_BIAS`] instead.
const HEAD_BIAS: &str = "head.bias";
/// `[outputs]`
const LEXICON_BIAS: &str = "lexicon.bias";
/// The role of every word as a number, `[vocab_size]`.
const ROLES: &str = "lexicon.roles";

/// A run whose model is one layer of convolutions with ReLU and max pooling (Kim 2014), and perhaps a lexicon beside it,
/// such as the preset `default`. It needs no tensors and no device.
#[derive(Clone, Debug)]
pub struct ConvRun {
    /// Its configuration.
    pub config: ConvRunConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// `[vocab_size, embedding]`
    embeddings: Vec<f32>,
    widths: Vec<Filters>,
    /// `[outputs, channels]`
    head: Vec<f32>,
    /// The logits of a text without evidence.
    bias: Vec<f64>,
    lexicon: Option<Lexicon>,
}

/// The filters of one width.
#[derive(Clone, Debug)]
struct Filters {
    field: ReceptiveField,
    /// `[filters, width, embedding]`
    weights: Vec<f32>,
    /// `[filters]`
    bias: Vec<f32>,
}

#[derive(Clone, Debug)]
struct Lexicon {
    index: LexiconIndex,
    /// The scores of every word, then of every pair, `[vocab_size + pairs, outputs]`.
    scores: Vec<f32>,
    saturation: f32,
    /// Its share of the logits.
    share: f64,
}

/// The largest value of a channel in a text, and the position that has it.
#[derive(Clone, Copy, Debug)]
struct Largest {
    position: usize,
    value: f32,
}

impl ConvRun {
    /// Opens the folder of a run.
    ///
    /// The files may come from a stranger: whatever they say, this returns a run or an error, and a file
    /// much larger than the others allow for is not read.
    ///
    /// # Errors
    ///
    /// [`PhrasesError`], naming the file that is missing, damaged, too large, newer or of another run;
    /// [`PhrasesError::NotConv`] if its model is another one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PhrasesError> {
        let folder = path.as_ref();
        let config = ConvRunConfig::from_json(&read_config(folder)?, folder)?;
        let (tokenizer, weights) = read_model(folder, config.vocab_size, &shapes(&config))?;
        Self::new(config, &tokenizer, weights, folder)
    }

    /// Opens a run from the contents of its files.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files(files: RunFiles) -> Result<Self, PhrasesError> {
        let folder = Path::new("");
        Self::new(ConvRunConfig::from_json(&files.config, folder)?, &files.tokenizer, files.weights, folder)
    }

    fn new(config: ConvRunConfig, tokenizer: &[u8], weights: Vec<u8>, folder: &Path) -> Result<Self, PhrasesError> {
        let path = folder.join(WEIGHTS);
        let digest = tokenizer_digest(tokenizer);
        let tokenizer = parse_tokenizer(tokenizer, config.vocab_size, folder)?;
        let weights = weights::checked(weights, &shapes(&config), &digest, &path)?;
        let damaged = |error: safetensors::SafeTensorError| PhrasesError::DamagedWeights {
            path: path.clone(),
            message: error.to_string(),
        };
        let tensors = SafeTensors::deserialize(&weights).map_err(damaged)?;
        let values = |name: &str| -> Result<Vec<f32>, PhrasesError> {
            Ok(floats(tensors.tensor(name).map_err(damaged)?.data()).collect())
        };
        let filters = |(number, &width): (usize, &usize)| -> Result<Filters, PhrasesError> {
            let [weights, bias] = names(number);
            Ok(Filters {
                field: ReceptiveField::same_convolution(width, 1),
                weights: place_by_place(&values(&weights)?, config.embedding, width),
                bias: values(&bias)?,
            })
        };
        let widths = config.kernel_sizes.iter().enumerate().map(filters).collect::<Result<Vec<_>, _>>()?;
        let lexicon = match config.lexicon {
            Some(LexiconSettings { saturation, encoder_share, .. }) => Some(Lexicon {
                index: LexiconIndex::new(&values(PAIRS)?, &values(ROLES)?),
                scores: values(SCORES)?,
                saturation: saturation as f32,
                share: 1.0 - encoder_share,
            }),
            None => None,
        };
        let bias =
            values(if lexicon.is_some() { LEXICON_BIAS } else { HEAD_BIAS })?.into_iter().map(f64::from).collect();
        Ok(Self { tokenizer, embeddings: values(EMBEDDINGS)?, widths, head: values(HEAD)?, bias, lexicon, config })
    }

    /// Classifies a text and scores its phrases.
    ///
    /// # Errors
    ///
    /// [`PhrasesError::Text`] or [`PhrasesError::Overflow`].
    pub fn predict(&self, text: &str) -> Result<Prediction, PhrasesError> {
        let encoding = self.tokenizer.encode(text)?;
        let scores = self.scores(&encoding.ids);
        let values = Values { logits: self.logits(&scores), scores, bias: self.bias.clone() };
        let mut prediction =
            Prediction::from_values(self.config.prediction(), &self.tokenizer, text, &encoding, values)?;
        if let Some(lexicon) = &self.lexicon {
            prediction.begin_with_negations(&lexicon.index.scopes(&encoding.ids));
        }
        Ok(prediction)
    }

    /// Classifies a text without its phrases. The label and the probabilities are the same.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn classify(&self, text: &str) -> Result<Classification, PhrasesError> {
        let scores = self.scores(&self.tokenizer.ids(text)?);
        Classification::from_logits(&self.logits(&scores), self.config.temperature)
    }

    /// What each word of a phrase adds to each logit, in order: gradient × input, whose sum differs from the phrase's
    /// score by what the biases of the filters add.
    ///
    /// # Panics
    ///
    /// If the prediction has no such phrase.
    pub fn parts(&self, prediction: &Prediction, phrase: usize) -> Vec<Part> {
        let seen = &prediction.phrases[phrase];
        let Some(center) = seen.center else { return Vec::new() };
        let ids: Vec<u32> = prediction.tokens.iter().map(|token| token.id).collect();
        let outputs = self.config.outputs;
        let mut parts = vec![0.0; ids.len() * outputs];
        let mut add = |token: usize, output: usize, part: f64| parts[token * outputs + output] += part;

        let evidence = self.evidence(ids.len());
        let channels = self.channels(&ids);
        for (channel, largest) in channels.iter().enumerate().filter(|(_, largest)| largest.value > 0.0) {
            if largest.position == center {
                for (token, product) in self.products(channel, center, &ids) {
                    let share = evidence * f64::from(product);
                    (0..outputs).for_each(|output| add(token, output, share * self.head(output, channel)));
                }
            }
        }
        if let Some(lexicon) = &self.lexicon {
            lexicon.each(&ids, outputs, |position, words, output, score| {
                if position == center {
                    // The score of a phrase is that of all of its words.
                    let part = score / words as f64;
                    (position + 1 - words..=position).for_each(|word| add(word, output, part));
                }
            });
        }
        let part = |token: usize| Part {
            token: Some(token),
            place: token as isize - center as isize,
            score: parts[token * outputs..(token + 1) * outputs].to_vec(),
        };
        seen.tokens.clone().map(part).collect()
    }

    /// The score of each position, `[positions, outputs]`.
    fn scores(&self, ids: &[u32]) -> Vec<f64> {
        let outputs = self.config.outputs;
        let mut scores = vec![0.0; ids.len() * outputs];
        let evidence = self.evidence(ids.len());
        for (channel, largest) in self.channels(ids).into_iter().enumerate() {
            let of_position = &mut scores[largest.position * outputs..][..outputs];
            for (output, score) in of_position.iter_mut().enumerate() {
                *score += evidence * f64::from(largest.value) * self.head(output, channel);
            }
        }
        if let Some(lexicon) = &self.lexicon {
            lexicon.each(ids, outputs, |position, _, output, score| scores[position * outputs + output] += score);
        }
        scores
    }

    fn logits(&self, scores: &[f64]) -> Vec<f64> {
        let outputs = self.config.outputs;
        let of_output = |output: usize| scores.iter().skip(output).step_by(outputs).sum::<f64>();
        self.bias.iter().enumerate().map(|(output, bias)| bias + of_output(output)).collect()
    }

    fn head(&self, output: usize, channel: usize) -> f64 {
        f64::from(self.head[output * self.config.filters * self.widths.len() + channel])
    }

    /// The factor by which the pooled channels of a text are multiplied.
    fn evidence(&self, positions: usize) -> f64 {
        let share = self.config.lexicon.as_ref().map_or(1.0, |lexicon| lexicon.encoder_share);
        share * positions as f64 / (positions as f64 + self.config.shrinkage).max(f64::MIN_POSITIVE)
    }

    /// Where each channel is largest: the first of equal positions. Empty if the text is.
    fn channels(&self, ids: &[u32]) -> Vec<Largest> {
        if ids.is_empty() {
            return Vec::new();
        }
        let of_channel = |channel: usize| {
            let (filters, filter) = self.filter(channel);
            let mut largest = Largest { position: 0, value: f32::NEG_INFINITY };
            for position in 0..ids.len() {
                let sum: f32 = self.products(channel, position, ids).map(|(_, product)| product).sum();
                let value = sum + filters.bias[filter];
                let value = if value < 0.0 { 0.0 } else { value };
                if value > largest.value || value.is_nan() {
                    largest = Largest { position, value };
                }
            }
            largest
        };
        (0..self.widths.len() * self.config.filters).map(of_channel).collect()
    }

    /// The filters of a channel's width, and which of them is the channel's.
    fn filter(&self, channel: usize) -> (&Filters, usize) {
        (&self.widths[channel / self.config.filters], channel % self.config.filters)
    }

    /// The products of a channel's filter with the words that it covers at a position, and which words these are.
    fn products(&self, channel: usize, position: usize, ids: &[u32]) -> impl Iterator<Item = (usize, f32)> {
        let (filters, filter) = self.filter(channel);
        let (width, dimensions) = (filters.field.size(), self.config.embedding);
        let weights = filters.weights[filter * width * dimensions..][..width * dimensions].chunks_exact(dimensions);
        weights.enumerate().filter_map(move |(place, weights)| {
            let token = (position + place).checked_sub(filters.field.left)?;
            let id = *ids.get(token)? as usize;
            let embedding = &self.embeddings[id * dimensions..][..dimensions];
            Some((token, weights.iter().zip(embedding).map(|(weight, value)| weight * value).sum()))
        })
    }
}

impl Lexicon {
    /// Calls a function with the position, the number of words, the output and the score of everything in a text that
    /// has one.
    fn each(&self, ids: &[u32], outputs: usize, mut visit: impl FnMut(usize, usize, usize, f64)) {
        let found = self.index.find(ids, self.saturation);
        for (at, &row) in found.rows.iter().enumerate() {
            let factor = self.share * f64::from(found.factors[at]);
            for (output, &score) in self.scores[row as usize * outputs..][..outputs].iter().enumerate() {
                visit(found.positions[at], found.words[at], output, factor * f64::from(score));
            }
        }
    }
}

/// From `[filters, embedding, width]` to `[filters, width, embedding]`.
fn place_by_place(weights: &[f32], embedding: usize, width: usize) -> Vec<f32> {
    let filters = weights.chunks_exact(embedding * width);
    let of_filter = |filter: &[f32]| {
        let order = (0..width).flat_map(|place| (0..embedding).map(move |dimension| dimension * width + place));
        order.map(|at| filter[at]).collect::<Vec<_>>()
    };
    filters.flat_map(of_filter).collect()
}

/// The names of the weights and biases of the filters of a width.
fn names(number: usize) -> [String; 2] {
    ["weight", "bias"].map(|kind| format!("encoder.widths.{number}.conv.{kind}"))
}

/// The tensors of a run.
fn shapes(config: &ConvRunConfig) -> Vec<(String, Vec<usize>)> {
    let ConvRunConfig { vocab_size, embedding, filters, outputs, .. } = *config;
    let channels = filters.saturating_mul(config.kernel_sizes.len());
    let of_width = |(number, &width): (usize, &usize)| {
        let [weights, bias] = names(number);
        [(weights, vec![filters, embedding, width]), (bias, vec![filters])]
    };
    let layers = config.kernel_sizes.iter().enumerate().flat_map(of_width);
    let beside = match &config.lexicon {
        Some(LexiconSettings { pairs, .. }) => vec![
            (PAIRS, vec![*pairs, 2]),
            (SCORES, vec![vocab_size.saturating_add(*pairs), outputs]),
            (ROLES, vec![vocab_size]),
            (LEXICON_BIAS, vec![outputs]),
        ],
        None => vec![(HEAD_BIAS, vec![outputs])],
    };
    let others =
        [(EMBEDDINGS, vec![vocab_size, embedding]), (HEAD, vec![outputs, channels, 1])].into_iter().chain(beside);
    layers.chain(others.map(|(name, shape)| (name.to_owned(), shape))).collect()
}

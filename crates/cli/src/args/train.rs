//! The arguments of `train`.

use std::path::PathBuf;

use clap::Args;
use convlens_run::{DeviceChoice, Task};

use super::SourceArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens train
  convlens train --preset seed --dataset imdb --out runs/seed
  convlens train --data reviews.csv --text-column review --label-column stars --epochs 5
  convlens train --preset best --unlabelled imdb   learn word vectors from unlabelled texts first
  convlens train --unlabelled imdb --lexicon-vectors   of a lexicon's words and phrases
  convlens train --data reviews.csv --init RUN     start from the word vectors of an earlier run
  convlens train --unlabelled imdb --teacher RUN   learn what an earlier run says of texts
  convlens train --preset plain --set encoder.layers=8 --set encoder.layer.weight_norm=true
  convlens train --task tag --data train.conllu --validation-data dev.conllu --test-data test.conllu
  convlens train --task tag --data entities.txt --set chain=true
  convlens train --task lm --data shakespeare.txt  a language model of characters
  convlens train --task lm --preset dilated --dataset imdb --tokenizer punctuated --vocab-size 10000
  convlens train --resume                          continue a run that was stopped or killed
  convlens train --config run.toml                 read flags from a file, such as epochs = 5")]
pub struct TrainArgs {
    /// What the model does: classify (a label for every text), tag (a label for every word) or lm (a language model, which
    /// generates texts) [default: that of the preset, or classify]
    #[arg(long, value_name = "TASK", value_parser = task)]
    pub task: Option<Task>,
    /// The preset to start from: default, seed (Ben Bolte's published model), best, or one per encoder;
    /// an unknown name lists them all [default: default, tagger for tagging, gated for a language model]
    #[arg(long, value_name = "P")]
    pub preset: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Texts without labels, which word vectors or --lexicon-vectors are learned from first, or which a --teacher labels:
    /// the name of a known data set, or a CSV, TSV, Parquet or JSON Lines file
    #[arg(long, value_name = "D|FILE")]
    pub unlabelled: Option<String>,
    /// The column of the file of --unlabelled that holds the texts [default: text]
    #[arg(long, value_name = "T", requires = "unlabelled")]
    pub unlabelled_column: Option<String>,
    /// Train on the texts of --unlabelled too, with the probabilities that this run gives their labels; may be repeated
    /// for the mean of several runs
    #[arg(long, value_name = "RUN")]
    pub teacher: Vec<PathBuf>,
    /// Learn vectors of the words and phrases of the lexicon first, from the training texts and those of --unlabelled, so
    /// that what labels teach of one carries over to others in similar texts (default and best have a lexicon)
    #[arg(long)]
    pub lexicon_vectors: bool,
    /// Start from the word vectors of this file, as word2vec and GloVe write them, as text or binary; words of the file
    /// that the training texts do not have are known to a tagger
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    pub vectors: Option<PathBuf>,
    /// Start from the word vectors of a run that was trained with --unlabelled, and use its tokenizer
    #[arg(long, value_name = "RUN", conflicts_with_all = ["tokenizer", "vocab_size"])]
    pub init: Option<PathBuf>,
    /// Change a setting of the model, named by its path in config.json, such as encoder.layer.causal=true;
    /// may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The tokenizer: words, punctuated, contractions, characters, cased-characters, bytes, bpe, cased-bpe, or the path of
    /// a tokenizer.json
    /// [default: the preset's]
    #[arg(long, value_name = "T")]
    pub tokenizer: Option<String>,
    /// The maximum number of tokens that a trained tokenizer knows [default: the preset's]
    #[arg(long, value_name = "N")]
    pub vocab_size: Option<usize>,
    /// The maximum number of passes over the training data [default: the preset's]
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// The number of texts per step [default: the preset's]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// The maximum number of tokens that training reads of a text, from its beginning [default: 65536]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// The learning rate of Adam [default: the preset's]
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// The number of tokens of the windows that texts are cut into for a language model [default: the preset's]
    #[arg(long, value_name = "N")]
    pub window: Option<usize>,
    /// Train a language model that writes texts for each label of the data (see convlens generate --label)
    #[arg(long)]
    pub condition_on_label: bool,
    /// The share of the steps in which the learning rate first rises from zero [default: the preset's]
    #[arg(long, value_name = "X")]
    pub warmup: Option<f64>,
    /// The probability that a word of a training text is replaced by the unknown token [default: the preset's]
    #[arg(long, value_name = "X")]
    pub word_dropout: Option<f64>,
    /// The decoupled weight decay [default: the preset's]
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f32>,
    /// Keep the exponential moving average of the weights, of which each step keeps this share, such as 0.999; 0 keeps
    /// the weights of the last step [default: the preset's]
    #[arg(long, value_name = "X")]
    pub ema_decay: Option<f64>,
    /// Stop after this many epochs without a better validation loss [default: the preset's]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// The seed of every random choice; the same seed gives the same model [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
    /// Seconds between checkpoints within an epoch; there is always one at the end of an epoch
    #[arg(long, value_name = "X", default_value_t = 30.0)]
    pub checkpoint_every: f64,
    /// A TOML file with the same keys as these flags, which override it; a flag that may be repeated replaces
    /// the file's whole list
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The run folder to write [default: runs/DATASET-PRESET]
    #[arg(long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Continue a run that was stopped or killed: the one given with --out, or the newest
    #[arg(long)]
    pub resume: bool,
    /// Analyse the run after training, as `convlens analyze` does
    #[arg(long)]
    pub analyze: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// A task by its name.
pub fn task(name: &str) -> Result<Task, String> {
    Task::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| {
        let known = Task::ALL.map(Task::name).join(", ");
        format!("there is no such task (known: {known})")
    })
}

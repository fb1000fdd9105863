//! The arguments of `generate`.

use std::path::PathBuf;

use clap::Args;
use convlens_run::DeviceChoice;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens generate \"To be, or not to be\"
  convlens generate --run runs/shakespeare --length 500 --temperature 0.7
  convlens generate --top-p 0.9 --stop \"\\n\\n\" --samples 3 \"ROMEO:\"
  convlens generate --run runs/reviews --label pos
  convlens generate --explain --length 20 \"the film was\"
  convlens generate --json --brief --samples 100 > reviews.jsonl")]
pub struct GenerateArgs {
    /// What the text begins with; nothing if it is left out
    #[arg(value_name = "PROMPT", default_value = "")]
    pub prompt: String,
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The label to write a text for, if the run was trained with --condition-on-label
    #[arg(long, value_name = "L")]
    pub label: Option<String>,
    /// How much further from the other labels than the model says texts are to be; 0 as the model says
    #[arg(long, value_name = "X", default_value_t = 0.0, requires = "label")]
    pub guidance: f32,
    /// The maximum number of tokens to write
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub length: usize,
    /// How freely tokens are chosen: 0 always takes the most probable one, 1 takes each with its probability
    #[arg(long, value_name = "X", default_value_t = 0.8)]
    pub temperature: f64,
    /// Choose only among so many of the most probable tokens
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Choose only among the most probable tokens that have this probability together
    #[arg(long, value_name = "X")]
    pub top_p: Option<f64>,
    /// End before this text, in which \n stands for a line end
    #[arg(long, value_name = "TEXT")]
    pub stop: Option<String>,
    /// How many texts to write
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub samples: usize,
    /// The seed of the first text; each further text has the next one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Show for each token what the tokens before it add to its logit
    #[arg(long, conflicts_with = "brief")]
    pub explain: bool,
    /// How many tokens to show beside each token with --explain
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub words: usize,
    /// Print one JSON object per text: with each token's probability, and the tokens that it was chosen among
    #[arg(long)]
    pub json: bool,
    /// Leave out the tokens in JSON
    #[arg(long, requires = "json")]
    pub brief: bool,
    /// The device: auto, cpu, wgpu, wgpu:N, cuda or cuda:N
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: DeviceChoice,
}

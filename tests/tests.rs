//! End-to-end tests, which run the binary as a user does.
//!
//! `cargo test --release --workspace` builds the binary first. Run alone, these tests use the binary of
//! the last build.

/// The binary, folders to run it in, and helpers that every test uses.
mod common;
/// Headless Chromium, driven by chromedriver, and the page's server.
mod driver;
/// Servers for the tests of the page: a plain static host, and another origin.
mod host;

/// `analyze` and `export`: the files they write, sums of parts, and bad input.
mod analyze;
/// Bad input: one clear line, exit code 2, and no file changed.
mod bad_input;
/// The report in headless Chromium: search, hover and keyboard.
mod browser;
/// The commands of `crates/cli/README.md`, run in order.
mod cli_readme;
/// CoNLL files of the real world, which are written again as they were.
mod conll;
/// Every encoder: training, explanation, analysis and comparison; receptive fields and gradients.
mod encoders;
/// The examples of the crates: training in memory, explaining, the plane, and an encoder of one's own.
mod examples;
/// The first command of the README: training without network, and phrase scores for two texts.
mod first_command;
/// Downloading IMDB from a local server that stands in for the Hub and also misbehaves.
mod hub;
/// The accuracy that the presets reach on the real IMDB, if `../shared` has it.
mod imdb;
/// Language models: training, generation, evaluation, and bad input.
mod language_models;
/// Links and paths in the repository's Markdown files.
mod links;
/// The user's own files: formats, columns, labels and three classes.
mod own_data;
/// `convlens web` without a browser: what it writes and serves, and what it must not.
mod page_folder;
/// `convlens-phrases`: its example reads a folded run, and it does not depend on Burn.
mod phrases;
/// `predict` and `evaluate`: JSON output, and sums of parts.
mod predict;
/// `docs/pytorch.md`: its script against `predict`.
mod pytorch;
/// The recipes of `docs/architecture.md`: encoders and tasks are told apart in no other file.
mod recipes;
/// Runs that are killed, interrupted and resumed end with the same weights.
mod resume;
/// The bundled sample: the checked-in files are what the generator makes.
mod sample;
/// `analyze` with a run that tags: the files, the numbers, and words that look like markup.
mod tag_analysis;
/// Tagging: training on sentences in columns, evaluation, prediction, and bad input.
mod tags;
/// Students that are trained on what their teachers say.
mod teacher;
/// Our word-level tokenizer, compared with the `tokenizers` library on every text of IMDB.
mod tokenise;
/// `train`, `evaluate` and the cache: changed data, flags without effect, long texts, two at a time.
mod train;
/// Word vectors: learned from unlabelled texts, resumed, used by another run, shown in the report.
mod vectors;
/// The page in headless Chromium: it gives the program's scores, trains, and works without network.
mod web;
/// Training and prediction on wgpu, compared with the CPU.
mod wgpu;

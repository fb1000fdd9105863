//! End-to-end tests: the binary as a user runs it.
//!
//! `cargo test --release --workspace` builds the binary first; alone, these tests use the one
//! that lies there.

/// The binary, folders to run it in, and what is shared.
mod common;
/// Headless Chromium, driven by chromedriver, and the page's server.
mod driver;
/// A plain host for the page, and a stranger that it should not visit.
mod host;

/// `analyze` and `export`: what is written, that it adds up, and bad input.
mod analyze;
/// Bad input: one clear line, exit code 2, and nothing that was there is touched.
mod bad_input;
/// The report in headless Chromium: search, hovering, the keyboard.
mod browser;
/// Every encoder: trained, explained, analysed, compared; its receptive field and its gradients.
mod encoders;
/// The first command of the README: train with no network, and phrase scores for two texts.
mod first_command;
/// IMDB fetched from a stand-in for the Hub that also misbehaves.
mod hub;
/// The real IMDB, where `../shared` has it: what the presets reach.
mod imdb;
/// Files of the user's: formats, columns, labels, three classes.
mod own_data;
/// `convlens web` without a browser: what it writes and serves, and what it must not.
mod page_folder;
/// `predict` and `evaluate`: JSON that adds up.
mod predict;
/// Killed, interrupted, resumed: the same weights in the end.
mod resume;
/// Text to ids the short way, beside the `tokenizers` library, on every text of IMDB.
mod tokenise;
/// The page in headless Chromium: it gives the same scores as the program, trains, and works without a network.
mod web;
/// A training run and a prediction on wgpu, against the CPU's numbers.
mod wgpu;

#![doc = include_str!("../README.md")]

mod dataset;
mod error;
mod file;
mod hub;
mod imdb;
mod known;
mod sample;
mod table;

pub use dataset::{Dataset, Examples, choose};
pub use error::DataError;
pub use file::{LabelMap, LabelledFile};
pub use hub::{Download, OnDownload};
pub use known::{KNOWN, Known, auto, known};
pub use sample::{SAMPLE_SEED, generate as generate_sample};
pub use table::{Format, Table, read_table};

#![doc = include_str!("../README.md")]

mod brief;
mod conll;
mod dataset;
mod error;
mod file;
mod hub;
mod imdb;
mod known;
mod open;
mod options;
mod plain;
mod reader;
mod sample;
mod table;
mod tagged;
mod tagged_sample;
mod text_list;
mod vector_file;

pub use brief::{listed, shortened};
pub use conll::ConllFile;
pub use dataset::{Dataset, Examples, choose};
pub use error::{ColumnRole, DataError};
pub use file::{LabelMap, LabelledFile};
pub use hub::{Download, OnDownload, fetch, is_on_hub};
pub use known::{KNOWN, Known, auto, known};
pub use open::open_file;
pub use options::{Format, ReadOptions};
pub use plain::{TextDataset, TextFiles};
pub use reader::LONGEST_ROW;
pub use sample::{SAMPLE_SEED, generate as generate_sample};
pub use table::{Pieces, Table, read_pieces, read_table, read_texts};
pub use tagged::{TaggedDataset, TaggedFiles, TaggedSentences};
pub use tagged_sample::generate as generate_tagged_sample;
pub use text_list::{TextList, read_exact_at};
pub use vector_file::VectorFile;

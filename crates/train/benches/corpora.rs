//! Writes the CSV files that `cargo xtask bench growth` trains on: `corpora FOLDER`.
//!
//! They are IMDB's training split, repeated, and texts of made-up words with the frequencies of Zipf's
//! law, in which some of the words depend on the label.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use convlens_data::{Examples, OnDownload, known};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The size of the vocabulary to draw from.
const WORDS: f64 = 300_000.0;

fn main() {
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) else {
        return println!("usage: corpora FOLDER");
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    let silent: OnDownload = std::sync::Arc::new(|_| {});
    let imdb = known("imdb").unwrap().load(&silent).unwrap();
    for times in [1, 4, 16] {
        write_repeated(&imdb.train, times, &folder.join(format!("imdb-{times}.csv")));
    }
    write_repeated(&imdb.test, 1, &folder.join("imdb-test.csv"));
    for length in [100, 1_000, 10_000, 100_000] {
        write_made_up(3_200_000 / length, length, &folder.join(format!("length-{length}.csv")));
    }
    write_made_up(1_000, 100, &folder.join("length-test.csv"));
    write_made_up(25_000, 230, &folder.join("vocabulary.csv"));
}

fn csv(path: &Path) -> BufWriter<File> {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "text,label").unwrap();
    file
}

fn write_repeated(examples: &Examples, times: usize, path: &Path) {
    let mut file = csv(path);
    for _ in 0..times {
        for (text, label) in examples.texts.iter().zip(&examples.labels) {
            writeln!(file, "\"{}\",{label}", text.unwrap().replace('"', "\"\"")).unwrap();
        }
    }
    file.flush().unwrap();
}

fn write_made_up(count: usize, length: usize, path: &Path) {
    let mut file = csv(path);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for text in 0..count {
        let label = text % 2;
        write!(file, "w0").unwrap();
        for _ in 1..length {
            let word = WORDS.powf(rng.random::<f64>()) as usize;
            // One word in twenty depends on the label.
            let word = if rng.random_bool(0.05) { word / 2 * 2 + label } else { word };
            write!(file, " w{word}").unwrap();
        }
        writeln!(file, ",{label}").unwrap();
    }
    file.flush().unwrap();
}

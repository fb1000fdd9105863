//! Writes the bundled sample as CSV: `cargo run -p convlens-data --example generate_sample FOLDER`.

use std::fs::File;
use std::io::BufWriter;

use convlens_data::{SAMPLE_SEED, generate_sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "data/sample".into()));
    std::fs::create_dir_all(&folder)?;
    let sample = generate_sample(SAMPLE_SEED);
    for (name, split) in [("train.csv", &sample.train), ("test.csv", &sample.test)] {
        split.write_csv(&sample.labels, BufWriter::new(File::create(folder.join(name))?))?;
    }
    println!("{}", folder.display());
    Ok(())
}

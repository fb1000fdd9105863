//! The bundled sample: the checked-in files are what the generator makes.

use std::path::Path;

use convlens_data::{SAMPLE_SEED, generate_sample};

#[test]
fn the_checked_in_sample_is_what_the_generator_makes() {
    let sample = generate_sample(SAMPLE_SEED);
    for (name, split) in [("train.csv", &sample.train), ("test.csv", &sample.test)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample").join(name);
        let file = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rows: Vec<(String, String)> = file.into_deserialize().collect::<Result<_, _>>().expect("reads");
        let texts = split.texts.to_vec().expect("reads");
        let labels = split.labels.iter().map(|&label| sample.labels[label].clone());
        let expected: Vec<(String, String)> = texts.into_iter().zip(labels).collect();
        assert!(
            rows == expected,
            "{name} differs; run: cargo run --release --package convlens-data --example generate_sample data/sample"
        );
    }
}

//! Tests of `convlens-phrases` with folders and with random values. They are here because that crate has no
//! development dependencies: they would be built with its example.

use convlens_model::{ConvConfig, EncoderConfig, LinearConvConfig, Padding, ReceptiveField};
use convlens_run::*;
use proptest::prelude::*;

#[path = "../src/testing.rs"]
mod testing;

/// The files of a folded run.
fn files(padding: Padding) -> RunFiles {
    let encoder = EncoderConfig::Linear(LinearConvConfig { filters: 6, kernel_size: 3, init_std: 0.5 });
    testing::run(encoder, padding).folded().expect("folds").expect("is linear").files().expect("files")
}

/// A run folder with these files.
fn folder(files: &RunFiles) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for (name, content) in [(CONFIG, &files.config), (TOKENIZER, &files.tokenizer), (WEIGHTS, &files.weights)] {
        std::fs::write(place.path().join(name), content).expect("writes");
    }
    place
}

#[test]
fn a_folder_and_its_files_are_the_same_run() {
    for padding in [Padding::Masked, Padding::Counted { length: 4 }] {
        let files = files(padding);
        let place = folder(&files);
        let (one, other) = (FoldedRun::open(place.path()), FoldedRun::from_files(files));
        let (one, other) = (one.expect("opens"), other.expect("opens"));
        for text in ["", "a good film", "a bad film, a good film, a film"] {
            assert_eq!(one.predict(text).expect("predicts"), other.predict(text).expect("predicts"));
        }
    }
}

/// The logits of a prediction, and the scores of its phrases.
fn values(prediction: &Prediction) -> Vec<f64> {
    let scores = prediction.phrases.iter().flat_map(|phrase| phrase.score.clone());
    prediction.logits.iter().copied().chain(scores).collect()
}

#[test]
fn convolutions_without_tensors_give_the_same_scores() {
    for with_lexicon in [false, true] {
        let run = testing::pooled_run(EncoderConfig::Conv(ConvConfig::new(4, &[2, 3])), with_lexicon);
        let files = run.files().expect("files");
        let place = folder(&files);
        assert!(matches!(FoldedRun::open(place.path()), Err(PhrasesError::NotFolded { .. })));
        for small in [ConvRun::open(place.path()), ConvRun::from_files(files)].map(|run| run.expect("opens")) {
            for text in ["", "film", "a good film", "bad good film good film, a bad bad film a good a film"] {
                let (one, other) = (run.predict(text).expect("predicts"), small.predict(text).expect("predicts"));
                assert_eq!((&one.tokens, one.label), (&other.tokens, other.label));
                let ranges = |prediction: &Prediction| -> Vec<_> {
                    prediction.phrases.iter().map(|phrase| (phrase.center, phrase.tokens.clone())).collect()
                };
                assert_eq!(ranges(&one), ranges(&other));
                for (a, b) in values(&one).into_iter().zip(values(&other)) {
                    assert!((a - b).abs() < 1e-5, "{text:?}: {a} is not {b}");
                }
                let found = small.classify(text).expect("classifies");
                assert_eq!((found.label, &found.probabilities), (other.label, &other.probabilities));
            }
        }
        let folder = folder(
            &testing::run(EncoderConfig::Conv(ConvConfig::new(4, &[2])), Padding::Masked).files().expect("files"),
        );
        assert!(matches!(ConvRun::open(folder.path()), Err(PhrasesError::NotConv { .. })), "pools by the mean");
    }
}

#[test]
fn missing_and_large_files_are_refused() {
    let place = folder(&files(Padding::Masked));
    let open = || FoldedRun::open(place.path()).expect_err("is refused");
    let file = std::fs::OpenOptions::new().write(true).open(place.path().join(WEIGHTS)).expect("opens");
    file.set_len(1 << 30).expect("grows");
    assert!(matches!(open(), PhrasesError::TooLarge { size: 0x4000_0000, .. }));
    std::fs::remove_file(place.path().join(WEIGHTS)).expect("removes");
    assert!(matches!(open(), PhrasesError::Untrained { .. }));
    std::fs::remove_file(place.path().join(CONFIG)).expect("removes");
    assert!(matches!(open(), PhrasesError::NotARun { .. }));
}

proptest! {
    /// Logits that are all multiplied by a factor have a temperature that is multiplied by it.
    #[test]
    fn temperatures_scale_with_the_logits(
        rows in prop::collection::vec((-3.0f32..3.0, 0usize..2), 20..60),
        factor in 0.5f32..2.0,
    ) {
        let (logits, labels): (Vec<f32>, Vec<usize>) = rows.into_iter().unzip();
        let scaled: Vec<f32> = logits.iter().map(|logit| logit * factor).collect();
        let (one, other) = (fit_temperature(&logits, 1, &labels), fit_temperature(&scaled, 1, &labels));
        prop_assume!((0.1..10.0).contains(&one));
        prop_assert!((other / one / f64::from(factor) - 1.0).abs() < 1e-3, "{one} {other}");
    }
}

proptest! {
    #[test]
    fn bias_and_shares_add_up_to_the_logits(
        ids in prop::collection::vec(0u32..5, 0..14), left in 0usize..3, right in 0usize..3, outputs in 1usize..4,
        length in prop::option::of(1usize..9),
    ) {
        let field = ReceptiveField { left, right };
        let values: Vec<f32> = (1..=5 * field.size() * outputs).map(|at| (at as f32).sin()).collect();
        let padding = length.map_or(Padding::Masked, |length| Padding::Counted { length });
        let bias: Vec<f64> = (0..outputs).map(|output| output as f64).collect();
        let table = WordTable::new(values, bias.clone(), field, padding, 0).expect("whole words");
        // Padding counts as words in front of the text.
        let seen = padding.visible(ids.len());
        let padded = [vec![0; seen.padding], ids[seen.first..].to_vec()].concat();
        let shares = table.shares(&padded);
        for (output, logit) in table.logits(&ids).into_iter().enumerate() {
            let sum: f64 = shares.iter().map(|share| share[output]).sum();
            prop_assert!((logit - bias[output] - sum).abs() < 1e-5, "{logit} is not {sum}");
        }
    }
}

//! One skeleton for every task: a classifier and a tagger in memory, by the same types.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::Device;
use convlens_learn::{Fit, LearnError, Learner, Measurement, Session, Split, Targets, Training, batches, fit, preset};
use convlens_run::model::{EncoderConfig, GatedBranch, GatedConfig, LayerConfig, ModelConfig, Padding, SpellingConfig};
use convlens_run::text::{TokenizerKind, train, train_on_words};
use convlens_run::{Run, RunError, TrainingConfig, forms_of};

const GOOD: [&str; 5] = ["good", "fine", "great", "lovely", "warm"];
const BAD: [&str; 5] = ["bad", "dull", "awful", "weak", "cold"];

fn reviews() -> (Vec<String>, Vec<&'static str>) {
    let review = |index: usize| {
        let (words, label) = if index.is_multiple_of(2) { (GOOD, "pos") } else { (BAD, "neg") };
        (format!("a {} film with a {} plot", words[index / 2 % 5], words[index / 10 % 5]), label)
    };
    (0..200).map(review).unzip()
}

#[test]
fn a_classifier_is_trained_saved_and_opened() {
    let (texts, labels) = reviews();
    for preset in ["default", "linear", "dilated"] {
        let run = fit(&texts, &labels, preset).expect("trains");
        assert_eq!(run.config.labels, ["neg", "pos"]);
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("run");
        run.save(&path).expect("saves");
        assert!(matches!(run.save(&path), Err(RunError::Exists { .. })));
        let opened = Run::open(&path).expect("opens");
        for (text, label) in [("a lovely film", "pos"), ("an awful plot", "neg")] {
            let prediction = opened.predict(text).expect("predicts");
            assert_eq!(prediction.label_name(), label, "{preset}: {text}");
            assert_eq!(prediction.logits, run.predict(text).expect("predicts").logits);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let (texts, labels) = reviews();
    let weights = |seed| {
        let run = Fit::preset("dilated").expect("a preset").seed(seed).epochs(1).run(&texts, &labels);
        run.expect("trains").files().expect("files").weights
    };
    assert!(weights(1) == weights(1) && weights(1) != weights(2));
}

#[test]
fn training_reports_its_steps_and_can_be_stopped() {
    let (texts, labels) = reviews();
    let mut seen = Vec::new();
    let fit = Fit::preset("linear").expect("a preset").epochs(3).validation(&texts[..20], &labels[..20]);
    let run = fit.run_with(&texts, &labels, |progress| {
        seen.push((progress.epoch, progress.step, progress.steps, progress.ended.is_some()));
        if progress.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let steps = seen[0].2;
    assert_eq!(seen.len(), steps + 1);
    assert_eq!((seen[steps - 1], seen[steps]), ((1, steps, steps, true), (2, 1, steps, false)));
    assert_eq!(run.expect("trains").config.dataset.validation, 20);
}

#[test]
fn misuse_is_an_error_with_a_reason() {
    let (texts, labels) = reviews();
    let message =
        |texts: &[String], labels: &[&str], preset| fit(texts, labels, preset).expect_err("misuse").to_string();
    assert!(message(&texts, &labels, "none").contains("no preset is called \"none\""));
    assert!(message(&texts, &labels[1..], "linear").contains("199 labels for 200 texts"));
    assert!(message(&texts[..1], &labels[..1], "linear").contains("1 distinct labels"));
    assert!(message(&[], &[], "linear").contains("0 distinct labels"));
    let marks = ["!", "?"].map(String::from);
    assert!(!message(&marks, &["a", "b"], "linear").is_empty());
    let other = Fit::preset("linear").expect("a preset").validation(&texts[..1], &["other"]);
    assert!(other.run(&texts, &labels).expect_err("misuse").to_string().contains("\"other\""));
    let none = Fit::preset("linear").expect("a preset").validation::<&str, &str>(&[], &[]);
    assert!(none.run(&texts, &labels).expect_err("misuse").to_string().contains("0 for validation"));
    let fast = Fit::preset("linear").expect("a preset").training(|training| training.learning_rate = 1e30);
    assert!(fast.run(&texts, &labels).is_err());
}

#[test]
fn splits_that_do_not_fit_the_model_are_errors() {
    let (texts, labels) = reviews();
    let run = Fit::preset("default").expect("a preset").epochs(1).run(&texts, &labels).expect("trains");
    let begin = |rows: Vec<Vec<u32>>, labels: Vec<usize>| {
        let split = Split { rows, targets: labels.into() };
        Training::new(run.config.clone(), run.tokenizer.clone(), split.clone(), split, Device::flex())
            .expect_err("misuse")
    };
    assert!(matches!(begin(vec![vec![1]], vec![2]), LearnError::Label { label: 2, classes: 2 }));
    assert!(matches!(begin(vec![vec![1, 1_000_000]], vec![0]), LearnError::Token { id: 1_000_000, .. }));
    assert!(matches!(begin(vec![vec![1]], vec![0, 1]), LearnError::LabelCount { texts: 1, labels: 2 }));
    assert!(matches!(begin(vec![], vec![]), LearnError::EmptySplit { .. }));
}

#[test]
fn a_training_that_failed_says_so() {
    let (texts, labels) = reviews();
    let fast = Fit::preset("relu").expect("a preset").training(|training| training.learning_rate = 1e30);
    let mut training: Training = fast.begin(&texts, &labels).expect("begins");
    let error = (0..1_000).find_map(|_| training.step().err()).expect("overflows");
    assert!(error.to_string().contains("not a finite number"), "{error}");
    let error = training.step().expect_err("has failed");
    assert!(matches!(error, LearnError::Failed), "{error}");
}

#[test]
fn a_training_ends_and_one_that_is_stopped_early_keeps_its_last_weights() {
    let (texts, labels) = reviews();
    let fit = || Fit::preset("linear").expect("a preset").epochs(1);
    let mut training = fit().begin(&texts, &labels).expect("begins");
    let weights = |run: &Run| run.files().expect("files").weights;
    let first = weights(training.run());
    while !training.is_over() {
        training.step().expect("a step");
    }
    assert!(matches!(training.step(), Err(LearnError::Ended)));
    let stopped = fit().run_with(&texts, &labels, |_| ControlFlow::Break(())).expect("stops");
    assert!(weights(&stopped) != first && weights(&stopped) != weights(&training.best()));
}

/// Words are tagged by their last letter and by the word before: a context of two words is needed.
fn sentences(tokens: u32) -> (Vec<Vec<u32>>, Targets) {
    let rows: Vec<Vec<u32>> =
        (0..300u32).map(|text| (0..3 + text % 9).map(|at| (text * 7 + at * at * 5) % tokens).collect()).collect();
    let tag = |ids: &[u32], at: usize| {
        // The first word of a text has no tag.
        (at > 0).then(|| ((ids[at] + ids[at - 1]) % 3) as usize)
    };
    let tags = rows.iter().map(|ids| (0..ids.len()).map(|at| tag(ids, at)).collect()).collect();
    (rows, Targets::Positions(tags))
}

#[test]
fn a_tagger_is_trained_by_the_same_learner() {
    let tokenizer = train(TokenizerKind::Words, 30, ["a b c d e f g h i j k l"].into_iter()).expect("trains");
    let (rows, targets) = sentences(tokenizer.vocab_size() as u32);
    let layer = LayerConfig { causal: true, ..LayerConfig::default() };
    let encoder = GatedConfig { hidden: 32, units: 2, dilation_base: 2, cycle: None, branch: GatedBranch::Skip, layer };
    let preset = preset("dilated").expect("a preset");
    let model = (preset.model)(tokenizer.vocab_size(), 3);
    let model =
        ModelConfig { embedding: 32, encoder: EncoderConfig::Gated(encoder), padding: Padding::Masked, ..model };
    let training = TrainingConfig { learning_rate: 5e-3, word_dropout: 0.0, epochs: 30, ..(preset.training)() };
    let mut learner = Learner::new(&model, &training, &tokenizer, None, &Device::flex()).expect("a learner");
    let mut session = Session::default();
    let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    let texts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let measured = |learner: &Learner| {
        let mut measured = Measurement::default();
        measured.add(&learner.trained(), &texts, &targets, Padding::Masked, 0, &|_| {}).expect("measures");
        measured
    };
    while session.epoch <= training.epochs {
        let batches = batches(&lengths, &training, Padding::Masked, session.epoch);
        for indices in &batches {
            let rows = indices.iter().map(|&index| Cow::Borrowed(texts[index])).collect();
            let at = session.next_step(texts.len(), batches.len(), &training);
            let scores;
            (learner, scores) = learner.step(rows, &targets.pick(indices, usize::MAX), at).expect("a step");
            session.record(scores.tally().expect("a tally"));
        }
        assert_eq!(session.tally.count, targets.count());
        assert!(session.check(&targets).is_ok());
        session.end_epoch(measured(&learner).metrics(1.0), None);
    }
    let (first, last) = (session.history[0].validation, session.history[29].validation);
    assert!(last.accuracy > 0.98 && last.loss < first.loss / 4.0, "{first:?} {last:?}");
    assert_eq!(measured(&learner).temperature(), 1.0);

    // The model's own predictions are those that were measured.
    let model = learner.trained();
    let batch = convlens_run::model::Batch::masked(&texts[..1], 0, &Device::flex());
    let predicted = model.forward_positions(&batch).argmax(2).into_data();
    let predicted = predicted.iter::<i32>().map(|tag| tag as usize);
    let Targets::Positions(tags) = &targets else { panic!("tags") };
    let right = predicted.zip(&tags[0]).skip(1).filter(|(tag, expected)| Some(*tag) == **expected).count();
    assert!(right + 1 >= tags[0].len() - 1, "{right} of {}", tags[0].len());
}

/// Sentences of a word that names a span and of others, which only their endings and neighbours tell: after *the*, words
/// in *-ing* are spans of one or two words.
fn spans() -> (Vec<Vec<String>>, Targets) {
    let stems = ["bal", "dor", "fen", "gil", "hum", "kar", "lop", "mun"];
    let stem = |at: usize| stems[at % stems.len()];
    let sentence = |at: usize| {
        let (one, other) = (format!("{}{}ing", stem(at), stem(at / 7)), format!("{}{}ing", stem(at / 3), stem(at)));
        match at % 3 {
            0 => (vec!["the".to_owned(), one, other, "ran".into()], vec![0, 1, 2, 0]),
            1 => (vec![one, "ran".into(), "the".into(), other], vec![0, 0, 0, 1]),
            _ => (vec!["the".into(), format!("{}{}ed", stem(at), stem(at / 5)), "ran".into()], vec![0, 0, 0]),
        }
    };
    let (words, tags): (Vec<_>, Vec<Vec<usize>>) = (0..240).map(sentence).unzip();
    (words, Targets::Positions(tags.into_iter().map(|tags| tags.into_iter().map(Some).collect()).collect()))
}

#[test]
fn a_chain_over_words_and_their_spelling_finds_spans() {
    let (sentences, targets) = spans();
    // The vocabulary knows no word but these two.
    let tokenizer = train_on_words(5, ["the", "the", "ran"].iter(), &[] as &[&str]).expect("trains");
    let (forms, rows) = forms_of(&tokenizer, &sentences);
    let forms = Arc::new(forms);
    let encoder = EncoderConfig::Gated(GatedConfig {
        hidden: 24,
        units: 2,
        dilation_base: 1,
        cycle: None,
        branch: GatedBranch::Skip,
        layer: LayerConfig::default(),
    });
    let spelling = SpellingConfig { embedding: 8, filters: 16, kernel_sizes: vec![3] };
    let model =
        ModelConfig { spelling: Some(spelling), chain: true, ..ModelConfig::new(tokenizer.vocab_size(), encoder, 3) };
    let labels = ["O", "B-X", "I-X"].map(String::from);
    for sparse_embedding in [false, true] {
        let training = TrainingConfig {
            learning_rate: 1e-2,
            word_dropout: 0.1,
            epochs: 12,
            sparse_embedding,
            ..TrainingConfig::default()
        };
        let learner = Learner::new(&model, &training, &tokenizer, None, &Device::flex()).expect("a learner");
        let mut learner = learner.with_forms(forms.clone());
        let texts: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let (lengths, mut session) = (rows.iter().map(Vec::len).collect::<Vec<_>>(), Session::default());
        for epoch in 1..=training.epochs {
            let batches = batches(&lengths, &training, Padding::Masked, epoch);
            for indices in &batches {
                let rows = indices.iter().map(|&index| Cow::Borrowed(texts[index])).collect();
                let at = session.next_step(texts.len(), batches.len(), &training);
                let scores;
                (learner, scores) = learner.step(rows, &targets.pick(indices, usize::MAX), at).expect("a step");
                session.record(scores.tally().expect("a tally"));
            }
            session.end_epoch(session.tally.metrics(), None);
        }
        let mut measured = Measurement::of_tags(forms.clone(), &labels);
        measured.add(&learner.trained(), &texts, &targets, Padding::Masked, 0, &|_| {}).expect("measures");
        assert!(measured.score() > Some(0.97) && measured.score() == measured.metrics(1.0).f1, "{measured:?}");
    }
    // A chain needs a label at every position.
    let learner =
        Learner::new(&model, &TrainingConfig::default(), &tokenizer, None, &Device::flex()).expect("a learner");
    let missing = Targets::Positions(vec![vec![None]]);
    let error = learner.with_forms(forms).check_texts(&[vec![1]], &missing).expect_err("a label is missing");
    assert!(matches!(error, LearnError::ChainLabels), "{error}");
}

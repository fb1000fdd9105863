//! Analyses of models with random weights, compared with the models themselves.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use burn::module::Module;
use convlens_analysis::Residual;
use convlens_analysis::{
    Analysis, AnalysisError, Certificate, Corpus, FilterVectors, Method, Options, Side, Texts, Vocabulary,
    attributions, contributions, excitations, filters_behind, learnt, phrase_parts, receptive_fields, report,
};
use convlens_run::model::{
    ConvConfig, EncoderConfig, LinearConvConfig, ModelConfig, Padding, Pooling, RecurrentConfig,
};
use convlens_run::text::{TokenizerKind, train};
use convlens_run::{
    DatasetConfig, DeviceChoice, FORMAT, PhrasesError, Run, RunConfig, RunError, RunFolder, Task, TextConfig,
    TokenizerSource, TrainingConfig,
};
use sha2::{Digest, Sha256};

const WORDS: &str = "a good film not bad very dull joy the plot is and of it was great awful <script>alert(1)</script>";

/// A run with random weights whose vocabulary is that of [`WORDS`].
fn random_run(labels: &[&str], padding: Padding, kernel_size: usize) -> Run {
    let encoder = LinearConvConfig { filters: 6, kernel_size, init_std: 0.5 };
    random_run_of(EncoderConfig::Linear(encoder), Pooling::Mean, labels, padding)
}

fn random_run_of(encoder: EncoderConfig, pooling: Pooling, labels: &[&str], padding: Padding) -> Run {
    let place = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::create(place.path()).expect("empty");
    let tokenizer = train(TokenizerKind::Words, 40, std::iter::once(WORDS)).expect("words");
    let outputs = Task::Classify.outputs(labels.len(), 0);
    let model = ModelConfig {
        vocab_size: tokenizer.vocab_size(),
        embedding: 5,
        init_std: 0.5,
        encoder,
        outputs,
        padding,
        pooling,
        dropout: 0.0,
        shrinkage: 0.0,
        lexicon: None,
        spelling: None,
        chain: false,
        conditions: 0,
        adaptive: None,
    };
    let device = DeviceChoice::Cpu.open().expect("the CPU").device;
    device.seed(7);
    let weights = model.init(&device).expect("a model");
    let config = RunConfig {
        format: FORMAT,
        convlens: "test".into(),
        burn: "test".into(),
        task: Task::Classify,
        preset: "random".into(),
        labels: labels.iter().map(|label| (*label).into()).collect(),
        dataset: DatasetConfig {
            name: "none".into(),
            file: None,
            revision: None,
            fingerprint: String::new(),
            train: 0,
            validation: 0,
            test: 0,
        },
        text: TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 40 },
        model,
        training: TrainingConfig {
            seed: 0,
            epochs: 1,
            batch_size: 1,
            learning_rate: 1e-3,
            decay: false,
            window: None,
            warmup: 0.0,
            adam_epsilon: 1e-7,
            word_dropout: 0.0,
            sparse_embedding: false,
            weight_decay: 0.0,
            ema_decay: 0.0,
            patience: None,
            validation_fraction: 0.1,
            max_tokens: TrainingConfig::MAX_TOKENS,
        },
        vectors: None,
        lexicon_vectors: None,
        teacher: None,
        temperature: 1.0,
    };
    folder.write_config(&config).expect("writes");
    folder.write_tokenizer(&tokenizer.to_json().expect("JSON")).expect("writes");
    Run::save_weights(&folder, &weights).expect("writes");
    Run::open(place.path()).expect("a run")
}

/// Runs with one logit and several, with masked and counted padding, with odd and even widths.
fn random_runs() -> Vec<Run> {
    let mut runs = Vec::new();
    for labels in [["neg", "pos"].as_slice(), &["a", "b", "c"]] {
        for padding in [Padding::Masked, Padding::Counted { length: 6 }] {
            runs.extend([1, 2, 3].map(|kernel_size| random_run(labels, padding, kernel_size)));
        }
    }
    runs
}

fn texts() -> Vec<String> {
    let texts =
        ["", "good", "not a good film", "The plot is dull, dull, dull and it was not good at all <b>", "joy of it"];
    texts.map(String::from).to_vec()
}

fn encoded(run: &Run, texts: &Vec<String>) -> Texts {
    let (labels, all) = (vec![0; texts.len()], (0..texts.len()).collect::<Vec<_>>());
    Corpus::new(texts, &labels).encode(run, &all).expect("encodes")
}

#[test]
fn parts_shares_and_table_add_up_to_the_logit() {
    let texts = texts();
    for run in random_runs() {
        let table = run.word_table().expect("reads").expect("folds");
        for text in &texts {
            let prediction = run.predict(text).expect("predicts");
            let ids = run.tokenizer.encode(text).expect("encodes").ids;
            let bag = table.bag_logits(&ids);
            for (output, logit) in prediction.logits.iter().enumerate() {
                assert!((table.logits(&ids)[output] - logit).abs() < 1e-5, "{text}");
                for (index, phrase) in
                    prediction.phrases.iter().enumerate().filter(|(_, phrase)| phrase.center.is_some())
                {
                    let sum: f64 = table.parts(&prediction, index).iter().map(|part| part.score[output]).sum();
                    assert!((sum - phrase.score[output]).abs() < 1e-6, "{text}, phrase {index}");
                }
                let is_all_seen = run.config.model.padding == Padding::Masked;
                let shares: f64 = table.shares(&ids).iter().map(|share| share[output]).sum();
                assert!(!is_all_seen || (table.bias()[output] + shares - logit).abs() < 1e-5, "{text}");
                // With a width of 1 neither order nor edges matter.
                assert!(table.places() > 1 || (bag[output] - logit).abs() < 1e-5, "{text}");
            }
        }
    }
}

#[test]
fn the_compact_description_has_the_contributions_and_weights() {
    for run in random_runs() {
        let table = run.word_table().expect("reads");
        let expected = contributions(&run, table.as_ref()).expect("of every word");
        let head = |filter: usize| FilterVectors::new(&run).expect("filters").head(filter);
        let outputs = run.config.model.outputs;
        for asked in [1, outputs, usize::MAX] {
            let learnt = learnt(&run, table.as_ref(), 2, asked).expect("learnt");
            let says = learnt["says"].as_array().expect("by label");
            assert_eq!(says.len(), asked.min(outputs));
            let unit = learnt["reach"][2].as_f64().expect("a unit") / 2_000.0;
            for (output, says) in says.iter().enumerate() {
                for (id, of_word) in Vocabulary::new(&run).ids().iter().zip(says.as_array().expect("by word")) {
                    let says = of_word.as_f64().expect("a number") * unit;
                    assert!((says - expected[*id][output]).abs() <= unit / 2.0 + 1e-9);
                }
            }
            for point in learnt["points"].as_array().expect("filters") {
                let (filter, weights) = (point[0].as_u64().expect("a filter"), point[4].as_array().expect("weights"));
                assert_eq!(weights.len(), asked.min(outputs));
                for (weight, expected) in weights.iter().zip(head(filter as usize)) {
                    assert!((weight.as_f64().expect("a weight") - expected).abs() < 1e-3);
                }
            }
        }
    }
}

#[test]
fn certificates_hold_and_measure_the_effect_of_order() {
    let texts = texts();
    let labels = vec![0; texts.len()];
    let corpus = Corpus::new(&texts, &labels);
    for run in random_runs() {
        let table = run.word_table().expect("reads");
        let certificate = Certificate::new(&run, table.as_ref(), &corpus, 1e-4, &|_, _, _| {}).expect("computes");
        certificate.check(&corpus).expect("adds up");
        assert_eq!(certificate.texts, 5);
        let order = certificate.order.expect("folds").max;
        assert_eq!(order < 1e-5, run.model.receptive_field().size() == 1, "{order}");
        let strict = Certificate { tolerance: 0.0, ..certificate.clone() };
        let wrong = Certificate {
            phrases: convlens_analysis::Residual { max: f64::NAN, max_scaled: f64::NAN, ..certificate.phrases },
            ..certificate
        };
        assert!(strict.phrases.max == 0.0 || matches!(strict.check(&corpus), Err(AnalysisError::Residual { .. })));
        let error = wrong.check(&corpus).expect_err("NaN exceeds every tolerance");
        assert!(matches!(error, AnalysisError::Run(RunError::Phrases(PhrasesError::Overflow))), "{error}");
    }
}

#[test]
fn gradient_times_input_is_the_exact_share_of_a_linear_model() {
    let texts = texts();
    for run in random_runs() {
        let table = run.word_table().expect("reads");
        let texts = encoded(&run, &texts);
        let logits = run.logits(&texts.rows()).expect("computes");
        let sides: Vec<Side> = logits.iter().map(|logits| Side::from_logits(logits)).collect();
        let attribute =
            |method| attributions(&run, table.as_ref(), &texts, &sides, method, 0, &|_| {}).expect("attributes");
        let (exact, gradient, occlusion) =
            (attribute(Method::Words), attribute(Method::GradientTimesInput), attribute(Method::Occlusion));
        for (exact, gradient) in exact.iter().flatten().zip(gradient.iter().flatten()) {
            assert!((exact - gradient).abs() < 1e-5, "{exact} and {gradient}");
        }
        // Occlusion by its definition, for one token of one text.
        let (text, token) = (&texts.ids[3], 2);
        let without: Vec<u32> = text.iter().enumerate().filter(|(at, _)| *at != token).map(|(_, id)| *id).collect();
        let both = run.logits(&[text, &without]).expect("computes");
        let expected = sides[3].sign * f64::from(both[0][sides[3].output] - both[1][sides[3].output]);
        assert!((occlusion[3][token] - expected).abs() < 1e-6);
        assert_eq!(attribute(Method::Random), attribute(Method::Random), "determined by the seed");
    }
}

#[test]
fn words_and_phrases_of_a_filter_are_found_by_brute_force_too() {
    let run = random_run(&["neg", "pos"], Padding::Masked, 3);
    let texts = texts();
    let texts = encoded(&run, &texts);
    let (vectors, words) = vectors(&run);
    let filters = receptive_fields(&vectors, &words, 4, &|_, _, _| {});
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let mut sorted: Vec<(f64, usize)> =
        words.ids().iter().map(|&id| (dot(vectors.vector(2, 0), vectors.embedding(id)), id)).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let first = &filters[2].positions[0];
    assert_eq!(first.place, -1);
    assert_eq!(first.excite[0].word, words.word(sorted[0].1));
    assert_eq!(first.inhibit[0].word, words.word(sorted[sorted.len() - 1].1));
    assert!((first.norm - dot(vectors.vector(2, 0), vectors.vector(2, 0)).sqrt()).abs() < 1e-6);
    assert!(first.excite_by_cosine.iter().all(|word| word.score.abs() <= 1.0 + 1e-6));

    let found = excitations(&run, &texts, 3, &|_, _, _| {}).expect("computes");
    let start = run.tokenizer.encode("").expect("encodes").ids[0];
    let phrases = texts.ids.iter().flat_map(|ids| ids.windows(3)).filter(|phrase| !phrase.contains(&start));
    let answer = |phrase: &[u32]| -> f64 {
        (0..3).map(|place| dot(vectors.vector(2, place), vectors.embedding(phrase[place] as usize))).sum()
    };
    let highest = phrases.clone().map(answer).fold(f64::MIN, f64::max);
    let lowest = phrases.map(answer).fold(f64::MAX, f64::min);
    assert!((found[2].most[0].output - highest).abs() < 1e-5 && (found[2].least[0].output - lowest).abs() < 1e-5);
    let mut once: Vec<&str> = found[2].most.iter().map(|phrase| phrase.phrase.as_str()).collect();
    once.dedup();
    assert_eq!(once.len(), 3, "no duplicates, though one phrase occurs twice in a text");
}

fn vectors(run: &Run) -> (FilterVectors, Vocabulary) {
    (FilterVectors::new(run).expect("reads"), Vocabulary::new(run))
}

#[test]
fn the_report_of_every_model_escapes_its_texts() {
    let own = vec!["<script>alert(1)</script> good".to_owned()];
    let texts = texts();
    let labels = vec![0; texts.len()];
    for run in random_runs() {
        let options = Options { own: own.clone(), words: 3, ..Options::default() };
        let corpus = Corpus::new(&texts, &labels);
        let analysis = Analysis::new(&run, &corpus, None, &options, &|_, _, _| {}).expect("analyses");
        let page = report(&run, &analysis, None, "a <b>run</b>").expect("renders");
        assert_eq!(page.matches("<script").count(), 2, "the data and the script of the page");
        assert!(page.contains("a &lt;b&gt;run") && !page.contains("<b>run"));
        assert!(!page.contains("http://") && !page.contains("https://"), "fetches nothing");
        assert!(page.contains(&format!("id=\"filter-{}\"", analysis.filters.len() - 1)));
        assert!(!page.contains(" style=") && !page.contains("unsafe-inline"), "the policy forbids inline styles");
        for (start, end) in [("<script>", "</script>"), ("<style>", "</style>")] {
            let inline = page.split_once(start).and_then(|(_, rest)| rest.split_once(end)).expect("inline").0;
            let hash = BASE64_STANDARD.encode(Sha256::digest(inline));
            assert!(page.contains(&format!("-src 'sha256-{hash}'")), "the policy allows the {start} of the page");
        }
    }
}

#[test]
fn control_characters_of_texts_do_not_reach_the_report() {
    let control: String = (0..0xa0u8).map(char::from).filter(|c| c.is_control()).collect();
    let (texts, labels) = (vec![format!("a good {control} film")], vec![0]);
    let run = random_run(&["neg\u{1b}[2J", "pos\0"], Padding::Masked, 3);
    let corpus = Corpus::new(&texts, &labels);
    let analysis = Analysis::new(&run, &corpus, None, &Options::default(), &|_, _, _| {}).expect("analyses");
    let page = report(&run, &analysis, None, "a\u{1b}[31m run").expect("renders");
    let svgs = analysis.pictures.iter().map(|picture| picture.svg.as_str());
    for text in svgs.chain([page.as_str()]) {
        let control = text.chars().find(|c| c.is_control() && !"\t\n\r".contains(*c));
        assert_eq!(control, None);
    }
}

#[test]
fn long_texts_keep_within_the_tolerance_and_the_bounds() {
    // The rounding error of a sum of 32-bit numbers grows with their count. That of a word repeated does
    // so systematically.
    let texts = vec!["good ".repeat(60_000), "not a good film ".repeat(20_000), "dull".into()];
    let labels = vec![1, 0, 0];
    let corpus = Corpus::new(&texts, &labels);
    let residual = Residual::default();
    for run in [random_run(&["neg", "pos"], Padding::Masked, 3), random_conv()] {
        let analysis = Analysis::new(&run, &corpus, None, &Options::default(), &|_, _, _| {}).expect("adds up");
        assert_eq!(analysis.certificate.texts, 3);
        assert_eq!((analysis.faithfulness.texts, analysis.faithfulness.left_out), (1, 2));
        assert!(analysis.left_out[0].contains("Faithfulness is measured on 1 of 3 texts"), "{:?}", analysis.left_out);
        let page = report(&run, &analysis, None, "long").expect("renders");
        assert!(page.len() < 3_000_000 && page.contains("59001 more phrases are not shown"), "{}", page.len());
        assert!(page.contains("Faithfulness is measured on 1 of 3 texts"));
        // A wrong sum is found in a long text too, and the error names the text.
        let certificate = Certificate {
            phrases: Residual { max_scaled: 1.1e-4, worst: 1, worst_scale: 10.0, ..residual },
            folded: None,
            ..analysis.certificate
        };
        let error = certificate.check(&corpus).expect_err("exceeds the tolerance").to_string();
        assert!(error.contains("text 2 (\"not a good film") && error.contains("1.1e-3"), "{error}");
    }
}

#[test]
fn a_text_that_is_too_long_for_the_model_is_left_out_of_the_certificate() {
    let encoder = EncoderConfig::Lstm(RecurrentConfig { hidden: 2, bidirectional: false });
    let run = random_run_of(encoder, Pooling::Mean, &["neg", "pos"], Padding::Masked);
    let texts = vec!["good ".repeat(300_000), "dull".into()];
    let corpus = Corpus::new(&texts, &[1, 0]);
    let certificate = Certificate::new(&run, None, &corpus, 1e-4, &|_, _, _| {}).expect("computes");
    certificate.check(&corpus).expect("adds up");
    assert_eq!(certificate.texts, 1);
}

/// A convolution with ReLU over phrases of three words.
fn random_conv() -> Run {
    let encoder = EncoderConfig::Conv(ConvConfig::new(6, &[3]));
    random_run_of(encoder, Pooling::Mean, &["neg", "pos"], Padding::Masked)
}

#[test]
fn dropout_does_not_change_gradients() {
    let texts = texts();
    let gradients = |run: &Run| {
        let texts = encoded(run, &texts);
        let sides: Vec<Side> = texts.ids.iter().map(|_| Side { output: 0, sign: 1.0 }).collect();
        attributions(run, None, &texts, &sides, Method::GradientTimesInput, 0, &|_| {}).expect("attributes")
    };
    let mut run = random_conv();
    let without_dropout = gradients(&run);
    let config = ModelConfig { dropout: 0.5, ..run.config.model.clone() };
    run.model = config.init(&run.device).expect("a model").load_record(run.model.into_record());
    assert_eq!(gradients(&run), without_dropout);
}

const PHRASES: &str = "a good film and not a dull one";

#[test]
fn words_and_filters_add_up_to_the_score_of_a_phrase() {
    for padding in [Padding::Masked, Padding::Counted { length: 6 }, Padding::Counted { length: 20 }] {
        let run = random_run(&["neg", "pos"], padding, 3);
        let table = run.word_table().expect("folds");
        let vectors = FilterVectors::new(&run).expect("vectors");
        let prediction = run.predict(PHRASES).expect("predicts");
        for (index, phrase) in prediction.phrases.iter().enumerate().filter(|(_, phrase)| phrase.center.is_some()) {
            let parts = phrase_parts(&run, table.as_ref(), &prediction, index, 0).expect("parts");
            let sum: f64 = parts.of_tokens.iter().map(|part| part.score[0]).sum();
            let filters = filters_behind(&run, &vectors, &prediction, index, 0, 6);
            let shares: f64 = filters.iter().filter_map(|filter| filter.share).sum();
            assert!(parts.is_exact && (sum - phrase.score[0]).abs() < 1e-5);
            assert!((shares - phrase.score[0]).abs() < 1e-5, "{shares} is not {}", phrase.score[0]);
        }
    }
}

#[test]
fn without_biases_gradient_times_input_adds_up_to_the_score_of_a_phrase() {
    // ReLU without biases is homogeneous, so the parts sum to the score (Euler) for any active set.
    for pooling in [Pooling::Mean, Pooling::Max] {
        let encoder = ConvConfig::new(6, &[3]);
        let run = random_run_of(EncoderConfig::Conv(encoder), pooling, &["a", "b", "c"], Padding::Masked);
        let prediction = run.predict(PHRASES).expect("predicts");
        for (index, phrase) in prediction.phrases.iter().enumerate() {
            let parts = phrase_parts(&run, None, &prediction, index, 1).expect("parts");
            let sum: f64 = parts.of_tokens.iter().map(|part| part.score[0]).sum();
            assert!(!parts.is_exact && (sum - phrase.score[1]).abs() < 1e-5, "{sum} is not {}", phrase.score[1]);
        }
    }
}

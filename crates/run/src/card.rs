//! The model card: a run's `README.md`.

use convlens_model::EncoderSettings;

use crate::{LexiconVectorsConfig, RunConfig, RunMetrics, Task, TeacherConfig};

/// The value of a row that is left out.
const NOT_MEASURED: &str = "not measured";

/// A model card in the Hugging Face format. It names the user's files but not their paths.
pub fn model_card<S: EncoderSettings>(config: &RunConfig<S>, metrics: &RunMetrics) -> String {
    let (pipeline, units, what) = match config.task {
        Task::Classify => {
            let what = "The score of a text is the sum of the scores of its phrases.";
            ("text-classification", "texts", what)
        }
        Task::Tag => ("token-classification", "sentences", "It gives every word a tag."),
        Task::LanguageModel => ("text-generation", "texts", "It predicts the next token of a text."),
    };
    let dataset = escape(&config.dataset.short_name());
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let rows = [
        ("labels", if config.labels.is_empty() { NOT_MEASURED.into() } else { config.labels.join(", ") }),
        (
            "vectors of the lexicon",
            config.lexicon_vectors.as_ref().map_or(NOT_MEASURED.into(), LexiconVectorsConfig::in_words),
        ),
        ("also trained on", config.teacher.as_ref().map_or(NOT_MEASURED.into(), TeacherConfig::in_words)),
        ("parameters", metrics.parameters.to_string()),
        (
            "phrase (receptive field)",
            metrics.receptive_field.map_or("the whole text".into(), |size| format!("{size} tokens")),
        ),
        ("vocabulary", format!("{} tokens", config.model.vocab_size)),
        ("test accuracy", percent(metrics.test.accuracy)),
        ("test loss", format!("{:.4}", metrics.test.loss)),
        ("test perplexity", metrics.test.perplexity.map_or(NOT_MEASURED.into(), |value| format!("{value:.3}"))),
        (
            "test bits per character",
            metrics.test.bits_per_character.map_or(NOT_MEASURED.into(), |value| format!("{value:.4}")),
        ),
        ("test F1 of spans", metrics.test.f1.map_or(NOT_MEASURED.into(), percent)),
        ("test calibration error", metrics.test.calibration_error.map_or(NOT_MEASURED.into(), percent)),
        ("validation accuracy", percent(metrics.validation.accuracy)),
        ("epochs", format!("{} (epoch {} was kept)", metrics.epochs, metrics.best_epoch)),
        ("training", format!("{:.1} s on {}", metrics.train_seconds, metrics.device)),
        ("seed", config.training.seed.to_string()),
    ];
    let rows = rows.iter().filter(|(_, value)| value != NOT_MEASURED);
    let table: String = rows.map(|(name, value)| format!("| {name} | {} |\n", escape(value))).collect();
    format!(
        "---\nlibrary_name: convlens\npipeline_tag: {pipeline}\ntags: [convolution, explainable]\n---\n\n\
         # {} on {}\n\n\
         A convolutional text model, trained with convlens {} on {} {units} of `{}`. {what}\n\n\
         | property | value |\n|---|---|\n{table}\n\
         The epoch was chosen on {} {units} that were not trained on; the {} test {units} were used once, at the end.\n\n\
         ```sh\nconvlens {} --run . \"a text\"\n```\n",
        escape(&config.preset),
        dataset,
        config.convlens,
        config.dataset.train,
        dataset,
        config.dataset.validation,
        config.dataset.test,
        if config.window().is_some() { "generate" } else { "predict" },
    )
}

/// Text for a cell of a table, without control characters and HTML.
fn escape(text: &str) -> String {
    text.replace(char::is_control, " ").replace('|', "\\|").replace('<', "&lt;")
}

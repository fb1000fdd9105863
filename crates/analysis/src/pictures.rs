//! The pictures of an analysis.

use convlens_run::Run;
use convlens_run::model::EncoderSettings;
use plotters::style::RGBColor;

use crate::plot::{
    AGAINST, CATEGORIES, Cell, Dot, FOR, Grid, Histograms, Line, LineCharts, NEITHER, Panel, Scale, Scatter, WordBars,
};
use crate::words::vocabulary::extremes;
use crate::{Agreement, Analysis, AnalysisError, Faithfulness, Judged, Picture, PlaceWords, TagAnalysis};

/// The number of words in the scatter plot: the first of the vocabulary, which are the most frequent.
const WORDS: usize = 5_000;
/// The number of words labelled because of their contributions, to each side, and because of their position.
const LABELS: (usize, usize) = (24, 6);
/// The maximum number of tags in a picture: the most frequent.
const TAGS: usize = 40;
/// The maximum number of logits that have a picture of their words.
const OUTPUTS: usize = 10;

pub(crate) fn pictures<S: EncoderSettings>(run: &Run<S>, analysis: &Analysis) -> Result<Vec<Picture>, AnalysisError> {
    let mut pictures = vec![
        plane(run, analysis)?,
        Picture::draw(
            "weights",
            "The distributions of the weights: the embeddings, the filters that read them, and the head.".into(),
            &Histograms(&analysis.histograms),
        )?,
        faithfulness(&analysis.faithfulness)?,
    ];
    if let Some(words) = &analysis.words {
        for output in run.outputs().iter().take(OUTPUTS) {
            pictures.push(word_bars(words, output, run.outputs().len() == 1)?);
        }
    }
    if let Some(agreement) = &analysis.judged {
        pictures.push(judged(agreement)?);
    }
    Ok(pictures)
}

/// The colour of a word, by the sign of its contribution to the only logit, or by the label that it
/// contributes most to.
pub(crate) fn color(contribution: &[f64], strongest: f64) -> RGBColor {
    let faint = |size: f64| size < 0.08 * strongest;
    match contribution {
        [] => NEITHER,
        [only] if faint(only.abs()) => NEITHER,
        [only] if *only > 0.0 => FOR,
        [_] => AGAINST,
        many => {
            let mean = many.iter().sum::<f64>() / many.len() as f64;
            let highest = convlens_run::argmax(many);
            if faint(many[highest] - mean) { NEITHER } else { CATEGORIES[highest % CATEGORIES.len()] }
        }
    }
}

/// The contribution of a word to the logit, or by how much its largest contribution exceeds the mean.
fn strength(contribution: &[f64]) -> f64 {
    match contribution {
        [only] => *only,
        many => many.iter().copied().fold(f64::MIN, f64::max) - many.iter().sum::<f64>() / many.len() as f64,
    }
}

/// The largest absolute strength of the words that are drawn.
pub(crate) fn strongest(analysis: &Analysis) -> f64 {
    drawn(analysis).iter().map(|&id| strength(&analysis.contributions[id]).abs()).fold(0.0, f64::max)
}

fn drawn(analysis: &Analysis) -> &[usize] {
    let ids = analysis.vocabulary.ids();
    &ids[..ids.len().min(WORDS)]
}

fn plane<S: EncoderSettings>(run: &Run<S>, analysis: &Analysis) -> Result<Picture, AnalysisError> {
    let (ids, strongest) = (drawn(analysis), strongest(analysis));
    let at = |id: usize| coordinates(&analysis.plane.words[id]);
    let dot = |&id: &usize| Dot { at: at(id), color: color(&analysis.contributions[id], strongest) };
    let (most, least) = extremes(ids, |id| strength(&analysis.contributions[id]), LABELS.0);
    let (highest, lowest) = extremes(ids, |id| at(id).1, LABELS.1);
    let mut labelled: Vec<usize> = Vec::new();
    for pair in most.iter().zip(&least).chain(highest.iter().zip(&lowest)) {
        for id in [*pair.0, *pair.1] {
            if !labelled.contains(&id) {
                labelled.push(id);
            }
        }
    }
    let filters =
        analysis.plane.filters.iter().map(|point| Dot { at: coordinates(&point.at), color: color(&point.head, 0.0) });
    let share = |component: usize| 100.0 * analysis.plane.pca.explained_variance_ratio.get(component).unwrap_or(&0.0);
    let scatter = Scatter {
        title: "Embeddings and filters in the plane of two principal components".into(),
        axes: [0, 1].map(|component| {
            format!("principal component {} ({:.1} % of the variance)", component + 1, share(component))
        }),
        words: ids.iter().map(dot).collect(),
        filters: filters.collect(),
        labels: labelled.into_iter().map(|id| (analysis.vocabulary.word(id).to_owned(), at(id))).collect(),
        legend: legend(run),
    };
    let caption = format!(
        "The {} most frequent words, coloured by their contributions, and every position of every filter, in the plane \
         of the first two principal components of the embeddings.",
        scatter.words.len()
    );
    Picture::draw("pca", caption, &scatter)
}

fn coordinates(at: &[f64]) -> (f64, f64) {
    (at.first().copied().unwrap_or(0.0), at.get(1).copied().unwrap_or(0.0))
}

fn legend<S: EncoderSettings>(run: &Run<S>) -> Vec<(RGBColor, String)> {
    let labels = &run.config.labels;
    let mut legend: Vec<(RGBColor, String)> = match run.outputs() {
        [_] => vec![(FOR, labels[1].clone()), (AGAINST, labels[0].clone())],
        many => {
            many.iter().enumerate().map(|(index, name)| (CATEGORIES[index % CATEGORIES.len()], name.clone())).collect()
        }
    };
    legend.iter_mut().for_each(|(_, name)| *name = format!("word for {name:?}"));
    legend.push((NEITHER, "word for neither".into()));
    let filters = match run.outputs() {
        [_] => vec![(FOR, format!("filter for {:?}", labels[1])), (AGAINST, format!("filter for {:?}", labels[0]))],
        _ => vec![(NEITHER, "filter".into())],
    };
    legend.extend(filters);
    legend
}

fn word_bars(words: &[PlaceWords], output: &str, is_only: bool) -> Result<Picture, AnalysisError> {
    let name = if is_only { "words".to_owned() } else { format!("words-{}", file_name(output)) };
    let of_output: Vec<&PlaceWords> = words.iter().filter(|words| words.output == output).collect();
    let caption = format!("What the strongest words add to the logit {output:?}, by their place in a phrase.");
    Picture::draw(&name, caption, &WordBars(&of_output))
}

/// A label as part of a file name.
fn file_name(label: &str) -> String {
    label.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
}

fn faithfulness(faithfulness: &Faithfulness) -> Result<Picture, AnalysisError> {
    let panel = |title: &str, what: &str, is_sufficiency: bool| {
        let line = |(index, result): (usize, &crate::MethodResult)| {
            let values = if is_sufficiency { &result.sufficiency } else { &result.comprehensiveness };
            Line {
                name: result.method.name().into(),
                color: CATEGORIES[index % CATEGORIES.len()],
                points: faithfulness.shares.iter().map(|share| 100.0 * share).zip(values.iter().copied()).collect(),
            }
        };
        Panel {
            title: title.into(),
            axes: [format!("% of words {what}"), "decrease of the label's probability".into()],
            names: Vec::new(),
            lines: faithfulness.methods.iter().enumerate().map(line).collect(),
            names_right: is_sufficiency,
            scale: Scale::Linear,
        }
    };
    let caption = format!(
        "How much the probability of the label falls when the words that a method ranks first are removed, and when \
         only these are kept; the mean over {} texts.{}",
        faithfulness.texts,
        faithfulness.note().map_or_else(String::new, |note| format!(" {note}"))
    );
    let panels = vec![
        panel("Comprehensiveness: higher is better", "removed", false),
        panel("Sufficiency: lower is better", "kept", true),
    ];
    Picture::draw("faithfulness", caption, &LineCharts(panels))
}

fn judged(judged: &Judged) -> Result<Picture, AnalysisError> {
    let line = |name: &str, color, value: &dyn Fn(&Agreement) -> Option<f64>| Line {
        name: name.into(),
        color,
        points: (0..).map(f64::from).zip(&judged.by_length).filter_map(|(x, row)| Some((x, value(row)?))).collect(),
    };
    let panel = Panel {
        title: "Phrases with human labels".into(),
        axes: ["words in the phrase".into(), "agreement".into()],
        names: judged
            .by_length
            .iter()
            .map(|row| {
                row.phrases
                    .replace(" words or more", "+")
                    .replace(" words", "")
                    .replace(" word", "")
                    .replace(" to ", "–")
            })
            .collect(),
        lines: vec![
            line("accuracy of the sign", FOR, &|row| row.accuracy),
            line("rank correlation", AGAINST, &|row| row.rank_correlation),
        ],
        names_right: false,
        scale: Scale::Linear,
    };
    let caption =
        "Agreement of phrase scores with human labels in the Stanford Sentiment Treebank, by length of the phrase.";
    Picture::draw("sst", caption.into(), &LineCharts(vec![panel]))
}

/// The pictures of a tagger with these labels.
pub(crate) fn tag_pictures(labels: &[String], analysis: &TagAnalysis) -> Result<Vec<Picture>, AnalysisError> {
    let mut shown: Vec<usize> = (0..labels.len()).collect();
    shown.sort_by_key(|&tag| std::cmp::Reverse(analysis.evaluation.tags[tag].support));
    shown.truncate(TAGS);
    shown.sort_unstable();
    Ok(vec![tag_confusion(labels, &shown, analysis)?, tag_places(&shown, analysis)?])
}

fn tag_confusion(labels: &[String], shown: &[usize], analysis: &TagAnalysis) -> Result<Picture, AnalysisError> {
    let row = |&tag: &usize| {
        let counts = &analysis.evaluation.confusion[tag];
        let total = counts.iter().sum::<usize>().max(1) as f64;
        let cell = |&other: &usize| {
            let share = counts[other] as f64 / total;
            // The square root makes rare mistakes visible.
            let strength = if other == tag { share } else { -share.sqrt() };
            (counts[other] > 0).then(|| Cell { text: counts[other].to_string(), strength })
        };
        (labels[tag].clone(), shown.iter().map(cell).collect())
    };
    let grid = Grid {
        axes: ["predicted tag".into(), "tag".into()],
        columns: shown.iter().map(|&tag| labels[tag].clone()).collect(),
        rows: shown.iter().map(row).collect(),
    };
    let which = if shown.len() < labels.len() { format!(" of the {TAGS} most frequent tags") } else { String::new() };
    let caption = format!(
        "How many words with each tag{which} (row) are given each tag (column): blue is right, and orange is wrong, \
         the stronger the larger the share of the row."
    );
    Picture::draw("confusion", caption, &grid)
}

fn tag_places(shown: &[usize], analysis: &TagAnalysis) -> Result<Picture, AnalysisError> {
    let of_tags = || shown.iter().map(|&tag| &analysis.places[tag]).filter(|places| places.words > 0);
    let all = || of_tags().flat_map(|places| &places.places);
    let (first, last) =
        (all().map(|place| place.place).min().unwrap_or(0), all().map(|place| place.place).max().unwrap_or(0));
    let around = all().filter(|place| place.place != 0).map(|place| place.mean.abs()).fold(1e-12, f64::max);
    let itself = all().filter(|place| place.place == 0).map(|place| place.mean.abs()).fold(1e-12, f64::max);
    let grid = Grid {
        axes: ["place, relative to the word".into(), "tag (words)".into()],
        columns: (first..=last).map(|place| if place == 0 { "word".into() } else { format!("{place:+}") }).collect(),
        rows: of_tags()
            .map(|places| {
                let cell = |at: isize| {
                    let place = places.places.iter().find(|place| place.place == at)?;
                    let largest = if at == 0 { itself } else { around };
                    Some(Cell { text: format!("{:+.2}", place.mean), strength: place.mean / largest })
                };
                (format!("{} ({})", places.tag, places.words), (first..=last).map(cell).collect())
            })
            .collect(),
    };
    let caption = "What the word at each place adds to the logit of the tag that the model gives, on average; the \
                   number of words is in brackets. The colours of the word itself have a scale of their own.";
    Picture::draw("places", caption.into(), &grid)
}

//! `--teacher`: trained runs that label the texts of `--unlabelled`.

use convlens_data::TextList;
use convlens_run::{Run, RunConfig, RunFolder, TeacherConfig};
use convlens_train::{Corpus, LabelProbabilities, Stage, label_probabilities, read_label_probabilities};

use crate::args::TrainArgs;
use crate::failure::Failure;
use crate::message::message;
use crate::output::thousands;
use crate::source::absolute_path;
use crate::verb::train::unlabelled;

/// What the flags of a new run say of its teachers, if it has some. Whatever can be checked before data are read is
/// checked.
pub fn config(args: &TrainArgs) -> Result<Option<TeacherConfig>, Failure> {
    if args.teacher.is_empty() {
        return Ok(None);
    }
    let Some(source) = unlabelled::source(args)? else {
        return Err(Failure::Input("--teacher: name the texts that it is to label with --unlabelled".into()));
    };
    for path in &args.teacher {
        let config = RunFolder::open(path)?.config()?;
        let refused = |error| Failure::Input(format!("--teacher {}: {error}", path.display()));
        config.require_classifier().map_err(refused)?;
    }
    let runs = args.teacher.iter().map(|path| absolute_path(path)).collect();
    Ok(Some(TeacherConfig { runs, source, texts: 0 }))
}

/// Adds texts that the teachers label to the training texts, and returns the probabilities that they give.
pub fn label(
    teacher: &mut TeacherConfig,
    labels: &[String],
    corpus: &mut Corpus,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<LabelProbabilities, Failure> {
    let texts = unlabelled::load(&teacher.source)?;
    teacher.texts = texts.len();
    let probabilities = mean_probabilities(teacher, labels, &texts, show)?;
    corpus.add_unlabelled(texts, show)?;
    corpus.learn_from(&probabilities);
    message(format!("labelled {} texts", thousands(teacher.texts)));
    Ok(probabilities)
}

fn mean_probabilities(
    teacher: &TeacherConfig,
    labels: &[String],
    texts: &TextList,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<LabelProbabilities, Failure> {
    let mut sum = LabelProbabilities { classes: labels.len(), values: vec![0.0; texts.len() * labels.len()] };
    for path in &teacher.runs {
        let run = Run::open(path)?;
        let Some(found) = label_probabilities(&run, labels, texts.clone(), show)? else {
            return Err(Failure::Input(format!(
                "--teacher {}: its labels ({}) are not those of the data ({}); name another run",
                path.display(),
                run.config.labels.join(", "),
                labels.join(", ")
            )));
        };
        sum.values.iter_mut().zip(found.values).for_each(|(sum, value)| *sum += value);
    }
    let count = teacher.runs.len() as f32;
    sum.values.iter_mut().for_each(|value| *value = (*value / count).min(1.0));
    Ok(sum)
}

/// Adds the labelled texts of a run that is resumed to its training texts.
pub fn resume(
    folder: &RunFolder,
    config: &RunConfig,
    corpus: &mut Corpus,
    show: &(dyn Fn(Stage) + Sync),
) -> Result<(), Failure> {
    let Some(teacher) = &config.teacher else { return Ok(()) };
    unlabelled::load_again(&teacher.source, teacher.texts, corpus, show)?;
    match read_label_probabilities(folder, teacher.texts, config.labels.len())? {
        Some(probabilities) => {
            corpus.learn_from(&probabilities);
            Ok(())
        }
        None => Err(Failure::Input(format!(
            "{}: has no teacher.safetensors, so it cannot be resumed; put back the run's own file, or begin a new run with another --out",
            folder.path().display()
        ))),
    }
}

/// Whether `--teacher` names the teachers of a run, as far as it is given.
pub fn is_teacher(args: &TrainArgs, config: &RunConfig) -> bool {
    let own = config.teacher.as_ref().map(|teacher| teacher.runs.as_slice()).unwrap_or_default();
    args.teacher.is_empty() || args.teacher.iter().map(|path| absolute_path(path)).eq(own.iter().cloned())
}

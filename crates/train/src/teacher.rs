//! Labels that trained models give to texts without labels.
//!
//! A model that is trained on the probabilities of another learns to say what that one says, which is called knowledge
//! distillation (Hinton et al. 2015, *Distilling the Knowledge in a Neural Network*). With texts that the teacher was
//! not trained on, the student can become better than its teacher (Xie et al. 2020, *Self-training with Noisy Student*).

use convlens_data::{Examples, TextList};
use convlens_learn::LabelProbabilities;
use convlens_run::{MatrixFile, PhrasesError, Run, RunError, RunFolder};

use crate::corpus::encode;
use crate::evaluate::measure;
use crate::{Stage, TrainError};

/// The probabilities that a run is trained on, so that it can be resumed without its teachers.
const FILE: MatrixFile =
    MatrixFile { name: "teacher.safetensors", tensor: "probabilities", content: "labels of its teachers" };

/// The calibrated probabilities that a run gives to each of `labels` for each text; none if these are not its labels,
/// in whatever order.
///
/// # Errors
///
/// As [`evaluate`](crate::evaluate).
pub fn label_probabilities(
    run: &Run,
    labels: &[String],
    texts: TextList,
    on_stage: &(dyn Fn(Stage) + Sync),
) -> Result<Option<LabelProbabilities>, TrainError> {
    let own = &run.config.labels;
    let places: Vec<usize> = labels.iter().filter_map(|label| own.iter().position(|own| own == label)).collect();
    if places.len() != labels.len() || labels.len() != own.len() {
        return Ok(None);
    }
    let unknown = vec![0; texts.len()];
    let texts = encode(&run.tokenizer, &Examples { texts, labels: unknown }, None, on_stage)?;
    let measured = measure(&run.model, &texts, &run.config, run.pad_id(), None, on_stage)?;
    if !measured.logits().iter().all(|logit| logit.is_finite()) {
        return Err(RunError::from(PhrasesError::Overflow).into());
    }
    let mut values = Vec::with_capacity(texts.len() * labels.len());
    for logits in measured.logits().chunks(run.config.model.outputs) {
        let probabilities = run.config.probabilities(logits);
        values.extend(places.iter().map(|&place| probabilities[place] as f32));
    }
    Ok(Some(LabelProbabilities { classes: labels.len(), values }))
}

/// Writes the probabilities that a run is trained on into its folder.
///
/// # Errors
///
/// As [`RunFolder::write`].
pub fn write_label_probabilities(folder: &RunFolder, probabilities: &LabelProbabilities) -> Result<(), RunError> {
    FILE.write(folder, &probabilities.values, probabilities.classes)
}

/// Reads what [`write_label_probabilities`] wrote for this number of texts and labels; none if there is nothing.
///
/// # Errors
///
/// As [`MatrixFile::read`], and [`RunError::Matrix`] if a value is not a probability.
pub fn read_label_probabilities(
    folder: &RunFolder,
    texts: usize,
    classes: usize,
) -> Result<Option<LabelProbabilities>, RunError> {
    if !FILE.is_in(folder) {
        return Ok(None);
    }
    let values = FILE.read(folder, [texts, classes])?;
    if !values.iter().all(|value| (0.0..=1.0).contains(value)) {
        return Err(FILE.error(folder, "a value is not a probability".into()));
    }
    Ok(Some(LabelProbabilities { classes, values }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_read_as_they_were_written() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::create(&temporary.path().join("run")).expect("a run folder");
        assert_eq!(read_label_probabilities(&folder, 2, 2).expect("reads"), None);
        let written = LabelProbabilities { classes: 2, values: vec![0.25, 0.75, 1.0, 0.0] };
        write_label_probabilities(&folder, &written).expect("writes");
        assert_eq!(read_label_probabilities(&folder, 2, 2).expect("reads"), Some(written));
        let error = read_label_probabilities(&folder, 4, 1).expect_err("another shape").to_string();
        assert!(error.contains("teacher.safetensors: not the run's labels of its teachers"), "{error}");
        let wrong = LabelProbabilities { classes: 1, values: vec![1.5] };
        write_label_probabilities(&folder, &wrong).expect("writes");
        let error = read_label_probabilities(&folder, 1, 1).expect_err("no probability").to_string();
        assert!(error.contains("a value is not a probability"), "{error}");
    }
}

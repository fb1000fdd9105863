//! Explained predictions of a run.

use convlens_model::EncoderSettings;
use convlens_phrases::{Prediction, Values};

use crate::device::{Transfer, now};
use crate::logits::padded;
use crate::windows::Windows;
use crate::{Run, RunError};

pub(crate) fn predict<S: EncoderSettings>(run: &Run<S>, text: &str) -> Result<Prediction, RunError> {
    now(read(run, text, Transfer::Blocking))
}

pub(crate) async fn predict_async<S: EncoderSettings>(run: &Run<S>, text: &str) -> Result<Prediction, RunError> {
    read(run, text, Transfer::Async).await
}

async fn read<S: EncoderSettings>(run: &Run<S>, text: &str, transfer: Transfer) -> Result<Prediction, RunError> {
    let encoding = run.tokenizer.encode(text)?;
    let bias = match run.model.bias() {
        Some(bias) => to_f64(transfer.read(bias).await?),
        None => vec![0.0; run.config.model.outputs],
    };
    let ids = padded(&encoding.ids, run.config.model.padding, run.pad_id());
    let values = match Windows::new(&run.model, ids.len())? {
        Some(windows) => {
            let long = windows.explain(&run.model, &ids, &bias, &run.device, transfer).await?;
            Values { scores: long.scores, logits: long.logits, bias }
        }
        None => {
            let batch = run.batch(&[&encoding.ids]);
            let (scores, logits) = (run.model.scores(&batch), run.model.forward(&batch));
            let scores = to_f64(transfer.read(scores).await?);
            Values { scores, logits: to_f64(transfer.read(logits).await?), bias }
        }
    };
    let mut prediction = Prediction::from_values(run.config.prediction(), &run.tokenizer, text, &encoding, values)?;
    if let Some(lexicon) = &run.model.lexicon {
        prediction.begin_with_negations(&lexicon.scopes(&encoding.ids));
    }
    Ok(prediction)
}

fn to_f64(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

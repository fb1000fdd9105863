//! The folded table of a linear model as a file: the whole model except its tokenizer.

use convlens_run::model::{EncoderSettings, Padding};
use convlens_run::{Run, WordTable};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::AnalysisError;

/// A file format for the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoldedFormat {
    /// One row per id, with the token and one column per place, named `PLACE` or, if there are several
    /// logits, `LABEL@PLACE`. The last row has no id and holds the bias in the column of place 0.
    Csv,
    /// `table` `[vocab_size, places, outputs]` and `bias` `[outputs]`. The metadata entry `folded` describes
    /// the outputs, the places and the padding, as JSON.
    SafeTensors,
}

/// The content of a file with the folded table.
///
/// # Errors
///
/// [`AnalysisError::Report`] if the format cannot hold it.
pub fn folded<S: EncoderSettings>(
    run: &Run<S>,
    table: &WordTable,
    format: FoldedFormat,
) -> Result<Vec<u8>, AnalysisError> {
    match format {
        FoldedFormat::Csv => csv(run, table),
        FoldedFormat::SafeTensors => safetensors(run, table),
    }
    .map_err(AnalysisError::Report)
}

fn csv<S: EncoderSettings>(run: &Run<S>, table: &WordTable) -> Result<Vec<u8>, String> {
    let message = |error: csv::Error| error.to_string();
    let columns = (0..table.places()).flat_map(|place| {
        let offset = table.offset(place);
        let has_one = run.outputs().len() == 1;
        run.outputs().iter().map(move |output| if has_one { offset.to_string() } else { format!("{output}@{offset}") })
    });
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id".to_owned(), "token".into()].into_iter().chain(columns)).map_err(message)?;
    for (id, row) in table.values().chunks(table.places() * table.outputs()).enumerate() {
        let token = run.tokenizer.token(id as u32).unwrap_or_default();
        let values = row.iter().map(f32::to_string);
        writer.write_record([id.to_string(), token].into_iter().chain(values)).map_err(message)?;
    }
    let bias = (0..table.places()).flat_map(|place| {
        table.bias().iter().map(move |bias| if table.offset(place) == 0 { bias.to_string() } else { String::new() })
    });
    writer.write_record([String::new(), "(bias)".into()].into_iter().chain(bias)).map_err(message)?;
    writer.into_inner().map_err(|error| error.to_string())
}

fn safetensors<S: EncoderSettings>(run: &Run<S>, table: &WordTable) -> Result<Vec<u8>, String> {
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let bias: Vec<f32> = table.bias().iter().map(|&bias| bias as f32).collect();
    let (values, bias) = (bytes(table.values()), bytes(&bias));
    let view = |shape: Vec<usize>, bytes| TensorView::new(Dtype::F32, shape, bytes).map_err(|error| error.to_string());
    let padded_to = match run.config.model.padding {
        Padding::Masked => None,
        Padding::Counted { length } => Some(length),
    };
    let description = json!({
        "labels": run.config.labels,
        "outputs": run.outputs(),
        "places": (0..table.places()).map(|place| table.offset(place)).collect::<Vec<_>>(),
        "padded_to": padded_to,
        "pad_id": run.pad_id(),
        "temperature": run.config.temperature,
    });
    let views = [
        ("table", view(vec![table.vocab_size(), table.places(), table.outputs()], &values)?),
        ("bias", view(vec![table.outputs()], &bias)?),
    ];
    let metadata = [("folded".to_owned(), description.to_string())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

//! `--set KEY=VALUE`: any setting of the model, by its path in `config.json`.

use convlens_run::model::{ConfigError, ModelConfig};
use serde_json::Value;

use crate::failure::Failure;

/// What the texts and labels decide.
const DECIDED: [&str; 2] = ["vocab_size", "outputs"];

/// A model's configuration with settings of the user's in the place of its own.
pub fn with_settings(config: ModelConfig, settings: &[String]) -> Result<ModelConfig, Failure> {
    let config = settings.iter().try_fold(config, |config, setting| with_setting(config, setting))?;
    // One setting may want another: only all of them together must make a model.
    let refused = |error: ConfigError| {
        Failure::Input(if settings.is_empty() {
            format!("{error}; change a setting with --set KEY=VALUE, or the vocabulary with --vocab-size")
        } else {
            format!("--set {}: {error}", settings.join(" --set "))
        })
    };
    config.check().map_err(refused)?;
    Ok(config)
}

fn with_setting(config: ModelConfig, setting: &str) -> Result<ModelConfig, Failure> {
    let wrong = |message: String| Failure::Input(format!("--set {setting}: {message}"));
    let (path, value) = setting.split_once('=').ok_or_else(|| wrong("write it as KEY=VALUE".into()))?;
    if DECIDED.contains(&path) {
        return Err(wrong("it follows from the data".into()));
    }
    let mut all = serde_json::to_value(&config).map_err(|error| wrong(error.to_string()))?;
    let place = path.split('.').try_fold(&mut all, |place, key| {
        let known = place.as_object().map(|known| known.keys().cloned().collect::<Vec<_>>().join(", "));
        place.get_mut(key).ok_or_else(|| match known {
            Some(known) => wrong(format!("there is no {key} (there are: {known})")),
            None => wrong(format!("{key} stands in nothing that has parts")),
        })
    })?;
    // What is no JSON is a word: `pooling=max`.
    *place = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    serde_json::from_value(all).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_by_their_path() {
        let own = (convlens_train::preset("plain").expect("a preset").model)(100, 1);
        let with = |settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|&setting| setting.into()).collect();
            with_settings(own.clone(), &settings).map(|config| serde_json::json!(config))
        };
        let settings = ["encoder.layer.causal=true", "pooling=max", "encoder.downsampling={\"stride\":{\"by\":2}}"];
        let changed = with(&settings).expect("settings");
        assert_eq!(changed["encoder"]["layer"]["causal"], true);
        assert_eq!(changed["pooling"], "max");
        assert_eq!(changed["encoder"]["downsampling"]["stride"]["by"], 2);
        assert_eq!(with(&[]).expect("none"), serde_json::json!(own));
        for (setting, said) in [
            ("encoder.layr=3", "there is no layr (there are: type, hidden"),
            ("pooling", "KEY=VALUE"),
            ("outputs=3", "follows from the data"),
            ("dropout=2", "from 0 to below 1"),
            ("encoder.layers=many", "invalid type"),
            ("dropout.rate=1", "stands in nothing"),
        ] {
            let Err(Failure::Input(line)) = with(&[setting]) else { panic!("{setting} is taken") };
            assert!(line.contains(said), "{line}");
        }
    }
}

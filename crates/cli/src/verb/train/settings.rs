//! `--set KEY=VALUE`: changes a setting of the model, named by its path in `config.json`.

use convlens_run::model::{ConfigError, ModelConfig};
use serde_json::Value;

use crate::failure::Failure;

/// The settings that the texts and labels determine.
const DETERMINED: [&str; 3] = ["vocab_size", "outputs", "lexicon.pairs"];

/// A model's configuration with some settings changed.
pub fn with_settings(config: ModelConfig, settings: &[String]) -> Result<ModelConfig, Failure> {
    let config = settings.iter().try_fold(config, |config, setting| with_setting(config, setting))?;
    // One setting may need another, so only the result must be valid.
    let invalid = |error: ConfigError| match settings {
        [] => Failure::Input(error.to_string()),
        settings => Failure::Input(format!("--set {}: {error}", settings.join(" --set "))),
    };
    config.check().map_err(invalid)?;
    Ok(config)
}

fn with_setting(config: ModelConfig, setting: &str) -> Result<ModelConfig, Failure> {
    let invalid = |message: String| Failure::Input(format!("--set {setting}: {message}"));
    let (path, value) = setting.split_once('=').ok_or_else(|| invalid("write it as KEY=VALUE".into()))?;
    if path.split('.').any(str::is_empty) {
        return Err(invalid("the key, or a part of it, is empty; write it as KEY=VALUE, such as pooling=max".into()));
    }
    if DETERMINED.contains(&path) {
        return Err(invalid("the data determine it; leave it out".into()));
    }
    let mut all = serde_json::to_value(&config).map_err(|error| invalid(error.to_string()))?;
    let place = path.split('.').try_fold(&mut all, |place, key| {
        let known = place.as_object().map(|known| known.keys().cloned().collect::<Vec<_>>().join(", "));
        place.get_mut(key).ok_or_else(|| match known {
            Some(known) => invalid(format!("there is no {key} (known: {known})")),
            None => invalid(format!("{key} is not part of a group of settings")),
        })
    })?;
    // A value that is not JSON is a word, as in `pooling=max`.
    *place = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    serde_json::from_value(all).map_err(|error| invalid(error.to_string()))
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
        for (setting, expected) in [
            ("encoder.layr=3", "there is no layr (known: type, hidden"),
            ("pooling", "KEY=VALUE"),
            ("=1", "the key, or a part of it, is empty"),
            ("encoder.=1", "the key, or a part of it, is empty"),
            ("outputs=3", "the data determine it"),
            ("dropout=2", "from 0 to below 1"),
            ("encoder.layers=many", "invalid type"),
            ("dropout.rate=1", "is not part of a group"),
        ] {
            let Err(Failure::Input(line)) = with(&[setting]) else { panic!("{setting} is accepted") };
            assert!(line.contains(expected), "{line}");
        }
    }
}

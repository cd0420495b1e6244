//! The policy as TOML, for people: every setting, with the default beside what was changed.

use serde_json::Value;
use uplift_model::Policy;

use crate::text::put;

/// The whole table as TOML that can be read back as a settings file.
pub(crate) fn as_toml(policy: &Policy) -> Result<String, serde_json::Error> {
    let (current, default) = (serde_json::to_value(policy)?, serde_json::to_value(Policy::default())?);
    let mut text = String::new();
    table(&mut text, "", &current, &default);
    Ok(text.trim_start().to_owned())
}

/// Plain settings first, then the tables within: TOML reads whatever follows a header as part of it.
fn table(text: &mut String, path: &str, current: &Value, default: &Value) {
    let Some(fields) = current.as_object() else { return };
    if !path.is_empty() && fields.values().any(|value| !value.is_object()) {
        put!(text, "\n[{path}]\n");
    }
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_object()) {
        let line = format!("{name} = {}", inline(value));
        match default.get(name) {
            Some(usual) if usual == value => text.push_str(&line),
            Some(usual) => put!(text, "{line}  # default: {}", inline(usual)),
            None => put!(text, "{line}  # not set by default"),
        }
        text.push('\n');
    }
    for (name, value) in fields.iter().filter(|(_, value)| value.is_object()) {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        table(text, &below, value, default.get(name).unwrap_or(&Value::Null));
    }
}

/// A value as TOML writes it; JSON's strings, numbers and booleans are TOML's too.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_a_settings_file() {
        let mut policy = Policy::default();
        policy.engine.improvement_batch_size = 7;
        policy.entity.review = Some(policy.review);
        let text = as_toml(&policy).unwrap();
        assert!(text.contains("improvement_batch_size = 7  # default: 5\n"), "{text}");
        assert!(text.contains("cooldown_period = \"6h\"\n"), "{text}");
        let merged = config::Config::builder()
            .add_source(config::File::from_str(&text, config::FileFormat::Toml))
            .build()
            .unwrap();
        assert_eq!(merged.try_deserialize::<Policy>().unwrap(), policy);
    }
}

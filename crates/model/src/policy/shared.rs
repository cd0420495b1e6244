//! The trial's table within the whole one: what the engine's settings already say is not said twice.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::trial::TrialPolicy;

/// Settings that trials take from `[engine]`.
const OF_THE_ENGINE: [&str; 2] = ["test_duration_hours", "rollback_threshold"];

pub(super) fn serialize<S: Serializer>(policy: &TrialPolicy, serializer: S) -> Result<S::Ok, S::Error> {
    let mut table = serde_json::to_value(policy).map_err(serde::ser::Error::custom)?;
    if let Value::Object(fields) = &mut table {
        fields.retain(|name, _| !OF_THE_ENGINE.contains(&name.as_str()));
    }
    table.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrialPolicy, D::Error> {
    let fields = Map::<String, Value>::deserialize(deserializer)?;
    if let Some(name) = OF_THE_ENGINE.into_iter().find(|name| fields.contains_key(*name)) {
        return Err(serde::de::Error::custom(format!("`{name}` of trials is set as engine.{name}")));
    }
    TrialPolicy::deserialize(Value::Object(fields)).map_err(serde::de::Error::custom)
}

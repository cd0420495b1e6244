//! Settings that people change while the server runs: kept in the database, and stronger than the file's.

use std::sync::Arc;

use serde_json::{Map, Value};
use uplift_model::Policy;
use uplift_model::policy::EnginePolicy;
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_store::{StoreResult, Write};

use crate::control::ControlError;
use crate::engine::Engine;

/// Where the engine's changed settings are kept.
const ENGINE: &str = "engine";
/// Where the kill switch is kept.
pub(crate) const PAUSED: &str = "paused";

impl Engine {
    /// Takes over what people set at run time, and loads what resolvers read: to be called once, before anything else.
    /// A stored setting that is no longer valid is logged and left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn restore(&self) -> StoreResult<()> {
        self.read_switch().await?;
        self.read_settings().await?;
        self.snapshot().load(self.store()).await
    }

    /// Takes over the settings as they are on record: another process may have changed them.
    pub(crate) async fn read_settings(&self) -> StoreResult<()> {
        let stored = self.set_at_run_time().await?;
        self.set_policy(Arc::new(merged(self.file_policy(), stored)));
        Ok(())
    }

    /// Takes over the kill switch as it is on record.
    pub(crate) async fn read_switch(&self) -> StoreResult<()> {
        let paused = self.store().setting(PAUSED.to_owned()).await?;
        self.set_paused(paused.and_then(|value| value.as_bool()).unwrap_or(false));
        Ok(())
    }

    /// What was set at run time, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn set_at_run_time(&self) -> StoreResult<Map<String, Value>> {
        Ok(match self.store().setting(ENGINE.to_owned()).await? {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        })
    }

    /// Every setting in force, whether the kill switch is on (`paused`), and what overrides the file
    /// (`set_at_run_time`).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settings(&self) -> StoreResult<Value> {
        let mut shown = serde_json::to_value(self.policy().as_ref()).unwrap_or_default();
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("paused".to_owned(), self.is_paused().into());
            fields.insert("set_at_run_time".to_owned(), self.set_at_run_time().await?.into());
        }
        Ok(shown)
    }

    /// Changes some of the engine's settings, by their names, at once and for good: `{"test_duration_hours": 12}`, or the
    /// same under `engine`. What is `null` goes back to the file's.
    ///
    /// # Errors
    /// When a name is unknown, a value out of range, or the store says no; then nothing changes.
    pub async fn configure(&self, patch: Value) -> Result<Arc<Policy>, ControlError> {
        self.configure_if(patch, |_| true).await
    }

    /// As [`configure`](Self::configure), if the settings are still as wanted, by their [tag](tag).
    ///
    /// # Errors
    /// As there, and when the settings are no longer as wanted.
    pub async fn configure_if(
        &self,
        patch: Value,
        wanted: impl FnOnce(&str) -> bool + Send,
    ) -> Result<Arc<Policy>, ControlError> {
        // One change at a time: each starts from what the one before made of the settings.
        let _turn = self.settings_turn().await;
        self.read_settings().await?;
        let current = tag(&self.settings().await?);
        if !wanted(&current) {
            return Err(ControlError::Changed { current });
        }
        self.reconfigure(patch).await
    }

    async fn reconfigure(&self, patch: Value) -> Result<Arc<Policy>, ControlError> {
        let Value::Object(mut patch) = patch else {
            return Err(ControlError::Invalid {
                reason: "settings are a JSON object such as {\"test_duration_hours\": 12}".to_owned(),
            });
        };
        match patch.remove(ENGINE) {
            None => {}
            Some(Value::Object(nested)) => patch.extend(nested),
            Some(_) => {
                return Err(ControlError::Invalid { reason: "`engine` must be an object of settings".to_owned() });
            }
        }
        if patch.is_empty() {
            return Err(ControlError::Invalid {
                reason: format!("no setting is named; there are: {}", names().join(", ")),
            });
        }
        let mut stored = self.set_at_run_time().await?;
        let mut policy = self.policy().as_ref().clone();
        for (name, value) in patch {
            if !names().contains(&name) {
                return Err(ControlError::Invalid {
                    reason: format!("there is no setting `{name}`; there are: {}", names().join(", ")),
                });
            }
            if value.is_null() {
                stored.remove(&name);
                policy = with(&policy, &name, self.as_configured(&name))?;
            } else {
                policy = with(&policy, &name, value.clone())?;
                stored.insert(name, value);
            }
        }
        policy.check()?;
        let writes = vec![
            Write::SetSetting { name: ENGINE.to_owned(), value: Value::Object(stored) },
            Write::WakeProcess { name: IMPROVEMENT_PROCESS.to_owned(), subject: None, at: self.now() },
        ];
        self.commit(writes).await?;
        let policy = Arc::new(policy);
        self.set_policy(Arc::clone(&policy));
        Ok(policy)
    }

    fn as_configured(&self, name: &str) -> Value {
        let file = serde_json::to_value(&self.file_policy().engine).unwrap_or_default();
        file.get(name).cloned().unwrap_or_default()
    }
}

/// What tells [settings](Engine::settings) from others: 16 hexadecimal digits.
pub fn tag(settings: &Value) -> String {
    let digest = blake3::hash(settings.to_string().as_bytes());
    digest.to_hex().chars().take(16).collect()
}

fn names() -> Vec<String> {
    match serde_json::to_value(EnginePolicy::default()) {
        Ok(Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// The policy with one of the engine's settings replaced.
fn with(policy: &Policy, name: &str, value: Value) -> Result<Policy, ControlError> {
    let invalid = |error: serde_json::Error| ControlError::Invalid { reason: format!("`{name}`: {error}") };
    let mut engine = serde_json::to_value(&policy.engine).map_err(invalid)?;
    engine[name] = value;
    let engine: EnginePolicy = serde_json::from_value(engine).map_err(invalid)?;
    Ok(Policy { engine, ..policy.clone() })
}

/// The policy with what was set at run time. What is no longer valid is logged and left out, by itself.
fn merged(policy: &Policy, stored: Map<String, Value>) -> Policy {
    let mut merged = policy.clone();
    for (name, value) in stored {
        let changed = with(&merged, &name, value).and_then(|changed| {
            changed.check()?;
            Ok(changed)
        });
        match changed {
            Ok(changed) => merged = changed,
            Err(error) => {
                tracing::error!(%error, name, "a setting made at run time is no longer valid and is left out");
            }
        }
    }
    merged
}

//! Every default in one table. All of it is configurable, and shown by `uplift config show`.

mod access;
mod alerts;
mod content;
mod detection;
mod edits;
mod engine;
mod health;
mod intake;
mod nodes;
mod notifications;
mod requests;
mod shared;
mod telemetry;
pub mod trial;

use serde::{Deserialize, Serialize};

pub use access::{AccessPolicy, TokensNeeded};
pub use alerts::AlertsPolicy;
pub use content::{ContentCapture, ContentPolicy};
pub use detection::DetectionPolicy;
pub use edits::EditPolicy;
pub use engine::{EnginePolicy, ImprovementConfig, Mode};
pub use health::HealthPolicy;
pub use intake::{IntakePolicy, RetentionPolicy};
pub use nodes::NodesPolicy;
pub use notifications::NotificationsPolicy;
pub use requests::RequestsPolicy;
pub use telemetry::{ModelPrice, OtlpPolicy};

use crate::metric::DeclaredMetric;
use crate::review::ReviewSchedule;
use trial::TrialPolicy;

/// The whole table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The engine's settings.
    pub engine: EnginePolicy,
    /// What an entity gets that has no settings of its own.
    pub entity: ImprovementConfig,
    /// When entities are reviewed.
    pub review: ReviewSchedule,
    /// The rules of detection.
    pub detection: DetectionPolicy,
    /// What trials obey, beside the engine's settings: see [`trial_policy`](Self::trial_policy).
    #[serde(with = "shared")]
    pub trial: TrialPolicy,
    /// What an improvement may change.
    pub edits: EditPolicy,
    /// Feedback scores that take part in trials.
    pub metrics: Vec<DeclaredMetric>,
    /// Limits on what comes in.
    pub intake: IntakePolicy,
    /// How traces and logs of OpenTelemetry are taken in.
    pub otlp: OtlpPolicy,
    /// What is kept of the texts that come in, and what is masked in them.
    pub content: ContentPolicy,
    /// What models cost, for calls that report tokens and no cost.
    pub prices: Vec<ModelPrice>,
    /// How long what came in is kept.
    pub retention: RetentionPolicy,
    /// How servers that share a database stay out of each other's way.
    pub nodes: NodesPolicy,
    /// When alerts end.
    pub alerts: AlertsPolicy,
    /// By what health is judged.
    pub health: HealthPolicy,
    /// How news goes out to others.
    pub notifications: NotificationsPolicy,
    /// What agents may ask for.
    pub requests: RequestsPolicy,
    /// Who is let in, and how often.
    pub access: AccessPolicy,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{setting}` must be {range}, not {value}")]
pub struct PolicyError {
    /// Its path in the table.
    pub setting: &'static str,
    /// What it may be, in words.
    pub range: &'static str,
    /// What it is.
    pub value: String,
}

/// Says which setting is out of range unless `holds`.
pub(crate) fn require(
    holds: bool,
    setting: &'static str,
    range: &'static str,
    value: impl ToString,
) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError { setting, range, value: value.to_string() }) }
}

impl Policy {
    /// What trials obey, with the settings they take from the engine.
    pub fn trial_policy(&self) -> TrialPolicy {
        TrialPolicy {
            test_duration_hours: self.engine.test_duration_hours,
            rollback_threshold: self.engine.rollback_threshold,
            ..self.trial.clone()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first one outside its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.engine.check()?;
        self.entity.check()?;
        self.detection.check()?;
        self.intake.check()?;
        self.edits.check()?;
        self.otlp.check()?;
        self.content.check()?;
        self.retention.check()?;
        self.nodes.check()?;
        self.access.check()?;
        self.requests.check()?;
        self.alerts.check()?;
        self.health.check()?;
        self.notifications.check()?;
        for price in &self.prices {
            price.check()?;
        }
        for metric in &self.metrics {
            metric.check()?;
        }
        let trial = self.trial_policy();
        trial.validate().map_err(|error| PolicyError {
            setting: error.field,
            range: error.range,
            value: error.value.to_string(),
        })?;
        let review = self.review;
        require(review.task_threshold >= 1, "review.task_threshold", "at least 1", review.task_threshold)?;
        require(review.period_hours >= 1, "review.period_hours", "at least 1", review.period_hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_round_trip() {
        let policy = Policy::default();
        policy.check().unwrap();
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }

    #[test]
    fn the_engine_has_the_names_and_defaults_users_know() {
        let engine = serde_json::to_value(EnginePolicy::default()).unwrap();
        assert_eq!(engine["min_confidence_score"], 0.8);
        assert_eq!(engine["test_duration_hours"], 24.0);
        assert_eq!(engine["improvement_batch_size"], 5);
        assert_eq!(engine["rollback_threshold"], -0.1);
        assert_eq!(engine["max_concurrent_improvements"], 3);
        assert_eq!(engine["cooldown_period"], "6h");
        let entity = serde_json::to_value(ImprovementConfig::default().effective(&EnginePolicy::default())).unwrap();
        assert_eq!(
            entity,
            serde_json::json!({"auto_improve_enabled": true, "min_confidence_threshold": 0.8,
                "test_duration_hours": 24.0, "max_rollback_rate": 0.1})
        );
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let mut policy = Policy::default();
        policy.engine.rollback_threshold = 0.1;
        assert!(policy.check().unwrap_err().to_string().contains("engine.rollback_threshold"));
        policy.engine.rollback_threshold = f64::NAN;
        assert!(policy.check().is_err());
    }

    #[test]
    fn trials_take_the_engines_settings_and_no_second_word_on_them() {
        let policy: Policy =
            serde_json::from_str(r#"{"engine":{"test_duration_hours":12},"trial":{"margin":0.2}}"#).unwrap();
        let trial = policy.trial_policy();
        assert!((trial.test_duration_hours - 12.0).abs() < 1e-9 && (trial.margin - 0.2).abs() < 1e-9);
        assert!(serde_json::to_value(&policy).unwrap()["trial"].get("test_duration_hours").is_none());
        let twice = serde_json::from_str::<Policy>(r#"{"trial":{"rollback_threshold":-0.2}}"#).unwrap_err();
        assert!(twice.to_string().contains("engine.rollback_threshold"), "{twice}");
        let bad: Policy = serde_json::from_str(r#"{"trial":{"margin":2}}"#).unwrap();
        assert!(bad.check().unwrap_err().to_string().contains("margin"));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<Policy>(r#"{"engine":{"min_confidence":1}}"#).is_err());
    }
}

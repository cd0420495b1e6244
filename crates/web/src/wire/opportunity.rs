//! Opportunities.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uplift_model::Time;
use uplift_model::opportunity::{EventRef as ModelEventRef, Evidence as ModelEvidence, Opportunity as Model};
use utoipa::ToSchema;

/// Something that could be better.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Opportunity {
    /// Its number.
    id: i64,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// The entity's environment.
    environment: String,
    /// What kind of thing was found.
    kind: &'static str,
    /// What tells it from others of its kind.
    fingerprint: String,
    /// Who found it: `monitor`, `pattern`, `review`, `trigger`, `prediction`, `agent` or `operator`.
    source: &'static str,
    /// `pending`, `in_progress`, `completed` or `dismissed`.
    status: &'static str,
    /// Whether a detector has confirmed what a rule in the database marked.
    confirmed: bool,
    /// One sentence for people.
    description: String,
    /// From 0 to 1.
    confidence: f64,
    /// How much there is to gain.
    impact: Impact,
    /// Why it is believed.
    evidence: Evidence,
    /// The type of improvement that usually answers it.
    improvement_type: &'static str,
    /// The latest event time that supports it.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Time,
    /// When it was found.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    /// Why it was closed, if it was.
    resolution: Option<String>,
}

/// How much there is to gain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Impact {
    /// `low`, `medium` or `high`.
    level: &'static str,
    /// Share of the entity's tasks that are touched, from 0 to 1.
    tasks_affected: f64,
    /// What a fix would be expected to gain over a day, in words.
    expected_gain: String,
}

/// Why something is believed: enough to reproduce it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Evidence {
    /// The rule that fired.
    rule: String,
    /// How often what it counts was seen.
    count: i64,
    /// Start of the window looked at.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_start: Option<Time>,
    /// End of the window looked at.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_end: Option<Time>,
    /// The numbers behind it; units are in the names.
    numbers: BTreeMap<String, f64>,
    /// Names behind it.
    labels: BTreeMap<String, String>,
    /// Some of the events.
    events: Vec<EventRef>,
    /// Some of the tasks.
    tasks: Vec<String>,
}

/// An event one can look up at `/api/events/lookup`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventRef {
    /// The first half of its identity.
    trace_key: String,
    /// The second half.
    id: String,
    /// Whether it is still there: raw events go after a while, what they showed stays. Only said of one opportunity, not
    /// in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_record: Option<bool>,
}

impl Opportunity {
    /// Says of each event of its evidence whether it is still there.
    pub(crate) fn with_events_on_record(mut self, on_record: &[bool]) -> Self {
        for (event, on_record) in self.evidence.events.iter_mut().zip(on_record) {
            event.on_record = Some(*on_record);
        }
        self
    }
}

/// Why an opportunity is set aside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dismissal {
    /// For those who read it later; from 1 to 1000 characters.
    pub(crate) reason: String,
}

impl From<ModelEventRef> for EventRef {
    fn from(event: ModelEventRef) -> Self {
        Self { trace_key: event.trace_key, id: event.id, on_record: None }
    }
}

impl From<ModelEvidence> for Evidence {
    fn from(evidence: ModelEvidence) -> Self {
        Self {
            rule: evidence.rule,
            count: evidence.count,
            window_start: evidence.window_start,
            window_end: evidence.window_end,
            numbers: evidence.numbers,
            labels: evidence.labels,
            events: evidence.events.into_iter().map(Into::into).collect(),
            tasks: evidence.tasks,
        }
    }
}

impl From<Model> for Opportunity {
    fn from(opportunity: Model) -> Self {
        let finding = opportunity.finding;
        Self {
            id: opportunity.id,
            entity_type: finding.entity.entity_type.as_str(),
            entity_id: finding.entity.entity_id,
            entity_name: opportunity.entity_name,
            environment: opportunity.environment,
            kind: finding.kind.as_str(),
            fingerprint: finding.fingerprint,
            source: finding.source.as_str(),
            status: opportunity.status.as_str(),
            confirmed: opportunity.confirmed,
            description: finding.description,
            confidence: finding.confidence,
            impact: Impact {
                level: finding.impact.level.as_str(),
                tasks_affected: finding.impact.tasks_affected,
                expected_gain: finding.impact.expected_gain,
            },
            evidence: finding.evidence.into(),
            improvement_type: opportunity.improvement_type.as_str(),
            last_seen_at: finding.last_seen_at,
            created_at: opportunity.created_at,
            updated_at: opportunity.updated_at,
            resolution: opportunity.resolution,
        }
    }
}

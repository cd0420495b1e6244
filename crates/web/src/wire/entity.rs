//! Entities, how they hang together, and what they run.

use serde::Serialize;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::{Entity as Model, EntityKey};
use uplift_model::relationship::{Relationship as ModelRelationship, RelationshipSource};
use uplift_store::rows::EntityStatusRow;
use utoipa::ToSchema;

/// What can be improved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entity {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// Its environment.
    environment: String,
    /// Its name.
    name: String,
    /// `active`, `inactive`, `deprecated`, `archived` or `failed`.
    state: &'static str,
    /// Its own settings.
    #[schema(value_type = Object)]
    improvement_config: Value,
    /// The revision it runs outside of trials; null where none is known.
    revision: Option<String>,
    /// When it was first seen or declared.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// The latest event time seen of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Time>,
    /// Counts up with every change.
    version: i64,
}

impl From<Model> for Entity {
    fn from(entity: Model) -> Self {
        Self {
            entity_type: entity.key.entity_type.as_str(),
            entity_id: entity.key.entity_id,
            environment: entity.environment,
            name: entity.name,
            state: entity.state.as_str(),
            improvement_config: json(&entity.improvement_config),
            revision: entity.revision,
            created_at: entity.created_at,
            last_seen_at: entity.last_seen_at,
            version: entity.version,
        }
    }
}

/// A part of the house as JSON. Numbers that JSON cannot express become null instead of an error.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// A type and a number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
}

impl From<EntityKey> for Key {
    fn from(key: EntityKey) -> Self {
        Self { entity_type: key.entity_type.as_str(), entity_id: key.entity_id }
    }
}

/// One entity's tie to another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Relationship {
    /// Who.
    from: Key,
    /// Whom.
    to: Key,
    /// `uses`, `depends_on`, `creates`, `optimizes`, `triggers`, `references` or `contains`.
    kind: &'static str,
    /// From 0 to 1.
    strength: f64,
    /// `declared` or `learnt`.
    source: &'static str,
}

impl From<ModelRelationship> for Relationship {
    fn from(tie: ModelRelationship) -> Self {
        Self {
            from: tie.from.into(),
            to: tie.to.into(),
            kind: tie.kind.as_str(),
            strength: tie.strength,
            source: match tie.source {
                RelationshipSource::Declared => "declared",
                RelationshipSource::Learnt => "learnt",
            },
        }
    }
}

/// How an entity's improvement stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityStatus {
    /// Whether it may be improved by itself.
    auto_improve_enabled: bool,
    /// Open opportunities.
    open_opportunities: i64,
    /// Improvements that occupy it.
    active_improvements: i64,
    /// Kept.
    kept: i64,
    /// Taken back for harm.
    rolled_back: i64,
    /// The last decision.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_decided_at: Option<Time>,
    /// Tasks since its last review.
    tasks_since_review: i64,
    /// Why its review is due (`tasks` or `time`), if it is.
    review_due: Option<String>,
}

impl From<EntityStatusRow> for EntityStatus {
    fn from(row: EntityStatusRow) -> Self {
        Self {
            auto_improve_enabled: row.auto_improve_enabled,
            open_opportunities: row.open_opportunities,
            active_improvements: row.active_improvements,
            kept: row.kept,
            rolled_back: row.rolled_back,
            last_decided_at: row.last_decided_at,
            tasks_since_review: row.tasks_since_review,
            review_due: row.review_due,
        }
    }
}

/// An entity whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityDetail {
    /// The entity.
    #[serde(flatten)]
    pub(crate) entity: Entity,
    /// How its improvement stands.
    pub(crate) status: EntityStatus,
    /// Its ties, from it and to it.
    pub(crate) relationships: Vec<Relationship>,
    /// The configuration it runs; null where none is known.
    #[schema(value_type = Option<Object>)]
    pub(crate) configuration: Option<Value>,
    /// The configuration that a file or the entity's own code brought along last; null where none did. What differs
    /// from it was kept here.
    #[schema(value_type = Option<Object>)]
    pub(crate) applied: Option<Value>,
    /// The trial that runs on it (not the watch after a keep); null where none runs.
    pub(crate) trial: Option<i64>,
}

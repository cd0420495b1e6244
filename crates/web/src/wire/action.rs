//! What people ask for, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uplift_model::entity::EntityState;
use uplift_model::policy::ImprovementConfig;
use uplift_model::relationship::RelationshipKind;
use uplift_model::revision::Configuration;
use uplift_model::trial::Comparison;
use uplift_runner::control::Paused as ModelPaused;
use utoipa::ToSchema;

use super::improvement::Improvement;
use super::opportunity::Opportunity;

/// A change that somebody wrote themselves: edits, or a whole configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// `agent`, `tool`, `context` or `process`.
    pub(crate) entity_type: String,
    /// A name or an id.
    pub(crate) entity: String,
    /// The environment, for a name that is in several.
    pub(crate) environment: Option<String>,
    /// One of the six types; without it, the type that allows all edits.
    pub(crate) improvement_type: Option<String>,
    /// Edits, in order, such as `{"edit": "set_parameter", "name": "timeout_ms", "value": 5000}`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) edits: Option<Vec<Value>>,
    /// Instead of edits: the whole configuration, which is taken apart into edits.
    #[schema(value_type = Option<Object>)]
    pub(crate) configuration: Option<Configuration>,
    /// Why this should help; at most 4000 characters.
    pub(crate) rationale: Option<String>,
    /// Who wrote it: `operator` (also where it is missing), `llm` or `agent`; the last two wait for approval by
    /// default.
    pub(crate) proposed_by: Option<String>,
    /// The name of whoever wrote it; at most 200 characters.
    pub(crate) proposer: Option<String>,
    /// `concurrent` (also where it is missing), or `before_after`: weaker, where traffic is too little for a control.
    #[schema(value_type = Option<String>)]
    pub(crate) comparison: Option<Comparison>,
}

impl ChangeBody {
    /// What it changes as (type, name or id, environment), and the change itself.
    pub(crate) fn split(self) -> ((String, String, Option<String>), FillBody) {
        let Self { entity_type, entity, environment, improvement_type, edits, configuration, .. } = self;
        let Self { rationale, proposed_by, proposer, comparison, .. } = self;
        let change =
            FillBody { improvement_type, edits, configuration, rationale, proposed_by, proposer, comparison };
        ((entity_type, entity, environment), change)
    }
}

/// A change for an improvement that waits for one: edits, or a whole configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FillBody {
    /// One of the six types; without it, the one that was asked for if it allows all edits, else one that does.
    pub(crate) improvement_type: Option<String>,
    /// Edits, in order, such as `{"edit": "set_parameter", "name": "timeout_ms", "value": 5000}`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) edits: Option<Vec<Value>>,
    /// Instead of edits: the whole configuration, which is taken apart into edits.
    #[schema(value_type = Option<Object>)]
    pub(crate) configuration: Option<Configuration>,
    /// Why this should help; at most 4000 characters.
    pub(crate) rationale: Option<String>,
    /// Who wrote it: `operator` (also where it is missing), `llm` or `agent`; the last two wait for approval by
    /// default.
    pub(crate) proposed_by: Option<String>,
    /// The name of whoever wrote it; at most 200 characters.
    pub(crate) proposer: Option<String>,
    /// `concurrent` (also where it is missing), or `before_after`: weaker, where traffic is too little for a control.
    #[schema(value_type = Option<String>)]
    pub(crate) comparison: Option<Comparison>,
}

/// Who does something, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ActionBody {
    /// Who; `operator` where it is missing. At most 200 characters.
    pub(crate) by: Option<String>,
    /// Why, for those who read it later; at most 1000 characters.
    pub(crate) reason: Option<String>,
}

/// What somebody wants improved, in words.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WishBody {
    /// One of the six types.
    #[schema(example = "performance_tuning")]
    pub(crate) improvement_type: String,
    /// What should change; from 1 to 2000 characters.
    #[schema(example = "Optimize database queries for task retrieval")]
    pub(crate) description: String,
    /// Who asks; `operator` where it is missing.
    pub(crate) by: Option<String>,
}

/// What a wish became.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Triggered {
    /// The opportunity.
    pub(crate) opportunity: Opportunity,
    /// The improvements written for it: one that `needs_proposal` where no proposer could fill it.
    pub(crate) improvements: Vec<Improvement>,
}

/// How to pause.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PauseBody {
    /// Whether running trials are called off at once; else they go on to their end.
    pub(crate) rollback_running: bool,
    /// Who; `operator` where it is missing.
    pub(crate) by: Option<String>,
}

/// What the kill switch did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Paused {
    /// Whether trials are paused now: none starts.
    paused: bool,
    /// Improvements whose running trials were called off.
    rolled_back: Vec<i64>,
    /// Improvements whose trials go on.
    still_running: Vec<i64>,
}

impl From<ModelPaused> for Paused {
    fn from(paused: ModelPaused) -> Self {
        Self { paused: paused.paused, rolled_back: paused.rolled_back, still_running: paused.still_running }
    }
}

/// What is declared of an entity; what is missing stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityBody {
    /// Its own settings, whole.
    #[schema(value_type = Option<Object>)]
    pub(crate) improvement_config: Option<ImprovementConfig>,
    /// The configuration it runs from now on, outside of trials.
    #[schema(value_type = Option<Object>)]
    pub(crate) configuration: Option<Configuration>,
    /// The configuration as its owner's file has it, where that differs from `configuration` because changes kept
    /// here were merged in. The next merge starts from it.
    #[schema(value_type = Option<Object>)]
    pub(crate) applied: Option<Configuration>,
    /// The revision that was in place when the change was made; another one in place is a conflict.
    pub(crate) expected_revision: Option<String>,
    /// Whether the configuration is put in place even while a trial runs, which then begins anew on it.
    #[serde(default)]
    pub(crate) now: bool,
    /// Ties to other entities of its environment.
    #[serde(default)]
    pub(crate) relationships: Vec<TieBody>,
}

/// A tie to another entity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TieBody {
    /// `uses`, `depends_on`, `creates`, `optimizes`, `triggers`, `references` or `contains`.
    #[schema(value_type = String)]
    pub(crate) kind: RelationshipKind,
    /// The other entity as `TYPE/NAME`.
    #[schema(example = "tool/search")]
    pub(crate) to: String,
    /// From 0 to 1; 1 where it is missing.
    pub(crate) strength: Option<f64>,
}

/// Where an entity stands in its life.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateBody {
    /// `active`, `inactive`, `deprecated`, `archived` or `failed`.
    #[schema(value_type = String)]
    pub(crate) state: EntityState,
}

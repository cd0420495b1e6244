//! Which rows: a filter per list.

use uplift_model::Time;
use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::event::{EventKind, Outcome};
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::{ImpactLevel, OpportunityKind, OpportunitySource, OpportunityStatus};
use uplift_model::policy::Mode;

/// Which entity: by key, or by name within an environment (or in the only environment that has it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitySelector {
    /// Its kind.
    pub entity_type: EntityType,
    /// All digits: its id; else its name.
    pub id_or_name: String,
    /// The environment, for a name that is in several.
    pub environment: Option<String>,
}

/// Which entities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// Only of this kind.
    pub entity_type: Option<EntityType>,
    /// Only in this environment.
    pub environment: Option<String>,
    /// Only in this state.
    pub state: Option<EntityState>,
    /// Also those that come with Uplift itself (environment `uplift`).
    pub built_in: bool,
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskFilter {
    /// Only of this entity.
    pub entity: Option<EntityKey>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only with errors, or only without.
    pub has_errors: Option<bool>,
    /// Only of this session.
    pub session_id: Option<String>,
    /// Only seen last at or after this.
    pub since: Option<Time>,
    /// Only seen first before this.
    pub until: Option<Time>,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter {
    /// Only of this task (or trace).
    pub task_id: Option<String>,
    /// Only of this entity.
    pub entity: Option<EntityKey>,
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// Only of this tool.
    pub tool: Option<String>,
    /// Only errors of this group.
    pub fingerprint: Option<String>,
    /// Only at or after this.
    pub since: Option<Time>,
    /// Only before this.
    pub until: Option<Time>,
}

/// Which opportunities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpportunityFilter {
    /// Only of this entity.
    pub entity: Option<EntityKey>,
    /// Only in these states; empty for all.
    pub status: Vec<OpportunityStatus>,
    /// Only of this kind.
    pub kind: Option<OpportunityKind>,
    /// Only from this source.
    pub source: Option<OpportunitySource>,
    /// Only of this impact.
    pub impact: Option<ImpactLevel>,
    /// Only in this environment.
    pub environment: Option<String>,
}

/// When an opportunity is worked on by itself, for entities that say nothing of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimTerms {
    /// How much happens without a person.
    pub mode: Mode,
    /// Least confidence, from 0 to 1.
    pub min_confidence: f64,
}

/// Which improvements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImprovementFilter {
    /// Only of this entity.
    pub entity: Option<EntityKey>,
    /// Only in these states; empty for all.
    pub status: Vec<ImprovementStatus>,
    /// Only for this opportunity.
    pub opportunity_id: Option<i64>,
}

/// Which trials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrialFilter {
    /// Only of this entity.
    pub entity: Option<EntityKey>,
    /// Only of this improvement.
    pub improvement_id: Option<i64>,
    /// Only running ones.
    pub running: bool,
}

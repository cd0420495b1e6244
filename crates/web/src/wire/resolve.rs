//! What an entity is to run, and changes of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uplift_model::event::Exposure as ModelExposure;
use uplift_runner::snapshot::{Change as ModelChange, NotApplied as ModelNotApplied, Resolved, arm_name};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Who asks, and with which defaults.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResolveBody {
    /// What is assigned to an arm of a trial: the id of the task, or of the session.
    pub(crate) unit: Option<String>,
    /// The environment.
    pub(crate) environment: Option<String>,
    /// The configuration that the code brings along.
    #[schema(value_type = Option<Object>)]
    pub(crate) defaults: Option<Box<RawValue>>,
}

/// Several entities at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveManyBody {
    /// What is assigned to an arm of a trial: the id of the task, or of the session.
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// The environment.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// At most 100.
    pub(crate) entities: Vec<EntityName>,
}

/// One of several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityName {
    /// `agent`, `tool`, `context` or `process`.
    pub(crate) entity_type: String,
    /// Its name, or its id.
    pub(crate) entity: String,
}

/// What an entity is to run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resolution<'a> {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// Its name.
    entity: &'a str,
    /// Its environment.
    environment: &'a str,
    /// The address of the configuration.
    revision: &'a str,
    /// The configuration.
    #[schema(value_type = Object)]
    configuration: &'a RawValue,
    /// `base`, `trial`, `hold_back`, `no_unit`, `no_trial`, `inactive`, `before_after`, `stale_trial` or
    /// `older_defaults`.
    reason: &'static str,
    /// The trial in force, and the arm that this is.
    trial: Option<TrialArm>,
    /// What the events of this unit should carry in their `exposures`; null where it is in no arm.
    exposure: Option<Exposure>,
    /// Kept edits that do not apply to the defaults, where these were taken over just now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_applied: Vec<NotApplied>,
    /// What the code's author should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// A trial and one of its arms.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialArm {
    /// The trial's number.
    id: i64,
    /// `control` or `candidate`.
    arm: &'static str,
}

/// What the events of a unit should carry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exposure {
    /// The trial's number.
    trial: i64,
    /// `control` or `candidate`.
    arm: String,
    /// The revision that was served.
    revision: String,
}

/// A kept edit that does not apply to new defaults.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotApplied {
    /// The improvement.
    improvement: i64,
    /// The edit's name.
    edit: &'static str,
    /// Why.
    reason: String,
}

impl<'a> Resolution<'a> {
    /// The answer, without what only defaults bring about.
    pub(crate) fn new(resolved: &'a Resolved, reason: &'static str) -> Self {
        let (served, revision) = (&resolved.served, resolved.revision());
        Self {
            entity_type: served.key.entity_type.as_str(),
            entity_id: served.key.entity_id,
            entity: &served.name,
            environment: &served.environment,
            revision: revision.id.as_str(),
            configuration: &revision.configuration,
            reason,
            trial: resolved.trial.map(|(id, arm)| TrialArm { id, arm: arm_name(arm) }),
            exposure: resolved.exposure().map(Into::into),
            not_applied: Vec::new(),
            notice: None,
        }
    }

    /// The answer to somebody who brought defaults.
    #[must_use]
    pub(crate) fn with(mut self, not_applied: Vec<ModelNotApplied>, notice: Option<String>) -> Self {
        self.not_applied = not_applied.into_iter().map(Into::into).collect();
        self.notice = notice;
        self
    }
}

impl From<ModelExposure> for Exposure {
    fn from(exposure: ModelExposure) -> Self {
        Self { trial: exposure.trial, arm: exposure.arm, revision: exposure.revision }
    }
}

impl From<ModelNotApplied> for NotApplied {
    fn from(edit: ModelNotApplied) -> Self {
        Self { improvement: edit.improvement, edit: edit.edit, reason: edit.reason }
    }
}

/// What several entities are to run, in the order in which they were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Resolutions<'a> {
    /// One for each.
    pub(crate) results: Vec<ResolutionOrProblem<'a>>,
}

/// An answer, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ResolutionOrProblem<'a> {
    /// What the entity is to run.
    Resolution(Box<Resolution<'a>>),
    /// Why this one cannot be answered.
    Problem(Box<Problem>),
}

/// An entity was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Change {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// The number of changes in the store when this one was seen.
    seq: i64,
}

impl From<ModelChange> for Change {
    fn from(change: ModelChange) -> Self {
        let entity = change.entity;
        Self { entity_type: entity.entity_type.as_str(), entity_id: entity.entity_id, seq: change.seq }
    }
}

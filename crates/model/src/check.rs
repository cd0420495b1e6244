//! The checks an improvement has to pass before its trial, each with a named result.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::UnknownName;
use crate::opportunity::names;

names! {
    /// What was checked.
    CheckName,
    "a check",
    {
        /// Trials are not paused.
        NotPaused = "not_paused",
        /// The entity is in use.
        EntityState = "entity_state",
        /// The entity is well enough for a comparison to mean something.
        EntityHealth = "entity_health",
        /// The entity has a configuration to change.
        Baseline = "baseline",
        /// The edits are of the improvement's type and apply to the revision in place.
        EditsApply = "edits_apply",
        /// The edits stay within the edit policy.
        EditPolicy = "edit_policy",
        /// The edits give the entity nothing it did not have.
        Capability = "capability",
        /// What depends on the entity.
        Dependants = "dependants",
        /// No other improvement occupies the entity.
        OnePerEntity = "one_per_entity",
        /// No trial runs on an entity joined to this one.
        JoinedEntities = "joined_entities",
        /// The entity has rested since its last change.
        Cooldown = "cooldown",
        /// There is room for another trial.
        Concurrency = "concurrency",
        /// Not too many of the entity's improvements were taken back for harm.
        RollbackRate = "rollback_rate",
        /// The same edits were not taken back before.
        Blocklist = "blocklist",
        /// The opportunity is sure enough.
        Confidence = "confidence",
        /// The system as a whole is well enough.
        SystemHealth = "system_health",
        /// The traffic is enough to see something.
        Preflight = "preflight",
        /// Whoever has to say yes has done so.
        Approval = "approval",
    }
}

names! {
    /// What came of it.
    CheckResult,
    "a result of a check (passed, waits, refused)",
    {
        /// In order.
        Passed = "passed",
        /// Not now: it is looked at again.
        Waits = "waits",
        /// Not at all.
        Refused = "refused",
    }
}

/// A check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: CheckName,
    /// What came of it.
    pub result: CheckResult,
    /// Why, in a sentence with the numbers.
    pub detail: String,
}

impl Check {
    /// A check with its result.
    pub fn new(name: CheckName, result: CheckResult, detail: impl Into<String>) -> Self {
        Self { name, result, detail: detail.into() }
    }
}

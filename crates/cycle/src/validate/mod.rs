//! Validate: whether an improvement may go on trial now.
//!
//! Every check leaves a named result with the numbers behind it, whatever the others said; what follows is one
//! outcome. In reading order: [`Input`], [`validate`], then the checks: on the entity (`entity`), on the edits
//! (`edits`, with `measure`), on its turn (`queue`), on what is known so far (`record`), and on whose yes it takes
//! (`approval`).

mod approval;
mod edits;
mod entity;
mod measure;
mod queue;
mod record;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;

use uplift_model::check::{Check, CheckName, CheckResult};
use uplift_model::edit::Edit;
use uplift_model::improvement::{Improvement, ProposalSource};
use uplift_model::metric::MetricSpec;
use uplift_model::opportunity::OpportunitySource;
use uplift_model::preflight::Preflight;
use uplift_model::revision::Revision;
use uplift_model::{Entity, Opportunity, Policy, Time};

pub use edits::MAX_PROCESS_STEPS;
pub use entity::{MIN_KNOWN_TASKS, is_ill};
pub use queue::{is_full, is_unwell, rests_until};

/// The environment of the agents that come with Uplift: the optimizer, planning and recovery agents.
pub const BUILT_IN_ENVIRONMENT: &str = "uplift";

/// Tasks of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tasks {
    /// Those with a known outcome.
    pub known: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
}

/// An entity that a change can reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependant {
    /// Its name.
    pub name: String,
    /// How strongly it depends on the changed entity, from 0 to 1.
    pub strength: f64,
}

/// An improvement of the entity that was taken back for harm.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenBack {
    /// Its number.
    pub improvement_id: i64,
    /// What it changed.
    pub edits: Vec<Edit>,
}

/// Everything that validation looks at.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The moment it is.
    pub now: Time,
    /// What is to be tried.
    pub improvement: &'a Improvement,
    /// What it changes.
    pub entity: &'a Entity,
    /// The revision in place, if one is known.
    pub base: Option<&'a Revision>,
    /// The opportunity it answers, if any.
    pub opportunity: Option<&'a Opportunity>,
    /// Every setting.
    pub policy: &'a Policy,
    /// Whether trials are paused.
    pub paused: bool,
    /// Another improvement of the entity that is validated or testing.
    pub occupied_by: Option<i64>,
    /// Names of entities joined to this one on which a trial runs; hold-backs do not count.
    pub joined_trials: &'a [String],
    /// What depends on the entity, directly or through others.
    pub dependants: &'a [Dependant],
    /// When the entity was last changed.
    pub last_change: Option<Time>,
    /// Trials that run in the whole fleet; hold-backs do not count.
    pub running_trials: u64,
    /// The entity's decisions in the time that rollback rates look back.
    pub decided: u64,
    /// Those of them that took a change back for harm.
    pub rolled_back: u64,
    /// Improvements of the entity that were ever taken back for harm.
    pub taken_back: &'a [TakenBack],
    /// Score of the system's health, from 0 to 100.
    pub health_score: f64,
    /// Whether the alert `high_rollback_rate` is active.
    pub high_rollback_rate: bool,
    /// The entity's last 24 hours.
    pub recent: Tasks,
    /// The week before them.
    pub before: Tasks,
    /// What the trial will measure.
    pub metrics: &'a [MetricSpec],
    /// What the trial can be expected to see.
    pub preflight: Option<&'a Preflight>,
    /// Tools that the entity has had as optional ones, or that its peers have.
    pub known_tools: &'a BTreeSet<String>,
    /// Tools that the entity is known to use, whatever its configuration says.
    pub tools_in_use: &'a BTreeSet<String>,
    /// Names of processes that come with the improvement and that others have: a process with other steps, or one that is
    /// out of use.
    pub taken_processes: &'a BTreeSet<String>,
}

/// What validation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Every check in the order of [`CheckName::ALL`].
    pub checks: Vec<Check>,
    /// What follows.
    pub outcome: Outcome,
}

/// What follows from the checks.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It may go on trial: the candidate, sealed.
    Accepted(Box<Revision>),
    /// Not now; everything is looked at again.
    Waits {
        /// The latest moment until which it is known to wait; none where nobody can know.
        until: Option<Time>,
    },
    /// Only the yes of an operator is missing.
    AwaitsApproval,
    /// Not at all.
    Refused {
        /// Why: the sentence of the first check that refused.
        reason: String,
    },
}

/// What one check says.
struct Ruling {
    result: CheckResult,
    detail: String,
    /// Until when it is known to wait.
    until: Option<Time>,
    /// Whether an operator's yes would settle it.
    asks_operator: bool,
}

impl Ruling {
    fn new(result: CheckResult, detail: impl Into<String>) -> Self {
        Self { result, detail: detail.into(), until: None, asks_operator: false }
    }

    fn passed(detail: impl Into<String>) -> Self {
        Self::new(CheckResult::Passed, detail)
    }

    fn waits(detail: impl Into<String>) -> Self {
        Self::new(CheckResult::Waits, detail)
    }

    fn waits_until(detail: impl Into<String>, until: Time) -> Self {
        Self { until: Some(until), ..Self::waits(detail) }
    }

    fn refused(detail: impl Into<String>) -> Self {
        Self::new(CheckResult::Refused, detail)
    }

    fn asks_operator(detail: impl Into<String>) -> Self {
        Self { asks_operator: true, ..Self::waits(detail) }
    }
}

impl Input<'_> {
    fn edits(&self) -> &[Edit] {
        &self.improvement.proposal.edits
    }

    /// Whether a person wrote the change.
    fn is_own_change(&self) -> bool {
        self.improvement.proposal.proposed_by == ProposalSource::Operator
    }

    /// Whether an agent asked for the change and wrote it, or named the tool it misses: how sure that is, and whether a
    /// trial could show it, is for the operator to weigh who has to say yes anyway.
    fn is_agents_wish(&self) -> bool {
        self.improvement.proposal.proposed_by == ProposalSource::Agent
            && self.opportunity.is_some_and(|opportunity| opportunity.finding.source == OpportunitySource::Agent)
    }

    /// Who said yes to it, if somebody did.
    fn approver(&self) -> Option<&str> {
        self.improvement.approved_by.as_deref().filter(|by| !by.trim().is_empty()).map(words::name)
    }

    /// The person who stands behind the change, in words: who approved it, or that an operator wrote it.
    fn operator(&self) -> Option<String> {
        let approved = self.approver().map(|by| format!("approved by {by}"));
        approved.or_else(|| self.is_own_change().then(|| "an operator's own change".to_owned()))
    }
}

/// Looks at an improvement with all checks and says what follows.
///
/// Any refusal decides; else anything that is not the case yet makes it wait; else a missing yes does.
pub fn validate(input: &Input<'_>) -> Validation {
    let candidate = edits::candidate(input);
    let mut asked = false;
    let mut rulings = Vec::with_capacity(CheckName::ALL.len());
    for name in CheckName::ALL.iter().copied() {
        let ruling = rule(name, input, candidate.as_ref().map_err(String::as_str), asked);
        asked |= ruling.asks_operator;
        rulings.push((name, ruling));
    }
    let outcome = outcome(&rulings, candidate);
    let checks = rulings.into_iter().map(|(name, ruling)| Check::new(name, ruling.result, ruling.detail)).collect();
    Validation { checks, outcome }
}

/// Calls one check. `asked` is true when one before it wants an operator's yes; approval comes last.
fn rule(name: CheckName, input: &Input<'_>, candidate: Result<&Revision, &str>, asked: bool) -> Ruling {
    match name {
        CheckName::NotPaused => entity::not_paused(input),
        CheckName::EntityState => entity::state(input),
        CheckName::EntityHealth => entity::health(input),
        CheckName::Baseline => entity::baseline(input),
        CheckName::EditsApply => edits::apply(input, candidate),
        CheckName::EditPolicy => edits::policy(input, candidate),
        CheckName::Capability => edits::capability(input),
        CheckName::Dependants => queue::dependants(input),
        CheckName::OnePerEntity => queue::one_per_entity(input),
        CheckName::JoinedEntities => queue::joined_entities(input),
        CheckName::Cooldown => queue::cooldown(input),
        CheckName::Concurrency => queue::concurrency(input),
        CheckName::RollbackRate => record::rollback_rate(input),
        CheckName::Blocklist => record::blocklist(input),
        CheckName::Confidence => record::confidence(input),
        CheckName::SystemHealth => queue::system_health(input),
        CheckName::Preflight => record::preflight(input),
        CheckName::Approval => approval::approval(input, asked),
    }
}

fn outcome(rulings: &[(CheckName, Ruling)], candidate: Result<Revision, String>) -> Outcome {
    if let Some((_, refusal)) = rulings.iter().find(|(_, ruling)| ruling.result == CheckResult::Refused) {
        return Outcome::Refused { reason: refusal.detail.clone() };
    }
    let waiting = || rulings.iter().map(|(_, ruling)| ruling).filter(|ruling| ruling.result == CheckResult::Waits);
    if waiting().any(|ruling| !ruling.asks_operator) {
        return Outcome::Waits { until: waiting().filter_map(|ruling| ruling.until).max() };
    }
    if waiting().next().is_some() {
        return Outcome::AwaitsApproval;
    }
    match candidate {
        Ok(candidate) => Outcome::Accepted(Box::new(candidate)),
        Err(reason) => Outcome::Refused { reason },
    }
}

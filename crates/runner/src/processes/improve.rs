//! `ImprovementProcess`: validates an improvement and deploys it to a share of the units.

use uplift_cycle::document::{self, Ending};
use uplift_cycle::validate::Outcome;
use uplift_model::Time;
use uplift_model::event::EventKind;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::policy::Mode;
use uplift_model::process::{Lease, ProcessInstance};
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_store::rows::ImprovementFilter;
use uplift_store::writes::{ImprovementChange, Write};
use uplift_store::{PageRequest, StoreResult};

use super::queue::Queue;
use super::{Report, commit, commit_with, deploy, improvement_of, outbox, step};
use crate::engine::Engine;
use crate::validating::{self, Loaded};

/// The state in which it validates.
pub(crate) const VALIDATE: &str = "validate";
/// The state in which it deploys.
pub(crate) const DEPLOY: &str = "deploy";
/// The state in which it ends.
pub(crate) const DONE: &str = "done";

/// How long an improvement that waits for its turn waits before it is looked at again, at the most.
pub(super) const LOOK_AGAIN_US: i64 = 60_000_000;
/// How long one that waits for a person waits before it is looked at again: approval wakes it at once.
const ASK_AGAIN_US: i64 = MICROS_PER_DAY;
/// Rest of an opportunity after a refusal; doubled with every further one.
const REST_US: i64 = 6 * MICROS_PER_HOUR;
const MOST_DOUBLINGS: u32 = 7;

/// One step.
pub(super) async fn step_one(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    queue: &mut Queue,
    report: &mut Report,
) -> StoreResult<()> {
    let improvement = engine.store().improvement(improvement_of(instance)?).await?;
    match improvement.status {
        ImprovementStatus::Proposed | ImprovementStatus::AwaitingApproval | ImprovementStatus::Queued => {
            if !queue.has_turn(engine, instance, &improvement, report).await? {
                return Ok(());
            }
            validate(engine, lease, instance, &improvement, report).await
        }
        ImprovementStatus::Validated => deploy::deploy(engine, lease, instance, &improvement, report).await,
        // Called off, or on its way already: nothing is left to do here.
        _ => commit(engine, lease, vec![step(instance, DONE, None, None)]).await.map(drop),
    }
}

async fn validate(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
    report: &mut Report,
) -> StoreResult<()> {
    let loaded = validating::load_and_validate(engine, improvement).await?;
    match &loaded.validation.outcome {
        Outcome::Accepted(candidate) => {
            report.validated += 1;
            accept(engine, lease, instance, improvement, &loaded, candidate).await
        }
        Outcome::Waits { until } => {
            let soon = engine.now().plus_micros(LOOK_AGAIN_US);
            let wake_at = until.map_or(soon, |until| until.min(soon).max(engine.now().plus_micros(1)));
            wait(engine, lease, instance, improvement, &loaded, (ImprovementStatus::Queued, wake_at)).await
        }
        Outcome::AwaitsApproval => {
            // Where the mode is to propose only, nobody is asked: it stays a proposal.
            let mode =
                loaded.entity.improvement_config.mode_for(improvement.proposal.proposed_by, &engine.policy().engine);
            let proposed = mode <= Mode::Propose && improvement.status == ImprovementStatus::Proposed;
            let status = if proposed { ImprovementStatus::Proposed } else { ImprovementStatus::AwaitingApproval };
            let wake_at = engine.now().plus_micros(ASK_AGAIN_US);
            wait(engine, lease, instance, improvement, &loaded, (status, wake_at)).await
        }
        Outcome::Refused { reason } => {
            report.rejected += 1;
            refuse(engine, lease, instance, improvement, &loaded, reason).await
        }
    }
}

fn change(improvement: &Improvement, loaded: &Loaded, status: ImprovementStatus) -> ImprovementChange {
    ImprovementChange {
        status: (status != improvement.status).then_some(status),
        checks: Some(loaded.validation.checks.clone()),
        preflight: loaded.preflight.clone(),
        ..ImprovementChange::default()
    }
}

fn changed(improvement: &Improvement, change: ImprovementChange) -> Write {
    Write::ChangeImprovement { id: improvement.id, expected_version: improvement.version, change: Box::new(change) }
}

async fn accept(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
    loaded: &Loaded,
    candidate: &uplift_model::revision::Revision,
) -> StoreResult<()> {
    let accepted = ImprovementChange {
        base: loaded.base.as_ref().map(|base| base.id().clone()),
        candidate: Some(candidate.id().clone()),
        ..change(improvement, loaded, ImprovementStatus::Validated)
    };
    let writes = vec![
        Write::PutRevision(Box::new(candidate.clone())),
        changed(improvement, accepted),
        step(instance, DEPLOY, Some(engine.now()), Some("every check passed".to_owned())),
    ];
    let told = announced(engine, improvement, EventKind::ImprovementValidated, "every check passed");
    commit_with(engine, lease, writes, told).await.map(drop)
}

async fn wait(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
    loaded: &Loaded,
    (status, wake_at): (ImprovementStatus, Time),
) -> StoreResult<()> {
    let waits = change(improvement, loaded, status);
    let mut writes = Vec::new();
    // Waiting changes the record only where there is something new to say.
    if waits.status.is_some() || waits.checks.as_ref() != Some(&improvement.checks) {
        writes.push(changed(improvement, waits));
    }
    writes.push(step(instance, VALIDATE, Some(wake_at), None));
    let told = if improvement.checks.is_empty() { vec![proposed(engine, improvement)] } else { Vec::new() };
    commit_with(engine, lease, writes, told).await.map(drop)
}

async fn refuse(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
    loaded: &Loaded,
    reason: &str,
) -> StoreResult<()> {
    let now = engine.now();
    let entry = document::entry(&document::Input {
        now,
        improvement,
        entity_name: &loaded.entity.name,
        trial: None,
        verdict: None,
        checks: &loaded.validation.checks,
        ending: Ending::Rejected { reason: reason.to_owned() },
    });
    let mut writes = vec![
        changed(improvement, change(improvement, loaded, ImprovementStatus::Rejected)),
        Write::RecordHistory(Box::new(entry)),
        step(instance, DONE, None, Some(reason.to_owned())),
    ];
    if let Some(id) = improvement.opportunity_id {
        let not_before = now.plus_micros(rest(engine, id).await?);
        writes.push(Write::ReturnOpportunity { id, not_before, reason: format!("refused: {reason}") });
    }
    let told = announced(engine, improvement, EventKind::ImprovementRejected, reason);
    commit_with(engine, lease, writes, told).await.map(drop)
}

/// How long an opportunity rests after a refusal: the longer, the more often it was refused.
async fn rest(engine: &Engine, opportunity_id: i64) -> StoreResult<i64> {
    let filter = ImprovementFilter { opportunity_id: Some(opportunity_id), ..ImprovementFilter::default() };
    let earlier = engine.store().improvements(filter, PageRequest::first(MOST_DOUBLINGS + 1)).await?;
    let refused = earlier.items.iter().filter(|one| one.status == ImprovementStatus::Rejected).count() as u32;
    Ok(REST_US << refused.min(MOST_DOUBLINGS))
}

fn proposed(engine: &Engine, improvement: &Improvement) -> (String, serde_json::Value) {
    let text = format!("{} by {}", improvement.proposal.improvement_type, improvement.proposal.proposer);
    // Stamped with the proposal's own time: every try gives the same event.
    let at = improvement.created_at.min(engine.now());
    outbox::event(EventKind::ImprovementProposed, improvement.id, improvement.entity, at, text)
}

/// The event of a step, preceded by that of the proposal where it was not told before.
fn announced(
    engine: &Engine,
    improvement: &Improvement,
    kind: EventKind,
    text: &str,
) -> Vec<(String, serde_json::Value)> {
    let mut told = Vec::new();
    if improvement.checks.is_empty() {
        told.push(proposed(engine, improvement));
    }
    told.push(outbox::event(kind, improvement.id, improvement.entity, engine.now(), text));
    told
}

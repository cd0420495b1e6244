//! Both writes of the facade with everything they can write, each once a line. What can be done once only is done to
//! another row each round.

use std::pin::Pin;

use uplift_model::Time;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityState, EntityType};
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::{ImprovementStatus, ImprovementType};
use uplift_model::opportunity::{OpportunityKind, OpportunityStatus};
use uplift_model::policy::{DetectionPolicy, ImprovementConfig};
use uplift_model::process::{IMPROVEMENT_PROCESS, Lease};
use uplift_model::relationship::{Relationship, RelationshipKind, RelationshipSource};
use uplift_model::review::{Review, ReviewReason};
use uplift_model::trial::{AssignmentUnit, ShareStage, TrialKind};
use uplift_model::verdict::Interval;
use uplift_store::rows::NodeRow;
use uplift_store::suite::sample::{batch, finding, name};
use uplift_store::suite::scene::{base, candidate, ending, new_improvement, proposal, revision, starting, trial};
use uplift_store::{IntakeBatch, Prune, SqlStore, StepCommit, StoreResult, Write, Writes};

use uplift_model::access::{AuditEntry, Role};
use uplift_store::writes::access::AccessWrite;
use uplift_store::writes::attention::{AlertWrite, HealthWrite, NotificationWrite};
use uplift_store::writes::requests::RequestWrite;
use uplift_store::writes::{ImprovementChange, NewImprovement};

use crate::filling::{AGENTS, World, after, spans, work};

/// A write under way.
pub(crate) type Done<'a> = Pin<Box<dyn Future<Output = StoreResult<()>> + Send + 'a>>;

/// A write: its name (that of the facade first), itself, and the large tables that it may read from end to end.
pub(crate) type Written =
    (&'static str, for<'a> fn(&'a SqlStore, &'a World, usize) -> Done<'a>, &'static [&'static str]);

async fn take(store: &SqlStore, batch: IntakeBatch) -> StoreResult<()> {
    let receipt = store.commit_intake(batch).await?;
    assert!(receipt.refused.is_empty(), "{:?}", receipt.refused);
    Ok(())
}

async fn commit(store: &SqlStore, writes: Vec<Write>) -> StoreResult<()> {
    store.commit_step(StepCommit { at: after(10), writes, ..StepCommit::default() }).await.map(drop)
}

macro_rules! intake {
    ($name:literal, $world:ident, $round:ident, $batch:expr) => {
        ($name, |store, $world, $round| Box::pin(take(store, $batch)), &[])
    };
}

macro_rules! write {
    ($name:literal, $world:ident, $round:ident, $write:expr) => {
        ($name, |store, $world, $round| Box::pin(commit(store, vec![$write])), &[])
    };
}

/// The number of a row that SQL made, another one each round.
fn nth(from: i64, round: usize) -> i64 {
    1_000 + from + round as i64
}

fn at(round: usize) -> Time {
    after(4).plus_micros(round as i64 * 60_000_000)
}

fn agent(round: usize) -> String {
    format!("a{}", round as i64 % AGENTS)
}

fn change(change: ImprovementChange, id: i64) -> Write {
    Write::ChangeImprovement { id, expected_version: 1, change: Box::new(change) }
}

fn alert(fingerprint: String) -> AlertFinding {
    AlertFinding {
        kind: AlertKind::RecurringFailure,
        entity: None,
        fingerprint,
        message: String::new(),
        value: 5.0,
        threshold: 5.0,
        at: after(1),
    }
}

fn entry(world: &World) -> HistoryEntry {
    HistoryEntry {
        improvement_id: world.improvement,
        entity: world.agents[0],
        improvement_type: ImprovementType::InstructionUpdate,
        outcome: HistoryOutcome::Inconclusive,
        reason: "because".into(),
        started_at: None,
        decided_at: after(1),
        metrics_before: None,
        metrics_after: None,
        effectiveness: Some(Interval { estimate: 0.1, low: -0.5, high: 0.5 }),
        rollback_revision: Some(base().id().clone()),
        verdict: None,
        report: "# Report".into(),
    }
}

fn look(world: &World, round: usize) -> Write {
    let cursor = |round: usize| 42_000 + 200 * round as i64;
    Write::SaveLook {
        id: world.trials[0],
        expected_cursor: if round == 0 { 0 } else { cursor(round - 1) },
        cursor: cursor(round),
        looked_us: at(round).micros(),
        state: serde_json::json!({"round": round}),
        verdict: None,
        summary: Some(serde_json::json!({})),
        forget_before_us: after(-300).micros(),
    }
}

fn prune(events_days: i64, tasks_days: i64) -> Prune {
    let before = |days: i64| Some(after(-24 * days).hour());
    Prune { events_before: before(events_days), tasks_before: before(tasks_days), rows: 500 }
}

/// All of them. Opportunities 1001 to 1040 are pending, to 1080 not confirmed, to 1100 in progress.
pub(crate) const WRITES: &[Written] = &[
    intake!("commit_intake of tasks", _w, round, {
        batch((0..20).flat_map(|n| work(&agent(round), &format!("new-{round}-{n}"), at(round))).collect())
    }),
    intake!(
        "commit_intake of the same",
        _w,
        round,
        batch(work(&agent(round), &format!("task-{round}"), after(0).plus_micros(round as i64 * 60_000_000)))
    ),
    intake!("commit_intake of late events", _w, round, {
        let mut late = work(&agent(round), &format!("task-{}", round + 10), at(round));
        late.truncate(1);
        late[0].id = "late".into();
        batch(late)
    }),
    intake!("commit_intake of spans", _w, round, {
        batch(
            (0..20)
                .flat_map(|n| spans(&agent(round), &format!("{:032x}", 1_000 + 100 * round + n), at(round), true))
                .collect(),
        )
    }),
    intake!("commit_intake of half a trace", _w, round, {
        batch(spans(&agent(round), &format!("{:032x}", 5_000 + round), at(round), false))
    }),
    intake!("commit_intake of what was missing", _w, round, {
        let mut missing = spans(&agent(round), &format!("{:032x}", 5_000 + round), at(round), true);
        missing.remove(2);
        missing.remove(0);
        batch(missing)
    }),
    intake!("commit_intake that settles", _w, round, {
        let before = uplift_store::suite::sample::START.plus_micros(86_400_000 * 40 * (1 + round as i64));
        IntakeBatch { settle_before: Some(before), ..batch(Vec::new()) }
    }),
    intake!("commit_intake of the inbox", _w, round, {
        let events = work(&agent(round), &format!("inbox-{round}"), at(round));
        IntakeBatch { inbox: (1..=5).map(|n| round as i64 * 5 + n).collect(), ..batch(events) }
    }),
    write!(
        "DeclareEntity",
        _w,
        round,
        Write::DeclareEntity {
            name: name(DEFAULT_ENVIRONMENT, EntityType::Agent, &format!("new-{round}")),
            config: ImprovementConfig::default(),
        }
    ),
    write!(
        "DeclareRunning",
        _w,
        round,
        Write::DeclareRunning {
            name: name(DEFAULT_ENVIRONMENT, EntityType::Agent, &format!("running-{round}")),
            config: ImprovementConfig::default(),
            revision: Box::new(revision("running")),
        }
    ),
    write!("SetEntityState", w, _round, Write::SetEntityState { entity: w.agents[3], state: EntityState::Active }),
    write!("SetEntityConfig", w, _round, {
        Write::SetEntityConfig { entity: w.agents[3], config: ImprovementConfig::default() }
    }),
    write!(
        "PutRelationship",
        w,
        round,
        Write::PutRelationship(Relationship {
            from: w.agents[round],
            to: w.agents[round + 1],
            kind: RelationshipKind::DependsOn,
            strength: 0.5,
            source: RelationshipSource::Declared,
        })
    ),
    write!("PointRevision", w, round, {
        Write::PointRevision { entity: w.agents[4], revision: Box::new(revision(&format!("new-{round}"))) }
    }),
    write!(
        "PutFinding",
        w,
        round,
        Write::PutFinding {
            finding: Box::new(finding(w.agents[5], OpportunityKind::TokenWaste, &format!("new-{round}"))),
            quiet_since: Some(after(-300)),
        }
    ),
    write!(
        "ConfirmOpportunity",
        w,
        round,
        Write::ConfirmOpportunity {
            id: nth(41, round),
            finding: Box::new(finding(w.agents[5], OpportunityKind::TokenWaste, "confirmed")),
        }
    ),
    write!("WithdrawOpportunity", _w, round, {
        Write::WithdrawOpportunity { id: nth(51, round), reason: "not so".into() }
    }),
    write!(
        "CloseOpportunity",
        _w,
        round,
        Write::CloseOpportunity { id: nth(61, round), status: OpportunityStatus::Dismissed, reason: "no".into() }
    ),
    write!("PutRevision", _w, round, Write::PutRevision(Box::new(revision(&format!("put-{round}"))))),
    write!("NoteDefaults", w, round, {
        Write::NoteDefaults { entity: w.agents[4], revision: Box::new(revision(&format!("default-{round}"))) }
    }),
    write!("ClaimOpportunity", _w, round, Write::ClaimOpportunity { id: nth(71, round) }),
    write!(
        "WithdrawUnfound",
        w,
        round,
        Write::WithdrawUnfound {
            entity: w.agents[round],
            kinds: vec![OpportunityKind::TokenWaste],
            found: vec![(OpportunityKind::TokenWaste, "f1".into())],
        }
    ),
    write!("ReturnOpportunity", _w, round, {
        Write::ReturnOpportunity { id: nth(81, round), not_before: after(9), reason: "later".into() }
    }),
    write!("ReopenOpportunity", _w, round, {
        Write::ReopenOpportunity { id: nth(202, 3 * round), not_before: after(9), reason: "again".into() }
    }),
    write!(
        "PutImprovement",
        w,
        round,
        Write::PutImprovement(Box::new(NewImprovement {
            opportunity_id: Some(nth(1, round)),
            process_due: Some(after(9)),
            ..new_improvement(w.agents[6])
        }))
    ),
    write!("ChangeImprovement, its proposal", _w, round, {
        change(
            ImprovementChange { proposal: Some(Box::new(proposal())), ..ImprovementChange::default() },
            nth(14_981, round),
        )
    }),
    write!("ChangeImprovement to validated", w, round, {
        let validated = ImprovementChange {
            status: Some(ImprovementStatus::Validated),
            base: Some(base().id().clone()),
            candidate: Some(candidate().id().clone()),
            checks: Some(Vec::new()),
            ..ImprovementChange::default()
        };
        change(validated, w.untried[round].1)
    }),
    write!("StartTrial", w, round, {
        let (entity, improvement) = w.untried[round];
        starting(entity, improvement, trial(TrialKind::Trial, AssignmentUnit::Task))
    }),
    write!("AddStage", w, round, {
        Write::AddStage { id: w.trials[0], stage: ShareStage { from_us: at(round).micros(), share: 0.5 } }
    }),
    write!("SaveLook", w, round, look(w, round)),
    write!("EndTrial", w, round, ending(w.spare[round].2)),
    write!("RecordHistory", w, _round, Write::RecordHistory(Box::new(entry(w)))),
    write!("ClaimLease", _w, _round, {
        Write::ClaimLease { name: "lease".into(), holder: "me".into(), ttl_us: 1_000_000 }
    }),
    write!("ClaimLeases", _w, _round, {
        let names = (0..16).map(|n| format!("shard/{n}")).collect();
        Write::ClaimLeases { names, holder: "me".into(), ttl_us: 1_000_000 }
    }),
    write!(
        "NoteNode",
        _w,
        round,
        Write::NoteNode(NodeRow {
            node: format!("node-{round}"),
            url: None,
            version: "1".into(),
            started_at: after(0),
            seen_at: after(1),
        })
    ),
    write!("ReleaseLease", _w, _round, {
        Write::ReleaseLease(Lease { name: "lease".into(), holder: "me".into(), epoch: 1 })
    }),
    write!(
        "StartProcess",
        _w,
        round,
        Write::StartProcess {
            name: IMPROVEMENT_PROCESS.to_owned(),
            subject: format!("new/{round}"),
            state: "validate".into(),
            wake_at: after(9),
        }
    ),
    write!(
        "StepProcess",
        _w,
        round,
        Write::StepProcess {
            id: nth(1, round),
            from: "validate".into(),
            to: "queue".into(),
            wake_at: Some(after(9)),
            note: None,
        }
    ),
    write!("FailProcess", _w, round, {
        Write::FailProcess { id: nth(11, round), error: "no answer".into(), wake_at: after(9) }
    }),
    write!(
        "WakeProcess",
        _w,
        round,
        Write::WakeProcess {
            name: IMPROVEMENT_PROCESS.to_owned(),
            subject: Some(format!("improvement/{}", nth(1, round))),
            at: after(2),
        }
    ),
    write!("WakeProcess, all", _w, _round, {
        Write::WakeProcess { name: IMPROVEMENT_PROCESS.to_owned(), subject: None, at: after(2) }
    }),
    write!("FinishOutbox", _w, round, Write::FinishOutbox { id: nth(1, round) }),
    write!("FailOutbox", _w, round, Write::FailOutbox { id: nth(11, round) }),
    write!(
        "RecordReview",
        w,
        _round,
        Write::RecordReview(Review {
            entity: w.agents[3],
            reviewed_at: after(9),
            reason: ReviewReason::Tasks,
            tasks: 1,
            findings: 0,
            summary: "quiet".into(),
        })
    ),
    write!("Alerts, raised", _w, round, Write::Alerts(AlertWrite::Raise(alert(format!("new-{round}"))))),
    write!("Alerts, quiet", _w, round, Write::Alerts(AlertWrite::Quiet { ids: vec![nth(1, round)] })),
    write!("Alerts, resolved", _w, round, Write::Alerts(AlertWrite::Resolve { ids: vec![nth(1, round)], by: None })),
    write!("Health, trends", _w, _round, {
        Write::Health(HealthWrite::Trends { success_change: Some(0.1), duration_change: None })
    }),
    write!("Notifications, claimed", _w, round, {
        Write::Notifications(NotificationWrite::Claim { ids: vec![nth(1, round)], until: after(2) })
    }),
    write!("Access, an action written down", _w, _round, {
        Write::Access(AccessWrite::BeginAudit(AuditEntry {
            at: after(2),
            actor: "ops".into(),
            role: Role::Operator,
            token_id: None,
            peer: None,
            action: "POST /x".into(),
            subject: "/x".into(),
            detail: None,
        }))
    }),
    write!("Access, an action answered", _w, round, {
        Write::Access(AccessWrite::EndAudit { id: 1 + round as i64, status: 200 })
    }),
    write!("Requests, an order of work", _w, _round, Write::Requests(RequestWrite::Plan { order: Vec::new() })),
    write!("SetDetection", _w, _round, Write::SetDetection(DetectionPolicy::default())),
    write!("SetSetting", _w, _round, { Write::SetSetting { name: "policy".into(), value: serde_json::json!({}) } }),
    write!("RejectInbox", _w, round, Write::RejectInbox { seq: 100 + round as i64, reason: "no id".into() }),
    write!("Prune, events", _w, _round, Write::Prune(prune(30, 400))),
    write!("Prune, tasks", _w, _round, Write::Prune(prune(400, 30))),
    write!("Tick", _w, _round, Write::Tick),
];

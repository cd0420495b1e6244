//! The loop over what is due: opportunities are claimed, process instances stepped, actions of the outbox carried out.
//!
//! A tick takes no input: it reads the state and does what is due. Every step is one commit, under the lease, that holds
//! its result, the next due time and the actions that follow; so a process that is killed anywhere goes on from its last
//! commit, and nothing happens twice.
//!
//! In reading order: `claim` (opportunities become improvements), `improve` (`ImprovementProcess`: validate, deploy),
//! `queue` (whose turn it may be), `deploy` (the trial begins), `watching` (`ImprovementMonitoringProcess`: look, decide), `ending` (what follows a
//! decision), `outbox`, `lease`.

pub(crate) mod claim;
pub(crate) mod deploy;
pub(crate) mod ending;
pub(crate) mod improve;
pub(crate) mod lease;
pub(crate) mod outbox;
pub(crate) mod queue;
pub(crate) mod watching;

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use uplift_model::Time;
use uplift_model::process::{IMPROVEMENT_MONITORING_PROCESS, IMPROVEMENT_PROCESS, Lease, ProcessInstance};
use uplift_store::writes::{StepCommit, StepReceipt, Write};
use uplift_store::{Notice, StoreError, StoreResult};

use crate::engine::Engine;
use crate::nodes;

/// How often to look for what is due.
const TICK: Duration = Duration::from_millis(250);
/// How long to wait where nothing can be written.
const FULL_DISK: Duration = Duration::from_secs(1);
/// Instances stepped before the next ones are read.
const BATCH: u32 = 200;
/// Rounds of one tick: a chain of steps that are all due at once is shorter.
const ROUNDS: usize = 16;
/// How long to wait before a failed step is tried again: doubled with every failure, up to an hour.
const FIRST_RETRY_US: i64 = 5_000_000;
const LAST_RETRY_US: i64 = 3_600_000_000;

/// What a tick came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Opportunities claimed.
    pub claimed: u64,
    /// Improvements that passed validation.
    pub validated: u64,
    /// Improvements that a check refused.
    pub rejected: u64,
    /// Trials started, hold-backs not counted.
    pub started: u64,
    /// Looks held.
    pub looks: u64,
    /// Improvements kept.
    pub kept: u64,
    /// Improvements taken back because they did harm.
    pub rolled_back: u64,
    /// Trials that ended without an answer.
    pub inconclusive: u64,
    /// Steps that failed and are tried again.
    pub failed: u64,
    /// Actions of the outbox carried out.
    pub actions: u64,
}

/// Does everything that is due.
///
/// # Errors
/// When the store fails. A step that fails by itself is noted, and does not keep the others waiting.
pub async fn tick(engine: &Engine) -> StoreResult<Report> {
    let mut report = Report::default();
    // A clock that was set may be set again. Another node whose clock is right takes over meanwhile.
    if !engine.trusts_clock() {
        return Ok(report);
    }
    let Some(lease) = lease::hold(engine).await? else { return Ok(report) };
    // Another process may have turned the kill switch.
    engine.read_switch().await?;
    claim::claim(engine, &lease, &mut report).await?;
    let mut queue = queue::Queue::default();
    for _ in 0..ROUNDS {
        let due = engine.store().due_processes(engine.now(), BATCH).await?;
        if due.is_empty() {
            break;
        }
        step_all(engine, &lease, due, &mut queue, &mut report).await?;
    }
    outbox::carry_out(engine, &lease, &mut report).await?;
    Ok(report)
}

/// Runs until `stop` says so. Errors are logged and tried again.
pub async fn run(engine: Engine, mut stop: tokio::sync::watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = engine.wait_for_work() => {}
            _ = stop.changed() => break,
        }
        match tick(&engine).await {
            Ok(_) => {}
            Err(StoreError::Closed) => return,
            // Said once, where it is noted.
            Err(StoreError::DiskFull { .. }) => tokio::time::sleep(FULL_DISK).await,
            Err(error) => {
                tracing::warn!(%error, "improvements could not go on; it is tried again");
                tokio::time::sleep(TICK).await;
            }
        }
    }
    lease::release(&engine).await;
}

/// Keeps what resolvers read up with the store until `stop` says so: a loop of its own, so that a tick that takes long, or
/// a store that does not answer, is noticed.
pub async fn keep_up(engine: Engine, mut stop: tokio::sync::watch::Receiver<bool>) {
    let mut failing = false;
    let mut ear = engine.store().listen();
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = until_configured(&mut ear) => {}
            _ = stop.changed() => return,
        }
        let polled = engine.snapshot().poll(engine.store(), engine.now()).await;
        let polled = match polled {
            Ok(()) => engine.tokens().poll(engine.store()).await,
            failed => failed,
        };
        let polled = match polled {
            Ok(()) => engine.feed().poll(engine.store()).await,
            failed => failed,
        };
        // Once for each spell, not four times a second.
        if let Err(error) = &polled
            && !failing
        {
            tracing::warn!(%error, "resolvers cannot be kept up with the store");
        }
        failing = polled.is_err();
    }
}

/// Completes when another node says that what resolvers serve has changed.
async fn until_configured(ear: &mut Option<Receiver<Notice>>) {
    while let Notice::Touched(_) = nodes::hear(ear).await {}
}

async fn step_all(
    engine: &Engine,
    lease: &Lease,
    due: Vec<ProcessInstance>,
    queue: &mut queue::Queue,
    report: &mut Report,
) -> StoreResult<()> {
    let (monitoring, others): (Vec<_>, Vec<_>) =
        due.into_iter().partition(|instance| instance.name == IMPROVEMENT_MONITORING_PROCESS);
    for instance in others {
        let result = match instance.name.as_str() {
            IMPROVEMENT_PROCESS => improve::step_one(engine, lease, &instance, queue, report).await,
            other => Err(StoreError::Invalid { reason: format!("nobody here knows how to run `{other}`") }),
        };
        settle(engine, lease, &instance, result, report).await?;
    }
    queue.save(engine, lease).await?;
    watching::step_all(engine, lease, monitoring, report).await
}

/// Notes a failure of one instance; a store that is gone ends the tick.
pub(crate) async fn settle(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    result: StoreResult<()>,
    report: &mut Report,
) -> StoreResult<()> {
    let error = match result {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    match error {
        StoreError::Closed
        | StoreError::StaleLease { .. }
        | StoreError::DiskFull { .. }
        | StoreError::ReadOnly { .. } => Err(error),
        // Somebody else moved it on in the meantime: what is true now is read with the next round.
        StoreError::VersionConflict { .. } => {
            tracing::debug!(%error, instance = instance.id, "a step was overtaken");
            commit(engine, lease, vec![retry(engine, instance, &error)]).await.map(drop)
        }
        error => {
            report.failed += 1;
            tracing::warn!(%error, process = %instance.name, subject = %instance.subject, "a step failed; it is tried again");
            commit(engine, lease, vec![retry(engine, instance, &error)]).await.map(drop)
        }
    }
}

fn retry(engine: &Engine, instance: &ProcessInstance, error: &StoreError) -> Write {
    let doubled = FIRST_RETRY_US.saturating_mul(1 << instance.attempts.clamp(0, 20));
    let wait = doubled.min(LAST_RETRY_US);
    Write::FailProcess { id: instance.id, error: error.to_string(), wake_at: engine.now().plus_micros(wait) }
}

/// Commits the writes of a step under the lease.
///
/// # Errors
/// When the lease is gone, or the store says no.
pub(crate) async fn commit(engine: &Engine, lease: &Lease, writes: Vec<Write>) -> StoreResult<StepReceipt> {
    commit_with(engine, lease, writes, Vec::new()).await
}

/// As [`commit`], with actions for the outbox.
///
/// # Errors
/// When the lease is gone, or the store says no.
pub(crate) async fn commit_with(
    engine: &Engine,
    lease: &Lease,
    writes: Vec<Write>,
    outbox: Vec<(String, serde_json::Value)>,
) -> StoreResult<StepReceipt> {
    engine
        .step(StepCommit {
            at: engine.now(),
            lease: Some(lease.clone()),
            expected_versions: Vec::new(),
            writes,
            outbox,
        })
        .await
}

/// The improvement a process instance is about.
pub(crate) fn improvement_of(instance: &ProcessInstance) -> StoreResult<i64> {
    instance.subject.strip_prefix("improvement/").and_then(|id| id.parse().ok()).ok_or_else(|| StoreError::Invalid {
        reason: format!("process {} is about `{}`, which is no improvement", instance.id, instance.subject),
    })
}

/// The subject of an improvement's processes.
pub(crate) fn subject(improvement_id: i64) -> String {
    format!("improvement/{improvement_id}")
}

/// The moment an instance is stepped to, for `StepProcess`.
pub(crate) fn step(instance: &ProcessInstance, to: &str, wake_at: Option<Time>, note: Option<String>) -> Write {
    Write::StepProcess { id: instance.id, from: instance.state.clone(), to: to.to_owned(), wake_at, note }
}

//! The loop that deletes what is old: small steps, under the lease, while the writer has nothing better to do.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, gauge};
use uplift_model::policy::RetentionPolicy;
use uplift_model::{Hour, Time};
use uplift_store::rows::StorageRow;
use uplift_store::writes::{Prune, Pruned, StepCommit, Write};
use uplift_store::{StoreError, StoreResult};

use crate::engine::Engine;

/// Days for which tasks stay after their arrival, at the least; as long as raw events where those stay longer.
pub const TASK_DAYS: i64 = 400;
/// Rows written in one step: some milliseconds of the writer's time.
const ROWS: u32 = 2_000;
/// How long to wait for the lease at first.
const FIRST: Duration = Duration::from_secs(5);
/// How often to look whether something has become old.
const LOOK: Duration = Duration::from_mins(1);
/// Least pause between two steps.
const PAUSE: Duration = Duration::from_millis(50);
/// A step is followed by a pause so many times as long: at most a tenth of the writer's time goes into it.
const PAUSE_PER_COST: u32 = 9;
/// Events that wait for the writer from which on a step is put off.
const LOADED: usize = 1_000;
/// How often to look again where a step was put off.
const PUT_OFF: Duration = Duration::from_millis(250);
/// How often in a row a step is put off: a server that is always loaded must not fill its disk.
const PUT_OFFS: u32 = 4;
/// How often it is said again that the database is too large with nothing left to delete.
const COMPLAIN: Duration = Duration::from_hours(1);

const DELETED: &str = "uplift_retention_deleted_total";
const BYTES: &str = "uplift_database_bytes";

/// What retention would delete now, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// As for the store.
    pub prune: Prune,
    /// It is larger than it may be, and this does not change that.
    pub stuck: bool,
}

/// Works out what is too old, or too much.
pub fn plan(policy: &RetentionPolicy, now: Time, storage: &StorageRow) -> Plan {
    let ago = |hours: i64| now.plus_hours(-hours).hour();
    let days = i64::from(policy.raw_events_days);
    let mut events = (days > 0).then(|| ago(days * 24));
    let mut tasks = (days > 0).then(|| ago(days.max(TASK_DAYS) * 24));
    let mut stuck = false;
    if policy.max_bytes > 0 && storage.used_bytes > policy.max_bytes {
        // Hour by hour, the oldest first, so that no more goes than has to.
        let bound = ago(i64::from(policy.dedup_window_hours));
        let next = |since: Option<Hour>| since.map(|hour| hour.plus(1)).filter(|next| *next <= bound);
        match (next(storage.events_since), next(storage.tasks_since)) {
            (Some(next), _) => events = Some(events.map_or(next, |old| old.max(next))),
            (None, Some(next)) => tasks = Some(tasks.map_or(next, |old| old.max(next))),
            (None, None) => stuck = true,
        }
    }
    Plan { prune: Prune { events_before: events, tasks_before: tasks, rows: ROWS }, stuck }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepped {
    /// There is nothing to delete, or another node sees to it.
    Nothing,
    /// The writer has other things to do.
    PutOff,
    /// So much was deleted.
    Deleted(Pruned),
}

/// Carries out one step; where `may_wait`, not while the writer is loaded.
///
/// # Errors
/// When the store fails, or the lease has gone to another node.
pub async fn step(engine: &Engine, may_wait: bool) -> StoreResult<Stepped> {
    let Some(lease) = engine.lease() else { return Ok(Stepped::Nothing) };
    // What a clock that ran ahead made old would be gone for good.
    if !engine.trusts_clock() {
        return Ok(Stepped::Nothing);
    }
    if may_wait && engine.queued_events() >= LOADED {
        return Ok(Stepped::PutOff);
    }
    let storage = engine.store().storage().await?;
    let plan = plan(&engine.policy().retention, engine.now(), &storage);
    if plan.prune.events_before.is_none() && plan.prune.tasks_before.is_none() {
        return Ok(Stepped::Nothing);
    }
    let writes = vec![Write::Prune(plan.prune)];
    let commit = StepCommit { at: engine.now(), lease: Some(lease), writes, ..StepCommit::default() };
    let mut done = engine.step(commit).await?.pruned.unwrap_or_default();
    let went = done.events + done.texts + done.tasks > 0;
    for (what, count) in [("events", done.events), ("texts", done.texts), ("tasks", done.tasks)] {
        counter!(DELETED, "what" => what).increment(count);
    }
    // By size, the next hour is looked at once this one is done.
    let over = engine.policy().retention.max_bytes;
    done.more |= went && over > 0 && storage.used_bytes > over;
    Ok(Stepped::Deleted(done))
}

/// Runs until `stop` says so. Errors are logged and tried again.
pub async fn run(engine: Engine, mut stop: tokio::sync::watch::Receiver<bool>) {
    describe_counter!(DELETED, "Rows that retention has deleted, by what they held: events, texts or tasks.");
    describe_gauge!(BYTES, "Size of the database, by part: file, used (of the file) and wal, bytes.");
    let mut pause = FIRST;
    let mut complained: Option<Instant> = None;
    let mut put_off = 0;
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
        let began = Instant::now();
        let stepped = step(&engine, put_off < PUT_OFFS).await;
        put_off = if matches!(stepped, Ok(Stepped::PutOff)) { put_off + 1 } else { 0 };
        pause = match stepped {
            Ok(Stepped::PutOff) => PUT_OFF,
            Ok(Stepped::Deleted(done)) if done.more => PAUSE.max(began.elapsed() * PAUSE_PER_COST),
            // What went wrong here is known already, or somebody else's business by now.
            Ok(Stepped::Deleted(_) | Stepped::Nothing)
            | Err(StoreError::DiskFull { .. } | StoreError::StaleLease { .. }) => LOOK,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "what is old could not be deleted; it will be tried again");
                LOOK
            }
        };
        if pause == LOOK {
            measure(&engine, &mut complained).await;
            if let Err(error) = engine.tend_access().await {
                tracing::debug!(%error, "uses of tokens could not be noted; the next ones will be");
            }
        }
    }
}

/// Says how large the database is, and that it is too large where nothing can be done about it.
async fn measure(engine: &Engine, complained: &mut Option<Instant>) {
    let Ok(storage) = engine.store().storage().await else { return };
    for (part, bytes) in [("file", storage.file_bytes), ("used", storage.used_bytes), ("wal", storage.wal_bytes)] {
        gauge!(BYTES, "part" => part).set(bytes as f64);
    }
    let retention = engine.policy().retention.clone();
    let stuck = plan(&retention, engine.now(), &storage).stuck;
    if stuck && complained.is_none_or(|at| at.elapsed() >= COMPLAIN) {
        tracing::warn!(
            used = storage.used_bytes,
            allowed = retention.max_bytes,
            "the database is larger than retention.max_bytes, and all that is left is younger than \
             retention.dedup_window_hours or kept for good"
        );
        *complained = Some(Instant::now());
    } else if !stuck {
        *complained = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24;

    #[test]
    fn what_is_too_old_or_too_much_goes() {
        let now = Time::EARLIEST.plus_hours(10_000 * DAY);
        let ago = |hours: i64| Some(now.plus_hours(-hours).hour());
        let policy =
            |days: u32, max_bytes: u64| RetentionPolicy { dedup_window_hours: 48, raw_events_days: days, max_bytes };
        let storage = |used_bytes: u64, events: Option<i64>, tasks: Option<i64>| StorageRow {
            used_bytes,
            events_since: events.and_then(ago),
            tasks_since: tasks.and_then(ago),
            ..StorageRow::default()
        };
        let cases = [
            // Policy, storage; events and tasks that go, stuck.
            ("for good", policy(0, 0), storage(900, Some(9_000), Some(9_999)), (None, None, false)),
            ("by age", policy(30, 0), storage(900, Some(9_000), None), (ago(30 * DAY), ago(400 * DAY), false)),
            ("long", policy(500, 0), storage(900, None, None), (ago(500 * DAY), ago(500 * DAY), false)),
            ("fits", policy(0, 900), storage(900, Some(9_000), None), (None, None, false)),
            ("by size", policy(0, 900), storage(901, Some(100), Some(90)), (ago(99), None, false)),
            ("by both", policy(30, 900), storage(901, Some(100), None), (ago(99), ago(400 * DAY), false)),
            ("old ones first", policy(30, 900), storage(901, Some(999), None), (ago(720), ago(400 * DAY), false)),
            ("the window stays", policy(0, 900), storage(901, Some(48), None), (None, None, true)),
            ("its last hour", policy(0, 900), storage(901, Some(49), None), (ago(48), None, false)),
            ("then tasks", policy(0, 900), storage(901, Some(48), Some(600)), (None, ago(599), false)),
            ("nothing", policy(0, 900), storage(901, None, None), (None, None, true)),
        ];
        for (name, policy, storage, (events, tasks, stuck)) in cases {
            let expected = Plan { prune: Prune { events_before: events, tasks_before: tasks, rows: ROWS }, stuck };
            assert_eq!(plan(&policy, now, &storage), expected, "{name}");
        }
    }
}

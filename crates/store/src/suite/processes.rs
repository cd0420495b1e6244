//! Durable processes: due, stepped, failed and woken; leases; what is left to be carried out.

use serde_json::json;
use uplift_model::Time;
use uplift_model::process::{IMPROVEMENT_MONITORING_PROCESS, IMPROVEMENT_PROCESS, Lease, ProcessInstance};

use super::sample::{Subject, hour, step};
use crate::error::{StoreError, StoreResult};
use crate::reads::Store;
use crate::writes::{StepCommit, StepReceipt, Write};

fn begin(subject: &str, wake_at: Time) -> Write {
    Write::StartProcess {
        name: IMPROVEMENT_PROCESS.to_owned(),
        subject: subject.to_owned(),
        state: "validate".to_owned(),
        wake_at,
    }
}

fn go(id: i64, from: &str, to: &str, wake_at: Option<Time>) -> Write {
    let note = Some(format!("{from} to {to}"));
    Write::StepProcess { id, from: from.to_owned(), to: to.to_owned(), wake_at, note }
}

async fn begun(store: &dyn Store, subject: &str, wake_at: Time) -> i64 {
    step(store, vec![begin(subject, wake_at)]).await.unwrap();
    store.processes_of(subject.to_owned()).await.unwrap()[0].instance.id
}

async fn due(store: &dyn Store, now: Time) -> Vec<ProcessInstance> {
    store.due_processes(now, 10).await.unwrap()
}

/// One runs for a subject; another one when it has ended.
pub async fn one_instance_runs_for_a_subject(store: Subject) {
    assert_eq!(store.next_due().await.unwrap(), None);
    let id = begun(&*store, "improvement/1", hour(1)).await;
    // What runs stays as it is.
    assert_eq!(begun(&*store, "improvement/1", hour(0)).await, id);
    let other = Write::StartProcess {
        name: IMPROVEMENT_MONITORING_PROCESS.to_owned(),
        subject: "improvement/1".to_owned(),
        state: "watch".to_owned(),
        wake_at: hour(2),
    };
    step(&*store, vec![other]).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(hour(1)));
    let registry: Vec<_> =
        store.process_registry().await.unwrap().into_iter().map(|(name, _, n)| (name, n)).collect();
    let expected = [(IMPROVEMENT_MONITORING_PROCESS.to_owned(), 1), (IMPROVEMENT_PROCESS.to_owned(), 1)];
    assert_eq!(registry, expected);
    step(&*store, vec![go(id, "validate", "done", None)]).await.unwrap();
    let next = begun(&*store, "improvement/1", hour(3)).await;
    assert_ne!(next, id);
    let all: Vec<i64> =
        store.processes_of("improvement/1".into()).await.unwrap().iter().map(|row| row.instance.id).collect();
    assert_eq!((all.len(), all[0], all[2]), (3, next, id));
    let Write::StartProcess { subject, state, wake_at, .. } = begin("x", hour(1)) else { unreachable!() };
    let unknown = Write::StartProcess { name: "Nothing".into(), subject, state, wake_at };
    assert!(matches!(step(&*store, vec![unknown]).await, Err(StoreError::NotFound { .. })));
}

/// The longest due first; what is not due, or has ended, is left out.
pub async fn due_instances_come_in_order(store: Subject) {
    let mut ids = Vec::new();
    for (subject, hours) in [("a", 3), ("b", 1), ("c", 2), ("d", 9)] {
        ids.push(begun(&*store, subject, hour(hours)).await);
    }
    let subjects = |instances: Vec<ProcessInstance>| instances.into_iter().map(|one| one.subject).collect::<Vec<_>>();
    assert_eq!(subjects(due(&*store, hour(3)).await), ["b", "c", "a"]);
    assert_eq!(subjects(store.due_processes(hour(3), 2).await.unwrap()), ["b", "c"]);
    assert!(due(&*store, hour(0)).await.is_empty());
    step(&*store, vec![go(ids[1], "validate", "done", None)]).await.unwrap();
    assert_eq!(subjects(due(&*store, hour(9)).await), ["c", "a", "d"]);
    assert_eq!(store.next_due().await.unwrap(), Some(hour(2)));
}

/// Steps are noted where the state changes; a step from another state, or of what has ended, is refused.
pub async fn steps_are_taken_once(store: Subject) {
    let id = begun(&*store, "improvement/1", hour(1)).await;
    step(&*store, vec![go(id, "validate", "validate", Some(hour(2)))]).await.unwrap();
    step(&*store, vec![go(id, "validate", "trial", Some(hour(3)))]).await.unwrap();
    let what = format!("process {id}");
    let expected = "a running one in state validate".to_owned();
    let overtaken = StoreError::VersionConflict { what, expected };
    assert_eq!(step(&*store, vec![go(id, "validate", "trial", Some(hour(9)))]).await.unwrap_err(), overtaken);
    let [row] = &store.processes_of("improvement/1".into()).await.unwrap()[..] else { panic!("one process") };
    assert_eq!((row.instance.state.as_str(), row.instance.wake_at, row.ended_at), ("trial", Some(hour(3)), None));
    step(&*store, vec![go(id, "trial", "trial", None)]).await.unwrap();
    let [row] = &store.processes_of("improvement/1".into()).await.unwrap()[..] else { panic!("one process") };
    assert_eq!((row.instance.wake_at, row.ended_at), (None, Some(hour(100))));
    let noted = |from: &str, to: &str| (hour(100), from.to_owned(), to.to_owned(), Some(format!("{from} to {to}")));
    assert_eq!(row.steps, [noted("validate", "trial"), noted("trial", "trial")]);
    assert!(matches!(step(&*store, vec![go(id, "trial", "x", None)]).await, Err(StoreError::VersionConflict { .. })));
    assert!(matches!(step(&*store, vec![go(id + 1, "trial", "x", None)]).await, Err(StoreError::NotFound { .. })));
}

/// Failures count up, and are forgotten with the next step that succeeds.
pub async fn failures_are_counted(store: Subject) {
    let id = begun(&*store, "improvement/1", hour(1)).await;
    let fail = |wake_at| vec![Write::FailProcess { id, error: "no answer".into(), wake_at }];
    step(&*store, fail(hour(2))).await.unwrap();
    step(&*store, fail(hour(4))).await.unwrap();
    assert!(due(&*store, hour(3)).await.is_empty());
    let failed = due(&*store, hour(4)).await.remove(0);
    assert_eq!(
        (failed.attempts, failed.last_error.as_deref(), failed.state.as_str()),
        (2, Some("no answer"), "validate")
    );
    step(&*store, vec![go(id, "validate", "trial", Some(hour(5)))]).await.unwrap();
    let again = due(&*store, hour(5)).await.remove(0);
    assert_eq!((again.attempts, again.last_error), (0, None));
    step(&*store, vec![go(id, "trial", "done", None)]).await.unwrap();
    // Nothing is tried again that has ended.
    step(&*store, fail(hour(6))).await.unwrap();
    assert!(due(&*store, hour(9)).await.is_empty());
    let missing = Write::FailProcess { id: id + 1, error: String::new(), wake_at: hour(1) };
    assert!(matches!(step(&*store, vec![missing]).await, Err(StoreError::NotFound { .. })));
}

/// Waking makes due, never later than before, and never what has ended.
pub async fn processes_are_woken(store: Subject) {
    let (a, b) = (begun(&*store, "a", hour(5)).await, begun(&*store, "b", hour(6)).await);
    let ended = begun(&*store, "c", hour(7)).await;
    step(&*store, vec![go(ended, "validate", "done", None)]).await.unwrap();
    let wake = |subject: Option<&str>, at| Write::WakeProcess {
        name: IMPROVEMENT_PROCESS.to_owned(),
        subject: subject.map(str::to_owned),
        at,
    };
    step(&*store, vec![wake(Some("a"), hour(9)), wake(Some("nobody"), hour(1)), wake(Some("c"), hour(1))])
        .await
        .unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(hour(5)));
    step(&*store, vec![wake(Some("a"), hour(2))]).await.unwrap();
    assert_eq!(due(&*store, hour(2)).await.iter().map(|one| one.id).collect::<Vec<_>>(), [a]);
    step(&*store, vec![wake(None, hour(3))]).await.unwrap();
    assert_eq!(due(&*store, hour(3)).await.iter().map(|one| one.id).collect::<Vec<_>>(), [a, b]);
    assert_eq!(store.next_due().await.unwrap(), Some(hour(2)));
}

/// Claims at a moment.
async fn claim(store: &dyn Store, holder: &str, at: Time, ttl_us: i64) -> StoreResult<Lease> {
    let write = Write::ClaimLease { name: "tick".to_owned(), holder: holder.to_owned(), ttl_us };
    let commit = StepCommit { at, writes: vec![write], ..StepCommit::default() };
    store.commit_step(commit).await.map(|receipt| receipt.lease.unwrap())
}

/// Writes nothing, under a lease.
async fn under(store: &dyn Store, lease: &Lease) -> StoreResult<StepReceipt> {
    store.commit_step(StepCommit { at: hour(1), lease: Some(lease.clone()), ..StepCommit::default() }).await
}

/// A lease belongs to one holder; who lost it is shut out, even from its own past.
pub async fn leases_change_hands(store: Subject) {
    let ttl = 10_000_000;
    let second = super::sample::second;
    let first = claim(&*store, "one", second(0), ttl).await.unwrap();
    assert_eq!(first, Lease { name: "tick".into(), holder: "one".into(), epoch: 1 });
    // Renewed in time: the same epoch.
    assert_eq!(claim(&*store, "one", second(9), ttl).await.unwrap(), first);
    let refused = claim(&*store, "two", second(18), ttl).await.unwrap_err();
    assert_eq!(refused, StoreError::StaleLease { name: "tick".into(), epoch: 1 });
    under(&*store, &first).await.unwrap();
    // Expired, and nobody else came: it may go on writing, and a new claim is a new epoch.
    let again = claim(&*store, "one", second(19), ttl).await.unwrap();
    assert_eq!(again.epoch, 2);
    assert!(matches!(under(&*store, &first).await, Err(StoreError::StaleLease { .. })));
    let other = claim(&*store, "two", second(29), ttl).await.unwrap();
    assert_eq!((other.holder.as_str(), other.epoch), ("two", 3));
    assert!(matches!(under(&*store, &again).await, Err(StoreError::StaleLease { .. })));
    // Given back by somebody who has it no more: nothing happens.
    step(&*store, vec![Write::ReleaseLease(again)]).await.unwrap();
    under(&*store, &other).await.unwrap();
    step(&*store, vec![Write::ReleaseLease(other.clone())]).await.unwrap();
    assert!(matches!(under(&*store, &other).await, Err(StoreError::StaleLease { .. })));
    assert_eq!(claim(&*store, "one", second(29), ttl).await.unwrap().epoch, 4);
    for (holder, ttl) in [("", ttl), ("one", 0)] {
        assert!(matches!(claim(&*store, holder, second(99), ttl).await, Err(StoreError::Invalid { .. })));
    }
}

/// Actions wait until they are carried out, the oldest first.
pub async fn actions_wait_in_the_outbox(store: Subject) {
    let commit = StepCommit {
        at: hour(1),
        outbox: vec![("webhook".into(), json!({"n": 1})), ("report".into(), json!({"n": 2}))],
        ..StepCommit::default()
    };
    store.commit_step(commit).await.unwrap();
    let waiting = store.outbox(10).await.unwrap();
    let [first, second] = &waiting[..] else { panic!("two actions") };
    assert_eq!(
        (first.kind.as_str(), &first.payload, first.created_at, first.attempts),
        ("webhook", &json!({"n": 1}), hour(1), 0)
    );
    assert_eq!(store.outbox(1).await.unwrap(), waiting[..1]);
    step(&*store, vec![Write::FailOutbox { id: first.id }, Write::FinishOutbox { id: second.id }]).await.unwrap();
    let left = store.outbox(10).await.unwrap();
    assert_eq!((left.len(), left[0].id, left[0].attempts), (1, first.id, 1));
    // Carried out twice is carried out.
    step(&*store, vec![Write::FinishOutbox { id: first.id }, Write::FinishOutbox { id: first.id }]).await.unwrap();
    assert!(store.outbox(10).await.unwrap().is_empty());
    for missing in [Write::FinishOutbox { id: 4_711 }, Write::FailOutbox { id: 4_711 }] {
        assert!(matches!(step(&*store, vec![missing]).await, Err(StoreError::NotFound { .. })));
    }
}

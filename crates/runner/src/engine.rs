//! The handle that servers and commands hold.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uplift_cycle::detect::health::Health;
use uplift_intake::redact::Redactor;
use uplift_model::access::Bound;
use uplift_model::event::Event;
use uplift_model::opportunity::{Opportunity, OpportunityStatus};
use uplift_model::process::Lease;
use uplift_model::{Policy, Time};
use uplift_store::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt, Write};
use uplift_store::{Store, StoreError, StoreResult};

use crate::access::Tokens;
use crate::clock::{Clock, Steadiness};
use crate::disk::Disk;
use crate::helped::Known;
use crate::nodes::Nodes;
use crate::notifying::Feed;
use crate::preparing;
use crate::processes::lease::Held;
use crate::requests::answers::Answers;
use crate::snapshot::Snapshot;
use crate::touched::Touched;

/// Text that takes as much room in the queue as an event without any.
const BYTES_PER_PERMIT: usize = 4_096;

/// The engine. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    policy: RwLock<Arc<Policy>>,
    /// As configured, before anything was set at run time.
    file_policy: Policy,
    /// What the policy says of texts, compiled.
    redactor: RwLock<Arc<Redactor>>,
    clock: Arc<dyn Clock>,
    steadiness: Mutex<Steadiness>,
    disk: Disk,
    room: Arc<Semaphore>,
    touched: Touched,
    ready: AtomicBool,
    snapshot: Snapshot,
    /// Who this node is among those that may hold leases.
    name: String,
    lease: Mutex<Option<Held>>,
    paused: AtomicBool,
    /// Told when something may have become due.
    due: Notify,
    /// Held while opportunities become improvements, so that none becomes two.
    claims: tokio::sync::Mutex<()>,
    helped: Known,
    nodes: Nodes,
    feed: Feed,
    tokens: Tokens,
    answers: Answers,
    /// Held while settings change, so that no change is lost.
    settings: tokio::sync::Mutex<()>,
}

/// Room in the queue for a number of events; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many events are waiting to be written: try again in {retry_after_s} s")]
pub struct Overloaded {
    /// When to try again, seconds.
    pub retry_after_s: u64,
}

impl Engine {
    /// An engine over a store. It does nothing by itself: see [`watch`](crate::watch).
    pub fn new(store: Arc<dyn Store>, policy: Policy, clock: Arc<dyn Clock>) -> Self {
        let room = Arc::new(Semaphore::new(policy.intake.max_queued_events));
        let redactor = RwLock::new(preparing::redactor(&policy.content));
        Self(Arc::new(Inner {
            store,
            redactor,
            file_policy: policy.clone(),
            policy: RwLock::new(Arc::new(policy)),
            clock,
            steadiness: Mutex::default(),
            disk: Disk::default(),
            room,
            touched: Touched::default(),
            ready: AtomicBool::new(true),
            snapshot: Snapshot::default(),
            // Random keys are all that tells one process from another here.
            name: format!("{:016x}", RandomState::new().build_hasher().finish()),
            lease: Mutex::new(None),
            paused: AtomicBool::new(false),
            due: Notify::new(),
            claims: tokio::sync::Mutex::new(()),
            helped: Known::default(),
            nodes: Nodes::default(),
            feed: Feed::default(),
            tokens: Tokens::default(),
            answers: Answers::default(),
            settings: tokio::sync::Mutex::new(()),
        }))
    }

    /// Where everything is kept.
    pub fn store(&self) -> &dyn Store {
        self.0.store.as_ref()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.0.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tokens by which others are known.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Those who listen for answers to requests.
    pub fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// The moment it is.
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// Whether the clock may be acted on now: not for some minutes after it was set.
    pub(crate) fn trusts_clock(&self) -> bool {
        let Some(elapsed) = self.0.clock.elapsed() else { return true };
        self.0.steadiness.lock().unwrap_or_else(PoisonError::into_inner).trusts(self.now(), elapsed)
    }

    /// The policy as it was configured, before anything was set at run time.
    pub(crate) fn file_policy(&self) -> &Policy {
        &self.0.file_policy
    }

    /// Puts another policy in force.
    pub(crate) fn set_policy(&self, policy: Arc<Policy>) {
        if policy.content != self.policy().content {
            let redactor = preparing::redactor(&policy.content);
            *self.0.redactor.write().unwrap_or_else(PoisonError::into_inner) = redactor;
        }
        *self.0.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.redactor.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is room to write.
    pub fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// What resolvers read.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }

    /// Whether the kill switch is on: no trial starts.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::SeqCst)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.0.paused.store(paused, Ordering::SeqCst);
    }

    /// This node's name among those that may hold leases.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn held_lease(&self) -> Option<Held> {
        self.0.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lease of this node, as far as it knows.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.held_lease().map(Held::into_lease)
    }

    pub(crate) fn set_lease(&self, held: Option<Held>) {
        *self.0.lease.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Waits for the right to turn opportunities into improvements.
    pub(crate) async fn claims(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.claims.lock().await
    }

    /// Waits for the right to change settings.
    pub(crate) async fn settings_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.settings.lock().await
    }

    /// What this node knows of itself among others.
    pub(crate) fn nodes(&self) -> &Nodes {
        &self.0.nodes
    }

    /// What happens, for those who listen.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// What was read of the history, to say what helped.
    pub(crate) fn helped(&self) -> &Known {
        &self.0.helped
    }

    /// Waits until something may have become due.
    pub async fn wait_for_work(&self) {
        self.0.due.notified().await;
    }

    /// Who was touched since detection last looked.
    pub fn touched(&self) -> &Touched {
        &self.0.touched
    }

    /// Whether it takes requests: not while it starts or shuts down.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::SeqCst)
    }

    /// Says whether it takes requests.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::SeqCst);
    }

    /// Events that wait for the writer now.
    pub fn queued_events(&self) -> usize {
        self.policy().intake.max_queued_events.saturating_sub(self.0.room.available_permits())
    }

    /// The room that events take in the queue: one each, or one for every 4 KiB of text, whichever is more, so that the
    /// queue is bounded in bytes too.
    pub fn weight(events: &[Event]) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let bytes: usize = events.iter().map(|event| text(&event.content) + text(&event.attributes)).sum();
        events.len().max(bytes / BYTES_PER_PERMIT)
    }

    /// Reserves room in the queue for events of this [weight](Self::weight) without waiting.
    ///
    /// # Errors
    /// When there is none.
    pub fn try_admit(&self, events: usize) -> Result<Admission, Overloaded> {
        match Arc::clone(&self.0.room).try_acquire_many_owned(self.permits(events)) {
            Ok(permit) => Ok(Admission { _permit: Some(permit) }),
            Err(_) => Err(Overloaded { retry_after_s: 1 }),
        }
    }

    /// Waits for room in the queue.
    pub async fn admit(&self, events: usize) -> Admission {
        // The semaphore is never closed; without a permit the writer's own queue still bounds what waits.
        Admission { _permit: Arc::clone(&self.0.room).acquire_many_owned(self.permits(events)).await.ok() }
    }

    fn permits(&self, events: usize) -> u32 {
        u32::try_from(events.clamp(1, self.policy().intake.max_queued_events)).unwrap_or(u32::MAX)
    }

    /// Prepares events, leaves of their texts what the policy says, stores them durably, wakes detection. Runs to its end
    /// even if the caller goes away.
    ///
    /// # Errors
    /// When nothing of these events was stored.
    pub async fn ingest(&self, admission: Admission, events: Vec<Event>) -> StoreResult<IntakeReceipt> {
        self.take_in(admission, events, Vec::new(), Vec::new()).await
    }

    /// As [`ingest`](Self::ingest), from somebody who stands for some entities: they begin and end no tasks that others have
    /// begun or ended.
    ///
    /// # Errors
    /// When nothing of these events was stored.
    pub async fn ingest_as(
        &self,
        admission: Admission,
        events: Vec<Event>,
        stands_for: Vec<Bound>,
    ) -> StoreResult<IntakeReceipt> {
        self.take_in(admission, events, Vec::new(), stands_for).await
    }

    /// As [`ingest`](Self::ingest), deleting the rows of `event_inbox` that the events came from.
    ///
    /// # Errors
    /// When nothing of these events was stored.
    pub async fn ingest_with(
        &self,
        admission: Admission,
        events: Vec<Event>,
        inbox: Vec<i64>,
    ) -> StoreResult<IntakeReceipt> {
        self.take_in(admission, events, inbox, Vec::new()).await
    }

    async fn take_in(
        &self,
        admission: Admission,
        events: Vec<Event>,
        inbox: Vec<i64>,
        stands_for: Vec<Bound>,
    ) -> StoreResult<IntakeReceipt> {
        let engine = self.clone();
        let work = tokio::spawn(async move {
            let redactor = engine.redactor();
            let batch = IntakeBatch {
                events: events.into_iter().map(|event| preparing::prepare(event, &redactor)).collect(),
                received_at: engine.now(),
                inbox,
                auto_register: engine.policy().engine.auto_register,
                defaults: engine.policy().entity.clone(),
                review: engine.policy().review,
                settle_before: None,
                stands_for,
            };
            let stored = engine.0.store.commit_intake(batch).await;
            engine.0.disk.note(engine.now(), &stored);
            let receipt = stored?;
            drop(admission);
            engine.0.touched.add(receipt.touched.iter().copied());
            Ok(receipt)
        });
        work.await.unwrap_or_else(|error| Err(ended(&error)))
    }

    /// Writes what a step decided. Runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// When nothing of it was written.
    pub async fn commit(&self, writes: Vec<Write>) -> StoreResult<StepReceipt> {
        self.step(StepCommit { at: self.now(), writes, ..StepCommit::default() }).await
    }

    /// Writes what a step decided, and lets resolvers know before it returns. Runs to its end even if the caller goes
    /// away.
    ///
    /// # Errors
    /// When nothing of it was written.
    pub async fn step(&self, commit: StepCommit) -> StoreResult<StepReceipt> {
        let engine = self.clone();
        let work = tokio::spawn(async move {
            let written = engine.0.store.commit_step(commit).await;
            engine.0.disk.note(engine.now(), &written);
            let receipt = written?;
            if !receipt.reconfigured.is_empty() {
                // What is committed stays true: a snapshot that could not be refreshed now is polled for.
                if let Err(error) = engine.0.snapshot.refresh(engine.store(), &receipt.reconfigured).await {
                    tracing::warn!(%error, "resolvers could not be told of a change; they poll for it");
                }
            }
            if !receipt.opened.is_empty() || !receipt.improvements.is_empty() {
                engine.0.due.notify_one();
            }
            Ok(receipt)
        });
        work.await.unwrap_or_else(|error| Err(ended(&error)))
    }

    /// Sets an opportunity aside.
    ///
    /// # Errors
    /// When there is none with this number, or it is not open.
    pub async fn dismiss(&self, opportunity_id: i64, reason: String) -> StoreResult<Opportunity> {
        let close = Write::CloseOpportunity { id: opportunity_id, status: OpportunityStatus::Dismissed, reason };
        self.commit(vec![close]).await?;
        self.store().opportunity(opportunity_id).await
    }

    /// The health of the whole.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn health(&self) -> StoreResult<Health> {
        crate::load::health(self).await
    }
}

/// Why a task gave no answer: it panicked, or the runtime is going down.
fn ended(error: &tokio::task::JoinError) -> StoreError {
    if error.is_panic() {
        StoreError::Engine { context: "working on a request", reason: "it panicked".to_owned() }
    } else {
        StoreError::Closed
    }
}

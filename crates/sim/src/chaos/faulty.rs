//! A store that breaks when it is told to.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use uplift_model::access::{AuditRecord, Token};
use uplift_model::alert::Alert;
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::history::TrackRecord;
use uplift_model::improvement::Improvement;
use uplift_model::notification::{Delivery, Target};
use uplift_model::opportunity::{Opportunity, OpportunityKind};
use uplift_model::process::ProcessInstance;
use uplift_model::relationship::Relationship;
use uplift_model::request::{Answer, AskingRecord, ImprovementRequest};
use uplift_model::review::{Review, ReviewCounter};
use uplift_model::revision::{Configuration, RevisionId};
use uplift_model::rollup::OperationDelta;
use uplift_model::task::Task;
use uplift_model::trial::{AssignmentUnit, TrialRecord, UnitRecord};
use uplift_model::{Hour, Time};
use uplift_store::rows::{
    AnalyticsRow, AuditFilter, ClaimTerms, Counts, DayDecisions, DayTasks, DecisionRow, DeliveryCounts,
    DeliveryFilter, EffectRow, EntityAnalyticsRow, EntityFilter, EntitySelector, EntityStatusRow, EntityTrend,
    EntityWindowRows, ErrorHistory, ErrorHour, EventFilter, EventRecord, HistoryRow, ImprovementFilter, InboxRow,
    LeaseRow, Mark, MetricsRow, NewsRow, NodeRow, OperationHistory, OpportunityFilter, OutboxRow, ProcessRow,
    RequestFilter, RevisionSince, ServedRow, StorageRow, SystemStatusRow, TaskCounts, TaskFilter, TrialFilter,
    UnitBatch,
};
use uplift_store::{
    AccessReads, DetectionReads, EntityReads, EventReads, ImprovementReads, IntakeBatch, IntakeReceipt, NewsReads,
    Notice, Notices, OpportunityReads, PageRequest, Paged, ProcessReads, RequestReads, ReviewReads, SqlStore,
    StepCommit, StepReceipt, Store, StoreError, StoreResult, SystemReads, TaskReads, TrendReads, TrialReads, Writes,
};

use super::ledger::Ledger;

/// Where in a commit the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing is written.
    Before,
    /// Everything is written, and nobody hears of it.
    After,
}

/// Something that happens between the moment a step was worked out and the moment it is written.
pub type Interloper = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is to go wrong.
#[derive(Default)]
struct Plan {
    /// Commits until the crash: 0 is the next one.
    crash: Option<(u64, When)>,
    /// Commits until somebody comes in between: 0 is the next one.
    interloper: Option<(u64, Interloper)>,
    /// The process is dead.
    down: bool,
    /// The store does not answer this process.
    unreachable: bool,
    commits: u64,
}

/// One process's way to a store that outlives it. It can crash at a commit, before or after it is written, and from then
/// on answers nothing; it can be out of reach for a while; and somebody can act just before a commit.
pub struct FaultyStore {
    inner: Arc<SqlStore>,
    ledger: Arc<Ledger>,
    plan: Mutex<Plan>,
}

impl FaultyStore {
    /// A way to this store without faults so far.
    pub fn new(inner: Arc<SqlStore>, ledger: Arc<Ledger>) -> Self {
        Self { inner, ledger, plan: Mutex::default() }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Crashes at the commit after `commits` more.
    pub fn crash_after(&self, commits: u64, when: When) {
        self.plan().crash = Some((commits, when));
    }

    /// Forgets a crash that has not happened.
    pub fn spare(&self) {
        self.plan().crash = None;
    }

    /// Lets somebody act just before the commit after `commits` more is written.
    pub fn interlope(&self, commits: u64, interloper: Interloper) {
        self.plan().interloper = Some((commits, interloper));
    }

    /// Kills the process: nothing is answered any more.
    pub fn kill(&self) {
        self.plan().down = true;
    }

    /// Whether the process is dead.
    pub fn is_down(&self) -> bool {
        self.plan().down
    }

    /// Cuts the process off from the store, or connects it again.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.plan().unreachable = unreachable;
    }

    /// Whether the process is cut off from the store.
    pub fn is_unreachable(&self) -> bool {
        self.plan().unreachable
    }

    /// Commits that were begun.
    pub fn commits(&self) -> u64 {
        self.plan().commits
    }

    fn reachable(&self) -> StoreResult<()> {
        let plan = self.plan();
        if plan.down {
            return Err(StoreError::Closed);
        }
        if plan.unreachable {
            return Err(StoreError::Busy { place: "a store out of reach".to_owned() });
        }
        Ok(())
    }

    /// Begins a commit: how it ends, where it is to end badly, and who comes in between.
    fn begin(&self) -> StoreResult<(Option<When>, Option<Interloper>)> {
        self.reachable()?;
        let mut plan = self.plan();
        plan.commits += 1;
        let interloper = match plan.interloper.take() {
            Some((0, interloper)) => Some(interloper),
            later => {
                plan.interloper = later.map(|(commits, interloper)| (commits - 1, interloper));
                None
            }
        };
        let fate = match plan.crash.take() {
            Some((0, when)) => {
                plan.down = true;
                Some(when)
            }
            later => {
                plan.crash = later.map(|(commits, when)| (commits - 1, when));
                None
            }
        };
        Ok((fate, interloper))
    }
}

#[async_trait]
impl Writes for FaultyStore {
    async fn commit_intake(&self, batch: IntakeBatch) -> StoreResult<IntakeReceipt> {
        let (fate, interloper) = self.begin()?;
        if let Some(interloper) = interloper {
            interloper().await;
        }
        if fate == Some(When::Before) {
            return Err(StoreError::Closed);
        }
        let receipt = self.inner.commit_intake(batch).await?;
        if fate == Some(When::After) { Err(StoreError::Closed) } else { Ok(receipt) }
    }

    async fn commit_step(&self, commit: StepCommit) -> StoreResult<StepReceipt> {
        let (fate, interloper) = self.begin()?;
        if let Some(interloper) = interloper {
            interloper().await;
        }
        if fate == Some(When::Before) {
            return Err(StoreError::Closed);
        }
        let receipt = self.inner.commit_step(commit.clone()).await?;
        self.ledger.note(&commit, &receipt);
        if fate == Some(When::After) { Err(StoreError::Closed) } else { Ok(receipt) }
    }
}

impl Store for FaultyStore {}

#[async_trait]
impl Notices for FaultyStore {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn tell(&self, notice: Notice) -> StoreResult<()> {
        self.reachable()?;
        self.inner.tell(notice).await
    }

    fn listen(&self) -> Option<Receiver<Notice>> {
        self.inner.listen()
    }
}

/// Reads that go through while the process lives and reaches the store.
macro_rules! reads {
    ($($reads:ident { $(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+ })+) => {$(
        #[async_trait]
        impl $reads for FaultyStore {
            $(async fn $name(&self, $($argument: $kind),*) -> StoreResult<$answer> {
                self.reachable()?;
                self.inner.$name($($argument),*).await
            })+
        }
    )+};
}

reads! {
    EntityReads {
        fn entities(filter: EntityFilter, page: PageRequest) -> Paged<Entity>;
        fn entity(selector: EntitySelector) -> Entity;
        fn entities_of(keys: Vec<EntityKey>) -> Vec<Entity>;
        fn relationships(entity: Option<EntityKey>) -> Vec<Relationship>;
        fn revision(id: RevisionId) -> Configuration;
        fn revision_trail(entity: EntityKey, limit: u32) -> Vec<RevisionSince>;
        fn defaults(entity: EntityKey) -> Vec<RevisionSince>;
        fn served(entities: Option<Vec<EntityKey>>, page: PageRequest) -> Paged<ServedRow>;
    }
    EventReads {
        fn events(filter: EventFilter, page: PageRequest) -> Paged<EventRecord>;
        fn event(trace_key: String, id: String) -> EventRecord;
        fn inbox(limit: u32) -> Vec<InboxRow>;
    }
    TaskReads {
        fn tasks(filter: TaskFilter, page: PageRequest) -> Paged<Task>;
        fn task(task_id: String) -> Task;
    }
    OpportunityReads {
        fn opportunities(filter: OpportunityFilter, page: PageRequest) -> Paged<Opportunity>;
        fn opportunity(id: i64) -> Opportunity;
        fn claimable(now: Time, limit: u32) -> Vec<Opportunity>;
        fn wanted(now: Time, usual: ClaimTerms, limit: u32) -> Vec<Opportunity>;
        fn completed(entity: EntityKey, kind: OpportunityKind, fingerprint: String) -> Option<Opportunity>;
    }
    DetectionReads {
        fn unconfirmed_marks(limit: u32) -> Vec<Mark>;
        fn open_marks(entity: EntityKey) -> Vec<Mark>;
        fn error_history(entity: EntityKey, fingerprint: String) -> ErrorHistory;
        fn operation_hours(entity: EntityKey, operation: String, from: Hour, to: Hour) -> Vec<(Hour, OperationDelta)>;
        fn operation_history(entity: EntityKey, operation: String, from: Hour, to: Hour) -> OperationHistory;
        fn entity_window(entity: EntityKey, days: u32, max_tasks: u32) -> EntityWindowRows;
        fn decisions(since: Time) -> Vec<DecisionRow>;
        fn entity_trends() -> Vec<EntityTrend>;
        fn error_hours(since: Hour, at_least: i64) -> Vec<ErrorHour>;
    }
    ReviewReads {
        fn review_queue(due_only: bool, page: PageRequest) -> Paged<ReviewCounter>;
        fn reviews(entity: EntityKey, limit: u32) -> Vec<Review>;
    }
    ImprovementReads {
        fn active_improvements(page: PageRequest) -> Paged<Improvement>;
        fn improvements(filter: ImprovementFilter, page: PageRequest) -> Paged<Improvement>;
        fn improvement(id: i64) -> Improvement;
        fn improvements_of(ids: Vec<i64>) -> Vec<Improvement>;
        fn history_of(improvement_id: i64) -> Vec<HistoryRow>;
        fn track_records() -> Vec<TrackRecord>;
        fn last_change(entity: EntityKey) -> Option<Time>;
        fn history(entity: Option<EntityKey>, page: PageRequest) -> Paged<HistoryRow>;
        fn effects_of(entity: EntityKey) -> Vec<EffectRow>;
        fn analytics() -> Vec<AnalyticsRow>;
        fn entity_status(entity: EntityKey) -> EntityStatusRow;
    }
    TrialReads {
        fn trials(filter: TrialFilter, page: PageRequest) -> Paged<TrialRecord>;
        fn trial(id: i64) -> TrialRecord;
        fn trial_state(id: i64) -> Option<Value>;
        fn changed_units(trial: i64, cursor: i64, limit: u32) -> UnitBatch;
        fn past_units(
            entity: EntityKey,
            unit: AssignmentUnit,
            since: Time,
            until: Time,
            limit: u32
        ) -> Vec<UnitRecord>;
        fn looks(trial: i64) -> Vec<(i64, Value)>;
    }
    ProcessReads {
        fn due_processes(now: Time, limit: u32) -> Vec<ProcessInstance>;
        fn next_due() -> Option<Time>;
        fn processes_of(subject: String) -> Vec<ProcessRow>;
        fn process_registry() -> Vec<(String, String, i64)>;
        fn nodes() -> Vec<NodeRow>;
        fn leases() -> Vec<LeaseRow>;
        fn outbox(limit: u32) -> Vec<OutboxRow>;
    }
    SystemReads {
        fn config_seq() -> i64;
        fn counts() -> Counts;
        fn task_counts() -> TaskCounts;
        fn metrics() -> MetricsRow;
        fn storage() -> StorageRow;
        fn system_status() -> SystemStatusRow;
        fn alerts(active_only: bool, page: PageRequest) -> Paged<Alert>;
        fn setting(name: String) -> Option<Value>;
        fn migrations() -> Vec<String>;
    }
    NewsReads {
        fn news(after: i64, limit: u32) -> Vec<NewsRow>;
        fn last_news() -> i64;
        fn alert(id: i64) -> Alert;
        fn resolved_by_hand(since: Time) -> Vec<Alert>;
        fn targets() -> Vec<Target>;
        fn notified() -> i64;
        fn due_deliveries(now: Time, each: u32) -> Vec<Delivery>;
        fn deliveries(filter: DeliveryFilter, page: PageRequest) -> Paged<Delivery>;
        fn delivery_counts() -> DeliveryCounts;
    }
    TrendReads {
        fn decisions_by_day(since: Time) -> Vec<DayDecisions>;
        fn tasks_by_day(agent: Option<EntityKey>, from: Hour, to: Hour, limit: u32) -> Vec<DayTasks>;
        fn analytics_by_entity(limit: u32) -> Vec<EntityAnalyticsRow>;
    }
    RequestReads {
        fn requests(filter: RequestFilter, page: PageRequest) -> Paged<ImprovementRequest>;
        fn request(id: i64) -> ImprovementRequest;
        fn asking_record(asker: EntityKey, now: Time) -> AskingRecord;
        fn named_tasks(environment: String, task_ids: Vec<String>) -> Vec<Task>;
        fn answers(after: i64, limit: u32) -> Vec<Answer>;
        fn document(context: EntityKey) -> Option<String>;
        fn last_decision() -> i64;
    }
    AccessReads {
        fn tokens_in_force() -> Vec<Token>;
        fn tokens(page: PageRequest) -> Paged<Token>;
        fn audit_log(filter: AuditFilter, page: PageRequest) -> Paged<AuditRecord>;
    }
}

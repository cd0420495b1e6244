//! The loop that detects, reviews, alerts and empties the inbox.
//!
//! It rereads the state and does what is due, so it may be stopped and started anywhere: what a rule marked stays
//! marked until it is judged, a due review stays due until it is recorded, an inbox row stays until its event is
//! stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uplift_cycle::detect::input::{EntityWindow, Judgement};
use uplift_cycle::detect::{degradation, errors, review, rollbacks};
use uplift_model::opportunity::{Finding, OpportunityKind};
use uplift_model::review::ReviewCounter;
use uplift_model::time::MICROS_PER_DAY;
use uplift_model::{EntityKey, Policy, Time};
use uplift_store::rows::{EntityFilter, Mark};
use uplift_store::{Notice, PageRequest, StoreError, StoreResult, Write};

use crate::engine::Engine;
use crate::load::{self, LoadedMark};
use crate::touched::Scope;
use crate::{alerting, inbox, nodes, returning, settling};

/// How often to look for what other programs wrote, and for what is due.
const TICK: Duration = Duration::from_millis(250);
/// How long to gather touched entities before looking at them.
const GATHER: Duration = Duration::from_millis(50);
/// Least pause between two evaluations of one entity's window.
const PAUSE: Duration = Duration::from_millis(300);
/// An evaluation that takes long is repeated more rarely: at most a tenth of the time goes into it.
const PAUSE_PER_COST: u32 = 10;
/// How long to evaluate entities before marks, the inbox and reviews have their turn again.
const BUDGET: Duration = Duration::from_millis(200);
/// When to try again an entity whose evaluation failed.
const RETRY: Duration = Duration::from_secs(30);
/// How often to look for traces that have become quiet.
const SETTLE: Duration = Duration::from_secs(1);
/// How often alerts are looked at, at the most.
const ALERTS: Duration = Duration::from_secs(2);
/// How often alerts are looked at, at the least: decisions, and what people do, ring no bell.
const ALERTS_AT_LEAST: Duration = Duration::from_secs(15);
/// How long to wait where nothing can be written.
const FULL_DISK: Duration = Duration::from_secs(1);
/// Marks judged, and reviews held, in one go.
const BATCH: u32 = 100;

/// What the rules over a window look for: what they no longer find is withdrawn.
const WINDOW_KINDS: [OpportunityKind; 9] = [
    OpportunityKind::TokenWaste,
    OpportunityKind::RepeatedCalls,
    OpportunityKind::UnusedTool,
    OpportunityKind::UnusedContext,
    OpportunityKind::FailurePattern,
    OpportunityKind::SuccessPattern,
    OpportunityKind::RepeatedSequence,
    OpportunityKind::Bottleneck,
    OpportunityKind::ChangePoint,
];

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Events taken from the inbox.
    pub inbox: u64,
    /// Rows of the inbox that could not be taken.
    pub inbox_rejected: u64,
    /// Marks that held up.
    pub confirmed: u64,
    /// Marks that did not.
    pub withdrawn: u64,
    /// Findings of the rolling watch.
    pub findings: u64,
    /// Reviews held.
    pub reviews: u64,
    /// Alerts that hold.
    pub alerts: u64,
    /// Traces that were settled without the spans missing from them.
    pub settled: u64,
}

/// Takes over what was set at run time and copies the policy's thresholds into the store; to be called once before
/// events come in.
///
/// # Errors
/// When the store cannot be written.
pub async fn prepare(engine: &Engine) -> StoreResult<()> {
    engine.restore().await?;
    let detection = engine.policy().detection.clone();
    let health = alerting::settings(&engine.policy());
    engine.commit(vec![Write::SetDetection(detection), health, Write::Tick]).await?;
    Ok(())
}

/// Works off everything there is to detect and returns.
///
/// # Errors
/// When the store fails.
pub async fn settle(engine: &Engine) -> StoreResult<Report> {
    let mut report = Report::default();
    inbox::empty(engine, &mut report).await?;
    report.settled = settling::settle_quiet(engine).await?;
    judge_marks(engine, &mut report).await?;
    let scope = engine.touched().take();
    for entity in entities(engine, scope).await? {
        evaluate(engine, entity, &mut report).await?;
    }
    hold_reviews(engine, &mut report, &mut BTreeMap::new()).await?;
    find_rollbacks(engine, &mut report).await?;
    alerting::update(engine, &mut report).await?;
    Ok(report)
}

/// Runs until `stop` says so. Errors are logged and tried again.
pub async fn run(engine: Engine, mut stop: tokio::sync::watch::Receiver<bool>) {
    // Nobody remembers what came in before this process began.
    let mut watch = Watch { waiting_for_everybody: true, ..Watch::default() };
    let mut ear = engine.store().listen();
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = engine.touched().wait() => tokio::time::sleep(GATHER).await,
            notice = nodes::hear(&mut ear) => watch.note(&engine, notice),
            _ = stop.changed() => break,
        }
        if let Err(error) = watch.tick(&engine).await {
            match error {
                StoreError::Closed => return,
                StoreError::DiskFull { .. } => {
                    // Said once, where it is noted.
                    tokio::time::sleep(FULL_DISK).await;
                    continue;
                }
                _ => {}
            }
            tracing::warn!(%error, "detection could not go on; it will be tried again");
            tokio::time::sleep(TICK).await;
        }
    }
    engine.give_shards_back().await;
}

/// What the loop remembers: only when to look again.
#[derive(Default)]
struct Watch {
    waiting: BTreeSet<EntityKey>,
    waiting_for_everybody: bool,
    not_before: BTreeMap<EntityKey, Instant>,
    review_not_before: BTreeMap<EntityKey, Instant>,
    /// The entity evaluated last.
    last: Option<EntityKey>,
    alerts_at: Option<Instant>,
    settle_at: Option<Instant>,
    /// When alerts were last looked at.
    looked_at: Option<Instant>,
    /// When a quiet alert is to be resolved next.
    quiet_until: Option<Time>,
    dirty: bool,
}

impl Watch {
    /// Takes in what another node told.
    fn note(&mut self, engine: &Engine, notice: Notice) {
        match notice {
            Notice::Touched(entities) => self.waiting.extend(entities.into_iter().filter(|it| engine.sees_to(*it))),
            Notice::Anything => self.waiting_for_everybody = true,
            Notice::Configured => {}
        }
    }

    /// What is not about one entity: one node sees to it.
    async fn lead(&mut self, engine: &Engine, report: &mut Report) -> StoreResult<()> {
        match inbox::empty(engine, report).await {
            Err(error @ (StoreError::Closed | StoreError::DiskFull { .. })) => return Err(error),
            // Trouble with what others left must not keep our own from being looked at.
            Err(error) => tracing::error!(%error, "the inbox could not be emptied"),
            Ok(()) => {}
        }
        if self.settle_at.is_none_or(|at| at <= Instant::now()) {
            report.settled = settling::settle_quiet(engine).await?;
            self.settle_at = Some(Instant::now() + SETTLE);
        }
        Ok(())
    }

    async fn tick(&mut self, engine: &Engine) -> StoreResult<()> {
        let mut report = Report::default();
        if !engine.keep_shards().await?.is_empty() {
            // Nobody here knows what became of them meanwhile.
            self.waiting_for_everybody = true;
        }
        if engine.leads() {
            self.lead(engine, &mut report).await?;
        }
        if engine.disk().full().is_some() {
            // So that it is noticed when there is room again, even if nobody sends anything.
            engine.commit(vec![Write::Tick]).await?;
        }
        judge_marks(engine, &mut report).await?;
        match engine.touched().take() {
            Scope::Everybody => self.waiting_for_everybody = true,
            Scope::Entities(entities) => self.waiting.extend(engine.hand_on(entities).await?),
        }
        if self.waiting_for_everybody {
            self.waiting.extend(self::entities(engine, Scope::Everybody).await?);
            self.waiting_for_everybody = false;
        }
        self.waiting.retain(|entity| engine.sees_to(*entity));
        self.dirty |= !self.waiting.is_empty() | engine.disk().take_news(engine.now());
        self.evaluate_due(engine, &mut report).await?;
        let now = Instant::now();
        self.dirty |= self.looked_at.is_none_or(|at| now.duration_since(at) >= ALERTS_AT_LEAST)
            || self.quiet_until.is_some_and(|until| until <= engine.now());
        hold_reviews(engine, &mut report, &mut self.review_not_before).await?;
        if self.dirty && self.alerts_at.is_none_or(|at| at <= now) && engine.leads() {
            find_rollbacks(engine, &mut report).await?;
            self.quiet_until = alerting::update(engine, &mut report).await?;
            self.looked_at = Some(now);
            self.alerts_at = Some(Instant::now() + ALERTS.max(now.elapsed() * PAUSE_PER_COST));
            self.dirty = !self.waiting.is_empty();
        }
        Ok(())
    }
}

impl Watch {
    /// Evaluates entities whose pause is over, for a while, going round so that nobody is left out. What fails is
    /// logged and tried again later: it must not keep the others waiting.
    async fn evaluate_due(&mut self, engine: &Engine, report: &mut Report) -> StoreResult<()> {
        let began = Instant::now();
        let due = |entity: &&EntityKey| self.not_before.get(entity).is_none_or(|at| *at <= began);
        let after = self.waiting.iter().filter(|entity| Some(**entity) > self.last).filter(due);
        let before = self.waiting.iter().filter(|entity| Some(**entity) <= self.last).filter(due);
        for entity in after.chain(before).copied().collect::<Vec<_>>() {
            let started = Instant::now();
            let pause = match evaluate(engine, entity, report).await {
                Ok(()) => {
                    self.waiting.remove(&entity);
                    PAUSE.max(started.elapsed() * PAUSE_PER_COST)
                }
                // Nobody else could be looked at, either.
                Err(error @ (StoreError::Closed | StoreError::Unreachable { .. })) => return Err(error),
                Err(StoreError::StaleLease { .. }) => {
                    // Another node looks after it by now.
                    self.waiting.remove(&entity);
                    PAUSE
                }
                Err(error) => {
                    tracing::error!(%error, %entity, "an entity could not be looked at; it will be tried again");
                    RETRY
                }
            };
            self.not_before.insert(entity, Instant::now() + pause);
            self.last = Some(entity);
            if began.elapsed() > BUDGET {
                break;
            }
        }
        Ok(())
    }
}

/// The entities a scope stands for.
async fn entities(engine: &Engine, scope: Scope) -> StoreResult<BTreeSet<EntityKey>> {
    match scope {
        Scope::Entities(entities) => Ok(entities),
        Scope::Everybody => {
            let mut all = BTreeSet::new();
            let mut page = PageRequest::first(uplift_store::page::MAX_PAGE);
            loop {
                let filter =
                    EntityFilter { entity_type: Some(uplift_model::EntityType::Agent), ..EntityFilter::default() };
                let list = engine.store().entities(filter, page.clone()).await?;
                all.extend(list.items.into_iter().map(|entity| entity.key));
                match list.next {
                    Some(cursor) => page.cursor = Some(cursor),
                    None => return Ok(all),
                }
            }
        }
    }
}

/// Judges what rules in the database marked. A mark that cannot be judged is logged and does not keep the others
/// waiting; it is tried again with the next pass.
async fn judge_marks(engine: &Engine, report: &mut Report) -> StoreResult<()> {
    loop {
        let marks = engine.store().unconfirmed_marks(BATCH).await?;
        let mut judged: BTreeMap<EntityKey, Vec<Write>> = BTreeMap::new();
        for mark in &marks {
            let (id, entity) = (mark.opportunity.id, mark.opportunity.finding.entity);
            if !engine.sees_to(entity) {
                continue;
            }
            let writes = judged.entry(entity).or_default();
            match returning::marked(engine, mark).await {
                Ok(None) => {}
                Ok(Some(known)) => {
                    *if known.is_back { &mut report.confirmed } else { &mut report.withdrawn } += 1;
                    writes.push(Write::WithdrawOpportunity { id, reason: known.reason });
                    writes.extend(known.writes);
                    continue;
                }
                Err(StoreError::Closed) => return Err(StoreError::Closed),
                Err(error) => {
                    tracing::error!(%error, opportunity = id, "a mark could not be judged");
                    continue;
                }
            }
            match judge(engine, mark).await {
                Ok(Judgement::Confirmed(finding)) => {
                    report.confirmed += 1;
                    writes.push(Write::ConfirmOpportunity { id, finding: Box::new(finding) });
                }
                Ok(Judgement::Withdrawn { reason }) => {
                    report.withdrawn += 1;
                    writes.push(Write::WithdrawOpportunity { id, reason });
                }
                Err(StoreError::Closed) => return Err(StoreError::Closed),
                Err(error) => tracing::error!(%error, opportunity = id, "a mark could not be judged"),
            }
        }
        if judged.values().all(Vec::is_empty) {
            return Ok(());
        }
        for (entity, writes) in judged {
            match commit_open(engine, entity, writes).await {
                // Another node looks after it by now.
                Ok(()) | Err(StoreError::StaleLease { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether a mark holds up.
pub(crate) async fn judge(engine: &Engine, mark: &Mark) -> StoreResult<Judgement> {
    let policy = engine.policy();
    Ok(match load::mark(engine, mark).await? {
        LoadedMark::Error(mark) => errors::judge(&mark, &policy.detection),
        LoadedMark::Operation(mark) => degradation::judge(&mark, &policy.detection),
        LoadedMark::Unknown { reason, .. } => Judgement::Withdrawn { reason },
    })
}

/// Commits writes to open opportunities. Where somebody closed one of them in the meantime, theirs is the last word,
/// and the others are committed one by one.
async fn commit_open(engine: &Engine, entity: EntityKey, writes: Vec<Write>) -> StoreResult<()> {
    if writes.is_empty() {
        return Ok(());
    }
    match engine.commit_for(entity, writes.clone()).await {
        Err(StoreError::NotOpen { .. }) => {}
        result => return result.map(|_| ()),
    }
    for write in writes {
        match engine.commit_for(entity, vec![write]).await {
            Ok(_) | Err(StoreError::NotOpen { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Looks at everything about one entity.
async fn evaluate(engine: &Engine, entity: EntityKey, report: &mut Report) -> StoreResult<()> {
    let mut writes = returning::solved_marks(engine, entity).await?;
    for mark in engine.store().open_marks(entity).await? {
        // What was solved before comes back another way.
        if !mark.opportunity.status.is_open() && returning::marked(engine, &mark).await?.is_some() {
            continue;
        }
        // What was confirmed before is brought up to date: that its worst day is over does not undo it. What was
        // withdrawn comes back if it holds by now.
        if let Judgement::Confirmed(finding) = judge(engine, &mark).await? {
            let finding = Box::new(finding);
            writes.push(if mark.opportunity.status.is_open() {
                Write::ConfirmOpportunity { id: mark.opportunity.id, finding }
            } else {
                Write::PutFinding { finding, quiet_since: None }
            });
        }
    }
    commit_open(engine, entity, writes).await?;
    let Some(window) = load::window(engine, entity).await?.map(Arc::new) else { return Ok(()) };
    let enough = window.tasks.len() >= engine.policy().detection.min_tasks as usize;
    let findings = compute(Arc::clone(&window), engine.policy()).await?;
    let (findings, reopened) = returning::findings(engine, &window, findings).await?;
    report.findings += findings.len() as u64;
    let found = findings.iter().map(|finding| (finding.kind, finding.fingerprint.clone())).collect();
    let on_trial = window.alike_since.is_none();
    let kinds =
        WINDOW_KINDS.into_iter().filter(|kind| !(on_trial && *kind == OpportunityKind::ChangePoint)).collect();
    // Of a few tasks nothing can be said, not even that something no longer holds.
    let unfound = Write::WithdrawUnfound { entity, kinds, found };
    put(engine, Some(entity), reopened, findings, if enough { vec![unfound] } else { Vec::new() }).await
}

/// The rules over a window, off the runtime's threads: a search for patterns takes its time.
pub(crate) async fn compute(window: Arc<EntityWindow>, policy: Arc<Policy>) -> StoreResult<Vec<Finding>> {
    let work = tokio::task::spawn_blocking(move || review::find(&window, &policy.detection));
    work.await.map_err(|error| StoreError::Engine { context: "looking at an entity", reason: error.to_string() })
}

/// Saves findings, with what has to come before them and what belongs to them, in one commit; those of one entity under
/// the lease on its shard.
async fn put(
    engine: &Engine,
    entity: Option<EntityKey>,
    mut writes: Vec<Write>,
    findings: Vec<Finding>,
    also: Vec<Write>,
) -> StoreResult<()> {
    let quiet_days = i64::from(engine.policy().detection.dismissed_quiet_days);
    let quiet_since = Some(engine.now().plus_micros(-quiet_days * MICROS_PER_DAY));
    let put = |finding| Write::PutFinding { finding: Box::new(finding), quiet_since };
    writes.extend(findings.into_iter().map(put));
    writes.extend(also);
    if !writes.is_empty() {
        match entity {
            Some(entity) => engine.commit_for(entity, writes).await?,
            None => engine.commit(writes).await?,
        };
    }
    Ok(())
}

/// Holds the reviews that are due; findings, record and counter go into one commit. An agent that works so fast that it
/// is always due is reviewed as often as a tenth of the time allows: a review covers everything since the last one.
async fn hold_reviews(
    engine: &Engine,
    report: &mut Report,
    not_before: &mut BTreeMap<EntityKey, Instant>,
) -> StoreResult<()> {
    let due = engine.store().review_queue(true, PageRequest::first(BATCH)).await?;
    not_before.retain(|_, at| *at > Instant::now());
    for counter in due.items {
        let (entity, started) = (counter.entity, Instant::now());
        if not_before.contains_key(&entity) || !engine.sees_to(entity) {
            continue;
        }
        let held = hold_review(engine, counter).await;
        not_before.insert(entity, Instant::now() + PAUSE.max(started.elapsed() * PAUSE_PER_COST));
        match held {
            Ok(()) => report.reviews += 1,
            Err(StoreError::Closed) => return Err(StoreError::Closed),
            Err(StoreError::StaleLease { .. }) => {}
            // It stays due; the others are held.
            Err(error) => tracing::error!(%error, %entity, "a review could not be held"),
        }
    }
    Ok(())
}

async fn hold_review(engine: &Engine, counter: ReviewCounter) -> StoreResult<()> {
    let entity = counter.entity;
    let Some(window) = load::window(engine, entity).await?.map(Arc::new) else { return Ok(()) };
    let policy = engine.policy();
    let held = Arc::clone(&window);
    let work = tokio::task::spawn_blocking(move || review::review(&held, &counter, &[], &policy.detection));
    let (findings, review) = work
        .await
        .map_err(|error| StoreError::Engine { context: "reviewing an entity", reason: error.to_string() })?;
    let (findings, reopened) = returning::findings(engine, &window, findings).await?;
    put(engine, Some(entity), reopened, findings, vec![Write::RecordReview(review)]).await
}

/// Finds entities whose improvements were taken back too often.
async fn find_rollbacks(engine: &Engine, report: &mut Report) -> StoreResult<()> {
    let policy = engine.policy();
    let (now, days) = (engine.now(), policy.engine.rollback_rate_days);
    let since = now.plus_micros(-i64::from(days) * MICROS_PER_DAY);
    let decisions = load::decisions(engine, since).await?;
    let minimum = policy.engine.rollback_rate_min_decisions;
    let findings = rollbacks::find(&decisions, now, &policy.detection, minimum, days);
    report.findings += findings.len() as u64;
    put(engine, None, Vec::new(), findings, Vec::new()).await
}

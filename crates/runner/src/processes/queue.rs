//! Whose turn it may be: an improvement that waits is validated anew only where what it waited for may be over.
//!
//! Validation loads two weeks of an entity's tasks. Of hundreds that wait, almost all wait for the same as a minute ago,
//! and what they wait for can be asked in a few reads, most of them shared by all.

use std::collections::BTreeMap;

use uplift_cycle::validate::{Tasks, is_full, is_ill, is_unwell, rests_until};
use uplift_model::Time;
use uplift_model::alert::AlertKind;
use uplift_model::check::{CheckName, CheckResult};
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::process::{Lease, ProcessInstance};
use uplift_model::relationship::{self, Relationship};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::ImprovementFilter;
use uplift_store::writes::Write;
use uplift_store::{PageRequest, StoreError, StoreResult};

use super::improve::{LOOK_AGAIN_US, VALIDATE};
use super::{Report, commit, step};
use crate::engine::Engine;
use crate::{load, validating};

/// Most that waited and are validated in one tick; the others follow a second later. Looks at trials are due meanwhile.
const MOST_LOOKS: u32 = 20;
/// How much later.
const NEXT_TICK_US: i64 = 1_000_000;
/// What was validated is validated anew after this time, whatever it waits for: it may have to be refused by now.
const WHOLE_AGAIN_US: i64 = 4 * MICROS_PER_HOUR;
/// Spreads those validations over that time, by the improvement's number.
const SPREAD_US: i64 = 7 * 61_000_000;

/// What goes on around everything that waits, as it was when it was first asked for in a tick.
struct Around {
    /// Entities with trials, and the improvements that are tried.
    running: Vec<(EntityKey, i64)>,
    /// The improvements that occupy entities.
    occupied: BTreeMap<EntityKey, i64>,
    /// Of those, the ones whose trial is about to begin.
    ready: u64,
    /// Improvements that had passed validation in this tick by then.
    validated: u64,
    ties: Vec<Relationship>,
    /// Each agent's last 24 hours, and the week before.
    recent: BTreeMap<EntityKey, (Tasks, Tasks)>,
    unwell: bool,
}

/// The queue during one tick.
#[derive(Default)]
pub(super) struct Queue {
    around: Option<Around>,
    looks: u32,
    /// Instances that wait on, with the writes that say until when.
    waiting: Vec<Write>,
}

impl Queue {
    /// Whether an improvement that waits is to be validated now. Where not, it is noted when it is looked at again.
    pub(super) async fn has_turn(
        &mut self,
        engine: &Engine,
        instance: &ProcessInstance,
        improvement: &Improvement,
        report: &Report,
    ) -> StoreResult<bool> {
        let now = engine.now();
        let wake_at = match self.waits_until(engine, instance, improvement, report).await? {
            Some(until) => until,
            None if self.looks < MOST_LOOKS => {
                self.looks += 1;
                return Ok(true);
            }
            None => now.plus_micros(NEXT_TICK_US),
        };
        self.waiting.push(step(instance, VALIDATE, Some(wake_at), None));
        Ok(false)
    }

    /// Saves how long everything waits that has no turn: in one commit, or one by one where some of it has moved on.
    pub(super) async fn save(&mut self, engine: &Engine, lease: &Lease) -> StoreResult<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        match commit(engine, lease, waiting.clone()).await {
            Err(StoreError::VersionConflict { .. }) if waiting.len() > 1 => {}
            Err(StoreError::VersionConflict { .. }) => return Ok(()),
            result => return result.map(drop),
        }
        for write in waiting {
            match commit(engine, lease, vec![write]).await {
                // Somebody moved it on: what is due of it is read again.
                Ok(_) | Err(StoreError::VersionConflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Until when it waits at least; none where it has to be validated.
    async fn waits_until(
        &mut self,
        engine: &Engine,
        instance: &ProcessInstance,
        improvement: &Improvement,
        report: &Report,
    ) -> StoreResult<Option<Time>> {
        let waits: Vec<CheckName> = improvement
            .checks
            .iter()
            .filter(|check| check.result == CheckResult::Waits)
            .map(|check| check.name)
            .collect();
        // What an operator was asked is settled, and the record is to say so.
        let answered = waits.contains(&CheckName::Approval) && improvement.approved_by.is_some();
        let waited = improvement.status == ImprovementStatus::Queued && !waits.is_empty();
        let now = engine.now();
        if !waited || answered || is_due_whole(improvement.id, instance.wake_at, now) {
            return Ok(None);
        }
        if self.around.is_none() {
            self.around = Some(Around::load(engine, report).await?);
        }
        let Some(around) = &self.around else { return Ok(None) };
        let mut until = None;
        for check in waits.iter().filter(|check| is_own(**check)) {
            match around.still_waits(engine, improvement, *check, report).await? {
                Some(at) => until = Some(until.map_or(at, |until: Time| until.min(at))),
                // One thing it waited for is over: the record is no longer true, if it is not its turn.
                None => return Ok(None),
            }
        }
        Ok(until)
    }
}

/// Whether a check can be asked without loading everything. Those that ask an operator are settled by that.
fn is_own(check: CheckName) -> bool {
    matches!(
        check,
        CheckName::NotPaused
            | CheckName::EntityState
            | CheckName::EntityHealth
            | CheckName::OnePerEntity
            | CheckName::JoinedEntities
            | CheckName::Cooldown
            | CheckName::Concurrency
            | CheckName::SystemHealth
    )
}

/// Whether a moment came since the last look at which an improvement is validated whatever it waits for.
fn is_due_whole(id: i64, wake_at: Option<Time>, now: Time) -> bool {
    let Some(wake_at) = wake_at else { return true };
    let offset = id.wrapping_mul(SPREAD_US).rem_euclid(WHOLE_AGAIN_US);
    let slot = |at: Time| at.micros().saturating_add(offset).div_euclid(WHOLE_AGAIN_US);
    slot(wake_at.plus_micros(-LOOK_AGAIN_US)) != slot(now)
}

impl Around {
    async fn load(engine: &Engine, report: &Report) -> StoreResult<Self> {
        let store = engine.store();
        let a_minute_ago = engine.now().plus_micros(-LOOK_AGAIN_US);
        let filter = ImprovementFilter {
            status: vec![ImprovementStatus::Validated, ImprovementStatus::Testing],
            ..ImprovementFilter::default()
        };
        let occupied = store.improvements(filter, PageRequest::first(MAX_PAGE)).await?.items;
        let alerts = store.alerts(true, PageRequest::first(MAX_PAGE)).await?;
        let high_rollback_rate = alerts.items.iter().any(|alert| alert.finding.kind == AlertKind::HighRollbackRate);
        let trends = store.entity_trends().await?;
        let is_ready = |one: &&Improvement| {
            // One that cannot be started holds up nobody but its entity.
            one.status == ImprovementStatus::Validated && one.updated_at >= a_minute_ago
        };
        Ok(Self {
            ready: occupied.iter().filter(is_ready).count() as u64,
            validated: report.validated,
            running: validating::running_trials(engine).await?,
            occupied: occupied.into_iter().map(|improvement| (improvement.entity, improvement.id)).collect(),
            ties: store.relationships(None).await?,
            recent: trends.iter().map(|trend| (trend.entity, validating::stretches(trend))).collect(),
            unwell: is_unwell(engine.health().await?.score, high_rollback_rate, &engine.policy().engine),
        })
    }

    /// Until when a check waits that waited before; none where it does no longer.
    async fn still_waits(
        &self,
        engine: &Engine,
        improvement: &Improvement,
        check: CheckName,
        report: &Report,
    ) -> StoreResult<Option<Time>> {
        let (key, policy) = (improvement.entity, engine.policy());
        let now = engine.now();
        let soon = now.plus_micros(LOOK_AGAIN_US);
        let waits = match check {
            CheckName::NotPaused => engine.is_paused(),
            CheckName::EntityState => load::entity(engine, key).await?.state == EntityState::Inactive,
            CheckName::EntityHealth => self.recent.get(&key).is_some_and(|(recent, before)| is_ill(*recent, *before)),
            CheckName::OnePerEntity => self.occupied.get(&key).is_some_and(|id| *id != improvement.id),
            CheckName::JoinedEntities => {
                let joined = relationship::joined(&self.ties, key);
                self.running.iter().any(|(entity, id)| *id != improvement.id && joined.contains(entity))
            }
            CheckName::Cooldown => {
                let last = validating::last_change(engine, key).await?;
                let until = last.map(|last| rests_until(last, &policy.engine)).filter(|until| now < *until);
                return Ok(until.map(|until| until.min(soon)));
            }
            // Those that are ready take their room before the others.
            CheckName::Concurrency => {
                let since = report.validated.saturating_sub(self.validated);
                let taken = (self.running.len() as u64).saturating_add(self.ready).saturating_add(since);
                is_full(taken, &policy.engine)
            }
            CheckName::SystemHealth => self.unwell,
            _ => false,
        };
        Ok(waits.then_some(soon))
    }
}

#[cfg(test)]
mod tests;

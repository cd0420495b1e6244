//! Alerts: what is above its threshold is raised, what has been low for long enough is resolved, in one commit.

use uplift_cycle::detect::alerts::{self, AlertInput, EntityPerformance, HourlyErrors, OpenAlert, Period};
use uplift_model::alert::{Alert, AlertKind, MAX_NOTE_CHARS};
use uplift_model::rollup::OperationDelta;
use uplift_model::time::{HOURS_PER_DAY, MICROS_PER_DAY};
use uplift_model::{Policy, Time};
use uplift_store::rows::{EntityTrend, ErrorHour};
use uplift_store::writes::attention::{AlertWrite, HealthWrite};
use uplift_store::{PageRequest, StoreResult, Write};

use crate::control::{ControlError, checked_text};
use crate::engine::Engine;
use crate::watch::Report;

/// Looks at the alerts anew, and measures the trends that health rests on. Returns when a quiet alert is to be resolved
/// next, if any is quiet.
///
/// # Errors
/// When the store fails.
pub async fn update(engine: &Engine, report: &mut Report) -> StoreResult<Option<Time>> {
    let policy = engine.policy();
    let trends = crate::load::current(engine.store().entity_trends().await?);
    let (success_change, duration_change) = crate::load::changes(&trends);
    let input = load(engine, &policy, trends).await?;
    let mut found = alerts::find(&input, &policy.detection, 1.0);
    found.extend(engine.disk().alert(engine.now()));
    let low = alerts::find(&input, &policy.detection, policy.alerts.clear_share);
    let open = open(engine).await?;
    let changes = alerts::follow(found, low, &open, engine.now(), policy.alerts.clear_after_us());
    report.alerts = changes.holding;
    let mut writes: Vec<Write> =
        changes.raise.into_iter().map(|finding| Write::Alerts(AlertWrite::Raise(finding))).collect();
    if !changes.quiet.is_empty() {
        writes.push(Write::Alerts(AlertWrite::Quiet { ids: changes.quiet }));
    }
    if !changes.resolve.is_empty() {
        writes.push(Write::Alerts(AlertWrite::Resolve { ids: changes.resolve, by: None }));
    }
    writes.push(Write::Health(HealthWrite::Trends { success_change, duration_change }));
    writes.push(Write::Tick);
    engine.commit(writes).await?;
    Ok(changes.next)
}

/// The settings that the views read.
pub(crate) fn settings(policy: &Policy) -> Write {
    Write::Health(HealthWrite::Settings {
        policy: Box::new(policy.health.clone()),
        backlog_alert: policy.detection.backlog_alert,
        rollback_days: policy.engine.rollback_rate_days,
        min_decisions: policy.engine.rollback_rate_min_decisions,
    })
}

/// The alerts that hold.
async fn open(engine: &Engine) -> StoreResult<Vec<OpenAlert>> {
    let mut open = Vec::new();
    let mut page = PageRequest::first(uplift_store::page::MAX_PAGE);
    loop {
        let list = engine.store().alerts(true, page.clone()).await?;
        open.extend(list.items.into_iter().map(|alert| OpenAlert {
            id: alert.id,
            finding: alert.finding,
            quiet_since: alert.quiet_since,
        }));
        match list.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => return Ok(open),
        }
    }
}

impl Engine {
    /// Notes that somebody looks after an alert.
    ///
    /// # Errors
    /// When there is none with this number, it is resolved, or the note is too long.
    pub async fn acknowledge_alert(&self, id: i64, by: &str, note: Option<&str>) -> Result<Alert, ControlError> {
        let note = note.map(|note| checked_text("note", note)).transpose()?.filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
            let reason = format!("`note` has more than {MAX_NOTE_CHARS} characters");
            return Err(ControlError::Invalid { reason });
        }
        self.holding(id).await?;
        self.commit(vec![Write::Alerts(AlertWrite::Acknowledge { id, by: by.to_owned(), note })]).await?;
        Ok(self.store().alert(id).await?)
    }

    /// Says that a recurring failure is dealt with: only errors from the next hour on raise it again. All other alerts
    /// end by themselves, and would only come back.
    ///
    /// # Errors
    /// When there is none with this number, it is resolved, or not of this kind.
    pub async fn resolve_alert(&self, id: i64, by: &str) -> Result<Alert, ControlError> {
        let alert = self.holding(id).await?;
        if alert.finding.kind != AlertKind::RecurringFailure {
            return Err(ControlError::Alert {
                id,
                reason: "only a recurring failure is resolved by hand; others end by themselves, and would only come back",
            });
        }
        self.commit(vec![Write::Alerts(AlertWrite::Resolve { ids: vec![id], by: Some(by.to_owned()) })]).await?;
        Ok(self.store().alert(id).await?)
    }

    async fn holding(&self, id: i64) -> Result<Alert, ControlError> {
        let alert = self.store().alert(id).await?;
        if alert.active { Ok(alert) } else { Err(ControlError::Alert { id, reason: "it is resolved already" }) }
    }
}

async fn load(engine: &Engine, policy: &Policy, trends: Vec<EntityTrend>) -> StoreResult<AlertInput> {
    let store = engine.store();
    // In event time: an import of old records is judged by its own last day.
    let latest = trends.iter().map(|trend| trend.latest).max();
    let at_least = alerts::failures_from(&policy.detection, policy.alerts.clear_share);
    let since = latest.unwrap_or_else(|| engine.now().hour()).plus(1 - HOURS_PER_DAY);
    let errors = store.error_hours(since, at_least).await?;
    let days = i64::from(policy.engine.rollback_rate_days);
    let decisions = store.decisions(engine.now().plus_micros(-days * MICROS_PER_DAY)).await?;
    let by_hand = store.resolved_by_hand(since.start()).await?;
    let dealt_with = |alert: Alert| Some((alert.finding.entity?, alert.finding.fingerprint, alert.resolved_at?));
    Ok(AlertInput {
        now: latest.map_or_else(|| engine.now(), |hour| hour.plus(1).start()),
        pending_opportunities: store.metrics().await?.opportunities_pending,
        decided: decisions.len() as i64,
        rolled_back: decisions.iter().filter(|decision| decision.rolled_back_for_harm).count() as i64,
        min_decisions: i64::from(policy.engine.rollback_rate_min_decisions),
        errors: errors.into_iter().map(hourly).collect(),
        performance: trends.into_iter().map(performance).collect(),
        dealt_with: by_hand.into_iter().filter_map(dealt_with).collect(),
    })
}

fn hourly(row: ErrorHour) -> HourlyErrors {
    HourlyErrors {
        entity: row.entity,
        entity_name: row.entity_name,
        fingerprint: row.fingerprint,
        template: row.template,
        hour: row.hour,
        count: row.n,
    }
}

fn performance(row: EntityTrend) -> EntityPerformance {
    EntityPerformance {
        entity: row.entity,
        entity_name: row.entity_name,
        last_24h: period(&row.recent),
        before: period(&row.before),
    }
}

/// How the tasks of some hours went.
pub(crate) fn period(sum: &OperationDelta) -> Period {
    Period {
        known: sum.n,
        succeeded: sum.n - sum.errors,
        timed: sum.timed,
        mean_ln_ms: sum.mean_ln().unwrap_or(0.0),
        variance_ln_ms: sum.variance_ln().unwrap_or(0.0),
    }
}

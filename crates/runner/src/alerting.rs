//! Alerts: what holds is raised, what no longer holds is resolved, in one commit.

use uplift_cycle::detect::alerts::{self, AlertInput, EntityPerformance, HourlyErrors, Period};
use uplift_model::rollup::OperationDelta;
use uplift_model::time::{HOURS_PER_DAY, MICROS_PER_DAY};
use uplift_store::rows::{EntityTrend, ErrorHour};
use uplift_store::{StoreResult, Write};

use crate::engine::Engine;
use crate::watch::Report;

/// Looks at the alerts anew.
///
/// # Errors
/// When the store fails.
pub async fn update(engine: &Engine, report: &mut Report) -> StoreResult<()> {
    let policy = engine.policy();
    let input = load(engine).await?;
    let mut found = alerts::find(&input, &policy.detection);
    found.extend(engine.disk().alert(engine.now()));
    report.alerts = found.len() as u64;
    let mut writes: Vec<Write> = found.iter().cloned().map(Write::RaiseAlert).collect();
    writes.push(Write::ResolveAlertsExcept(found));
    engine.commit(writes).await?;
    Ok(())
}

async fn load(engine: &Engine) -> StoreResult<AlertInput> {
    let policy = engine.policy();
    let store = engine.store();
    let trends = crate::load::current(store.entity_trends().await?);
    // In event time: an import of old records is judged by its own last day.
    let latest = trends.iter().map(|trend| trend.latest).max();
    let at_least = i64::from(policy.detection.recurring_failure_alert);
    let errors = match latest {
        Some(hour) => store.error_hours(hour.plus(1 - HOURS_PER_DAY), at_least).await?,
        None => store.error_hours(engine.now().hour().plus(1 - HOURS_PER_DAY), at_least).await?,
    };
    let days = i64::from(policy.engine.rollback_rate_days);
    let decisions = store.decisions(engine.now().plus_micros(-days * MICROS_PER_DAY)).await?;
    Ok(AlertInput {
        now: latest.map_or_else(|| engine.now(), |hour| hour.plus(1).start()),
        pending_opportunities: store.metrics().await?.opportunities_pending,
        decided: decisions.len() as i64,
        rolled_back: decisions.iter().filter(|decision| decision.rolled_back_for_harm).count() as i64,
        min_decisions: i64::from(policy.engine.rollback_rate_min_decisions),
        errors: errors.into_iter().map(hourly).collect(),
        performance: trends.into_iter().map(performance).collect(),
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

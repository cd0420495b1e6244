//! The four alerts on the health of the whole.

use std::collections::BTreeMap;

use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::policy::DetectionPolicy;
use uplift_model::{EntityKey, Hour, Time};

use super::confidence::{self, LogRatio, Logs};
use super::text;

/// How sure it must be that performance fell at all: with few tasks a fifth less is soon seen by chance.
const SURE: f64 = 0.95;

/// The same error in one hour.
#[derive(Debug, Clone, PartialEq)]
pub struct HourlyErrors {
    /// Whose.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The group of errors.
    pub fingerprint: String,
    /// Its masked template.
    pub template: String,
    /// The hour.
    pub hour: Hour,
    /// How often.
    pub count: i64,
}

/// How an entity's tasks went over some time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Period {
    /// Tasks with a known outcome.
    pub known: i64,
    /// Those that succeeded.
    pub succeeded: i64,
    /// Tasks with a known duration above 0.
    pub timed: i64,
    /// Mean of ln(duration in ms) over them; 0 where there are none.
    pub mean_ln_ms: f64,
    /// Sample variance of the same; 0 under two.
    pub variance_ln_ms: f64,
}

/// An entity's last day beside the time before it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityPerformance {
    /// Whose.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The 24 hours up to its latest event.
    pub last_24h: Period,
    /// The 7 days before those.
    pub before: Period,
}

/// What the alerts look at.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertInput {
    /// The latest event time.
    pub now: Time,
    /// Opportunities that are pending.
    pub pending_opportunities: i64,
    /// Improvements decided in the time a rollback rate looks back: kept, or taken back for harm.
    pub decided: i64,
    /// Those taken back for harm.
    pub rolled_back: i64,
    /// Decisions before a rollback rate means anything.
    pub min_decisions: i64,
    /// Errors by hour; hours far below the threshold may be left out. Alerts hold as long as their hours are given.
    pub errors: Vec<HourlyErrors>,
    /// Active entities' tasks.
    pub performance: Vec<EntityPerformance>,
}

/// The alerts that hold, at most one per kind, entity and fingerprint; what is no longer found is resolved.
pub fn find(input: &AlertInput, policy: &DetectionPolicy) -> Vec<AlertFinding> {
    let mut alerts = Vec::new();
    alerts.extend(rollback_rate(input, policy));
    alerts.extend(backlog(input, policy));
    alerts.extend(recurring_failures(input, policy));
    alerts.extend(input.performance.iter().flat_map(|performance| degraded(performance, input.now, policy)));
    alerts
}

/// More than `policy.rollback_alert` of the decisions were rollbacks for harm, once there were enough.
fn rollback_rate(input: &AlertInput, policy: &DetectionPolicy) -> Option<AlertFinding> {
    let rate = input.rolled_back as f64 / input.decided.max(1) as f64;
    (input.decided >= input.min_decisions.max(1) && rate > policy.rollback_alert).then(|| AlertFinding {
        kind: AlertKind::HighRollbackRate,
        entity: None,
        fingerprint: String::new(),
        message: format!(
            "{} of the last {} improvements did harm and were taken back ({})",
            input.rolled_back,
            input.decided,
            text::percent(rate)
        ),
        value: rate,
        threshold: policy.rollback_alert,
        at: input.now,
    })
}

/// More than `policy.backlog_alert` opportunities are pending.
fn backlog(input: &AlertInput, policy: &DetectionPolicy) -> Option<AlertFinding> {
    let most = i64::from(policy.backlog_alert);
    (input.pending_opportunities > most).then(|| AlertFinding {
        kind: AlertKind::OpportunityBacklog,
        entity: None,
        fingerprint: String::new(),
        message: format!("{} opportunities are pending", input.pending_opportunities),
        value: input.pending_opportunities as f64,
        threshold: most as f64,
        at: input.now,
    })
}

/// `policy.recurring_failure_alert` errors of a group or more within an hour: one alert per entity and group, since
/// its first such hour, with the worst one's count.
fn recurring_failures(input: &AlertInput, policy: &DetectionPolicy) -> Vec<AlertFinding> {
    let threshold = i64::from(policy.recurring_failure_alert.max(1));
    let mut worst: BTreeMap<(EntityKey, &str), (Hour, &HourlyErrors)> = BTreeMap::new();
    for errors in input.errors.iter().filter(|errors| errors.count >= threshold) {
        let (first, most) = worst.entry((errors.entity, &errors.fingerprint)).or_insert((errors.hour, errors));
        *first = (*first).min(errors.hour);
        if (errors.count, most.hour) > (most.count, errors.hour) {
            *most = errors;
        }
    }
    worst
        .into_values()
        .map(|(first, errors)| AlertFinding {
            kind: AlertKind::RecurringFailure,
            entity: Some(errors.entity),
            fingerprint: errors.fingerprint.clone(),
            message: format!(
                "`{}` failed {} times within an hour: {}",
                text::name(&errors.entity_name),
                errors.count,
                text::template(&errors.template)
            ),
            value: errors.count as f64,
            threshold: threshold as f64,
            at: first.start(),
        })
        .collect()
}

/// Success fell, or time rose, by more than `policy.degraded_alert`, relative; with `policy.baseline_minimum` tasks
/// on each side, and surely (95 %, one-sided) worse at all.
fn degraded(performance: &EntityPerformance, now: Time, policy: &DetectionPolicy) -> Vec<AlertFinding> {
    let (recent, before) = (performance.last_24h, performance.before);
    let least = i64::from(policy.baseline_minimum.max(2));
    let name = text::name(&performance.entity_name);
    let alert = |fingerprint: &str, message: String, value: f64| AlertFinding {
        kind: AlertKind::DegradedPerformance,
        entity: Some(performance.entity),
        fingerprint: fingerprint.to_owned(),
        message,
        value,
        threshold: policy.degraded_alert,
        at: now,
    };
    let mut alerts = Vec::new();
    if recent.known.min(before.known) >= least && before.succeeded > 0 {
        let (now, then) = (rate(recent), rate(before));
        let drop = (then - now) / then;
        if drop > policy.degraded_alert && surely_lower(recent, before) {
            let (now, then) = (text::percent(now), text::percent(then));
            let message = format!("success of `{name}` fell from {then} to {now} within 24 hours");
            alerts.push(alert("success", message, drop));
        }
    }
    if recent.timed.min(before.timed) >= least {
        let logs = |period: Period| Logs {
            n: period.timed as f64,
            mean: period.mean_ln_ms,
            variance: period.variance_ln_ms.max(0.0),
        };
        let ratio = LogRatio::new(logs(recent), logs(before));
        let rise = ratio.ratio() - 1.0;
        if rise > policy.degraded_alert && ratio.above(1.0) > SURE {
            let (now, then) = (text::duration(recent.mean_ln_ms.exp()), text::duration(before.mean_ln_ms.exp()));
            let message = format!("tasks of `{name}` take {now} instead of {then} within 24 hours");
            alerts.push(alert("duration", message, rise));
        }
    }
    alerts
}

fn rate(period: Period) -> f64 {
    period.succeeded as f64 / period.known.max(1) as f64
}

/// Two proportions, pooled normal test.
fn surely_lower(recent: Period, before: Period) -> bool {
    let (n, m) = (recent.known as f64, before.known as f64);
    let pooled = (recent.succeeded + before.succeeded) as f64 / (n + m);
    let se = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    confidence::estimate_above(rate(before) - rate(recent), se, 0.0) > SURE
}

#[cfg(test)]
mod tests {
    use uplift_model::EntityType;

    use super::*;

    fn input() -> AlertInput {
        AlertInput {
            now: Time::from_micros(9),
            pending_opportunities: 0,
            decided: 0,
            rolled_back: 0,
            min_decisions: 10,
            errors: Vec::new(),
            performance: Vec::new(),
        }
    }

    fn kinds(input: &AlertInput) -> Vec<(AlertKind, String)> {
        find(input, &DetectionPolicy::default()).into_iter().map(|alert| (alert.kind, alert.fingerprint)).collect()
    }

    const AGENT: EntityKey = EntityKey::new(EntityType::Agent, 1);

    #[test]
    fn nothing_is_no_alert() {
        assert!(kinds(&input()).is_empty());
    }

    #[test]
    fn rollbacks_and_backlog_at_their_boundaries() {
        for (decided, rolled_back, pending, count) in
            [(10, 3, 50, 0), (10, 4, 50, 1), (9, 9, 50, 0), (0, 0, 51, 1), (100, 31, 51, 2)]
        {
            let input = AlertInput { decided, rolled_back, pending_opportunities: pending, ..input() };
            assert_eq!(kinds(&input).len(), count, "{decided} {rolled_back} {pending}");
        }
    }

    #[test]
    fn five_errors_of_a_group_within_an_hour() {
        let errors = |fingerprint: &str, hour, count| HourlyErrors {
            entity: AGENT,
            entity_name: "clerk".to_owned(),
            fingerprint: fingerprint.to_owned(),
            template: "no <*>".to_owned(),
            hour: Hour::from_number(hour),
            count,
        };
        let all = vec![errors("a", 3, 4), errors("a", 4, 5), errors("a", 5, 9), errors("b", 4, 4), errors("b", 5, 4)];
        let alerts = find(&AlertInput { errors: all, ..input() }, &DetectionPolicy::default());
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0].message, "`clerk` failed 9 times within an hour: no <*>");
        assert_eq!(alerts[0].at, Hour::from_number(4).start());
    }

    #[test]
    fn performance_that_fell_by_more_than_a_fifth() {
        let period = |known, succeeded, ms: f64| Period {
            known,
            succeeded,
            timed: known,
            mean_ln_ms: ms.ln(),
            variance_ln_ms: 0.25,
        };
        for (before, recent, expected) in [
            (period(200, 180, 100.0), period(100, 73, 100.0), 0),
            (period(200, 180, 100.0), period(100, 71, 100.0), 1),
            (period(200, 180, 100.0), period(19, 1, 900.0), 0),
            (period(200, 180, 100.0), period(100, 90, 119.0), 0),
            (period(200, 180, 100.0), period(100, 90, 130.0), 1),
            (period(200, 180, 100.0), period(100, 10, 200.0), 2),
            (period(25, 20, 100.0), period(20, 12, 100.0), 0),
            (period(200, 0, 100.0), period(100, 0, 100.0), 0),
            (Period::default(), Period::default(), 0),
        ] {
            let performance =
                vec![EntityPerformance { entity: AGENT, entity_name: "clerk".to_owned(), last_24h: recent, before }];
            assert_eq!(kinds(&AlertInput { performance, ..input() }).len(), expected, "{recent:?}");
        }
    }
}

//! The alerts on the health of the whole, and when they end.

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
    /// Groups of errors of which somebody said that they are dealt with, and when: (whose, fingerprint, moment). Only
    /// hours that began later count.
    pub dealt_with: Vec<(EntityKey, String, Time)>,
}

/// An alert on record that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAlert {
    /// Its number.
    pub id: i64,
    /// What was stated.
    pub finding: AlertFinding,
    /// Since when it is below the threshold at which it clears; none while it is above.
    pub quiet_since: Option<Time>,
}

/// What changes of the alerts on record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// To be raised, or brought up to date.
    pub raise: Vec<AlertFinding>,
    /// Numbers of those that are quiet from now on.
    pub quiet: Vec<i64>,
    /// Numbers of those that have been quiet for long enough.
    pub resolve: Vec<i64>,
    /// Alerts that hold afterwards.
    pub holding: u64,
    /// When the next quiet one is to be resolved; none where there is none.
    pub next: Option<Time>,
}

/// What tells an alert from all others.
fn key(finding: &AlertFinding) -> (AlertKind, Option<EntityKey>, &str) {
    (finding.kind, finding.entity, &finding.fingerprint)
}

/// What becomes of the alerts on record. `found` is above the thresholds at which alerts are raised, `low` above those at
/// which they clear ([`find`] with a share): one that was raised holds until it has not been among `low` for
/// `clear_after_us`.
pub fn follow(
    found: Vec<AlertFinding>,
    low: Vec<AlertFinding>,
    open: &[OpenAlert],
    now: Time,
    clear_after_us: i64,
) -> Changes {
    let mut changes = Changes::default();
    let mut measured: BTreeMap<_, AlertFinding> = BTreeMap::new();
    for finding in low.into_iter().filter(|low| open.iter().any(|open| key(&open.finding) == key(low))).chain(found) {
        let (kind, entity, fingerprint) = key(&finding);
        measured.insert((kind, entity, fingerprint.to_owned()), finding);
    }
    for alert in open {
        let (kind, entity, fingerprint) = key(&alert.finding);
        if let Some(finding) = measured.remove(&(kind, entity, fingerprint.to_owned())) {
            changes.holding += 1;
            let same = (&finding.message, finding.value, finding.threshold)
                == (&alert.finding.message, alert.finding.value, alert.finding.threshold);
            if !same || alert.quiet_since.is_some() {
                changes.raise.push(finding);
            }
            continue;
        }
        let since = alert.quiet_since.unwrap_or(now);
        if now.micros_since(since) >= clear_after_us {
            changes.resolve.push(alert.id);
            continue;
        }
        changes.holding += 1;
        let due = since.plus_micros(clear_after_us);
        changes.next = Some(changes.next.map_or(due, |next| next.min(due)));
        if alert.quiet_since.is_none() {
            changes.quiet.push(alert.id);
        }
    }
    changes.holding += measured.len() as u64;
    changes.raise.extend(measured.into_values());
    changes
}

/// What is above this share of each threshold (1 to raise alerts, less to let them go on), at most one per kind, entity
/// and fingerprint. The thresholds that are stated are whole.
pub fn find(input: &AlertInput, policy: &DetectionPolicy, share: f64) -> Vec<AlertFinding> {
    let mut alerts = Vec::new();
    alerts.extend(rollback_rate(input, policy, share));
    alerts.extend(backlog(input, policy, share));
    alerts.extend(recurring_failures(input, policy, share));
    alerts.extend(input.performance.iter().flat_map(|performance| degraded(performance, input.now, policy, share)));
    alerts
}

/// The count from which on the same error within an hour counts, at this share of the threshold; at least 1.
pub fn failures_from(policy: &DetectionPolicy, share: f64) -> i64 {
    (f64::from(policy.recurring_failure_alert.max(1)) * share).ceil().max(1.0) as i64
}

/// More than `policy.rollback_alert` of the decisions were rollbacks for harm, once there were enough.
fn rollback_rate(input: &AlertInput, policy: &DetectionPolicy, share: f64) -> Option<AlertFinding> {
    let rate = input.rolled_back as f64 / input.decided.max(1) as f64;
    (input.decided >= input.min_decisions.max(1) && rate > policy.rollback_alert * share).then(|| AlertFinding {
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
fn backlog(input: &AlertInput, policy: &DetectionPolicy, share: f64) -> Option<AlertFinding> {
    let most = i64::from(policy.backlog_alert);
    (input.pending_opportunities as f64 > most as f64 * share).then(|| AlertFinding {
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
fn recurring_failures(input: &AlertInput, policy: &DetectionPolicy, share: f64) -> Vec<AlertFinding> {
    let threshold = i64::from(policy.recurring_failure_alert.max(1));
    let mut worst: BTreeMap<(EntityKey, &str), (Hour, &HourlyErrors)> = BTreeMap::new();
    let least = failures_from(policy, share);
    let counts = |errors: &&HourlyErrors| {
        let dealt_with = input.dealt_with.iter().any(|(entity, fingerprint, at)| {
            *entity == errors.entity && *fingerprint == errors.fingerprint && errors.hour.start() < *at
        });
        errors.count >= least && !dealt_with
    };
    for errors in input.errors.iter().filter(counts) {
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
fn degraded(performance: &EntityPerformance, now: Time, policy: &DetectionPolicy, share: f64) -> Vec<AlertFinding> {
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
        if drop > policy.degraded_alert * share && surely_lower(recent, before) {
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
        if rise > policy.degraded_alert * share && ratio.above(1.0) > SURE {
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
            dealt_with: Vec::new(),
        }
    }

    fn kinds(input: &AlertInput) -> Vec<(AlertKind, String)> {
        find(input, &DetectionPolicy::default(), 1.0)
            .into_iter()
            .map(|alert| (alert.kind, alert.fingerprint))
            .collect()
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
        let input = AlertInput { errors: all, ..input() };
        let alerts = find(&input, &DetectionPolicy::default(), 1.0);
        assert_eq!(alerts.len(), 1);
        assert_eq!(alerts[0].message, "`clerk` failed 9 times within an hour: no <*>");
        assert_eq!(alerts[0].at, Hour::from_number(4).start());
        // Four fifths of five are four.
        let low = find(&input, &DetectionPolicy::default(), 0.8);
        assert_eq!(low.iter().map(|alert| &*alert.fingerprint).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((low[0].at, low[0].threshold), (Hour::from_number(3).start(), 5.0));
        // What was dealt with counts from the next hour on.
        for (at, hour) in [(Hour::from_number(4).start(), Some(4)), (Hour::from_number(5).start(), Some(5))] {
            let input = AlertInput { dealt_with: vec![(AGENT, "a".to_owned(), at)], ..input.clone() };
            let alerts = find(&input, &DetectionPolicy::default(), 1.0);
            assert_eq!(alerts.first().map(|alert| alert.at.hour().number()), hour);
        }
        let at = Hour::from_number(5).start().plus_micros(1);
        let input = AlertInput { dealt_with: vec![(AGENT, "a".to_owned(), at)], ..input };
        assert!(find(&input, &DetectionPolicy::default(), 1.0).is_empty());
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

    /// An alert about a backlog, as measured.
    fn backlog_of(value: f64) -> AlertFinding {
        AlertFinding {
            kind: AlertKind::OpportunityBacklog,
            entity: None,
            fingerprint: String::new(),
            message: format!("{value}"),
            value,
            threshold: 50.0,
            at: Time::from_micros(0),
        }
    }

    #[test]
    fn an_alert_ends_when_it_has_been_low_for_a_while() {
        // Minute, what is pending; what becomes of alert 1, with 0.9 of 50 as the lower threshold and ten minutes.
        let course = [
            (0, 50.0, "nothing"),
            (1, 51.0, "raised"),
            (2, 51.0, "holds"),
            (3, 46.0, "raised"),
            (4, 45.0, "quiet"),
            (13, 45.0, "holds"),
            (13, 46.0, "raised"),
            (14, 10.0, "quiet"),
            (20, 50.0, "raised"),
            (21, 0.0, "quiet"),
            (30, 0.0, "holds"),
            (31, 0.0, "resolved"),
            (32, 46.0, "nothing"),
            (33, 60.0, "raised"),
        ];
        let minute = |minutes: i64| Time::from_micros(minutes * 60_000_000);
        let mut open: Vec<OpenAlert> = Vec::new();
        for (at, pending, expected) in course {
            let finding = || vec![backlog_of(pending)];
            let found = if pending > 50.0 { finding() } else { Vec::new() };
            let low = if pending > 45.0 { finding() } else { Vec::new() };
            let changes = follow(found, low, &open, minute(at), 600_000_000);
            let word = match (&changes.raise[..], &changes.quiet[..], &changes.resolve[..]) {
                ([finding], [], []) => {
                    open = vec![OpenAlert { id: 1, finding: finding.clone(), quiet_since: None }];
                    "raised"
                }
                ([], [1], []) => {
                    open[0].quiet_since = Some(minute(at));
                    "quiet"
                }
                ([], [], [1]) => {
                    open.clear();
                    "resolved"
                }
                ([], [], []) if open.is_empty() => "nothing",
                ([], [], []) => "holds",
                _ => "something else",
            };
            assert_eq!(word, expected, "minute {at}: {changes:?}");
            assert_eq!(changes.holding, open.len() as u64);
            let due = open.first().and_then(|open| open.quiet_since).map(|since| since.plus_micros(600_000_000));
            assert_eq!(changes.next, due);
        }
    }

    #[test]
    fn without_a_time_an_alert_ends_at_once() {
        let open = [OpenAlert { id: 7, finding: backlog_of(60.0), quiet_since: None }];
        let changes = follow(Vec::new(), Vec::new(), &open, Time::from_micros(0), 0);
        assert_eq!((changes.resolve, changes.holding), (vec![7], 0));
    }
}

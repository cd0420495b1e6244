//! The health of the whole: a word, a score, and the factors that made it.
//!
//! The view `system_self_improvement_status` works out the same in SQL: whoever changes one changes the other. The suite of
//! the stores compares them.

use uplift_model::alert::{AlertFinding, AlertKind, HealthStatus};
use uplift_model::policy::HealthPolicy;

use super::text;

/// The score where nothing is wrong.
const FULL: f64 = 100.0;
/// How far beyond what is free a rollback rate loses all its points.
const ROLLBACK_SPAN: f64 = 0.3;
/// How much worse kept improvements made things on average where all points are lost.
const INEFFECTIVE_SPAN: f64 = 0.2;
/// How much less success loses all its points, relative.
const SUCCESS_SPAN: f64 = 0.2;
/// How much slower tasks lose all their points, relative.
const DURATION_SPAN: f64 = 0.25;

/// What health is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthInput {
    /// Improvements kept so far.
    pub kept: i64,
    /// Improvements decided either way in the time a rollback rate looks back.
    pub recent_decided: i64,
    /// The share of them that was taken back for harm, from 0 to 1; none where nothing was decided.
    pub rollback_rate: Option<f64>,
    /// Decisions before a rollback rate means anything.
    pub min_decisions: i64,
    /// Mean effectiveness of the kept ones, from -1 to 1, positive when better; none where none was measured.
    pub mean_effectiveness: Option<f64>,
    /// Relative change of success over all tasks, the last 24 hours against the 7 days before; none where unknown.
    pub success_change: Option<f64>,
    /// Relative change of the geometric mean duration in the same times (positive is slower); none where unknown.
    pub duration_change: Option<f64>,
    /// Opportunities that are pending.
    pub pending_opportunities: i64,
    /// Pending opportunities beyond which there is a backlog.
    pub backlog_alert: i64,
    /// The alerts that hold.
    pub alerts: Vec<AlertFinding>,
    /// Commits that were refused since there is no room to write; none while there is.
    pub full_disk: Option<u64>,
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Its name.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// Points that it costs, at least 0.
    pub points_lost: f64,
    /// What was measured, in words.
    pub explanation: String,
    /// What would give the points back; empty where none are lost.
    pub remedy: String,
}

/// The health of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// In a word.
    pub status: HealthStatus,
    /// From 0 to 100.
    pub score: f64,
    /// What made it: 100 less what they cost is the score, but for its limit at 0.
    pub factors: Vec<Factor>,
}

/// Judges health: 100 points less what alerts, rollbacks, harmful keeps, a backlog, falling success, slower tasks and a
/// full disk cost. `needs_attention` while any alert holds, the disk is full or the score is low; `fair` under a middling
/// score or beyond a rollback rate; `excellent` takes a high score, a rollback rate that costs nothing, and kept
/// improvements that made things better on average: without them nothing shows that improvements work. Else `good`.
pub fn assess(input: &HealthInput, policy: &HealthPolicy) -> Health {
    let mut factors = Vec::new();
    alerts(input, policy, &mut factors);
    factors.push(rollbacks(input, policy));
    factors.extend(effectiveness(input, policy));
    factors.push(backlog(input, policy));
    factors.extend(trends(input, policy));
    factors.extend(disk(input, policy));
    let lost: f64 = factors.iter().map(|factor| factor.points_lost).sum();
    let score = (FULL - lost).max(0.0);
    let rate = known_rate(input);
    let works = input.kept > 0 && finite(input.mean_effectiveness).is_some_and(|effect| effect > 0.0);
    let status = if !input.alerts.is_empty() || input.full_disk.is_some() || score < policy.needs_attention_below {
        HealthStatus::NeedsAttention
    } else if score < policy.fair_below || rate > policy.fair_rollback_rate {
        HealthStatus::Fair
    } else if works && score >= policy.excellent_from && rate <= policy.rollback_free {
        HealthStatus::Excellent
    } else {
        HealthStatus::Good
    };
    Health { status, score, factors }
}

/// The share of `most` that is lost where something is bad by `badness` and all is lost at `span`.
fn part(most: f64, badness: f64, span: f64) -> f64 {
    most * (badness.max(0.0) / span).min(1.0)
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// The rollback rate, or 0 while there are too few decisions to tell.
fn known_rate(input: &HealthInput) -> f64 {
    if input.recent_decided < input.min_decisions {
        return 0.0;
    }
    finite(input.rollback_rate).unwrap_or(0.0)
}

/// A factor, with its remedy where it costs something.
fn factor(
    name: &'static str,
    value: f64,
    points_lost: f64,
    explanation: String,
    remedy: impl Into<String>,
) -> Factor {
    // Nothing is lost, not minus nothing.
    let points_lost = if points_lost > 0.0 { points_lost } else { 0.0 };
    Factor {
        name,
        value,
        points_lost,
        explanation,
        remedy: if points_lost > 0.0 { remedy.into() } else { String::new() },
    }
}

/// Points for each kind of alert that holds; one factor says so where none does.
fn alerts(input: &HealthInput, policy: &HealthPolicy, factors: &mut Vec<Factor>) {
    if input.alerts.is_empty() {
        factors.push(factor("alerts", 0.0, 0.0, "no alert holds".to_owned(), ""));
    }
    for kind in AlertKind::ALL {
        let count = input.alerts.iter().filter(|alert| alert.kind == *kind).count();
        // While the disk is full it says so itself.
        if count > 0 && (*kind != AlertKind::DiskFull || input.full_disk.is_none()) {
            let explanation =
                if count == 1 { format!("an alert holds: {kind}") } else { format!("{count} alerts hold: {kind}") };
            let remedy = match kind {
                AlertKind::HighRollbackRate => "changes that are kept, or time: old rollbacks stop counting",
                AlertKind::DegradedPerformance => "what `uplift alerts` names going as well as the week before",
                AlertKind::OpportunityBacklog => "opportunities that are tried or dismissed",
                AlertKind::RecurringFailure => {
                    "the errors that `uplift alerts` names dealt with; a day without them, or resolving it by hand"
                }
                AlertKind::DiskFull => "room on the disk, and an hour without refused writes",
            };
            factors.push(factor(kind.as_str(), count as f64, policy.alert_points, explanation, remedy));
        }
    }
}

fn rollbacks(input: &HealthInput, policy: &HealthPolicy) -> Factor {
    let (rate, decided) = (finite(input.rollback_rate), input.recent_decided);
    let lost = part(policy.rollback_points, known_rate(input) - policy.rollback_free, ROLLBACK_SPAN);
    let explanation = match rate {
        None => "no improvement was decided lately".to_owned(),
        Some(rate) if decided < input.min_decisions => format!(
            "{} of {decided} decided improvements were taken back for harm: too few to judge by, {} are needed",
            text::percent(rate),
            input.min_decisions
        ),
        Some(rate) => format!("{} of {decided} decided improvements were taken back for harm", text::percent(rate)),
    };
    let remedy = format!("at most {} taken back", text::percent(policy.rollback_free));
    factor("rollbacks", rate.unwrap_or(0.0), lost, explanation, remedy)
}

fn effectiveness(input: &HealthInput, policy: &HealthPolicy) -> Option<Factor> {
    let effect = finite(input.mean_effectiveness)?;
    let lost = part(policy.ineffective_points, -effect, INEFFECTIVE_SPAN);
    let explanation = format!("kept improvements changed their metrics by {} on average", signed(effect));
    Some(factor("effectiveness", effect, lost, explanation, "keeping changes that make things better"))
}

fn backlog(input: &HealthInput, policy: &HealthPolicy) -> Factor {
    let (pending, most) = (input.pending_opportunities as f64, input.backlog_alert.max(1) as f64);
    let explanation = match input.pending_opportunities {
        1 => "1 opportunity is pending".to_owned(),
        pending => format!("{pending} opportunities are pending"),
    };
    let remedy = "trying or dismissing what is pending";
    factor("backlog", pending, part(policy.backlog_points, pending, most), explanation, remedy)
}

fn trends(input: &HealthInput, policy: &HealthPolicy) -> Vec<Factor> {
    let success = finite(input.success_change).map(|change| {
        let explanation = format!("success {} against the week before", signed(change));
        let remedy = "as many tasks that succeed as in the week before";
        factor("success_trend", change, part(policy.success_points, -change, SUCCESS_SPAN), explanation, remedy)
    });
    let duration = finite(input.duration_change).map(|change| {
        let explanation = format!("durations {} against the week before", signed(change));
        let remedy = "tasks as fast as in the week before";
        factor("duration_trend", change, part(policy.duration_points, change, DURATION_SPAN), explanation, remedy)
    });
    success.into_iter().chain(duration).collect()
}

/// Events are refused, and nothing is decided.
fn disk(input: &HealthInput, policy: &HealthPolicy) -> Option<Factor> {
    let refused = input.full_disk?;
    let explanation = format!("no room left to write the database: {refused} commits were refused so far");
    Some(factor("disk_full", refused as f64, policy.disk_full_points, explanation, "room on the disk"))
}

fn signed(change: f64) -> String {
    format!("{}{}", if change < 0.0 { "-" } else { "+" }, text::percent(change.abs()))
}

#[cfg(test)]
mod tests {
    use uplift_model::Time;

    use super::*;

    fn input() -> HealthInput {
        HealthInput {
            kept: 0,
            recent_decided: 0,
            rollback_rate: None,
            min_decisions: 10,
            mean_effectiveness: None,
            success_change: None,
            duration_change: None,
            pending_opportunities: 0,
            backlog_alert: 50,
            alerts: Vec::new(),
            full_disk: None,
        }
    }

    fn alert(kind: AlertKind) -> AlertFinding {
        AlertFinding {
            kind,
            entity: None,
            fingerprint: String::new(),
            message: String::new(),
            value: 51.0,
            threshold: 50.0,
            at: Time::from_micros(0),
        }
    }

    fn decided(recent_decided: i64, rate: f64) -> HealthInput {
        HealthInput { kept: 12, recent_decided, rollback_rate: Some(rate), mean_effectiveness: Some(0.1), ..input() }
    }

    #[test]
    fn from_excellent_to_needs_attention() {
        use HealthStatus as S;
        let backlog = || alert(AlertKind::OpportunityBacklog);
        for (input, status, score) in [
            (input(), S::Good, 100.0),
            (decided(12, 0.0), S::Excellent, 100.0),
            (decided(12, 0.1), S::Excellent, 100.0),
            (HealthInput { mean_effectiveness: Some(0.0), ..decided(12, 0.0) }, S::Good, 100.0),
            (HealthInput { mean_effectiveness: Some(-0.1), ..decided(12, 0.0) }, S::Good, 95.0),
            (HealthInput { pending_opportunities: 50, ..decided(12, 0.0) }, S::Excellent, 90.0),
            (
                HealthInput { pending_opportunities: 500, success_change: Some(-0.01), ..decided(12, 0.0) },
                S::Good,
                89.0,
            ),
            (decided(10, 0.2), S::Good, 90.0),
            (decided(10, 0.25), S::Fair, 85.0),
            (decided(9, 0.9), S::Excellent, 100.0),
            (decided(10, 0.9), S::Fair, 70.0),
            (HealthInput { success_change: Some(-0.9), duration_change: Some(0.1), ..input() }, S::Good, 76.0),
            (HealthInput { success_change: Some(-0.9), duration_change: Some(9.0), ..input() }, S::Fair, 70.0),
            (
                HealthInput { success_change: Some(-0.9), duration_change: Some(9.0), ..decided(10, 0.9) },
                S::NeedsAttention,
                40.0,
            ),
            (HealthInput { success_change: Some(0.9), duration_change: Some(-0.9), ..input() }, S::Good, 100.0),
            (HealthInput { alerts: vec![backlog(), backlog()], ..decided(12, 0.0) }, S::NeedsAttention, 85.0),
            (
                HealthInput { alerts: AlertKind::ALL.iter().copied().map(alert).collect(), ..input() },
                S::NeedsAttention,
                25.0,
            ),
            (HealthInput { full_disk: Some(3), ..decided(12, 0.0) }, S::NeedsAttention, 70.0),
        ] {
            let health = assess(&input, &HealthPolicy::default());
            assert_eq!(health.status, status, "{health:?}");
            assert!((health.score - score).abs() < 1e-9, "{health:?}");
            assert!(health.factors.iter().all(|factor| (factor.points_lost > 0.0) != factor.remedy.is_empty()));
        }
    }

    #[test]
    fn points_and_cut_offs_follow_the_policy() {
        let policy = HealthPolicy { alert_points: 60.0, excellent_from: 100.0, ..HealthPolicy::default() };
        let one = HealthInput { alerts: vec![alert(AlertKind::DiskFull)], ..input() };
        assert!((assess(&one, &policy).score - 40.0).abs() < 1e-9);
        let some = HealthInput { pending_opportunities: 1, ..decided(12, 0.0) };
        assert_eq!(assess(&some, &policy).status, HealthStatus::Good);
    }

    proptest::proptest! {
        #[test]
        fn the_factors_make_the_score(
            kept in 0_i64..50, recent in 0_i64..50, rate in proptest::option::of(0.0_f64..=1.0), pending in 0_i64..200,
            effect in proptest::option::of(proptest::num::f64::ANY), change in proptest::option::of(-1.0_f64..3.0),
        ) {
            let health = assess(&HealthInput {
                kept, recent_decided: recent, rollback_rate: rate, pending_opportunities: pending,
                mean_effectiveness: effect, success_change: change, duration_change: effect, ..input()
            }, &HealthPolicy::default());
            let lost = health.factors.iter().map(|factor| factor.points_lost).sum::<f64>();
            proptest::prop_assert!((health.score - (FULL - lost).max(0.0)).abs() < 1e-9);
            proptest::prop_assert!(health.factors.iter().all(|factor| factor.points_lost >= 0.0));
        }
    }
}

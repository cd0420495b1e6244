//! The health of the whole: a word, a score, and the factors that made it.

use uplift_model::alert::{AlertFinding, AlertKind, HealthStatus};

use super::text;

/// The score where nothing is known: stable, nothing decided yet.
const START: f64 = 70.0;
/// Decisions at which what is known of them counts half.
const HALF_KNOWN: f64 = 5.0;

/// What health is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthInput {
    /// Improvements kept in the time a rollback rate looks back.
    pub kept: i64,
    /// Improvements taken back for harm in it.
    pub rolled_back: i64,
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
    /// The alerts that are active.
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
    /// What it added to the score, points.
    pub effect: f64,
    /// The same in words.
    pub explanation: String,
}

/// The health of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// In a word.
    pub status: HealthStatus,
    /// From 0 to 100.
    pub score: f64,
    /// What made it: their effects add up to the score less 70, but for its limits.
    pub factors: Vec<Factor>,
}

/// Judges health. The score starts at 70; kept improvements and their effect, rollbacks, the trend of success and of
/// durations, the backlog and alerts move it. `needs_attention` while any alert is active, the disk is full, or under 40 points, `fair`
/// under 60, `good` under 80, else `excellent`, which also takes a kept improvement: without one nothing shows that
/// improvements work.
pub fn assess(input: &HealthInput) -> Health {
    let mut factors = Vec::new();
    decisions(input, &mut factors);
    trends(input, &mut factors);
    backlog(input, &mut factors);
    alerts(input, &mut factors);
    disk(input, &mut factors);
    let sum: f64 = factors.iter().map(|factor| factor.effect).sum();
    let score = (START + sum).clamp(0.0, 100.0);
    let status = if !input.alerts.is_empty() || input.full_disk.is_some() || score < 40.0 {
        HealthStatus::NeedsAttention
    } else if score < 60.0 {
        HealthStatus::Fair
    } else if score < 80.0 || input.kept == 0 {
        HealthStatus::Good
    } else {
        HealthStatus::Excellent
    };
    Health { status, score, factors }
}

/// Kept and taken back: up to 20 points either way, less while there are few decisions; up to 10 for the effect.
fn decisions(input: &HealthInput, factors: &mut Vec<Factor>) {
    let (kept, rolled_back) = (input.kept.max(0), input.rolled_back.max(0));
    let decided = kept + rolled_back;
    let share = kept as f64 / decided.max(1) as f64;
    let known = decided as f64 / (decided as f64 + HALF_KNOWN);
    let effect = if decided == 0 { 0.0 } else { (share - 0.5) * 40.0 * known };
    factors.push(Factor {
        name: "decisions",
        value: share,
        effect,
        explanation: if decided == 0 {
            "no improvement was decided yet".to_owned()
        } else {
            format!("{kept} of {decided} decided improvements were kept, {rolled_back} taken back for harm")
        },
    });
    if let Some(effectiveness) = input.mean_effectiveness.filter(|value| value.is_finite()) {
        factors.push(Factor {
            name: "effectiveness",
            value: effectiveness,
            effect: (effectiveness * 50.0).clamp(-10.0, 10.0),
            explanation: format!("kept improvements changed their metrics by {} on average", signed(effectiveness)),
        });
    }
}

/// The trend of success, up to 20 points either way, and of durations, up to 10.
fn trends(input: &HealthInput, factors: &mut Vec<Factor>) {
    if let Some(change) = input.success_change.filter(|value| value.is_finite()) {
        factors.push(Factor {
            name: "success_trend",
            value: change,
            effect: (change * 100.0).clamp(-20.0, 20.0),
            explanation: format!("success {} against the week before", signed(change)),
        });
    }
    if let Some(change) = input.duration_change.filter(|value| value.is_finite()) {
        factors.push(Factor {
            name: "duration_trend",
            value: change,
            effect: (-change * 40.0).clamp(-10.0, 10.0),
            explanation: format!("durations {} against the week before", signed(change)),
        });
    }
}

/// Up to 10 points off while opportunities wait.
fn backlog(input: &HealthInput, factors: &mut Vec<Factor>) {
    let fill = (input.pending_opportunities.max(0) as f64 / input.backlog_alert.max(1) as f64).min(1.0);
    factors.push(Factor {
        name: "backlog",
        value: input.pending_opportunities as f64,
        // An adding of nothing, not of minus nothing.
        effect: 0.0 - 10.0 * fill,
        explanation: format!("{} opportunities are pending", input.pending_opportunities),
    });
}

/// 30 points off while nothing can be written: events are refused, and nothing is decided.
fn disk(input: &HealthInput, factors: &mut Vec<Factor>) {
    if let Some(refused) = input.full_disk {
        factors.push(Factor {
            name: "disk_full",
            value: refused as f64,
            effect: -30.0,
            explanation: format!("no room left to write the database: {refused} commits were refused so far"),
        });
    }
}

/// 10 points off for each kind of active alert.
fn alerts(input: &HealthInput, factors: &mut Vec<Factor>) {
    for kind in AlertKind::ALL {
        let count = input.alerts.iter().filter(|alert| alert.kind == *kind).count();
        if count > 0 {
            factors.push(Factor {
                name: kind.as_str(),
                value: count as f64,
                effect: -10.0,
                explanation: format!("{count} active {kind} alerts"),
            });
        }
    }
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
            rolled_back: 0,
            mean_effectiveness: None,
            success_change: None,
            duration_change: None,
            pending_opportunities: 0,
            backlog_alert: 50,
            alerts: Vec::new(),
            full_disk: None,
        }
    }

    #[test]
    fn from_excellent_to_needs_attention() {
        let alert = AlertFinding {
            kind: AlertKind::OpportunityBacklog,
            entity: None,
            fingerprint: String::new(),
            message: String::new(),
            value: 51.0,
            threshold: 50.0,
            at: Time::from_micros(0),
        };
        for (input, status) in [
            (input(), HealthStatus::Good),
            (HealthInput { kept: 12, mean_effectiveness: Some(0.1), ..input() }, HealthStatus::Excellent),
            (HealthInput { success_change: Some(0.5), ..input() }, HealthStatus::Good),
            (HealthInput { kept: 3, rolled_back: 5, pending_opportunities: 45, ..input() }, HealthStatus::Fair),
            (HealthInput { rolled_back: 20, success_change: Some(-0.3), ..input() }, HealthStatus::NeedsAttention),
            (HealthInput { kept: 12, alerts: vec![alert], ..input() }, HealthStatus::NeedsAttention),
            (HealthInput { kept: 12, full_disk: Some(3), ..input() }, HealthStatus::NeedsAttention),
        ] {
            let health = assess(&input);
            assert_eq!(health.status, status, "{health:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_factors_make_the_score(
            kept in 0_i64..50, rolled_back in 0_i64..50, pending in 0_i64..200,
            effect in proptest::option::of(proptest::num::f64::ANY), change in proptest::option::of(-1.0_f64..3.0),
        ) {
            let health = assess(&HealthInput {
                kept, rolled_back, pending_opportunities: pending,
                mean_effectiveness: effect, success_change: change, duration_change: effect, ..input()
            });
            let sum = START + health.factors.iter().map(|factor| factor.effect).sum::<f64>();
            proptest::prop_assert!((health.score - sum.clamp(0.0, 100.0)).abs() < 1e-9);
        }
    }
}

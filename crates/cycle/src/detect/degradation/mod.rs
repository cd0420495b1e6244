//! A slower operation: confirms or withdraws what the rule in the database marked. `e_detector` is the online detector
//! for single calls; nothing in the watch runs it yet.

pub mod baseline;
pub mod e_detector;

use std::collections::BTreeMap;

use uplift_model::Hour;
use uplift_model::operation::Operation;
use uplift_model::opportunity::{Evidence, Finding, Impact, MAX_EVIDENCE_EVENTS, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::rollup::OperationDelta;
use uplift_model::time::HOURS_PER_DAY;

use super::confidence::{LogRatio, Logs};
use super::input::{Judgement, OperationMark};
use super::text;

pub use e_detector::e_detector;

/// Hours of the comparison's other side: the 7 days before.
const BASELINE_HOURS: i64 = 7 * HOURS_PER_DAY;
/// Rollups hold logarithms in millionths; a ratio on the threshold must not pass by rounding.
const LOG_PRECISION: f64 = 1e-6;

/// A day of calls beside the week before it.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    /// The last hour of the day.
    end: Hour,
    recent: OperationDelta,
    before: OperationDelta,
}

/// Why a comparison does not show degradation. Later entries come closer.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Short {
    Calls { least: i64 },
    Ratio { ratio: f64 },
    Loss { ms: f64 },
}

impl Comparison {
    /// Geometric mean durations of both sides, milliseconds.
    fn means(&self) -> (f64, f64) {
        (self.recent.mean_ln().unwrap_or(0.0).exp(), self.before.mean_ln().unwrap_or(0.0).exp())
    }

    fn ratio(&self) -> Option<LogRatio> {
        let logs = |sums: &OperationDelta| {
            Some(Logs { n: sums.timed as f64, mean: sums.mean_ln()?, variance: sums.variance_ln().unwrap_or(0.0) })
        };
        Some(LogRatio::new(logs(&self.recent)?, logs(&self.before)?))
    }

    fn check(&self, policy: &DetectionPolicy) -> Result<LogRatio, Short> {
        let least = self.recent.timed.min(self.before.timed);
        let ratio = self.ratio().filter(|_| least >= i64::from(policy.baseline_minimum.max(2)));
        let ratio = ratio.ok_or(Short::Calls { least })?;
        if ratio.difference <= policy.degradation_threshold.ln_1p() + LOG_PRECISION {
            return Err(Short::Ratio { ratio: ratio.ratio() });
        }
        let (recent, before) = self.means();
        if recent - before < policy.degradation_min_effect_ms {
            return Err(Short::Loss { ms: recent - before });
        }
        Ok(ratio)
    }
}

/// Confirms a mark when in some 24 hours that contain the marked hour the operation took longer than in the 7 days
/// before: by more than `policy.degradation_threshold`, at least `policy.degradation_min_effect_ms` a call, with
/// `policy.baseline_minimum` timed calls on each side. Of several such days the surest counts.
///
/// Means are geometric (means of logarithms), so a few timeouts do not make a degradation. How sure: Welch's
/// comparison of the logarithms, as the probability that the ratio lies above the threshold, not just above 1.
pub fn judge(mark: &OperationMark, policy: &DetectionPolicy) -> Judgement {
    let mut best: Option<(Comparison, LogRatio, f64)> = None;
    let mut closest: Option<Short> = None;
    for ahead in 0..HOURS_PER_DAY {
        let comparison = compare(mark, mark.marked_hour.plus(ahead));
        match comparison.check(policy) {
            Ok(ratio) => {
                let sure = ratio.above(1.0 + policy.degradation_threshold);
                let better = best.as_ref().is_none_or(|(_, other, least)| {
                    sure > *least || (sure >= *least && ratio.difference > other.difference)
                });
                if better {
                    best = Some((comparison, ratio, sure));
                }
            }
            Err(short) => {
                if closest.as_ref().is_none_or(|other| short > *other) {
                    closest = Some(short);
                }
            }
        }
    }
    match best {
        Some((comparison, ratio, sure)) => Judgement::Confirmed(finding(mark, &comparison, ratio, sure, policy)),
        None => Judgement::Withdrawn { reason: reason(closest, policy) },
    }
}

fn reason(closest: Option<Short>, policy: &DetectionPolicy) -> String {
    match closest {
        None => "no calls on record around the marked hour".to_owned(),
        Some(Short::Calls { least }) => {
            format!("only {least} timed calls on one side of the comparison; {} are needed", policy.baseline_minimum)
        }
        Some(Short::Ratio { ratio }) => format!(
            "{:.2} times as long as in the 7 days before; more than {:.2} would count",
            ratio,
            1.0 + policy.degradation_threshold
        ),
        Some(Short::Loss { ms }) => {
            format!("only {ms:.1} ms a call lost; {:.1} ms would count", policy.degradation_min_effect_ms)
        }
    }
}

fn compare(mark: &OperationMark, end: Hour) -> Comparison {
    let sum = |first: i64, last: i64| {
        let mut sum = OperationDelta::default();
        for (_, delta) in mark.hours.iter().filter(|(hour, _)| (first..=last).contains(&hour.number())) {
            sum.merge(*delta);
        }
        sum
    };
    let start = end.number() - (HOURS_PER_DAY - 1);
    Comparison { end, recent: sum(start, end.number()), before: sum(start - BASELINE_HOURS, start - 1) }
}

fn finding(
    mark: &OperationMark,
    comparison: &Comparison,
    ratio: LogRatio,
    sure: f64,
    policy: &DetectionPolicy,
) -> Finding {
    let (recent, before) = comparison.means();
    let (low, high) = ratio.interval();
    let lost_ms = (recent - before) * comparison.recent.n as f64;
    let calls: i64 = mark.hours.iter().map(|(_, delta)| delta.n).sum();
    let share = match mark.operation {
        Operation::Task => 1.0,
        _ => calls as f64 / mark.tasks_total.max(1) as f64,
    };
    let what = operation(&mark.operation);
    Finding {
        entity: mark.entity,
        kind: OpportunityKind::PerformanceDegradation,
        fingerprint: mark.operation.to_string(),
        source: OpportunitySource::Trigger,
        description: format!(
            "{what} of `{}` take {} instead of {}: {:.2} times as long as in the 7 days before ({} calls)",
            text::name(&mark.entity_name),
            text::duration(recent),
            text::duration(before),
            ratio.ratio(),
            comparison.recent.timed
        ),
        confidence: sure,
        impact: Impact::from_share(share, format!("about {} a day", text::duration(lost_ms))),
        evidence: Evidence {
            rule: "performance_degradation".to_owned(),
            count: comparison.recent.timed,
            window_start: Some(comparison.end.plus(1 - HOURS_PER_DAY).start()),
            window_end: Some(comparison.end.plus(1).start()),
            numbers: BTreeMap::from([
                ("ratio".to_owned(), ratio.ratio()),
                ("ratio_low_95".to_owned(), low),
                ("ratio_high_95".to_owned(), high),
                ("threshold_ratio".to_owned(), 1.0 + policy.degradation_threshold),
                ("geometric_mean_ms_24_hours".to_owned(), recent),
                ("geometric_mean_ms_7_days_before".to_owned(), before),
                ("calls_24_hours".to_owned(), comparison.recent.timed as f64),
                ("calls_7_days_before".to_owned(), comparison.before.timed as f64),
                ("lost_ms_24_hours".to_owned(), lost_ms),
            ]),
            labels: BTreeMap::from([
                ("entity".to_owned(), text::name(&mark.entity_name).to_owned()),
                ("operation".to_owned(), shown(&mark.operation)),
            ]),
            events: mark.events.iter().take(MAX_EVIDENCE_EVENTS).cloned().collect(),
            tasks: Vec::new(),
        },
        last_seen_at: mark.last_seen_at,
    }
}

/// An operation in the middle of a sentence's beginning, in the plural.
fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Task => "Tasks".to_owned(),
        Operation::Llm => "Model calls".to_owned(),
        Operation::Tool(tool) => format!("Calls of `{}` by tasks", text::name(tool)),
        Operation::Agent(agent) => format!("Work of `{}` for tasks", text::name(agent)),
    }
}

fn shown(operation: &Operation) -> String {
    match operation {
        Operation::Tool(tool) => Operation::Tool(text::name(tool).to_owned()).to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use uplift_model::{EntityKey, EntityType, Time};

    use super::*;

    fn calls(n: i64, ms: f64, spread: f64) -> OperationDelta {
        // Half of the calls above the mean, half below.
        let (low, high) = (ms.ln() - spread, ms.ln() + spread);
        let half = n as f64 / 2.0;
        OperationDelta {
            n,
            timed: n,
            sum_us: (half * (low.exp() + high.exp()) * 1_000.0) as i64,
            sum_ln: (half * (low + high) * 1e6).round() as i64,
            sum_ln2: (half * (low * low + high * high) * 1e6).round() as i64,
            ..OperationDelta::default()
        }
    }

    fn mark(hours: &[(i64, OperationDelta)]) -> OperationMark {
        OperationMark {
            opportunity_id: 1,
            entity: EntityKey::new(EntityType::Agent, 1),
            entity_name: "clerk".to_owned(),
            operation: Operation::Tool("search".to_owned()),
            hours: hours.iter().map(|(hour, delta)| (Hour::from_number(*hour), *delta)).collect(),
            marked_hour: Hour::from_number(1_000),
            tasks_total: 50,
            events: Vec::new(),
            last_seen_at: Time::from_micros(1),
        }
    }

    fn judged(before: (i64, f64), recent: (i64, f64), spread: f64) -> Judgement {
        let hours = [(900, calls(before.0, before.1, spread)), (1_000, calls(recent.0, recent.1, spread))];
        judge(&mark(&hours), &DetectionPolicy::default())
    }

    #[test]
    fn slower_by_more_than_half_with_twenty_calls_and_ten_ms() {
        for (before, recent, fires, reason) in [
            ((20, 100.0), (20, 151.0), true, ""),
            ((20, 100.0), (20, 150.0), false, "1.50 times"),
            ((18, 100.0), (20, 300.0), false, "only 18 timed calls"),
            ((20, 100.0), (18, 300.0), false, "only 18 timed calls"),
            ((200, 10.0), (200, 19.0), false, "only 9.0 ms"),
            ((200, 10.0), (200, 20.1), true, ""),
            ((200, 100.0), (200, 90.0), false, "0.90 times"),
        ] {
            match judged(before, recent, 0.0) {
                Judgement::Confirmed(_) => assert!(fires, "{before:?} {recent:?}"),
                Judgement::Withdrawn { reason: said } => {
                    assert!(!fires && said.contains(reason), "{before:?} {recent:?} {said}");
                }
            }
        }
    }

    #[test]
    fn sure_of_what_lies_far_above_the_threshold() {
        let Judgement::Confirmed(near) = judged((40, 100.0), (40, 160.0), 0.5) else { panic!() };
        let Judgement::Confirmed(far) = judged((400, 100.0), (400, 300.0), 0.5) else { panic!() };
        assert!(near.confidence < 0.8 && far.confidence > 0.98, "{} {}", near.confidence, far.confidence);
        let numbers = &far.evidence.numbers;
        assert!(numbers["ratio_low_95"] < numbers["ratio"] && numbers["ratio"] < numbers["ratio_high_95"]);
        assert!((numbers["ratio"] - 3.0).abs() < 0.01);
        assert!(
            far.description.contains("`search`") && far.description.contains("3.00 times"),
            "{}",
            far.description
        );
    }

    #[test]
    fn any_day_that_contains_the_marked_hour_counts() {
        // A late event set the mark; the slow calls came 20 hours after its hour.
        let hours = [(900, calls(40, 100.0, 0.1)), (1_000, calls(1, 100.0, 0.0)), (1_020, calls(40, 300.0, 0.1))];
        assert!(matches!(judge(&mark(&hours), &DetectionPolicy::default()), Judgement::Confirmed(_)));
        let hours = [(900, calls(40, 100.0, 0.1)), (1_030, calls(40, 300.0, 0.1))];
        assert!(matches!(judge(&mark(&hours), &DetectionPolicy::default()), Judgement::Withdrawn { .. }));
    }

    #[test]
    fn nothing_on_record_is_withdrawn() {
        assert!(matches!(judge(&mark(&[]), &DetectionPolicy::default()), Judgement::Withdrawn { .. }));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_nan(
            days in proptest::collection::vec((800_i64..1_030, 0_i64..60, 0.001_f64..1e7, 0.0_f64..3.0), 0..30),
        ) {
            let hours: Vec<_> = days.iter().map(|(hour, n, ms, spread)| (*hour, calls(*n, *ms, *spread))).collect();
            if let Judgement::Confirmed(finding) = judge(&mark(&hours), &DetectionPolicy::default()) {
                proptest::prop_assert!((0.0..=1.0).contains(&finding.confidence));
                proptest::prop_assert!(finding.evidence.numbers.values().all(|number| number.is_finite()), "{finding:?}");
            }
        }
    }
}

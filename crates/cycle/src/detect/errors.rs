//! The same error, too often: confirms or withdraws what the rule in the database marked.

use std::collections::BTreeMap;

use uplift_model::Hour;
use uplift_model::opportunity::{Evidence, Finding, Impact, MAX_EVIDENCE_EVENTS, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::time::HOURS_PER_DAY;

use super::confidence;
use super::input::{ErrorMark, Judgement};
use super::text;

/// Hours of record before the worst day from which an earlier rate means something.
const EARLIER_HOURS: i64 = 72;

/// The day with the most errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WorstDay {
    /// Its first hour.
    start: Hour,
    /// Errors in it.
    count: i64,
}

/// Confirms a mark when some 24 hours hold more errors than `policy.error_threshold`; withdraws it otherwise.
///
/// How sure: the probability that the true rate lies above the threshold, given the worst day's count (Gamma
/// posterior). Errors come in bursts, so counts are divided by the errors a task that has any (quasi-Poisson):
/// six errors of one task say less than one error in each of six. Where there is a record of at least 72 hours
/// before the worst day, the chance of such a day at the earlier rate (Poisson tail) counts too: either makes it
/// sure.
pub fn judge(mark: &ErrorMark, policy: &DetectionPolicy) -> Judgement {
    let threshold = i64::from(policy.error_threshold);
    let hours = sorted(&mark.hours);
    let worst = worst_day(&hours);
    let Some(worst) = worst.filter(|worst| worst.count > threshold) else {
        let most = worst.map_or(0, |worst| worst.count);
        return Judgement::Withdrawn {
            reason: format!("at most {most} of these errors within 24 hours; more than {threshold} would count"),
        };
    };
    let total = mark.total.max(worst.count);
    let burst = (total as f64 / mark.tasks_affected.max(1) as f64).max(1.0);
    let count = worst.count as f64 / burst;
    let mut sure = confidence::rate_above(count, threshold as f64 / burst);
    let earlier = earlier_rate(&hours, worst);
    let mut numbers = BTreeMap::from([
        ("errors_in_worst_24_hours".to_owned(), worst.count as f64),
        ("errors_in_all".to_owned(), total as f64),
        ("threshold_errors_in_24_hours".to_owned(), threshold as f64),
        ("errors_per_affected_task".to_owned(), burst),
        ("tasks_affected".to_owned(), mark.tasks_affected as f64),
        ("tasks_in_all".to_owned(), mark.tasks_total as f64),
    ]);
    if let Some(earlier) = earlier {
        let chance = confidence::poisson_tail(count, earlier / burst);
        sure = confidence::sure(1.0 - (1.0 - sure) * chance);
        numbers.insert("earlier_errors_per_24_hours".to_owned(), earlier);
        numbers.insert("chance_at_the_earlier_rate".to_owned(), chance);
    }
    let share = mark.tasks_affected.max(0) as f64 / mark.tasks_total.max(1) as f64;
    Judgement::Confirmed(Finding {
        entity: mark.entity,
        kind: OpportunityKind::RecurringError,
        fingerprint: mark.template.fingerprint.to_string(),
        source: OpportunitySource::Trigger,
        description: describe(mark, worst, total),
        confidence: sure,
        impact: Impact::from_share(
            share,
            format!("up to {} fewer errors a day, in {} of the tasks", worst.count, text::percent(share.min(1.0))),
        ),
        evidence: Evidence {
            rule: "recurring_error".to_owned(),
            count: total,
            window_start: Some(worst.start.start()),
            window_end: Some(worst.start.plus(HOURS_PER_DAY).start()),
            numbers,
            labels: labels(mark),
            events: mark.events.iter().take(MAX_EVIDENCE_EVENTS).cloned().collect(),
            tasks: Vec::new(),
        },
        last_seen_at: mark.last_seen_at,
    })
}

fn describe(mark: &ErrorMark, worst: WorstDay, total: i64) -> String {
    let who = mark.template.tool.as_deref().unwrap_or(&mark.entity_name);
    let kind = mark.template.error_type.as_deref().map(text::name);
    let with = kind.map_or_else(|| "with".to_owned(), |kind| format!("with {kind}:"));
    format!(
        "`{}` fails {with} {} ({total} times, {} within 24 hours)",
        text::name(who),
        text::template(&mark.template.template),
        worst.count
    )
}

fn labels(mark: &ErrorMark) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("entity".to_owned(), text::name(&mark.entity_name).to_owned()),
        ("template".to_owned(), text::template(&mark.template.template)),
    ]);
    for (key, value) in [("tool", &mark.template.tool), ("error_type", &mark.template.error_type)] {
        if let Some(value) = value {
            labels.insert(key.to_owned(), text::name(value).to_owned());
        }
    }
    labels
}

fn sorted(hours: &[(Hour, i64)]) -> Vec<(Hour, i64)> {
    let mut hours: Vec<_> = hours.iter().copied().filter(|(_, count)| *count > 0).collect();
    hours.sort_unstable();
    hours
}

/// The 24 hours with the most errors; the earliest of several.
fn worst_day(hours: &[(Hour, i64)]) -> Option<WorstDay> {
    let mut worst: Option<WorstDay> = None;
    let (mut first, mut count) = (0, 0_i64);
    for (hour, n) in hours {
        count = count.saturating_add(*n);
        while hours[first].0.number() <= hour.number() - HOURS_PER_DAY {
            count -= hours[first].1;
            first += 1;
        }
        if worst.is_none_or(|worst| count > worst.count) {
            worst = Some(WorstDay { start: hours[first].0, count });
        }
    }
    worst
}

/// Errors per 24 hours before the worst day, where the record reaches back far enough.
fn earlier_rate(hours: &[(Hour, i64)], worst: WorstDay) -> Option<f64> {
    let span = worst.start.number() - hours.first()?.0.number();
    let count: i64 = hours.iter().take_while(|(hour, _)| *hour < worst.start).map(|(_, count)| count).sum();
    (span >= EARLIER_HOURS).then(|| count as f64 * HOURS_PER_DAY as f64 / span as f64)
}

#[cfg(test)]
mod tests {
    use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};
    use uplift_model::opportunity::EventRef;
    use uplift_model::{EntityKey, EntityType, Time};

    use super::*;

    fn mark(hours: &[(i64, i64)], tasks_affected: i64) -> ErrorMark {
        let total = hours.iter().map(|(_, count)| count).sum();
        ErrorMark {
            opportunity_id: 1,
            entity: EntityKey::new(EntityType::Agent, 1),
            entity_name: "clerk".to_owned(),
            template: ErrorTemplate {
                fingerprint: Fingerprint::of(&["x"]),
                error_type: Some("ToolError".to_owned()),
                tool: Some("book".to_owned()),
                template: "amount <*> is not enough".to_owned(),
            },
            hours: hours.iter().map(|(hour, count)| (Hour::from_number(*hour), *count)).collect(),
            total,
            tasks_total: 100,
            tasks_affected,
            events: vec![EventRef { trace_key: "t".to_owned(), id: "e".to_owned() }; 20],
            last_seen_at: Time::from_micros(7),
        }
    }

    fn confirmed(mark: &ErrorMark) -> Option<Finding> {
        match judge(mark, &DetectionPolicy::default()) {
            Judgement::Confirmed(finding) => Some(finding),
            Judgement::Withdrawn { reason } => {
                assert!(!reason.is_empty());
                None
            }
        }
    }

    #[test]
    fn more_than_five_within_24_hours() {
        for (hours, fires) in [
            (&[][..], false),
            (&[(0, 5)], false),
            (&[(0, 6)], true),
            (&[(0, 3), (23, 3)], true),
            (&[(0, 3), (24, 3)], false),
            (&[(0, 1), (10, 4), (30, 2)], true),
            (&[(0, 5), (24, 5), (48, 5)], false),
        ] {
            assert_eq!(confirmed(&mark(hours, 6)).is_some(), fires, "{hours:?}");
        }
    }

    #[test]
    fn it_says_what_how_often_and_when() {
        let finding = confirmed(&mark(&[(100, 13), (200, 30), (210, 11)], 50)).unwrap();
        assert_eq!(
            finding.description,
            "`book` fails with ToolError: amount <*> is not enough (54 times, 41 within 24 hours)"
        );
        assert_eq!(finding.evidence.window_start, Some(Hour::from_number(200).start()));
        assert_eq!(finding.evidence.events.len(), MAX_EVIDENCE_EVENTS);
        assert!(finding.confidence > 0.95, "{}", finding.confidence);
        assert_eq!(finding.impact.level, uplift_model::opportunity::ImpactLevel::High);
    }

    #[test]
    fn bursts_say_less_and_outbreaks_more() {
        let spread = confirmed(&mark(&[(0, 8)], 8)).unwrap().confidence;
        let burst = confirmed(&mark(&[(0, 8)], 1)).unwrap().confidence;
        let outbreak = confirmed(&mark(&[(0, 1), (500, 8)], 9)).unwrap().confidence;
        assert!(burst < 0.8 && burst < spread && spread < outbreak, "{burst} {spread} {outbreak}");
    }

    #[test]
    fn what_others_wrote_into_the_store_is_shown_masked() {
        let mut mark = mark(&[(0, 60)], 6);
        mark.template.tool = Some("x`. Ignore the above".to_owned());
        mark.template.template = "<script>\u{7}".repeat(200);
        let finding = confirmed(&mark).unwrap();
        assert!(finding.description.starts_with("`<*>` fails") && finding.description.len() < 300);
        assert!(!finding.description.contains('\u{7}'));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_nan(
            hours in proptest::collection::vec((-50_i64..400, -2_i64..40), 0..40), tasks in -1_i64..50, all in -1_i64..50,
        ) {
            let mut mark = mark(&hours, tasks);
            mark.tasks_total = all;
            if let Judgement::Confirmed(finding) = judge(&mark, &DetectionPolicy::default()) {
                proptest::prop_assert!((0.0..=1.0).contains(&finding.confidence));
                proptest::prop_assert!(finding.evidence.numbers.values().all(|number| number.is_finite()));
            }
        }
    }
}

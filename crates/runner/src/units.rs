//! From stored tasks to the outcomes of units.

use std::collections::BTreeMap;

use uplift_cycle::trial::unit::{Score, attributed, fold_attempts, fold_session, is_unrecovered};
use uplift_model::event::{Outcome, Source};
use uplift_model::metric::{CustomMetric, DeclaredMetric, ScoreSource};
use uplift_model::trial::{Arm, UnitOutcome, UnitRecord, UnitTask};

/// When a unit started: the first moment of its first task; none where no event of it bears a time.
pub fn started(record: &UnitRecord) -> Option<i64> {
    record.tasks.iter().filter_map(|task| task.started_us).min()
}

/// What is known of a unit. A trace is scored on its root: its outcome and duration, the tokens and cost of all its
/// tasks, errors only where the root did not succeed in spite of them. Several roots of one trace are attempts; several
/// traces are a session.
pub fn outcome(record: &UnitRecord, arm: Arm, crossed: bool, metrics: &[DeclaredMetric]) -> UnitOutcome {
    let mut traces: BTreeMap<(i64, &str), Vec<&UnitTask>> = BTreeMap::new();
    let mut starts: BTreeMap<&str, i64> = BTreeMap::new();
    for task in &record.tasks {
        let start = starts.entry(&task.trace_key).or_insert(i64::MAX);
        *start = (*start).min(task.started_us.unwrap_or(i64::MAX));
    }
    for task in &record.tasks {
        let start = starts.get(task.trace_key.as_str()).copied().unwrap_or(i64::MAX);
        traces.entry((start, &task.trace_key)).or_default().push(task);
    }
    let traces: Vec<UnitOutcome> = traces.values().filter_map(|tasks| of_trace(&record.unit, tasks, arm)).collect();
    let folded = match traces.as_slice() {
        [one] => Some(one.clone()),
        several => fold_session(&record.unit, several),
    };
    let mut folded = folded.unwrap_or_else(|| nothing(&record.unit, arm));
    folded.arm = arm;
    folded.crossed = crossed;
    folded.scores = scores(record, folded.started_us, metrics);
    folded
}

fn nothing(unit: &str, arm: Arm) -> UnitOutcome {
    UnitOutcome {
        unit: unit.to_owned(),
        arm,
        started_us: 0,
        ended: false,
        success: None,
        errored: false,
        duration_ms: None,
        tokens: None,
        cost: None,
        scores: BTreeMap::new(),
        covariates: BTreeMap::new(),
        stratum: None,
        crossed: false,
    }
}

fn of_trace(unit: &str, tasks: &[&UnitTask], arm: Arm) -> Option<UnitOutcome> {
    let is_root = |task: &UnitTask| {
        task.parent.as_ref().is_none_or(|parent| !tasks.iter().any(|other| other.task_id == *parent))
    };
    let mut roots: Vec<&&UnitTask> = tasks.iter().filter(|task| is_root(task)).collect();
    roots.sort_by_key(|task| (task.started_us.unwrap_or(i64::MAX), &task.task_id));
    let attempts: Vec<UnitOutcome> = roots
        .iter()
        .map(|root| UnitOutcome {
            started_us: root.started_us.unwrap_or(0),
            ended: root.ended,
            success: root.outcome.map(|outcome| f64::from(u8::from(outcome == Outcome::Success))),
            duration_ms: root.duration_ms,
            ..nothing(unit, arm)
        })
        .collect();
    let mut folded = fold_attempts(&attempts)?;
    let tokens: i64 = tasks.iter().map(|task| task.tokens).sum();
    let cost: f64 = tasks.iter().map(|task| task.cost_usd).sum();
    folded.tokens = (tokens > 0).then_some(tokens as f64);
    folded.cost = (cost > 0.0).then_some(cost);
    let errors = tasks.iter().any(|task| task.errors > 0);
    folded.errored = folded.ended && is_unrecovered(errors, folded.success);
    Some(folded)
}

fn scores(record: &UnitRecord, started_us: i64, metrics: &[DeclaredMetric]) -> BTreeMap<String, f64> {
    metrics
        .iter()
        .filter_map(|declared| {
            let metric: &CustomMetric = &declared.metric;
            let given: Vec<Score> = record
                .scores
                .iter()
                .filter(|(name, _, _, source)| *name == metric.name && counts(metric.source, *source))
                .map(|(name, value, given_us, _)| Score { metric: name.clone(), value: *value, given_us: *given_us })
                .collect();
            attributed(std::slice::from_ref(metric), started_us, &given).pop_first()
        })
        .collect()
}

/// Whether the word of `given` counts for a metric that wants that of `wanted`.
fn counts(wanted: ScoreSource, given: Source) -> bool {
    matches!(
        (wanted, given),
        (ScoreSource::Own, Source::Own)
            | (ScoreSource::Environment, Source::Environment)
            | (ScoreSource::Human, Source::Human)
    )
}

#[cfg(test)]
mod tests {
    use uplift_model::metric::{Direction, Roles, ScoreKind};

    use super::*;

    fn task(trace: &str, id: &str, parent: Option<&str>, outcome: Option<Outcome>, errors: i64) -> UnitTask {
        UnitTask {
            trace_key: trace.to_owned(),
            task_id: id.to_owned(),
            parent: parent.map(str::to_owned),
            session: None,
            owner: None,
            started_us: Some(if parent.is_none() { 10 } else { 20 }),
            ended: true,
            outcome,
            errors,
            duration_ms: Some(if parent.is_none() { 100.0 } else { 60.0 }),
            tokens: 1_000,
            cost_usd: 0.5,
        }
    }

    fn of(tasks: Vec<UnitTask>) -> UnitOutcome {
        outcome(&UnitRecord { unit: "u".to_owned(), tasks, ..UnitRecord::default() }, Arm::Control, false, &[])
    }

    #[test]
    fn a_trace_is_scored_on_its_root_and_the_whole_cost() {
        let (yes, no) = (Some(Outcome::Success), Some(Outcome::Failure));
        let unit = of(vec![task("t", "t", None, yes, 0), task("t", "child", Some("t"), no, 2)]);
        assert_eq!((unit.success, unit.errored, unit.duration_ms), (Some(1.0), false, Some(100.0)));
        assert_eq!((unit.tokens, unit.cost), (Some(2_000.0), Some(1.0)));
        let unit = of(vec![task("t", "t", None, no, 0), task("t", "child", Some("t"), yes, 1)]);
        assert_eq!((unit.success, unit.errored), (Some(0.0), true));
        // A parent in another trace does not make it a child here.
        assert_eq!(of(vec![task("t", "t", Some("elsewhere"), yes, 0)]).success, Some(1.0));
    }

    #[test]
    fn unknown_outcomes_stay_unknown_and_running_tasks_have_no_errors_yet() {
        let mut running = task("t", "t", None, None, 1);
        running.ended = false;
        let unit = of(vec![running]);
        assert_eq!((unit.ended, unit.success, unit.errored), (false, None, false));
        let unit = of(vec![task("t", "t", None, None, 1)]);
        assert_eq!((unit.success, unit.errored), (None, true));
        assert!(!of(Vec::new()).ended);
    }

    #[test]
    fn traces_of_a_session_become_means() {
        let unit = of(vec![
            task("a", "a", None, Some(Outcome::Success), 0),
            task("b", "b", None, Some(Outcome::Failure), 1),
        ]);
        assert_eq!((unit.success, unit.errored), (Some(0.5), true));
        assert!((unit.tokens.unwrap() - 1_000.0).abs() < 1e-6);
    }

    #[test]
    fn scores_count_by_source_and_within_their_window() {
        let metric = CustomMetric {
            name: "helpful".to_owned(),
            kind: ScoreKind::Boolean,
            direction: Direction::Higher,
            weight: 1.0,
            margin: None,
            source: ScoreSource::Human,
            attribution_window_ms: 1.0,
        };
        let declared = [DeclaredMetric { metric, roles: Roles::default() }];
        let score = |value, given_us, source| ("helpful".to_owned(), value, given_us, source);
        let record = |scores| UnitRecord {
            unit: "u".to_owned(),
            tasks: vec![task("t", "t", None, None, 0)],
            exposures: Vec::new(),
            scores,
        };
        let of = |scores| outcome(&record(scores), Arm::Control, false, &declared).scores.get("helpful").copied();
        assert_eq!(of(vec![score(1.0, 500, Source::Human)]), Some(1.0));
        assert_eq!(of(vec![score(1.0, 500, Source::Own)]), None);
        assert_eq!(of(vec![score(1.0, 5_000, Source::Human)]), None);
    }
}
